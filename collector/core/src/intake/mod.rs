//! What may be believed of a device: its chain of batches and the records that came or were
//! declared missing.

pub mod coverage;
pub mod ledger;
