//! Damaged disks: it always opens, never sends a wrong record, and declares every loss.

use super::bench::{Bench, CAP, Collector, LIMIT, alarm, cx, run, sample, start};
use crate::spool::{EngineKind, OpenError, SpoolHandle, inspect as look_into, print};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tenken_agent_core::spool::{
    BatchLimit, Standing, StateStore, frame,
    inspect::{self, Fault},
    memory::MemoryDisk,
};
use tenken_common::{
    batch::{GapReason, RecRun},
    category::Category,
    id::{Hash, RecId, Seq},
    message::Language,
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

/// Three links in flight, the second body damaged or gone: it goes as a stub, and the chain goes
/// on, however far the collector is.
#[test]
fn a_lost_body_goes_as_a_stub() {
    for (gone, reason) in [(true, GapReason::SpoolLost), (false, GapReason::Corrupt)] {
        for (stored, reopened) in (0..=3usize).flat_map(|n| [(n, false), (n, true)]) {
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
            let key = frame::chunk_key(frame::Space::Body, 2, 0);
            if gone {
                disk.pairs().remove(&key);
            } else {
                disk.pairs().get_mut(&key).unwrap()[20] ^= 1;
            }
            if reopened {
                spool.close().unwrap();
                spool = bench.open();
            }
            spool.append(&[sample(9)]).unwrap();
            collector.drain(spool.as_mut());
            let lost = collector.declared(reason).runs();
            if stored >= 2 {
                assert_eq!((lost, collector.records.len()), (vec![], 7), "the collector has it");
            } else {
                assert_eq!((lost, collector.records.len()), (vec![run(3, 4)], 5));
            }
            collector.assert_complete(spool.last_id());
            collector.assert_disjoint();
        }
    }
}

/// The link's own place is lost in both sources: its body still tells it.
#[test]
fn a_link_is_found_again_in_its_body() {
    for bodies in [true, false] {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        let mut collector = Collector::new();
        let mut cuts = Vec::new();
        for n in 1..=4 {
            spool.append(&[sample(n)]).unwrap();
            cuts.push(spool.cut(LIMIT, &cx()).unwrap().unwrap());
        }
        drop(spool);
        bench.lose_state();
        for seq in [2, 3] {
            disk.pairs().remove(&frame::chunk_key(frame::Space::Link, seq, 0));
            if !bodies {
                disk.pairs().remove(&frame::chunk_key(frame::Space::Body, seq, 0));
            }
        }
        let mut spool = bench.open();
        if bodies {
            collector.drain(spool.as_mut());
            assert_eq!(collector.records.len(), 4);
            collector.assert_disjoint();
            collector.assert_complete(spool.last_id());
        } else {
            let hashes: Vec<Hash> = cuts.iter().map(|cut| cut.hash).collect();
            for (seq, hash) in [(0, start().genesis), (1, hashes[0]), (2, hashes[1])] {
                let standing = spool.adopt_head(Seq(seq), hash).unwrap();
                assert_eq!(standing, Standing::DeviceBehind, "nobody knows the hash of link 2");
            }
            assert!(spool.stats().awaiting_resume);
            assert_eq!(spool.in_flight_after(Seq(1)).unwrap(), None, "nothing is sent that would be a fork");
            assert_eq!(spool.adopt_head(Seq(4), hashes[3]).unwrap(), Standing::InStep, "it has them all");
            for cut in &cuts {
                collector.accept(cut);
            }
            collector.drain(spool.as_mut());
            collector.assert_complete(spool.last_id());
        }
    }
}

#[test]
fn one_link_without_any_trace_goes_as_a_stub_of_nothing() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    for n in 1..=3 {
        spool.append(&[sample(n)]).unwrap();
        spool.cut(LIMIT, &cx()).unwrap().unwrap();
    }
    drop(spool);
    bench.lose_state();
    for space in [frame::Space::Link, frame::Space::Body] {
        disk.pairs().remove(&frame::chunk_key(space, 2, 0));
    }
    let mut spool = bench.open();
    let mut collector = Collector::new();
    collector.drain(spool.as_mut());
    assert_eq!(collector.stubs, [(Seq(2), GapReason::SpoolLost)]);
    assert_eq!(collector.declared(GapReason::SpoolLost).runs(), [run(2, 2)]);
    collector.assert_complete(spool.last_id());
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
        let lost = collector.declared(GapReason::SpoolLost).runs();
        let (came, declared) = if stored { (2, vec![run(3, 1_024)]) } else { (0, vec![run(1, 1_024)]) };
        assert_eq!((collector.records.len(), lost), (came, declared), "they belong to the link that was cut");
        collector.assert_complete(spool.last_id());
        collector.assert_disjoint();
    }
}

