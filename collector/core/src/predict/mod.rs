//! What a device's numbers say about its future.
//!
//! Holds: every model is fitted to one series of one device, so nothing is ever pooled across
//! devices, and with that never across hospitals (SLA A6.1(3)).

pub mod anomaly;
pub mod column;
pub mod forecast;
pub mod risk;
pub mod robust;
pub mod series;
pub mod watch;
