//! Bytes and texts that must not change by accident: the wire's version 1, and what each
//! program's `--help` says; and the reports of the example history.
//!
//! To accept a change of a help text on purpose, run the test with `TENKEN_BLESS=1` and read the
//! difference. The wire's bytes are frozen: a change there is a new version.

mod grafana;
mod help;
mod report;
mod wire;
