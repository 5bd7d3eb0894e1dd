//! Declared losses that wait to be acknowledged.
//!
//! Holds: gaps never overlap. One that is in a batch in flight is pinned: it is neither changed
//! nor put in a second batch. Others of one reason that touch are one.

use super::{engine::Op, frame, runs::RunSet};
use std::collections::BTreeMap;
use tenken_common::{
    batch::{Gap, GapReason, RecRun},
    codec,
    id::RecId,
    limit,
};

#[derive(Debug, Clone, Copy)]
struct Entry {
    gap: Gap,
    pinned: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Gaps(BTreeMap<RecId, Entry>);

impl Gaps {
    /// Takes one in as it was stored.
    pub fn restore(&mut self, gap: Gap) {
        self.0.insert(gap.run.from, Entry { gap, pinned: false });
    }

    /// Declares what is not declared yet of `run`.
    pub fn add(&mut self, run: RecRun, reason: GapReason, ops: &mut Vec<Op>) -> u64 {
        let fresh = self.ids().missing_in(run);
        for run in &fresh {
            self.add_fresh(*run, reason, ops);
        }
        fresh.iter().map(RecRun::len).sum()
    }

    fn add_fresh(&mut self, mut run: RecRun, reason: GapReason, ops: &mut Vec<Op>) {
        let joins = |e: &Entry| !e.pinned && e.gap.reason == reason;
        let left = self.0.range(..run.from).next_back().map(|(_, e)| *e);
        if let Some(e) = left.filter(|e| joins(e) && e.gap.run.to.next() == run.from) {
            run.from = e.gap.run.from;
        }
        let right = self.0.get(&run.to.next()).copied();
        if let Some(e) = right.filter(joins) {
            self.0.remove(&e.gap.run.from);
            ops.push(Op::Delete(frame::gap_key(e.gap.run.from)));
            run.to = e.gap.run.to;
        }
        let gap = Gap { run, reason };
        ops.push(put(&gap));
        self.0.insert(run.from, Entry { gap, pinned: false });
    }

    /// What may go into the next batch.
    pub fn waiting(&self, max: usize) -> Vec<Gap> {
        self.0.values().filter(|e| !e.pinned).map(|e| e.gap).take(max).collect()
    }

    pub fn waiting_len(&self) -> u64 {
        self.0.values().filter(|e| !e.pinned).count() as u64
    }

    pub fn pin(&mut self, runs: &[RecRun], pinned: bool) {
        for run in runs {
            if let Some(entry) = self.0.get_mut(&run.from) {
                entry.pinned = pinned;
            }
        }
    }

    pub fn remove(&mut self, run: &RecRun, ops: &mut Vec<Op>) {
        if self.0.remove(&run.from).is_some() {
            ops.push(Op::Delete(frame::gap_key(run.from)));
        }
    }

    pub fn ids(&self) -> RunSet {
        self.0.values().map(|e| e.gap.run).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn put(gap: &Gap) -> Op {
    let payload = codec::to_vec(&(gap.run, gap.reason.code())).expect("three integers always encode");
    frame::put(frame::gap_key(gap.run.from), &payload)
}

/// A gap as it was stored; `None` if it says something that cannot be.
pub fn decode(from: RecId, payload: &[u8]) -> Option<Gap> {
    let (run, reason): (RecRun, u8) = codec::from_slice(payload, limit::SPOOL_VALUE_BYTES_MAX).ok()?;
    let reason = GapReason::from_code(reason)?;
    (run.from == from && !run.is_empty()).then_some(Gap { run, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(from: u64, to: u64) -> RecRun {
        RecRun { from: RecId(from), to: RecId(to) }
    }

    #[test]
    fn neighbours_of_one_reason_join_and_nothing_is_declared_twice() {
        let (mut gaps, mut ops) = (Gaps::default(), Vec::new());
        gaps.add(run(1, 3), GapReason::Evicted, &mut ops);
        gaps.add(run(7, 9), GapReason::Evicted, &mut ops);
        gaps.add(run(4, 6), GapReason::Evicted, &mut ops);
        assert_eq!(gaps.waiting(9), [Gap { run: run(1, 9), reason: GapReason::Evicted }]);
        assert_eq!(gaps.add(run(5, 11), GapReason::Corrupt, &mut ops), 2);
        assert_eq!(gaps.waiting(9)[1], Gap { run: run(10, 11), reason: GapReason::Corrupt });
    }

    #[test]
    fn a_gap_in_flight_stays_as_it_is() {
        let (mut gaps, mut ops) = (Gaps::default(), Vec::new());
        gaps.add(run(1, 3), GapReason::Evicted, &mut ops);
        gaps.pin(&[run(1, 3)], true);
        gaps.add(run(4, 4), GapReason::Evicted, &mut ops);
        assert_eq!(gaps.waiting(9), [Gap { run: run(4, 4), reason: GapReason::Evicted }]);
        gaps.remove(&run(1, 3), &mut ops);
        assert_eq!(gaps.len(), 1);
    }

    #[test]
    fn a_stored_gap_comes_back() {
        let gap = Gap { run: run(5, 8), reason: GapReason::SpoolLost };
        let Op::Put(key, value) = put(&gap) else { unreachable!("a put") };
        let payload = frame::unseal(&key, &value).unwrap();
        assert_eq!(decode(RecId(5), payload), Some(gap));
        assert_eq!(decode(RecId(6), payload), None);
    }
}
