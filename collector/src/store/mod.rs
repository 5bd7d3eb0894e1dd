//! The collector's store: the append-only stream, which is the truth, and everything that is
//! derived from it.
//!
//! Holds: a stream entry is written once, with a dense position and its commit time, in the same
//! transaction as the rows that must agree with it at once (`sqlite::append`: devices, slots,
//! ledgers, coverage). The rest is derived later: series and states by [`project`], incidents by
//! the evaluation. `reset_derived` throws all of that away and it comes back the same; only the
//! outbox stays, so that a rebuild sends nothing again.
//!
//! Does not: decide anything. What a link means is `intake::ledger`'s business, what it leads to
//! is the evaluation's.

mod error;
pub mod model;
pub mod project;
mod reading;
mod sqlite;
mod statement;

pub use error::StoreError;
pub use sqlite::{
    Admission, Book, Chain, Change, OwnEntries, Resumed, Store, StoredBatch, StoredLink, Tx, Verdict,
};
pub use statement::FileError;
