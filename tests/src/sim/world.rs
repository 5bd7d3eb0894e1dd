//! A world: the scheduler that lets one thing happen after the other, in virtual time.
//!
//! Holds: events of one moment happen in the order in which they were planned. Nothing else
//! decides an order: the same seed gives the same world.

use super::{
    Ask, Bug, Cx, Path, Reply, Trace,
    clock::{SimClock, server_at},
    collector::{Answer, Collector, POISON},
    device::{Device, DeviceImage, Next, Settings},
    dice::Dice,
    net::Net,
    oracle::{Invariant, Oracle, Violation, Writer},
    plan::{Consent, CrashMoment, Damage, Fault, Plan},
    rows::{Row, Rows},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};
use tenken_agent_core::{
    pusher::{Halt, PushPolicy},
    spool::{BatchLimit, ChainStart},
};
use tenken_common::{
    batch::GapReason,
    category::Category,
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, Payload},
    id::{BootId, DeviceId, Epoch, Hash, Name, Nonce, Seq},
    key::SecretKey,
    limit,
    observation::{Body, CheckResult, CheckState, Observation},
    stub::Stub,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// How long a device waits for an answer.
const TIMEOUT: u64 = 30_000;
/// From the arrival of a job to its transaction.
const GATHER: u64 = 20;
/// Categories that the probes of these devices have.
const CATEGORIES: [Category; 4] = [Category::Performance, Category::Disk, Category::Service, Category::Agent];

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub rows: Rows,
    /// Simulated time, summed over its devices.
    pub device_ms: u64,
    pub batches: u64,
    pub records: u64,
    pub trace: Vec<String>,
    /// Of every decision of the collector, with its moment.
    pub digest: u64,
}

enum Event {
    Probe {
        place: usize,
    },
    Step {
        place: usize,
        life: u32,
        turn: u64,
    },
    Timeout {
        place: usize,
        life: u32,
        number: u64,
    },
    Arrive(Ask),
    Answered(Answer),
    Commit {
        life: u32,
    },
    /// The hospital's word on a rejoin is filed.
    Approve {
        place: usize,
    },
    /// The acknowledgement of a medium comes back.
    AckFile {
        place: usize,
    },
    Happen(Fault),
    Up {
        place: usize,
        boot: Option<BootId>,
        reboot: bool,
    },
    Room {
        place: usize,
    },
    CollectorUp,
    CollectorRoom,
    Heal,
    Look,
}

/// See the module's head.
struct World<'a> {
    plan: &'a Plan,
    bug: Option<Bug>,
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u64)>>,
    events: BTreeMap<u64, Event>,
    dice: Dice,
    net: Net,
    devices: Vec<Device>,
    /// The turn of each device's loop; an older one is not taken.
    turns: Vec<u64>,
    boots: Vec<Vec<BootId>>,
    images: BTreeMap<usize, (DeviceImage, Writer)>,
    sent: BTreeMap<usize, Vec<Ask>>,
    /// For whom the hospital was asked about a rejoin, from which epoch, and with which key.
    approved: BTreeMap<(usize, Epoch), Hash>,
    collector: Collector,
    commit_planned: bool,
    /// The collector's power fails at its next commit, for so long.
    crash_at: Option<(CrashMoment, u64)>,
    hospital: SecretKey,
    consent_version: u64,
    consents: Vec<Envelope>,
    tags: u64,
    healed: bool,
    /// Devices that were started once more at the end.
    started_again: BTreeSet<usize>,
    oracle: Oracle,
    rows: Rows,
    trace: Trace,
}

macro_rules! cx {
    ($world:ident) => {
        Cx {
            now: $world.now,
            dice: &mut $world.dice,
            oracle: &mut $world.oracle,
            rows: &mut $world.rows,
            trace: &mut $world.trace,
            bug: $world.bug,
        }
    };
}

mod fault;
mod life;

