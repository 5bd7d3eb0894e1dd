//! The protocol's invariants, as far as the collector can break them, as named predicates over
//! values that tests and production both have.
//!
//! Holds: a predicate is true of every step of a correct collector, so one that is false is a
//! defect and never a device's doing. Production counts it and goes on.
//!
//! Does not: need what only a simulator knows, such as what a device has deleted.

use crate::intake::{
    arrival::Arrival,
    coverage::Coverage,
    ledger::{DeviceLedger, IngestDecision},
};
use tenken_common::{
    batch::{Link, runs_of},
    id::{Hash, Seq},
    wire::v1::ReceivedBatch,
};

/// Which one; see protocol.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A record that came is stored once, a declared loss is noted, nothing is unlearned.
    I1,
    /// Only what is durable is acknowledged.
    I3,
    /// What was accepted once has no further effect.
    I4,
    /// A second chain is a fork at its first diverging link.
    I5,
    /// No clock orders the stream.
    I7,
}

impl Invariant {
    pub const ALL: [Self; 5] = [Self::I1, Self::I3, Self::I4, Self::I5, Self::I7];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I7 => "I7",
        }
    }
}

/// I1, the collector's half: after a link was taken, all its records are seen and all its losses
/// declared, and nothing that was known before is gone.
pub fn nothing_is_lost(before: &Coverage, arrival: &Arrival, after: &Coverage) -> bool {
    let came = runs_of(arrival.batch().map(ReceivedBatch::record_ids).unwrap_or_default());
    let mut seen = before.seen().clone();
    for run in came {
        seen.add(run);
    }
    let mut declared = before.declared().clone();
    for gap in arrival.gaps() {
        declared.add(gap.run);
    }
    (after.seen(), after.declared()) == (&seen, &declared)
}

/// I3: an acknowledgement names a link that the durable ledger has.
pub fn only_durable_is_acknowledged(acked: (Seq, Hash), durable: &DeviceLedger) -> bool {
    let (seq, hash) = acked;
    let stored = if seq == Seq(0) { Some(durable.genesis) } else { durable.hash_at(seq) };
    seq <= durable.committed_seq && stored.is_none_or(|stored| stored == hash)
}

/// I4: only the next link of the chain changes the ledger, by exactly that link.
pub fn accepted_once(
    before: &DeviceLedger,
    link: &Link,
    decision: &IngestDecision,
    after: &DeviceLedger,
) -> bool {
    match decision {
        IngestDecision::New { .. } => {
            link.epoch == before.epoch
                && link.seq == before.committed_seq.next()
                && (after.epoch, after.committed_seq, after.committed_hash)
                    == (link.epoch, link.seq, link.hash)
        }
        IngestDecision::Duplicate
        | IngestDecision::Hole { .. }
        | IngestDecision::Fork(_)
        | IngestDecision::StaleEpoch { .. }
        | IngestDecision::EpochAhead { .. }
        | IngestDecision::Quarantined(_) => {
            (after.epoch, after.committed_seq, after.committed_hash)
                == (before.epoch, before.committed_seq, before.committed_hash)
        }
    }
}

/// I5: a link that contradicts a hash in the ledger is a fork, and nothing else is.
pub fn divergence_is_a_fork(before: &DeviceLedger, link: &Link, decision: &IngestDecision) -> bool {
    if before.quarantine.is_some() || link.epoch != before.epoch {
        return !matches!(decision, IngestDecision::Fork(_));
    }
    let next = link.seq == before.committed_seq.next();
    let diverges = (next && link.prev != before.committed_hash)
        || (link.seq <= before.committed_seq && before.hash_at(link.seq).is_some_and(|h| h != link.hash));
    diverges == matches!(decision, IngestDecision::Fork(_))
}

/// I7, the collector's half: an entry's place is the one after the last, whatever its time.
pub fn position_orders(last: u64, position: u64) -> bool {
    last.checked_add(1) == Some(position)
}

