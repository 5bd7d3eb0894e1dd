//! A collector on a temporary file, a hospital with its key, and devices that sign.

use axum::{
    Extension,
    body::Body,
    http::{Request, Response, StatusCode},
};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_bytes::ByteBuf;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tenken_collector::{
    ingest::{
        CertificateIssuer, IngestObserver, IngestState, IssueError, IssuedCertificate, PeerIdentity,
        commit::{Committer, committer},
        router::{device_router, enroll_router},
        verify::DeviceDirectory,
    },
    store::Store,
};
use tenken_collector_core::{
    invariant::Invariant,
    stream::{Entry, Hospital},
};
use tenken_common::{
    ack::{Ack, NONCE_HEADER, Reject, RejectReason, ResumeReply, ResumeRequest},
    batch::{Batch, Gap, GapReason, RecRun},
    category::Category,
    enrollment::{Grant, HostFacts, Request as EnrollRequest, slot_key},
    envelope::Envelope,
    id::{BootId, DeviceId, Epoch, Hash, Name, Nonce, RecId, Seq, SlotId},
    key::SecretKey,
    observation::{Body as Seen, CheckResult, CheckState, Class, Observation, Record, Sample},
    statement::{DeviceApproval, SlotTicket},
    stub::Stub,
    time::{Clock, ClockQuality, ClockSource, ManualClock, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};

pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub const NONCE: Nonce = Nonce([7; 16]);
pub const TOKEN: &[u8; 16] = b"0123456789abcdef";

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn hospital_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

pub fn ack_key() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

/// Gives the certificate request back as the certificate.
struct Echo;

impl CertificateIssuer for Echo {
    fn issue(&self, csr: &[u8], _: DeviceId, _: Timestamp) -> Result<IssuedCertificate, IssueError> {
        Ok(IssuedCertificate { chain_der: vec![csr.to_vec()], leaf_sha256: Hash::of(csr) })
    }
}

#[derive(Default)]
pub struct Tally {
    pub refused: Mutex<BTreeMap<RejectReason, u32>>,
    pub accepted: Mutex<u32>,
    pub duplicates: Mutex<u32>,
    pub violations: Mutex<Vec<Invariant>>,
}

impl IngestObserver for Tally {
    fn accepted(&self, _: usize, _: usize) {
        *self.accepted.lock().unwrap() += 1;
    }
    fn refused(&self, reason: RejectReason) {
        *self.refused.lock().unwrap().entry(reason).or_default() += 1;
    }
    fn duplicate(&self) {
        *self.duplicates.lock().unwrap() += 1;
    }
    fn invariant_violated(&self, invariant: Invariant) {
        self.violations.lock().unwrap().push(invariant);
    }
}

pub struct Rig {
    pub dir: Arc<TempDir>,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub state: IngestState,
    pub tally: Arc<Tally>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Rig {
    /// As a kill would: nothing is shut down in order.
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            assert_eq!(*self.tally.violations.lock().unwrap(), [], "invariants hold in every test");
        }
    }
}

