//! The agent's shell: it touches the device, the disk and the network, and leaves every decision
//! to `tenken-agent-core`.
//!
//! Holds: outbound connections only, no listening socket. Probes know neither spool nor
//! transport; the transport does not know the spool; `app` alone knows them all.

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("the agent is for devices that run Linux or Windows");

pub mod alarm;
pub mod app;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod consent_file;
pub mod deliver;
pub mod diagnosis;
pub mod doctor;
pub mod enroll;
pub mod guest;
pub mod identity;
pub mod media;
pub mod offline;
pub mod outbox;
pub mod probes;
pub mod receipt;
pub mod runner;
pub mod sent;
pub mod service;
pub mod session;
pub mod shared;
pub mod spool;
pub mod status;
pub mod transport;
