//! Judging what a device sends within a transaction: links, and the question where it stands.
//!
//! Holds: what the ledger decides becomes entries of the stream here, and nothing else does. Of a
//! device in quarantine only evidence is kept, each body once and bounded.

use super::append::{Tx, stored_arrival};
use crate::store::StoreError;
use sqlx::query_scalar;
use tenken_collector_core::{
    intake::{
        arrival::Arrival,
        held::Holding,
        ledger::{DeviceLedger, IngestDecision, QuarantineReason, accept},
        resume::{Move, ResumeDecision, Standing, resume},
    },
    stream::{CollectorLost, Entry},
};
use tenken_common::{
    ack::{Ack, ResumeRequest},
    batch::{Link, RecRun},
    enrollment::HostFacts,
    envelope::{Envelope, Verified},
    id::{DeviceId, Epoch, Hash, Seq},
    limit,
};

/// What became of a link, and how far its device's chain is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub verdict: Verdict,
    pub committed_seq: Seq,
    pub committed_hash: Hash,
    /// The stream's last position.
    pub position: u64,
    /// Of all that the device's hospital has at that position.
    pub root: Hash,
    /// The links that were stored: this one, then held ones whose turn came.
    pub stored: Vec<StoredLink>,
}

/// The size of a link that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLink {
    pub records: usize,
    pub bytes: usize,
}

/// [`IngestDecision`] without the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    New {
        clone_suspected: bool,
    },
    Duplicate,
    Hole {
        need: Seq,
    },
    Fork,
    StaleEpoch {
        clone_suspected: bool,
    },
    EpochAhead,
    Quarantined,
    /// The device asks once too often for what lies beyond a hole: it is in quarantine from now on.
    Unexplained,
}

/// Where a device stands that asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    pub standing: Standing,
    pub epoch: Epoch,
    pub committed_seq: Seq,
    pub committed_hash: Hash,
    /// Runs that are neither stored nor declared missing, and what comes after the last.
    pub missing: Vec<RecRun>,
    /// Links that the collector lost, as the device's acknowledgement proved just now.
    pub lost: u64,
    pub facts_changed: bool,
}

