//! What the fuzzer calls, one function for each target: bytes of somebody's choice into every place
//! where bytes from outside are read.
//!
//! Holds: nothing panics, hangs or takes memory without bound, and what is read has the form that
//! it would be written in. The committed corpus (`tests/fuzz/corpus`) is replayed by an ordinary
//! test; `campaign fuzz` runs the fuzzer itself.

use crate::adversary::{content, draw::Draw, plan};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tempfile::TempDir;
use tenken_agent::config::AgentConfig;
use tenken_agent_core::spool::{
    BatchLimit, ChainStart, Cut, CutContext, DurableSpool, Spool, SpoolError,
    memory::{MemoryDisk, MemoryEngine, MemoryState},
};
use tenken_collector::{config::CollectorConfig, pki::Pki};
use tenken_collector_core::{desk::rule::RuleSet, sla::contract::Contract};
use tenken_common::{
    ack::{Ack, Reject, ResumeReply, ResumeRequest, SignedTime},
    codec, config,
    consent::ConsentManifest,
    enrollment::{Received, Request, slot_key},
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, Nonce, SlotId},
    key::SecretKey,
    observation::{Observation, Record},
    renewal::{RejoinRequest, RenewReply, RenewRequest},
    statement::{self, DeviceApproval, SlotFile, SlotTicket},
    stub::Stub,
    time::{ClockQuality, Moment, Monotonic, Timestamp},
    trust::TrustDocument,
    wire::v1::ReceivedBatch,
};

mod export;

pub use export::export;

pub type Entry = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Entry); 7] = [
    ("envelope", envelope),
    ("body", body),
    ("ack", ack),
    ("enrollment", enrollment),
    ("config", configuration),
    ("spool", spool),
    ("export", export),
];

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn opens<T: Payload>(envelope: &Envelope) -> bool {
    envelope.open::<T>(&key().public()).is_ok()
}

/// An envelope as it comes; the corpus holds some that this key signed.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::from_bytes(data) else { return };
    assert_eq!(envelope.to_bytes(), data, "an envelope has one form");
    assert!(envelope.key_hint().is_some());
    let kinds = [
        opens::<ReceivedBatch>(&envelope),
        opens::<Stub>(&envelope),
        opens::<Ack>(&envelope),
        opens::<Reject>(&envelope),
        opens::<ConsentManifest>(&envelope),
    ];
    assert!(kinds.iter().filter(|opened| **opened).count() <= 1, "what is signed is of one kind");
}

/// A batch's body under a good signature: compressed as it comes, or the plain form.
pub fn body(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let compressed = if first & 1 == 0 { Ok(rest.to_vec()) } else { codec::compress(rest) };
    let Ok(received) = compressed.and_then(|body| ReceivedBatch::decode(&body)) else { return };
    let ids = received.record_ids();
    assert_eq!(ids.len(), received.batch.records.len() + received.unknown.len());
    if received.unknown.is_empty()
        && let Ok(again) = received.encode()
    {
        let again = ReceivedBatch::decode(&again).expect("what was written is read");
        // By its text: a float may be a zero with a sign.
        assert_eq!(format!("{again:?}"), format!("{received:?}"));
    }
}

fn positional<T: Payload>(data: &[u8]) {
    if let Ok(value) = T::decode(data) {
        assert_eq!(value.encode().expect("what was read is written"), data, "a value has one form");
    }
}

/// Every message that is no batch, under a good signature.
pub fn ack(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 14 {
        0 => positional::<Ack>(rest),
        1 => positional::<Reject>(rest),
        2 => positional::<ResumeReply>(rest),
        3 => positional::<ResumeRequest>(rest),
        4 => positional::<SignedTime>(rest),
        5 => positional::<TrustDocument>(rest),
        6 => positional::<RenewReply>(rest),
        7 => positional::<RenewRequest>(rest),
        8 => positional::<RejoinRequest>(rest),
        9 => positional::<Stub>(rest),
        10 => positional::<ConsentManifest>(rest),
        11 => positional::<SlotTicket>(rest),
        12 => positional::<DeviceApproval>(rest),
        // Whoever follows a trust document has judged it before.
        _ => {
            let signer = key().public();
            let current = TrustDocument::new(1, &[vec![1]], signer, signer, Timestamp::EPOCH);
            let envelope = Envelope::seal_bytes(TrustDocument::TYPE, rest.to_vec(), &key());
            if let Ok(next) = current.follow(&envelope) {
                assert!(next.version == 2 && next.ack_key().is_ok() && next.next_signer().is_ok());
            }
        }
    }
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<(TempDir, Pki)> = OnceLock::new();
    let made = PKI.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned()];
        let pki = Pki::create(&dir.path().join("pki"), &names, Timestamp::from_secs(1_800_000_000));
        (dir, pki.expect("a private authority"))
    });
    &made.1
}

