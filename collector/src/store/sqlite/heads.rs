//! The heads of the stream for each hospital ([`tenken_collector_core::head`]), kept with it, and as
//! they were at the first heartbeat of each day, where evidence of a later month can begin.
//!
//! Holds: they follow from the stream alone, so a rebuild gives the same, and a stream that was
//! written before there were heads has them once it was opened. What is in memory equals the tables
//! whenever no transaction is open.

use super::{
    Store, Tx,
    append::{StreamRow, insert},
    book::Book,
    convert::{Columns, int},
    read::entries_after,
};
use crate::store::StoreError;
use sqlx::{SqliteConnection, query, query_scalar};
use std::collections::{BTreeMap, BTreeSet};
use tenken_collector_core::{
    head::{self, Heads, Leaf, Owner, Part},
    sla::{calendar::Day, contract::Contract},
    stream::EntryKind,
};
use tenken_common::{
    id::{ContractId, DeviceId, Hash, HospitalId},
    time::Timestamp,
};

/// Entries in one transaction of the derivation.
const PAGE: u32 = 200;

/// A chain with a head of its own; `None` is the collector's.
type Chain = Option<(Part, HospitalId)>;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct HeadBook {
    heads: BTreeMap<Chain, Hash>,
    touched: BTreeSet<Chain>,
    devices: BTreeMap<DeviceId, HospitalId>,
    contracts: BTreeMap<ContractId, HospitalId>,
    /// The day of the newest mark.
    marked: Option<Day>,
}

impl HeadBook {
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    async fn head(&mut self, c: &mut SqliteConnection, chain: Chain) -> Result<Hash, StoreError> {
        if let Some(head) = self.heads.get(&chain) {
            return Ok(*head);
        }
        let row =
            query("SELECT hash FROM chain_head WHERE part = ?").bind(text(&chain)).fetch_optional(c).await?;
        let head = row.map(|row| row.bytes("hash")).transpose()?.map_or(Hash::ZERO, Hash);
        self.heads.insert(chain, head);
        Ok(head)
    }

    async fn heads(&mut self, c: &mut SqliteConnection, hospital: &HospitalId) -> Result<Heads, StoreError> {
        Ok(Heads {
            shared: self.head(c, None).await?,
            journal: self.head(c, Some((Part::Journal, hospital.clone()))).await?,
            log: self.head(c, Some((Part::Log, hospital.clone()))).await?,
        })
    }

    /// Takes in an entry of this hospital, or of the collector.
    async fn enter(
        &mut self,
        c: &mut SqliteConnection,
        leaf: &Leaf,
        hospital: Option<HospitalId>,
    ) -> Result<(), StoreError> {
        let kind = EntryKind::from_code(leaf.kind).ok_or(StoreError::Value("kind"))?;
        if kind == EntryKind::Heartbeat {
            self.mark(c, leaf).await?;
        }
        let chain = hospital.map(|hospital| (kind.part(), hospital));
        let head = self.head(c, chain.clone()).await?;
        self.heads.insert(chain.clone(), head::follow(head, leaf));
        self.touched.insert(chain);
        Ok(())
    }

    /// Keeps all heads as they are before the day's first heartbeat.
    async fn mark(&mut self, c: &mut SqliteConnection, beat: &Leaf) -> Result<(), StoreError> {
        let day = Day::of(beat.committed);
        if self.marked.is_none() {
            let newest: Option<i64> =
                query_scalar("SELECT at_us FROM head_mark ORDER BY position DESC LIMIT 1")
                    .fetch_optional(&mut *c)
                    .await?;
            self.marked = newest.map(|at| Day::of(Timestamp::from_micros(at)));
        }
        if self.marked == Some(day) {
            return Ok(());
        }
        self.flush(c).await?;
        // A row of its own for the collector's, also before its first entry.
        let shared = self.head(c, None).await?;
        query(
            "INSERT INTO head_mark (position, at_us, part, hash)
             SELECT ?1, ?2, ?3, ?4 UNION ALL SELECT ?1, ?2, part, hash FROM chain_head WHERE part <> ?3",
        )
        .bind(int(beat.position))
        .bind(beat.committed.as_micros())
        .bind(text(&None))
        .bind(shared.as_bytes())
        .execute(c)
        .await?;
        self.marked = Some(day);
        Ok(())
    }

