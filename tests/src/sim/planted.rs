//! The bugs that are planted, by name, and the search for a world that shows each.
//!
//! Holds: a bug counts as found in a world only if that same world is sound without it. An oracle
//! that finds none of them would prove nothing.

use super::{Bug, Plan, Violation, run};
use tenken_agent_core::planted::Planted as Agent;
use tenken_collector_core::intake::planted::Planted as Intake;

/// A bug and the word it is known by.
#[derive(Debug, Clone, Copy)]
pub struct PlantedBug {
    pub name: &'static str,
    pub bug: Bug,
    /// A world in which it was found before; the search begins there.
    pub known: Option<u64>,
}

/// The world in which a bug was found, and what the oracle said first.
#[derive(Debug)]
pub struct Found {
    pub seed: u64,
    pub worlds: u64,
    pub violation: Violation,
}

const fn planted(name: &'static str, bug: Bug, known: Option<u64>) -> PlantedBug {
    PlantedBug { name, bug, known }
}

pub const PLANTED: [PlantedBug; 21] = [
    planted("release without a look at the hash", Bug::Agent(Agent::ReleaseUnchecked), Some(4)),
    planted("records of a stub wait again as well", Bug::Agent(Agent::StubKeepsRecords), Some(13)),
    planted("state saved before the engine", Bug::Agent(Agent::StateFirst), Some(2)),
    planted("ids used before they are reserved", Bug::Agent(Agent::IdsUnreserved), Some(2)),
    planted("room made of what is cut", Bug::Agent(Agent::EvictsPinned), Some(43)),
    planted("a declared loss forgotten when it is cut", Bug::Agent(Agent::GapDroppedAtCut), Some(71)),
    planted("a device behind its chain goes on", Bug::Agent(Agent::BehindGoesOn), Some(12)),
    planted("a duplicate counted as new", Bug::Intake(Intake::DuplicateIsNew), Some(1)),
    planted("prev not compared", Bug::Intake(Intake::PrevUnchecked), Some(28)),
    planted("an old hash not compared", Bug::Intake(Intake::OldHashUnchecked), Some(2)),
    planted("a stale epoch taken", Bug::Intake(Intake::StaleEpochTaken), Some(14)),
    planted("a hole skipped", Bug::Intake(Intake::HoleSkipped), Some(3)),
    planted("a resume moves without proof", Bug::Intake(Intake::ResumeWithoutProof), Some(1)),
    planted("a stub overrides a stored body", Bug::Intake(Intake::StubOverridesBody), Some(202)),
    planted("a held link applied unchecked", Bug::Intake(Intake::HeldUnchecked), Some(1561)),
    planted("acknowledged before the commit", Bug::AckBeforeCommit, Some(1)),
    planted("acknowledged after a commit that failed", Bug::AckAfterFailedCommit, Some(6)),
    planted("no hashes known after a crash", Bug::HashesForgotten, Some(69)),
    planted("a cut body goes whatever the consent says", Bug::SecondGateOpen, Some(98)),
    planted("batches go although the consent is gone", Bug::ClosedGateSends, Some(1)),
    planted("the wall clock decides", Bug::WallClockDecides, Some(14)),
];

impl PlantedBug {
    /// Looks through the known world, then through `n` worlds from `seed` on.
    pub fn find(&self, seed: u64, n: u64) -> Option<Found> {
        let seeds = self.known.into_iter().chain(seed..seed + n);
        for (number, seed) in (1..).zip(seeds) {
            let plan = Plan::of(seed);
            let Some(violation) = run(&plan, Some(self.bug), false).violations.into_iter().next() else {
                continue;
            };
            if run(&plan, None, false).violations.is_empty() {
                return Some(Found { seed, worlds: number, violation });
            }
        }
        None
    }
}
