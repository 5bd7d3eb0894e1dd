//! The collector at the remote service centre: it takes signed batches in, keeps them, evaluates
//! them and tells people; what it decides is decided in `tenken-collector-core`.
//!
//! Holds: there is no command channel; all that goes back to a device is signed answers.

pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
pub mod desk;
pub mod history;
mod http;
pub mod ingest;
pub mod keys;
pub mod metrics;
pub mod notify;
pub mod overview;
pub mod pki;
pub mod remote_write;
pub mod seal;
pub mod store;
pub mod worker;
