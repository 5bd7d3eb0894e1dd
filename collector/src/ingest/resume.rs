//! The answer to a device that starts: how far the collector is, and which records it misses.
//!
//! Holds: the answer is what the ledger says. A collector that is behind what it once acknowledged,
//! as the device's newest acknowledgement proves, moves there first, to its own account. What a
//! device that is behind or ahead does with the answer is the device's decision.

use super::{
    IngestState, PeerIdentity,
    challenge::fresh_challenge,
    commit::CommitError,
    verify::{Directory, Refusal},
};
use crate::store::Resumed;
use tenken_collector_core::intake::resume::Standing;
use tenken_common::{
    ack::{Ack, RejectReason, ResumeReply, ResumeRequest},
    envelope::{Envelope, Verified},
    key::PublicKey,
    limit,
    time::Timestamp,
};

/// Runs in one answer; the device asks again when it has dealt with them.
pub const MISSING_RUNS_MAX: usize = 1_000;

/// Checks who asks; where the connection shows no certificate, that it is asked just now.
pub fn verify_resume(
    bytes: &[u8],
    directory: &Directory,
    peer: PeerIdentity,
    (ack_keys, now): (&[PublicKey], Timestamp),
) -> Result<ResumeRequest, Refusal> {
    let (known, request) =
        directory.open::<ResumeRequest>(bytes, limit::MESSAGE_BYTES_MAX).map_err(Refusal::bare)?;
    directory.check_identity(&known, request.device, peer).map_err(Refusal::bare)?;
    if peer.certificate.is_none() {
        let challenge = request.challenge.as_ref().map(|c| c.as_slice()).unwrap_or_default();
        fresh_challenge(challenge, ack_keys, now).map_err(|error| Refusal::bare(error.reason()))?;
    }
    Ok(request.into_inner())
}

/// The newest acknowledgement in a request, where one of our keys signed it.
fn proof(request: &ResumeRequest, ack_keys: &[PublicKey]) -> Option<Verified<Ack>> {
    let envelope = Envelope::from_bytes(request.newest_ack.as_ref()?).ok()?;
    ack_keys.iter().find_map(|key| envelope.open::<Ack>(key).ok())
}

/// The answer by the ledger; the inner error is a refusal.
pub async fn resume(
    state: &IngestState,
    request: ResumeRequest,
) -> Result<Result<ResumeReply, RejectReason>, CommitError> {
    let (device, nonce) = (request.device, request.nonce);
    let proof = proof(&request, &state.ack_keys);
    let Some(resumed) = state.committer.resume(request, proof).await? else {
        return Ok(Err(RejectReason::Unenrolled));
    };
    report(&resumed, device);
    match resumed.standing {
        Standing::Quarantined(_) => return Ok(Err(RejectReason::Quarantined)),
        Standing::StaleEpoch { .. } => return Ok(Err(RejectReason::StaleEpoch)),
        // Told how far the collector is, the device knows that this is another epoch's chain.
        Standing::InStep
        | Standing::Ahead { .. }
        | Standing::Behind
        | Standing::Diverged
        | Standing::EpochAhead { .. } => {}
    }
    let mut missing = resumed.missing;
    missing.truncate(MISSING_RUNS_MAX);
    Ok(Ok(ResumeReply {
        device,
        epoch: resumed.epoch,
        committed_seq: resumed.committed_seq,
        committed_hash: resumed.committed_hash,
        missing,
        server: state.clock.wall(),
        echo_nonce: nonce,
    }))
}

fn report(resumed: &Resumed, device: tenken_common::id::DeviceId) {
    if resumed.lost > 0 {
        tracing::error!(%device, links = resumed.lost, "acknowledged batches were lost here; the device's acknowledgement proves it");
    }
    if resumed.facts_changed {
        tracing::warn!(%device, "the device runs on another host than before");
    }
    match resumed.standing {
        Standing::Behind | Standing::Diverged => {
            tracing::warn!(%device, "the device is behind its own chain: it has to rejoin");
        }
        Standing::InStep
        | Standing::Ahead { .. }
        | Standing::StaleEpoch { .. }
        | Standing::EpochAhead { .. }
        | Standing::Quarantined(_) => {}
    }
}
