//! The words that agent, collector and hospital share: identities, time, observations,
//! batches, envelopes, statements, acknowledgements.
//!
//! Holds: nothing here talks to a network or a database, nothing here starts a thread, and no
//! other crate of this workspace is imported. Only `config`, `file`, `time` and `telemetry`
//! touch the system at all (a file, a clock, standard error), and only where a caller asks them to.
//!
//! Does not: decide anything that belongs to one side only.

pub mod ack;
pub mod batch;
pub mod category;
pub mod codec;
pub mod column;
pub mod config;
pub mod consent;
pub mod enrollment;
pub mod envelope;
pub mod export;
pub mod fact;
pub mod file;
pub mod id;
pub mod key;
pub mod limit;
pub mod message;
pub mod observation;
pub mod renewal;
pub mod retry;
pub mod statement;
pub mod stub;
pub mod telemetry;
pub mod time;
pub mod tls;
pub mod trust;
pub mod unit;
pub mod wire;
