//! [`DurableSpool`]: the spool over any engine and state store.
//!
//! Holds: memory is changed only along with a commit; a commit that fails halts the spool, since
//! nobody knows what of it is on the disk, and opening it again finds out. So does a read that
//! fails: the ladder then makes the best of that store. Every write goes to the engine first,
//! then to the state store, then the caller hears of it. Only what an acknowledgement settled reaches
//! the state store with the next write of it, since three syncs can be saved: should the engine be lost
//! meanwhile, those links are sent once more, as stubs of what the collector has.
//!
//! Opening is in `open`, another epoch in `migrate`, cutting and stubs in `cut`, acknowledgements
//! in `release`, losing in `evict`, packing in `pack`.

use super::{
    BatchLimit, Cut, CutContext, Room, Spool, SpoolError, SpoolStats, Standing, WaitingRecord,
    engine::{Engine, EngineError, Op, Pair, StateStore},
    frame::{self, Space},
    gaps::Gaps,
    pack::{Pack, Packs},
    runs::RunSet,
    state::{ChainStart, LastId, SpoolState},
};
use crate::planted::{Planted, Soil};
use std::cell::Cell;
use tenken_common::{
    ack::Ack,
    batch::{Gap, GapReason, RecRun},
    category::Category,
    codec::{self, CodecError},
    envelope::Verified,
    id::{Epoch, Hash, RecId, Seq},
    limit,
    observation::{Class, Observation, Record},
    time::Timestamp,
    wire::v1::{Decoded, RecordV1},
};

/// Disk bytes to payload bytes, in tenths: sled's high water, measured.
const DISK_FACTOR_TENTHS: u64 = 26;
/// What a gap is counted as.
const GAP_BYTES: u64 = 64;

/// See the module's head.
pub struct DurableSpool<E, S> {
    pub(super) engine: E,
    pub(super) states: S,
    pub(super) state: SpoolState,
    pub(super) gaps: Gaps,
    /// The id that the next record gets.
    pub(super) next_id: RecId,
    pub(super) waiting: u64,
    pub(super) urgent: u64,
    /// Keys and values of the waiting records, packs included.
    pub(super) record_bytes: u64,
    /// Of the ordinary ones that are in no pack.
    pub(super) loose_bytes: u64,
    pub(super) packs: Packs,
    pub(super) room: Room,
    /// How many chunks the engine's copy of the state has.
    pub(super) state_chunks: u32,
    pub(super) halted: Cell<bool>,
    pub(super) unsaved: Unsaved,
    /// Invariants that did not hold.
    pub(super) violations: u64,
    pub(super) soil: Soil,
}

/// What the engine knows and the state store does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsaved {
    Nothing,
    /// What was acknowledged.
    Settled,
    /// What the spool may not go on without: ids given out, links, declared losses.
    Owed,
}

