//! What the tests share: observations that can be told apart, a collector that checks everything
//! it is given, and one way to open a spool on any engine.

use crate::spool::{ChainStart, EngineKind, Room, SpoolConfig};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tenken_agent_core::spool::{
    BatchLimit, Cut, CutContext, DurableSpool, Spool, Standing,
    frame::{self, Place, Space},
    memory::MemoryDisk,
    runs::RunSet,
};
use tenken_common::{
    ack::Ack,
    batch::{Batch, Gap, GapReason, RecRun},
    category::Category,
    envelope::{Envelope, Payload, Verified},
    id::{BootId, DeviceId, Epoch, Hash, Name, Nonce, RecId, Seq},
    key::SecretKey,
    limit,
    observation::{Body, CheckResult, CheckState, Observation, Sample},
    stub::Stub,
    time::{ClockQuality, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};

pub const LIMIT: BatchLimit = BatchLimit {
    records: limit::BATCH_RECORDS_MAX,
    bytes: limit::PLAIN_BYTES_MAX,
    in_flight: limit::IN_FLIGHT_MAX,
};
pub const CAP: u64 = 8 * 1024 * 1024;

pub fn start() -> ChainStart {
    ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([9; 32]) }
}

pub fn at(s: i64) -> Moment {
    Moment { boot: BootId([2; 16]), mono: Monotonic(5), wall: Timestamp::from_secs(s) }
}

pub fn cx() -> CutContext<'static> {
    cx_of(start())
}

pub fn cx_of(start: ChainStart) -> CutContext<'static> {
    CutContext {
        device: start.device,
        at: at(1_000_000),
        clock: ClockQuality::UNKNOWN,
        agent_version: "0.1.0",
    }
}

/// An ordinary observation that carries `n` as its time and its value.
pub fn sample(n: i64) -> Observation {
    let quantity = Quantity::new(Name::new("n").unwrap(), Unit::Count, f64::from(i32::try_from(n).unwrap()));
    let probe = Name::new("test").unwrap();
    let body = Body::Sample(Sample { probe, quantities: vec![quantity.unwrap()] });
    Observation { at: at(n), category: Category::Disk, subject: Name::new("device").unwrap(), body }
}

/// An observation nearly as large as one may be, of names that hardly compress.
pub fn large(n: i64) -> Observation {
    let names = (0..100i64).map(|i| Hash::of(&[n.to_le_bytes(), i.to_le_bytes()].concat()).to_string());
    let quantities =
        names.map(|text| Quantity::new(Name::new(&text[..60]).unwrap(), Unit::Count, 1.0).unwrap());
    let body = Body::Sample(Sample { probe: Name::new("test").unwrap(), quantities: quantities.collect() });
    Observation { body, ..sample(n) }
}

/// An urgent observation.
pub fn alarm(n: i64) -> Observation {
    let body =
        Body::CheckResult(CheckResult { probe: Name::new("test").unwrap(), state: CheckState::Critical });
    Observation { at: at(n), category: Category::Service, subject: Name::new("device").unwrap(), body }
}

pub fn run(from: u64, to: u64) -> RecRun {
    RecRun { from: RecId(from), to: RecId(to) }
}

/// A disk that outlives the spools on it.
pub enum Bench {
    Memory(MemoryDisk),
    Files(TempDir, EngineKind),
}

impl Bench {
    pub fn files(kind: EngineKind) -> Self {
        Self::Files(tempfile::tempdir().unwrap(), kind)
    }

    pub fn all() -> Vec<Self> {
        vec![
            Self::Memory(MemoryDisk::default()),
            Self::files(EngineKind::Sled),
            Self::files(EngineKind::Redb),
        ]
    }

    pub fn open(&self) -> Box<dyn Spool> {
        self.open_capped(CAP)
    }

    pub fn open_capped(&self, room: impl Into<Room>) -> Box<dyn Spool> {
        self.open_chain(start(), room)
    }

    pub fn open_chain(&self, start: ChainStart, room: impl Into<Room>) -> Box<dyn Spool> {
        match self {
            Self::Memory(disk) => {
                Box::new(DurableSpool::open(disk.engine(), disk.states(), start, room).unwrap())
            }
            Self::Files(..) => crate::spool::open(&self.config(room), start).unwrap(),
        }
    }