/// What comes before a device is known: requests, replies, certificate requests, files.
pub fn enrollment(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let slot_key = slot_key(b"0123456789abcdef");
    match first % 4 {
        0 => {
            let Ok(received) = Received::from_bytes(rest) else { return };
            let _ = received.prove(&slot_key);
        }
        1 => {
            let request = request(&slot_key, vec![1]);
            let _ = request.open_reply(rest, &slot_key);
        }
        2 => {
            if let Ok(issued) = pki().issue(rest, DeviceId([1; 16]), Timestamp::from_secs(1_800_000_000)) {
                assert_eq!(issued.chain_der.len(), 2);
            }
        }
        _ => {
            let text = String::from_utf8_lossy(rest);
            let _ = SlotFile::from_armour(&text);
            let _ = statement::from_armour(&text);
        }
    }
}

fn request(slot_key: &Hash, csr: Vec<u8>) -> Request {
    let facts = tenken_agent::enroll::host_facts("0.1.0");
    Request::new(SlotId([1; 16]), slot_key, &key(), csr, facts, Nonce([2; 16])).expect("small")
}

/// Every file that a person writes.
pub fn configuration(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match first % 4 {
        0 => drop(config::parse::<AgentConfig>(text)),
        1 => drop(config::parse::<CollectorConfig>(text)),
        2 => drop(Contract::parse(text)),
        _ => drop(RuleSet::parse(text)),
    }
}

const START: ChainStart = ChainStart { device: DeviceId([3; 16]), epoch: Epoch(1), genesis: Hash([4; 32]) };
const CAP: u64 = 4 * 1024 * 1024;
const LIMIT: BatchLimit =
    BatchLimit { records: 8, bytes: 64 * 1024, in_flight: tenken_common::limit::IN_FLIGHT_MAX };

type TestSpool = DurableSpool<MemoryEngine, MemoryState>;

fn at() -> CutContext<'static> {
    let at = Moment { boot: tenken_common::id::BootId([5; 16]), mono: Monotonic(1), wall: Timestamp::EPOCH };
    CutContext { device: START.device, at, clock: ClockQuality::UNKNOWN, agent_version: "0.1.0" }
}

fn observations() -> &'static [Observation] {
    static MADE: OnceLock<Vec<Observation>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut draw = Draw::new(7);
        (1..=40).map(|id| content::record(&mut draw, id).observation).collect()
    })
}

/// A store with records acknowledged, in flight and waiting; made once and copied.
fn filled() -> MemoryDisk {
    type Content = (BTreeMap<Vec<u8>, Vec<u8>>, Option<Vec<u8>>);
    static CONTENT: OnceLock<Content> = OnceLock::new();
    let (pairs, state) = CONTENT.get_or_init(|| {
        let disk = MemoryDisk::default();
        let mut spool = open(&disk).expect("an empty disk opens");
        for part in observations().chunks(10) {
            spool.append(part).expect("a sound disk");
        }
        let first = spool.cut(LIMIT, &at()).expect("a sound disk").expect("records wait");
        acknowledge(&mut spool, &first);
        for _ in 0..2 {
            spool.cut(LIMIT, &at()).expect("a sound disk").expect("records wait");
        }
        (disk.pairs().clone(), disk.state().clone())
    });
    let disk = MemoryDisk::default();
    disk.pairs().clone_from(pairs);
    disk.state().clone_from(state);
    disk
}