/// A waiting record as it was read.
pub(super) struct Waiting {
    pub key: Vec<u8>,
    pub class: Class,
    pub id: RecId,
    /// Of key and value; in a pack, about what they would be outside.
    pub bytes: u64,
    /// `None` where the stored bytes failed their check.
    pub record: Option<RecordV1>,
    /// `key` is that of the pack which it is in.
    pub packed: bool,
}

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// Breaks a rule from now on.
    #[cfg(feature = "planted")]
    #[doc(hidden)]
    pub fn plant(&mut self, bug: Planted) {
        self.soil.plant(bug);
    }

    /// Counts an invariant that does not hold.
    pub(super) fn check(&mut self, holds: bool) {
        self.violations += u64::from(!holds);
    }

    /// What the payload may take so that the directory stays within its cap.
    pub(super) fn budget(&self) -> u64 {
        self.room.cap_bytes.saturating_mul(10) / DISK_FACTOR_TENTHS
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        let bodies: u64 = self.state.links.iter().map(|link| u64::from(link.body_bytes)).sum();
        self.record_bytes + bodies + GAP_BYTES * self.gaps.len() as u64
    }

    pub(super) fn check_running(&self) -> Result<(), SpoolError> {
        if self.halted.get() { Err(SpoolError::Halted) } else { Ok(()) }
    }

    /// A range of the engine; one that cannot be read halts the spool.
    pub(super) fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, SpoolError> {
        let read = self.engine.scan(from, to, max);
        self.halted.set(self.halted.get() || read.is_err());
        Ok(read?)
    }

    /// Writes to the engine alone: for records within the reserved ids.
    pub(super) fn commit(&mut self, ops: &[Op]) -> Result<(), SpoolError> {
        self.check_running()?;
        let done = if ops.iter().all(frame::is_sound) {
            self.engine.commit(ops)
        } else {
            Err(EngineError::new("check before write", "a value does not fit or was altered in memory"))
        };
        self.halted.set(done.is_err());
        Ok(done?)
    }

    /// Writes to the engine together with the state, then saves the state.
    pub(super) fn commit_with_state(&mut self, ops: Vec<Op>) -> Result<(), SpoolError> {
        self.commit_state(ops)?;
        self.unsaved = Unsaved::Owed;
        self.save_owed()
    }

    /// The same for what an acknowledgement settled, which may be saved later.
    pub(super) fn commit_settled(&mut self, ops: Vec<Op>) -> Result<(), SpoolError> {
        self.commit_state(ops)?;
        if self.unsaved == Unsaved::Nothing {
            self.unsaved = Unsaved::Settled;
        }
        Ok(())
    }

    fn commit_state(&mut self, mut ops: Vec<Op>) -> Result<(), SpoolError> {
        self.check_running()?;
        self.state.generation += 1;
        if !self.soil.grows(Planted::IdsUnreserved) {
            self.state.last_id = self.last_id();
        }
        self.push_state(&mut ops)?;
        if self.soil.grows(Planted::StateFirst) {
            self.states.save(&self.state)?;
        }
        self.commit(&ops)
    }

    pub(super) fn push_state(&mut self, ops: &mut Vec<Op>) -> Result<(), SpoolError> {
        let bytes = self.state.without_links().encode().map_err(SpoolError::Encode)?;
        let chunks = frame::put_long(Space::State, 0, &bytes, ops);
        ops.extend((chunks..self.state_chunks).map(|c| Op::Delete(frame::chunk_key(Space::State, 0, c))));
        self.state_chunks = chunks;
        Ok(())
    }

    /// Before anything goes on that rests on it.
    pub(super) fn save_owed(&mut self) -> Result<(), SpoolError> {
        if self.unsaved == Unsaved::Owed {
            self.states.save(&self.state)?;
            self.unsaved = Unsaved::Nothing;
        }
        Ok(())
    }

    /// One page of waiting records of a class that are in no pack, from `from` on.
    pub(super) fn page(
        &self,
        class: Class,
        from: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Vec<Waiting>, SpoolError> {
        let (first, end) = frame::records_of(class);
        let pairs = self.scan(&from.unwrap_or(first), &end, max)?;
        let read = pairs.into_iter().filter_map(|(key, value)| {
            let Some(frame::Place::Record(class, id)) = frame::place(&key) else { return None };
            let record = frame::unseal(&key, &value)
                .and_then(|p| codec::from_slice::<RecordV1>(p, limit::SPOOL_VALUE_BYTES_MAX).ok())
                .filter(|r| r.id() == id);
            let bytes = (key.len() + value.len()) as u64;
            Some(Waiting { key, class, id, bytes, record, packed: false })
        });
        Ok(read.collect())
    }

    /// Takes one that is in no pack out of the waiting ones, in memory; the caller deletes its key.
    pub(super) fn forget(&mut self, record: &Waiting) {
        self.waiting = self.waiting.saturating_sub(1);
        match record.class {
            Class::Urgent => self.urgent = self.urgent.saturating_sub(1),
            Class::Ordinary => self.loose_bytes = self.loose_bytes.saturating_sub(record.bytes),
        }
        self.record_bytes = self.record_bytes.saturating_sub(record.bytes);
    }

    /// Ids that are waiting, cut or declared.
    pub(super) fn held(&self) -> Result<RunSet, SpoolError> {
        let mut held = self.gaps.ids();
        self.state.links.iter().flat_map(|l| l.records.iter().chain(&l.gaps)).for_each(|r| held.insert(*r));
        held.extend(self.packs.values().flat_map(|pack| pack.runs.iter().copied()));
        for class in Class::ALL {
            let mut from = None;
            loop {
                let page = self.page(class, from, 256)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                for record in &page {
                    held.insert(RecRun::one(record.id));
                }
            }
        }
        Ok(held)
    }

    fn oldest(&self) -> Option<Timestamp> {
        let first = |class| self.page(class, None, 1).ok()?.pop()?.record;
        let wall = |record: RecordV1| match record.decode() {
            Decoded::Known(record) => Some(record.observation.at.wall),
            Decoded::Unknown { .. } => None,
        };
        let packed = self.packs.values().next().and_then(|pack| pack.oldest);
        Class::ALL.into_iter().filter_map(|class| wall(first(class)?)).chain(packed).min()
    }
}

