//! What arrives at the collector: the listener that accepts connections.

pub mod listener;

use tenken_common::id::Hash;

/// Who is at the other end of a connection, as far as TLS showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// SHA-256 of the client certificate (DER); `None` where none was asked for.
    pub certificate: Option<Hash>,
}
