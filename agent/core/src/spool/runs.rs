//! A set of record ids as runs.
//!
//! Holds: runs are disjoint, never touch, and come out in order.

use std::collections::BTreeMap;
use tenken_common::{batch::RecRun, id::RecId};

/// See the module's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSet(BTreeMap<RecId, RecId>);

impl RunSet {
    pub fn insert(&mut self, run: RecRun) {
        if run.is_empty() {
            return;
        }
        let RecRun { mut from, mut to } = run;
        if let Some((&left, &end)) = self.0.range(..=from).next_back()
            && end.next() >= from
        {
            from = left;
            to = to.max(end);
        }
        while let Some((&right, &end)) = self.0.range(from..).next() {
            if right > to.next() {
                break;
            }
            self.0.remove(&right);
            to = to.max(end);
        }
        self.0.insert(from, to);
    }

    pub fn contains(&self, id: RecId) -> bool {
        self.0.range(..=id).next_back().is_some_and(|(_, end)| *end >= id)
    }

    /// The parts of `within` that are not in the set.
    pub fn missing_in(&self, within: RecRun) -> Vec<RecRun> {
        let mut missing = Vec::new();
        let mut at = within.from;
        let before = self.0.range(..within.from).next_back();
        for (&from, &to) in before.into_iter().chain(self.0.range(within.from..=within.to.max(within.from))) {
            if at < from {
                missing.push(RecRun { from: at, to: RecId(from.0 - 1) });
            }
            at = at.max(to.next());
        }
        if at <= within.to {
            missing.push(RecRun { from: at, to: within.to });
        }
        missing
    }

    pub fn last(&self) -> Option<RecId> {
        self.0.last_key_value().map(|(_, to)| *to)
    }

    pub fn runs(&self) -> Vec<RecRun> {
        self.0.iter().map(|(&from, &to)| RecRun { from, to }).collect()
    }

    pub fn pop_first(&mut self) -> Option<RecRun> {
        self.0.pop_first().map(|(from, to)| RecRun { from, to })
    }

    /// How many runs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ids.
    pub fn ids(&self) -> u64 {
        self.runs().iter().map(RecRun::len).sum()
    }

    /// Whether the two have an id in common.
    pub fn meets(&self, run: RecRun) -> bool {
        self.missing_in(run).iter().map(RecRun::len).sum::<u64>() < run.len()
    }

    /// What is in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        self.runs().into_iter().flat_map(|run| other.missing_in(run)).collect()
    }
}

impl Extend<RecRun> for RunSet {
    fn extend<I: IntoIterator<Item = RecRun>>(&mut self, runs: I) {
        runs.into_iter().for_each(|run| self.insert(run));
    }
}

impl FromIterator<RecRun> for RunSet {
    fn from_iter<I: IntoIterator<Item = RecRun>>(runs: I) -> Self {
        let mut set = Self::default();
        set.extend(runs);
        set
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

    proptest! {
        #[test]
        fn it_is_a_set_of_ids(runs in prop::collection::vec((1u64..60, 0u64..8), 0..20), lo in 1u64..60, len in 0u64..30) {
            let set: RunSet = runs.iter().map(|(from, len)| run(*from, from + len)).collect();
            let ids: BTreeSet<u64> = runs.iter().flat_map(|(from, len)| *from..=from + len).collect();
            for id in 0..80 {
                prop_assert_eq!(set.contains(RecId(id)), ids.contains(&id));
            }
            let missing: Vec<u64> =
                set.missing_in(run(lo, lo + len)).iter().flat_map(|r| r.from.0..=r.to.0).collect();
            let expected: Vec<u64> = (lo..=lo + len).filter(|id| !ids.contains(id)).collect();
            prop_assert_eq!(missing, expected);
            prop_assert!(set.runs().windows(2).all(|w| w[0].to.0 + 1 < w[1].from.0));
        }
    }

    #[test]
    fn sets_are_subtracted_and_compared() {
        let set: RunSet = [run(1, 6), run(9, 9)].into_iter().collect();
        let other: RunSet = [run(3, 4), run(9, 20)].into_iter().collect();
        assert_eq!(set.without(&other).runs(), [run(1, 2), run(5, 6)]);
        assert_eq!((set.len(), set.ids()), (2, 7));
        assert!(set.meets(run(6, 8)) && !set.meets(run(7, 8)));
    }
}
