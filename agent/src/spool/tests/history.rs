//! Random histories against the plainest model there is: a set of ids.

use super::bench::{Bench, Collector, LIMIT, alarm, cx, sample};
use crate::spool::{EngineKind, Room};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tenken_agent_core::spool::{BatchLimit, Standing, memory::MemoryDisk, runs::RunSet};
use tenken_common::{batch::GapReason, category::Category, id::RecId};

#[derive(Debug, Clone)]
enum Step {
    Append {
        ordinary: u8,
        urgent: u8,
    },
    Cut {
        records: u8,
    },
    /// The lowest batch arrives; the acknowledgement may get lost.
    Send {
        acked: bool,
    },
    /// Of the urgent records' category.
    Withdraw,
    /// The lowest batch may not go any more.
    Stub,
    /// The collector goes back to an earlier time of its own, and is told.
    Restore,
    /// The body of the lowest batch is damaged on the disk, or gone.
    LoseBody {
        gone: bool,
    },
    /// The same of the oldest pack.
    LosePack {
        gone: bool,
    },
    Crash,
    Close,
    LoseState,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..20, 0u8..4).prop_map(|(ordinary, urgent)| Step::Append { ordinary, urgent }),
        5 => (1u8..30).prop_map(|records| Step::Cut { records }),
        5 => any::<bool>().prop_map(|acked| Step::Send { acked }),
        1 => Just(Step::Withdraw),
        2 => Just(Step::Stub),
        1 => Just(Step::Restore),
        1 => any::<bool>().prop_map(|gone| Step::LoseBody { gone }),
        1 => any::<bool>().prop_map(|gone| Step::LosePack { gone }),
        2 => Just(Step::Crash),
        1 => Just(Step::Close),
        1 => Just(Step::LoseState),
    ];
    prop::collection::vec(step, 1..40)
}

