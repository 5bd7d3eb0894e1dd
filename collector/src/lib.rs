//! The collector's shell: everything that talks to the network, the disk and the clock.

pub mod ingest;
pub mod metrics;
pub mod notify;
pub mod pki;
