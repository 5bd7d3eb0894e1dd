//! When each probe is due, on the monotonic clock.
//!
//! Holds: two runs of a probe are never closer than the consent's floor, nor closer than half its
//! interval. However long the agent slept or was blocked, a probe is due once and not once for
//! every beat it missed. The first runs are spread by a seeded jitter of at most a tenth of the
//! interval and at most [`JITTER_MAX`]; from then on what is due soon runs with what is due now, so
//! that the device wakes, writes and sends once for all of it. A clock that went back is a new boot: all starts again.
//!
//! Does not: read a clock, know what a probe is, or decide whether its category is permitted.

use std::time::Duration;
use tenken_common::time::Monotonic;

/// No probe is due more often than this, whatever is configured.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The latest first run after a start.
pub const JITTER_MAX: Duration = Duration::from_secs(2);

/// See the module's head. Probes are named by their index, in the order they were given.
#[derive(Debug, Clone)]
pub struct Schedule {
    beats: Vec<Beat>,
    floor: Duration,
    /// The newest time this schedule was shown.
    seen: Monotonic,
}

#[derive(Debug, Clone)]
struct Beat {
    interval: Duration,
    jitter: Duration,
    ran: Option<Monotonic>,
    due: Monotonic,
}

impl Schedule {
    /// `probes` are names and intervals; the same names and seed give the same jitter.
    pub fn new<'a>(now: Monotonic, probes: impl IntoIterator<Item = (&'a str, Duration)>, seed: u64) -> Self {
        let beats = probes.into_iter().map(|(name, interval)| {
            let interval = interval.max(INTERVAL_MIN);
            let jitter = jitter(name, interval, seed);
            Beat { interval, jitter, ran: None, due: now.plus(jitter) }
        });
        Self { beats: beats.collect(), floor: Duration::ZERO, seen: now }
    }

    /// The consent's floor: no probe runs more often. Counts from each probe's last run.
    pub fn lengthen(&mut self, floor: Duration) {
        if floor == self.floor {
            return;
        }
        self.floor = floor;
        for beat in &mut self.beats {
            if let Some(ran) = beat.ran {
                beat.due = ran.plus(beat.interval.max(floor));
            }
        }
    }

    /// The probes to run now. Each that is named has been given its next time.
    pub fn due(&mut self, now: Monotonic) -> Vec<usize> {
        if now < self.seen {
            self.restart(now);
        }
        self.seen = now;
        let floor = self.floor;
        if self.beats.iter().all(|beat| beat.due > now) {
            return Vec::new();
        }
        let due = self.beats.iter_mut().enumerate().filter(|(_, beat)| beat.joins(now, floor));
        due.map(|(index, beat)| {
            beat.advance(now, floor);
            index
        })
        .collect()
    }

    /// How long nothing is due; zero where something is, `None` where there are no probes.
    pub fn next(&self, now: Monotonic) -> Option<Duration> {
        if now < self.seen {
            return (!self.beats.is_empty()).then_some(Duration::ZERO);
        }
        self.beats.iter().map(|beat| beat.due.saturating_since(now)).min()
    }

    fn restart(&mut self, now: Monotonic) {
        for beat in &mut self.beats {
            beat.ran = None;
            beat.due = now.plus(beat.jitter);
        }
    }
}

impl Beat {
    /// Whether it runs in a cycle of now: it is due, or so soon that it need not wait.
    fn joins(&self, now: Monotonic, floor: Duration) -> bool {
        let soon = now.plus((self.interval / 10).min(JITTER_MAX));
        self.due <= now || self.ran.is_some_and(|ran| self.due <= soon && now.saturating_since(ran) >= floor)
    }

    /// A run that is late by less than half an interval keeps its beat; a later one, and one that
    /// joined others, begins a new beat, so that what was missed is not caught up.
    fn advance(&mut self, now: Monotonic, floor: Duration) {
        let late = now.saturating_since(self.due);
        let keeps_beat = self.due <= now && late < self.interval / 2;
        let from = if keeps_beat { self.due } else { now };
        self.ran = Some(now);
        self.due = from.plus(self.interval).max(now.plus(floor));
    }
}

