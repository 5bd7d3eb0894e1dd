//! The way in, end to end without TLS: real signatures, a real database file, the real routes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is test code; clippy allows it by itself in functions marked as tests only"
)]

mod admission;
mod backup;
mod chain;
mod column;
mod desk;
mod enrollment;
mod fact;
mod filing;
mod interim;
mod outbox;
mod overload;
mod rebuild;
mod rejoin;
mod remote_write;
mod renewal;
mod resume;
mod support;
mod turn;
mod watch;
