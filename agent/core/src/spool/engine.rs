//! What the spool asks of a storage engine and of the state file: two small traits.
//!
//! Holds: after `Engine::commit` returned, all of its operations are on the disk; before, all or
//! none of them will be found there. An engine may lose or alter values all the same (disks and
//! engines do): everything that is read goes through a CRC in [`super::frame`].

use super::state::{LastId, SpoolState};
use std::error::Error;

/// One change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An engine's own error, or what a panic of it said.
#[derive(Debug, thiserror::Error)]
#[error("spool storage failed in `{operation}`")]
pub struct EngineError {
    pub operation: &'static str,
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl EngineError {
    pub fn new(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { operation, source: source.into() }
    }
}

/// Ordered keys and values on a disk.
pub trait Engine: Send {
    /// Atomic, and durable when it returns.
    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError>;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;
    /// At most `max` pairs with `from <= key < to`, in key order.
    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError>;
    /// What the files take, this store's only, as it was at the first look since the last write.
    fn disk_bytes(&self) -> u64;
    /// Puts a new store that holds just `ops` in the place of this one, to get disk space back.
    /// A crash leaves the old one or the new one.
    fn renew(&mut self, ops: &[Op]) -> Result<(), EngineError>;
    /// Why durability cannot be vouched for, where it cannot.
    fn degraded(&self) -> Option<String>;
    /// Ends it; nothing is called after.
    fn close(&mut self);
}

/// Where the small state is kept outside of the engine.
pub trait StateStore: Send {
    /// The newest good copy; `None` where there is none.
    fn load(&mut self) -> Result<Option<SpoolState>, EngineError>;
    /// Durable when it returns.
    fn save(&mut self, state: &SpoolState) -> Result<(), EngineError>;
    /// Notes it, where that costs no sync and no error; a crash may lose it.
    fn note(&mut self, _last: &LastId) {}
    /// What was noted last, as far as it can be read.
    fn noted(&mut self) -> Option<LastId> {
        None
    }
}
