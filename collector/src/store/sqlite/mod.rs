//! The SQLite engine: WAL, `synchronous=FULL`, 16 KiB pages, one writer connection and a few
//! readers.
//!
//! Holds: there is one way to write, [`Tx`], which takes the database's write lock at its start;
//! another process (the command line beside the service) may write too, and whoever keeps ledgers
//! in memory notices by the position ([`Book`]).

mod admit;
mod agreement;
mod append;
mod backup;
mod book;
mod column;
mod convert;
mod epoch;
mod evaluation;
mod fact;
mod heads;
mod observed;
mod outbox;
mod points;
mod read;
mod rebuild;
mod schema;
mod sealed;
mod watch;

pub use admit::{Admission, Resumed, StoredLink, Verdict};
pub use append::{Change, Tx};
pub(super) use append::{insert, scope_text, stored_arrival};
pub use book::Book;
pub(super) use column::Fresh;
pub(super) use convert::{Columns, int};
pub use epoch::Chain;
pub(super) use fact::{kind_code, state_codes};
pub(super) use read::{entries_after, set_checkpoint};
pub use sealed::OwnEntries;
pub use watch::StoredBatch;

use super::StoreError;
use sqlx::{
    Connection, Executor, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, sync::Arc, time::Duration};
use tenken_common::time::Clock;

/// How long a statement waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the database file, brings its schema up to date, and finishes a rebuild
    /// that was interrupted.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .page_size(16 * 1024)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            // Where the file cannot be opened for writing, SQLite opens it for reading and says
            // nothing, not even at `BEGIN IMMEDIATE`; such a connection would refuse every write
            // as long as it lives. The pool closes one that refuses this, and opens the next.
            .after_connect(|connection, _| {
                let writes = "BEGIN IMMEDIATE; CREATE TABLE is_writable (x); ROLLBACK";
                Box::pin(async move { connection.execute(writes).await.map(drop) })
            })
            // A full disk ends SQLite's transaction behind sqlx's back; such a connection would
            // refuse every later one.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        schema::migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .max_lifetime(None)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        let store = Self { writer, readers, clock };
        store.catch_up().await?;
        Ok(store)
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Closes all connections, so that the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}
