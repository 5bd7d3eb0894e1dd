//! The answer to a device that starts: how far the collector is, and which records it misses.
//!
//! Holds: the answer is what the ledger says and changes nothing. What a device that is behind or
//! ahead does with it is the device's decision.

use super::{
    PeerIdentity,
    verify::{Directory, Refusal},
};
use crate::store::{Store, StoreError};
use tenken_common::{
    ack::{RejectReason, ResumeReply, ResumeRequest},
    limit,
    time::Timestamp,
};

/// Runs in one answer; the device asks again when it has dealt with them.
pub const MISSING_RUNS_MAX: usize = 1_000;

/// Checks who asks.
pub fn verify_resume(
    bytes: &[u8],
    directory: &Directory,
    peer: PeerIdentity,
) -> Result<ResumeRequest, Refusal> {
    let (known, request) =
        directory.open::<ResumeRequest>(bytes, limit::MESSAGE_BYTES_MAX).map_err(Refusal::bare)?;
    directory.check_identity(&known, request.device, peer).map_err(Refusal::bare)?;
    Ok(request.into_inner())
}

/// The answer by the ledger; the inner error is a refusal.
pub async fn resume(
    store: &Store,
    request: &ResumeRequest,
    now: Timestamp,
) -> Result<Result<ResumeReply, RejectReason>, StoreError> {
    let Some(committed) = store.committed(request.device).await? else {
        return Ok(Err(RejectReason::Unenrolled));
    };
    if committed.quarantined {
        return Ok(Err(RejectReason::Quarantined));
    }
    if request.epoch < committed.epoch {
        return Ok(Err(RejectReason::StaleEpoch));
    }
    let mut missing = committed.missing;
    missing.truncate(MISSING_RUNS_MAX);
    Ok(Ok(ResumeReply {
        device: request.device,
        epoch: committed.epoch,
        committed_seq: committed.seq,
        committed_hash: committed.hash,
        missing,
        server: now,
        echo_nonce: request.nonce,
    }))
}
