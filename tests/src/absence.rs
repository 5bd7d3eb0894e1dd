//! Devices that were away: switched off for an hour to five years, or with a wrong clock, while the
//! collector's roots and keys changed several times. All of them must find back by themselves, except
//! those that were revoked.
//!
//! Holds: the agents and the collector are the real ones, over TLS on loopback, in this process; only
//! their clocks are the campaign's. Years pass in jumps while every agent is off, as they would for
//! the collector.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tenken_agent::{
    config::AgentConfig,
    enroll,
    probes::ProbeOptions,
    spool::EngineKind,
    status,
    transport::way::{Addresses, Way},
};
use tenken_collector::{
    app::{self, Running},
    config::CollectorConfig,
    desk,
    pki::{Pki, Renewed},
};
use tenken_collector_core::stream::{Entry, Hospital};
use tenken_common::{
    category::Category,
    codec,
    config::HumanDuration,
    consent::{ConsentManifest, Scope},
    envelope::Envelope,
    id::{BootId, DeviceId, HospitalId, Name, Nonce},
    key::SecretKey,
    limit,
    time::{Clock, Moment, SystemClock, Timestamp},
    trust::TrustChain,
};
use tenken_hospital::{
    consent,
    device::{SlotOrder, approve, make_slot},
};
use tokio::sync::oneshot;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);
const HORIZON: Duration = Duration::from_hours(5 * 365 * 24);
/// How long a device may take to find back.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a revoked one is watched.
const WATCHED: Duration = Duration::from_secs(8);
/// Agents that run at the same time.
const AT_ONCE: usize = 25;
/// Every so many devices, one is revoked.
const REVOKED_EVERY: usize = 20;
/// When keys change, in parts of the horizon, and which.
const ROTATIONS: [(u32, Renewed); 6] = [
    (10, Renewed { ack_key: true, root: false, signer: false, forget_roots: false }),
    (30, Renewed { ack_key: false, root: true, signer: false, forget_roots: false }),
    (45, Renewed { ack_key: true, root: true, signer: true, forget_roots: false }),
    (60, Renewed { ack_key: false, root: true, signer: false, forget_roots: true }),
    (80, Renewed { ack_key: true, root: false, signer: true, forget_roots: false }),
    (95, Renewed { ack_key: true, root: true, signer: false, forget_roots: false }),
];

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceResult {
    /// Devices that did not find back in time, with why.
    pub lost: Vec<String>,
    /// Revoked devices of which something was taken.
    pub let_in: Vec<String>,
    pub revoked: usize,
    pub slowest: Duration,
    pub trust_version: u64,
}

/// The true time, moved by the campaign, at the pace of real time; and a device's error on top.
#[derive(Clone)]
struct TravelClock {
    ahead_us: Arc<AtomicI64>,
    error_us: i64,
    boot: BootId,
    real: SystemClock,
}

impl TravelClock {
    fn new() -> Self {
        Self { ahead_us: Arc::default(), error_us: 0, boot: BootId([0; 16]), real: SystemClock::new() }
    }

    /// Of a device that starts now, with this on its wall clock.
    fn of_device(&self, showing: Option<Timestamp>) -> Self {
        let error_us = showing.map_or(0, |at| at.micros_since(self.wall()));
        let boot = BootId(tenken_common::key::random().unwrap());
        Self { error_us, boot, ..self.clone() }
    }

    /// Only forward.
    fn travel_to(&self, at: Timestamp) {
        let left = at.micros_since(self.wall()).max(0);
        self.ahead_us.fetch_add(left, Ordering::SeqCst);
    }
}

impl Clock for TravelClock {
    fn now(&self) -> Moment {
        let real = self.real.now();
        let us = self.ahead_us.load(Ordering::SeqCst).saturating_add(self.error_us);
        Moment { boot: self.boot, mono: real.mono, wall: real.wall.plus_micros(us) }
    }
}

struct Device {
    id: DeviceId,
    config: AgentConfig,
    away: Duration,
    /// What its clock shows when it comes back, where that is wrong.
    shows: Option<Timestamp>,
    acked: u64,
}

struct Agent {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// splitmix64, as in `common::retry`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Short absences are as likely as long ones, by orders of magnitude.
    fn absence(&mut self) -> Duration {
        let doublings = HORIZON.as_secs() / HOUR.as_secs();
        let bits = u64::from(doublings.ilog2());
        let order = self.roll() % (bits + 1);
        let hours = (1_u64 << order) + self.roll() % (1_u64 << order);
        (HOUR * u32::try_from(hours).unwrap()).min(HORIZON)
    }

    fn wrong_clock(&mut self, now: Timestamp) -> Option<Timestamp> {
        let ten_years = YEAR * 10;
        [
            None,
            None,
            None,
            Some(Timestamp::EPOCH.plus(DAY)),
            Some("2000-01-01T00:00:00Z".parse().unwrap()),
            Some(now.plus(ten_years)),
            Some(now.minus(ten_years)),
            Some(now.plus(DAY)),
            Some(now.minus(DAY)),
        ]
        .into_iter()
        .nth(usize::try_from(self.roll() % 9).unwrap())
        .flatten()
    }
}

