//! Whether a device is heard from: fresh, stale, silent, or unknown where it never was.
//!
//! Holds: only time in which the collector itself was up counts as silence, so an outage of the
//! service centre makes no device silent. The last value of a silent device is not its state:
//! whoever judges a device's numbers asks here first.
//!
//! Does not: say why. A silent device may be off, cut off, or broken.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::time::Timestamp;

/// Expected intervals after which a device is no longer fresh.
pub const FRESH_INTERVALS: u32 = 3;
/// Expected intervals after which it is silent.
pub const STALE_INTERVALS: u32 = 10;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    Fresh,
    Stale,
    Silent,
    /// Never heard from.
    Unknown,
}

impl Liveness {
    pub const ALL: [Self; 4] = [Self::Fresh, Self::Stale, Self::Silent, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }

    /// Whether its newest numbers may still be taken for its state.
    pub fn is_heard(self) -> bool {
        match self {
            Self::Fresh | Self::Stale => true,
            Self::Silent | Self::Unknown => false,
        }
    }
}

/// A half-open stretch of time, `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stretch {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Stretch {
    pub fn length(&self) -> Duration {
        self.to.saturating_since(self.from)
    }

    fn within(&self, window: &Self) -> Self {
        Self { from: self.from.max(window.from), to: self.to.min(window.to) }
    }
}

/// When the collector was up: stretches in order, not touching.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime(Vec<Stretch>);

impl Uptime {
    /// Stretches in any order, overlapping or not.
    pub fn new(stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let mut sorted: Vec<Stretch> = stretches.into_iter().filter(|s| s.from < s.to).collect();
        sorted.sort_unstable();
        let mut merged: Vec<Stretch> = Vec::new();
        for next in sorted {
            match merged.last_mut() {
                Some(open) if next.from <= open.to => open.to = open.to.max(next.to),
                _ => merged.push(next),
            }
        }
        Self(merged)
    }

    /// Up from one heartbeat to the next where no more than `longest` lies between.
    pub fn of_heartbeats(beats: impl IntoIterator<Item = Timestamp>, longest: Duration) -> Self {
        let mut beats: Vec<Timestamp> = beats.into_iter().collect();
        beats.sort_unstable();
        let pairs = beats.iter().zip(beats.iter().skip(1)).map(|(a, b)| Stretch { from: *a, to: *b });
        Self::new(pairs.filter(|s| s.length() <= longest))
    }

    /// Time up in `window`.
    pub fn in_window(&self, window: Stretch) -> Duration {
        self.0.iter().map(|s| s.within(&window).length()).sum()
    }

    /// Share of `window` that is covered, 0 to 1; `None` for an empty window. For a device's own
    /// coverage as well: the stretches are then those from which it was heard.
    pub fn coverage(&self, window: Stretch) -> Option<f64> {
        let whole = window.length().as_secs_f64();
        (whole > 0.0).then(|| self.in_window(window).as_secs_f64() / whole)
    }
}

/// What is known of a device's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    pub liveness: Liveness,
    /// Nothing came for this long while the collector was up.
    pub silence: Duration,
}

/// `last_received` is the commit time of the newest envelope, `interval` what the device's
/// consent and configuration let expect.
pub fn judge(
    last_received: Option<Timestamp>,
    interval: Duration,
    as_of: Timestamp,
    up: &Uptime,
) -> DeviceState {
    let Some(from) = last_received else {
        return DeviceState { liveness: Liveness::Unknown, silence: Duration::ZERO };
    };
    let silence = up.in_window(Stretch { from, to: as_of });
    let liveness = if silence <= interval.saturating_mul(FRESH_INTERVALS) {
        Liveness::Fresh
    } else if silence <= interval.saturating_mul(STALE_INTERVALS) {
        Liveness::Stale
    } else {
        Liveness::Silent
    };
    DeviceState { liveness, silence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(minutes * 60)
    }

    fn up(stretches: &[(i64, i64)]) -> Uptime {
        Uptime::new(stretches.iter().map(|(a, b)| Stretch { from: at(*a), to: at(*b) }))
    }

    #[test]
    fn three_intervals_are_fresh_and_ten_are_stale() {
        let always = up(&[(0, 1_000)]);
        for (minutes, expected) in [
            (0, Liveness::Fresh),
            (3, Liveness::Fresh),
            (4, Liveness::Stale),
            (10, Liveness::Stale),
            (11, Liveness::Silent),
        ] {
            assert_eq!(
                judge(Some(at(100)), MINUTE, at(100 + minutes), &always).liveness,
                expected,
                "{minutes}"
            );
        }
        assert_eq!(judge(None, MINUTE, at(500), &always).liveness, Liveness::Unknown);
        // Received after `as_of` (a replay): nothing was missed.
        assert_eq!(judge(Some(at(600)), MINUTE, at(500), &always).liveness, Liveness::Fresh);
    }

    #[test]
    fn an_outage_of_the_collector_makes_nobody_silent() {
        let outage = up(&[(0, 101), (700, 702)]);
        assert_eq!(judge(Some(at(100)), MINUTE, at(702), &outage).silence, MINUTE * 3);
        assert_eq!(judge(Some(at(100)), MINUTE, at(702), &outage).liveness, Liveness::Fresh);
        // Up again for long enough, and still nothing came.
        let back = up(&[(0, 101), (700, 712)]);
        assert_eq!(judge(Some(at(100)), MINUTE, at(712), &back).liveness, Liveness::Silent);
    }

    #[test]
    fn heartbeats_become_stretches() {
        let beats = [0, 1, 2, 30, 31].map(at);
        assert_eq!(Uptime::of_heartbeats(beats, MINUTE * 2), up(&[(0, 2), (30, 31)]));
        let window = Stretch { from: at(0), to: at(6) };
        assert_eq!(up(&[(0, 2), (1, 3)]).coverage(window), Some(0.5));
        assert_eq!(up(&[]).coverage(Stretch { from: at(1), to: at(1) }), None);
    }

    proptest! {
        #[test]
        fn coverage_is_a_share_and_order_does_not_matter(
            mut spans in prop::collection::vec((0i64..200, 0i64..50), 0..20),
            from in 0i64..200,
            length in 1i64..100,
        ) {
            let build = |s: &[(i64, i64)]| up(&s.iter().map(|(a, l)| (*a, a + l)).collect::<Vec<_>>());
            let one = build(&spans);
            spans.reverse();
            prop_assert_eq!(&one, &build(&spans));
            let share = one.coverage(Stretch { from: at(from), to: at(from + length) }).unwrap();
            prop_assert!((0.0..=1.0).contains(&share));
        }
    }
}
