//! What a point costs in the store: devices that tell what real ones tell, every minute of thirty days,
//! in a real SQLite store filled by its own code; and the same points in a real VictoriaMetrics.
//!
//! Holds: numbers move as those of the agent's probes do and are as fine as they are (pages, jiffies,
//! half degrees, whole counters; rates and shares are quotients of such), and each probe runs at a
//! moment of its own, some milliseconds around the minute. A message has a quarter of an hour. The
//! stream is written first and projected after it, a day at a time: what the file grows by, what is
//! written and the processor time of that are the columns' (and the few other rows that the projection
//! keeps), not the messages'. VictoriaMetrics keeps milliseconds, the store microseconds.

use crate::{
    seed,
    tick::{Fleet, SERIES, name},
    victoria::VictoriaMetrics,
    wait::free_port,
};
use proptest::{prelude::RngExt, test_runner::TestRng};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::read_to_string,
    ops::{Range, RangeInclusive},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tenken_collector::store::Store;
use tenken_common::{
    category::Category,
    id::{BootId, DeviceId},
    observation::{Body, Observation, Sample},
    time::{Clock, ManualClock, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
};

pub const DAYS: usize = 30;
const FROM: Timestamp = Timestamp::from_secs(1_790_812_800);
const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: usize = DAYS * 24 * 60;
/// Minutes in a message.
const MESSAGE: usize = 15;
/// Of a device's memory and disks, in bytes.
const PAGE: f64 = 4_096.0;
/// Of its interfaces, in bytes a second; nothing is connected to the last.
const TRAFFIC: [f64; 3] = [2e6, 3e4, 0.0];
const FORECAST: Duration = Duration::from_hours(24 * 365);

/// See the module's head.
#[derive(Debug)]
pub struct ColumnResult {
    pub points: u64,
    pub stream_bytes: u64,
    /// What the file grew by when the stream was projected.
    pub projected_bytes: u64,
    /// Processor time of the projection.
    pub projected: Duration,
    /// Written while a day was projected, the first one and the last one.
    pub written: (u64, u64),
    /// Processor time of reading all forecasts' histories of one device, and points in them.
    pub history: (Duration, usize),
    pub victoria_bytes: u64,
}

/// Measures; `cpu` is the process' processor time so far.
pub fn column_campaign(devices: u32, number: u64, cpu: fn() -> Duration) -> ColumnResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(measure(dir.path(), devices, number, cpu))
}

async fn measure(dir: &Path, devices: u32, number: u64, cpu: fn() -> Duration) -> ColumnResult {
    let database = dir.join("collector.sqlite");
    let size = || std::fs::metadata(&database).unwrap().len();
    let clock = Arc::new(ManualClock::new(BootId([0; 16]), FROM));
    let store = Store::open(&database, clock.clone()).await.unwrap();
    let victoria = VictoriaMetrics::start_at(free_port(), dir);
    let mut fleet = Fleet::found(&store, clock.clone(), devices, number).await;
    let mut rng = seed::rng(number);
    let mut plants: Vec<Plant> = (0..devices).map(|_| Plant::new(&mut rng)).collect();
    let mut days = Vec::new();
    for minute in (0..MINUTES).step_by(MESSAGE) {
        let mut entries = Vec::new();
        for (i, plant) in plants.iter_mut().enumerate() {
            let seen: Vec<Observation> = (0..MESSAGE).flat_map(|_| plant.tell(&mut rng)).collect();
            victoria.import(&lines(i, &seen));
            entries.push(fleet.message(
                i,
                FROM.plus(MINUTE * u32::try_from(minute + MESSAGE).unwrap()),
                seen,
            ));
        }
        clock.advance(MINUTE * u32::try_from(MESSAGE).unwrap());
        fleet.append(entries).await;
        if (minute + MESSAGE).is_multiple_of(24 * 60) {
            days.push(store.position().await.unwrap());
        }
    }
    let devices: Vec<DeviceId> = fleet.ids();
    let points = u64::try_from(devices.len() * SERIES * MINUTES).unwrap();
    store.close().await;
    let stream_bytes = size();

    let store = Store::open(&database, clock.clone()).await.unwrap();
    let (before, mut written) = (cpu(), Vec::new());
    for position in days {
        let so_far = written_bytes();
        store.project_until(position).await.unwrap();
        written.push(written_bytes() - so_far);
    }
    let projected = cpu().saturating_sub(before);
    let history = history(&store, devices[0], clock.wall(), cpu).await;
    for device in &devices {
        check(&store, *device, clock.wall()).await;
    }
    store.close().await;
    ColumnResult {
        points,
        stream_bytes,
        projected_bytes: size() - stream_bytes,
        projected,
        written: (written[0], written[DAYS - 1]),
        history,
        victoria_bytes: victoria.settled_bytes(points),
    }
}

