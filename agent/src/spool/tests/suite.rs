//! One suite of behaviour, the same over memory, sled and redb.

use super::bench::{Bench, CAP, Collector, LIMIT, alarm, batch_of, cx, large, run, sample, start};
use tenken_agent_core::spool::{
    BatchLimit, ChainStart, DurableSpool, SpoolError, Standing, memory::MemoryDisk,
};
use tenken_common::{
    batch::{Gap, GapReason},
    category::Category,
    id::{DeviceId, Hash, RecId, Seq},
    limit,
    observation::Class,
    time::Timestamp,
};

#[test]
fn ids_are_dense_and_urgent_records_overtake() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        assert_eq!(spool.append(&[]).unwrap(), None);
        assert_eq!(spool.append(&[sample(1), sample(2)]).unwrap(), Some(run(1, 2)));
        assert_eq!(spool.append(&[alarm(3), sample(4)]).unwrap(), Some(run(3, 4)));
        let stats = spool.stats();
        assert_eq!((stats.waiting, stats.urgent, spool.last_id()), (4, 1, RecId(4)));
        assert_eq!(stats.oldest, Some(Timestamp::from_secs(1)));
        assert_eq!(stats.degraded, None);
        let two = BatchLimit { records: 2, ..LIMIT };
        let first = spool.cut(two, &cx()).unwrap().unwrap();
        let second = spool.cut(two, &cx()).unwrap().unwrap();
        let mut collector = Collector::new();
        let batch = batch_of(&first);
        collector.accept(&first);
        assert_eq!((batch.class, batch.prev), (Class::Urgent, start().genesis));
        assert_eq!(batch.records.iter().map(|r| r.id.0).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(batch_of(&second).class, Class::Ordinary);
        collector.accept(&second);
        let (ack, envelope) = collector.ack();
        assert_eq!(spool.release(&ack, &envelope).unwrap(), 2);
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 4);
        assert_eq!(collector.records[&RecId(2)], sample(2));
    }
}

#[test]
fn a_crash_keeps_everything_and_declares_unused_ids() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1), alarm(2)]).unwrap();
        let cut = spool.cut(BatchLimit { records: 1, ..LIMIT }, &cx()).unwrap().unwrap();
        spool.set_consent_version(7).unwrap();
        spool.set_consent_version(3).unwrap();
        drop(spool);
        let mut spool = bench.open();
        assert_eq!(spool.next_in_flight().unwrap().as_ref(), Some(&cut), "the very same bytes");
        assert_eq!(spool.head(), (cut.epoch, cut.seq, cut.hash));
        assert_eq!(spool.consent_version(), 7);
        assert_eq!(spool.append(&[sample(3)]).unwrap(), Some(run(1_025, 1_025)));
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.gaps, [Gap { run: run(3, 1_024), reason: GapReason::NeverIssued }]);
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn a_clean_end_leaves_no_gap() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        spool.close().unwrap();
        assert!(matches!(spool.append(&[sample(2)]), Err(SpoolError::Halted)));
        drop(spool);
        let mut spool = bench.open();
        assert_eq!(spool.append(&[sample(2)]).unwrap(), Some(run(2, 2)));
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!((collector.records.len(), collector.gaps.len()), (2, 0));
    }
}

#[test]
fn only_an_ack_with_our_own_hash_deletes() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        let collector = Collector::new();
        for (seq, hash) in [(Seq(1), Hash([7; 32])), (Seq(2), cut.hash), (Seq(0), start().genesis)] {
            let (ack, envelope) = collector.ack_of(seq, hash);
            assert_eq!(spool.release(&ack, &envelope).unwrap(), 0);
            assert_eq!(spool.newest_ack(), None);
        }
        assert_eq!(spool.next_in_flight().unwrap(), Some(cut));
    }
}

