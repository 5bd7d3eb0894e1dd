//! The spool's small state on disk, in two copies.
//!
//! ```text
//! state-a, state-b   "TKST" len:u32 crc32c:u32 state
//! last-id            len:u32 crc32c:u32 device epoch:u32 id:u64     all integers big-endian
//! ```
//!
//! Holds: a copy is written beside, synced, renamed over the old one; then the directory is
//! synced. So a crash leaves each copy old or new and whole, and one damaged copy costs nothing.
//! The last id is written in place and never synced: nothing but the reason of a loss hangs on it.

use super::house::{Revocation, sync_dir};
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use tenken_agent_core::spool::{EngineError, LastId, SpoolState, StateStore, frame, state::STATE_BYTES_MAX};

const MAGIC: &[u8] = b"TKST";
const LAST_ID: &str = "last-id";
const COPIES: [&str; 2] = ["state-a", "state-b"];

/// See the module's head.
#[derive(Debug)]
pub struct StateFile {
    dir: PathBuf,
    revocation: Revocation,
    /// Open since the first note.
    last_id: Option<File>,
}

impl StateFile {
    pub fn new(dir: &Path, revocation: Revocation) -> Self {
        Self { dir: dir.to_owned(), revocation, last_id: None }
    }

    fn write_note(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match self.last_id.take() {
            Some(file) => file,
            None => File::options().create(true).truncate(false).write(true).open(self.dir.join(LAST_ID))?,
        };
        let file = self.last_id.insert(file);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)
    }

    /// How many copies cannot be used.
    pub fn bad_copies(&self) -> u64 {
        COPIES.iter().filter(|name| self.read(name).is_none()).count() as u64
    }

    fn read(&self, name: &str) -> Option<SpoolState> {
        let path = self.dir.join(name);
        let len = fs::metadata(&path).ok()?.len();
        if usize::try_from(len).ok()? > STATE_BYTES_MAX + 64 {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        let payload = frame::unseal(MAGIC, bytes.strip_prefix(MAGIC)?)?;
        SpoolState::decode(payload).ok()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.dir.join(format!("{name}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.dir.join(name))
    }
}

impl StateStore for StateFile {
    fn load(&mut self) -> Result<Option<SpoolState>, EngineError> {
        Ok(COPIES.iter().filter_map(|name| self.read(name)).max_by_key(|state| state.generation))
    }

    fn save(&mut self, state: &SpoolState) -> Result<(), EngineError> {
        self.revocation.check()?;
        let payload = state.encode().map_err(|e| EngineError::new("encode state", e))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&frame::seal(MAGIC, &payload));
        let saved = COPIES.iter().try_for_each(|name| self.write(name, &bytes));
        saved.and_then(|()| sync_dir(&self.dir)).map_err(|e| EngineError::new("save state", e))
    }

    fn note(&mut self, last: &LastId) {
        let bytes = frame::seal(LAST_ID.as_bytes(), &last.encode());
        if self.revocation.check().is_ok() && self.write_note(&bytes).is_err() {
            self.last_id = None;
        }
    }

    fn noted(&mut self) -> Option<LastId> {
        let bytes = fs::read(self.dir.join(LAST_ID)).ok()?;
        LastId::decode(frame::unseal(LAST_ID.as_bytes(), &bytes)?)
    }
}
