//! The simulator's short form: a few hundred worlds, every planted bug, clones and power cuts. The
//! long forms are the campaigns `sim`, `planted` and `clone`.
//!
//! Holds: a world that fails is named by its seed; `campaign sim --n 1 --seed N` tells its story.

use tenken_tests::sim::{Coverage, PLANTED, Plan, PlantedBug, Row, Rows, judge, run};

/// Worlds in which a planted bug is looked for, besides the one in which it is known to show.
const SEARCHED: u64 = 200;

#[test]
fn a_world_replays_from_its_seed_and_another_differs() {
    let story = |seed| run(&Plan::of(seed), None, true).trace;
    assert!(story(5).len() > 100);
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}

#[test]
fn worlds_keep_the_invariants_and_come_to_rest() {
    let mut coverage = Coverage::default();
    let mut failed = Vec::new();
    for seed in 1..=200 {
        let outcome = judge(&Plan::of(seed));
        coverage.add(&outcome.rows);
        failed.extend(
            outcome.violations.first().map(|v| format!("seed {seed}: {:?}: {}", v.invariant, v.what)),
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let every_world_has = [Row::New, Row::Duplicate, Row::Hole, Row::ResumeInStep, Row::ResumeMoved];
    let thin: Vec<&str> =
        coverage.thin().into_iter().filter(|row| every_world_has.contains(row)).map(Row::as_str).collect();
    assert!(thin.is_empty(), "hardly ever seen: {thin:?}\n{coverage}");
}

/// Those of which a world is known; the campaign `planted` looks for all of them.
#[test]
fn each_planted_bug_is_found() {
    let known: Vec<&PlantedBug> = PLANTED.iter().filter(|bug| bug.known.is_some()).collect();
    assert!(known.len() >= 12, "only {} of {}", known.len(), PLANTED.len());
    let missed: Vec<&str> =
        known.iter().filter(|bug| bug.find(1, SEARCHED).is_none()).map(|bug| bug.name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

fn alarms(rows: &Rows) -> u64 {
    let alarms = [Row::ForkStored, Row::ForkPrev, Row::HoleUnexplained, Row::BootBack, Row::DeviceBehind];
    alarms.into_iter().map(|row| rows.count(row)).sum()
}

#[test]
fn clones_are_found_at_their_first_diverging_batch() {
    for seed in 1..=60 {
        let outcome = run(&Plan::doubled(seed), None, false);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:?}", outcome.violations);
        assert!(alarms(&outcome.rows) > 0, "seed {seed}: two lives of one device, and nobody noticed");
    }
}

#[test]
fn a_power_cut_is_no_clone() {
    for seed in 1..=120 {
        let outcome = run(&Plan::power_cuts(seed), None, false);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:?}", outcome.violations);
        assert_eq!(alarms(&outcome.rows), 0, "seed {seed}: a power cut was taken for a clone");
    }
}
