//! What the evaluation's ticks cost a large fleet: a real store in a folder of its own, filled by its own
//! code, and the worker's tick as the program runs it.
//!
//! Holds: every device tells the [`SERIES`] numbers of [`told`] once a minute, with its checks and its own
//! report; a tick comes every ten seconds, after a sixth of the fleet has sent, by the rules that ship.
//! Counted is the processor time of the whole process while a tick runs (SQLite's threads, the
//! projection, detectors, forecasts, what the metrics show), not what taking the messages in costs.
//! Those whose forecasts are due in the minutes that count have a month behind them, a
//! point in twenty minutes of what is forecast. Those whose points are packed then have told every
//! minute since midnight, twelve hours ago, so that half a day and an hour are packed into one. The
//! clock is the store's own; nothing waits.

use crate::{column::written_bytes, seed};
use proptest::{prelude::RngExt, test_runner::TestRng};
use std::{path::Path, sync::Arc, time::Duration};
use tenken_collector::{
    ingest::{CertificateIssuer, IssueError, IssuedCertificate, commit::committer},
    metrics::Metrics,
    notify::Outlets,
    store::{Book, Store},
    worker::{
        evaluate::{Evaluator, Kept},
        turn::{TURNS, part_of},
    },
};
use tenken_collector_core::{
    predict::column::hour_of,
    stream::{Enrolled, Entry, Hospital},
};
use tenken_common::{
    batch::Batch,
    category::Category,
    enrollment::HostFacts,
    envelope::Envelope,
    fact::{Fact, WearCounter, WearDirection},
    id::{BootId, DeviceId, Epoch, Hash, HospitalId, Name, RecId, Seq, SlotId},
    key::SecretKey,
    observation::{
        Body, CheckResult, CheckState, Class, Observation, ProbeRun, ProbeState, Record, Sample, SelfReport,
    },
    statement::DeviceApproval,
    time::{Clock, ClockQuality, ManualClock, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};
use tokio::sync::Notify;

/// Of one device.
pub const SERIES: usize = 50;
const RULES: &str = include_str!("../../packaging/rules/default.toml");
/// At noon in UTC, the clock by which days are packed.
const START: Timestamp = Timestamp::from_secs(1_800_014_400);
const MORNING: Duration = Duration::from_hours(12);
const MINUTE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_secs(10);
const TICKS_A_MINUTE: usize = 6;
/// Series, detectors and caches are made in them.
const WARM_UP: usize = 2;
const COUNTED: usize = 2;
const HISTORY: Duration = Duration::from_hours(30 * 24);
const HISTORY_STEP: Duration = Duration::from_mins(20);
/// Envelopes in one transaction of the filling.
const GROUP: usize = 256;

/// See the module's head.
#[derive(Debug)]
pub struct TickResult {
    /// Processor seconds of each minute that counts.
    pub minutes: Vec<f64>,
    /// Bytes written to files in each of them.
    pub written: Vec<u64>,
    /// Devices whose hour was packed in them.
    pub packed: usize,
    /// The costliest tick of them.
    pub tick_max_s: f64,
    /// In the store at the end.
    pub series: usize,
    pub forecasts: usize,
    pub database_bytes: u64,
}

/// Measures; `cpu` is the process' processor time so far.
pub fn tick_campaign(devices: u32, number: u64, cpu: fn() -> Duration) -> TickResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(measure(&dir.path().join("collector.sqlite"), devices, number, cpu))
}

