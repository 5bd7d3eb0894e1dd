//! What the hospital's administrator runs, offline: the hospital's own key makes slots, approves
//! devices and signs the consent.
//!
//! Holds (I8): the hospital's secret key is read here and nowhere else; neither agent nor
//! collector has this crate among its imports.
//!
//! Does not: use a network or a database. Statements go in and out as text files.

pub mod cli;
pub mod consent;
pub mod device;
