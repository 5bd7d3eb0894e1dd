//! What 甲 agreed to afterwards: who said so, when, and where it is written.

use serde::{Deserialize, Serialize};
use tenken_common::time::Timestamp;

/// 甲's agreement to one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// It counts from this instant on.
    pub at: Timestamp,
    /// Who agreed for 甲.
    pub by: String,
}

/// Whether it was given by `as_of`.
pub fn is_agreed(agreed: Option<&Agreed>, as_of: Timestamp) -> bool {
    agreed.is_some_and(|agreed| agreed.at <= as_of)
}
