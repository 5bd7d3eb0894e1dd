//! The spool on this device's disk: the engines, the state file, the ladder that opens them, and
//! the thread they live on. What a spool does is in `tenken_agent_core::spool`.
//!
//! ```text
//! <dir>/lock                  held while a process has the spool open
//!       state-a state-b       the small state, twice
//!       last-id               the highest record id in use
//!       sled-000001/          the store in use; redb-000001/ with the other engine
//!       quarantine-000001/    a store that could not be opened; newest 2 are kept
//!       new-…/                being made, or a copy; removed at the next open
//! ```
//!
//! Holds: only this module names sled or redb. Everything in the directory counts against the cap.

mod copy;
mod house;
pub mod print;
mod recovery;
mod redb;
mod sled;
mod state_file;
#[cfg(test)]
mod tests;
mod thread;

use house::Revocation;
use state_file::StateFile;
use std::path::{Path, PathBuf};
use tenken_agent_core::spool::{EngineError, Spool, SpoolError, StateStore};

pub use recovery::inspect;
pub use tenken_agent_core::spool::{ChainStart, Room};
pub use thread::SpoolHandle;

/// The newest acknowledgement of a spool, an envelope, also while an agent has it open.
pub fn newest_ack(dir: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    let state = StateFile::new(dir, Revocation::default()).load()?;
    Ok(state.and_then(|state| state.newest_ack).map(serde_bytes::ByteBuf::into_vec))
}

/// Which engine keeps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    #[default]
    Sled,
    Redb,
}

impl EngineKind {
    pub const ALL: [Self; 2] = [Self::Sled, Self::Redb];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
        }
    }
}

/// Where and how the spool is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    pub dir: PathBuf,
    pub engine: EngineKind,
    /// Its cap is for the whole directory, quarantine included.
    pub room: Room,
}

/// Why there is no spool. A damaged store is no reason: it is set aside and declared lost.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the spool directory `{}` cannot be used", dir.display())]
    Directory { dir: PathBuf, source: std::io::Error },
    #[error("another process has the spool `{}` open", .0.display())]
    InUse(PathBuf),
    #[error("the spool `{}` belongs to another device or epoch; it was not touched", .0.display())]
    OtherChain(PathBuf),
    #[error("the disk of the spool `{}` is full; it was left as it is, free some space", dir.display())]
    NoRoom { dir: PathBuf, source: std::io::Error },
    #[error("there is no spool in `{}`", .0.display())]
    Empty(PathBuf),
    #[error("no store could be made for the spool")]
    Create(#[source] EngineError),
    #[error("the spool's store does not open")]
    Open(#[source] SpoolError),
    #[error("the spool's store does not open in time")]
    Slow,
    #[error("the spool's thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// Opens the spool of a chain, or makes it. Takes at most about 5 s for each rung of its ladder.
pub fn open(config: &SpoolConfig, start: ChainStart) -> Result<Box<dyn Spool>, OpenError> {
    match config.engine {
        EngineKind::Sled => recovery::open::<sled::SledStore>(config, start),
        EngineKind::Redb => recovery::open::<redb::RedbStore>(config, start),
    }
}