struct World {
    dir: PathBuf,
    clock: TravelClock,
    collector: Running,
    pki: PathBuf,
    hospital: HospitalId,
    hospital_key: SecretKey,
    consent: Envelope,
}

/// Runs the campaign with so many devices.
pub fn absence_campaign(devices: usize, seed: u64) -> AbsenceResult {
    tenken_common::tls::install_default();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::begin(folder.path()));
    let mut dice = Dice(seed);
    let (start, end) = (world.clock.wall(), world.clock.wall().plus(HORIZON).plus(HOUR));
    let mut absences: Vec<Duration> = (0..devices).map(|_| dice.absence()).collect();
    absences.sort_unstable_by(|a, b| b.cmp(a));

    let mut rotations = ROTATIONS.iter();
    let mut next = rotations.next();
    let mut all: Vec<Device> = Vec::new();
    for group in absences.chunks(AT_ONCE) {
        // The whole group begins when the one that is away longest must have ended.
        let away = group.first().copied().unwrap_or_default();
        let at = end.minus(away);
        while let Some((percent, renewed)) = next
            && start.plus(HORIZON * *percent / 100) <= at
        {
            runtime.block_on(world.rotate(start.plus(HORIZON * *percent / 100), *renewed));
            next = rotations.next();
        }
        world.clock.travel_to(at);
        let mut begun: Vec<Device> = group
            .iter()
            .enumerate()
            .map(|(n, _)| runtime.block_on(world.enroll(all.len() + n, away, dice.wrong_clock(end))))
            .collect();
        world.run(&begun, false, WITHIN);
        for device in &mut begun {
            device.acked = acked(device);
            assert!(device.acked > 0, "{} never delivered before it went away", device.id);
        }
        all.append(&mut begun);
    }
    while let Some((percent, renewed)) = next {
        runtime.block_on(world.rotate(start.plus(HORIZON * *percent / 100), *renewed));
        next = rotations.next();
    }
    world.clock.travel_to(end);
    let revoked = runtime.block_on(world.revoke_some(&all));
    let mut outcome = AbsenceResult {
        lost: vec![],
        let_in: vec![],
        revoked: revoked.len(),
        slowest: Duration::ZERO,
        trust_version: Pki::load(&world.pki).unwrap().version(),
    };
    let (bad, good): (Vec<Device>, Vec<Device>) =
        all.into_iter().partition(|device| revoked.contains(&device.id));
    for group in good.chunks(AT_ONCE) {
        for (device, took) in group.iter().zip(world.run(group, true, WITHIN)) {
            match took {
                Some(took) => outcome.slowest = outcome.slowest.max(took),
                None => outcome.lost.push(why(device)),
            }
        }
    }
    for group in bad.chunks(AT_ONCE) {
        world.run(group, true, WATCHED);
        let late = group.iter().filter(|device| acked(device) != device.acked);
        outcome.let_in.extend(late.map(why));
    }
    runtime.block_on(world.collector.stop()).unwrap();
    outcome
}

fn acked(device: &Device) -> u64 {
    status::load(&device.config.state_dir).map_or(0, |s| s.spool.acked_batches)
}

fn why(device: &Device) -> String {
    let status = status::load(&device.config.state_dir);
    let delivery = status.map(|s| s.delivery);
    format!("{} away {:?} showing {:?}: {delivery:?}", device.id, device.away, device.shows)
}

impl World {
    async fn begin(dir: &Path) -> Self {
        let clock = TravelClock::new();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut config = CollectorConfig { data_dir: dir.join("collector"), ..CollectorConfig::default() };
        (config.listen.device, config.listen.enroll, config.listen.metrics) = (local(0), local(0), local(0));
        app::init(&config).unwrap();
        let pki = config.pki_dir();
        let collector = app::start_at(config, Arc::new(clock.clone())).await.unwrap();
        let hospital_key = SecretKey::generate().unwrap();
        let hospital: HospitalId = crate::HOSPITAL.parse().unwrap();
        let key = hospital_key.public().to_bytes().to_vec();
        let entry = Entry::Hospital(Hospital { id: hospital.clone(), key });
        collector.store().append(vec![entry]).await.unwrap();
        let manifest = ConsentManifest {
            hospital: hospital.clone(),
            scope: Scope::Hospital,
            categories: Category::ALL.into_iter().map(Category::code).collect(),
            interval_floor_s: 1,
            valid_from: clock.wall().minus(DAY),
            valid_to: clock.wall().plus(YEAR * 8),
            version: 1,
            heartbeat: true,
        };
        let consent = consent::sign(&manifest, &hospital_key).unwrap();
        collector.file_statement(&consent).await.unwrap();
        Self { dir: dir.to_owned(), clock, collector, pki, hospital, hospital_key, consent }
    }

