//! The ledgers that are held in memory between transactions, and what the current transaction
//! changed in them.
//!
//! Holds: what is in memory equals the tables whenever no transaction is open. A transaction that
//! does not commit, or another process that writes, empties the book; ledgers are loaded again
//! when they are needed.

use super::{
    append::{Tx, insert},
    convert::{Columns, int},
};
use crate::store::StoreError;
use sqlx::{SqliteConnection, query};
use std::collections::{BTreeMap, BTreeSet, btree_map};
use tenken_collector_core::{
    intake::{
        coverage::Coverage,
        ledger::{DeviceLedger, IngestDecision, QuarantineReason, accept},
    },
    stream::Entry,
};
use tenken_common::{
    batch::{Gap, Link},
    codec,
    id::{BootId, DeviceId, Epoch, Hash, Seq},
    limit,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// Hashes of a device that stay in memory; older ones are recalled from the table.
const HASHES_IN_MEMORY: usize = 16;
/// Devices whose ledgers stay in memory.
const ACCOUNTS_MAX: usize = 16_384;
/// The stored coverage of a device; each run takes at most 20 bytes.
const COVERAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Book {
    accounts: BTreeMap<DeviceId, Account>,
    /// The last position when the book was left; `None` while a transaction is open.
    position: Option<u64>,
    touched: BTreeSet<DeviceId>,
    hashes: Vec<(DeviceId, Epoch, Seq, Hash)>,
    gaps: Vec<(DeviceId, Epoch, Gap, u64)>,
}

#[derive(Debug, Clone)]
struct Account {
    ledger: DeviceLedger,
    coverage: Coverage,
    batches: u64,
    clone_suspected: Option<Timestamp>,
}

/// What became of a batch, and how far its device's chain is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub verdict: Verdict,
    pub committed_seq: Seq,
    pub committed_hash: Hash,
    /// The stream's last position.
    pub position: u64,
}

/// [`IngestDecision`] without the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    New { clone_suspected: bool },
    Duplicate,
    Hole { need: Seq },
    Fork,
    StaleEpoch,
    EpochAhead,
    Quarantined,
}

impl Tx<'_> {
    /// Judges a verified batch and, where it is the next of its chain, appends it. A fork's
    /// envelope is appended as evidence and puts the device in quarantine.
    pub async fn admit(
        &mut self,
        link: &Link,
        received: &ReceivedBatch,
        envelope: Vec<u8>,
    ) -> Result<Admission, StoreError> {
        self.book.load(&mut self.inner, link.device).await?;
        self.book.recall(&mut self.inner, link).await?;
        let at = self.now();
        let verdict = match accept(self.book.ledger(link.device)?, link) {
            IngestDecision::New { next, clone_suspected } => {
                let position = self.push_envelope(link.device, envelope)?;
                self.book.enter_link(position, at, received, (*next, clone_suspected))?;
                Verdict::New { clone_suspected }
            }
            IngestDecision::Fork(_) => {
                self.journal(Entry::Fork { device: link.device, bytes: envelope }).await?;
                Verdict::Fork
            }
            IngestDecision::Duplicate => Verdict::Duplicate,
            IngestDecision::Hole { need } => Verdict::Hole { need },
            IngestDecision::StaleEpoch { .. } => Verdict::StaleEpoch,
            IngestDecision::EpochAhead { .. } => Verdict::EpochAhead,
            IngestDecision::Quarantined(_) => Verdict::Quarantined,
        };
        let ledger = self.book.ledger(link.device)?;
        let (committed_seq, committed_hash) = (ledger.committed_seq, ledger.committed_hash);
        Ok(Admission { verdict, committed_seq, committed_hash, position: self.position() })
    }
}

impl Book {
    pub(super) fn enter(&mut self, position: u64) {
        if self.position.take() != Some(position) || self.accounts.len() > ACCOUNTS_MAX {
            *self = Self::default();
        }
    }

    pub(super) fn leave(&mut self, position: u64) {
        self.position = Some(position);
    }

    /// The chain of a device that was enrolled just now.
    pub(super) fn begin_chain(&mut self, device: DeviceId, genesis: Hash) {
        let ledger = DeviceLedger::begin(device, Epoch(1), genesis);
        let account = Account { ledger, coverage: Coverage::default(), batches: 0, clone_suspected: None };
        self.accounts.insert(device, account);
        self.touched.insert(device);
    }

