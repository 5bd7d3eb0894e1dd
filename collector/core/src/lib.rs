//! What a collector decides, without any I/O: what may be believed of a device, what its data
//! predicts, what the support desk is told, and how the SLA was kept.
//!
//! Holds: nothing here reads a clock, a file or a database. Every function that judges takes
//! `as_of`; the same input gives the same output for ever.

pub mod desk;
pub mod evaluation;
pub mod evidence;
pub mod head;
pub mod intake;
pub mod invariant;
pub mod predict;
pub mod sla;
pub mod stream;
