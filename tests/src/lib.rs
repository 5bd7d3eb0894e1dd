//! The test bench: real programs of ours and of others, started, watched and stopped by tests.
//!
//! Holds: every wait has a bound and says at its end what it waited for; every process, folder and
//! port belongs to one test and goes away with it; only loopback is used.
//! Does not: retry what failed, or replace a peer by an imitation where the peer can be run.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test bench fails a test by panicking")]

mod account;
pub mod bed;
mod binary;
pub mod http;
mod kill;
mod mail;
mod process;
mod prometheus;
pub mod sim;
mod wait;
mod webhook;

pub use account::Account;
pub use bed::{Bed, BedPlan, HOSPITAL, Home, stdout};
pub use binary::workspace_bin;
pub use kill::{KillPlan, KillResult, kill_campaign};
pub use mail::{MailMessage, MailServer};
pub use process::Process;
pub use prometheus::{PromSample, Prometheus, promtool};
pub use wait::{free_port, let_pass, wait_until};
pub use webhook::{WebhookReceiver, WebhookRequest};