#[test]
fn so_many_in_flight_at_most_and_a_gap_travels_in_one_batch_until_it_is_acked() {
    for in_flight in [limit::IN_FLIGHT_MAX, limit::EXPORT_LINKS_MAX] {
        for bench in Bench::all() {
            let limit = BatchLimit { in_flight, ..LIMIT };
            let mut spool = bench.open();
            spool.append(&[sample(1), sample(2)]).unwrap();
            spool.withdraw(&|category| category != Category::Disk).unwrap();
            let gap = Gap { run: run(1, 2), reason: GapReason::NotConsented };
            let first = spool.cut(limit, &cx()).unwrap().expect("a cut of gaps alone");
            assert!(spool.cut(limit, &cx()).unwrap().is_none());
            for n in 0..i64::try_from(in_flight).unwrap() + 2 {
                spool.append(&[sample(n)]).unwrap();
                spool.cut(limit, &cx()).unwrap();
            }
            assert_eq!(spool.stats().in_flight, in_flight as u64);
            let mut collector = Collector::new();
            assert_eq!(batch_of(&first).gaps, [gap]);
            collector.accept(&first);
            let mut after = first.seq;
            while let Some(cut) = spool.in_flight_after(after).unwrap() {
                after = cut.seq;
            }
            assert_eq!(after, spool.head().1, "all of them can be read, for an export");
            drop(spool);
            let mut spool = bench.open();
            collector.drain(spool.as_mut());
            assert_eq!(collector.gaps.iter().filter(|g| **g == gap).count(), 1);
            assert_eq!(collector.records.len(), in_flight + 2);
        }
    }
}

#[test]
fn while_more_waits_than_fits_a_quarter_of_a_batch_is_the_newest() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        for n in 0..30 {
            spool.append(&[sample(n), sample(n), sample(n)]).unwrap();
        }
        spool.append(&[alarm(1), sample(30), alarm(2)]).unwrap();
        let mut collector = Collector::new();
        let mut ids = Vec::new();
        let eight = BatchLimit { records: 8, in_flight: limit::EXPORT_LINKS_MAX, ..LIMIT };
        while let Some(cut) = spool.cut(eight, &cx()).unwrap() {
            ids.push(batch_of(&cut).records.iter().map(|record| record.id.0).collect::<Vec<_>>());
            collector.accept(&cut);
        }
        assert_eq!(ids[0], [91, 93, 90, 92, 1, 2, 3, 4], "alarms, live data, then the oldest");
        assert_eq!(ids[1], [88, 89, 5, 6, 7, 8, 9, 10]);
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 93);
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn alarms_between_many_waiting_records_do_not_hide_them() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        let all: Vec<_> = (0..1_200).flat_map(|n| [sample(n), alarm(n)]).collect();
        spool.append(&all).unwrap();
        let mut collector = Collector::new();
        for _ in 0..2 {
            collector.accept(&spool.cut(LIMIT, &cx()).unwrap().unwrap());
            let (ack, envelope) = collector.ack();
            spool.release(&ack, &envelope).unwrap();
        }
        drop(spool);
        let mut spool = bench.open();
        assert_eq!(spool.stats().violations, 0);
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 2_400, "nothing between acknowledged ids was taken for one");
        collector.assert_disjoint();
    }
}

#[test]
fn a_full_spool_evicts_the_oldest_ordinary_ones_and_says_so() {
    for bench in Bench::all() {
        let cap = 64 * 1024;
        let mut spool = bench.open_capped(cap);
        spool.append(&[alarm(1)]).unwrap();
        for n in 0..40 {
            let many: Vec<_> = (0..20).map(|i| sample(n * 20 + i)).collect();
            spool.append(&many).unwrap();
        }
        let stats = spool.stats();
        assert!(stats.evicted > 0 && stats.urgent == 1, "{stats:?}");
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        let evicted = collector.declared(GapReason::Evicted);
        assert_eq!(evicted.runs(), [run(2, 1 + stats.evicted)]);
        assert!(collector.records.contains_key(&RecId(801)));
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
    }
}

