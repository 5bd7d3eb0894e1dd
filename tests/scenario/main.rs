//! The real programs against real peers, on real files, on loopback.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod alertmanager;
mod clock;
mod config;
mod consent;
mod dashboard;
mod device_state;
mod enrollment;
mod evidence;
mod fleet;
mod forecast;
mod full_disk;
mod hospital;
mod ingest;
mod kill;
mod media;
mod neighbour;
mod notice;
mod office;
mod outage;
mod outlets;
mod peer;
mod plugin;
mod points;
mod privacy;
mod probe;
mod prometheus;
mod proxy;
mod rebuild;
mod remote_write;
mod service;
mod silence;
mod sla;
mod triage;
mod trust;
