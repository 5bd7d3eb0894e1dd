//! A simulated collector: the product's verification, ledger, held links, coverage and resume, around
//! a disk that is written in transactions, written after `tenken_collector`'s committer and router.
//!
//! Holds: jobs gather and are written as one transaction, all or nothing; answers are made after.
//! A crash loses what is in memory: the queue, held links, and ledgers with their newest hashes.

use super::{
    Ask, Bug, Cx, Path, Reply,
    clock::server_at,
    oracle::LogEntry,
    rows::Row,
    tables::{Stored, StoredLedger},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use tenken_collector::{
    ingest::{
        PeerIdentity,
        challenge::fresh_challenge,
        resume::{MISSING_RUNS_MAX, verify_resume},
        verify::{Directory, Known, Refusal, verify},
    },
    store::model::DeviceStatus,
};
use tenken_collector_core::{
    intake::{
        arrival::Arrival,
        held::{Held, Holding},
        ledger::{DeviceLedger, IngestDecision, QuarantineReason, accept_with},
        planted::Planted,
        resume::{Standing, resume_with},
    },
    invariant,
};
use tenken_common::{
    ack::{Ack, Reject, RejectReason, ResumeReply, ResumeRequest, SignedTime},
    batch::{Gap, GapReason, Link, RecRun},
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, Nonce, Seq},
    key::{PublicKey, SecretKey},
    limit,
    renewal::{RejoinGrant, RejoinRequest, RenewReply, RenewRequest},
    time::Timestamp,
};

mod admit;
mod epoch;

/// Hashes of a device that stay in memory.
const HASHES_IN_MEMORY: usize = 16;
/// What stands in the subject of an observation that this collector can never read.
pub const POISON: &str = "poison";

/// What waits for the next transaction.
struct Job {
    ask: Ask,
    link: Link,
    arrival: Arrival,
}

/// What a link's judgement is answered by.
struct Verdict {
    row: Row,
    need: Option<Seq>,
}

/// See the module's head.
pub struct Collector {
    ack_key: SecretKey,
    directory: Directory,
    /// Until when each device's certificate is good.
    certificates: BTreeMap<DeviceId, Timestamp>,
    certificate_life: Option<Duration>,
    stored: Stored,
    pub log: Vec<LogEntry>,
    backups: Vec<(Stored, Vec<LogEntry>)>,
    book: BTreeMap<DeviceId, DeviceLedger>,
    held: Held<Arrival>,
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

const BARE: Reply = Reply::Bare { retry_after: None };

impl Collector {
    pub fn new(ack_key: SecretKey, certificate_life: Option<Duration>) -> Self {
        Self {
            ack_key,
            directory: Directory::default(),
            certificates: BTreeMap::new(),
            certificate_life,
            stored: Stored::default(),
            log: Vec::new(),
            backups: Vec::new(),
            book: BTreeMap::new(),
            held: Held::default(),
            queue: Vec::new(),
            up: true,
            life: 0,
            full: false,
        }
    }

    pub fn ack_key(&self) -> PublicKey {
        self.ack_key.public()
    }

    pub fn enroll(&mut self, device: DeviceId, key: PublicKey, (epoch, genesis): (Epoch, Hash)) {
        let until = self.certificate_life.map_or(Timestamp::MAX, |life| server_at(0).plus(life));
        self.certificates.insert(device, until);
        self.stored.rows.insert(device, Rc::new(StoredLedger::begin(key, epoch, genesis)));
        self.refresh();
    }