impl Rig {
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(BootId([0; 16]), START));
        let rig = Self::on(Arc::new(TempDir::new().unwrap()), clock).await;
        let key = hospital_key().public().to_bytes().to_vec();
        rig.store
            .append(vec![Entry::Hospital(Hospital { id: "minato".parse().unwrap(), key })])
            .await
            .unwrap();
        rig
    }

    /// On the same file, as after a restart or as a second process.
    pub async fn on(dir: Arc<TempDir>, clock: Arc<ManualClock>) -> Self {
        Self::at(path(&dir), dir, clock).await
    }

    /// On any file.
    pub async fn at(file: PathBuf, dir: Arc<TempDir>, clock: Arc<ManualClock>) -> Self {
        let store = Store::open(&file, clock.clone()).await.unwrap();
        let (handle, run): (Committer, _) = committer(store.clone(), Arc::new(Echo));
        let tally = Arc::new(Tally::default());
        let state = IngestState {
            store: store.clone(),
            committer: handle,
            devices: Arc::new(DeviceDirectory::load(&store).await.unwrap()),
            clock: clock.clone(),
            ack_key: Arc::new(ack_key()),
            ack_keys: Arc::from([ack_key().public()]),
            trust: Arc::from([b"trust 1".to_vec(), b"trust 2".to_vec()]),
            push_url: Arc::from("https://localhost:1"),
            issuer: Arc::new(Echo),
            renewals: Arc::default(),
            observer: tally.clone(),
        };
        let task = tokio::spawn(run.observed(tally.clone()).run());
        Self { dir, clock, store, state, tally, task }
    }

    pub async fn again(&self) -> Self {
        Self::on(self.dir.clone(), self.clock.clone()).await
    }

    /// Files a slot with [`TOKEN`].
    pub async fn slot(&self, n: u8) -> SlotId {
        self.slot_for(n, None).await
    }

    /// The same, for a device that goes on with a new key.
    pub async fn slot_for(&self, n: u8, replaces: Option<DeviceId>) -> SlotId {
        let slot = SlotId([n; 16]);
        let ticket = SlotTicket {
            slot,
            hospital: "minato".parse().unwrap(),
            label: name(&format!("ct-{n}")),
            group: None,
            proof_key: slot_key(TOKEN),
            expires: self.clock.wall().plus(Duration::from_hours(24)),
            replaces,
        };
        self.store.file_statement(&Envelope::seal(&ticket, &hospital_key()).unwrap()).await.unwrap();
        slot
    }

    /// A device that redeemed a slot of its own.
    pub async fn device(&self, n: u8) -> Device {
        let slot = self.slot(n).await;
        self.redeem(slot, SecretKey::from_seed(&[n; 32])).await
    }

    /// Redeems a slot with a key.
    pub async fn redeem(&self, slot: SlotId, key: SecretKey) -> Device {
        let request = enroll_request(slot, &key);
        let reply = tenken_collector::ingest::enroll::enroll(&self.state, request.bytes()).await.unwrap();
        let (grant, genesis) = request.open_reply(&reply, &slot_key(TOKEN)).unwrap();
        Device::new(key, &grant, genesis)
    }

    pub fn approval(&self, device: &Device) -> Envelope {
        let approval = DeviceApproval {
            hospital: "minato".parse().unwrap(),
            device: device.id,
            fingerprint: device.key.public().fingerprint(),
            approved_at: self.clock.wall(),
        };
        Envelope::seal(&approval, &hospital_key()).unwrap()
    }

    pub async fn call(&self, request: Request<Body>, certificate: Option<Hash>) -> (StatusCode, Vec<u8>) {
        let routes = device_router(self.state.clone()).layer(Extension(PeerIdentity { certificate }));
        answer(TowerToHyperService::new(routes).call(request).await.unwrap()).await
    }

    pub async fn call_open(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let routes = enroll_router(self.state.clone());
        answer(TowerToHyperService::new(routes).call(request).await.unwrap()).await
    }

    /// Posts a batch as its own device.
    pub async fn post(&self, device: &Device, bytes: &[u8]) -> (StatusCode, Vec<u8>) {
        self.call(post("/v1/batch", bytes), Some(device.certificate)).await
    }

    /// Asks as a device where it stands, with its newest acknowledgement.
    pub async fn resume(&self, device: &Device, newest_ack: Option<Vec<u8>>) -> (StatusCode, Vec<u8>) {
        let request = ResumeRequest { newest_ack: newest_ack.map(ByteBuf::from), ..device.resume_request() };
        let bytes = Envelope::seal(&request, &device.key).unwrap().to_bytes();
        self.call(post("/v1/resume", &bytes), Some(device.certificate)).await
    }

    /// The challenge that `/v1/time` gives now.
    pub async fn challenge(&self) -> Vec<u8> {
        let request = Request::get("/v1/time").header(NONCE_HEADER, NONCE.to_string());
        let (status, body) = self.call_open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// Posts a batch that must be acknowledged.
    pub async fn push(&self, device: &Device, bytes: &[u8]) -> Ack {
        let (status, body) = self.post(device, bytes).await;
        assert_eq!(status, StatusCode::OK);
        ack(&body)
    }
}

pub fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("collector.db")
}

