//! An engine and a state store in memory: for tests, the simulator, and as the plainest example.
//!
//! Holds: what was committed outlives the engine in its [`MemoryDisk`], as on a real disk, and a
//! test can damage it there.

use super::{
    engine::{Engine, EngineError, Op, Pair, StateStore},
    state::{LastId, SpoolState},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a power cut leaves. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    pairs: Arc<Mutex<Pairs>>,
    state: Arc<Mutex<Option<Vec<u8>>>>,
    note: Arc<Mutex<Option<LastId>>>,
    /// Commits that still succeed; `None` for all of them.
    commits_left: Arc<Mutex<Option<u32>>>,
}

impl MemoryDisk {
    /// An engine on this disk.
    pub fn engine(&self) -> MemoryEngine {
        MemoryEngine(self.clone())
    }

    /// A state store on this disk.
    pub fn states(&self) -> MemoryState {
        MemoryState(self.clone())
    }

    /// The stored pairs, to look at or to damage.
    pub fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The encoded state, to look at, keep or remove.
    pub fn state(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last id that was noted, to look at or remove.
    pub fn note(&self) -> MutexGuard<'_, Option<LastId>> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets this many commits succeed and refuses those after; `None` ends that.
    pub fn fail_after(&self, commits: Option<u32>) {
        *self.commits_left.lock().unwrap_or_else(PoisonError::into_inner) = commits;
    }

    fn spend(&self) -> Result<(), EngineError> {
        let mut left = self.commits_left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut() {
            Some(0) => Err(EngineError::new("commit", "the disk refuses to write")),
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// See [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryEngine(MemoryDisk);

/// See [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryState(MemoryDisk);

impl Engine for MemoryEngine {
    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        self.0.spend()?;
        apply(&mut self.0.pairs(), ops);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.0.pairs().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.0.pairs();
        let range = pairs.range(from.to_vec()..to.to_vec());
        Ok(range.take(max).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn disk_bytes(&self) -> u64 {
        self.0.pairs().iter().map(|(k, v)| (k.len() + v.len()) as u64).sum()
    }

    fn renew(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        self.0.spend()?;
        let mut pairs = self.0.pairs();
        pairs.clear();
        apply(&mut pairs, ops);
        Ok(())
    }

    fn degraded(&self) -> Option<String> {
        None
    }

    fn close(&mut self) {}
}

fn apply(pairs: &mut Pairs, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(key, value) => pairs.insert(key.clone(), value.clone()),
            Op::Delete(key) => pairs.remove(key),
        };
    }
}

impl StateStore for MemoryState {
    fn load(&mut self) -> Result<Option<SpoolState>, EngineError> {
        Ok(self.0.state().as_deref().and_then(|bytes| SpoolState::decode(bytes).ok()))
    }

    fn save(&mut self, state: &SpoolState) -> Result<(), EngineError> {
        let bytes = state.encode().map_err(|e| EngineError::new("save state", e))?;
        *self.0.state() = Some(bytes);
        Ok(())
    }

    fn note(&mut self, last: &LastId) {
        *self.0.note() = Some(*last);
    }

    fn noted(&mut self) -> Option<LastId> {
        *self.0.note()
    }
}
