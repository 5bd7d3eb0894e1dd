//! `tenken-agent receipt`: the collector's newest signed acknowledgement as a file, by which the
//! hospital later finds out whether the collector's records are still those of that day.
//!
//! Holds: the spool is only read, so that it works beside a running agent. The file is the
//! acknowledgement as it came.

use crate::{config::AgentConfig, spool};
use std::path::{Path, PathBuf};
use tenken_agent_core::spool::EngineError;
use tenken_common::{
    ack::Ack,
    codec::CodecError,
    envelope::{Envelope, EnvelopeError, Payload},
    file::{self, Access, WriteError},
    statement,
};

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error("{} cannot be read", path.display())]
    State { path: PathBuf, source: EngineError },
    #[error("nothing was acknowledged yet")]
    None,
    #[error("the newest acknowledgement is damaged")]
    Envelope(#[source] EnvelopeError),
    #[error("the newest acknowledgement cannot be read")]
    Content(#[source] CodecError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes the newest acknowledgement; answers what it says.
pub fn write(config: &AgentConfig, path: &Path) -> Result<Ack, ReceiptError> {
    let dir = config.state_dir.join("spool");
    let newest = spool::newest_ack(&dir).map_err(|source| ReceiptError::State { path: dir, source })?;
    let newest = newest.ok_or(ReceiptError::None)?;
    let envelope = Envelope::from_bytes(&newest).map_err(ReceiptError::Envelope)?;
    let ack = Ack::decode(envelope.body()).map_err(ReceiptError::Content)?;
    file::write(path, statement::to_armour(&envelope).as_bytes(), Access::Everyone)?;
    Ok(ack)
}