    pub(super) async fn load(
        &mut self,
        c: &mut SqliteConnection,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        if let btree_map::Entry::Vacant(place) = self.accounts.entry(device) {
            place.insert(load(c, device).await?.ok_or(StoreError::NoLedger(device))?);
        }
        Ok(())
    }

    async fn recall(&mut self, c: &mut SqliteConnection, link: &Link) -> Result<(), StoreError> {
        let Some(account) = self.accounts.get_mut(&link.device) else {
            return Err(StoreError::NoLedger(link.device));
        };
        if account.ledger.epoch == link.epoch && account.ledger.needs_recall(link.seq) {
            let all = hashes(c, link.device, account.ledger.epoch, limit::LEDGER_HASHES).await?;
            account.ledger.recall(all);
            self.touched.insert(link.device);
        }
        Ok(())
    }

    fn ledger(&self, device: DeviceId) -> Result<&DeviceLedger, StoreError> {
        self.accounts.get(&device).map(|a| &a.ledger).ok_or(StoreError::NoLedger(device))
    }

    pub(super) fn quarantine(&mut self, device: DeviceId) -> Result<(), StoreError> {
        let account = self.accounts.get_mut(&device).ok_or(StoreError::NoLedger(device))?;
        account.ledger.quarantine = Some(QuarantineReason::Fork);
        self.touched.insert(device);
        Ok(())
    }

    /// Takes in an entry of the log, which was found to continue its chain before.
    pub(super) fn replay(
        &mut self,
        position: u64,
        at: Timestamp,
        link: &Link,
        received: &ReceivedBatch,
    ) -> Result<(), StoreError> {
        match accept(self.ledger(link.device)?, link) {
            IngestDecision::New { next, clone_suspected } => {
                self.enter_link(position, at, received, (*next, clone_suspected))
            }
            IngestDecision::Duplicate
            | IngestDecision::Hole { .. }
            | IngestDecision::Fork(_)
            | IngestDecision::StaleEpoch { .. }
            | IngestDecision::EpochAhead { .. }
            | IngestDecision::Quarantined(_) => Err(StoreError::BrokenChain(link.device)),
        }
    }

    fn enter_link(
        &mut self,
        position: u64,
        at: Timestamp,
        received: &ReceivedBatch,
        (next, clone_suspected): (DeviceLedger, bool),
    ) -> Result<(), StoreError> {
        let device = next.device;
        let account = self.accounts.get_mut(&device).ok_or(StoreError::NoLedger(device))?;
        self.hashes.push((device, next.epoch, next.committed_seq, next.committed_hash));
        self.gaps.extend(received.batch.gaps.iter().map(|gap| (device, next.epoch, *gap, position)));
        account.ledger = next;
        account.ledger.trim(HASHES_IN_MEMORY);
        account.coverage.add(received);
        account.batches += 1;
        if clone_suspected && account.clone_suspected.is_none() {
            account.clone_suspected = Some(at);
        }
        self.touched.insert(device);
        Ok(())
    }

