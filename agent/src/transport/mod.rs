//! How envelopes travel. Today over HTTPS; files on removable media are to come.

pub mod http;
pub mod way;
