//! The adversary, in its short form: what each campaign of that name does at length.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bitflip;
mod certificate;
mod clones;
mod door;
mod forge;
mod fuzz;
mod vector;
