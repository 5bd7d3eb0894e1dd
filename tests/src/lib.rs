//! The test bench: real programs of ours and of others, started, watched and stopped by tests.
//!
//! Holds: every wait has a bound and says at its end what it waited for; every process, folder and
//! port belongs to one test and goes away with it; only loopback is used.
//! Does not: retry what failed, or replace a peer by an imitation where the peer can be run.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test bench fails a test by panicking"
)]

mod absence;
mod account;
pub mod adversary;
mod alarm;
mod alertmanager;
pub mod bed;
mod binary;
pub mod column;
pub mod consent;
pub mod crash;
mod enroll;
pub mod evidence;
pub mod fleet;
mod footprint;
pub mod fuzz;
pub mod grafana;
pub mod http;
mod kill;
mod mail;
mod member;
pub mod month;
mod offline;
pub mod predict;
mod process;
mod prometheus;
mod proxy;
pub mod recorder;
mod restore;
mod secret;
mod seed;
pub mod sim;
pub mod sla;
pub mod systemd;
pub mod tick;
mod victoria;
mod wait;
mod webhook;
pub mod wiretap;

pub use absence::{AbsenceResult, absence_campaign};
pub use account::Account;
pub use alarm::{AlarmResult, alarm_campaign};
pub use alertmanager::Alertmanager;
pub use bed::{Bed, BedPlan, HOSPITAL, Home, stdout};
pub use binary::{shipped_bin, workspace_bin};
pub use enroll::{EnrollPlan, EnrollResult, enroll_campaign};
pub use footprint::{FootprintResult, footprint};
pub use kill::{KillPlan, KillResult, kill_campaign};
pub use mail::{MailMessage, MailServer};
pub use member::Member;
pub use offline::{OfflinePlan, OfflineResult, offline_campaign};
pub use process::Process;
pub use prometheus::{PromSample, Prometheus, StoredSample, promtool};
pub use proxy::Proxy;
pub use restore::{RestorePlan, RestoreResult, restore_campaign};
pub use victoria::VictoriaMetrics;
pub use wait::{free_port, let_pass, wait_until};
pub use webhook::{WebhookReceiver, WebhookRequest};
