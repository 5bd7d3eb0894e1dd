//! The agent's shell: everything of it that touches the device's files, clocks and network.

pub mod spool;
