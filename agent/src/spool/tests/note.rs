//! The note of the last id: what tells records that vanished from ids that were never used.

use super::bench::{Bench, Collector, run, sample};
use crate::spool::EngineKind;
use std::fs;
use tenken_agent_core::spool::{frame, memory::MemoryDisk};
use tenken_common::{batch::GapReason, id::RecId};

/// The newest records vanish, of which no saved state knows: the note of the last id tells them
/// from ids that were never used.
#[test]
fn the_newest_that_vanished_are_lost_not_unused() {
    for noted in [true, false] {
        let disk = MemoryDisk::default();
        let bench = Bench::Memory(disk.clone());
        let mut spool = bench.open();
        spool.append(&[sample(1)]).unwrap();
        spool.append(&[sample(2), sample(3)]).unwrap();
        drop(spool);
        disk.pairs().retain(
            |key, _| !matches!(frame::place(key), Some(frame::Place::Record(_, id)) if id > RecId(1)),
        );
        if !noted {
            *disk.note() = None;
        }
        let mut spool = bench.open();
        spool.append(&[sample(4)]).unwrap();
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        let lost = if noted { vec![run(2, 3)] } else { vec![] };
        assert_eq!(collector.declared(GapReason::SpoolLost).runs(), lost);
        collector.assert_complete(spool.last_id());
    }
}

#[test]
fn the_note_of_the_last_id_lies_beside_the_store() {
    for (bench, store) in EngineKind::ALL.map(Bench::files).into_iter().zip(["sled-000001", "redb-000001"]) {
        let mut spool = bench.open();
        spool.append(&[sample(1), sample(2)]).unwrap();
        spool.append(&[sample(3)]).unwrap();
        drop(spool);
        fs::remove_dir_all(bench.dir().join(store)).unwrap();
        let mut spool = bench.open();
        spool.append(&[sample(4)]).unwrap();
        let mut collector = Collector::new();
        collector.drain(spool.as_mut());
        assert!(collector.declared(GapReason::SpoolLost).missing_in(run(1, 3)).is_empty());
        let mut bytes = fs::read(bench.dir().join("last-id")).unwrap();
        bytes[30] ^= 1;
        fs::write(bench.dir().join("last-id"), bytes).unwrap();
        drop(spool);
        assert_eq!(bench.open().stats().violations, 0, "one that is damaged says nothing");
    }
}
