//! One suite of behaviour, the same over memory, sled and redb.

use super::bench::{Bench, CAP, Collector, LIMIT, alarm, cx, large, run, sample, start};
use tenken_agent_core::spool::{BatchLimit, SpoolError, Standing};
use tenken_common::{
    batch::{Gap, GapReason},
    category::Category,
    id::{Hash, RecId, Seq},
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
        let batch = collector.accept(&first).batch;
        assert_eq!((batch.class, batch.prev), (Class::Urgent, start().genesis));
        assert_eq!(batch.records.iter().map(|r| r.id.0).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(collector.accept(&second).batch.class, Class::Ordinary);
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
        spool.set_server_time(Timestamp::from_secs(99)).unwrap();
        drop(spool);
        let mut spool = bench.open();
        assert_eq!(spool.next_in_flight().unwrap().as_ref(), Some(&cut), "the very same bytes");
        assert_eq!(spool.head(), (cut.epoch, cut.seq, cut.hash));
        assert_eq!((spool.consent_version(), spool.server_time()), (7, Some(Timestamp::from_secs(99))));
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
fn four_in_flight_at_most_and_a_gap_travels_in_one_batch_until_it_is_acked() {
    for bench in Bench::all() {
        let mut spool = bench.open();
        spool.declare(run(5_000, 5_001), GapReason::Corrupt).unwrap();
        let gap = Gap { run: run(5_000, 5_001), reason: GapReason::Corrupt };
        let first = spool.cut(LIMIT, &cx()).unwrap().expect("a cut of gaps alone");
        assert!(spool.cut(LIMIT, &cx()).unwrap().is_none());
        for n in 0..6 {
            spool.append(&[sample(n)]).unwrap();
            spool.cut(LIMIT, &cx()).unwrap();
        }
        let in_flight = spool.stats().in_flight;
        assert_eq!(in_flight, limit::IN_FLIGHT_MAX as u64);
        let mut collector = Collector::new();
        assert_eq!(collector.accept(&first).batch.gaps, [gap]);
        drop(spool);
        let mut spool = bench.open();
        collector.drain(spool.as_mut());
        assert_eq!(collector.gaps.iter().filter(|g| **g == gap).count(), 1);
        assert_eq!(collector.records.len(), 6);
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
fn a_resume_answer_is_compared_with_the_own_chain() {
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
        assert_eq!(spool.stats().in_flight, 0, "stored is as good as acknowledged");
        spool.append(&[sample(3)]).unwrap();
        assert_eq!(spool.answer_missing(&[run(1, 3), run(900, 901)]).unwrap(), 2);
        collector.drain(spool.as_mut());
        assert_eq!(collector.declared(GapReason::SpoolLost).runs(), [run(1, 2)]);
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
    let opened = crate::spool::open(&bench.config(CAP), other);
    assert!(matches!(opened, Err(crate::spool::OpenError::OtherChain(_))));
    assert!(bench.dir().join("sled-000001").exists());
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