fn play(bench: &Bench, room: Room, steps: &[Step]) {
    let mut collector = Collector::new();
    let mut appended = BTreeSet::new();
    let mut backups = vec![collector.clone()];
    let mut spool = bench.open_capped(room);
    for step in steps {
        backups.push(collector.clone());
        match step {
            Step::Append { ordinary, urgent } => {
                let ordinary = (0..i64::from(*ordinary)).map(sample);
                let observations: Vec<_> = ordinary.chain((0..i64::from(*urgent)).map(alarm)).collect();
                if let Ok(Some(run)) = spool.append(&observations) {
                    appended.extend(run.from.0..=run.to.0);
                }
            }
            Step::Cut { records } => {
                spool.cut(BatchLimit { records: usize::from(*records), ..LIMIT }, &cx()).unwrap();
            }
            Step::Send { acked } => {
                if let Some(cut) = spool.next_in_flight().unwrap() {
                    collector.accept(&cut);
                    let (ack, envelope) = collector.ack();
                    if *acked {
                        spool.release(&ack, &envelope).unwrap();
                    }
                }
            }
            Step::Withdraw => {
                spool.withdraw(&|category| category != Category::Service).unwrap();
            }
            Step::Stub => {
                if let Some(cut) = spool.next_in_flight().unwrap() {
                    let stub = spool.stub(cut.seq, GapReason::Refused).unwrap();
                    assert_eq!((stub.seq, stub.prev, stub.hash), (cut.seq, cut.prev, cut.hash));
                }
            }
            Step::Restore => {
                collector = backups.swap_remove(backups.len() / 2);
                backups.retain(|backup| backup.seq <= collector.seq);
                let missing = collector.resume(spool.as_ref());
                assert_eq!(spool.adopt_head(collector.seq, collector.hash).unwrap(), Standing::InStep);
                spool.answer_missing(&missing).unwrap();
            }
            Step::LoseBody { gone } => bench.lose_lowest_body(*gone),
            Step::LosePack { gone } => drop(bench.lose_oldest_pack(*gone)),
            Step::Crash | Step::Close | Step::LoseState => {
                if matches!(step, Step::Close) {
                    spool.close().unwrap();
                }
                drop(spool);
                if matches!(step, Step::LoseState) {
                    bench.lose_state();
                }
                spool = bench.open_capped(room);
                let standing = spool.adopt_head(collector.seq, collector.hash).unwrap();
                assert_eq!(standing, Standing::InStep);
            }
        }
        let stats = spool.stats();
        assert!(stats.waiting <= appended.len() as u64 && stats.urgent <= stats.waiting);
    }
    // A collector misses an id only once it has seen a higher one.
    if let Ok(Some(run)) = spool.append(&[alarm(1)]) {
        appended.extend(run.from.0..=run.to.0);
    }
    collector.drain(spool.as_mut());
    collector.assert_complete(spool.last_id());
    let stored: BTreeSet<u64> = collector.records.keys().map(|id| id.0).collect();
    assert!(stored.is_subset(&appended), "nothing is stored that was not appended");
    let lost: RunSet = GapReason::ALL.into_iter().flat_map(|r| collector.declared(r).runs()).collect();
    for id in &appended {
        let lost = lost.contains(RecId(*id));
        assert!(stored.contains(id) != lost, "record {id} is stored or was lost on purpose");
    }
    let took = |step: fn(&Step) -> bool| steps.iter().any(step);
    let never = |reason| assert_eq!(collector.declared(reason).runs(), [], "{reason:?}");
    assert!(
        collector
            .declared(GapReason::NeverIssued)
            .runs()
            .iter()
            .all(|run| { (run.from.0..=run.to.0).all(|id| !appended.contains(&id)) })
    );
    if !took(|step| matches!(step, Step::Restore)) {
        never(GapReason::CollectorLost);
        if !took(|step| matches!(step, Step::LoseBody { .. } | Step::LosePack { .. })) {
            never(GapReason::SpoolLost);
            never(GapReason::Corrupt);
        }
    }
    if !took(|step| {
        matches!(step, Step::Stub | Step::Restore | Step::LoseBody { .. } | Step::LosePack { .. })
    }) {
        collector.assert_disjoint();
        never(GapReason::Refused);
    }
}

fn room(small: bool, packs: bool) -> Room {
    let room = Room::from(if small { 24 * 1024 } else { 8 << 20 });
    if packs { Room { loose_bytes: 1_000, ..room } } else { room }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(steps in steps(), small in any::<bool>(), packs in any::<bool>()) {
        play(&Bench::Memory(MemoryDisk::default()), room(small, packs), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn on_sled(steps in steps(), packs in any::<bool>()) {
        play(&Bench::files(EngineKind::Sled), room(false, packs), &steps);
    }

    #[test]
    fn on_redb(steps in steps(), packs in any::<bool>()) {
        play(&Bench::files(EngineKind::Redb), room(false, packs), &steps);
    }
}

/// Any commit may be the last one that works: the disk then refuses, and a new open goes on.
#[test]
fn a_disk_that_fails_at_any_commit_loses_nothing_that_was_appended() {
    for commits in 0..24 {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut collector = Collector::new();
        let mut appended = BTreeSet::new();
        let mut spool = bench.open();
        disk.fail_after(Some(commits));
        for n in 0..12 {
            if let Ok(Some(run)) = spool.append(&[sample(n), alarm(n)]) {
                appended.extend(run.from.0..=run.to.0);
            }
            let _ = spool.cut(BatchLimit { records: 3, ..LIMIT }, &cx());
            if let Ok(Some(cut)) = spool.next_in_flight() {
                collector.accept(&cut);
                let (ack, envelope) = collector.ack();
                let _ = spool.release(&ack, &envelope);
            }
            if spool.is_halted() {
                disk.fail_after(None);
                spool = bench.open();
            }
        }
        collector.drain(spool.as_mut());
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
        assert!(appended.iter().all(|id| collector.records.contains_key(&RecId(*id))));
    }
}
