//! Damaged disks: it always opens, never sends a wrong record, and declares every loss.

use super::bench::{Bench, CAP, Collector, LIMIT, alarm, cx, run, sample, start};
use crate::spool::{EngineKind, OpenError, SpoolHandle};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tenken_agent_core::spool::{BatchLimit, Standing, frame, memory::MemoryDisk};
use tenken_common::{
    batch::{GapReason, RecRun},
    id::RecId,
    observation::{Class, Observation},
};

/// Of record `id` in [`filled`].
fn expected(id: u64) -> Observation {
    let n = i64::try_from(id).unwrap();
    if id.is_multiple_of(10) { alarm(n) } else { sample(n) }
}

/// A spool with 20 records acknowledged, 20 in flight and 160 waiting, cleanly closed or crashed.
fn filled(bench: &Bench, clean: bool) -> Collector {
    let mut collector = Collector::new();
    let mut spool = bench.open();
    let observations: Vec<_> = (1..=200).map(expected).collect();
    for part in observations.chunks(20) {
        spool.append(part).unwrap();
    }
    let twenty = BatchLimit { records: 20, ..LIMIT };
    let first = spool.cut(twenty, &cx()).unwrap().unwrap();
    collector.accept(&first);
    let (ack, envelope) = collector.ack();
    spool.release(&ack, &envelope).unwrap();
    spool.cut(twenty, &cx()).unwrap().unwrap();
    if clean {
        spool.close().unwrap();
    }
    collector
}

/// Opens, sends everything, and checks what arrived.
fn assert_survives(bench: &Bench, collector: &mut Collector) {
    let mut spool = bench.open();
    spool.append(&[sample(7)]).unwrap();
    collector.drain(spool.as_mut());
    let last = spool.last_id();
    spool.answer_missing(&[run(1, last.0)]).unwrap();
    for (id, observation) in collector.records.iter().filter(|(id, _)| id.0 <= 200) {
        assert_eq!(observation, &expected(id.0), "a wrong record was sent");
    }
    collector.assert_complete(last);
    assert!(collector.records.contains_key(&last), "it goes on");
}

fn data_file(bench: &Bench) -> PathBuf {
    let dir = bench.dir();
    let sled = dir.join("sled-000001/db");
    if sled.exists() { sled } else { dir.join("redb-000001/redb") }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn files() -> Vec<Bench> {
    EngineKind::ALL.map(Bench::files).into()
}

#[test]
fn flipped_bytes_anywhere_in_the_store() {
    for round in 0..12usize {
        for bench in files() {
            let mut collector = filled(&bench, round % 2 == 0);
            let file = data_file(&bench);
            for n in 0..=round {
                flip(&file, (round * 7_919 + n * 104_729) * 31 + 17);
            }
            assert_survives(&bench, &mut collector);
        }
    }
}

#[test]
fn a_file_of_garbage_and_a_short_one() {
    for bench in files() {
        let mut collector = filled(&bench, true);
        fs::write(data_file(&bench), vec![0xa5; 100_000]).unwrap();
        assert_survives(&bench, &mut collector);
        assert!(bench.dir().join("quarantine-000001").exists());
        assert!(!collector.declared(GapReason::SpoolLost).runs().is_empty());
    }
    for bench in files() {
        let mut collector = filled(&bench, false);
        let file = fs::File::options().write(true).open(data_file(&bench)).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        assert_survives(&bench, &mut collector);
    }
}

#[test]
fn a_store_that_is_gone() {
    for bench in files() {
        let mut collector = filled(&bench, true);
        fs::remove_dir_all(data_file(&bench).parent().unwrap()).unwrap();
        assert_survives(&bench, &mut collector);
        let lost: u64 = collector.declared(GapReason::SpoolLost).runs().iter().map(RecRun::len).sum();
        assert_eq!(lost, 180, "what was acknowledged is not lost");
    }
}

#[test]
fn an_empty_or_torn_snapshot_costs_nothing() {
    for keep in [0, 9] {
        let bench = Bench::files(EngineKind::Sled);
        let mut collector = filled(&bench, true);
        drop(bench.open());
        let store = bench.dir().join("sled-000001");
        let snapshots = fs::read_dir(&store).unwrap().map(|e| e.unwrap().path());
        let snapshots: Vec<_> = snapshots.filter(|p| p.to_string_lossy().contains("snap.")).collect();
        assert!(!snapshots.is_empty());
        for snapshot in snapshots {
            fs::File::options().write(true).open(snapshot).unwrap().set_len(keep).unwrap();
        }
        assert_survives(&bench, &mut collector);
        assert!(collector.declared(GapReason::SpoolLost).runs().is_empty());
        assert!(!bench.dir().join("quarantine-000001").exists());
    }
}

#[test]
fn one_copy_of_the_state_is_enough() {
    for (gone, damaged) in [("state-a", "none"), ("none", "state-b")] {
        let bench = Bench::files(EngineKind::Sled);
        let mut collector = filled(&bench, true);
        let _ = fs::remove_file(bench.dir().join(gone));
        if bench.dir().join(damaged).exists() {
            flip(&bench.dir().join(damaged), 40);
        }
        assert_survives(&bench, &mut collector);
        assert!(collector.gaps.is_empty());
    }
}

#[test]
fn a_damaged_record_is_a_gap_and_blocks_nothing() {
    for reopened in [false, true] {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        spool.append(&[sample(1), sample(2), sample(3)]).unwrap();
        disk.pairs().get_mut(&frame::record_key(Class::Ordinary, RecId(2))).unwrap()[12] ^= 1;
        if reopened {
            spool.close().unwrap();
            spool = bench.open();
        }
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert_eq!(collector.declared(GapReason::Corrupt).runs(), [run(2, 2)]);
        assert_eq!((collector.records.len(), spool.stats().corrupt), (2, 1));
    }
}

#[test]
fn a_record_that_vanished_without_a_trace_is_declared() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    spool.append(&[sample(1), sample(2), sample(3)]).unwrap();
    drop(spool);
    disk.pairs().remove(&frame::record_key(Class::Ordinary, RecId(2)));
    let mut spool = bench.open();
    let mut collector = Collector::new();
    collector.drain(spool.as_mut());
    assert_eq!(collector.declared(GapReason::SpoolLost).runs(), [run(2, 2)]);
}