fn open(disk: &MemoryDisk) -> Result<TestSpool, SpoolError> {
    DurableSpool::open(disk.engine(), disk.states(), START, CAP)
}

fn acknowledge(spool: &mut TestSpool, cut: &Cut) {
    let ack = Ack {
        device: START.device,
        epoch: cut.epoch,
        acked_seq: cut.seq,
        hash: cut.hash,
        server: Timestamp::EPOCH,
        echo_nonce: Nonce([0; 16]),
        position: cut.seq.0,
        log_root: Hash::ZERO,
        retry_after_s: 0,
        need_seq: None,
    };
    let envelope = Envelope::seal(&ack, &key()).expect("small");
    let bytes = envelope.to_bytes();
    let ack = envelope.open(&key().public()).expect("sealed just now");
    spool.release(&ack, &bytes).expect("a sound disk");
}

/// Damages a filled store as the bytes say, opens it, and sends what it still has: never a record
/// that is not what was recorded.
pub fn spool(data: &[u8]) {
    let disk = filled();
    for step in data.chunks_exact(5).take(64) {
        damage(&disk, step);
    }
    let Ok(mut spool) = open(&disk) else { return };
    spool.append(&observations()[..1]).expect("it goes on");
    // At most what there is; each is sent once.
    for _ in 0..64 {
        let cut = match spool.next_in_flight().expect("a sound disk") {
            Some(cut) => cut,
            None => match spool.cut(LIMIT, &at()).expect("a sound disk") {
                Some(cut) => cut,
                None => return,
            },
        };
        if cut.stub.is_some() {
            let stub = Stub::decode(&cut.body).expect("what is sent can be read");
            assert_eq!(stub.body_hash, cut.hash, "a stub stands for what was cut");
            acknowledge(&mut spool, &cut);
            continue;
        }
        assert_eq!(Hash::of(&cut.body), cut.hash, "a body is what was cut");
        let received = ReceivedBatch::decode(&cut.body).expect("what is sent can be read");
        received
            .batch
            .records
            .iter()
            .for_each(|record| assert!(is_true(record), "a wrong record: {record:?}"));
        acknowledge(&mut spool, &cut);
    }
}

fn is_true(record: &Record) -> bool {
    let known = usize::try_from(record.id.0).ok().and_then(|id| observations().get(id.checked_sub(1)?));
    // The one that is appended after the damage has a new number.
    [known, observations().first()]
        .into_iter()
        .flatten()
        .any(|o| format!("{o:?}") == format!("{:?}", record.observation))
}

fn damage(disk: &MemoryDisk, step: &[u8]) {
    let &[what, which, at, value, more] = step else { return };
    let mut pairs = disk.pairs();
    let Some(key) = pairs.keys().nth(usize::from(which) % pairs.len().max(1)).cloned() else { return };
    let index = |len: usize| (usize::from(at) << 8 | usize::from(more)) % len.max(1);
    match what % 8 {
        0 => {
            if let Some(bytes) = pairs.get_mut(&key) {
                let index = index(bytes.len());
                if let Some(byte) = bytes.get_mut(index) {
                    *byte ^= value;
                }
            }
        }
        1 => drop(pairs.remove(&key)),
        2 => {
            let moved = pairs.remove(&key).unwrap_or_default();
            let mut other = key;
            let index = index(other.len());
            if let Some(byte) = other.get_mut(index) {
                *byte ^= value;
            }
            pairs.insert(other, moved);
        }
        3 => {
            if let Some(bytes) = pairs.get_mut(&key) {
                bytes.truncate(index(bytes.len()));
            }
        }
        4 => drop(pairs.insert(vec![value % 7, at, more, which], vec![value; usize::from(more)])),
        5 => *disk.state() = None,
        6 => {
            if let Some(state) = disk.state().as_mut() {
                let index = index(state.len());
                state[index] ^= value;
            }
        }
        _ => pairs.retain(|key, _| key.first() != Some(&(value % 7))),
    }
}

/// The committed corpus of a target.
pub fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files =
        fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("a readable folder").path());
    let mut all: Vec<_> =
        files.map(|path| (path.clone(), fs::read(path).expect("a readable file"))).collect();
    all.sort();
    all
}