async fn answer(response: Response<Body>) -> (StatusCode, Vec<u8>) {
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

pub fn post(uri: &str, bytes: &[u8]) -> Request<Body> {
    let request = Request::post(uri).header(NONCE_HEADER, NONCE.to_string());
    request.body(Body::from(bytes.to_vec())).unwrap()
}

pub fn ack(body: &[u8]) -> Ack {
    Envelope::from_bytes(body).unwrap().open::<Ack>(&ack_key().public()).unwrap().into_inner()
}

pub fn reject(body: &[u8]) -> RejectReason {
    let reject = Envelope::from_bytes(body).unwrap().open::<Reject>(&ack_key().public()).unwrap();
    RejectReason::from_code(reject.reason).unwrap()
}

pub fn resumed(body: &[u8]) -> ResumeReply {
    let envelope = Envelope::from_bytes(body).unwrap();
    envelope.open::<ResumeReply>(&ack_key().public()).unwrap().into_inner()
}

pub fn enroll_request(slot: SlotId, key: &SecretKey) -> EnrollRequest {
    let csr = key.public().to_bytes().to_vec();
    EnrollRequest::new(slot, &slot_key(TOKEN), key, csr, facts(), NONCE).unwrap()
}

pub fn facts() -> HostFacts {
    HostFacts {
        os: name("linux"),
        arch: name("x86_64"),
        agent_version: name("0.1.0"),
        machine: Hash::of(b"machine"),
    }
}

/// A device: its key and the end of its chain.
#[derive(Clone)]
pub struct Device {
    pub key: SecretKey,
    pub id: DeviceId,
    pub certificate: Hash,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    pub next_rec: u64,
    pub boot: BootId,
}

impl Device {
    fn new(key: SecretKey, grant: &Grant, genesis: Hash) -> Self {
        let certificate = Hash::of(&grant.certificates[0]);
        let boot = BootId([1; 16]);
        Self {
            key,
            id: grant.device,
            certificate,
            epoch: grant.epoch,
            seq: Seq(0),
            prev: genesis,
            next_rec: 1,
            boot,
        }
    }

    /// The plain form of the next batch: `n` samples, and the gaps.
    pub fn plain(&mut self, n: u64, gaps: &[(u64, u64)]) -> Batch {
        let wall = START.plus(Duration::from_secs(self.seq.0 * 60));
        let at = Moment { boot: self.boot, mono: Monotonic(self.seq.0), wall };
        let records = (0..n)
            .map(|i| {
                let id = RecId(self.next_rec + i);
                let wall = wall.plus(Duration::from_secs(i));
                let quantity = Quantity::new(name("used_ratio"), Unit::Ratio, 0.25).unwrap();
                let (category, body) = if i % 3 == 2 {
                    let state = if id.0.is_multiple_of(2) { CheckState::Ok } else { CheckState::Critical };
                    (Category::Service, Seen::CheckResult(CheckResult { probe: name("service"), state }))
                } else {
                    (Category::Disk, Seen::Sample(Sample { probe: name("disk"), quantities: vec![quantity] }))
                };
                let at = Moment { wall, ..at };
                Record { id, observation: Observation { at, category, subject: name("/"), body } }
            })
            .collect();
        self.next_rec += n;
        Batch {
            device: self.id,
            epoch: self.epoch,
            seq: self.seq.next(),
            prev: self.prev,
            at,
            clock: ClockQuality { offset_ms: 1_500, uncertainty_ms: 20, source: ClockSource::SignedTime },
            agent_version: "0.1.0".into(),
            class: Class::Ordinary,
            records,
            gaps: gaps
                .iter()
                .map(|(from, to)| Gap {
                    run: RecRun { from: RecId(*from), to: RecId(*to) },
                    reason: GapReason::Evicted,
                })
                .collect(),
        }
    }

    pub fn seal(&self, batch: Batch) -> Envelope {
        Envelope::seal(&ReceivedBatch { batch, unknown: vec![] }, &self.key).unwrap()
    }

    /// What it says when it starts.
    pub fn resume_request(&self) -> ResumeRequest {
        ResumeRequest {
            device: self.id,
            epoch: self.epoch,
            last_seq: self.seq,
            last_hash: self.prev,
            newest_ack: None,
            consent_version: 1,
            facts: facts(),
            challenge: None,
            nonce: NONCE,
        }
    }

    /// Cuts the next batch and sends a stub in its place.
    pub fn cut_stub(&mut self, n: u64, reason: GapReason) -> Vec<u8> {
        let from = self.next_rec;
        let (seq, prev) = (self.seq.next(), self.prev);
        self.cut(n);
        let records = vec![RecRun { from: RecId(from), to: RecId(from + n - 1) }];
        let (device, epoch, body_hash) = (self.id, self.epoch, self.prev);
        let stub = Stub { device, epoch, seq, prev, body_hash, records, reason };
        Envelope::seal(&stub, &self.key).unwrap().to_bytes()
    }

    /// Cuts the next batch and moves the chain on.
    pub fn cut(&mut self, n: u64) -> Vec<u8> {
        self.cut_with(n, &[])
    }

    pub fn cut_with(&mut self, n: u64, gaps: &[(u64, u64)]) -> Vec<u8> {
        let batch = self.plain(n, gaps);
        self.seq = batch.seq;
        let envelope = self.seal(batch);
        self.prev = Hash::of(envelope.body());
        envelope.to_bytes()
    }
}