async fn measure(database: &Path, devices: u32, number: u64, cpu: fn() -> Duration) -> TickResult {
    let clock = Arc::new(ManualClock::new(BootId([0; 16]), START.minus(MORNING)));
    let store = Store::open(database, clock.clone()).await.unwrap();
    let (door, commits) = committer(store.clone(), Arc::new(Nobody));
    tokio::spawn(commits.run());
    let mut fleet = Fleet::found(&store, clock.clone(), devices, number).await;
    let packed = fleet.tell_morning().await;
    fleet.tell_history().await;
    let evaluator = Evaluator::new(
        store.clone(),
        door,
        Arc::new(Outlets::default()),
        Arc::new(Metrics::new(START, 10_000)),
        Arc::new(Notify::new()),
        Arc::default(),
    );
    let (mut kept, mut minutes, mut tick_max_s) = (Kept::default(), Vec::new(), 0.0_f64);
    let mut written = Vec::new();
    for minute in 0..WARM_UP + COUNTED {
        let (mut spent, mut bytes) = (0.0, 0);
        for tick in 0..TICKS_A_MINUTE {
            clock.advance(TICK);
            fleet.tell(tick).await;
            let (before, so_far) = (cpu(), written_bytes());
            evaluator.tick(&mut kept).await.unwrap();
            let took = cpu().saturating_sub(before).as_secs_f64();
            spent += took;
            bytes += written_bytes() - so_far;
            if minute >= WARM_UP {
                tick_max_s = tick_max_s.max(took);
            }
        }
        if minute >= WARM_UP {
            minutes.push(spent);
            written.push(bytes);
        }
    }
    let (forecasts, series) =
        (store.forecasts().await.unwrap().len(), store.series_after(0).await.unwrap().1);
    store.close().await;
    let database_bytes = std::fs::metadata(database).unwrap().len();
    let series = usize::try_from(series).unwrap_or_default();
    TickResult { minutes, written, packed, tick_max_s, series, forecasts, database_bytes }
}

/// Nobody asks for a certificate here.
struct Nobody;

impl CertificateIssuer for Nobody {
    fn issue(&self, _: &[u8], _: DeviceId, _: Timestamp) -> Result<IssuedCertificate, IssueError> {
        Err(IssueError("not here".to_owned()))
    }
}

/// Devices of one hospital, and the end of their chains.
pub(crate) struct Fleet<'s> {
    store: &'s Store,
    clock: Arc<ManualClock>,
    book: Book,
    rng: TestRng,
    devices: Vec<Sender>,
}

struct Sender {
    id: DeviceId,
    key: SecretKey,
    prev: Hash,
    seq: u64,
    next_record: u64,
}

impl<'s> Fleet<'s> {
    /// Enrolled and approved, by the rules that ship.
    pub(crate) async fn found(store: &'s Store, clock: Arc<ManualClock>, devices: u32, number: u64) -> Self {
        let hospital = HospitalId(name("minato"));
        let hospital_key = SecretKey::from_seed(&[100; 32]);
        let mut fleet =
            Self { store, clock, book: Book::default(), rng: seed::rng(number), devices: Vec::new() };
        let key = hospital_key.public().to_bytes().to_vec();
        let mut entries = vec![
            Entry::Hospital(Hospital { id: hospital.clone(), key }),
            Entry::Rules { text: RULES.to_owned() },
            Entry::Started { version: name("0.1.0") },
        ];
        for n in 0..devices {
            let hash = Hash::of(&n.to_be_bytes());
            let mut id = [0; 16];
            id.copy_from_slice(&hash.0[..16]);
            let (device, key) = (DeviceId(id), SecretKey::from_seed(&hash.0));
            let grant = n.to_be_bytes().to_vec();
            let (os, arch, agent_version) = (name("linux"), name("x86_64"), name("0.1.0"));
            let facts = HostFacts { os, arch, agent_version, machine: hash };
            let approval = DeviceApproval {
                hospital: hospital.clone(),
                device,
                fingerprint: key.public().fingerprint(),
                approved_at: START,
            };
            entries.push(Entry::Enrolled(Enrolled {
                slot: SlotId(id),
                hospital: hospital.clone(),
                device,
                label: name(&format!("ct-{n}")),
                group: None,
                device_key: key.public().to_bytes().to_vec(),
                facts,
                grant: grant.clone(),
            }));
            let bytes = Envelope::seal(&approval, &hospital_key).unwrap().to_bytes();
            entries.push(Entry::Statement { hospital: hospital.clone(), bytes });
            fleet.devices.push(Sender { id: device, key, prev: Hash::of(&grant), seq: 0, next_record: 1 });
        }
        fleet.append(entries).await;
        fleet
    }

