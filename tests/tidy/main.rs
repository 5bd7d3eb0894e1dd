//! The rules of the house, each a test that names file, line and what to do.
//!
//! Holds: every rule is a function over sources, and is itself tested with a planted violation.
//! Does not: look at style; that is rustfmt's and clippy's.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod files;
mod imports;
mod manifests;
mod repository;
mod source;
mod wire;

/// Fails with every finding on a line of its own.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} found:\n{}\n", findings.len(), findings.join("\n"));
}
