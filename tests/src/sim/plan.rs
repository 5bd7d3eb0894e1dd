//! What happens in a world, drawn from its seed before it begins.
//!
//! Holds: every world has some kinds of faults and not others, so that none hides behind another
//! for ever; how long they last goes by the device's push interval, so that a fleet that reports
//! once a day meets the same troubles as one that reports every minute.

use super::{dice::Dice, disk::Target, net::Weather};
use tenken_agent_core::spool::Room;
use tenken_common::limit;

mod fault;

pub use fault::{Consent, CrashMoment, Damage, Fault};

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub devices: usize,
    /// The push interval, by which everything else is measured.
    pub interval: u64,
    /// How long faults may happen.
    pub span: u64,
    pub probe_every: u64,
    pub observations_max: u64,
    /// Of a thousand observations.
    pub urgent: u64,
    pub poison: u64,
    pub cap_bytes: u64,
    pub batch_records: usize,
    pub certificate_life: Option<u64>,
    /// The hospital approves rejoins.
    pub rejoins: bool,
    pub wall_offset_us: i64,
    pub faults: Vec<(u64, Fault)>,
}

/// Not so small that what is packed is evicted.
const PACKING_CAP: u64 = 1 << 20;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const YEAR_US: i64 = 365 * 86_400 * 1_000_000;

/// The kinds of faults, each switched on or off for a whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Weather,
    CutOff,
    Crash,
    Stop,
    PowerCut,
    RefusedWrite,
    DiskFull,
    Damage,
    Rot,
    ClockJump,
    BootBack,
    CollectorCrash,
    CollectorFull,
    CollectorRestore,
    Consent,
    Restored,
    Clone,
    Replay,
    Medium,
    OtherHost,
    Rogue,
    RejoinForgotten,
    Split,
}

