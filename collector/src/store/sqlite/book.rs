//! The ledgers that are held in memory between transactions, and what the current transaction
//! changed in them.
//!
//! Holds: what is in memory equals the tables whenever no transaction is open. A transaction that
//! does not commit, or another process that writes, empties the book; ledgers are loaded again
//! when they are needed. Links that are held for their turn stand in no table.

use super::{
    append::insert,
    convert::{Columns, int},
    heads::HeadBook,
};
use crate::store::StoreError;
use sqlx::{SqliteConnection, query};
use std::collections::{BTreeMap, BTreeSet, btree_map};
use tenken_collector_core::{
    intake::{
        arrival::Arrival,
        coverage::Coverage,
        held::Held,
        ledger::{DeviceLedger, IngestDecision, QuarantineReason, accept},
    },
    invariant::{self, Invariant},
};
use tenken_common::{
    batch::{Gap, Link},
    codec,
    id::{BootId, DeviceId, Epoch, Hash, Seq},
    limit,
    time::Timestamp,
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
    /// Envelopes that came before their turn. They are in no table, and may be dropped at any time.
    pub(super) held: Held<Vec<u8>>,
    pub(super) heads: HeadBook,
    /// What was found broken since the last time somebody asked.
    violations: Vec<Invariant>,
}

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) ledger: DeviceLedger,
    pub(super) coverage: Coverage,
    pub(super) batches: u64,
    pub(super) clone_suspected: Option<Timestamp>,
    pub(super) evidence_bytes: u64,
}

impl Book {
    pub(super) fn enter(&mut self, position: u64) {
        if self.position.take() != Some(position) || self.accounts.len() > ACCOUNTS_MAX {
            let (held, violations) = (std::mem::take(&mut self.held), std::mem::take(&mut self.violations));
            *self = Self { held, violations, ..Self::default() };
        }
    }

