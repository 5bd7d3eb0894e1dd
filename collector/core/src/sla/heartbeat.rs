//! The collector's own downtime, from the beats that it persisted (SLA A6.3(2)): so the vendor
//! cannot claim to have been up.
//!
//! Holds: a gap between two beats longer than `gap_max` is a stop from the last beat to the next.
//! Its first interval is undetermined, for the collector may have stopped at any moment of it; the
//! rest is the provider's. Before the first beat there is no data. The runs depend on the set of
//! beats only, not on the order in which they were pushed.
//!
//! Does not: know service hours; the partition cuts what it says to them.

use super::{
    partition::{Label, Labelled},
    span::Span,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::time::Timestamp;

/// Beats without a gap between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub first: Timestamp,
    pub last: Timestamp,
}

/// All beats (the commit times of `Heartbeat` and `Started` entries), folded; small enough to be
/// persisted, and extended one beat at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRuns {
    /// Of the collector's heartbeat.
    interval_us: i64,
    /// A longer silence is a stop.
    gap_max_us: i64,
    /// Sorted; further apart than the longest allowed gap.
    runs: Vec<Run>,
}

/// A collector's heartbeat is never slower than this.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// A longer silence of the collector is a stop of the service.
pub const GAP_MAX: Duration = Duration::from_secs(30);

impl Default for HeartbeatRuns {
    fn default() -> Self {
        Self::of_runs([])
    }
}

impl HeartbeatRuns {
    /// How many missed intervals make a stop, where the shell has no reason for another number.
    pub const GAP_INTERVALS: u32 = 3;

    /// `gap_max` is at least the interval; a shorter one is raised to it.
    pub fn new(interval: Duration, gap_max: Duration) -> Self {
        let us = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self { interval_us: us(interval), gap_max_us: us(gap_max.max(interval)), runs: Vec::new() }
    }