    /// The directory follows the tables.
    fn refresh(&mut self) {
        let mut known = Vec::new();
        for (device, row) in &self.stored.rows {
            let status = DeviceStatus::Approved;
            known.push(Known { id: *device, key: row.key, status, retired: None });
            let retired = row.retired.iter();
            known.extend(retired.map(|(key, e)| Known { id: *device, key: *key, status, retired: Some(*e) }));
        }
        let certificates = self.stored.rows.keys().map(|device| (Hash::of(&device.0), *device));
        self.directory = Directory::new(known, certificates, 0);
    }

    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub fn crash(&mut self) {
        self.up = false;
        self.life += 1;
        self.queue.clear();
        self.book.clear();
        self.held = Held::default();
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
        for row in self.stored.rows.values_mut() {
            Rc::make_mut(row).restored = true;
        }
        self.refresh();
        cx.oracle.collector_restored(&self.log, self.stored.rows.iter().map(|(d, row)| (*d, row.standing())));
        true
    }

    /// The hospital's word for a key that begins a device's next epoch is filed.
    pub fn approve(&mut self, device: DeviceId, epoch: Epoch, fingerprint: Hash) {
        if let Some(row) = self.stored.rows.get_mut(&device) {
            Rc::make_mut(row).approved = Some((epoch, fingerprint));
        }
    }

    /// The last link that is stored of a device.
    pub fn head(&self, device: DeviceId) -> Seq {
        self.stored.rows.get(&device).map_or(Seq(0), |row| row.seq)
    }

    /// Whether records of a device are missing that nobody has declared.
    pub fn misses(&self, device: DeviceId) -> bool {
        self.stored.rows.get(&device).is_some_and(|row| !row.coverage.asked().is_empty())
    }

    /// Which epoch a device is in.
    pub fn epoch(&self, device: DeviceId) -> Option<Epoch> {
        self.stored.rows.get(&device).map(|row| row.epoch)
    }

    pub fn quarantined(&self) -> BTreeSet<DeviceId> {
        let rows = self.stored.rows.iter();
        rows.filter(|(_, row)| row.quarantine.is_some()).map(|(device, _)| *device).collect()
    }

    /// A request arrives. Answers at once, or later with its transaction.
    pub fn take(&mut self, cx: &mut Cx<'_>, ask: &Ask) -> Option<Answer> {
        if !self.up {
            return Some(Answer::to(ask, BARE));
        }
        let peer = PeerIdentity { certificate: ask.certificate };
        let owner = ask.certificate.and_then(|c| self.directory.certificate_owner(&c));
        let welcome = ask.certificate.is_none()
            || owner
                .and_then(|device| self.certificates.get(&device))
                .is_some_and(|t| server_at(cx.now) < *t);
        if !welcome {
            cx.trace.say(cx.now, || format!("collector: the certificate of device {} is over", ask.place));
            return Some(Answer::to(ask, BARE));
        }
        match ask.path {
            Path::Batch => match verify(&ask.bytes, &self.directory, peer) {
                Ok(verified) => {
                    let link = verified.link();
                    let arrival = verified.into_arrival();
                    if is_poisoned(&arrival) {
                        let refusal =
                            Refusal { reason: RejectReason::BadContent, link: Some(Box::new(link)) };
                        return Some(Answer::to(ask, self.refused(cx, refusal, ask.nonce)));
                    }
                    self.queue.push(Job { ask: ask.clone(), link, arrival });
                    None
                }
                Err(refusal) => Some(Answer::to(ask, self.refused(cx, refusal, ask.nonce))),
            },
            Path::Resume => {
                let said = (&[self.ack_key.public()][..], server_at(cx.now));
                let reply = match verify_resume(&ask.bytes, &self.directory, peer, said) {
                    Ok(request) => self.resume(cx, &request, ask.nonce),
                    Err(refusal) => self.refused(cx, refusal, ask.nonce),
                };
                Some(Answer::to(ask, reply))
            }
            Path::Time => {
                let time = SignedTime { server: server_at(cx.now), echo_nonce: ask.nonce };
                Some(Answer::to(ask, self.signed(&time)))
            }
            Path::Renew => Some(Answer::to(ask, self.renew(cx, ask).unwrap_or(BARE))),
            Path::Rejoin => Some(Answer::to(ask, self.rejoin(cx, ask).unwrap_or(BARE))),
        }
    }