#[test]
fn an_ordinary_record_never_displaces_an_alarm() {
    for bench in Bench::all() {
        let mut spool = bench.open_capped(32 * 1024);
        let full = (0..60).any(|_| {
            spool.append(&[alarm(1), alarm(2), alarm(3), alarm(4)]).unwrap();
            matches!(spool.append(&[sample(1)]), Err(SpoolError::Full))
        });
        assert!(full);
        assert!(spool.append(&[alarm(9)]).is_ok(), "an alarm displaces the oldest alarm");
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn withdrawn_categories_become_gaps_and_cut_ones_stay() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        spool.cut(LIMIT, &cx()).unwrap();
        spool.append(&[sample(2), alarm(3), sample(4)]).unwrap();
        assert_eq!(spool.withdraw(&|category| category != Category::Disk).unwrap(), 2);
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.declared(GapReason::NotConsented).runs(), [run(2, 2), run(4, 4)]);
        assert_eq!(collector.records.keys().map(|id| id.0).collect::<Vec<_>>(), [1, 3]);
    }
}

#[test]
fn without_its_state_the_spool_waits_for_resume_and_goes_on() {
    for bench in Bench::all() {
        let mut collector = Collector::new();
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        collector.drain(spool.as_mut());
        spool.append(&[sample(2)]).unwrap();
        let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        spool.append(&[sample(3)]).unwrap();
        drop(spool);
        bench.lose_state();
        let mut spool = bench.open();
        assert!(spool.stats().awaiting_resume);
        assert_eq!(spool.head(), (cut.epoch, cut.seq, cut.hash));
        assert!(spool.cut(LIMIT, &cx()).unwrap().is_none(), "nothing is cut before resume");
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 3);
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
    }
}

#[test]
fn a_resume_answer_is_compared_with_the_own_chain_and_deletes_nothing() {
    for bench in Bench::all() {
        let mut collector = Collector::new();
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        collector.drain(spool.as_mut());
        assert_eq!(spool.adopt_head(Seq(0), Hash::ZERO).unwrap(), Standing::CollectorBehind);
        assert_eq!(spool.adopt_head(Seq(9), Hash::ZERO).unwrap(), Standing::DeviceBehind);
        assert_eq!(spool.adopt_head(Seq(1), Hash([1; 32])).unwrap(), Standing::DeviceBehind);
        spool.append(&[sample(2)]).unwrap();
        let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        collector.accept(&cut);
        assert_eq!(spool.adopt_head(cut.seq, cut.hash).unwrap(), Standing::InStep);
        assert_eq!(spool.stats().in_flight, 1, "only an acknowledgement deletes");
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 2);
    }
}

#[test]
fn a_restored_collector_is_told_what_it_lost_and_goes_on() {
    for bench in Bench::all() {
        let mut collector = Collector::new();
        let mut spool = bench.open();
        spool.append(&[sample(1), sample(2)]).unwrap();
        collector.drain(spool.as_mut());
        let mut backup = collector.clone();
        spool.append(&[sample(3), sample(4)]).unwrap();
        collector.drain(spool.as_mut());
        spool.append(&[sample(5)]).unwrap();
        let ahead = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        backup.resume(spool.as_ref());
        assert_eq!((backup.seq, backup.hash), (collector.seq, collector.hash), "the newest ack proves it");
        backup.accept(&ahead);
        drop(spool);
        let mut spool = bench.open();
        backup.drain(spool.as_mut());
        assert_eq!(backup.declared(GapReason::CollectorLost).runs(), [run(3, 4)]);
        assert_eq!(backup.declared(GapReason::SpoolLost).runs(), []);
        backup.assert_complete(spool.last_id());
        backup.assert_disjoint();
        assert_eq!(
            spool.answer_missing(&[run(3, 4), run(9_000, 9_001)]).unwrap(),
            2,
            "asked again, told again"
        );
        drop(spool);
        let mut spool = bench.open();
        assert_eq!((spool.stats().violations, spool.stats().gaps_waiting), (0, 1), "until it is acked");
        backup.drain(spool.as_mut());
    }
}

