//! The rules of the intake that can be broken on purpose, so that the simulator shows that it
//! would find each of them broken.
//!
//! Holds: without the cargo feature `planted` no rule can be broken; with it none is, unless a
//! caller of the `.._with` functions says which.

/// A rule, by what goes wrong without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// A duplicate is counted as new.
    DuplicateIsNew,
    /// The hash of the link before is not compared.
    PrevUnchecked,
    /// The hash of an old seq is not compared: a fork passes for a duplicate.
    OldHashUnchecked,
    /// A link of a closed epoch is taken.
    StaleEpochTaken,
    /// A link beyond the next is taken as the next.
    HoleSkipped,
    /// A resume moves the chain forward without an acknowledgement.
    ResumeWithoutProof,
    /// A stub that comes after its body takes the body's records away.
    StubOverridesBody,
    /// A held link is applied without its prev being compared.
    HeldUnchecked,
}

impl Planted {
    pub const ALL: [Self; 8] = [
        Self::DuplicateIsNew,
        Self::PrevUnchecked,
        Self::OldHashUnchecked,
        Self::StaleEpochTaken,
        Self::HoleSkipped,
        Self::ResumeWithoutProof,
        Self::StubOverridesBody,
        Self::HeldUnchecked,
    ];
}

/// Which rule is broken; none in production.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    #[cfg(feature = "planted")]
    broken: Option<Planted>,
}

impl Rules {
    #[cfg(feature = "planted")]
    pub(crate) fn with(broken: Option<Planted>) -> Self {
        Self { broken }
    }

    #[cfg(feature = "planted")]
    pub(crate) fn breaks(self, rule: Planted) -> bool {
        self.broken == Some(rule)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(crate) fn breaks(self, _: Planted) -> bool {
        false
    }
}

#[cfg(all(test, feature = "planted"))]
mod tests {
    use super::*;
    use crate::{
        intake::{
            coverage::Coverage,
            held::Held,
            ledger::{DeviceLedger, IngestDecision, accept, accept_with},
        },
        invariant::violated,
    };
    use tenken_common::{
        batch::{GapReason, Link, RecRun},
        id::{DeviceId, Epoch, Hash, RecId, Seq},
        stub::Stub,
    };

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn link(epoch: u32, seq: u64, prev: u8, hash: u8) -> Link {
        let (prev, hash) = (Hash([prev; 32]), Hash([hash; 32]));
        Link { device: DEVICE, epoch: Epoch(epoch), seq: Seq(seq), prev, hash, boot: None }
    }

    /// Epoch 2 with one link, whose hash is 1.
    fn ledger() -> DeviceLedger {
        let begun = DeviceLedger::begin(DEVICE, Epoch(1), Hash([9; 32])).rejoined(Epoch(2), Hash([0; 32]));
        after(&accept(&begun, &link(2, 1, 0, 1)), &begun)
    }

    fn after(decision: &IngestDecision, before: &DeviceLedger) -> DeviceLedger {
        if let IngestDecision::New { next, .. } = decision { (**next).clone() } else { before.clone() }
    }

    #[test]
    fn the_ledger_with_a_broken_rule_breaks_an_invariant() {
        for (planted, link) in [
            (Planted::DuplicateIsNew, link(2, 1, 0, 1)),
            (Planted::PrevUnchecked, link(2, 2, 7, 2)),
            (Planted::OldHashUnchecked, link(2, 1, 0, 7)),
            (Planted::StaleEpochTaken, link(1, 1, 9, 3)),
            (Planted::HoleSkipped, link(2, 3, 2, 3)),
        ] {
            let broken = accept_with(&ledger(), &link, Some(planted));
            let found = violated(&ledger(), &link, &broken, &after(&broken, &ledger())).next();
            assert!(found.is_some(), "{planted:?} gives {broken:?}");
            let sound = accept_with(&ledger(), &link, None);
            assert_eq!(
                violated(&ledger(), &link, &sound, &after(&sound, &ledger())).next(),
                None,
                "{planted:?}"
            );
        }
    }

    #[test]
    fn a_held_link_of_another_chain_is_taken_where_it_is_not_compared() {
        let early = link(2, 3, 7, 3);
        let second = after(&accept(&ledger(), &link(2, 2, 1, 2)), &ledger());
        let follow = |planted| {
            let mut held = Held::default();
            held.hold(&ledger(), &early, (), 1);
            held.follow_with(&second, planted).map(|(decision, _, ())| decision)
        };
        let broken = follow(Some(Planted::HeldUnchecked)).unwrap();
        assert!(violated(&second, &early, &broken, &after(&broken, &second)).next().is_some());
        assert!(matches!(follow(None), Some(IngestDecision::Fork(_))));
    }

    #[test]
    fn a_stub_that_overrides_takes_records_away() {
        let run = |from, to| RecRun { from: RecId(from), to: RecId(to) };
        let stub = Stub {
            device: DEVICE,
            epoch: Epoch(2),
            seq: Seq(1),
            prev: Hash([0; 32]),
            body_hash: Hash([1; 32]),
            records: vec![run(2, 3)],
            reason: GapReason::Corrupt,
        };
        let mut coverage = Coverage::default();
        coverage.see(run(1, 5));
        coverage.override_by(&stub);
        assert_eq!(coverage.seen().as_slice(), [run(1, 1), run(4, 5)]);
        assert_eq!((coverage.lost(), coverage.missing().len()), (2, 0));
    }
}
