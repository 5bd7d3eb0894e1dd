//! Packs: what a long wait makes of old records, and that nothing else changes for them.

use super::bench::{Bench, CAP, Collector, LIMIT, alarm, batch_of, cx, large, run, sample, start};
use crate::spool::{ChainStart, Room, inspect as look_into};
use tenken_agent_core::spool::{
    BatchLimit, Spool, StateStore,
    frame::{self, Place},
    inspect,
    memory::MemoryDisk,
};
use tenken_common::{
    batch::{GapReason, RecRun},
    category::Category,
    id::{Hash, RecId},
    observation::{Class, Observation},
};

const PACKING: Room = Room { cap_bytes: CAP, loose_bytes: 4_000 };

/// Of record `id` in [`filled`].
fn expected(id: u64) -> Observation {
    let n = i64::try_from(id).unwrap();
    match id % 25 {
        7 => alarm(n),
        9 => Observation { category: Category::Network, ..sample(n) },
        _ => sample(n),
    }
}

/// Two thousand records that wait, nearly all of them packed.
fn filled(bench: &Bench) -> Box<dyn Spool> {
    let mut spool = bench.open_capped(PACKING);
    let all: Vec<_> = (1..=2_000).map(expected).collect();
    for part in all.chunks(10) {
        spool.append(part).unwrap();
    }
    assert_eq!((spool.stats().waiting, spool.stats().urgent), (2_000, 80));
    spool
}

fn packs(disk: &MemoryDisk) -> Vec<(Vec<u8>, RecRun)> {
    let pairs = disk.pairs();
    let pack = |key: &Vec<u8>| match frame::place(key) {
        Some(Place::Pack(ids)) => Some((key.clone(), ids)),
        _ => None,
    };
    pairs.keys().filter_map(pack).collect()
}

fn assert_delivered(collector: &Collector) {
    for (id, observation) in collector.records.iter().filter(|(id, _)| id.0 <= 2_000) {
        assert_eq!(observation, &expected(id.0));
    }
}

#[test]
fn what_waits_long_is_packed_small_and_delivered_once_as_it_was() {
    for bench in Bench::all() {
        for reopened in [false, true] {
            let mut spool = filled(&bench);
            if let Bench::Memory(disk) = &bench {
                let stored: usize = disk.pairs().iter().map(|(key, value)| key.len() + value.len()).sum();
                assert!(packs(disk).len() > 3 && stored < 40_000, "{stored} bytes");
            }
            if reopened {
                drop(spool);
                spool = bench.open_capped(PACKING);
                assert_eq!((spool.stats().waiting, spool.stats().urgent), (2_000, 80));
            }
            assert_eq!(spool.stats().oldest, Some(sample(1).at.wall));
            let mut collector = Collector::new();
            collector.drain(spool.as_mut());
            assert_eq!(collector.records.len(), 2_000);
            assert_delivered(&collector);
            collector.assert_disjoint();
            if reopened {
                break;
            }
            drop(spool);
            if let Bench::Memory(disk) = &bench {
                disk.pairs().clear();
                *disk.state() = None;
            } else {
                std::fs::remove_dir_all(bench.dir()).unwrap();
                std::fs::create_dir(bench.dir()).unwrap();
            }
        }
    }
}

#[test]
fn a_device_that_is_online_packs_nothing() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open_capped(PACKING);
    let mut collector = Collector::new();
    for n in 0..200 {
        spool.append(&[sample(n), sample(n), alarm(n)]).unwrap();
        assert_eq!(packs(&disk), []);
        if n % 5 == 4 {
            collector.drain(spool.as_mut());
        }
    }
}

#[test]
fn records_that_fit_no_pack_wait_loose_beside_the_others() {
    for bench in Bench::all() {
        let mut spool = bench.open_capped(PACKING);
        for n in 0..60 {
            spool.append(&[large(n), sample(n), sample(n)]).unwrap();
        }
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 180);
        collector.assert_disjoint();
    }
}

#[test]
fn whole_packs_are_cut_and_of_a_part_the_rest_is_packed_again() {
    let disk = MemoryDisk::default();
    let mut spool = filled(&Bench::Memory(disk.clone()));
    let before = packs(&disk);
    let cut = spool.cut(BatchLimit { records: 110, ..LIMIT }, &cx()).unwrap().unwrap();
    let ordinary: Vec<u64> = batch_of(&cut)
        .records
        .iter()
        .filter(|r| r.observation.class() == Class::Ordinary)
        .map(|r| r.id.0)
        .collect();
    assert_eq!((ordinary.len(), ordinary[29]), (30, 3), "the newest, then the oldest");
    let after = packs(&disk);
    assert_eq!(after.len(), before.len(), "the rest of the first is a pack");
    assert_eq!(after[1..], before[1..]);
    assert!(after[0].1.from > before[0].1.from && after[0].1.to == before[0].1.to);
    let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
    let cut: Vec<RecId> = batch_of(&cut).records.iter().map(|r| r.id).collect();
    let left = packs(&disk);
    assert!(left.len() < after.len());
    let gone = after.iter().filter(|pack| !left.contains(pack));
    gone.for_each(|(_, ids)| assert!(cut.contains(&ids.from) && cut.contains(&ids.to)));
}