#[test]
fn a_stub_takes_the_place_of_its_body_and_the_chain_goes_on() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1), sample(2)]).unwrap();
        spool.withdraw(&|category| category != Category::Disk).unwrap();
        spool.append(&[alarm(3), alarm(4)]).unwrap();
        let body = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        spool.append(&[sample(5)]).unwrap();
        let next = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        let stub = spool.stub(body.seq, GapReason::Refused).unwrap();
        assert_eq!((stub.seq, stub.prev, stub.hash, stub.records), (body.seq, body.prev, body.hash, 2));
        assert_eq!(
            spool.stub(body.seq, GapReason::NotConsented).unwrap(),
            stub,
            "once a stub, always that one"
        );
        assert!(matches!(spool.stub(Seq(9), GapReason::Refused), Err(SpoolError::NotInFlight(Seq(9)))));
        assert_eq!((spool.stats().stubs, spool.stats().gaps_waiting), (1, 1), "its gaps wait again");
        drop(spool);
        let mut spool = bench.open();
        assert_eq!(spool.next_in_flight().unwrap().unwrap(), stub, "also after a crash");
        assert_eq!(spool.in_flight_after(stub.seq).unwrap().unwrap(), next);
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.stubs, [(body.seq, GapReason::Refused)]);
        assert_eq!(collector.declared(GapReason::Refused).runs(), [run(3, 4)]);
        assert_eq!(collector.declared(GapReason::NotConsented).runs(), [run(1, 2)]);
        assert_eq!(collector.records.len(), 1);
        collector.assert_complete(spool.last_id());
    }
}

/// The acknowledgement of the body was lost: the collector has it, the stub changes nothing.
#[test]
fn a_stub_of_a_stored_body_is_harmless() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.append(&[sample(1), alarm(2)]).unwrap();
        let mut collector = Collector::new();
        collector.accept(&spool.cut(LIMIT, &cx()).unwrap().unwrap());
        spool.stub(Seq(1), GapReason::NotConsented).unwrap();
        spool.append(&[sample(3)]).unwrap();
        collector.drain(spool.as_mut());
        assert_eq!((collector.records.len(), collector.gaps.len(), collector.stubs.len()), (3, 0, 0));
    }
}

#[test]
fn a_rejoin_gives_what_is_held_new_ids_in_the_new_epoch() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        let mut old = Collector::new();
        spool.append(&[sample(1), sample(2)]).unwrap();
        old.drain(spool.as_mut());
        spool.append(&[sample(3), alarm(4)]).unwrap();
        spool.cut(LIMIT, &cx()).unwrap().unwrap();
        spool.append(&[alarm(5)]).unwrap();
        let stubbed = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        spool.stub(stubbed.seq, GapReason::Refused).unwrap();
        spool.append(&[sample(6), sample(7), alarm(8)]).unwrap();
        spool.set_consent_version(5).unwrap();
        drop(spool);
        let next = rejoined();
        for _ in 0..2 {
            let spool = bench.open_chain(next, CAP);
            let stats = spool.stats();
            assert_eq!((stats.waiting, stats.urgent, stats.in_flight, stats.violations), (5, 2, 0, 0));
            assert_eq!((spool.head(), spool.consent_version()), ((next.epoch, Seq(0), next.genesis), 5));
            assert!(spool.newest_ack().is_none() && !stats.awaiting_resume);
        }
        let mut spool = bench.open_chain(next, CAP);
        let mut collector = Collector::of(next);
        collector.drain(spool.as_mut());
        let came: Vec<_> = collector.records.values().cloned().collect();
        assert_eq!(came, [sample(3), alarm(4), sample(6), sample(7), alarm(8)]);
        assert_eq!(collector.records.keys().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        collector.assert_complete(spool.last_id());
    }
}

fn rejoined() -> ChainStart {
    ChainStart { epoch: start().epoch.next(), genesis: Hash([7; 32]), ..start() }
}

