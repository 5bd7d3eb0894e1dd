//! The Windows agent as a real service, under wine, against the real collector on this machine:
//! installed, started, killed, started again, stopped, removed.
//!
//! Run by `tests/run`, which builds the program, makes a Windows to run it in and names both:
//! `TENKEN_WINDOWS_AGENT` is the program, `TENKEN_WINDOWS_MSI` the folder of its packages, `TENKEN_WINE` what runs them.
//!
//! Does not: show anything of real Windows that wine does not have: accounts, access lists, the
//! restart after a failure, the event log's own file.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod package;
mod service;
mod wine;
