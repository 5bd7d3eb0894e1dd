//! Remote write 1.0: devices' numbers for any store that takes them as Prometheus sends them.
//!
//! ```text
//! tenken_device_reading_<quantity>{device, hospital, probe, subject, unit}
//! ```
//!
//! Holds: a sample has the time at which the device saw it, however late it came. A series is named
//! by what the store has of it and nothing else, so that a sample that is sent again is the same
//! sample: a receiver keeps it once. Names never meet those of `/metrics`.
//!
//! Does not: send what `/metrics` shows, which is scraped; or serve as a source for SLA figures.

mod client;
pub mod config;
pub mod encode;

pub use client::{Receiver, ReceiverError};
pub use config::RemoteWriteConfig;