/// FNV-1a over the name, stirred with the seed by splitmix64's finish.
fn jitter(name: &str, interval: Duration, seed: u64) -> Duration {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut z = hash ^ seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let max = u64::try_from((interval / 10).min(JITTER_MAX).as_millis()).unwrap_or(0);
    Duration::from_millis(z % (max + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(s: u64) -> Monotonic {
        Monotonic(s * 1_000)
    }

    fn one(interval: Duration) -> Schedule {
        let mut schedule = Schedule::new(at(0), [("cpu", interval)], 7);
        assert_eq!(schedule.due(at(2)), [0]);
        schedule
    }

    #[test]
    fn first_runs_are_soon_and_spread() {
        let names: Vec<String> = (0..50).map(|i| format!("probe{i}")).collect();
        let probes = || names.iter().map(|n| (n.as_str(), MINUTE));
        let mut schedule = Schedule::new(at(5), probes(), 7);
        let first = schedule.due(Monotonic(5_700)).len();
        assert!((1..50).contains(&first), "{first} of 50 in the first 0.7 s");
        assert_eq!(first + schedule.due(at(7)).len(), 50);
        let firsts = |seed| Schedule::new(at(0), probes(), seed).due(Monotonic(700));
        assert_eq!(firsts(1), firsts(1));
        assert_ne!(firsts(1), firsts(2));
    }

    #[test]
    fn what_is_due_soon_runs_with_what_is_due_now() {
        let mut schedule = Schedule::new(at(0), [("a", MINUTE), ("b", MINUTE), ("c", MINUTE * 2)], 7);
        let firsts: Vec<usize> = (0..=2_000).map(|ms| schedule.due(Monotonic(ms)).len()).collect();
        assert_eq!((firsts.iter().sum::<usize>(), firsts.iter().max()), (3, Some(&1)), "spread at first");
        let now = at(2).plus(schedule.next(at(2)).unwrap());
        assert_eq!(schedule.due(now), [0, 1]);
        assert_eq!(schedule.due(now.plus(MINUTE)), [0, 1, 2]);
        assert_eq!(schedule.next(now.plus(MINUTE)), Some(MINUTE), "and stays together");
        // Not against the consent's floor.
        let mut early = Schedule::new(at(0), [("a", MINUTE), ("b", MINUTE)], 7);
        early.lengthen(MINUTE);
        (0..=2_000).for_each(|ms| drop(early.due(Monotonic(ms))));
        let now = at(2).plus(early.next(at(2)).unwrap());
        assert_eq!(early.due(now).len(), 1);
    }

    #[test]
    fn a_short_interval_has_a_short_jitter() {
        let mut schedule = Schedule::new(at(0), [("a", INTERVAL_MIN), ("b", Duration::ZERO)], 3);
        assert_eq!(schedule.due(Monotonic(100)), [0, 1]);
        assert!(schedule.next(Monotonic(100)).unwrap() >= Duration::from_millis(500), "zero is no interval");
    }

    #[test]
    fn a_little_late_keeps_the_beat() {
        let mut schedule = one(MINUTE);
        let due = schedule.next(at(2)).unwrap();
        assert!(due >= Duration::from_secs(58) && due <= MINUTE, "{due:?}");
        let beat = at(2).plus(due);
        assert_eq!(schedule.due(beat.plus(Duration::from_secs(20))), [0]);
        assert!(schedule.due(beat.plus(Duration::from_secs(59))).is_empty());
        assert_eq!(schedule.due(beat.plus(MINUTE)), [0]);
    }

    #[test]
    fn a_suspended_day_is_made_up_by_one_run() {
        let mut schedule = one(MINUTE);
        let woke = at(86_400);
        assert_eq!(schedule.due(woke), [0]);
        assert!(schedule.due(woke).is_empty());
        assert_eq!(schedule.next(woke), Some(MINUTE));
    }

    #[test]
    fn the_floor_lengthens_and_lets_go() {
        let mut schedule = one(MINUTE);
        schedule.lengthen(Duration::from_mins(15));
        assert_eq!(schedule.next(at(2)), Some(Duration::from_mins(15)));
        schedule.lengthen(Duration::from_secs(10));
        assert_eq!(schedule.next(at(2)), Some(MINUTE));
    }

    #[test]
    fn a_clock_that_went_back_starts_again() {
        let mut schedule = Schedule::new(at(1_000), [("cpu", MINUTE)], 7);
        assert_eq!(schedule.due(at(1_002)), [0]);
        assert_eq!(schedule.next(at(3)), Some(Duration::ZERO), "the caller is to ask");
        let first = schedule.due(at(3));
        let again = schedule.due(at(5));
        assert_eq!([first, again].concat(), [0]);
        assert!(schedule.next(at(5)).unwrap() <= MINUTE);
    }

    #[test]
    fn without_probes_there_is_nothing_to_wait_for() {
        let mut schedule = Schedule::new(at(0), [], 7);
        assert!(schedule.due(at(9)).is_empty());
        assert_eq!(schedule.next(at(9)), None);
    }

    proptest! {
        #[test]
        fn runs_keep_their_distance_and_none_is_forgotten(
            interval_ms in 1_000u64..120_000,
            floor_ms in 0u64..200_000,
            seed: u64,
            steps in prop::collection::vec(1u64..400_000, 1..80),
        ) {
            let interval = Duration::from_millis(interval_ms);
            let floor = Duration::from_millis(floor_ms);
            let mut schedule = Schedule::new(Monotonic(0), [("a", interval), ("b", MINUTE)], seed);
            schedule.lengthen(floor);
            let (mut now, mut ran) = (Monotonic(0), None::<Monotonic>);
            for step in steps {
                now = now.plus(Duration::from_millis(step));
                let waits = schedule.next(now) != Some(Duration::ZERO);
                let due = schedule.due(now);
                prop_assert_eq!(due.is_empty(), waits, "next and due agree");
                if due.contains(&0) {
                    if let Some(ran) = ran {
                        let gap = now.saturating_since(ran);
                        prop_assert!(gap >= floor && gap >= interval / 2, "{:?} apart", gap);
                    }
                    ran = Some(now);
                } else {
                    let since = now.saturating_since(ran.unwrap_or_default());
                    prop_assert!(since < interval + floor, "idle for {:?}", since);
                }
                prop_assert!(schedule.due(now).is_empty(), "no second run at once");
                prop_assert!(schedule.next(now).unwrap() > Duration::ZERO);
            }
        }
    }
}
