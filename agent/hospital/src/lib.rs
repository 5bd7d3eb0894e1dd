//! What the hospital's administrator runs, offline: the hospital's own key makes slots, approves
//! devices, signs the consent, agrees to contracts and names its successor; a month's evidence is
//! checked by its public half.
//!
//! Holds (I8): the hospital's secret key is read here and nowhere else; neither agent nor
//! collector has this crate among its imports.
//!
//! Does not: use a network or a database. Statements go in and out as text files.

pub mod agreement;
pub mod cli;
pub mod consent;
pub mod device;
pub mod show;
pub mod succession;
pub mod verify;
