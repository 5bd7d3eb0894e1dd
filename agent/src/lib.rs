//! The agent on a hospital's device: probes and the parts that touch the operating system.
//!
//! Holds: what is decided lives in `tenken-agent-core`; this crate reads, waits and writes.

pub mod probes;
pub mod runner;
