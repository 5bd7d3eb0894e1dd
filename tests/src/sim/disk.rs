//! A device's disk in memory, and everything that may happen to one.
//!
//! Holds: a write is there whole once it returned, or after a cut whole or not at all: the
//! contract of [`Engine`]. What a disk does beyond that (full, set back by some writes, damaged,
//! emptied, copied as an image) happens only when it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tenken_agent_core::spool::{
    Engine, EngineError, Op, SpoolState, StateStore,
    engine::Pair,
    frame::{self, Place, Space},
};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Commits that can be taken back.
const UNDO_MAX: usize = 48;
/// Copies of the state that can come back.
const OLD_STATES_MAX: usize = 6;

/// What the next writes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Writes {
    #[default]
    Work,
    Full,
    /// So many writes work; the one after is cut by a power failure.
    CutAfter {
        left: u32,
        kept: bool,
    },
    /// So many writes work, one is refused, then they work again.
    RefuseAfter {
        left: u32,
    },
    /// The power is gone.
    Dead,
}

#[derive(Debug, Default)]
struct Inner {
    pairs: Pairs,
    bytes: u64,
    state: Option<Vec<u8>>,
    old_states: VecDeque<Option<Vec<u8>>>,
    undo: VecDeque<Vec<Op>>,
    writes: Writes,
}

/// See the module's head. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<Inner>>);

/// A disk's content at one moment.
#[derive(Debug, Clone, Default)]
pub struct DiskImage {
    pairs: Pairs,
    state: Option<Vec<u8>>,
}

/// A kind of value that can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Record,
    Body,
    Link,
    Gap,
}

impl SimDisk {
    pub fn engine(&self) -> SimEngine {
        SimEngine(self.clone())
    }

