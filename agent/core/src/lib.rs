//! What an agent decides, without any I/O: when a probe is due, what may be recorded and sent,
//! how the spool keeps it, what is pushed next.
//!
//! Holds: no file, socket, thread or clock is touched here; time and random bytes are arguments.
//!
//! Does not: know sled, TLS or the operating system; the shell (`tenken-agent`) does.

pub mod budget;
pub mod consent_gate;
pub mod device_clock;
pub mod diagnosis;
pub mod invariant;
pub mod planted;
pub mod probe;
pub mod pusher;
pub mod record;
pub mod schedule;
pub mod session;
pub mod spool;
