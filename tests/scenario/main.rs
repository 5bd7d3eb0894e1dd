//! The real programs against real peers, on real files, on loopback.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod kill;
mod rebuild;
mod forecast;
mod notice;
mod office;
mod prometheus;
mod silence;
mod sla;
mod config;
mod enrollment;
mod full_disk;
mod ingest;
mod outage;
mod peer;