    pub fn has_jobs(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Answers that a broken collector gives before it has stored anything.
    pub fn answer_early(&mut self, now: u64) -> Vec<Answer> {
        let next = |job: &&Job| {
            let row = self.stored.rows.get(&job.link.device);
            row.is_some_and(|row| row.seq.next() == job.link.seq && row.hash == job.link.prev)
        };
        let early = self.queue.iter().filter(next).map(|job| {
            let ack = self.ack(now, &job.link, (job.link.seq, job.link.hash), (job.ask.nonce, None));
            Answer::to(&job.ask, self.signed(&ack))
        });
        early.collect()
    }

    /// The transaction of everything that waits; answers follow the commit.
    pub fn commit(&mut self, cx: &mut Cx<'_>) -> Vec<Answer> {
        let jobs = std::mem::take(&mut self.queue);
        if self.full {
            self.book.clear();
            return jobs.into_iter().map(|job| self.not_stored(cx, &job)).collect();
        }
        let mut admitted = Vec::new();
        for Job { ask, link, arrival } in jobs {
            if let Some(verdict) = self.admit(cx, &link, arrival) {
                admitted.push((ask, link, verdict));
            }
        }
        admitted.iter().map(|(ask, link, verdict)| self.answer(cx, ask, link, verdict)).collect()
    }

    fn not_stored(&self, cx: &mut Cx<'_>, job: &Job) -> Answer {
        let link = &job.link;
        let next = self.stored.rows.get(&link.device).is_some_and(|row| row.seq.next() == link.seq);
        let reply = if next && cx.has(Bug::AckAfterFailedCommit) {
            self.acknowledge(cx, link, (link.seq, link.hash), (job.ask.nonce, None))
        } else {
            Reply::Bare { retry_after: Some(Duration::from_secs(30)) }
        };
        Answer::to(&job.ask, reply)
    }

    fn load(&mut self, cx: &Cx<'_>, device: DeviceId, epoch: Epoch, seq: Seq) -> Option<()> {
        let row = self.stored.rows.get(&device)?;
        let book = self.book.entry(device).or_insert_with(|| row.ledger(device, HASHES_IN_MEMORY));
        if book.epoch == epoch && book.needs_recall(seq) && !cx.has(Bug::HashesForgotten) {
            book.recall(row.hashes.values().copied());
        }
        Some(())
    }

    fn answer(&self, cx: &mut Cx<'_>, ask: &Ask, link: &Link, verdict: &Verdict) -> Answer {
        let refuse = |reason| Refusal { reason, link: Some(Box::new(*link)) };
        let is = |rows: &[Row]| rows.contains(&verdict.row);
        let reply = if is(&[Row::ForkStored, Row::ForkPrev, Row::ForkRecord]) {
            self.refused(cx, refuse(RejectReason::Fork), ask.nonce)
        } else if is(&[Row::StaleEpoch]) {
            self.refused(cx, refuse(RejectReason::StaleEpoch), ask.nonce)
        } else if is(&[Row::Quarantined, Row::HoleUnexplained]) {
            self.refused(cx, refuse(RejectReason::Quarantined), ask.nonce)
        } else if is(&[Row::EpochAhead]) {
            BARE
        } else {
            let row = self.stored.rows.get(&link.device);
            let head = row.map_or((Seq(0), Hash::ZERO), |row| (row.seq, row.hash));
            self.acknowledge(cx, link, head, (ask.nonce, verdict.need))
        };
        Answer::to(ask, reply)
    }

    /// The file that goes back for links that came on a medium.
    pub fn ack_file(&self, cx: &mut Cx<'_>, device: DeviceId) -> Option<Vec<u8>> {
        let row = self.stored.rows.get(&device)?;
        let link =
            Link { device, epoch: row.epoch, seq: row.seq, prev: row.hash, hash: row.hash, boot: None };
        match self.acknowledge(cx, &link, (row.seq, row.hash), (Nonce([0; 16]), None)) {
            Reply::Bytes(bytes) => Some(bytes.to_vec()),
            Reply::Bare { .. } => None,
        }
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

    fn resume(&mut self, cx: &mut Cx<'_>, request: &ResumeRequest, nonce: Nonce) -> Reply {
        let device = request.device;
        if self.full {
            return Reply::Bare { retry_after: Some(Duration::from_secs(30)) };
        }
        if self.load(cx, device, request.epoch, request.last_seq).is_none() {
            return BARE;
        }
        self.held.forgive(device, request.last_seq);
        let Some(book) = self.book.get(&device) else { return BARE };
        let envelope = request.newest_ack.as_ref().and_then(|bytes| Envelope::from_bytes(bytes).ok());
        let proof = envelope.and_then(|envelope| envelope.open::<Ack>(&self.ack_key.public()).ok());
        let decision = resume_with(book, request, proof.as_ref(), cx.broken());
        if let Some(moved) = decision.moved {
            cx.rows.note(Row::ResumeMoved);
            cx.oracle.moved(device, moved.next.epoch, moved.to, moved.next.committed_hash);
            cx.oracle.answers(device, request.nonce);
            if let Some(row) = self.stored.rows.get_mut(&device) {
                let row = Rc::make_mut(row);
                row.take_over(&moved.next);
                let place = moved.to.0 % limit::LEDGER_HASHES as u64;
                row.hashes.insert(place, (moved.to, moved.next.committed_hash));
            }
            self.book.insert(device, *moved.next);
        }
        cx.rows.note(match decision.standing {
            Standing::InStep => Row::ResumeInStep,
            Standing::Ahead { .. } => Row::ResumeDeviceAhead,
            Standing::Behind => Row::ResumeDeviceBehind,
            Standing::Diverged => Row::ResumeDiverged,
            Standing::StaleEpoch { .. } => Row::ResumeStaleEpoch,
            Standing::EpochAhead { .. } => Row::ResumeEpochAhead,
            Standing::Quarantined(_) => Row::ResumeQuarantined,
        });
        cx.trace.say(cx.now, || format!("collector: {device} stands {:?}", decision.standing));
        if let Standing::Quarantined(_) = decision.standing {
            return self.refused(cx, Refusal::bare(RejectReason::Quarantined), nonce);
        }
        if let Standing::StaleEpoch { .. } = decision.standing {
            return self.refused(cx, Refusal::bare(RejectReason::StaleEpoch), nonce);
        }
        self.facts(cx, request);
        let Some(row) = self.stored.rows.get(&device) else { return BARE };
        let mut missing = row.coverage.asked();
        missing.truncate(MISSING_RUNS_MAX);
        cx.oracle.asked_for(device, row.epoch, &missing);
        self.signed(&ResumeReply {
            device,
            epoch: row.epoch,
            committed_seq: row.seq,
            committed_hash: row.hash,
            missing,
            server: server_at(cx.now),
            echo_nonce: request.nonce,
        })
    }

    fn facts(&mut self, cx: &mut Cx<'_>, request: &ResumeRequest) {
        let Some(row) = self.stored.rows.get_mut(&request.device) else { return };
        if row.machine != Some(request.facts.machine) && Rc::make_mut(row).runs_on(request.facts.machine) {
            cx.rows.note(Row::FactsChanged);
        }
    }

    fn refused(&self, cx: &mut Cx<'_>, refusal: Refusal, nonce: Nonce) -> Reply {
        cx.trace.say(cx.now, || format!("collector refuses: {}", refusal.reason.as_str()));
        let Some(link) = refusal.link else { return BARE };
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
        let envelope =
            Envelope::seal(value, &self.ack_key).expect("an answer of plain fields always encodes");
        Reply::Bytes(envelope.to_bytes().into())
    }
}

fn is_poisoned(arrival: &Arrival) -> bool {
    let mut records = arrival.batch().into_iter().flat_map(|received| &received.batch.records);
    records.any(|record| record.observation.subject.as_str().starts_with(POISON))
}