/// I4 and I5 of one step that the ledger decided.
pub fn violated(
    before: &DeviceLedger,
    link: &Link,
    decision: &IngestDecision,
    after: &DeviceLedger,
) -> impl Iterator<Item = Invariant> + use<> {
    let held = [
        (Invariant::I4, accepted_once(before, link, decision, after)),
        (Invariant::I5, divergence_is_a_fork(before, link, decision)),
    ];
    held.into_iter().filter(|(_, holds)| !holds).map(|(invariant, _)| invariant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::ledger::{Divergence, QuarantineReason, accept};
    use tenken_common::{
        batch::{GapReason, RecRun},
        id::{DeviceId, Epoch, RecId},
        stub::Stub,
    };

    fn begin() -> DeviceLedger {
        DeviceLedger::begin(DeviceId([1; 16]), Epoch(1), Hash::ZERO)
    }

    fn link(seq: u64, prev: Hash, hash: Hash) -> Link {
        Link { device: DeviceId([1; 16]), epoch: Epoch(1), seq: Seq(seq), prev, hash, boot: None }
    }

    fn after(before: &DeviceLedger, decision: &IngestDecision) -> DeviceLedger {
        if let IngestDecision::New { next, .. } = decision { (**next).clone() } else { before.clone() }
    }

    #[test]
    fn what_the_ledger_decides_holds_them() {
        let first = link(1, Hash::ZERO, Hash([1; 32]));
        let one = after(&begin(), &accept(&begin(), &first));
        let mut quarantined = one.clone();
        quarantined.quarantine = Some(QuarantineReason::Hole);
        for before in [begin(), one.clone(), quarantined, one.rejoined(Epoch(2), Hash([7; 32]))] {
            for link in [first, link(1, Hash::ZERO, Hash([2; 32])), link(2, Hash([9; 32]), Hash([3; 32]))] {
                let decision = accept(&before, &link);
                let after = after(&before, &decision);
                assert_eq!(violated(&before, &link, &decision, &after).next(), None, "{decision:?}");
            }
        }
    }

    #[test]
    fn each_broken_rule_is_noticed() {
        let first = link(1, Hash::ZERO, Hash([1; 32]));
        let IngestDecision::New { next, .. } = accept(&begin(), &first) else { panic!("it is new") };
        let again = IngestDecision::New { next: next.clone(), clone_suspected: false };
        assert!(violated(&next, &first, &again, &next).any(|i| i == Invariant::I4), "twice");
        let twin = link(1, Hash::ZERO, Hash([2; 32]));
        let quiet = IngestDecision::Duplicate;
        assert!(violated(&next, &twin, &quiet, &next).any(|i| i == Invariant::I5), "a fork unseen");
        let divergence = Divergence { seq: Seq(1), stored: Hash([1; 32]), arrived: Hash([1; 32]) };
        let alarm = IngestDecision::Fork(divergence);
        assert!(violated(&next, &first, &alarm, &next).any(|i| i == Invariant::I5), "a false alarm");
        assert!(only_durable_is_acknowledged((Seq(1), Hash([1; 32])), &next));
        assert!(!only_durable_is_acknowledged((Seq(1), Hash([2; 32])), &next));
        assert!(!only_durable_is_acknowledged((Seq(2), Hash([1; 32])), &next));
        assert!(position_orders(4, 5) && !position_orders(4, 4) && !position_orders(4, 6));
    }

    #[test]
    fn a_stub_that_is_forgotten_is_noticed() {
        let stub = Arrival::Stub(Box::new(Stub {
            device: DeviceId([1; 16]),
            epoch: Epoch(1),
            seq: Seq(1),
            prev: Hash::ZERO,
            body_hash: Hash([1; 32]),
            records: vec![RecRun::one(RecId(1))],
            reason: GapReason::Corrupt,
        }));
        let (before, mut after) = (Coverage::default(), Coverage::default());
        assert!(!nothing_is_lost(&before, &stub, &after));
        after.add(&stub);
        assert!(nothing_is_lost(&before, &stub, &after));
    }
}