/// Runs the world of a plan to its end.
pub fn run(plan: &Plan, bug: Option<Bug>, trace: bool) -> Outcome {
    let mut world = World::new(plan, bug, trace);
    world.begin();
    let ended = world.turn();
    let batches = world.collector.log.len() as u64;
    let records = world.collector.log.iter().map(|entry| entry.records.len() as u64).sum();
    let digest = world.oracle.digest();
    Outcome {
        seed: plan.seed,
        violations: world.oracle.violations,
        rows: world.rows,
        device_ms: ended * world.devices.len() as u64,
        batches,
        records,
        digest,
        trace: world.trace.lines(),
    }
}

/// Runs a world, and where its wall clocks are wrong, once more with right ones: every decision
/// has to come out the same, at the same moment (I7).
pub fn judge(plan: &Plan) -> Outcome {
    let mut outcome = run(plan, None, false);
    if outcome.violations.is_empty()
        && let Some(right) = plan.with_right_clocks()
        && run(&right, None, false).digest != outcome.digest
    {
        let what = "with right wall clocks something else is decided".to_owned();
        outcome.violations.push(Violation { invariant: Invariant::I7, at: 0, what });
    }
    outcome
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, bug: Option<Bug>, trace: bool) -> Self {
        let mut dice = Dice::new(plan.seed ^ 0xd1ce);
        let ack_key = SecretKey::from_seed(&dice.bytes());
        let hospital = SecretKey::from_seed(&dice.bytes());
        Self {
            plan,
            bug,
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            net: Net::default(),
            devices: Vec::new(),
            turns: Vec::new(),
            boots: Vec::new(),
            images: BTreeMap::new(),
            sent: BTreeMap::new(),
            approved: BTreeMap::new(),
            collector: Collector::new(ack_key, plan.certificate_life.map(Duration::from_millis)),
            commit_planned: false,
            crash_at: None,
            hospital,
            consent_version: 0,
            consents: Vec::new(),
            tags: 0,
            healed: false,
            started_again: BTreeSet::new(),
            oracle: Oracle::new(plan.keeps_all()),
            rows: Rows::default(),
            trace: Trace::new(trace),
            dice,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((time.max(self.now), self.order, self.order)));
        self.events.insert(self.order, event);
    }

    fn settings(&self) -> Settings {
        let t = self.plan.interval;
        Settings {
            policy: PushPolicy {
                interval: Duration::from_millis(t),
                retry_first: Duration::from_secs(2),
                retry_max: Duration::from_millis((t / 3).clamp(30_000, 6 * 3_600_000)),
                alarm_retry_max: Duration::from_millis((t / 20).clamp(3_000, 3_600_000)),
            },
            // The agent's own two seconds, over days of a full disk, would show the same again.
            disk_retry: Duration::from_millis((t / 60).max(2_000)),
            batch: BatchLimit {
                records: self.plan.batch_records,
                bytes: limit::PLAIN_BYTES_MAX,
                in_flight: limit::IN_FLIGHT_MAX,
            },
            room: self.plan.room(),
            ack_key: self.collector.ack_key(),
            hospital_key: self.hospital.public(),
            certificate_life_ms: self.plan.certificate_life,
        }
    }

    fn begin(&mut self) {
        let first = self.sign_consent(Consent::Full);
        for place in 0..self.plan.devices {
            let key = SecretKey::from_seed(&self.dice.bytes());
            let device = DeviceId(self.dice.bytes());
            let genesis = Hash(self.dice.bytes());
            let start = ChainStart { device, epoch: Epoch(1), genesis };
            self.oracle.enroll(device, Epoch(1), genesis);
            self.collector.enroll(device, key.public(), (Epoch(1), genesis));
            let boot = BootId(self.dice.bytes());
            let clock = SimClock { boot, booted_at: 0, wall_offset_us: self.plan.wall_offset_us };
            let settings = self.settings();
            self.add(Device::new(place, start, key, clock, settings));
            let mut cx = cx!(self);
            self.devices[place].file_consent(&mut cx, first.clone());
            self.up(place);
            let offset = self.dice.below(self.plan.probe_every);
            self.at(offset, Event::Probe { place });
        }
        let plan = self.plan;
        for (at, fault) in &plan.faults {
            self.at(*at, Event::Happen(*fault));
        }
        self.at(plan.span, Event::Heal);
    }

    fn add(&mut self, device: Device) {
        self.boots.push(vec![device.clock.boot]);
        self.turns.push(0);
        self.devices.push(device);
    }

    /// The scheduler; gives the moment at which the world came to its end.
    fn turn(&mut self) -> u64 {
        while let Some(Reverse((at, _, number))) = self.queue.pop() {
            let Some(event) = self.events.remove(&number) else { continue };
            self.now = at;
            self.oracle.tick(at);
            if self.happen(event) || !self.oracle.violations.is_empty() {
                break;
            }
        }
        self.now
    }

    /// True where the world has come to its end.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Probe { place } => self.probe(place),
            Event::Step { place, life, turn } => {
                if self.devices[place].life == life && self.turns[place] == turn {
                    self.step(place);
                }
            }
            Event::Timeout { place, life, number } => {
                if self.devices[place].life == life {
                    self.answered(&Answer { place, life, number, reply: Reply::Bare { retry_after: None } });
                }
            }
            Event::Arrive(ask) => self.arrive(&ask),
            Event::Answered(answer) => self.answered(&answer),
            Event::Commit { life } => {
                self.commit_planned = false;
                if self.collector.life == life {
                    self.commit();
                }
            }
            Event::Approve { place } => self.approve(place),
            Event::AckFile { place } => {
                let mut cx = cx!(self);
                let device = self.devices[place].device();
                if let Some(bytes) = self.collector.ack_file(&mut cx, device) {
                    self.devices[place].import_ack(&mut cx, &bytes);
                }
            }
            Event::Happen(fault) => {
                if !self.healed {
                    self.trace.say(self.now, || format!("-- {fault:?}"));
                    self.fault(fault);
                }
            }
            Event::Up { place, boot, reboot } => {
                if !self.devices[place].is_up() {
                    self.boot(place, boot, reboot);
                }
            }
            Event::Room { place } => self.devices[place].disk.work(),
            Event::CollectorUp => self.collector.start(),
            Event::CollectorRoom => self.collector.set_full(false),
            Event::Heal => self.heal(),
            Event::Look => return self.look(),
        }
        false
    }

    // ---- devices

    fn up(&mut self, place: usize) {
        self.oracle.consent_forgotten(place);
        let mut cx = cx!(self);
        self.devices[place].start(&mut cx);
        self.trace.say(self.now, || format!("device {place} starts"));
        if self.devices[place].is_up() {
            self.soon(place, 0);
        } else if self.devices[place].disk.is_dead() {
            self.power_lost(place, self.plan.interval / 3);
        } else {
            // The service manager tries again.
            self.at(self.now + 60_000, Event::Up { place, boot: None, reboot: false });
        }
    }

    fn boot(&mut self, place: usize, boot: Option<BootId>, reboot: bool) {
        self.devices[place].disk.work_again();
        if reboot || boot.is_some() {
            let boot = boot.unwrap_or_else(|| BootId(self.dice.bytes()));
            self.boots[place].push(boot);
            let device = &mut self.devices[place];
            device.clock.boot = boot;
            device.clock.booted_at = self.now;
        }
        self.up(place);
    }

    fn soon(&mut self, place: usize, wait: u64) {
        self.turns[place] += 1;
        let (life, turn) = (self.devices[place].life, self.turns[place]);
        self.at(self.now + wait, Event::Step { place, life, turn });
    }

    fn step(&mut self, place: usize) {
        if self.devices[place].is_asking() {
            return;
        }
        let mut cx = cx!(self);
        let next = self.devices[place].step(&mut cx);
        if self.devices[place].disk.is_dead() {
            self.power_lost(place, self.plan.interval / 3);
            return;
        }
        let pending = self.devices[place].pending.as_ref().map(|key| key.public().fingerprint());
        if self.plan.rejoins
            && let Some(key) = pending
            && !self.approved_device(place)
            && self.approved.insert((place, self.devices[place].start.epoch), key) != Some(key)
        {
            let later = self.dice.between(1, 2 * self.plan.interval);
            self.at(self.now + later, Event::Approve { place });
        }
        match next {
            Next::Wait(wait) => {
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                self.soon(place, ms);
            }
            Next::Ask(ask) => self.send(&ask),
        }
    }

    fn send(&mut self, ask: &Ask) {
        let (place, life, number) = (ask.place, ask.life, ask.number);
        if self.net.is_storm(place, self.now) {
            self.oracle.busy(place);
        }
        self.trace.say(self.now, || format!("device {place} asks {:?} ({number})", ask.path));
        if ask.path == Path::Batch {
            let envelope = Envelope::from_bytes(&ask.bytes).expect("a device sends envelopes");
            if envelope.payload_type() == ReceivedBatch::TYPE {
                let received = ReceivedBatch::decode(envelope.body()).expect("a device sends batches");
                self.oracle.sent(place, &received.batch.records);
            }
        }
        if ask.path == Path::Batch {
            self.sent.entry(place).or_default().push(ask.clone());
        }
        let arrivals = self.net.arrivals(&mut self.dice, place, self.now);
        for at in arrivals {
            self.at(at, Event::Arrive(ask.clone()));
        }
        self.at(self.now + TIMEOUT, Event::Timeout { place, life, number });
    }

    fn answered(&mut self, answer: &Answer) {
        let place = answer.place;
        if self.devices[place].life != answer.life {
            return;
        }
        let waited = self.devices[place].is_asking();
        let mut cx = cx!(self);
        self.devices[place].answered(&mut cx, answer.number, &answer.reply);
        if self.devices[place].disk.is_dead() {
            self.power_lost(place, self.plan.interval / 3);
        } else if waited && !self.devices[place].is_asking() {
            self.soon(place, 0);
        }
    }

    fn power_lost(&mut self, place: usize, down: u64) {
        self.devices[place].crash();
        self.trace.say(self.now, || format!("device {place} lost its power"));
        self.at(self.now + down.max(1), Event::Up { place, boot: None, reboot: true });
    }

    // ---- the collector

    fn arrive(&mut self, ask: &Ask) {
        let mut cx = cx!(self);
        let answer = self.collector.take(&mut cx, ask);
        if let Some(answer) = answer {
            self.answer(answer);
        }
        if self.collector.has_jobs() && !self.commit_planned {
            self.commit_planned = true;
            if self.bug == Some(Bug::AckBeforeCommit) {
                let early = self.collector.answer_early(self.now);
                for answer in early {
                    self.answer(answer);
                }
            }
            let life = self.collector.life;
            self.at(self.now + GATHER, Event::Commit { life });
        }
    }

    fn commit(&mut self) {
        let crash = self.crash_at.take();
        let answers = if matches!(crash, Some((CrashMoment::BeforeCommit, _))) {
            Vec::new()
        } else {
            let mut cx = cx!(self);
            self.collector.commit(&mut cx)
        };
        if let Some((_, down)) = crash {
            self.collector.crash();
            self.at(self.now + down, Event::CollectorUp);
            return;
        }
        for answer in answers {
            self.answer(answer);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Answer { place, life, number, reply } = answer;
        if let Some((at, reply)) = self.net.back(&mut self.dice, place, self.now, reply) {
            self.at(at, Event::Answered(Answer { place, life, number, reply }));
        }
    }
}
