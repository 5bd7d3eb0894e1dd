//! Throwing away what is derived and deriving it again; and a digest by which two derivations are
//! compared.
//!
//! Holds: the stream, the outbox and what was handed over are not touched. An interrupted rebuild goes on at the next
//! `open`; until it is done nothing is appended.

use super::{Store, book::Book, convert::Columns, read::entries_after};
use crate::store::StoreError;
use sqlx::{AssertSqlSafe, query, query_scalar};
use tenken_common::id::Hash;

/// Every derived table, children before what they refer to.
const DERIVED: [&str; 36] = [
    "sealed_month",
    "head_mark",
    "chain_head",
    "evaluation",
    "incident",
    "forecast",
    "prediction",
    "anomaly",
    "detector",
    "fact",
    "currency_report",
    "failed_push",
    "revision",
    "heartbeat_run",
    "device_seen",
    "probe_run",
    "check_state",
    "packed",
    "fresh",
    "series",
    "evidence",
    "quarantine",
    "closed_epoch",
    "rejoin_approval",
    "collector_lost",
    "gap",
    "coverage",
    "ledger_hash",
    "ledger",
    "consent",
    "device_certificate",
    "device",
    "slot",
    "contract",
    "hospital",
    "checkpoint",
];
/// How the checkpoints begin that say how far a receiver outside has the stream.
pub const HANDED_OVER: &str = "remote_write ";
/// Entries in one transaction of a rebuild; at 260 KiB each they take at most 52 MiB.
const PAGE: u32 = 200;

impl Store {
    /// Drops every derived row and derives again what follows from the stream at once; the
    /// projection and the evaluation start from zero.
    pub async fn reset_derived(&self) -> Result<(), StoreError> {
        let mut tx = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        for table in DERIVED {
            let sql = if table == "checkpoint" {
                // What was handed over to a receiver stays handed over.
                format!("UPDATE checkpoint SET position = 0 WHERE name NOT LIKE '{HANDED_OVER}%'")
            } else {
                format!("DELETE FROM {table}")
            };
            query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.catch_up().await
    }

    /// Applies the stream's entries that were not applied yet.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        let mut book = Book::default();
        loop {
            let mut tx = self.begin_unapplied(&mut book).await?;
            let page = entries_after(&mut *tx.inner, tx.applied, PAGE).await?;
            let Some(last) = page.last().map(|s| s.position) else { break };
            for stored in &page {
                tx.apply(stored.position, stored.committed, &stored.entry).await?;
            }
            tx.applied = last;
            tx.commit().await?;
        }
        self.catch_up_heads().await
    }

    /// SHA-256 over all derived tables in a fixed order: equal for equal contents.
    pub async fn digest(&self) -> Result<Hash, StoreError> {
        let mut c = self.reader().begin().await?;
        let mut tables = Vec::new();
        for table in DERIVED {
            let columns: Vec<String> = query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
                .bind(table)
                .fetch_all(&mut *c)
                .await?;
            let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
            let sql = format!("SELECT {} AS line FROM {table} ORDER BY 1", quoted.join(" || ',' || "));
            let mut text = format!("{table}\n");
            for row in query(AssertSqlSafe(sql)).fetch_all(&mut *c).await? {
                text.push_str(row.text("line")?);
                text.push('\n');
            }
            tables.extend_from_slice(Hash::of(text.as_bytes()).as_bytes());
        }
        Ok(Hash::of(&tables))
    }
}