    /// Whether the open transaction changes any account.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
            || !self.hashes.is_empty()
            || !self.gaps.is_empty()
            || self.heads.is_touched()
    }

    pub(super) fn leave(&mut self, position: u64) {
        self.position = Some(position);
    }

    /// The chain of a device that was enrolled just now.
    pub(super) fn begin_chain(&mut self, device: DeviceId, genesis: Hash) {
        let ledger = DeviceLedger::begin(device, Epoch(1), genesis);
        let coverage = Coverage::default();
        let account = Account { ledger, coverage, batches: 0, clone_suspected: None, evidence_bytes: 0 };
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

    /// Makes the stored hash of a seq known to the ledger, where it is kept.
    pub(super) async fn recall(
        &mut self,
        c: &mut SqliteConnection,
        (device, epoch, seq): (DeviceId, Epoch, Seq),
    ) -> Result<(), StoreError> {
        let account = self.accounts.get_mut(&device).ok_or(StoreError::NoLedger(device))?;
        if account.ledger.epoch == epoch && account.ledger.needs_recall(seq) {
            let all = hashes(c, device, epoch, limit::LEDGER_HASHES).await?;
            account.ledger.recall(all);
            self.touched.insert(device);
        }
        Ok(())
    }

    pub(super) fn account(&self, device: DeviceId) -> Result<&Account, StoreError> {
        self.accounts.get(&device).ok_or(StoreError::NoLedger(device))
    }

    pub(super) fn ledger(&self, device: DeviceId) -> Result<&DeviceLedger, StoreError> {
        self.account(device).map(|a| &a.ledger)
    }

    /// An account that this transaction changes; it must have been loaded.
    pub(super) fn change(&mut self, device: DeviceId) -> Result<&mut Account, StoreError> {
        self.touched.insert(device);
        self.accounts.get_mut(&device).ok_or(StoreError::NoLedger(device))
    }

    /// The collector was restored: holes may be its own, for the accounts in memory as well.
    pub(super) fn restored(&mut self) {
        for (device, account) in &mut self.accounts {
            account.ledger.restored = true;
            self.touched.insert(*device);
        }
    }

    /// Forgets who sent links beyond a hole again; for when somebody was put off.
    pub fn forgive_all(&mut self) {
        self.held.forgive_all();
    }

    /// The invariants that were found broken since the last call.
    pub fn take_violations(&mut self) -> Vec<Invariant> {
        std::mem::take(&mut self.violations)
    }

    pub(super) fn violated(&mut self, invariant: Invariant) {
        self.violations.push(invariant);
    }

    /// Checks that what is acknowledged after a commit is what the ledger then has (I3).
    pub fn check_acknowledged(&mut self, device: DeviceId, epoch: Epoch, acked: (Seq, Hash)) {
        // A link of another epoch is not acknowledged.
        let Some(ledger) = self.ledger(device).ok().filter(|ledger| ledger.epoch == epoch) else { return };
        if !invariant::only_durable_is_acknowledged(acked, ledger) {
            self.violated(Invariant::I3);
        }
    }

    /// Checks a decision before it has its consequences (I4, I5).
    pub(super) fn check_decision(&mut self, link: &Link, decision: &IngestDecision) {
        let Some(before) = self.accounts.get(&link.device).map(|a| &a.ledger) else { return };
        let after = match decision {
            IngestDecision::New { next, .. } => next,
            IngestDecision::Duplicate
            | IngestDecision::Hole { .. }
            | IngestDecision::Fork(_)
            | IngestDecision::StaleEpoch { .. }
            | IngestDecision::EpochAhead { .. }
            | IngestDecision::Quarantined(_) => before,
        };
        self.violations.extend(invariant::violated(before, link, decision, after));
    }

    /// Notes hashes and gaps that are written with the accounts.
    pub(super) fn note_hash(&mut self, device: DeviceId, epoch: Epoch, seq: Seq, hash: Hash) {
        self.hashes.push((device, epoch, seq, hash));
    }

    pub(super) fn note_gap(&mut self, device: DeviceId, epoch: Epoch, gap: Gap, position: u64) {
        self.gaps.push((device, epoch, gap, position));
    }

    /// Takes in an entry of the log, which was found to continue its chain before.
    pub(super) fn replay(
        &mut self,
        position: u64,
        at: Timestamp,
        link: &Link,
        arrival: &Arrival,
    ) -> Result<(), StoreError> {
        match accept(self.ledger(link.device)?, link) {
            IngestDecision::New { next, clone_suspected } => {
                self.enter_link(position, at, arrival, (*next, clone_suspected))
            }
            IngestDecision::Duplicate
            | IngestDecision::Hole { .. }
            | IngestDecision::Fork(_)
            | IngestDecision::StaleEpoch { .. }
            | IngestDecision::EpochAhead { .. }
            | IngestDecision::Quarantined(_) => Err(StoreError::BrokenChain(link.device)),
        }
    }

    pub(super) fn enter_link(
        &mut self,
        position: u64,
        at: Timestamp,
        arrival: &Arrival,
        (next, clone_suspected): (DeviceLedger, bool),
    ) -> Result<(), StoreError> {
        let (device, epoch) = (next.device, next.epoch);
        self.note_hash(device, epoch, next.committed_seq, next.committed_hash);
        self.gaps.extend(arrival.gaps().into_iter().map(|gap| (device, epoch, gap, position)));
        let account = self.change(device)?;
        account.ledger = next;
        account.ledger.trim(HASHES_IN_MEMORY);
        let before = account.coverage.clone();
        account.coverage.add(arrival);
        account.batches += 1;
        if clone_suspected && account.clone_suspected.is_none() {
            account.clone_suspected = Some(at);
        }
        if !invariant::nothing_is_lost(&before, arrival, &account.coverage) {
            self.violated(Invariant::I1);
        }
        Ok(())
    }

    /// Begins the next epoch of a device; answers the account of the one that ended.
    pub(super) fn begin_epoch(
        &mut self,
        device: DeviceId,
        epoch: Epoch,
        genesis: Hash,
    ) -> Result<Account, StoreError> {
        self.held.drop_device(device);
        let account = self.change(device)?;
        let next = Account {
            ledger: account.ledger.rejoined(epoch, genesis),
            coverage: Coverage::default(),
            clone_suspected: None,
            ..*account
        };
        Ok(std::mem::replace(account, next))
    }

    /// Writes what this transaction changed.
    pub(super) async fn flush(&mut self, c: &mut SqliteConnection) -> Result<(), StoreError> {
        self.heads.flush(c).await?;
        let mut ledgers = Vec::with_capacity(self.touched.len());
        for device in std::mem::take(&mut self.touched) {
            let Some(account) = self.accounts.get_mut(&device) else { continue };
            account.ledger.trim(HASHES_IN_MEMORY);
            let boots: Vec<u8> = account.ledger.boots().flat_map(|b| b.0).collect();
            ledgers.push((device, account.clone(), boots, codec::to_vec(&account.coverage)?));
        }
        insert(
            c,
            "INSERT INTO ledger (device, epoch, seq, hash, genesis, boots, quarantine, clone_suspected_us, batches,
                                 restored, evidence_bytes) ",
            " ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,
              hash = excluded.hash, genesis = excluded.genesis, boots = excluded.boots,
              quarantine = excluded.quarantine, clone_suspected_us = excluded.clone_suspected_us,
              batches = excluded.batches, restored = excluded.restored,
              evidence_bytes = excluded.evidence_bytes",
            &ledgers,
            |mut b, (device, account, boots, _)| {
                let l = &account.ledger;
                b.push_bind(device.0.to_vec()).push_bind(i64::from(l.epoch.0)).push_bind(int(l.committed_seq.0));
                b.push_bind(l.committed_hash.0.to_vec()).push_bind(l.genesis.0.to_vec());
                b.push_bind(boots.as_slice()).push_bind(l.quarantine.map(|q| i64::from(q.code())));
                b.push_bind(account.clone_suspected.map(Timestamp::as_micros)).push_bind(int(account.batches));
                b.push_bind(l.restored).push_bind(int(account.evidence_bytes));
            },
        )
        .await?;
        let coverage: Vec<CoverageRow> = ledgers
            .into_iter()
            .map(|(device, account, _, runs)| CoverageRow {
                device,
                epoch: account.ledger.epoch,
                records: account.coverage.seen().count(),
                runs,
            })
            .collect();
        write_coverage(c, &coverage).await?;
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

/// A device's coverage of one epoch, encoded.
pub(super) struct CoverageRow {
    device: DeviceId,
    epoch: Epoch,
    records: u64,
    runs: Vec<u8>,
}

impl CoverageRow {
    pub(super) fn of(account: &Account) -> Result<Self, StoreError> {
        let (device, epoch) = (account.ledger.device, account.ledger.epoch);
        let (records, runs) = (account.coverage.seen().count(), codec::to_vec(&account.coverage)?);
        Ok(Self { device, epoch, records, runs })
    }
}

pub(super) async fn write_coverage(c: &mut SqliteConnection, rows: &[CoverageRow]) -> Result<(), StoreError> {
    insert(
        c,
        "INSERT INTO coverage (device, epoch, records, runs) ",
        " ON CONFLICT (device, epoch) DO UPDATE SET records = excluded.records, runs = excluded.runs",
        rows,
        |mut b, row| {
            b.push_bind(row.device.0.to_vec()).push_bind(i64::from(row.epoch.0));
            b.push_bind(int(row.records)).push_bind(row.runs.as_slice());
        },
    )
    .await
}

async fn load(c: &mut SqliteConnection, device: DeviceId) -> Result<Option<Account>, StoreError> {
    let row =
        query("SELECT l.*, c.runs FROM ledger l JOIN coverage c ON c.device = l.device AND c.epoch = l.epoch WHERE l.device = ?")
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
    let closed = query("SELECT epoch, seq FROM closed_epoch WHERE device = ?")
        .bind(device.as_bytes())
        .fetch_all(&mut *c)
        .await?;
    let closed = closed.iter().map(|r| Ok((Epoch(r.small("epoch")?), Seq(r.uint("seq")?))));
    let closed = closed.collect::<Result<Vec<_>, StoreError>>()?;
    let mut ledger = DeviceLedger::begin(device, epoch, Hash(row.bytes("genesis")?))
        .loaded(committed, recent, boots, closed);
    ledger.quarantine = quarantine;
    ledger.restored = row.int("restored")? != 0;
    Ok(Some(Account {
        ledger,
        coverage: read_coverage(row.blob("runs")?)?,
        batches: row.uint("batches")?,
        clone_suspected: row.maybe_time("clone_suspected_us")?,
        evidence_bytes: row.uint("evidence_bytes")?,
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