    pub fn config(&self, room: impl Into<Room>) -> SpoolConfig {
        let Self::Files(dir, engine) = self else { panic!("only files have a configuration") };
        SpoolConfig { dir: dir.path().to_owned(), engine: *engine, room: room.into() }
    }

    pub fn dir(&self) -> &std::path::Path {
        let Self::Files(dir, _) = self else { panic!("only files have a directory") };
        dir.path()
    }

    /// Damages or removes what the lowest body is stored in, where that can be reached.
    pub fn lose_lowest_body(&self, gone: bool) {
        let Self::Memory(disk) = self else { return };
        let mut pairs = disk.pairs();
        let is_body = |key: &[u8]| matches!(frame::place(key), Some(Place::Chunk { space: Space::Body, .. }));
        let Some(key) = pairs.keys().find(|key| is_body(key)).cloned() else { return };
        if gone {
            pairs.remove(&key);
        } else if let Some(value) = pairs.get_mut(&key) {
            value[12] ^= 1;
        }
    }

    /// Damages or removes the oldest pack, where that can be reached; says whether there was one.
    pub fn lose_oldest_pack(&self, gone: bool) -> bool {
        let Self::Memory(disk) = self else { return false };
        let mut pairs = disk.pairs();
        let is_pack = |key: &[u8]| matches!(frame::place(key), Some(Place::Pack(_)));
        let Some(key) = pairs.keys().find(|key| is_pack(key)).cloned() else { return false };
        if gone {
            pairs.remove(&key);
        } else if let Some(value) = pairs.get_mut(&key) {
            value[12] ^= 1;
        }
        true
    }

    /// Loses both copies of the state.
    pub fn lose_state(&self) {
        match self {
            Self::Memory(disk) => *disk.state() = None,
            Self::Files(dir, _) => {
                std::fs::remove_file(dir.path().join("state-a")).unwrap();
                std::fs::remove_file(dir.path().join("state-b")).unwrap();
            }
        }
    }
}

/// The other side, as the protocol has it: one link is a batch or the stub with its hash, and
/// whichever comes first is stored; a gap adds nothing where the record is there. It takes links
/// in order, refuses what the protocol forbids, and signs what it has.
#[derive(Clone)]
pub struct Collector {
    key: SecretKey,
    pub start: ChainStart,
    pub seq: Seq,
    pub hash: Hash,
    pub records: BTreeMap<RecId, Observation>,
    pub gaps: Vec<Gap>,
    /// Links that came as stubs.
    pub stubs: Vec<(Seq, GapReason)>,
    /// What it held when it signed: a restored one is set back to one of these.
    chain: BTreeMap<Seq, Hash>,
}

impl Collector {
    pub fn new() -> Self {
        Self::of(start())
    }

    pub fn of(start: ChainStart) -> Self {
        Self {
            key: SecretKey::from_seed(&[5; 32]),
            start,
            seq: Seq(0),
            hash: start.genesis,
            records: BTreeMap::new(),
            gaps: Vec::new(),
            stubs: Vec::new(),
            chain: BTreeMap::new(),
        }
    }

    /// Takes a link; one that it has already has no further effect.
    pub fn accept(&mut self, cut: &Cut) {
        assert_eq!(cut.epoch, self.start.epoch);
        if cut.seq <= self.seq {
            assert_eq!(self.chain.get(&cut.seq), Some(&cut.hash), "the same number is the same link");
            return;
        }
        assert_eq!((cut.seq, cut.prev), (self.seq.next(), self.hash), "the next link of the chain");
        if let Some(reason) = cut.stub {
            assert_eq!(cut.payload_type(), Stub::TYPE);
            let stub = Stub::decode(&cut.body).unwrap();
            assert_eq!((stub.device, stub.epoch, stub.seq), (self.start.device, cut.epoch, cut.seq));
            assert_eq!((stub.prev, stub.body_hash, stub.reason), (cut.prev, cut.hash, reason));
            self.gaps.extend(stub.gaps());
            self.stubs.push((cut.seq, reason));
        } else {
            let batch = batch_of(cut);
            for record in &batch.records {
                let twice = self.records.insert(record.id, record.observation.clone());
                assert!(twice.is_none(), "record {} came twice", record.id);
            }
            self.gaps.extend(&batch.gaps);
        }
        self.seq = cut.seq;
        self.hash = cut.hash;
        self.chain.insert(cut.seq, cut.hash);
    }