    /// Makes the next version at that time; returns when the collector serves it.
    async fn rotate(&self, at: Timestamp, renewed: Renewed) {
        self.clock.travel_to(at);
        let offline = Pki::offline_dir(&self.pki);
        let before = Pki::load(&self.pki).unwrap();
        before.next_version(renewed, &offline, self.clock.wall()).unwrap();
        let open = format!("https://localhost:{}", self.collector.addresses().enroll.port());
        let to = Addresses { push: &open, open: Some(&open) };
        let transport = Way::new(&AgentConfig::default().push).unwrap().unjudged(to).unwrap();
        let path = format!("/v1/trust?after={}", before.version());
        for _ in 0..100 {
            let answer = transport.get(&path, &Nonce([0; 16])).await.unwrap();
            let chain: TrustChain = codec::from_slice(&answer.body, limit::MESSAGE_BYTES_MAX).unwrap();
            if !chain.documents.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the collector did not take up the version after {}", before.version());
    }

    async fn enroll(&self, n: usize, away: Duration, shows: Option<Timestamp>) -> Device {
        let now = self.clock.wall();
        let order = SlotOrder {
            hospital: self.hospital.clone(),
            label: Name::new(&format!("ct-{n}")).unwrap(),
            group: None,
            collector: format!("https://localhost:{}", self.collector.addresses().enroll.port()),
            root: Pki::load(&self.pki).unwrap().root_sha256(),
            consent: self.consent.clone(),
            life: limit::SLOT_LIFE_MAX,
            replaces: None,
        };
        let slot = make_slot(order, &self.hospital_key, now).unwrap();
        self.collector.file_statement(&slot.for_collector).await.unwrap();
        let mut config =
            AgentConfig { state_dir: self.dir.join(format!("ct-{n}")), ..AgentConfig::default() };
        config.spool.engine = EngineKind::Redb;
        config.push.interval = HumanDuration(Duration::from_secs(1));
        config.push.report = HumanDuration(Duration::from_secs(1));
        config.push.retry_first = HumanDuration(Duration::from_millis(200));
        config.push.retry_max = HumanDuration(Duration::from_secs(10));
        let names = ["clock", "cpu", "disk", "memory", "network", "sensors", "services"];
        config.probes = ProbeOptions::every(HumanDuration(Duration::from_secs(1)));
        config.probes.disabled = names.map(|name| Name::new(name).unwrap()).to_vec();
        std::fs::create_dir_all(&config.state_dir).unwrap();
        let way = Way::new(&config.push).unwrap();
        let enrolled = enroll::enroll(&config.state_dir, &slot.for_device, "0.1.0", &way).await.unwrap();
        let fingerprint = enrolled.device_key.public().fingerprint();
        let approval =
            approve(self.hospital.clone(), enrolled.device, fingerprint, &self.hospital_key, now).unwrap();
        self.collector.file_statement(&approval).await.unwrap();
        Device { id: enrolled.device, config, away, shows, acked: 0 }
    }

    async fn revoke_some(&self, all: &[Device]) -> Vec<DeviceId> {
        let mut revoked = Vec::new();
        for device in all.iter().step_by(REVOKED_EVERY) {
            desk::revoke(self.collector.store(), device.id).await.unwrap();
            revoked.push(device.id);
        }
        // The collector's own look at its store is twice a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
        revoked
    }

    /// Switches them on until each has an acknowledgement more than before, at most for so long; gives
    /// how long each took.
    fn run(&self, devices: &[Device], wrong: bool, within: Duration) -> Vec<Option<Duration>> {
        let real = SystemClock::new();
        let start = real.mono();
        let passed = || real.mono().saturating_since(start);
        let agents: Vec<Agent> = devices
            .iter()
            .map(|device| Agent::start(device, self.clock.of_device(device.shows.filter(|_| wrong))))
            .collect();
        let mut took: BTreeMap<usize, Duration> = BTreeMap::new();
        while took.len() < devices.len() && passed() < within {
            crate::let_pass(Duration::from_millis(50));
            for (n, device) in devices.iter().enumerate() {
                if !took.contains_key(&n) && acked(device) > device.acked {
                    took.insert(n, passed());
                }
            }
        }
        for (agent, device) in agents.into_iter().zip(devices) {
            // One that ended by itself says so when it is joined.
            let _ = agent.stop.send(());
            let ended = agent.thread.join().expect("an agent's thread does not panic");
            assert!(ended.is_ok(), "{}: {ended:?}", device.id);
        }
        (0..devices.len()).map(|n| took.get(&n).copied()).collect()
    }
}

impl Agent {
    fn start(device: &Device, clock: TravelClock) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let config = device.config.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(tenken_agent::app::run_at(config, Arc::new(clock), async {
                // A campaign that is gone means stop as well.
                let _ = stopped.await;
            }))
        });
        Self { stop, thread }
    }
}
