//! Consequences of the entries about a device's identity: forks and quarantine, a clone, other
//! host facts, the end of an epoch and the beginning of the next.
//!
//! Holds: what an ended epoch stored stays stored and counted; its end is written down with the
//! key that it ended, so that a link of it is recognised later, and never taken.

use super::{
    admit::body_hash,
    append::Tx,
    book::{CoverageRow, write_coverage},
    convert::{Columns, int},
};
use crate::store::StoreError;
use sqlx::{query, query_scalar};
use std::collections::BTreeMap;
use tenken_collector_core::{
    evaluation::Identity,
    intake::ledger::QuarantineReason,
    stream::{CollectorLost, Rejoined},
};
use tenken_common::{
    batch::{Gap, GapReason, RecRun},
    codec,
    enrollment::HostFacts,
    id::{DeviceId, Epoch, Hash, RecId, Seq},
    key::PublicKey,
    statement::RejoinApproval,
    time::Timestamp,
};

/// Where a device's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    pub epoch: Epoch,
    pub seq: Seq,
    pub hash: Hash,
    /// The highest record id that is stored or declared missing.
    pub top_record: RecId,
}

impl Tx<'_> {
    /// Where a device's chain stands now.
    pub async fn chain(&mut self, device: DeviceId) -> Result<Chain, StoreError> {
        self.book.load(&mut self.inner, device).await?;
        let account = self.book.account(device)?;
        let ledger = &account.ledger;
        let (seq, hash) = (ledger.committed_seq, ledger.committed_hash);
        Ok(Chain { epoch: ledger.epoch, seq, hash, top_record: account.coverage.top() })
    }

    /// Whether the hospital approved that this key begins this epoch.
    pub async fn rejoin_approved(
        &mut self,
        device: DeviceId,
        epoch: Epoch,
        fingerprint: Hash,
    ) -> Result<bool, StoreError> {
        let n: i64 = query_scalar(
            "SELECT count(*) FROM rejoin_approval WHERE device = ? AND epoch = ? AND fingerprint = ?",
        )
        .bind(device.as_bytes())
        .bind(i64::from(epoch.0))
        .bind(fingerprint.as_bytes())
        .fetch_one(&mut *self.inner)
        .await?;
        Ok(n > 0)
    }

    /// Evidence; the first puts the device in quarantine.
    pub(super) async fn apply_fork(
        &mut self,
        position: u64,
        at: Timestamp,
        (device, bytes): (DeviceId, &[u8]),
    ) -> Result<(), StoreError> {
        self.book.load(&mut self.inner, device).await?;
        if self.book.ledger(device)?.quarantine.is_none() {
            self.quarantine(at, device, QuarantineReason::Fork).await?;
        }
        self.book.change(device)?.evidence_bytes += bytes.len() as u64;
        query("INSERT INTO evidence (position, device, found_us, hash) VALUES (?, ?, ?, ?)")
            .bind(int(position))
            .bind(device.as_bytes())
            .bind(at.as_micros())
            .bind(body_hash(bytes)?.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(super) async fn apply_quarantined(
        &mut self,
        at: Timestamp,
        device: DeviceId,
        reason: u8,
    ) -> Result<(), StoreError> {
        let reason = QuarantineReason::from_code(reason).ok_or(StoreError::Value("quarantine"))?;
        self.book.load(&mut self.inner, device).await?;
        self.quarantine(at, device, reason).await
    }

    async fn quarantine(
        &mut self,
        at: Timestamp,
        device: DeviceId,
        reason: QuarantineReason,
    ) -> Result<(), StoreError> {
        self.book.held.drop_device(device);
        self.book.change(device)?.ledger.quarantine = Some(reason);
        query("INSERT OR IGNORE INTO quarantine (device, from_us, reason) VALUES (?, ?, ?)")
            .bind(device.as_bytes())
            .bind(at.as_micros())
            .bind(i64::from(reason.code()))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(super) async fn apply_clone(&mut self, at: Timestamp, device: DeviceId) -> Result<(), StoreError> {
        self.book.load(&mut self.inner, device).await?;
        self.book.change(device)?.clone_suspected.get_or_insert(at);
        Ok(())
    }

    pub(super) async fn apply_collector_lost(
        &mut self,
        position: u64,
        at: Timestamp,
        lost: &CollectorLost,
    ) -> Result<(), StoreError> {
        let device = lost.device;
        self.book.load(&mut self.inner, device).await?;
        self.book.note_hash(device, lost.epoch, lost.to, lost.hash);
        let account = self.book.change(device)?;
        account.ledger = account.ledger.moved_to(lost.to, lost.hash);
        query(
            "INSERT INTO collector_lost (position, device, epoch, from_seq, to_seq, found_us)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(int(position))
        .bind(device.as_bytes())
        .bind(i64::from(lost.epoch.0))
        .bind(int(lost.from.0))
        .bind(int(lost.to.0))
        .bind(at.as_micros())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    pub(super) async fn apply_facts(
        &mut self,
        at: Timestamp,
        device: DeviceId,
        facts: &HostFacts,
    ) -> Result<(), StoreError> {
        query("UPDATE device SET facts = ?, facts_changed_us = ? WHERE id = ?")
            .bind(codec::to_vec(facts)?)
            .bind(at.as_micros())
            .bind(device.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(super) async fn apply_restored(&mut self) -> Result<(), StoreError> {
        self.book.restored();
        query("UPDATE ledger SET restored = 1").execute(&mut *self.inner).await?;
        Ok(())
    }

    pub(super) async fn apply_rejoin_approval(
        &mut self,
        at: Timestamp,
        approval: &RejoinApproval,
    ) -> Result<(), StoreError> {
        query("INSERT OR IGNORE INTO rejoin_approval (device, epoch, fingerprint, filed_us) VALUES (?, ?, ?, ?)")
            .bind(approval.device.as_bytes())
            .bind(i64::from(approval.epoch.0))
            .bind(approval.fingerprint.as_bytes())
            .bind(at.as_micros())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    pub(super) async fn apply_rejoined(
        &mut self,
        position: u64,
        at: Timestamp,
        r: &Rejoined,
    ) -> Result<(), StoreError> {
        let device = r.device;
        self.book.load(&mut self.inner, device).await?;
        let ended = self.book.begin_epoch(device, r.epoch, r.genesis)?;
        write_coverage(&mut self.inner, &[CoverageRow::of(&ended)?]).await?;
        let (ledger, top) = (&ended.ledger, ended.coverage.top());
        let tail = Gap { run: RecRun::one(top.next()), reason: GapReason::Unknown };
        self.book.note_gap(device, ledger.epoch, tail, position);
        query(
            "INSERT INTO closed_epoch (device, epoch, key, seq, hash, top_record, closed_us, clone_suspected_us)
             SELECT id, ?, key, ?, ?, ?, ?, ? FROM device WHERE id = ?",
        )
        .bind(i64::from(ledger.epoch.0))
        .bind(int(ledger.committed_seq.0))
        .bind(ledger.committed_hash.as_bytes())
        .bind(int(top.0))
        .bind(at.as_micros())
        .bind(ended.clone_suspected.map(Timestamp::as_micros))
        .bind(device.as_bytes())
        .execute(&mut *self.inner)
        .await?;
        query("UPDATE quarantine SET to_us = ? WHERE device = ? AND to_us IS NULL")
            .bind(at.as_micros())
            .bind(device.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        self.give_new_key(at, r).await
    }

    /// The row of the device; one that redeemed a slot is to be approved again.
    async fn give_new_key(&mut self, at: Timestamp, r: &Rejoined) -> Result<(), StoreError> {
        let key = <[u8; 32]>::try_from(r.device_key.as_slice()).map_err(|_| StoreError::Value("key"))?;
        let key = PublicKey::from_bytes(&key).map_err(|_| StoreError::Value("key"))?;
        query("UPDATE device SET key = ?, key_id = ?, facts = ?, facts_changed_us = NULL WHERE id = ?")
            .bind(r.device_key.as_slice())
            .bind(key.id().as_bytes())
            .bind(codec::to_vec(&r.facts)?)
            .bind(r.device.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        let Some(slot) = r.slot else {
            query("UPDATE device SET rejoined = ? WHERE id = ?")
                .bind(r.document.as_slice())
                .bind(r.device.as_bytes())
                .execute(&mut *self.inner)
                .await?;
            return Ok(());
        };
        query(
            "UPDATE device SET slot = ?1, granted = ?2, rejoined = NULL, approved_us = NULL,
                    label = (SELECT label FROM slot s WHERE s.id = ?1), grp = (SELECT grp FROM slot s WHERE s.id = ?1)
             WHERE id = ?3",
        )
        .bind(slot.as_bytes())
        .bind(r.document.as_slice())
        .bind(r.device.as_bytes())
        .execute(&mut *self.inner)
        .await?;
        query("UPDATE slot SET device = ?, redeemed_us = ? WHERE id = ?")
            .bind(r.device.as_bytes())
            .bind(at.as_micros())
            .bind(slot.as_bytes())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}

impl super::Store {
    /// What was known of each device's identity at an instant; nothing where it was sure.
    pub async fn identities(&self, as_of: Timestamp) -> Result<BTreeMap<DeviceId, Identity>, StoreError> {
        let mut identities: BTreeMap<DeviceId, Identity> = BTreeMap::new();
        let rows = query(
            "SELECT device, from_us AS at_us, reason FROM quarantine
             WHERE from_us <= ?1 AND (to_us IS NULL OR to_us > ?1)
             UNION ALL
             SELECT device, clone_suspected_us AS at_us, 0 FROM closed_epoch
             WHERE clone_suspected_us <= ?1 AND closed_us > ?1
             UNION ALL
             SELECT device, clone_suspected_us AS at_us, 0 FROM ledger WHERE clone_suspected_us <= ?1",
        )
        .bind(as_of.as_micros())
        .fetch_all(self.reader())
        .await?;
        for r in &rows {
            let identity = identities.entry(DeviceId(r.bytes("device")?)).or_default();
            let (at, reason): (Timestamp, u8) = (r.time("at_us")?, r.small("reason")?);
            match reason {
                0 => identity.clone_suspected = Some(at),
                code => {
                    let reason = QuarantineReason::from_code(code).ok_or(StoreError::Value("quarantine"))?;
                    identity.quarantined = Some((at, reason));
                }
            }
        }
        Ok(identities)
    }

    /// The keys of closed epochs, each with the last epoch that it speaks for.
    pub async fn retired_keys(&self) -> Result<Vec<(DeviceId, PublicKey, Epoch)>, StoreError> {
        let rows = query("SELECT device, key, epoch FROM closed_epoch ORDER BY device, epoch")
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|r| Ok((DeviceId(r.bytes("device")?), r.public_key("key")?, Epoch(r.small("epoch")?))))
            .collect()
    }
}
