//! The collector at the remote service centre: it takes signed batches in, keeps them, evaluates
//! them and tells people.

pub mod ingest;
pub mod store;
