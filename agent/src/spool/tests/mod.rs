//! The spool's tests: one behaviour suite over every engine, random histories, damaged files.

mod bench;
mod damage;
mod history;
mod note;
mod pack;
mod suite;