    /// Writes what this transaction changed.
    pub(super) async fn flush(&mut self, c: &mut SqliteConnection) -> Result<(), StoreError> {
        let touched = std::mem::take(&mut self.touched);
        let rows: Vec<(String, Hash)> =
            touched.iter().filter_map(|chain| Some((text(chain), *self.heads.get(chain)?))).collect();
        insert(c, "INSERT OR REPLACE INTO chain_head (part, hash) ", "", &rows, |mut b, (part, hash)| {
            b.push_bind(part.clone()).push_bind(hash.as_bytes().to_vec());
        })
        .await
    }

    /// The hospital of a device or contract, which never changes.
    pub(super) async fn hospital(
        &mut self,
        c: &mut SqliteConnection,
        owner: Owner<'_>,
    ) -> Result<Option<HospitalId>, StoreError> {
        let unknown = StoreError::Value("owner");
        match owner {
            Owner::Collector => Ok(None),
            Owner::Hospital(hospital) => Ok(Some(hospital.clone())),
            Owner::ContractText(text) => {
                Contract::parse(text).map(|contract| Some(contract.hospital.id)).map_err(|_| unknown)
            }
            Owner::Device(device) => {
                if let Some(hospital) = self.devices.get(&device) {
                    return Ok(Some(hospital.clone()));
                }
                let row = query("SELECT hospital FROM device WHERE id = ?").bind(device.as_bytes());
                let row = row.fetch_optional(c).await?.ok_or(unknown)?;
                let hospital = HospitalId(row.name("hospital")?);
                self.devices.insert(device, hospital.clone());
                Ok(Some(hospital))
            }
            Owner::Contract(id) => {
                if !self.contracts.contains_key(id) {
                    for row in query("SELECT text FROM contract").fetch_all(c).await? {
                        if let Ok(contract) = Contract::parse(row.text("text")?) {
                            self.contracts.insert(contract.id, contract.hospital.id);
                        }
                    }
                }
                self.contracts.get(id).cloned().map(Some).ok_or(unknown)
            }
        }
    }
}

fn text(chain: &Chain) -> String {
    match chain {
        Some((Part::Log, hospital)) => format!("log:{hospital}"),
        Some((Part::Journal | Part::Shared, hospital)) => format!("journal:{hospital}"),
        None => "shared".to_owned(),
    }
}

impl Tx<'_> {
    /// Takes a row that is about to be pushed into the heads.
    pub(super) async fn enter_head(&mut self, row: &StreamRow, owner: Owner<'_>) -> Result<(), StoreError> {
        let heads = &mut self.book.heads;
        let hospital = heads.hospital(&mut self.inner, owner).await?;
        let leaf = Leaf {
            position: row.position,
            kind: row.kind,
            committed: row.committed,
            device: row.device,
            body: Hash::of(&row.body),
        };
        heads.enter(&mut self.inner, &leaf, hospital).await?;
        self.headed = row.position;
        Ok(())
    }

    /// The root of all that a device's hospital has here.
    pub(super) async fn root_of(&mut self, device: DeviceId) -> Result<Hash, StoreError> {
        let heads = &mut self.book.heads;
        match heads.hospital(&mut self.inner, Owner::Device(device)).await? {
            Some(hospital) => Ok(heads.heads(&mut self.inner, &hospital).await?.root()),
            None => Err(StoreError::Value("owner")),
        }
    }

    /// The heads of a hospital, with what this transaction appended.
    pub async fn heads(&mut self, hospital: &HospitalId) -> Result<Heads, StoreError> {
        self.book.heads.heads(&mut self.inner, hospital).await
    }
}