impl<E: Engine, S: StateStore> Spool for DurableSpool<E, S> {
    fn append(&mut self, observations: &[Observation]) -> Result<Option<RecRun>, SpoolError> {
        self.check_running()?;
        // Ids that the state file does not know as reserved would be given out again, should the
        // engine be lost.
        self.save_owed()?;
        let mut puts = Vec::with_capacity(observations.len());
        let (mut bytes, mut loose, mut urgent) = (0u64, 0u64, 0u64);
        let mut id = self.next_id;
        for observation in observations {
            let class = observation.class();
            let record = Record { id, observation: observation.clone() };
            let payload = encode(&record)?;
            let key = frame::record_key(class, id);
            let value = frame::seal(&key, &payload);
            if value.len() > limit::SPOOL_VALUE_BYTES_MAX {
                return Err(SpoolError::TooLarge { got: value.len(), max: limit::SPOOL_VALUE_BYTES_MAX });
            }
            let size = (key.len() + value.len()) as u64;
            bytes += size;
            match class {
                Class::Urgent => urgent += 1,
                Class::Ordinary => loose += size,
            }
            puts.push(Op::Put(key, value));
            id = id.next();
        }
        if puts.is_empty() {
            return Ok(None);
        }
        let count = puts.len() as u64;
        let run = RecRun { from: self.next_id, to: RecId(self.next_id.0 + count - 1) };
        self.pack_oldest(loose)?;
        let mut ops = Vec::new();
        let evicted = self.make_room(bytes, urgent > 0, &mut ops)?;
        ops.append(&mut puts);
        let reserve = run.to > self.state.reserved_to && !self.soil.grows(Planted::IdsUnreserved);
        while reserve && self.state.reserved_to < run.to {
            self.state.reserved_to.0 += limit::REC_ID_BLOCK;
        }
        self.next_id = run.to.next();
        self.waiting += count;
        self.urgent += urgent;
        self.record_bytes += bytes;
        self.loose_bytes += loose;
        if reserve || evicted {
            self.commit_with_state(ops)?;
        } else {
            self.commit(&ops)?;
        }
        let ChainStart { device, epoch, .. } = self.state.start;
        self.states.note(&LastId { device, epoch, id: run.to });
        Ok(Some(run))
    }

    fn cut(&mut self, limit: BatchLimit, cx: &CutContext<'_>) -> Result<Option<Cut>, SpoolError> {
        self.cut_next(limit, cx)
    }

    fn in_flight_after(&mut self, seq: Seq) -> Result<Option<Cut>, SpoolError> {
        self.lowest_after(seq)
    }

    fn stub(&mut self, seq: Seq, reason: GapReason) -> Result<Cut, SpoolError> {
        self.make_stub(seq, reason)
    }

    fn release(&mut self, ack: &Verified<Ack>, envelope: &[u8]) -> Result<u64, SpoolError> {
        self.release_acked(ack, envelope)
    }

    fn adopt_head(&mut self, committed: Seq, hash: Hash) -> Result<Standing, SpoolError> {
        self.adopt(committed, hash)
    }

    fn answer_missing(&mut self, missing: &[RecRun]) -> Result<u64, SpoolError> {
        self.declare_missing(missing)
    }

    fn withdraw(&mut self, allowed: &dyn Fn(Category) -> bool) -> Result<u64, SpoolError> {
        self.set_aside(allowed)
    }