    pub(crate) async fn append(&mut self, entries: Vec<Entry>) {
        let mut entries = entries.into_iter();
        loop {
            let group: Vec<Entry> = entries.by_ref().take(GROUP).collect();
            if group.is_empty() {
                return;
            }
            let mut tx = self.store.begin(&mut self.book).await.unwrap();
            for entry in group {
                tx.journal(entry).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    }

    pub(crate) fn ids(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|sender| sender.id).collect()
    }

    /// The next message of one of them.
    pub(crate) fn message(&mut self, index: usize, wall: Timestamp, seen: Vec<Observation>) -> Entry {
        self.devices[index].message(wall, seen)
    }

    /// The morning of those whose hour ends in the minutes that count; how many they are. The clock
    /// comes to the start.
    async fn tell_morning(&mut self) -> usize {
        let minutes = |n: usize| START.plus(MINUTE * u32::try_from(n).unwrap());
        let counted = (minutes(WARM_UP), minutes(WARM_UP + COUNTED));
        let ends = |id| hour_of(id, counted.0) != hour_of(id, counted.1);
        let senders: Vec<usize> = (0..self.devices.len()).filter(|i| ends(self.devices[*i].id)).collect();
        while self.clock.wall() < START {
            let left = START.saturating_since(self.clock.wall());
            let step = if left > Duration::from_hours(1) { 15 } else { 1 };
            let mut entries = Vec::new();
            for index in &senders {
                let at = |minute: u32| self.clock.wall().plus(MINUTE * minute);
                let seen = (0..step).flat_map(|minute| told(at(minute), &mut self.rng)).collect();
                entries.push(self.devices[*index].message(at(step - 1), seen));
            }
            self.clock.advance(MINUTE * step);
            self.append(entries).await;
        }
        senders.len()
    }

    /// The month before, of those whose turn comes in the minutes that count.
    async fn tell_history(&mut self) {
        let counted = WARM_UP..WARM_UP + COUNTED;
        for index in 0..self.devices.len() {
            if !counted.contains(&part_of(self.devices[index].id, TURNS)) {
                continue;
            }
            let mut entries = Vec::new();
            let mut records = Vec::new();
            let mut back = HISTORY;
            while !back.is_zero() {
                let at = START.minus(back);
                records.extend(forecast(at, &mut self.rng));
                back = back.saturating_sub(HISTORY_STEP);
                if records.len() > 900 || back.is_zero() {
                    entries.push(self.devices[index].message(START, std::mem::take(&mut records)));
                }
            }
            self.append(entries).await;
        }
    }

    /// A part of the fleet sends what it saw in the last minute.
    async fn tell(&mut self, part: usize) {
        let at = self.clock.wall();
        let rng = &mut self.rng;
        let senders = self.devices.iter_mut().skip(part).step_by(TICKS_A_MINUTE);
        let entries = senders.map(|sender| sender.message(at, told(at, rng))).collect();
        self.append(entries).await;
    }
}

impl Sender {
    fn message(&mut self, wall: Timestamp, seen: Vec<Observation>) -> Entry {
        self.seq += 1;
        let records = seen.into_iter().zip(self.next_record..);
        let records: Vec<Record> =
            records.map(|(observation, id)| Record { id: RecId(id), observation }).collect();
        self.next_record += records.len() as u64;
        let batch = Batch {
            device: self.id,
            epoch: Epoch(1),
            seq: Seq(self.seq),
            prev: self.prev,
            at: moment(wall),
            clock: ClockQuality::UNKNOWN,
            agent_version: "0.1.0".to_owned(),
            class: Class::Ordinary,
            records,
            gaps: vec![],
        };
        let envelope = Envelope::seal(&ReceivedBatch { batch, unknown: vec![] }, &self.key).unwrap();
        self.prev = Hash::of(envelope.body());
        Entry::Envelope { device: self.id, bytes: envelope.to_bytes() }
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn moment(wall: Timestamp) -> Moment {
    Moment { boot: BootId([1; 16]), mono: Monotonic(0), wall }
}

fn quantities(of: &[(&str, Unit, f64)]) -> Vec<Quantity> {
    of.iter().map(|(name, unit, value)| Quantity::new(self::name(name), *unit, *value).unwrap()).collect()
}

fn sample(at: Timestamp, probe: &str, subject: &str, of: &[(&str, Unit, f64)]) -> Observation {
    let body = Body::Sample(Sample { probe: name(probe), quantities: quantities(of) });
    seen(at, subject, body)
}

fn seen(at: Timestamp, subject: &str, body: Body) -> Observation {
    Observation { at: moment(at), category: Category::Performance, subject: name(subject), body }
}

/// What rules forecast, moving slowly away from its limit or nowhere, with noise.
fn forecast(at: Timestamp, rng: &mut TestRng) -> Vec<Observation> {
    let mut noisy = |value: f64| value * (1.0 + 0.01 * rng.random_range(-1.0..1.0));
    let mut all: Vec<Observation> = ["root", "data"]
        .map(|mount| {
            let free = ("available_bytes", Unit::Bytes, noisy(4e11));
            sample(at, "disk", mount, &[free, ("inodes_used", Unit::Count, noisy(1e6))])
        })
        .into();
    let wear = ("wear_used_ratio", Unit::Ratio, noisy(0.1));
    all.push(sample(at, "smart", "sda", &[wear, ("available_spare_ratio", Unit::Ratio, noisy(0.9))]));
    for neighbour in ["ct", "console"] {
        let left = ("certificate_seconds", Unit::Seconds, noisy(3e7));
        all.push(sample(at, "neighbours", neighbour, &[left]));
    }
    all
}

/// All that a device tells in a minute.
fn told(at: Timestamp, rng: &mut TestRng) -> Vec<Observation> {
    let mut noisy = |value: f64| value * (1.0 + 0.01 * rng.random_range(-1.0..1.0));
    let (ratio, bytes, count, seconds) = (Unit::Ratio, Unit::Bytes, Unit::Count, Unit::Seconds);
    let mut all = vec![
        sample(
            at,
            "cpu",
            "device",
            &[
                ("load1", count, noisy(0.5)),
                ("used_ratio", ratio, noisy(0.3)),
                ("iowait_ratio", ratio, noisy(0.01)),
            ],
        ),
        sample(
            at,
            "memory",
            "device",
            &[("used_ratio", ratio, noisy(0.5)), ("available_bytes", bytes, noisy(4e9))],
        ),
        sample(at, "pressure", "device", &[("io_some_ratio", ratio, noisy(0.02))]),
        sample(
            at,
            "smart",
            "sda",
            &[
                ("wear_used_ratio", ratio, noisy(0.1)),
                ("available_spare_ratio", ratio, noisy(0.9)),
                ("spare_threshold_ratio", ratio, 0.1),
            ],
        ),
    ];
    for sensor in ["package", "board", "disk", "tube"] {
        let now = ("celsius", Unit::Celsius, noisy(45.0));
        all.push(sample(at, "sensors", sensor, &[now, ("critical_celsius", Unit::Celsius, 95.0)]));
    }
    for mount in ["root", "data"] {
        all.push(sample(
            at,
            "disk",
            mount,
            &[
                ("available_bytes", bytes, noisy(4e11)),
                ("used_ratio", ratio, noisy(0.4)),
                ("inodes_used", count, noisy(1e6)),
                ("inodes_total", count, 1e7),
            ],
        ));
        let probe = name("disk.used_ratio");
        all.push(seen(at, mount, Body::CheckResult(CheckResult { probe, state: CheckState::Ok })));
    }
    for neighbour in ["ct", "console"] {
        let took = ("response_seconds", seconds, noisy(0.02));
        all.push(sample(at, "neighbours", neighbour, &[took, ("certificate_seconds", seconds, noisy(3e7))]));
    }
    for interface in ["eth0", "eth1", "eth2"] {
        let rates = ["received", "sent", "errors", "dropped", "busy"];
        let rates = rates.map(|rate| (rate, Unit::PerSecond, noisy(1e4)));
        all.push(sample(at, "network", interface, &rates));
    }
    for service in ["pacs", "console"] {
        let check = CheckResult { probe: name("services"), state: CheckState::Ok };
        all.push(seen(at, service, Body::CheckResult(check)));
    }
    let value = Quantity::new(name("exposures"), count, noisy(1e5)).unwrap();
    let (probe, direction) = (name("counters"), WearDirection::Up);
    let wear = WearCounter { probe, value, rated_life: Some(4e5), direction };
    all.push(seen(at, "tube", Body::Fact(Fact::WearCounter(wear))));
    let own = [
        ("expected_interval_seconds", seconds, 60.0),
        ("push_failures", count, 0.0),
        ("spool_waiting", count, noisy(12.0)),
        ("rss_bytes", bytes, noisy(7e6)),
        ("cpu_seconds", seconds, noisy(10.0)),
    ];
    let probes =
        ["cpu", "memory", "pressure", "smart", "sensors", "disk", "neighbours", "network", "services"];
    let run = |probe| ProbeRun { probe: name(probe), state: ProbeState::Ok, duration_ms: 1 };
    let report = SelfReport { quantities: quantities(&own), runs: probes.map(run).into() };
    all.push(seen(at, "device", Body::SelfReport(report)));
    all
}
