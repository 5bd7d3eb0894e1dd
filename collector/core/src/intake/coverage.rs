//! Which record ids of an epoch are accounted for: seen, or declared missing by the device.
//!
//! Holds: runs are sorted, disjoint and never touch, so that equal sets are equal values. What is
//! neither seen nor declared below the highest id is missing, and a `resume` asks for it: a
//! record lost before it was batched is noticed here and nowhere else.

use super::arrival::Arrival;
use serde::{Deserialize, Serialize};
use tenken_common::{
    batch::{RecRun, runs_of},
    id::RecId,
    wire::v1::ReceivedBatch,
};

/// A set of record ids as sorted, disjoint, non-touching runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs(Vec<RecRun>);

impl Runs {
    /// Adds a run; answers how many of its ids are new. A run with crossed ends adds nothing.
    pub fn add(&mut self, run: RecRun) -> u64 {
        if run.is_empty() {
            return 0;
        }
        // Everything that overlaps or touches `run` is replaced by their union.
        let first = self.0.partition_point(|r| r.to.next() < run.from);
        let after = self.0.partition_point(|r| r.from <= run.to.next());
        let mut union = run;
        let mut known = 0;
        for old in self.0.get(first..after).unwrap_or_default() {
            known += overlap(*old, run);
            union.from = union.from.min(old.from);
            union.to = union.to.max(old.to);
        }
        self.0.splice(first..after, [union]);
        run.len() - known
    }

    #[cfg(feature = "planted")]
    fn remove(&mut self, gone: RecRun) {
        let cut = |run: &RecRun| {
            let before = RecRun { from: run.from, to: run.to.min(RecId(gone.from.0.saturating_sub(1))) };
            let after = RecRun { from: run.from.max(gone.to.next()), to: run.to };
            [before, after].into_iter().filter(|part| !part.is_empty())
        };
        self.0 = self.0.iter().flat_map(cut).collect();
    }

    /// How many ids there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(RecRun::len).sum()
    }

    pub fn contains(&self, id: RecId) -> bool {
        let at = self.0.partition_point(|r| r.to < id);
        self.0.get(at).is_some_and(|r| r.from <= id)
    }

    pub fn as_slice(&self) -> &[RecRun] {
        &self.0
    }
}

fn overlap(a: RecRun, b: RecRun) -> u64 {
    RecRun { from: a.from.max(b.from), to: a.to.min(b.to) }.crossed_len()
}

trait CrossedLen {
    fn crossed_len(&self) -> u64;
}

impl CrossedLen for RecRun {
    /// The length, zero where the ends are crossed.
    fn crossed_len(&self) -> u64 {
        if self.is_empty() { 0 } else { self.len() }
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    seen: Runs,
    declared: Runs,
}

impl Coverage {
    /// Takes in what a link carries and declares; a stub's records are declared.
    pub fn add(&mut self, arrival: &Arrival) {
        for run in runs_of(arrival.batch().map(ReceivedBatch::record_ids).unwrap_or_default()) {
            self.seen.add(run);
        }
        for gap in arrival.gaps() {
            self.declared.add(gap.run);
        }
    }

    /// Whether a record that it carries was seen before.
    pub fn has_any_of(&self, arrival: &Arrival) -> bool {
        let ids = arrival.batch().map(ReceivedBatch::record_ids).unwrap_or_default();
        ids.into_iter().any(|id| self.seen.contains(id))
    }

    /// Notes ids as seen, for tests of what is broken on purpose.
    #[cfg(all(test, feature = "planted"))]
    pub(super) fn see(&mut self, run: RecRun) {
        self.seen.add(run);
    }

    /// The highest id that is seen or declared; zero before the first.
    pub fn top(&self) -> RecId {
        let tops = [&self.seen, &self.declared].map(|runs| runs.as_slice().last().map(|run| run.to));
        tops.into_iter().flatten().max().unwrap_or_default()
    }

    /// The rule broken by [`super::planted::Planted::StubOverridesBody`].
    #[cfg(feature = "planted")]
    pub fn override_by(&mut self, stub: &tenken_common::stub::Stub) {
        for run in &stub.records {
            self.seen.remove(*run);
            self.declared.add(*run);
        }
    }

    /// Ids that came. One that was declared missing and came all the same counts as seen.
    pub fn seen(&self) -> &Runs {
        &self.seen
    }

    pub fn declared(&self) -> &Runs {
        &self.declared
    }

    /// Declared missing and never seen.
    pub fn lost(&self) -> u64 {
        let mut both = self.seen.clone();
        self.declared.as_slice().iter().map(|run| both.add(*run)).sum()
    }

    /// What a device that resumes is asked for: everything that is missing, and whatever comes after
    /// the highest id. A collector that was restored from a backup does not know how much that is;
    /// the device does, and declares what it has let go of.
    pub fn asked(&self) -> Vec<RecRun> {
        let mut asked = self.missing();
        asked.push(RecRun { from: self.top().next(), to: RecId(u64::MAX) });
        asked
    }

    /// Runs below the highest id that are neither seen nor declared missing, lowest first.
    pub fn missing(&self) -> Vec<RecRun> {
        let mut known = self.seen.clone();
        for run in self.declared.as_slice() {
            known.add(*run);
        }
        let mut missing = Vec::new();
        let mut expected = RecId(1);
        for run in known.as_slice() {
            if run.from > expected {
                missing.push(RecRun { from: expected, to: RecId(run.from.0.saturating_sub(1)) });
            }
            expected = run.to.next();
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn run(from: u64, to: u64) -> RecRun {
        RecRun { from: RecId(from), to: RecId(to) }
    }

    #[test]
    fn what_is_neither_seen_nor_declared_is_missing() {
        let mut coverage = Coverage::default();
        coverage.seen.add(run(3, 5));
        coverage.seen.add(run(9, 9));
        coverage.declared.add(run(5, 7));
        assert_eq!(coverage.missing(), [run(1, 2), run(8, 8)]);
        assert_eq!(coverage.asked(), [run(1, 2), run(8, 8), run(10, u64::MAX)]);
        assert_eq!(coverage.lost(), 2, "5 was seen all the same");
    }

    proptest! {
        #[test]
        fn runs_are_the_set_of_their_ids(adds in prop::collection::vec((0u64..60, 0u64..8), 0..40)) {
            let mut runs = Runs::default();
            let mut model = BTreeSet::new();
            for (from, len) in adds {
                let before = model.len();
                model.extend(from..=from + len);
                let fresh = runs.add(run(from, from + len));
                prop_assert_eq!(fresh, (model.len() - before) as u64);
            }
            prop_assert_eq!(runs.as_slice(), runs_of(model.iter().copied().map(RecId)));
            for id in 0..80 {
                prop_assert_eq!(runs.contains(RecId(id)), model.contains(&id));
            }
        }
    }
}