    /// A resume: the newest acknowledgement moves a collector that is behind it. Returns what it
    /// misses.
    pub fn resume(&mut self, spool: &dyn Spool) -> Vec<RecRun> {
        if let Some(bytes) = spool.newest_ack() {
            let ack = Envelope::from_bytes(&bytes).unwrap().open::<Ack>(&self.key.public()).unwrap();
            assert_eq!((ack.device, ack.epoch), (self.start.device, self.start.epoch));
            if ack.acked_seq > self.seq {
                (self.seq, self.hash) = (ack.acked_seq, ack.hash);
                self.chain.insert(ack.acked_seq, ack.hash);
            }
        }
        let known = self.known();
        known.last().map_or_else(Vec::new, |last| known.missing_in(run(1, last.0)))
    }

    fn known(&self) -> RunSet {
        let mut known: RunSet = self.gaps.iter().map(|g| g.run).collect();
        known.extend(self.records.keys().map(|id| RecRun::one(*id)));
        known
    }

    pub fn ack(&self) -> (Verified<Ack>, Vec<u8>) {
        self.ack_of(self.seq, self.hash)
    }

    pub fn ack_of(&self, acked_seq: Seq, hash: Hash) -> (Verified<Ack>, Vec<u8>) {
        let ack = Ack {
            device: self.start.device,
            epoch: self.start.epoch,
            acked_seq,
            hash,
            server: Timestamp::from_secs(7),
            echo_nonce: Nonce([0; 16]),
            position: 1,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        let envelope = Envelope::seal(&ack, &self.key).unwrap();
        (envelope.open(&self.key.public()).unwrap(), envelope.to_bytes())
    }

    /// Resumes, then sends and acknowledges until nothing is left, and resumes once more.
    pub fn drain(&mut self, spool: &mut dyn Spool) {
        for _ in 0..2 {
            let missing = self.resume(spool);
            assert_eq!(spool.adopt_head(self.seq, self.hash).unwrap(), Standing::InStep);
            spool.answer_missing(&missing).unwrap();
            for _ in 0..1_000 {
                if spool.stats().in_flight == 0 {
                    spool.cut(LIMIT, &cx_of(self.start)).unwrap();
                }
                let Some(cut) = spool.next_in_flight().unwrap() else { break };
                self.accept(&cut);
                let (ack, envelope) = self.ack();
                assert!(spool.release(&ack, &envelope).unwrap() >= 1);
                assert_eq!(spool.newest_ack(), Some(envelope));
            }
        }
        let stats = spool.stats();
        assert_eq!((stats.waiting, stats.urgent, stats.in_flight, stats.gaps_waiting), (0, 0, 0, 0));
        assert_eq!(stats.violations, 0);
    }

    /// Ids that were declared with this reason and did not come.
    pub fn declared(&self, reason: GapReason) -> RunSet {
        let declared: RunSet = self.gaps.iter().filter(|g| g.reason == reason).map(|g| g.run).collect();
        declared.without(&self.records.keys().map(|id| RecRun::one(*id)).collect())
    }

    /// Every id up to `last` came or was declared.
    pub fn assert_complete(&self, last: RecId) {
        let missing = self.known().missing_in(run(1, last.0.max(1)));
        assert!(last == RecId(0) || missing.is_empty(), "silently lost: {missing:?}");
    }

    /// Nothing came that was declared lost, and nothing was declared twice.
    pub fn assert_disjoint(&self) {
        let mut seen = RunSet::default();
        for gap in &self.gaps {
            assert_eq!(seen.missing_in(gap.run), [gap.run], "declared twice: {gap:?}");
            seen.insert(gap.run);
        }
        assert!(self.records.keys().all(|id| !seen.contains(*id)), "stored and declared lost");
    }
}

/// The batch of a link that is no stub, as a collector reads it.
pub fn batch_of(cut: &Cut) -> Batch {
    assert_eq!((cut.payload_type(), cut.stub), (ReceivedBatch::TYPE, None));
    assert_eq!(Hash::of(&cut.body), cut.hash, "the body is the one that was hashed");
    let received = ReceivedBatch::decode(&cut.body).unwrap();
    assert_eq!((received.batch.seq, received.batch.prev), (cut.seq, cut.prev));
    received.batch
}
