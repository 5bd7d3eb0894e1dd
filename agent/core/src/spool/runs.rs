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

    /// Joins the lowest runs until there are at most `max`, taking in the ids between them.
    pub fn coarsen(&mut self, max: usize) {
        while self.0.len() > max.max(1) {
            let Some((first, _)) = self.0.pop_first() else { return };
            let Some((_, to)) = self.0.pop_first() else { return };
            self.0.insert(first, to);
        }
    }
}

impl FromIterator<RecRun> for RunSet {
    fn from_iter<I: IntoIterator<Item = RecRun>>(runs: I) -> Self {
        let mut set = Self::default();
        runs.into_iter().for_each(|run| set.insert(run));
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
    fn coarsening_takes_in_what_lies_between_the_lowest() {
        let mut set: RunSet = [run(1, 2), run(5, 6), run(9, 9)].into_iter().collect();
        set.coarsen(2);
        assert_eq!(set.runs(), [run(1, 6), run(9, 9)]);
    }
}
