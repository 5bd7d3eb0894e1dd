//! The real programs against real peers, on real files, on loopback.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod config;
mod enrollment;
mod fleet;
mod forecast;
mod full_disk;
mod ingest;
mod kill;
mod notice;
mod office;
mod outage;
mod peer;
mod prometheus;
mod rebuild;
mod silence;
mod sla;