    /// Runs that were folded before, in order: what lies between two of them is a stop, however
    /// short, since a process that started anew was not there before.
    pub fn of_runs(runs: impl IntoIterator<Item = Run>) -> Self {
        Self { runs: runs.into_iter().collect(), ..Self::new(INTERVAL, GAP_MAX) }
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds a beat; amortised constant time for beats in order.
    pub fn push(&mut self, at: Timestamp) {
        let near = |a: Timestamp, b: Timestamp| b.micros_since(a) <= self.gap_max_us;
        let next = self.runs.partition_point(|run| run.first <= at);
        let joins_before =
            next.checked_sub(1).filter(|i| self.runs.get(*i).is_some_and(|r| near(r.last, at)));
        let joins_after = self.runs.get(next).copied().filter(|run| near(at, run.first));
        match (joins_before.and_then(|i| self.runs.get_mut(i)), joins_after) {
            (Some(before), None) => before.last = before.last.max(at),
            (Some(before), Some(after)) => {
                before.last = after.last;
                self.runs.remove(next);
            }
            (None, Some(_)) => {
                if let Some(after) = self.runs.get_mut(next) {
                    after.first = at;
                }
            }
            (None, None) => self.runs.insert(next, Run { first: at, last: at }),
        }
    }

    /// Takes in the beat of a process that goes on: it prolongs the newest run, or begins the next.
    pub fn beat(&mut self, at: Timestamp) {
        let gap_max = self.gap_max_us;
        match self.runs.last_mut().filter(|run| run.first <= at && at.micros_since(run.last) <= gap_max) {
            Some(run) => run.last = run.last.max(at),
            None => self.begin(at),
        }
    }

    /// A process began to serve: it was not there before, however short the time without one was.
    pub fn begin(&mut self, at: Timestamp) {
        let next = self.runs.partition_point(|run| run.first < at);
        if self.runs.get(next).is_none_or(|run| run.first != at) {
            self.runs.insert(next, Run { first: at, last: at });
        }
    }

    /// What the beats say about the time before `as_of`: everything that they do not name was up.
    /// A silence that reaches `as_of` is a stop once it is longer than the allowed gap.
    pub fn labels(&self, as_of: Timestamp) -> Vec<Labelled> {
        let until = |from: Timestamp, to: Timestamp| Span::new(from, to.min(as_of));
        let Some(first) = self.runs.first() else {
            return vec![Labelled { span: until(Timestamp::MIN, as_of), label: Label::NoData }];
        };
        let mut out = vec![Labelled { span: until(Timestamp::MIN, first.first), label: Label::NoData }];
        let restarts = self.runs.iter().skip(1).map(|run| (run.first, 0)).chain([(as_of, self.gap_max_us)]);
        for (run, (restart, allowed)) in self.runs.iter().zip(restarts) {
            if restart.micros_since(run.last) > allowed {
                let known = run.last.plus_micros(self.interval_us).min(restart);
                out.push(Labelled { span: until(run.last, known), label: Label::Undetermined });
                out.push(Labelled { span: until(known, restart), label: Label::DownProvider });
            }
        }
        out.retain(|labelled| !labelled.span.is_empty());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn runs(beats: &[i64]) -> HeartbeatRuns {
        let mut runs = HeartbeatRuns::new(Duration::from_mins(1), Duration::from_mins(3));
        for s in beats {
            runs.push(at(*s));
        }
        runs
    }

    fn labels(runs: &HeartbeatRuns, as_of: i64) -> Vec<(i64, i64, Label)> {
        let all = runs.labels(at(as_of)).into_iter();
        all.map(|l| (l.span.from.as_secs().max(0), l.span.to.as_secs(), l.label)).collect()
    }

    #[test]
    fn a_long_gap_is_a_stop_with_an_undetermined_first_interval() {
        let runs = runs(&[1000, 1060, 1120, 2000, 2060]);
        assert_eq!(runs.runs().len(), 2);
        let expected =
            [(0, 1000, Label::NoData), (1120, 1180, Label::Undetermined), (1180, 2000, Label::DownProvider)];
        assert_eq!(labels(&runs, 2070), expected);
    }

    #[test]
    fn three_intervals_are_no_gap_and_one_microsecond_more_is() {
        assert_eq!(runs(&[1000, 1180]).runs().len(), 1);
        let mut gap = runs(&[1000]);
        gap.push(at(1180).plus_micros(1));
        assert_eq!(gap.runs().len(), 2);
    }

    #[test]
    fn a_silence_up_to_now_is_a_stop_once_it_is_long_enough() {
        let runs = runs(&[0, 60]);
        assert_eq!(labels(&runs, 240), [(0, 0, Label::NoData)]);
        let stopped =
            [(0, 0, Label::NoData), (60, 120, Label::Undetermined), (120, 241, Label::DownProvider)];
        assert_eq!(labels(&runs, 241), stopped);
    }

    #[test]
    fn between_given_runs_lies_a_stop_however_short() {
        let given = [(0, 1000), (1005, 1100), (1125, 1200)];
        let runs = given.map(|(first, last)| Run { first: at(first), last: at(last) });
        let runs = HeartbeatRuns::of_runs(runs);
        let expected = [
            (0, 0, Label::NoData),
            (1000, 1005, Label::Undetermined),
            (1100, 1110, Label::Undetermined),
            (1110, 1125, Label::DownProvider),
        ];
        assert_eq!(labels(&runs, 1210), expected);
    }

    #[test]
    fn without_a_beat_there_is_no_data() {
        assert_eq!(labels(&runs(&[]), 100), [(0, 100, Label::NoData)]);
        assert_eq!(labels(&runs(&[1000]), 100), [(0, 100, Label::NoData)], "nothing before the first beat");
    }

    proptest! {
        #[test]
        fn the_order_of_the_beats_does_not_matter(beats in prop::collection::vec(0i64..5_000, 0..40)) {
            let mut sorted = beats.clone();
            sorted.sort_unstable();
            let (a, b) = (runs(&beats), runs(&sorted));
            prop_assert_eq!(&a, &b);
            let gaps = sorted.windows(2).filter(|w| w[1] - w[0] > 180).count();
            prop_assert_eq!(a.runs().len(), if sorted.is_empty() { 0 } else { gaps + 1 });
        }
    }

    #[test]
    fn a_process_that_goes_on_prolongs_its_run_up_to_the_gap() {
        let after = |beats: &[i64]| {
            let mut runs = HeartbeatRuns::new(Duration::from_mins(1), Duration::from_mins(3));
            for s in beats {
                runs.beat(at(*s));
            }
            runs.runs().iter().map(|run| (run.first.as_secs(), run.last.as_secs())).collect::<Vec<_>>()
        };
        assert_eq!(after(&[1000, 1180]), [(1000, 1180)]);
        assert_eq!(after(&[1000, 1181]), [(1000, 1000), (1181, 1181)]);
        assert_eq!(after(&[1000, 1000]), [(1000, 1000)]);
        assert_eq!(after(&[1000, 1100, 1050]), [(1000, 1100)], "a late beat takes nothing back");
        assert_eq!(after(&[1000, 990]), [(990, 990), (1000, 1000)], "an older beat is a run of its own");
    }

    #[test]
    fn a_process_that_begins_was_not_there_before() {
        let mut runs = runs(&[1000]);
        runs.begin(at(1001));
        runs.begin(at(1001));
        let first: Vec<i64> = runs.runs().iter().map(|run| run.first.as_secs()).collect();
        assert_eq!(first, [1000, 1001]);
        runs.begin(at(1000));
        assert_eq!(runs.runs().len(), 2);
    }

    #[test]
    fn a_gap_is_no_shorter_than_the_interval() {
        let mut runs = HeartbeatRuns::new(Duration::from_mins(1), Duration::from_secs(1));
        runs.push(at(0));
        runs.push(at(60));
        assert_eq!(runs.runs().len(), 1);
    }
}