/// With how many chances of a hundred a world has them, and how many at most.
const KINDS: [(Kind, u64, u64); 23] = [
    (Kind::Weather, 50, 3),
    (Kind::CutOff, 40, 3),
    (Kind::Crash, 40, 4),
    (Kind::Stop, 20, 3),
    (Kind::PowerCut, 40, 5),
    (Kind::RefusedWrite, 15, 2),
    (Kind::DiskFull, 20, 2),
    (Kind::Damage, 25, 3),
    (Kind::Rot, 15, 3),
    (Kind::ClockJump, 40, 4),
    (Kind::BootBack, 14, 1),
    (Kind::CollectorCrash, 35, 3),
    (Kind::CollectorFull, 20, 2),
    (Kind::CollectorRestore, 20, 1),
    (Kind::Consent, 30, 4),
    (Kind::Restored, 12, 1),
    (Kind::Clone, 12, 1),
    (Kind::Replay, 30, 6),
    (Kind::Medium, 20, 2),
    (Kind::OtherHost, 8, 1),
    (Kind::Rogue, 9, 1),
    (Kind::RejoinForgotten, 6, 1),
    (Kind::Split, 12, 1),
];

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        if dice.chance(25) {
            return Self::long_chain(seed, &mut dice);
        }
        let interval = match dice.below(10) {
            0 => 60 * SECOND,
            1 => 10 * 60 * SECOND,
            2 => HOUR,
            3 | 4 => 6 * HOUR,
            _ => DAY,
        };
        let devices = match dice.below(100) {
            0..60 => dice.between(1, 4),
            60..90 => dice.between(5, 12),
            90..97 => dice.between(13, 30),
            _ => 50,
        };
        let batches = dice.between(50, 140);
        let span = (batches / devices).max(8) * interval;
        let mut plan = Self {
            seed,
            devices: usize::try_from(devices).unwrap_or(1),
            interval,
            span,
            probe_every: interval / dice.between(1, 4),
            observations_max: dice.pick(&[1, 3, 8]),
            urgent: dice.pick(&[0, 20, 200]),
            poison: if dice.chance(150) { 8 } else { 0 },
            cap_bytes: dice.pick(&[6_000, 20_000, PACKING_CAP, 1 << 26, 1 << 26, 1 << 26]),
            batch_records: dice.pick(&[120, 300, limit::BATCH_RECORDS_MAX]),
            certificate_life: dice.chance(300).then(|| span / dice.between(2, 5)),
            rejoins: dice.chance(700),
            wall_offset_us: if dice.chance(300) { some_offset(&mut dice) } else { 0 },
            faults: Vec::new(),
        };
        for (kind, share, most) in KINDS {
            if !dice.chance(share * 10) {
                continue;
            }
            for _ in 0..dice.between(1, most) {
                plan.draw(&mut dice, kind);
            }
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// One device whose chain grows longer than the hashes that are kept of it.
    fn long_chain(seed: u64, dice: &mut Dice) -> Self {
        let interval = 60 * SECOND;
        let links = limit::LEDGER_HASHES as u64 + dice.between(40, 120);
        let mut plan = Self {
            seed,
            devices: 1,
            interval,
            // A push comes a little later than an interval after the one before.
            span: links * interval * 3 / 2,
            probe_every: interval,
            observations_max: 1,
            urgent: 0,
            poison: 0,
            cap_bytes: 1 << 26,
            batch_records: 10,
            certificate_life: None,
            rejoins: false,
            wall_offset_us: 0,
            faults: Vec::new(),
        };
        for kind in [Kind::Crash, Kind::CollectorCrash, Kind::Clone] {
            if dice.chance(300) {
                plan.draw(dice, kind);
            }
        }
        for _ in 0..12 {
            let at = plan.span * dice.between(990, 999) / 1_000;
            plan.faults.push((at, Fault::Replay { place: 0 }));
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// One device and a second life of it: a clone beside it or after it, or a restored image.
    pub fn doubled(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xc10e);
        let mut plan = Self::small(seed, &mut dice);
        let t = plan.interval;
        let image = t * dice.between(2, 8);
        // At least two batches of the first life lie between the image and the second.
        let second = image + 3 * t + t * dice.between(0, 12);
        let place = 0;
        plan.faults.push((image, Fault::Image { place }));
        match dice.below(5) {
            // Both are online from the start.
            0 => plan.faults.push((second, Fault::Clone { place })),
            // In turn.
            1 => {
                plan.faults.push((second, Fault::Clone { place }));
                for turn in 0..6 {
                    let at = second + turn * 2 * t;
                    let place = usize::try_from(turn % 2).unwrap_or(0);
                    plan.faults.push((at, Fault::CutOff { place, until: at + 2 * t }));
                }
            }
            // The first one is off from then on.
            2 => {
                plan.faults.push((second, Fault::Crash { place, down: plan.span, reboot: true }));
                plan.faults.push((second + t, Fault::Clone { place }));
            }
            // Weeks later.
            3 => plan.faults.push((plan.span - 4 * t, Fault::Clone { place })),
            _ => plan.faults.push((second, Fault::PutBack { place, down: t / 2 })),
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// One device that loses its power again and again, within what its disk promises.
    pub fn power_cuts(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x90e7);
        let mut plan = Self::small(seed, &mut dice);
        for _ in 0..dice.between(3, 10) {
            let kind =
                dice.pick(&[Kind::PowerCut, Kind::PowerCut, Kind::Crash, Kind::RefusedWrite, Kind::Stop]);
            plan.draw(&mut dice, kind);
        }
        if dice.chance(500) {
            plan.draw(&mut dice, Kind::Weather);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn small(seed: u64, dice: &mut Dice) -> Self {
        let interval = dice.pick(&[60 * SECOND, HOUR, DAY]);
        Self {
            seed,
            devices: 1,
            interval,
            span: 30 * interval,
            probe_every: interval / 2,
            observations_max: dice.pick(&[1, 4]),
            urgent: dice.pick(&[0, 100]),
            poison: 0,
            cap_bytes: 1 << 26,
            batch_records: limit::BATCH_RECORDS_MAX,
            certificate_life: None,
            rejoins: false,
            wall_offset_us: 0,
            faults: Vec::new(),
        }
    }

    /// Of each spool; those with a middling cap pack nearly all that waits.
    pub fn room(&self) -> Room {
        let room = Room::from(self.cap_bytes);
        if self.cap_bytes == PACKING_CAP { Room { loose_bytes: 1_000, ..room } } else { room }
    }

    /// Whether no record is given up on purpose (for room, for consent, or as poison), and none that
    /// was stored is lost by the collector.
    pub fn keeps_all(&self) -> bool {
        let loses = |fault: &Fault| matches!(fault, Fault::Consent { .. } | Fault::CollectorRestore { .. });
        let lost = self.faults.iter().any(|(_, fault)| loses(fault));
        self.poison == 0 && self.cap_bytes >= 1 << 26 && !lost
    }

    /// The same world with wall clocks that are right, where nothing may depend on them; `None`
    /// where no wall clock is wrong, or where something may: a consent or a certificate that ends.
    pub fn with_right_clocks(&self) -> Option<Self> {
        let wrong = self.wall_offset_us != 0
            || self.faults.iter().any(|(_, fault)| matches!(fault, Fault::ClockJump { .. }));
        let ends = self.certificate_life.is_some()
            || self.faults.iter().any(|(_, fault)| {
                matches!(fault, Fault::Consent { consent: Consent::Short { .. } | Consent::Older, .. })
            });
        // A full spool counts bytes, and a wrong clock's numbers may be longer.
        if !wrong || ends || self.cap_bytes < 1 << 20 {
            return None;
        }
        let mut right = Self { wall_offset_us: 0, ..self.clone() };
        for (_, fault) in &mut right.faults {
            if let Fault::ClockJump { offset_us, .. } = fault {
                *offset_us = 0;
            }
        }
        Some(right)
    }

    fn draw(&mut self, dice: &mut Dice, kind: Kind) {
        let at = self.span * dice.between(30, 930) / 1_000;
        let place = dice.index(self.devices);
        let t = self.interval;
        let while_ = |dice: &mut Dice, longest: u64| at + t * dice.between(1, longest * 10) / 10;
        let down = t * dice.pick(&[1, 3, 10, 40]) / 10 + dice.below(20 * SECOND);
        let fault = match kind {
            Kind::Weather => {
                let weather = Weather {
                    lost: dice.pick(&[0, 100, 400, 800]),
                    doubled: dice.pick(&[0, 100, 500]),
                    late_max: dice.pick(&[SECOND, t / 2, 3 * t]),
                    stale: dice.pick(&[0, 0, 100]),
                };
                Fault::Weather { until: while_(dice, 12), weather }
            }
            Kind::CutOff => Fault::CutOff { place, until: while_(dice, 10) },
            Kind::Crash => Fault::Crash { place, down, reboot: dice.chance(600) },
            Kind::Stop => Fault::Stop { place, down },
            Kind::PowerCut => {
                let writes = u32::try_from(dice.below(6)).unwrap_or(0);
                Fault::PowerCut { place, writes, kept: dice.chance(500) }
            }
            Kind::RefusedWrite => {
                Fault::RefusedWrite { place, writes: u32::try_from(dice.below(5)).unwrap_or(0) }
            }
            Kind::DiskFull => Fault::DiskFull { place, until: while_(dice, 4) },
            Kind::Damage => {
                let pick = dice.next();
                let damage = match dice.below(6) {
                    0 => Damage::StateLost,
                    1 => Damage::StateOld { by: dice.index(5) },
                    2 => Damage::SetBack { commits: 1 + dice.index(12) },
                    3 => Damage::EngineLost,
                    4 => Damage::Bit { target: Target::Body, pick },
                    _ => {
                        Damage::Bit { target: dice.pick(&[Target::Record, Target::Link, Target::Gap]), pick }
                    }
                };
                Fault::Damage { place, down, damage }
            }
            Kind::Rot => {
                let target = dice.pick(&[Target::Record, Target::Body, Target::Body]);
                Fault::Rot { place, target, pick: dice.next() }
            }
            Kind::ClockJump => Fault::ClockJump { place, offset_us: some_offset(dice) },
            Kind::BootBack => Fault::BootBack { place, down },
            Kind::CollectorCrash => {
                let moments = [CrashMoment::AtOnce, CrashMoment::BeforeCommit, CrashMoment::BeforeAnswer];
                Fault::CollectorCrash { down, moment: dice.pick(&moments) }
            }
            Kind::CollectorFull => Fault::CollectorFull { until: while_(dice, 3) },
            Kind::CollectorRestore => {
                self.faults.push((at * dice.between(300, 990) / 1_000, Fault::BackUp));
                Fault::CollectorRestore { down }
            }
            Kind::Consent => {
                let consent = match dice.below(6) {
                    0 => Consent::Gone,
                    1 => Consent::Empty,
                    2 => Consent::Narrow { mask: dice.next() },
                    3 => Consent::Older,
                    4 => Consent::Short { life_ms: t * dice.between(1, 6) },
                    _ => Consent::Full,
                };
                Fault::Consent { place, consent }
            }
            Kind::Restored => {
                self.faults.push((at * dice.between(300, 990) / 1_000, Fault::Image { place }));
                Fault::PutBack { place, down }
            }
            Kind::Clone => {
                self.faults.push((at * dice.between(300, 990) / 1_000, Fault::Image { place }));
                Fault::Clone { place }
            }
            Kind::Replay => Fault::Replay { place },
            Kind::Medium => {
                // Whoever carries media has no line, or none for a while.
                self.faults.push((at.saturating_sub(3 * t), Fault::CutOff { place, until: at + 2 * t }));
                Fault::Medium { place, torn: dice.chance(300) }
            }
            Kind::OtherHost => Fault::OtherHost { place },
            Kind::Rogue => Fault::Rogue { place },
            Kind::RejoinForgotten => {
                self.forgotten_rejoin(place, down);
                return;
            }
            Kind::Split => {
                self.split(dice, place, at);
                return;
            }
        };
        self.faults.push((at, fault));
    }

    /// Two lives of one device from one moment on.
    fn split(&mut self, dice: &mut Dice, place: usize, at: u64) {
        let t = self.interval;
        // Both lives know the same last link.
        let twin = self.devices;
        self.faults.push((at, Fault::Image { place }));
        self.faults.push((at, Fault::Clone { place }));
        match dice.below(3) {
            // The first one cuts and cannot send while the other goes on, and starts again.
            0 => {
                self.faults.push((at, Fault::CutOff { place, until: at + 3 * t }));
                let crash = Fault::Crash { place, down: t, reboot: true };
                self.faults.push((at + 5 * t / 2, crash));
            }
            // The same of the other one, which may have sent something before.
            1 => {
                self.faults.push((at + SECOND, Fault::CutOff { place: twin, until: at + 3 * t }));
                let crash = Fault::Crash { place: twin, down: t, reboot: true };
                self.faults.push((at + 5 * t / 2, crash));
            }
            // Of one a medium comes without its first link, and that link from the other.
            _ => {
                self.faults.push((at, Fault::CutOff { place, until: at + 7 * t }));
                self.faults.push((at + SECOND, Fault::CutOff { place: twin, until: at + 5 * t }));
                self.faults.push((at + 3 * t, Fault::Medium { place, torn: true }));
            }
        }
    }

    /// Backup, image, restored image, rejoin, and the collector falls back to before.
    fn forgotten_rejoin(&mut self, place: usize, down: u64) {
        self.rejoins = true;
        let at = self.span / 10;
        self.faults.push((at, Fault::BackUp));
        self.faults.push((at, Fault::Image { place }));
        self.faults.push((at * 4, Fault::PutBack { place, down }));
        for _ in 0..4 {
            self.faults.push((at * 8, Fault::Replay { place }));
        }
        self.faults.push((at * 9, Fault::CollectorRestore { down }));
    }
}

/// A wall clock that is wrong: 1970, 2000, years, days, a minute.
fn some_offset(dice: &mut Dice) -> i64 {
    let day = 86_400 * 1_000_000;
    match dice.below(6) {
        0 => -56 * YEAR_US,
        1 => -26 * YEAR_US,
        2 => 10 * YEAR_US * dice.pick(&[-1, 1]),
        3 => day * dice.pick(&[-1, 1]),
        4 => 90 * 1_000_000 * dice.pick(&[-1, 1]),
        _ => 0,
    }
}