/// The store falls back to before an acknowledgement, where a stub had been made, and where a
/// gap had been declared.
#[test]
fn what_the_state_remembers_is_not_sent_again() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    let mut collector = Collector::new();
    spool.append(&[sample(1), alarm(2)]).unwrap();
    let before_cut = disk.pairs().clone();
    collector.drain(spool.as_mut());
    drop(spool);
    *disk.pairs() = before_cut;
    let mut spool = bench.open();
    assert_eq!(spool.stats().waiting, 0, "acknowledged");
    // The state has not heard of that: the link goes once more, as a stub of what is stored.
    assert_eq!(spool.stats().in_flight, 1);
    collector.drain(spool.as_mut());
    spool.append(&[sample(3)]).unwrap();
    let cut = spool.cut(LIMIT, &cx()).unwrap().unwrap();
    let with_body = disk.pairs().clone();
    let stub = spool.stub(cut.seq, GapReason::Refused).unwrap();
    collector.accept(&stub);
    drop(spool);
    *disk.pairs() = with_body;
    let mut spool = bench.open();
    assert_eq!(spool.next_in_flight().unwrap().unwrap(), stub, "a stub stays one");
    collector.drain(spool.as_mut());
    collector.assert_complete(spool.last_id());
    collector.assert_disjoint();
}

#[test]
fn an_inspection_sees_what_is_there_and_what_is_damaged() {
    for bench in files() {
        let spool = bench.open();
        assert!(matches!(look_into(bench.dir()), Err(OpenError::InUse(_))));
        drop(spool);
        filled(&bench, true);
        let found = look_into(bench.dir()).unwrap();
        let waiting: Vec<_> = found.waiting.iter().map(|w| (w.urgent, w.category, w.records)).collect();
        assert_eq!(waiting, [(false, Some(Category::Disk), 160)]);
        let [link] = &found.in_flight[..] else { panic!("one link in flight") };
        assert_eq!((link.seq, link.records, link.stub), (Seq(2), 20, None));
        assert_eq!((found.faults.as_slice(), found.chain.as_ref().unwrap().last_id), (&[][..], RecId(200)));
        for language in [Language::Ja, Language::En] {
            let text = print::list(&found, language) + &print::faults(&found, language);
            assert!(text.contains("160") && !text.contains('{'), "{text}");
        }
        let mut spool = bench.open();
        spool.stub(Seq(2), GapReason::NotConsented).unwrap();
        spool.close().unwrap();
        drop(spool);
        assert_eq!(look_into(bench.dir()).unwrap().in_flight[0].stub, Some(GapReason::NotConsented));
        fs::remove_file(bench.dir().join("state-b")).unwrap();
        let found = look_into(bench.dir()).unwrap();
        assert_eq!(found.faults, [Fault::StateFile(1)]);
        assert!(print::faults(&found, Language::En).contains("state file"));
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(look_into(empty.path()), Err(OpenError::Empty(_))));
    assert!(matches!(look_into(&empty.path().join("none")), Err(OpenError::Directory { .. })));
}

#[test]
fn an_inspection_names_each_fault() {
    let disk = MemoryDisk::default();
    let bench = Bench::Memory(disk.clone());
    let mut spool = bench.open();
    spool.append(&(1..=9).map(sample).collect::<Vec<_>>()).unwrap();
    let two = BatchLimit { records: 2, ..LIMIT };
    for _ in 0..2 {
        spool.cut(two, &cx()).unwrap().unwrap();
    }
    spool.close().unwrap();
    let state = disk.states().load().unwrap();
    let look = || inspect::inspect(&disk.engine(), state.as_ref(), 0).unwrap().faults;
    assert_eq!(look(), []);
    disk.pairs().remove(&frame::record_key(Class::Ordinary, RecId(5)));
    assert_eq!(look(), [Fault::Missing(run(5, 5))]);
    disk.pairs().get_mut(&frame::record_key(Class::Ordinary, RecId(6))).unwrap()[12] ^= 1;
    disk.pairs().get_mut(&frame::chunk_key(frame::Space::Body, 1, 0)).unwrap()[20] ^= 1;
    disk.pairs().remove(&frame::chunk_key(frame::Space::Link, 2, 0));
    disk.pairs().insert(vec![9], vec![9]);
    let all = [
        Fault::Record(RecId(6)),
        Fault::Values(1),
        Fault::Body(Seq(1)),
        Fault::Link(Seq(2)),
        Fault::Missing(run(5, 5)),
    ];
    assert_eq!(look(), all);
    disk.pairs().remove(&frame::chunk_key(frame::Space::State, 0, 0));
    assert!(look().contains(&Fault::InnerState) && look().contains(&Fault::Behind));
}

#[test]
fn a_store_that_cannot_be_read_halts_and_is_opened_again() {
    for bench in files() {
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        spool.close().unwrap();
        assert!(spool.next_in_flight().is_err() && spool.is_halted());
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
