//! The spool in the hands of a command, while no agent runs: to look at what waits, and for the
//! transfer by removable media.
//!
//! Holds: the spool's own lock keeps agent and command apart. What a command that an
//! administrator runs writes into the state folder is given to the folder's owner at the end, so
//! that the agent's service can go on with it.

use crate::{
    config::AgentConfig,
    identity::{self, Enrolled, IdentityError},
    spool::{self, ChainStart, OpenError, SpoolConfig},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use tenken_agent_core::spool::{Spool, SpoolError};

/// Why a command does not get the spool.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "the agent is running; stop it first (`tenken-agent service stop`), and start it again afterwards"
    )]
    AgentRuns,
    #[error("the spool cannot be opened")]
    Open(#[source] OpenError),
    #[error("the spool did not close cleanly; nothing is lost, the next start finds out")]
    Close(#[source] SpoolError),
    #[error("{} cannot be given back to the agent's account; give it the folder's owner", path.display())]
    Owner { path: PathBuf, source: io::Error },
}

/// An opened spool with whose it is.
pub struct Offline {
    pub enrolled: Enrolled,
    pub spool: Box<dyn Spool>,
    state_dir: PathBuf,
}

impl Offline {
    pub fn open(config: &AgentConfig) -> Result<Self, OfflineError> {
        let enrolled = identity::load(&config.state_dir)?;
        let spool_config = SpoolConfig {
            dir: config.state_dir.join("spool"),
            engine: config.spool.engine,
            room: config.spool.cap.0.into(),
        };
        let start = ChainStart { device: enrolled.device, epoch: enrolled.epoch, genesis: enrolled.genesis };
        let spool = match spool::open(&spool_config, start) {
            Ok(spool) => spool,
            Err(OpenError::InUse(_)) => return Err(OfflineError::AgentRuns),
            Err(e) => return Err(OfflineError::Open(e)),
        };
        Ok(Self { enrolled, spool, state_dir: config.state_dir.clone() })
    }

    /// Gives everything back.
    pub fn close(mut self) -> Result<(), OfflineError> {
        self.spool.close().map_err(OfflineError::Close)?;
        drop(self.spool);
        give_back(&self.state_dir)
    }
}

/// Gives everything in a state folder the folder's owner. Where that is who runs this, there is
/// nothing to do.
#[cfg(unix)]
pub fn give_back(state_dir: &Path) -> Result<(), OfflineError> {
    use std::os::unix::fs::{MetadataExt, chown};
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OfflineError::Owner { path, source }
    };
    let owner = std::fs::metadata(state_dir).map_err(failed(state_dir))?;
    let mut folders = vec![state_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed(&folder))? {
            let path = entry.map_err(failed(&folder))?.path();
            let found = std::fs::symlink_metadata(&path).map_err(failed(&path))?;
            if found.is_symlink() {
                continue;
            }
            if (found.uid(), found.gid()) != (owner.uid(), owner.gid()) {
                chown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed(&path))?;
            }
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Folders of this system have no owner that a command would have to restore.
#[cfg(not(unix))]
pub fn give_back(_: &Path) -> Result<(), OfflineError> {
    Ok(())
}
