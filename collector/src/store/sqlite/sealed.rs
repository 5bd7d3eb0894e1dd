//! Sealed months, and a hospital's own entries page by page: what evidence is written from.

use super::{
    Store, Tx,
    convert::{Columns, int},
    heads::HeadBook,
    read::stored_row,
};
use crate::store::StoreError;
use sqlx::{query, query_scalar};
use tenken_collector_core::{
    head::Part,
    sla::{month::Month, seal::MonthSealed},
    stream::{Entry, Stored},
};
use tenken_common::id::{ContractId, HospitalId};

/// Entries that are read at once; at 260 KiB each they take at most 52 MiB.
const PAGE: u32 = 200;

impl Tx<'_> {
    pub(super) async fn apply_sealed(
        &mut self,
        position: u64,
        sealed: &MonthSealed,
    ) -> Result<(), StoreError> {
        query("INSERT INTO sealed_month (contract, month, revision, position) VALUES (?, ?, ?, ?)")
            .bind(sealed.contract.as_str())
            .bind(sealed.month.to_string())
            .bind(i64::from(sealed.revision))
            .bind(int(position))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The revisions of a month, the first one first.
    pub async fn sealed(&self, contract: &ContractId, month: Month) -> Result<Vec<MonthSealed>, StoreError> {
        let rows = query(
            "SELECT s.* FROM sealed_month m JOIN stream s ON s.position = m.position
             WHERE m.contract = ? AND m.month = ? ORDER BY m.revision",
        )
        .bind(contract.as_str())
        .bind(month.to_string())
        .fetch_all(self.reader())
        .await?;
        let mut found = Vec::new();
        for row in &rows {
            if let Entry::MonthSealed(sealed) = stored_row(row)?.entry {
                found.push(*sealed);
            }
        }
        Ok(found)
    }
}

/// Of before the begin only the journal matters: its kinds are rare and have an index.
const RARE: &str = "SELECT * FROM stream WHERE kind > 2 AND kind NOT IN (11, 17)
                    AND position > ? AND position <= ? ORDER BY position LIMIT ?";
const ALL: &str = "SELECT * FROM stream WHERE position > ? AND position <= ? ORDER BY position LIMIT ?";

/// A hospital's entries and the collector's own: its journal from the first one on, everything else
/// after `begin`, up to `end`.
pub struct OwnEntries {
    store: Store,
    hospital: HospitalId,
    begin: u64,
    end: u64,
    at: u64,
    owners: HeadBook,
}

impl OwnEntries {
    pub fn new(store: &Store, hospital: &HospitalId, (begin, end): (u64, u64)) -> Self {
        let (hospital, store) = (hospital.clone(), store.clone());
        Self { store, hospital, begin, end, at: 0, owners: HeadBook::default() }
    }

    /// The next page in order; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Stored>>, StoreError> {
        loop {
            let mut connection = self.store.reader().acquire().await?;
            // Before the begin only the rare kinds matter, and they have an index.
            let (is_early, until) = if self.at < self.begin { (true, self.begin) } else { (false, self.end) };
            let rows = query(if is_early { RARE } else { ALL })
                .bind(int(self.at))
                .bind(int(until))
                .bind(i64::from(PAGE))
                .fetch_all(&mut *connection)
                .await?;
            let to = match rows.last() {
                Some(last) if rows.len() as u64 == u64::from(PAGE) => last.uint("position")?,
                Some(_) | None if is_early => self.begin,
                Some(last) => last.uint("position")?,
                None => return Ok(None),
            };
            self.at = to;
            let mut own = Vec::new();
            for row in &rows {
                let stored = stored_row(row)?;
                let whose = self.owners.hospital(&mut connection, stored.entry.owner()).await?;
                let is_early = stored.entry.kind().part() != Part::Journal && stored.position <= self.begin;
                if whose.is_none_or(|hospital| hospital == self.hospital) && !is_early {
                    own.push(stored);
                }
            }
            if !own.is_empty() {
                return Ok(Some(own));
            }
        }
    }
}

impl Store {
    /// How far the evaluation has come, by the tick's time; `None` before the first.
    pub async fn evaluated_to(&self) -> Result<Option<tenken_common::time::Timestamp>, StoreError> {
        let json: Option<String> = query_scalar("SELECT json FROM evaluation WHERE name = 'last_tick'")
            .fetch_optional(self.reader())
            .await?;
        json.map(|json| serde_json::from_str(&json).map_err(|_| StoreError::Value("last_tick"))).transpose()
    }
}