impl Tx<'_> {
    /// Judges a verified link and, where it is the next of its chain, appends it, with the held
    /// ones that follow. A fork's envelope is appended as evidence and puts the device in
    /// quarantine.
    pub async fn admit(
        &mut self,
        link: &Link,
        arrival: &Arrival,
        envelope: Vec<u8>,
    ) -> Result<Admission, StoreError> {
        let device = link.device;
        self.book.load(&mut self.inner, device).await?;
        self.book.recall(&mut self.inner, (device, link.epoch, link.seq)).await?;
        let decision = accept(self.book.ledger(device)?, link);
        self.book.check_decision(link, &decision);
        let decision = decision.unless_repeated(&self.book.account(device)?.coverage, link, arrival);
        let mut stored = Vec::new();
        let verdict = match decision {
            IngestDecision::New { next, clone_suspected } => {
                stored.push(self.store_link(arrival, envelope, (*next, clone_suspected)).await?);
                self.store_held(device, &mut stored).await?;
                Verdict::New { clone_suspected }
            }
            IngestDecision::Fork(_) => {
                self.journal(Entry::Fork { device, bytes: envelope }).await?;
                Verdict::Fork
            }
            IngestDecision::Duplicate => Verdict::Duplicate,
            IngestDecision::Hole { need } => self.hold(link, envelope, need).await?,
            IngestDecision::StaleEpoch { clone_suspected, .. } => {
                if clone_suspected && self.book.account(device)?.clone_suspected.is_none() {
                    self.journal(Entry::CloneSuspected { device, bytes: envelope }).await?;
                }
                Verdict::StaleEpoch { clone_suspected }
            }
            IngestDecision::EpochAhead { .. } => Verdict::EpochAhead,
            IngestDecision::Quarantined(_) => {
                self.keep_evidence(link, envelope).await?;
                Verdict::Quarantined
            }
        };
        let ledger = self.book.ledger(device)?;
        let (committed_seq, committed_hash) = (ledger.committed_seq, ledger.committed_hash);
        let root = self.root_of(device).await?;
        Ok(Admission { verdict, committed_seq, committed_hash, position: self.position(), root, stored })
    }

    async fn store_link(
        &mut self,
        arrival: &Arrival,
        envelope: Vec<u8>,
        (next, clone_suspected): (DeviceLedger, bool),
    ) -> Result<StoredLink, StoreError> {
        let (at, size) = (self.now(), StoredLink { records: arrival.records(), bytes: envelope.len() });
        let position = self.push_envelope(next.device, envelope).await?;
        self.book.enter_link(position, at, arrival, (next, clone_suspected))?;
        Ok(size)
    }

    /// Stores the held links whose turn has come. One of another chain is a fork now.
    async fn store_held(&mut self, device: DeviceId, stored: &mut Vec<StoredLink>) -> Result<(), StoreError> {
        loop {
            let ledger = self.book.ledger(device)?.clone();
            let Some((decision, link, bytes)) = self.book.held.follow(&ledger) else { return Ok(()) };
            self.book.check_decision(&link, &decision);
            let arrival = stored_arrival(&bytes)?.1;
            match decision.unless_repeated(&self.book.account(device)?.coverage, &link, &arrival) {
                IngestDecision::New { next, clone_suspected } => {
                    stored.push(self.store_link(&arrival, bytes, (*next, clone_suspected)).await?);
                }
                IngestDecision::Fork(_) => {
                    self.journal(Entry::Fork { device, bytes }).await?;
                    return Ok(());
                }
                IngestDecision::Duplicate
                | IngestDecision::Hole { .. }
                | IngestDecision::StaleEpoch { .. }
                | IngestDecision::EpochAhead { .. }
                | IngestDecision::Quarantined(_) => return Ok(()),
            }
        }
    }

    async fn hold(&mut self, link: &Link, envelope: Vec<u8>, need: Seq) -> Result<Verdict, StoreError> {
        let ledger = self.book.ledger(link.device)?.clone();
        let bytes = envelope.len();
        // A copy for the one case in which it is evidence instead.
        let evidence = envelope.clone();
        match self.book.held.hold(&ledger, link, envelope, bytes) {
            Holding::Held | Holding::Dropped | Holding::Again { .. } => Ok(Verdict::Hole { need }),
            Holding::Unexplained => {
                let reason = QuarantineReason::Hole.code();
                self.journal(Entry::Quarantined { device: link.device, reason }).await?;
                self.keep_evidence(link, evidence).await?;
                Ok(Verdict::Unexplained)
            }
        }
    }

    /// Keeps what a device in quarantine sends: each body once, none that is in the log, and no
    /// more than the cap.
    async fn keep_evidence(&mut self, link: &Link, envelope: Vec<u8>) -> Result<(), StoreError> {
        let account = self.book.account(link.device)?;
        let in_log =
            account.ledger.epoch == link.epoch && account.ledger.hash_at(link.seq) == Some(link.hash);
        let size = account.evidence_bytes.saturating_add(envelope.len() as u64);
        if in_log || size > limit::EVIDENCE_BYTES_MAX {
            return Ok(());
        }
        let hash = body_hash(&envelope)?;
        let known: i64 = query_scalar("SELECT count(*) FROM evidence WHERE device = ? AND hash = ?")
            .bind(link.device.as_bytes())
            .bind(hash.as_bytes())
            .fetch_one(&mut *self.inner)
            .await?;
        if known == 0 {
            self.journal(Entry::Fork { device: link.device, bytes: envelope }).await?;
        }
        Ok(())
    }

    /// Answers a resume, and moves the chain to what the collector acknowledged and lost. `None`
    /// for a device without a chain.
    pub async fn resume(
        &mut self,
        request: &ResumeRequest,
        proof: Option<&Verified<Ack>>,
    ) -> Result<Option<Resumed>, StoreError> {
        let device = request.device;
        match self.book.load(&mut self.inner, device).await {
            Err(StoreError::NoLedger(_)) => return Ok(None),
            other => other?,
        }
        self.book.recall(&mut self.inner, (device, request.epoch, request.last_seq)).await?;
        self.book.held.forgive(device, request.last_seq);
        let ResumeDecision { standing, moved } = resume(self.book.ledger(device)?, request, proof);
        let lost = match moved {
            Some(moved) => self.note_lost(request, &moved).await?,
            None => 0,
        };
        let facts_changed = self.note_facts(device, &request.facts, standing).await?;
        let account = self.book.account(device)?;
        Ok(Some(Resumed {
            standing,
            epoch: account.ledger.epoch,
            committed_seq: account.ledger.committed_seq,
            committed_hash: account.ledger.committed_hash,
            missing: account.coverage.asked(),
            lost,
            facts_changed,
        }))
    }

    async fn note_lost(&mut self, request: &ResumeRequest, moved: &Move) -> Result<u64, StoreError> {
        let lost = CollectorLost {
            device: request.device,
            epoch: moved.next.epoch,
            from: moved.from,
            to: moved.to,
            hash: moved.next.committed_hash,
            ack: request.newest_ack.as_ref().map(|ack| ack.to_vec()).unwrap_or_default(),
        };
        self.journal(Entry::CollectorLost(lost)).await?;
        Ok(moved.to.0.saturating_sub(moved.from.0).saturating_add(1))
    }

    /// Notes once that a device says it runs on another host. Updates of the agent are no change.
    async fn note_facts(
        &mut self,
        device: DeviceId,
        facts: &HostFacts,
        standing: Standing,
    ) -> Result<bool, StoreError> {
        if matches!(standing, Standing::StaleEpoch { .. } | Standing::Quarantined(_)) {
            return Ok(false);
        }
        let Some(row) = self.device(device).await? else { return Ok(false) };
        let host = |f: &HostFacts| (f.os.clone(), f.arch.clone(), f.machine);
        let changed = host(&row.facts) != host(facts);
        if changed {
            self.journal(Entry::FactsChanged { device, facts: facts.clone() }).await?;
        }
        Ok(changed)
    }
}

/// Hash of the signed body in an envelope.
pub(super) fn body_hash(envelope: &[u8]) -> Result<Hash, StoreError> {
    let envelope = Envelope::from_bytes(envelope).map_err(|_| StoreError::Value("envelope"))?;
    Ok(Hash::of(envelope.body()))
}