/// Three links in flight, the second body damaged: what the collector has decides.
#[test]
fn a_lost_body_waits_for_resume() {
    for stored in 0..=3usize {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        let mut collector = Collector::new();
        for n in 1..=3 {
            spool.append(&[sample(n), alarm(n)]).unwrap();
            let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
            if usize::try_from(n).unwrap() <= stored {
                collector.accept(&cut);
            }
        }
        spool.close().unwrap();
        disk.pairs().remove(&frame::chunk_key(frame::Space::Body, 2, 0));
        let mut spool = bench.open();
        assert!(spool.stats().awaiting_resume && spool.stats().degraded.is_some());
        spool.append(&[sample(9)]).unwrap();
        assert!(spool.cut(LIMIT, &cx()).unwrap().is_none());
        collector.drain(spool.as_mut());
        let lost = collector.declared(GapReason::SpoolLost).runs();
        if stored >= 2 {
            assert!(lost.is_empty(), "the collector has it");
        } else {
            assert_eq!(lost, [run(3, 4)], "intact bodies behind it are cut anew");
        }
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
    }
}

/// The engine falls back to an earlier time of its own, the state file does not.
#[test]
fn an_engine_that_went_back_in_time_is_noticed() {
    for stored in [false, true] {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        spool.append(&[sample(1), sample(2)]).unwrap();
        let earlier = disk.pairs().clone();
        let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
        let mut collector = Collector::new();
        if stored {
            collector.accept(&cut);
        }
        drop(spool);
        *disk.pairs() = earlier;
        let mut spool = bench.open();
        collector.drain(spool.as_mut());
        assert_eq!(collector.records.len(), 2, "the records came once, by the old link or a new one");
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn both_lost_is_a_device_behind() {
    let bench = Bench::files(EngineKind::Redb);
    let collector = filled(&bench, true);
    fs::remove_dir_all(data_file(&bench).parent().unwrap()).unwrap();
    bench.lose_state();
    let mut spool = bench.open();
    assert_eq!(spool.adopt_head(collector.seq, collector.hash).unwrap(), Standing::DeviceBehind);
}

#[test]
fn changing_the_engine_moves_the_records() {
    let bench = Bench::files(EngineKind::Sled);
    let mut collector = filled(&bench, true);
    let Bench::Files(dir, _) = bench else { unreachable!("made of files") };
    let bench = Bench::Files(dir, EngineKind::Redb);
    assert_survives(&bench, &mut collector);
    assert!(collector.gaps.is_empty());
    assert!(!bench.dir().join("sled-000001").exists());
}

#[test]
fn an_empty_large_store_is_renewed() {
    for bench in files() {
        let mut spool = bench.open_capped(16 << 20);
        let mut collector = Collector::new();
        while spool.stats().disk_bytes <= 4 << 20 {
            let many: Vec<_> = (0..1_000).map(sample).collect();
            for _ in 0..8 {
                spool.append(&many).unwrap();
            }
        }
        collector.drain(spool.as_mut());
        assert!(spool.stats().disk_bytes <= 4 << 20, "{}", spool.stats().disk_bytes);
        spool.append(&[sample(5)]).unwrap();
        drop(spool);
        let mut spool = bench.open_capped(16 << 20);
        collector.drain(spool.as_mut());
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn the_handle_works_and_keeps_others_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bench = Bench::files(EngineKind::Sled);
    runtime.block_on(async {
        let handle = SpoolHandle::open(bench.config(CAP), start()).await.unwrap();
        let second = SpoolHandle::open(bench.config(CAP), start()).await;
        assert!(matches!(second.err(), Some(OpenError::InUse(_))));
        assert_eq!(handle.append(vec![sample(1), alarm(2)]).await.unwrap(), Some(run(1, 2)));
        let cut = handle.cut(LIMIT, cx()).await.unwrap().unwrap();
        let mut collector = Collector::new();
        collector.accept(&cut);
        let (ack, envelope) = collector.ack();
        assert_eq!(handle.release(ack, envelope).await.unwrap(), 1);
        handle.close().await.unwrap();
        let handle = SpoolHandle::open(bench.config(CAP), start()).await.unwrap();
        let snapshot = handle.snapshot().await.unwrap();
        assert_eq!((snapshot.stats.acked_seq, snapshot.last_id), (cut.seq, RecId(2)));
        handle.close().await.unwrap();
    });
}
