//! A copy of the database while it is in use.
//!
//! Holds: the copy is the database at one moment, whole; when [`Store::copy_to`] returns it is on
//! the disk. Writers of other connections go on meanwhile.

use super::{Store, convert::uint};
use crate::store::StoreError;
use sqlx::{Connection, query, query_scalar, sqlite::SqliteConnectOptions};
use std::path::Path;

impl Store {
    /// Copies the database into a new file; answers the stream's last position in it.
    pub async fn copy_to(&self, path: &Path) -> Result<u64, StoreError> {
        let text = path.to_str().ok_or(StoreError::CannotOpen)?;
        query("VACUUM INTO ?").bind(text).execute(self.writer()).await?;
        std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(|_| StoreError::CannotOpen)?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut copy = sqlx::SqliteConnection::connect_with(&options).await?;
        let last: i64 =
            query_scalar("SELECT coalesce(max(position), 0) FROM stream").fetch_one(&mut copy).await?;
        copy.close().await?;
        Ok(uint(last))
    }
}