    /// Writes what this transaction changed.
    pub(super) async fn flush(&mut self, c: &mut SqliteConnection) -> Result<(), StoreError> {
        let mut ledgers = Vec::with_capacity(self.touched.len());
        for device in std::mem::take(&mut self.touched) {
            let Some(account) = self.accounts.get_mut(&device) else { continue };
            account.ledger.trim(HASHES_IN_MEMORY);
            let boots: Vec<u8> = account.ledger.boots().flat_map(|b| b.0).collect();
            ledgers.push((device, account.clone(), boots, codec::to_vec(&account.coverage)?));
        }
        insert(
            c,
            "INSERT INTO ledger (device, epoch, seq, hash, genesis, boots, quarantine, clone_suspected_us, batches) ",
            " ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,
              hash = excluded.hash, genesis = excluded.genesis, boots = excluded.boots,
              quarantine = excluded.quarantine, clone_suspected_us = excluded.clone_suspected_us,
              batches = excluded.batches",
            &ledgers,
            |mut b, (device, account, boots, _)| {
                let l = &account.ledger;
                b.push_bind(device.0.to_vec()).push_bind(i64::from(l.epoch.0)).push_bind(int(l.committed_seq.0));
                b.push_bind(l.committed_hash.0.to_vec()).push_bind(l.genesis.0.to_vec());
                b.push_bind(boots.as_slice()).push_bind(l.quarantine.map(|q| i64::from(q.code())));
                b.push_bind(account.clone_suspected.map(Timestamp::as_micros)).push_bind(int(account.batches));
            },
        )
        .await?;
        insert(
            c,
            "INSERT INTO coverage (device, records, runs) ",
            " ON CONFLICT (device) DO UPDATE SET records = excluded.records, runs = excluded.runs",
            &ledgers,
            |mut b, (device, account, _, runs)| {
                b.push_bind(device.0.to_vec()).push_bind(int(account.coverage.seen().count()));
                b.push_bind(runs.as_slice());
            },
        )
        .await?;
        let kept = limit::LEDGER_HASHES as u64;
        insert(
            c,
            "INSERT OR REPLACE INTO ledger_hash (device, slot, epoch, seq, hash) ",
            "",
            &std::mem::take(&mut self.hashes),
            |mut b, (device, epoch, seq, hash)| {
                b.push_bind(device.0.to_vec()).push_bind(int(seq.0 % kept)).push_bind(i64::from(epoch.0));
                b.push_bind(int(seq.0)).push_bind(hash.0.to_vec());
            },
        )
        .await?;
        insert(
            c,
            "INSERT OR IGNORE INTO gap (device, epoch, from_id, to_id, reason, position) ",
            "",
            &std::mem::take(&mut self.gaps),
            |mut b, (device, epoch, gap, position)| {
                b.push_bind(device.0.to_vec()).push_bind(i64::from(epoch.0)).push_bind(int(gap.run.from.0));
                b.push_bind(int(gap.run.to.0))
                    .push_bind(i64::from(gap.reason.code()))
                    .push_bind(int(*position));
            },
        )
        .await
    }
}

async fn load(c: &mut SqliteConnection, device: DeviceId) -> Result<Option<Account>, StoreError> {
    let row =
        query("SELECT l.*, c.runs FROM ledger l JOIN coverage c ON c.device = l.device WHERE l.device = ?")
            .bind(device.as_bytes())
            .fetch_optional(&mut *c)
            .await?;
    let Some(row) = row else { return Ok(None) };
    let epoch = Epoch(row.small("epoch")?);
    let quarantine = match row.maybe_int("quarantine")? {
        None => None,
        Some(code) => Some(
            u8::try_from(code)
                .ok()
                .and_then(QuarantineReason::from_code)
                .ok_or(StoreError::Value("quarantine"))?,
        ),
    };
    let boots = row.blob("boots")?.chunks_exact(16).filter_map(BootId::from_slice);
    let committed = (Seq(row.uint("seq")?), Hash(row.bytes("hash")?));
    let recent = hashes(c, device, epoch, HASHES_IN_MEMORY).await?;
    let ledger = DeviceLedger::begin(device, epoch, Hash(row.bytes("genesis")?))
        .restored(committed, recent, boots, quarantine);
    Ok(Some(Account {
        ledger,
        coverage: read_coverage(row.blob("runs")?)?,
        batches: row.uint("batches")?,
        clone_suspected: row.maybe_time("clone_suspected_us")?,
    }))
}

/// The newest `n` hashes of an epoch.
async fn hashes(
    c: &mut SqliteConnection,
    device: DeviceId,
    epoch: Epoch,
    n: usize,
) -> Result<Vec<(Seq, Hash)>, StoreError> {
    let rows =
        query("SELECT seq, hash FROM ledger_hash WHERE device = ? AND epoch = ? ORDER BY seq DESC LIMIT ?")
            .bind(device.as_bytes())
            .bind(i64::from(epoch.0))
            .bind(i64::try_from(n).unwrap_or(i64::MAX))
            .fetch_all(c)
            .await?;
    rows.iter().map(|row| Ok((Seq(row.uint("seq")?), Hash(row.bytes("hash")?)))).collect()
}

pub(super) fn read_coverage(bytes: &[u8]) -> Result<Coverage, StoreError> {
    Ok(codec::from_slice(bytes, COVERAGE_BYTES_MAX)?)
}