    fn stats(&self) -> SpoolStats {
        SpoolStats {
            waiting: self.waiting,
            urgent: self.urgent,
            packed: self.packs.values().map(Pack::count).sum(),
            gaps_waiting: self.gaps.waiting_len(),
            in_flight: self.state.links.len() as u64,
            stubs: self.state.links.iter().filter(|link| link.stub.is_some()).count() as u64,
            disk_bytes: self.engine.disk_bytes(),
            oldest: self.oldest(),
            evicted: self.state.evicted,
            corrupt: self.state.corrupt,
            violations: self.violations,
            acked_seq: self.state.acked_seq,
            awaiting_resume: self.state.awaiting_resume,
            degraded: self.engine.degraded(),
        }
    }

    fn head(&self) -> (Epoch, Seq, Hash) {
        (self.state.start.epoch, self.state.head_seq, self.state.head_hash)
    }

    fn newest_ack(&self) -> Option<Vec<u8>> {
        self.state.newest_ack.as_ref().map(|envelope| envelope.to_vec())
    }

    fn consent_version(&self) -> u64 {
        self.state.consent_version
    }

    fn set_consent_version(&mut self, version: u64) -> Result<(), SpoolError> {
        if version <= self.state.consent_version {
            return Ok(());
        }
        self.check_running()?;
        self.state.consent_version = version;
        self.commit_with_state(Vec::new())
    }

    fn is_halted(&self) -> bool {
        self.halted.get()
    }

    fn close(&mut self) -> Result<(), SpoolError> {
        self.state.reserved_to = self.last_id();
        self.commit_with_state(Vec::new())?;
        self.engine.close();
        self.halted.set(true);
        Ok(())
    }

    fn last_id(&self) -> RecId {
        RecId(self.next_id.0.saturating_sub(1))
    }

    fn waiting(&self, class: Class, from: RecId, max: usize) -> Result<Vec<WaitingRecord>, SpoolError> {
        self.look(class, from, max)
    }

    fn waiting_gaps(&self) -> Vec<Gap> {
        self.gaps.waiting(usize::MAX)
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, SpoolError> {
    let encoded = RecordV1::of(record).and_then(|r| codec::to_vec(&r));
    encoded.map_err(|e| {
        if let CodecError::TooLarge { got, max } = e {
            SpoolError::TooLarge { got, max }
        } else {
            SpoolError::Encode(e)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{
        ChainStart,
        memory::{MemoryDisk, MemoryState},
    };
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    use tenken_common::{
        id::{BootId, DeviceId, Name},
        observation::{Body, CheckResult, CheckState},
        time::{Moment, Monotonic},
    };

    /// Refuses one write when it is told to.
    struct Moody(MemoryState, Arc<AtomicBool>);

    impl StateStore for Moody {
        fn load(&mut self) -> Result<Option<SpoolState>, EngineError> {
            self.0.load()
        }

        fn save(&mut self, state: &SpoolState) -> Result<(), EngineError> {
            if self.1.swap(false, Ordering::SeqCst) {
                return Err(EngineError::new("save state", "not now"));
            }
            self.0.save(state)
        }
    }

    #[test]
    fn ids_are_reserved_in_the_state_file_even_if_it_refused_at_first() {
        let (disk, refuse) = (MemoryDisk::default(), Arc::new(AtomicBool::new(false)));
        let start = ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([2; 32]) };
        let open = || DurableSpool::open(disk.engine(), Moody(disk.states(), refuse.clone()), start, 1 << 20);
        let name = Name::new("x").unwrap();
        let observation = Observation {
            at: Moment { boot: BootId([1; 16]), mono: Monotonic(1), wall: Timestamp::EPOCH },
            category: Category::Disk,
            subject: name.clone(),
            body: Body::CheckResult(CheckResult { probe: name, state: CheckState::Ok }),
        };
        let mut spool = open().unwrap();
        refuse.store(true, Ordering::SeqCst);
        assert!(spool.append(std::slice::from_ref(&observation)).is_err());
        let given = spool.append(std::slice::from_ref(&observation)).unwrap().unwrap();
        drop(spool);
        disk.pairs().clear();
        let again = open().unwrap().append(&[observation]).unwrap().unwrap();
        assert!(again.from > given.to, "{again:?} after {given:?}");
    }
}
