//! The short form of the crash harness, for every engine: power cuts under five models, failing
//! system calls, corrupted files. The long forms are campaigns.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use tenken_agent::spool::EngineKind;
use tenken_tests::crash::{
    Tally, corrupt,
    fault::{self, compare_with_strace, syscalls},
    hush_the_ladder,
    power_cut::{self, Subject, power_cuts},
};

const SEED: u64 = 20_261_125;

fn assert_none_failed(tally: &Tally, tried: u64) {
    let failures: Vec<String> = tally.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), tally.tried, failures.join("\n"));
    assert!(tally.tried >= tried, "only {} were tried", tally.tried);
}

fn cut(subject: Subject) {
    hush_the_ladder();
    let tally = power_cuts(power_cut::Plan { subject, recordings: 8, cuts: 32, seed: SEED, only: None });
    assert_none_failed(&tally, 160);
}

#[test]
fn a_power_cut_loses_nothing_on_sled() {
    cut(Subject::Spool(EngineKind::Sled));
}

#[test]
fn a_power_cut_loses_nothing_on_redb() {
    cut(Subject::Spool(EngineKind::Redb));
}

#[test]
fn a_power_cut_loses_nothing_at_the_collector() {
    cut(Subject::Store);
}

#[test]
fn the_library_that_lets_calls_fail_sees_what_strace_sees() {
    for subject in Subject::ALL {
        assert_eq!(compare_with_strace(subject, SEED), [""; 0], "{}", subject.as_str());
    }
}

#[test]
fn a_failing_call_loses_nothing() {
    hush_the_ladder();
    for subject in Subject::ALL {
        let tally = syscalls(fault::Plan { subject, points: 12, seed: SEED, only: None });
        assert_none_failed(&tally, 40);
    }
}

#[test]
fn a_corrupted_file_is_survived_and_its_losses_declared() {
    hush_the_ladder();
    for engine in EngineKind::ALL {
        let plan = corrupt::Plan { engine, n: 80, recordings: 8, seed: SEED, only: None };
        assert_none_failed(&corrupt::corruptions(plan), 80);
    }
}