/// To the id, while the spool is open; else from its first to its last, as far as they are nowhere.
#[test]
fn a_damaged_pack_is_declared_and_blocks_nothing() {
    for (gone, reopened) in [(false, false), (false, true), (true, false), (true, true)] {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = filled(&bench);
        let (_, ids) = packs(&disk)[0].clone();
        assert!(bench.lose_oldest_pack(gone));
        if reopened {
            drop(spool);
            spool = bench.open_capped(PACKING);
        }
        let lost: u64 = (ids.from.0..=ids.to.0).filter(|id| id % 25 != 7).count() as u64;
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        let reason = if gone && reopened { GapReason::SpoolLost } else { GapReason::Corrupt };
        let declared = collector.declared(reason);
        assert_eq!(declared.ids(), lost, "gone {gone}, reopened {reopened}");
        assert_eq!(collector.records.len() as u64, 2_000 - lost);
        assert_delivered(&collector);
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
        assert_eq!(spool.stats().corrupt, if reason == GapReason::Corrupt { lost } else { 0 });
    }
}

#[test]
fn what_the_consent_refuses_leaves_its_pack_and_the_rest_stays_packed() {
    for bench in Bench::all() {
        let mut spool = filled(&bench);
        assert_eq!(spool.withdraw(&|_| true).unwrap(), 0);
        assert_eq!(spool.withdraw(&|category| category != Category::Network).unwrap(), 80);
        if let Bench::Memory(disk) = &bench {
            assert!(packs(disk).len() > 3 && disk.pairs().len() < 300);
        }
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.declared(GapReason::NotConsented).ids(), 80);
        assert_eq!(collector.records.len(), 1_920);
        assert!(collector.records.values().all(|o| o.category != Category::Network));
        collector.assert_disjoint();
    }
}

#[test]
fn packs_are_evicted_first_and_declared() {
    let room = Room { cap_bytes: 64 * 1024, loose_bytes: 4_000 };
    for bench in Bench::all() {
        let mut spool = bench.open_capped(room);
        let mut n = 0;
        while spool.stats().evicted == 0 {
            let many: Vec<_> = (n..n + 20).map(sample).collect();
            spool.append(&many).unwrap();
            n += 20;
        }
        let evicted = spool.stats().evicted;
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.declared(GapReason::Evicted).runs(), [run(1, evicted)]);
        assert_eq!(collector.records.len() as u64, spool.last_id().0 - evicted);
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
    }
}

#[test]
fn a_rejoin_moves_what_is_packed() {
    let next = ChainStart { epoch: start().epoch.next(), genesis: Hash([7; 32]), ..start() };
    for bench in Bench::all() {
        let mut spool = filled(&bench);
        spool.cut(BatchLimit { records: 100, ..LIMIT }, &cx()).unwrap().unwrap();
        drop(spool);
        let mut spool = bench.open_chain(next, PACKING);
        let stats = spool.stats();
        assert_eq!((stats.waiting, stats.urgent, stats.violations), (2_000, 80, 0));
        if let Bench::Memory(disk) = &bench {
            assert!(packs(disk).len() > 2 && disk.pairs().len() < 300);
        }
        let mut collector = Collector::of(next);
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 2_000);
        assert_delivered(&collector);
    }
}

/// A damaged store can keep what was deleted.
#[test]
fn a_record_that_waits_loose_and_in_packs_is_sent_once() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open_capped(PACKING);
    let loose: Vec<_> = (1..=10).map(expected).collect();
    spool.append(&loose).unwrap();
    let kept = disk.pairs().clone();
    let rest: Vec<_> = (11..=500).map(expected).collect();
    for part in rest.chunks(10) {
        spool.append(part).unwrap();
    }
    let older = disk.pairs().clone();
    spool.cut(BatchLimit { records: 40, ..LIMIT }, &cx()).unwrap().unwrap();
    drop(spool);
    let is_record = |key: &[u8]| matches!(frame::place(key), Some(Place::Record(..) | Place::Pack(_)));
    for (key, value) in older.iter().chain(&kept).filter(|(key, _)| is_record(key)) {
        disk.pairs().entry(key.clone()).or_insert_with(|| value.clone());
    }
    let mut spool = bench.open_capped(PACKING);
    let mut collector = Collector::new();
    collector.drain(spool.as_mut());
    assert_delivered(&collector);
    let appended = collector.records.keys().filter(|id| id.0 <= 500).count();
    assert_eq!(appended, 500);
    collector.assert_disjoint();
}

#[test]
fn what_is_packed_can_be_looked_at_and_verified() {
    for bench in Bench::all() {
        let mut spool = filled(&bench);
        for class in Class::ALL {
            let mut from = RecId(0);
            let mut seen = Vec::new();
            loop {
                let page = spool.waiting(class, from, 70).unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= 70);
                from = last.id.next();
                seen.extend(page.iter().map(|w| w.id.0));
            }
            let wanted: Vec<u64> = (1..=2_000).filter(|id| expected(*id).class() == class).collect();
            assert_eq!(seen, wanted);
        }
        spool.close().unwrap();
        drop(spool);
        let found = match &bench {
            Bench::Memory(disk) => {
                let state = disk.states().load().unwrap();
                inspect::inspect(&disk.engine(), state.as_ref(), 0).unwrap()
            }
            Bench::Files(..) => look_into(bench.dir()).unwrap(),
        };
        assert_eq!(found.faults, []);
        assert_eq!(found.waiting.iter().map(|kind| kind.records).sum::<u64>(), 2_000);
        assert_eq!(found.waiting.len(), 3);
    }
}