impl Store {
    /// Derives the heads of entries that have none yet.
    pub(super) async fn catch_up_heads(&self) -> Result<(), StoreError> {
        let mut book = Book::default();
        loop {
            let mut tx = self.begin_unapplied(&mut book).await?;
            let page = entries_after(&mut *tx.inner, tx.headed, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for stored in &page {
                let row = StreamRow::of(stored)?;
                tx.enter_head(&row, stored.entry.owner()).await?;
            }
            tx.commit().await?;
        }
    }

    /// The last mark before the first one of an instant or after it: the position of the entry before
    /// it, and the heads of a hospital there; the stream's beginning where there is none. A clock
    /// that was wrong for a while makes it an earlier one, never a later.
    pub async fn heads_before(
        &self,
        at: Timestamp,
        hospital: &HospitalId,
    ) -> Result<(u64, Heads), StoreError> {
        let rows = query(
            "SELECT position, part, hash FROM head_mark
             WHERE position = (SELECT max(position) FROM head_mark WHERE position <
                               coalesce((SELECT min(position) FROM head_mark WHERE at_us >= ?), ?))",
        )
        .bind(at.as_micros())
        .bind(i64::MAX)
        .fetch_all(self.reader())
        .await?;
        let (mut before, mut heads) = (0, Heads::BEGIN);
        let own = |part| text(&Some((part, hospital.clone())));
        for row in &rows {
            before = row.uint("position")?.saturating_sub(1);
            let (part, hash) = (row.text("part")?, Hash(row.bytes("hash")?));
            if part == text(&None) {
                heads.shared = hash;
            } else if part == own(Part::Journal) {
                heads.journal = hash;
            } else if part == own(Part::Log) {
                heads.log = hash;
            }
        }
        Ok((before, heads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};
    use tenken_collector_core::stream::{Entry, Stored};
    use tenken_common::{id::BootId, time::ManualClock};

    fn day(n: u64, hour: u64) -> Timestamp {
        let first: Timestamp = "2026-09-29T00:00:00+09:00".parse().unwrap();
        first.plus(Duration::from_hours(24 * n + hour))
    }

    /// The collector's own head after these entries.
    fn shared(entries: &[Stored]) -> Hash {
        entries.iter().fold(Hash::ZERO, |head, stored| {
            let row = StreamRow::of(stored).unwrap();
            let (position, committed) = (row.position, row.committed);
            let body = Hash::of(&row.body);
            head::follow(head, &Leaf { position, kind: row.kind, committed, device: row.device, body })
        })
    }

    #[tokio::test]
    async fn evidence_of_a_month_begins_at_the_last_day_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(BootId([0; 16]), day(0, 9)));
        let store = Store::open(&dir.path().join("collector.db"), clock.clone()).await.unwrap();
        let hospital: HospitalId = "minato".parse().unwrap();
        let month = day(2, 0);
        assert_eq!(store.heads_before(month, &hospital).await.unwrap(), (0, Heads::BEGIN));
        for n in 0..4 {
            for hour in [9, 10, 17] {
                clock.jump_to(day(n, hour));
                store.append(vec![Entry::Heartbeat]).await.unwrap();
            }
        }
        let entries = store.entries_after(0, 100).await.unwrap();
        let begin = (3, Heads { shared: shared(&entries[..3]), ..Heads::BEGIN });
        assert_eq!(store.heads_before(month, &hospital).await.unwrap(), begin, "before the second day");
        let mut book = Book::default();
        let heads = store.begin(&mut book).await.unwrap().heads(&hospital).await.unwrap();
        assert_eq!(heads.shared, shared(&entries));

        // A clock that goes back does not move it into the month.
        clock.jump_to(day(1, 9));
        store.append(vec![Entry::Heartbeat]).await.unwrap();
        clock.jump_to(day(4, 9));
        store.append(vec![Entry::Heartbeat]).await.unwrap();
        assert_eq!(store.heads_before(month, &hospital).await.unwrap(), begin);

        let digest = store.digest().await.unwrap();
        store.reset_derived().await.unwrap();
        assert_eq!(store.heads_before(month, &hospital).await.unwrap(), begin);
        store.project_all().await.unwrap();
        let again = store.digest().await.unwrap();
        store.reset_derived().await.unwrap();
        store.project_all().await.unwrap();
        assert_eq!(store.digest().await.unwrap(), again, "{digest}");
        store.close().await;
    }
}
