//! What may be believed of a device: its chain of batches, the records that came or were declared
//! missing, and whether it is heard from at all.

pub mod arrival;
pub mod coverage;
pub mod device_state;
pub mod held;
pub mod ledger;
pub mod planted;
pub mod resume;