/// All of a device's series together, as if each had a rule that asks for a year of it.
async fn history(
    store: &Store,
    device: DeviceId,
    now: Timestamp,
    cpu: fn() -> Duration,
) -> (Duration, usize) {
    let series = store.series(device).await.unwrap();
    let spans = series.iter().map(|row| (row.id, now.minus(FORECAST)..now)).collect();
    let before = cpu();
    let histories = store.histories(device, &spans).await.unwrap();
    (cpu().saturating_sub(before), histories.values().map(Vec::len).sum())
}

/// Every point is there.
async fn check(store: &Store, device: DeviceId, now: Timestamp) {
    let series = store.series(device).await.unwrap();
    assert_eq!(series.len(), SERIES);
    let spans = series.iter().map(|row| (row.id, FROM..now.plus(MINUTE))).collect();
    let points = store.points(device, &spans).await.unwrap();
    assert!(points.len() == SERIES && points.values().all(|points| points.len() == MINUTES));
}

/// What this process has written to files so far.
pub fn written_bytes() -> u64 {
    let io = read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

/// In VictoriaMetrics' own form, a line a series.
fn lines(device: usize, seen: &[Observation]) -> String {
    let mut of: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for o in seen {
        let Body::Sample(sample) = &o.body else { continue };
        for q in &sample.quantities {
            let metric = format!(
                r#"{{"__name__":"{}","probe":"{}","subject":"{}","device":"{device}"}}"#,
                q.name, sample.probe, o.subject
            );
            of.entry(metric).or_default().push((o.at.wall.as_micros() / 1_000, q.value));
        }
    }
    let mut text = String::new();
    for (metric, points) in of {
        let (at, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
        writeln!(text, r#"{{"metric":{metric},"values":{values:?},"timestamps":{at:?}}}"#).unwrap();
    }
    text
}

/// A device, as its probes see it.
struct Plant {
    minute: u32,
    /// How far its beat is behind the full minute.
    phase_us: i64,
    load: f64,
    memory_pages: f64,
    wear: f64,
    celsius: [f64; 4],
    free_pages: [f64; 2],
    inodes: [f64; 2],
    certificate_s: [f64; 2],
    exposures: f64,
    rss_pages: f64,
    cpu_s: f64,
}

impl Plant {
    fn new(rng: &mut TestRng) -> Self {
        let phase_us = rng.random_range(0..60_000_000);
        let mut whole = |range: Range<i32>| f64::from(rng.random_range(range));
        Self {
            minute: 0,
            phase_us,
            load: 0.4,
            memory_pages: whole(900_000..1_100_000),
            wear: 0.1,
            celsius: [45.0, 38.0, 41.0, 52.0],
            free_pages: [whole(4_000_000..6_000_000), whole(90_000_000..99_000_000)],
            inodes: [whole(100_000..200_000), whole(1_000_000..2_000_000)],
            certificate_s: [3e7, 2e7],
            exposures: whole(90_000..100_000),
            rss_pages: whole(1_600..1_800),
            cpu_s: 10.0,
        }
    }

    /// All that it tells of the next minute: 50 numbers, by ten probes.
    fn tell(&mut self, rng: &mut TestRng) -> Vec<Observation> {
        let beat = FROM.plus(MINUTE * self.minute).plus_micros(self.phase_us);
        self.minute += 1;
        let at = beat.plus_micros(rng.random_range(0..4_000));
        let mut seen = Seen { at, rng, all: Vec::new() };
        self.load(&mut seen);
        self.disks(&mut seen);
        self.network(&mut seen);
        self.itself(&mut seen);
        seen.all
    }

    fn load(&mut self, seen: &mut Seen<'_>) {
        self.load = (self.load * 0.9 + seen.whole(0..=20) / 100.0).max(0.0);
        let jiffies = 24_000.0 + seen.whole(-8..=8);
        let cpu = [
            ("load1", Unit::Count, (self.load * 100.0).round() / 100.0),
            ("used_ratio", Unit::Ratio, (4_000.0 + seen.whole(0..=3_000)) / jiffies),
            ("iowait_ratio", Unit::Ratio, seen.whole(0..=90) / jiffies),
        ];
        seen.run(200..=400, "cpu", &[("device", &cpu)]);
        self.memory_pages += seen.whole(-400..=400);
        let memory = [
            ("used_ratio", Unit::Ratio, 1.0 - self.memory_pages / 4_000_000.0),
            ("available_bytes", Unit::Bytes, self.memory_pages * PAGE),
        ];
        seen.run(100..=300, "memory", &[("device", &memory)]);
        let waits = (seen.whole(0..=60) - 40.0).max(0.0) / 10_000.0;
        seen.run(100..=300, "pressure", &[("device", &[("io_some_ratio", Unit::Ratio, waits)])]);
        let celsius = self.celsius.each_mut().map(|celsius| {
            *celsius = (*celsius + seen.whole(-1..=1) / 2.0).clamp(30.0, 80.0);
            [("celsius", Unit::Celsius, *celsius), ("critical_celsius", Unit::Celsius, 95.0)]
        });
        let [package, board, disk, tube] = &celsius;
        seen.run(
            500..=2_000,
            "sensors",
            &[("package", package), ("board", board), ("disk", disk), ("tube", tube)],
        );
    }

    fn disks(&mut self, seen: &mut Seen<'_>) {
        if self.minute.is_multiple_of(20_000) {
            self.wear += 0.01;
        }
        let smart = [
            ("wear_used_ratio", Unit::Ratio, self.wear),
            ("available_spare_ratio", Unit::Ratio, 1.0),
            ("spare_threshold_ratio", Unit::Ratio, 0.1),
        ];
        seen.run(20_000..=60_000, "smart", &[("sda", &smart)]);
        let [root, data] = [0, 1].map(|mount| {
            let (free, inodes) = (&mut self.free_pages[mount], &mut self.inodes[mount]);
            *free -= seen.whole(0..=30);
            *inodes += seen.whole(-1..=2);
            [
                ("available_bytes", Unit::Bytes, *free * PAGE),
                ("used_ratio", Unit::Ratio, 1.0 - *free / [1e7, 1e8][mount]),
                ("inodes_used", Unit::Count, *inodes),
                ("inodes_total", Unit::Count, 1e7),
            ]
        });
        seen.run(200..=500, "disk", &[("root", &root), ("data", &data)]);
    }

    fn network(&mut self, seen: &mut Seen<'_>) {
        let [ct, console] = self.certificate_s.each_mut().map(|left| {
            *left -= 60.0;
            let took = (800.0 + seen.whole(0..=400) + seen.whole(0..=400)) / 1e6;
            [("response_seconds", Unit::Seconds, took), ("certificate_seconds", Unit::Seconds, *left)]
        });
        seen.run(2_000..=9_000, "neighbours", &[("ct", &ct), ("console", &console)]);
        let [eth0, eth1, eth2] = TRAFFIC.map(|mean| {
            let took = 60.0 + seen.whole(-900..=900) / 1e6;
            let sent = (mean * (50.0 + seen.whole(0..=20))).round();
            [
                ("received", Unit::PerSecond, sent / took),
                ("sent", Unit::PerSecond, (sent / 11.0).round() / took),
                ("errors", Unit::PerSecond, 0.0),
                ("dropped", Unit::PerSecond, 0.0),
                ("busy", Unit::PerSecond, (sent / 1_400.0).round() / took),
            ]
        });
        seen.run(300..=600, "network", &[("eth0", &eth0), ("eth1", &eth1), ("eth2", &eth2)]);
    }

    fn itself(&mut self, seen: &mut Seen<'_>) {
        self.exposures += (seen.whole(0..=6) - 3.0).max(0.0);
        seen.run(100..=200, "counters", &[("tube", &[("exposures", Unit::Count, self.exposures)])]);
        self.rss_pages += seen.whole(-1..=1);
        self.cpu_s += seen.whole(1..=3) / 100.0;
        let own = [
            ("expected_interval_seconds", Unit::Seconds, 60.0),
            ("push_failures", Unit::Count, 0.0),
            ("spool_waiting", Unit::Count, seen.whole(10..=14)),
            ("rss_bytes", Unit::Bytes, self.rss_pages * PAGE),
            ("cpu_seconds", Unit::Seconds, (self.cpu_s * 100.0).round() / 100.0),
        ];
        seen.run(0..=0, "agent", &[("device", &own)]);
    }
}

type Number<'n> = (&'n str, Unit, f64);

/// What was seen in a minute so far, and when the next probe runs.
struct Seen<'r> {
    at: Timestamp,
    rng: &'r mut TestRng,
    all: Vec<Observation>,
}

impl Seen<'_> {
    fn whole(&mut self, range: RangeInclusive<i32>) -> f64 {
        f64::from(self.rng.random_range(range))
    }

    /// A probe's run, which takes so many microseconds.
    fn run(&mut self, took_us: RangeInclusive<i64>, probe: &str, seen: &[(&str, &[Number<'_>])]) {
        let at = Moment { boot: BootId([1; 16]), mono: Monotonic(0), wall: self.at };
        for (subject, numbers) in seen {
            let quantity = |(q, unit, value): &Number<'_>| Quantity::new(name(q), *unit, *value).unwrap();
            let quantities = numbers.iter().map(quantity).collect();
            let body = Body::Sample(Sample { probe: name(probe), quantities });
            self.all.push(Observation { at, category: Category::Performance, subject: name(subject), body });
        }
        self.at = self.at.plus_micros(self.rng.random_range(took_us));
    }
}