/// An input whose first byte says what the others are.
fn first(byte: u8, rest: Vec<u8>) -> Vec<u8> {
    [vec![byte], rest].concat()
}

/// What the corpus begins with: real messages.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut draw = Draw::new(20_261_125);
    let batches = |draw: &mut Draw| {
        let all = (0..4).map(|_| ReceivedBatch { batch: content::batch(draw), unknown: vec![] });
        all.filter(|r| r.batch.records.len() < 20).collect::<Vec<_>>()
    };
    match target {
        "envelope" => {
            let key = key();
            let sealed = |kind: &str, body: Vec<u8>| Envelope::seal_bytes(kind, body, &key).to_bytes();
            let mut all: Vec<_> = batches(&mut draw)
                .iter()
                .filter_map(|r| Some(sealed(ReceivedBatch::TYPE, r.encode().ok()?)))
                .collect();
            all.push(sealed(Stub::TYPE, plan::packed(&plan::stub(&content::stub(&mut draw)))));
            all.push(sealed(Ack::TYPE, plan::packed(&plan::ack(&content::ack(&mut draw)))));
            all.push(sealed(Reject::TYPE, plan::packed(&plan::reject(&content::reject(&mut draw)))));
            all
        }
        "body" => {
            let both = |r: &ReceivedBatch| {
                let plain = plan::packed(&plan::batch(&r.batch));
                [first(0, r.encode().unwrap_or_default()), first(1, plain)]
            };
            batches(&mut draw).iter().flat_map(both).collect()
        }
        "ack" => {
            let mut all = vec![
                first(0, plan::packed(&plan::ack(&content::ack(&mut draw)))),
                first(1, plan::packed(&plan::reject(&content::reject(&mut draw)))),
                first(9, plan::packed(&plan::stub(&content::stub(&mut draw)))),
            ];
            let signer = key().public();
            let trust = TrustDocument::new(2, &[vec![1]], signer, signer, Timestamp::EPOCH)
                .encode()
                .unwrap_or_default();
            all.extend([first(5, trust.clone()), first(13, trust)]);
            all.push(first(4, plan::packed(&serde_json::json!([5, plan::bin(&[7; 16])]))));
            all.push(first(
                2,
                plan::packed(&serde_json::json!([
                    plan::bin(&[1; 16]),
                    1,
                    7,
                    plan::bin(&[2; 32]),
                    [[1, 5]],
                    -3,
                    plan::bin(&[3; 16])
                ])),
            ));
            all
        }
        "enrollment" => {
            let request = request(&slot_key(b"0123456789abcdef"), csr());
            let key = key();
            let approval = Envelope::seal_bytes(
                DeviceApproval::TYPE,
                plan::packed(&serde_json::json!(["minato", plan::bin(&[1; 16]), plan::bin(&[2; 32]), 5])),
                &key,
            );
            vec![
                first(0, request.bytes().to_vec()),
                first(1, plan::packed(&serde_json::json!([1, plan::bin(&[1; 20]), plan::bin(&[2; 32])]))),
                first(2, csr()),
                first(3, statement::to_armour(&approval).into_bytes()),
            ]
        }
        "export" => export::seeds(&mut draw),
        "config" => {
            let files = [
                include_str!("../../packaging/config/agent.example.toml"),
                include_str!("../../packaging/config/collector.example.toml"),
                include_str!("../../packaging/config/contract.example.toml"),
                include_str!("../../packaging/rules/default.toml"),
            ];
            (0..).zip(files).map(|(n, text)| first(n, text.as_bytes().to_vec())).collect()
        }
        _ => (0..8)
            .map(|_| {
                let steps = 1 + draw.below(6);
                draw.some_bytes(5 * steps)
            })
            .collect(),
    }
}

/// A request for a certificate that its key signed; always the same.
fn csr() -> Vec<u8> {
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";
    let key = rcgen::KeyPair::from_pem(KEY).expect("an Ed25519 key of sevens");
    let request = rcgen::CertificateParams::default().serialize_request(&key);
    request.expect("a request").der().to_vec()
}
