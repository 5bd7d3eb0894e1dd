//! A light device of the fleet that delivers: the product's pusher and spool over memory, the
//! product's transport, and between them what the agent's delivery loop does.
//!
//! Holds: only what the collector's acknowledgement key signed has an effect. Consent, probes and
//! disk are not here; the agent's own tests have those.

use crate::{
    Bed, HOSPITAL,
    fleet::{self, Applicant, TIMEOUT},
    stdout,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::{fs, time::Duration};
use tenken_agent::transport::http::HttpTransport;
use tenken_agent_core::{
    pusher::{ALARM_RETRY_MAX, Halt, Outcome, PushEffect, PushPolicy, PushStep, PushView, Pusher},
    record::{quantity, to_f64},
    spool::{
        BatchLimit, ChainStart, CutContext, DurableSpool, Spool, Standing,
        memory::{MemoryDisk, MemoryEngine, MemoryState},
    },
};
use tenken_common::{
    ack::{Ack, Reject, ResumeReply, ResumeRequest},
    category::Category,
    enrollment::Grant,
    envelope::{Envelope, Payload},
    id::{Hash, Name, Nonce, RecId, Seq},
    key::{PublicKey, SecretKey},
    limit,
    observation::{Body, Observation, Sample},
    statement::{SlotFile, to_armour},
    time::{Clock, ClockQuality, Moment, SystemClock, Timestamp},
    tls::{self, Identity},
    trust::TrustDocument,
    unit::Unit,
};
use tenken_hospital::device::approve;

const POLICY: PushPolicy = PushPolicy {
    interval: Duration::from_secs(60),
    retry_first: Duration::from_millis(100),
    retry_max: Duration::from_secs(2),
    alarm_retry_max: ALARM_RETRY_MAX,
};
const BATCH: BatchLimit = BatchLimit {
    records: limit::BATCH_RECORDS_MAX,
    bytes: limit::PLAIN_BYTES_MAX,
    in_flight: limit::IN_FLIGHT_MAX,
};
const CAP_BYTES: u64 = 1024 * 1024;
const VERSION: &str = "0.1.0";
/// How long a delivery may take.
const BOUND: Duration = Duration::from_secs(120);

/// See the module's head.
pub struct Member {
    start: ChainStart,
    device_key: SecretKey,
    ack_key: PublicKey,
    transport: HttpTransport,
    disk: MemoryDisk,
    spool: DurableSpool<MemoryEngine, MemoryState>,
    pusher: Pusher,
    clock: SystemClock,
    seed: u64,
}

/// A believable answer.
enum Said {
    Acked(Box<tenken_common::envelope::Verified<Ack>>, Vec<u8>),
    Rejected(Box<tenken_common::envelope::Verified<Reject>>),
    Resumed(Box<ResumeReply>),
    Nothing(Option<Duration>),
}

impl Member {
    /// What an applicant becomes with its grant.
    pub fn new(applicant: &Applicant, grant: &Grant, genesis: Hash, seed: u64) -> Self {
        let clock = SystemClock::new();
        let trust = Envelope::from_bytes(&grant.trust).expect("a grant holds a trust document");
        let trust = TrustDocument::decode(trust.body()).expect("a grant holds a trust document");
        let roots: Vec<_> = trust.roots.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let chain = grant.certificates.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let key = PrivatePkcs8KeyDer::from(applicant.tls_key.serialize_der()).into();
        let tls =
            tls::client(&roots, Some(Identity { chain, key }), clock.clone()).expect("TLS 1.3 is there");
        let start = ChainStart { device: grant.device, epoch: grant.epoch, genesis };
        let disk = MemoryDisk::default();
        Self {
            start,
            device_key: applicant.device_key.clone(),
            ack_key: trust.ack_key().expect("the trust document names a key"),
            transport: HttpTransport::new(&grant.push_url, tls, TIMEOUT, None)
                .expect("a client can be set up"),
            spool: opened(&disk, start),
            disk,
            pusher: Pusher::new(POLICY, seed),
            clock,
            seed,
        }
    }

    /// One that redeems a slot of its own in a bed with a serving collector, and is approved.
    pub async fn of_bed(bed: &Bed, label: &str) -> Self {
        bed.applicant(label);
        let read = |name: &str| fs::read_to_string(bed.path(name)).unwrap();
        let slot = SlotFile::from_armour(&read(&format!("{label}.slot"))).unwrap();
        let applicant = Applicant::new();
        let request = applicant.request(&slot, fleet::facts(label.as_bytes()));
        let (grant, genesis) =
            fleet::redeem(&fleet::way_to(&slot), &slot, &request).await.expect("a fresh slot");
        let member = Self::new(&applicant, &grant, genesis, 1);
        let key = SecretKey::from_pem(&read("hospital/hospital.key")).unwrap();
        let hospital = HOSPITAL.parse().expect("a hospital's name");
        let (device, fingerprint) = (member.start.device, member.fingerprint());
        let approval = approve(hospital, device, fingerprint, &key, member.clock.wall()).unwrap();
        let path = bed.path(&format!("{label}.approval"));
        fs::write(&path, to_armour(&approval)).unwrap();
        stdout(&bed.collector(&["device", "file", &path]));
        member
    }

    pub fn start(&self) -> ChainStart {
        self.start
    }

    pub fn fingerprint(&self) -> Hash {
        self.device_key.public().fingerprint()
    }

    /// The highest link that the collector acknowledged.
    pub fn acked(&self) -> Seq {
        self.spool.stats().acked_seq
    }

    pub fn last_id(&self) -> RecId {
        self.spool.last_id()
    }

    /// Its last link.
    pub fn head(&self) -> (Seq, Hash) {
        let (_, seq, hash) = self.spool.head();
        (seq, hash)
    }

    /// As after a power cut: all that is left is what was on the disk.
    pub fn restart(&mut self) {
        self.spool = opened(&self.disk, self.start);
        self.pusher = Pusher::new(POLICY, self.seed);
    }

    /// Records so many observations.
    pub fn record(&mut self, n: u32) {
        let observations: Vec<Observation> = (0..n)
            .map(|number| {
                let probe = Name::of_outside("fleet");
                let quantities = quantity("number", Unit::Count, to_f64(number.into())).into_iter().collect();
                let body = Body::Sample(Sample { probe, quantities });
                let subject = Name::of_outside("device");
                Observation { at: self.clock.now(), category: Category::Performance, subject, body }
            })
            .collect();
        self.spool.append(&observations).expect("memory takes it");
    }

    /// Records a number of a subject at each of these times: what it saw while it was away.
    pub fn record_line(
        &mut self,
        (category, probe, subject): (Category, &str, &str),
        (name, unit): (&str, Unit),
        points: impl IntoIterator<Item = (Timestamp, f64)>,
    ) {
        let now = self.clock.now();
        let observation = |(wall, value)| {
            let quantities = quantity(name, unit, value).into_iter().collect();
            let body = Body::Sample(Sample { probe: Name::of_outside(probe), quantities });
            let at = Moment { wall, ..now };
            Observation { at, category, subject: Name::of_outside(subject), body }
        };
        let observations: Vec<Observation> = points.into_iter().map(observation).collect();
        self.spool.append(&observations).expect("memory takes it");
    }

    /// Records what it saw just now, each of a subject.
    pub fn record_seen(&mut self, category: Category, seen: Vec<(&str, Body)>) {
        let at = self.clock.now();
        let observation =
            |(subject, body)| Observation { at, category, subject: Name::of_outside(subject), body };
        let observations: Vec<Observation> = seen.into_iter().map(observation).collect();
        self.spool.append(&observations).expect("memory takes it");
    }

    /// Delivers all that waits; says why where delivery halts.
    ///
    /// # Panics
    /// After two minutes.
    pub async fn deliver(&mut self) -> Result<(), Halt> {
        let device = self.start.device;
        let delivered = tokio::time::timeout(BOUND, async {
            loop {
                let view = self.view();
                self.pusher.hurry();
                match self.pusher.poll(self.clock.mono(), &view) {
                    PushStep::Wait(wait) => {
                        if let Some(halt) = self.pusher.halted() {
                            return Err(halt);
                        }
                        if view.waiting + view.in_flight == 0 {
                            return Ok(());
                        }
                        tokio::time::sleep(wait).await;
                    }
                    PushStep::Resume => self.resume(&view).await,
                    PushStep::Cut => self.cut(&view),
                    PushStep::Send => self.send(&view).await,
                }
            }
        });
        delivered.await.unwrap_or_else(|_| panic!("{device} delivered nothing in {BOUND:?}"))
    }

    fn view(&self) -> PushView {
        let stats = self.spool.stats();
        PushView {
            waiting: stats.waiting + stats.gaps_waiting,
            urgent: stats.urgent,
            in_flight: stats.in_flight,
            acked_seq: stats.acked_seq,
            awaiting_resume: stats.awaiting_resume,
        }
    }

    async fn resume(&mut self, view: &PushView) {
        let (epoch, last_seq, last_hash) = self.spool.head();
        let nonce = fleet::nonce();
        let request = ResumeRequest {
            device: self.start.device,
            epoch,
            last_seq,
            last_hash,
            newest_ack: self.spool.newest_ack().map(Into::into),
            consent_version: 0,
            facts: fleet::facts(&self.seed.to_le_bytes()),
            challenge: None,
            nonce,
        };
        let envelope = Envelope::seal(&request, &self.device_key).expect("a request encodes");
        let now = self.clock.mono();
        match self.ask("/v1/resume", &envelope, nonce).await {
            Said::Resumed(reply) if reply.epoch == epoch => {
                let standing = self.spool.adopt_head(reply.committed_seq, reply.committed_hash);
                let standing = standing.expect("memory takes it");
                if standing == Standing::InStep {
                    self.spool.answer_missing(&reply.missing).expect("memory takes it");
                }
                self.pusher.on_outcome(now, view, &Outcome::Resumed(standing));
            }
            Said::Resumed(_) => drop(self.pusher.on_outcome(now, view, &Outcome::OtherEpoch)),
            Said::Rejected(reject) => {
                self.pusher.on_outcome(now, view, &Outcome::Rejected { reject: &reject, batch: false });
            }
            Said::Acked(..) => self.failed(view, None),
            Said::Nothing(retry_after) => self.failed(view, retry_after),
        }
    }

    fn cut(&mut self, view: &PushView) {
        let cx = CutContext {
            device: self.start.device,
            at: self.clock.now(),
            clock: ClockQuality::UNKNOWN,
            agent_version: VERSION,
        };
        let cut = self.spool.cut(BATCH, &cx).expect("memory takes it");
        let outcome = if cut.is_some() { Outcome::Cut } else { Outcome::NothingCut };
        self.pusher.on_outcome(self.clock.mono(), view, &outcome);
    }

    async fn send(&mut self, view: &PushView) {
        let cut = self.spool.next_in_flight().expect("memory can be read").expect("something is in flight");
        let envelope = Envelope::seal_bytes(cut.payload_type(), cut.body.clone(), &self.device_key);
        let said = self.ask("/v1/batch", &envelope, fleet::nonce()).await;
        let now = self.clock.mono();
        match said {
            Said::Acked(ack, bytes) => {
                if self.pusher.on_outcome(now, view, &Outcome::Acked(&ack)) == PushEffect::Release {
                    self.spool.release(&ack, &bytes).expect("memory takes it");
                }
            }
            Said::Rejected(reject) => {
                let batch = cut.stub.is_none();
                let effect = self.pusher.on_outcome(now, view, &Outcome::Rejected { reject: &reject, batch });
                if let PushEffect::Stub(reason) = effect {
                    self.spool.stub(cut.seq, reason).expect("memory takes it");
                }
            }
            Said::Resumed(_) => self.failed(view, None),
            Said::Nothing(retry_after) => self.failed(view, retry_after),
        }
    }

    fn failed(&mut self, view: &PushView, retry_after: Option<Duration>) {
        self.pusher.on_outcome(self.clock.mono(), view, &Outcome::Failed { retry_after });
    }

    async fn ask(&self, path: &str, envelope: &Envelope, nonce: Nonce) -> Said {
        let Ok(answer) = self.transport.post(path, envelope.to_bytes(), &nonce).await else {
            return Said::Nothing(None);
        };
        let of_this = |device| device == self.start.device;
        let Ok(said) = Envelope::from_bytes(&answer.body) else { return Said::Nothing(answer.retry_after) };
        if let Ok(ack) = said.open::<Ack>(&self.ack_key) {
            if of_this(ack.device) {
                return Said::Acked(Box::new(ack), answer.body);
            }
        } else if let Ok(reject) = said.open::<Reject>(&self.ack_key) {
            if of_this(reject.device) {
                return Said::Rejected(Box::new(reject));
            }
        } else if let Ok(reply) = said.open::<ResumeReply>(&self.ack_key)
            && of_this(reply.device)
        {
            return Said::Resumed(Box::new(reply.into_inner()));
        }
        Said::Nothing(answer.retry_after)
    }
}

fn opened(disk: &MemoryDisk, start: ChainStart) -> DurableSpool<MemoryEngine, MemoryState> {
    DurableSpool::open(disk.engine(), disk.states(), start, CAP_BYTES).expect("a sound memory opens")
}