/// A power cut between the new store and the new state file, and a store that fell back behind
/// the migration.
#[test]
fn a_rejoin_that_was_interrupted_is_finished() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    spool.append(&[sample(1), alarm(2)]).unwrap();
    spool.cut(LIMIT, &cx()).unwrap().unwrap();
    spool.append(&[sample(3)]).unwrap();
    drop(spool);
    let (old_pairs, old_state) = (disk.pairs().clone(), disk.state().clone());
    let spool = bench.open_chain(rejoined(), CAP);
    assert_eq!(spool.last_id(), RecId(3));
    drop(spool);
    let new_state = std::mem::replace(&mut *disk.state(), old_state);
    let spool = bench.open_chain(rejoined(), CAP);
    assert_eq!((spool.last_id(), spool.stats().waiting, spool.stats().awaiting_resume), (RecId(3), 3, false));
    drop(spool);
    *disk.pairs() = old_pairs;
    *disk.state() = new_state;
    let mut spool = bench.open_chain(rejoined(), CAP);
    let mut collector = Collector::of(rejoined());
    collector.drain(spool.as_mut());
    assert_eq!(collector.records.len(), 0, "old ids mean nothing in the new epoch");
    assert_eq!(collector.declared(GapReason::SpoolLost).runs(), [run(1, 3)]);
    collector.assert_complete(spool.last_id());
}

#[test]
fn a_rejoin_on_a_disk_that_fails_keeps_everything() {
    for commits in 0..4 {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        spool.append(&[sample(1), alarm(2), sample(3)]).unwrap();
        drop(spool);
        disk.fail_after(Some(commits));
        let opened = DurableSpool::open(disk.engine(), disk.states(), rejoined(), CAP);
        drop(opened);
        disk.fail_after(None);
        let mut spool = bench.open_chain(rejoined(), CAP);
        let mut collector = Collector::of(rejoined());
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 3);
        collector.assert_complete(spool.last_id());
    }
}

/// sled writes what is too large for a quarter of its segment to files that it never syncs.
#[test]
fn large_records_and_their_bodies_stay_where_they_are_synced() {
    for bench in Bench::all() {
        let mut collector = Collector::new();
        let mut spool = bench.open_capped(8 * CAP);
        for round in 0..12 {
            let many: Vec<_> = (0..25).map(|i| large(round * 25 + i)).collect();
            spool.append(&many).unwrap();
            spool.cut(LIMIT, &cx()).unwrap();
            assert_eq!(spool.stats().degraded, None);
        }
        collector.drain(spool.as_mut());
        assert_eq!((collector.records.len(), spool.stats().degraded), (300, None));
    }
}

#[test]
fn another_chain_is_left_alone() {
    let bench = Bench::files(crate::spool::EngineKind::Sled);
    drop(bench.open());
    let other = crate::spool::ChainStart { genesis: Hash([8; 32]), ..start() };
    let device = crate::spool::ChainStart { device: DeviceId([3; 16]), ..rejoined() };
    drop(bench.open_chain(rejoined(), CAP));
    for other in [other, device, start()] {
        let opened = crate::spool::open(&bench.config(CAP), other);
        assert!(matches!(opened, Err(crate::spool::OpenError::OtherChain(_))));
    }
    assert!(bench.dir().join("sled-000002").exists());
}

#[test]
fn a_failed_write_halts_and_opening_again_finds_out() {
    let disk = tenken_agent_core::spool::memory::MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    spool.append(&[sample(1)]).unwrap();
    disk.fail_after(Some(0));
    assert!(matches!(spool.append(&[sample(2)]), Err(SpoolError::Engine(_))));
    disk.fail_after(None);
    assert!(spool.is_halted() && matches!(spool.append(&[sample(2)]), Err(SpoolError::Halted)));
    let mut spool = bench.open();
    let mut collector = Collector::new();
    collector.drain(spool.as_mut());
    assert_eq!(collector.records.len(), 1);
    collector.assert_complete(spool.last_id());
}