    pub fn states(&self) -> SimStates {
        SimStates(self.clone())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_dead(&self) -> bool {
        self.inner().writes == Writes::Dead
    }

    /// The power comes back, or room was made.
    pub fn work(&self) {
        self.inner().writes = Writes::Work;
    }

    /// The power comes back to a disk that may be full all the same.
    pub fn work_again(&self) {
        let mut inner = self.inner();
        if inner.writes == Writes::Dead {
            inner.writes = Writes::Work;
        }
    }

    pub fn fill(&self) {
        self.inner().writes = Writes::Full;
    }

    /// The power fails at the write after the next `left`; `kept` says whether that one is found.
    pub fn cut_after(&self, left: u32, kept: bool) {
        self.inner().writes = Writes::CutAfter { left, kept };
    }

    /// One write fails after the next `left`, and nothing else happens.
    pub fn refuse_after(&self, left: u32) {
        self.inner().writes = Writes::RefuseAfter { left };
    }

    pub fn image(&self) -> DiskImage {
        let inner = self.inner();
        DiskImage { pairs: inner.pairs.clone(), state: inner.state.clone() }
    }

    pub fn restore(&self, image: &DiskImage) {
        let mut inner = self.inner();
        inner.pairs.clone_from(&image.pairs);
        inner.state.clone_from(&image.state);
        inner.recount();
        inner.undo.clear();
        inner.old_states.clear();
    }

    /// The engine alone falls back by some commits; says how many.
    pub fn set_back(&self, commits: usize) -> usize {
        let mut inner = self.inner();
        let mut done = 0;
        while done < commits {
            let Some(ops) = inner.undo.pop_back() else { break };
            inner.apply(&ops);
            done += 1;
        }
        done
    }

    /// The engine's files are gone; the state file is not.
    pub fn lose_engine(&self) {
        let mut inner = self.inner();
        inner.pairs.clear();
        inner.undo.clear();
        inner.recount();
    }

    pub fn lose_state(&self) {
        self.inner().state = None;
    }

    /// Both copies of the state file are older ones; false where there is none to come back.
    pub fn age_state(&self, by: usize) -> bool {
        let mut inner = self.inner();
        let mut older = None;
        for _ in 0..by.max(1) {
            older = inner.old_states.pop_back().or(older);
        }
        let Some(older) = older else { return false };
        inner.state = older;
        true
    }

    /// Flips a bit in one stored value of a kind; `pick` chooses which. False where there is none.
    pub fn damage(&self, target: Target, pick: u64) -> bool {
        let mut inner = self.inner();
        let keys: Vec<Vec<u8>> = inner.pairs.keys().filter(|key| is_of(key, target)).cloned().collect();
        if keys.is_empty() {
            return false;
        }
        let at = usize::try_from(pick % keys.len() as u64).unwrap_or(0);
        let Some(value) = keys.get(at).and_then(|key| inner.pairs.get_mut(key)) else { return false };
        let bits = value.len() as u64 * 8;
        let bit = usize::try_from((pick >> 8) % bits.max(1)).unwrap_or(0);
        if let Some(byte) = value.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        true
    }
}

fn is_of(key: &[u8], target: Target) -> bool {
    match frame::place(key) {
        Some(Place::Record(..) | Place::Pack(_)) => target == Target::Record,
        Some(Place::Gap(_)) => target == Target::Gap,
        Some(Place::Chunk { space, .. }) => {
            (space == Space::Body && target == Target::Body)
                || (space == Space::Link && target == Target::Link)
        }
        None => false,
    }
}

impl Inner {
    fn recount(&mut self) {
        self.bytes = self.pairs.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum();
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Op> {
        let mut inverse = Vec::with_capacity(ops.len());
        for op in ops {
            let (key, old) = match op {
                Op::Put(key, value) => {
                    self.bytes += (key.len() + value.len()) as u64;
                    (key, self.pairs.insert(key.clone(), value.clone()))
                }
                Op::Delete(key) => (key, self.pairs.remove(key)),
            };
            inverse.push(match old {
                Some(old) => {
                    self.bytes -= (key.len() + old.len()) as u64;
                    Op::Put(key.clone(), old)
                }
                None => Op::Delete(key.clone()),
            });
        }
        inverse.reverse();
        inverse
    }

    /// Whether a write may happen, and whether it is reported as done.
    fn next_write(&mut self) -> (bool, bool) {
        match self.writes {
            Writes::Work => (true, true),
            Writes::Full | Writes::Dead => (false, false),
            Writes::CutAfter { left: 0, kept } => {
                self.writes = Writes::Dead;
                (kept, false)
            }
            Writes::RefuseAfter { left: 0 } => {
                self.writes = Writes::Work;
                (false, false)
            }
            Writes::RefuseAfter { left } => {
                self.writes = Writes::RefuseAfter { left: left - 1 };
                (true, true)
            }
            Writes::CutAfter { left, kept } => {
                self.writes = Writes::CutAfter { left: left - 1, kept };
                (true, true)
            }
        }
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        let (happens, reported) = self.next_write();
        if happens {
            let inverse = self.apply(ops);
            self.undo.push_back(inverse);
            if self.undo.len() > UNDO_MAX {
                self.undo.pop_front();
            }
        }
        if reported { Ok(()) } else { Err(EngineError::new("commit", "the disk does not write")) }
    }
}

/// See [`SimDisk`].
pub struct SimEngine(SimDisk);

/// See [`SimDisk`].
pub struct SimStates(SimDisk);

impl Engine for SimEngine {
    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        self.0.inner().commit(ops)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.0.inner().pairs.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let inner = self.0.inner();
        let range = inner.pairs.range(from.to_vec()..to.to_vec());
        Ok(range.take(max).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn disk_bytes(&self) -> u64 {
        self.0.inner().bytes
    }

    fn renew(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        let mut inner = self.0.inner();
        let (happens, reported) = inner.next_write();
        if happens {
            inner.pairs.clear();
            inner.bytes = 0;
            inner.apply(ops);
            // The old store's files are gone: there is nothing to fall back to.
            inner.undo.clear();
        }
        if reported { Ok(()) } else { Err(EngineError::new("renew", "the disk does not write")) }
    }

    fn degraded(&self) -> Option<String> {
        None
    }

    fn close(&mut self) {}
}

impl StateStore for SimStates {
    fn load(&mut self) -> Result<Option<SpoolState>, EngineError> {
        Ok(self.0.inner().state.as_deref().and_then(|bytes| SpoolState::decode(bytes).ok()))
    }

    fn save(&mut self, state: &SpoolState) -> Result<(), EngineError> {
        let bytes = state.encode().map_err(|e| EngineError::new("encode state", e))?;
        let mut inner = self.0.inner();
        let (happens, reported) = inner.next_write();
        if happens {
            let old = inner.state.replace(bytes);
            inner.old_states.push_back(old);
            if inner.old_states.len() > OLD_STATES_MAX {
                inner.old_states.pop_front();
            }
        }
        if reported { Ok(()) } else { Err(EngineError::new("save state", "the disk does not write")) }
    }
}
