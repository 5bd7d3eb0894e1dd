//! The schema's versions, each an embedded script that runs once.
//!
//! Holds: a script and its version number commit together. A database of a newer schema is not
//! touched.

use crate::store::StoreError;
use sqlx::{Connection, SqlitePool, query, query_scalar, raw_sql};

const SCRIPTS: [&str; 8] = [
    include_str!("0001_first.sql"),
    include_str!("0002_delivery.sql"),
    include_str!("0003_heads.sql"),
    include_str!("0004_facts.sql"),
    include_str!("0005_desk.sql"),
    include_str!("0006_watch.sql"),
    include_str!("0007_group.sql"),
    include_str!("0008_columns.sql"),
];

pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let known = i64::try_from(SCRIPTS.len()).unwrap_or(i64::MAX);
    let mut connection = writer.acquire().await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        .execute(&mut *tx)
        .await?;
    let found: i64 =
        query_scalar("SELECT coalesce(max(version), 0) FROM schema_version").fetch_one(&mut *tx).await?;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    for (version, script) in (1_i64..).zip(SCRIPTS).filter(|(version, _)| *version > found) {
        raw_sql(script).execute(&mut *tx).await?;
        query("INSERT INTO schema_version VALUES (?)").bind(version).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
