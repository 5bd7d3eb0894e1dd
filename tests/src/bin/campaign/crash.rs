//! The crash harness's campaigns; see `tenken_tests::crash`.

use super::Plan;
use tenken_agent::spool::EngineKind;
use tenken_tests::crash::{
    Tally, corrupt,
    fault::{self, syscalls},
    hush_the_ladder,
    power_cut::{self, Subject, power_cuts},
};

/// Runs that are recorded for a campaign.
const RECORDINGS: usize = 200;
/// Failures that are written out.
const SHOWN: usize = 20;

pub fn power_cut_agent(plan: Plan) -> u64 {
    EngineKind::ALL.into_iter().map(|engine| power_cut(Subject::Spool(engine), plan)).sum()
}

pub fn power_cut_collector(plan: Plan) -> u64 {
    power_cut(Subject::Store, plan)
}

fn power_cut(subject: Subject, plan: Plan) -> u64 {
    hush_the_ladder();
    let cuts = usize::try_from(plan.n).expect("a count");
    let recordings = RECORDINGS.min(cuts.max(1));
    let cuts = power_cut::Plan { subject, recordings, cuts, seed: plan.seed, only: plan.only };
    shown(&format!("power cuts on {}", subject.as_str()), &power_cuts(cuts))
}

pub fn syscall(plan: Plan) -> u64 {
    hush_the_ladder();
    let points = usize::try_from(plan.n).expect("a count");
    let run = |subject: Subject| {
        let tally = syscalls(fault::Plan { subject, points, seed: plan.seed, only: plan.only });
        tally.notes.iter().for_each(|note| println!("failing calls on {}: {note}", subject.as_str()));
        shown(&format!("failing calls on {}", subject.as_str()), &tally)
    };
    Subject::ALL.into_iter().map(run).sum()
}

pub fn corrupt(plan: Plan) -> u64 {
    hush_the_ladder();
    let n = usize::try_from(plan.n).expect("a count");
    let run = |engine| {
        let recordings = RECORDINGS.min(n.max(1));
        let tally =
            corrupt::corruptions(corrupt::Plan { engine, n, recordings, seed: plan.seed, only: plan.only });
        shown(&format!("corruptions on {}", engine.as_str()), &tally)
    };
    EngineKind::ALL.into_iter().map(run).sum()
}

fn shown(what: &str, tally: &Tally) -> u64 {
    for failure in tally.failures.iter().take(SHOWN) {
        println!("{what}: {failure}");
    }
    println!("{what}: {} checks, {} failed", tally.tried, tally.failures.len());
    tally.failures.len() as u64
}
