//! What can go wrong with the store, in one sentence a person can act on.

use sqlx::error::DatabaseError;
use tenken_collector_core::{predict::column::ColumnError, stream::EntryError};
use tenken_common::codec::CodecError;

/// See the module's head.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database is locked by another process; stop it or try again in a moment")]
    Locked,
    #[error("the database cannot be written; check the owner and mode of the file, its folder and the mount")]
    ReadOnly,
    #[error("the disk is full; nothing was lost, free some space")]
    DiskFull,
    #[error("the file cannot be opened; check that its folder exists and may be entered")]
    CannotOpen,
    #[error("the file is no database of this program")]
    NotADatabase,
    #[error("the database is damaged; restore it from a backup")]
    Damaged,
    #[error(
        "the database has schema {found}, this program knows up to {known}; use the newer program that wrote it"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error("the derived tables are being rebuilt; try again when the rebuild has finished")]
    Rebuilding,
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    #[error("the stream's entry at position {position} cannot be read")]
    Entry { position: u64, source: EntryError },
    #[error("a value could not be encoded or decoded")]
    Codec(#[from] CodecError),
    #[error("packed points could not be read or written")]
    Column(#[from] ColumnError),
    #[error("column `{0}` holds a value that this version does not know")]
    Value(&'static str),
    #[error("the store belongs to a device ({0}) that it has no ledger of")]
    NoLedger(tenken_common::id::DeviceId),
    #[error("the stream's envelope of device {0} does not continue its chain")]
    BrokenChain(tenken_common::id::DeviceId),
}

impl StoreError {
    /// Whether the same call can succeed later without anybody changing the program.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Locked | Self::DiskFull | Self::Rebuilding)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // SQLite's primary result code is the low byte of the extended one.
        let primary = code.and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff);
        match primary {
            Some(5 | 6) => Self::Locked,
            Some(3 | 8 | 23) => Self::ReadOnly,
            Some(11) => Self::Damaged,
            Some(13) => Self::DiskFull,
            Some(14) => Self::CannotOpen,
            Some(26) => Self::NotADatabase,
            Some(_) | None => Self::Database(error),
        }
    }
}
