//! A simulated collector: the product's verification, ledger, coverage and resume, around a disk
//! that is written in transactions, written after `tenken_collector`'s committer and router.
//!
//! Holds: jobs gather and are written as one transaction, all or nothing; answers are made after.
//! A crash loses what is in memory: the queue, and ledgers with their newest hashes.

use super::{
    Ask, Cx, Path, PlantedShell, Reply,
    clock::server_at,
    oracle::LogEntry,
    rows::Row,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use tenken_collector::{
    ingest::{
        PeerIdentity,
        resume::{MISSING_RUNS_MAX, verify_resume},
        verify::{Directory, Known, Refusal, verify},
    },
    store::model::DeviceStatus,
};
use tenken_collector_core::intake::{
    coverage::Coverage,
    ledger::{DeviceLedger, IngestDecision, QuarantineReason, accept},
};
use tenken_common::{
    ack::{Ack, Reject, RejectReason, ResumeReply, ResumeRequest, SignedTime},
    batch::Link,
    envelope::{Envelope, Payload, Verified},
    id::{BootId, DeviceId, Epoch, Hash, Nonce, Seq},
    key::{PublicKey, SecretKey},
    limit,
    renewal::{RenewReply, RenewRequest},
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// Hashes of a device that stay in memory.
const HASHES_IN_MEMORY: usize = 16;
/// What the word in a subject says that this collector can never store.
pub const POISON: &str = "poison";

/// What a transaction writes.
#[derive(Debug, Clone, Default)]
struct Stored {
    rows: BTreeMap<DeviceId, Rc<StoredLedger>>,
    log: usize,
}

/// A device's rows in the tables.
#[derive(Debug, Clone)]
struct StoredLedger {
    epoch: Epoch,
    seq: Seq,
    hash: Hash,
    genesis: Hash,
    boots: Vec<BootId>,
    quarantine: Option<QuarantineReason>,
    /// The newest by place, as in the table.
    hashes: BTreeMap<u64, (Seq, Hash)>,
    coverage: Coverage,
}

/// What waits for the next transaction.
struct Job {
    ask: Ask,
    received: Verified<ReceivedBatch>,
}

/// See the module's head.
pub struct Collector {
    ack_key: SecretKey,
    known: Vec<Known>,
    directory: Directory,
    /// Until when each device's certificate is good.
    certificates: BTreeMap<DeviceId, Timestamp>,
    certificate_life: Option<Duration>,
    stored: Stored,
    pub log: Vec<LogEntry>,
    backups: Vec<(Stored, Vec<LogEntry>)>,
    book: BTreeMap<DeviceId, DeviceLedger>,
    queue: Vec<Job>,
    up: bool,
    pub life: u32,
    full: bool,
}

/// An answer and whom it is for.
pub struct Answer {
    pub place: usize,
    pub life: u32,
    pub number: u64,
    pub reply: Reply,
}

impl Answer {
    fn to(ask: &Ask, reply: Reply) -> Self {
        Self { place: ask.place, life: ask.life, number: ask.number, reply }
    }
}

impl Collector {
    pub fn new(ack_key: SecretKey, certificate_life: Option<Duration>) -> Self {
        Self {
            ack_key,
            known: Vec::new(),
            directory: Directory::default(),
            certificates: BTreeMap::new(),
            certificate_life,
            stored: Stored::default(),
            log: Vec::new(),
            backups: Vec::new(),
            book: BTreeMap::new(),
            queue: Vec::new(),
            up: true,
            life: 0,
            full: false,
        }
    }

    pub fn enroll(&mut self, device: DeviceId, key: PublicKey, (epoch, genesis): (Epoch, Hash)) {
        self.known.push(Known { id: device, key, status: DeviceStatus::Approved });
        self.directory = Directory::new(self.known.iter().copied(), [], 0);
        let until = self.certificate_life.map_or(Timestamp::MAX, |life| server_at(0).plus(life));
        self.certificates.insert(device, until);
        let row = StoredLedger {
            epoch,
            seq: Seq(0),
            hash: genesis,
            genesis,
            boots: Vec::new(),
            quarantine: None,
            hashes: BTreeMap::new(),
            coverage: Coverage::default(),
        };
        self.stored.rows.insert(device, Rc::new(row));
    }

    pub fn ack_key(&self) -> PublicKey {
        self.ack_key.public()
    }

    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub fn crash(&mut self) {
        self.up = false;
        self.life += 1;
        self.queue.clear();
        self.book.clear();
    }

    pub fn start(&mut self) {
        self.up = true;
    }

    pub fn back_up(&mut self) {
        self.backups.push((self.stored.clone(), self.log.clone()));
    }

    /// The disk is put back to a backup; false where there is none.
    pub fn restore(&mut self, cx: &mut Cx<'_>) -> bool {
        self.crash();
        if self.backups.is_empty() {
            return false;
        }
        let at = cx.dice.index(self.backups.len());
        (self.stored, self.log) = self.backups[at].clone();
        cx.oracle.collector_restored(&self.log, &self.quarantined());
        true
    }

    pub fn quarantined(&self) -> BTreeSet<DeviceId> {
        let rows = self.stored.rows.iter();
        rows.filter(|(_, row)| row.quarantine.is_some()).map(|(device, _)| *device).collect()
    }

    /// A request arrives. Answers at once, or later with its transaction.
    pub fn take(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Option<Answer> {
        let later = |seconds| Reply::Bare { retry_after: Some(Duration::from_secs(seconds)) };
        if !self.up {
            return Some(Answer::to(ask, Reply::Bare { retry_after: None }));
        }
        match ask.path {
            Path::Batch => match verify(&ask.bytes, &self.directory, PeerIdentity::default()) {
                Ok(received) => {
                    if !self.lets_in(received.batch.device, cx.now) {
                        return Some(Answer::to(ask, Reply::Bare { retry_after: None }));
                    }
                    if self.queue.len() >= 512 {
                        return Some(Answer::to(ask, later(2)));
                    }
                    if let Some(reply) = self.poisoned(cx, ask, &received) {
                        return Some(Answer::to(ask, reply));
                    }
                    self.queue.push(Job { ask: ask.clone(), received });
                    None
                }
                Err(refusal) => Some(Answer::to(ask, self.refused(cx, refusal, ask.nonce))),
            },
            Path::Resume => Some(Answer::to(ask, self.resume(cx, ask))),
            Path::Time => {
                let time = SignedTime { server: server_at(cx.now), echo_nonce: ask.nonce };
                Some(Answer::to(ask, self.signed(&time)))
            }
            Path::Renew => Some(Answer::to(ask, self.renew(cx, ask))),
        }
    }

    /// What TLS says to a certificate.
    fn lets_in(&self, device: DeviceId, now: u64) -> bool {
        self.certificates.get(&device).is_some_and(|until| server_at(now) < *until)
    }

    fn poisoned(&self, cx: &mut Cx<'_>, ask: &Ask, received: &Verified<ReceivedBatch>) -> Option<Reply> {
        let poison = received
            .batch
            .records
            .iter()
            .any(|record| record.observation.subject.as_str().starts_with(POISON));
        if !poison {
            return None;
        }
        cx.rows.note(Row::Refused);
        let refusal =
            Refusal { reason: RejectReason::BadContent, link: Some(Box::new(Link::of(received))) };
        Some(self.refused(cx, refusal, ask.nonce))
    }

    pub fn has_jobs(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Answers that a broken collector gives before it has stored anything.
    pub fn answer_early(&mut self, cx: &Cx<'_>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for job in &self.queue {
            let link = Link::of(&job.received);
            let ledger = self.stored.rows.get(&link.device);
            if ledger.is_some_and(|l| l.seq.next() == link.seq && l.hash == link.prev) {
                let ack = self.ack(cx.now, &link, (link.seq, link.hash), (job.ask.nonce, None));
                answers.push(Answer::to(&job.ask, self.signed(&ack)));
            }
        }
        answers
    }

    /// The transaction of everything that waits; answers follow the commit.
    pub fn commit(&mut self, cx: &mut Cx<'_>) -> Vec<Answer> {
        let jobs = std::mem::take(&mut self.queue);
        if self.full {
            self.book.clear();
            let mut answers = Vec::new();
            for job in jobs {
                let link = Link::of(&job.received);
                let next = self.stored.rows.get(&link.device).is_some_and(|l| l.seq.next() == link.seq);
                let reply = if next && cx.shell_bug(PlantedShell::AckAfterFailedCommit) {
                    self.acknowledge(cx, &link, (link.seq, link.hash), (job.ask.nonce, None))
                } else {
                    Reply::Bare { retry_after: Some(Duration::from_secs(30)) }
                };
                answers.push(Answer::to(&job.ask, reply));
            }
            return answers;
        }
        let admitted: Vec<(Job, Row, Option<Seq>)> = jobs
            .into_iter()
            .filter_map(|job| {
                let (row, need) = self.admit(cx, &job.received)?;
                Some((job, row, need))
            })
            .collect();
        admitted.into_iter().map(|(job, row, need)| self.answer(cx, &job, row, need)).collect()
    }

    fn admit(&mut self, cx: &mut Cx<'_>, received: &Verified<ReceivedBatch>) -> Option<(Row, Option<Seq>)> {
        let link = Link::of(received);
        let row = self.stored.rows.get(&link.device)?;
        let book = self.book.entry(link.device).or_insert_with(|| row.ledger(link.device, HASHES_IN_MEMORY));
        if book.epoch == link.epoch && book.needs_recall(link.seq) {
            let forgotten = cx.shell_bug(PlantedShell::HashesForgotten);
            let hashes = row.hashes.values().copied().filter(|_| !forgotten);
            book.recall(hashes);
        }
        let old = link.seq.0 + limit::LEDGER_HASHES as u64 <= row.seq.0;
        let decision = accept(book, &link);
        let (said, need) = match &decision {
            IngestDecision::New { .. } => (Row::New, None),
            IngestDecision::Duplicate if old => (Row::DuplicateOld, None),
            IngestDecision::Duplicate => (Row::Duplicate, None),
            IngestDecision::Hole { need } => (Row::Hole, Some(*need)),
            IngestDecision::Fork(divergence) if divergence.seq == row.seq.next() => (Row::ForkPrev, None),
            IngestDecision::Fork(_) => (Row::ForkStored, None),
            IngestDecision::StaleEpoch { .. } => (Row::StaleEpoch, None),
            IngestDecision::EpochAhead { .. } => (Row::EpochAhead, None),
            IngestDecision::Quarantined(_) => (Row::Quarantined, None),
        };
        cx.rows.note(said);
        cx.oracle.decided(&link, said);
        cx.trace.say(cx.now, || format!("collector: seq {} of {}: {}", link.seq, link.device, said.as_str()));
        match decision {
            IngestDecision::New { next, clone_suspected } => {
                if clone_suspected {
                    cx.rows.note(Row::BootBack);
                    cx.oracle.clone_suspected(link.device);
                }
                self.store(cx, &link, received, *next);
            }
            IngestDecision::Fork(_) => {
                if let Some(row) = self.stored.rows.get_mut(&link.device) {
                    Rc::make_mut(row).quarantine = Some(QuarantineReason::Fork);
                }
                if let Some(book) = self.book.get_mut(&link.device) {
                    book.quarantine = Some(QuarantineReason::Fork);
                }
            }
            IngestDecision::Duplicate
            | IngestDecision::Hole { .. }
            | IngestDecision::StaleEpoch { .. }
            | IngestDecision::EpochAhead { .. }
            | IngestDecision::Quarantined(_) => {}
        }
        if let Some(book) = self.book.get_mut(&link.device) {
            book.trim(HASHES_IN_MEMORY);
        }
        Some((said, need))
    }

    fn store(&mut self, cx: &mut Cx<'_>, link: &Link, received: &ReceivedBatch, next: DeviceLedger) {
        let entry = LogEntry {
            link: *link,
            records: received.batch.records.clone(),
            gaps: received.batch.gaps.clone(),
        };
        self.log.push(entry);
        self.stored.log = self.log.len();
        if let Some(row) = self.stored.rows.get_mut(&link.device) {
            let row = Rc::make_mut(row);
            (row.epoch, row.seq, row.hash) = (next.epoch, next.committed_seq, next.committed_hash);
            row.boots = next.boots().copied().collect();
            row.quarantine = next.quarantine;
            row.hashes.insert(link.seq.0 % limit::LEDGER_HASHES as u64, (link.seq, link.hash));
            row.coverage.add(received);
        }
        self.book.insert(link.device, next);
        cx.oracle.committed(link);
    }

    fn answer(&self, cx: &mut Cx<'_>, job: &Job, row: Row, need: Option<Seq>) -> Answer {
        let link = Link::of(&job.received);
        let refuse = |reason| Refusal { reason, link: Some(Box::new(link)) };
        let reply = match row {
            Row::ForkStored | Row::ForkPrev => {
                self.refused(cx, refuse(RejectReason::Fork), job.ask.nonce)
            }
            Row::StaleEpoch => self.refused(cx, refuse(RejectReason::StaleEpoch), job.ask.nonce),
            Row::Quarantined => self.refused(cx, refuse(RejectReason::Quarantined), job.ask.nonce),
            Row::EpochAhead => Reply::Bare { retry_after: None },
            _ => {
                let head = self.stored.rows.get(&link.device).map_or((Seq(0), Hash::ZERO), |r| (r.seq, r.hash));
                self.acknowledge(cx, &link, head, (job.ask.nonce, need))
            }
        };
        Answer::to(&job.ask, reply)
    }

    fn ack(&self, now: u64, link: &Link, head: (Seq, Hash), (nonce, need): (Nonce, Option<Seq>)) -> Ack {
        Ack {
            device: link.device,
            epoch: link.epoch,
            acked_seq: head.0,
            hash: head.1,
            server: server_at(now),
            echo_nonce: nonce,
            position: self.log.len() as u64,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: need,
        }
    }

    fn acknowledge(
        &self,
        cx: &mut Cx<'_>,
        link: &Link,
        head: (Seq, Hash),
        said: (Nonce, Option<Seq>),
    ) -> Reply {
        let ack = self.ack(cx.now, link, head, said);
        cx.oracle.acknowledged(link.device, link.epoch, head.0, head.1);
        self.signed(&ack)
    }

    fn resume(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Reply {
        let request = match verify_resume(&ask.bytes, &self.directory, PeerIdentity::default()) {
            Ok(request) => request,
            Err(refusal) => return self.refused(cx, refusal, ask.nonce),
        };
        if !self.lets_in(request.device, cx.now) {
            return Reply::Bare { retry_after: None };
        }
        match self.resumed(&request, cx.now) {
            Ok(reply) => self.signed(&reply),
            Err(reason) => {
                cx.rows.note(match reason {
                    RejectReason::Quarantined => Row::ResumeQuarantined,
                    _ => Row::ResumeOtherEpoch,
                });
                self.refused(cx, Refusal::bare(reason), ask.nonce)
            }
        }
    }

    /// As `ingest::resume` answers from the tables.
    fn resumed(&self, request: &ResumeRequest, now: u64) -> Result<ResumeReply, RejectReason> {
        let row = self.stored.rows.get(&request.device).ok_or(RejectReason::Unenrolled)?;
        if row.quarantine.is_some() {
            return Err(RejectReason::Quarantined);
        }
        if request.epoch < row.epoch {
            return Err(RejectReason::StaleEpoch);
        }
        let mut missing = row.coverage.missing();
        missing.truncate(MISSING_RUNS_MAX);
        Ok(ResumeReply {
            device: request.device,
            epoch: row.epoch,
            committed_seq: row.seq,
            committed_hash: row.hash,
            missing,
            server: server_at(now),
            echo_nonce: request.nonce,
        })
    }

    fn renew(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Reply {
        let bare = Reply::Bare { retry_after: None };
        let Ok(envelope) = Envelope::from_bytes(&ask.bytes) else { return bare };
        let hint = envelope.key_hint();
        let asked = self.known.iter().filter(|known| Some(known.key.id()) == hint).find_map(|known| {
            let request = envelope.open::<RenewRequest>(&known.key).ok()?;
            (request.device == known.id).then_some(request)
        });
        let Some(request) = asked else { return bare };
        let challenge = Envelope::from_bytes(&request.challenge)
            .and_then(|envelope| envelope.open::<SignedTime>(&self.ack_key.public()));
        let now = server_at(cx.now);
        let fresh = challenge.is_ok_and(|time| now.saturating_since(time.server) <= limit::CHALLENGE_LIFE);
        let Some(life) = self.certificate_life.filter(|_| fresh) else { return bare };
        let until = now.plus(life);
        let newest = self.certificates.entry(request.device).or_insert(until);
        *newest = (*newest).max(until);
        self.signed(&RenewReply {
            device: request.device,
            certificates: vec![until.as_micros().to_be_bytes().to_vec().into()],
            server: now,
            echo_nonce: request.nonce,
        })
    }

    fn refused(&self, cx: &mut Cx<'_>, refusal: Refusal, nonce: Nonce) -> Reply {
        let Some(link) = refusal.link else { return Reply::Bare { retry_after: None } };
        cx.trace.say(cx.now, || format!("collector refuses seq {}: {}", link.seq, refusal.reason.as_str()));
        self.signed(&Reject {
            device: link.device,
            epoch: link.epoch,
            seq: link.seq,
            hash: link.hash,
            reason: refusal.reason.code(),
            server: server_at(cx.now),
            echo_nonce: nonce,
        })
    }

    fn signed<T: Payload>(&self, value: &T) -> Reply {
        let envelope = Envelope::seal(value, &self.ack_key).expect("an answer of plain fields always encodes");
        Reply::Bytes(envelope.to_bytes().into())
    }
}

impl StoredLedger {
    fn ledger(&self, device: DeviceId, keep: usize) -> DeviceLedger {
        let mut newest: Vec<(Seq, Hash)> = self.hashes.values().copied().collect();
        newest.sort_unstable();
        let from = newest.len().saturating_sub(keep);
        DeviceLedger::begin(device, self.epoch, self.genesis).restored(
            (self.seq, self.hash),
            newest[from..].iter().copied(),
            self.boots.iter().copied(),
            self.quarantine,
        )
    }
}
