//! Rejoin: a device that fell behind its own chain goes on in a new epoch with a new key, as its
//! hospital approved.
//!
//! Holds: without an approval on file for this very key nothing happens. The old epoch is closed,
//! and the new one begun, in one transaction. A retry with the same key gets the same bytes, whose
//! signed body's hash is where the new chain begins.

use super::{
    CertificateIssuer, IngestState, IssueError,
    challenge::{ChallengeError, fresh_challenge},
    commit::CommitError,
};
use crate::store::{StoreError, Tx};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use tenken_collector_core::stream::{Entry, Rejoined};
use tenken_common::{
    ack::RejectReason,
    codec::CodecError,
    envelope::{Envelope, EnvelopeError, Payload, Verified},
    id::Hash,
    key::{KeyError, SecretKey},
    limit,
    renewal::{RejoinGrant, RejoinRequest},
};

/// Why a device does not rejoin.
#[derive(Debug, thiserror::Error)]
pub enum RejoinError {
    #[error("the request cannot be read")]
    Content(#[source] CodecError),
    #[error("the request is not signed by the key it names")]
    Signature(#[source] EnvelopeError),
    #[error("the request names no usable key")]
    Key(#[source] KeyError),
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("no such device is on file")]
    UnknownDevice,
    #[error("the device was revoked")]
    Revoked,
    #[error("the hospital has not approved this key for the device's next epoch")]
    NotApproved,
    #[error("the device's certificate request was refused")]
    Certificate(#[source] IssueError),
    #[error("not now")]
    Later(#[source] CommitError),
}

impl RejoinError {
    /// The metric's reason, where it is the request's fault.
    pub fn reason(&self) -> Option<RejectReason> {
        match self {
            Self::Content(_) | Self::Key(_) | Self::Certificate(_) => Some(RejectReason::Malformed),
            Self::Signature(_) => Some(RejectReason::BadSignature),
            Self::Challenge(error) => Some(error.reason()),
            Self::UnknownDevice => Some(RejectReason::Unenrolled),
            Self::Revoked => Some(RejectReason::Revoked),
            Self::NotApproved | Self::Later(_) => None,
        }
    }
}

/// A request on its way into the committer.
#[derive(Debug, Clone)]
pub struct Rejoining {
    pub request: Verified<RejoinRequest>,
    pub ack_key: Arc<SecretKey>,
}

/// Answers a rejoin request with the grant's bytes.
pub async fn rejoin(state: &IngestState, bytes: &[u8]) -> Result<Vec<u8>, RejoinError> {
    let request = verify(bytes)?;
    fresh_challenge(&request.challenge, &state.ack_keys, state.clock.wall())?;
    let rejoining = Rejoining { request, ack_key: state.ack_key.clone() };
    let grant = state.committer.rejoin(rejoining).await.map_err(RejoinError::Later)??;
    // The device goes on as soon as it has the reply; the directory must know its key by then.
    let refreshed = state.devices.refresh(&state.store).await;
    refreshed.map_err(|error| RejoinError::Later(CommitError::Store(Arc::new(error))))?;
    by_present_key(&grant, &state.ack_key).map_err(RejoinError::Signature)
}

/// The same body, signed by the key that devices now know: a grant may be older than that key.
fn by_present_key(grant: &[u8], key: &SecretKey) -> Result<Vec<u8>, EnvelopeError> {
    let envelope = Envelope::from_bytes(grant)?;
    if envelope.key_hint() == Some(key.public().id()) {
        return Ok(grant.to_vec());
    }
    Ok(Envelope::seal_bytes(envelope.payload_type(), envelope.body().to_vec(), key).to_bytes())
}

/// The key that must have signed stands in the request itself: it shows that the sender has it.
fn verify(bytes: &[u8]) -> Result<Verified<RejoinRequest>, RejoinError> {
    if bytes.len() > limit::MESSAGE_BYTES_MAX {
        let (got, max) = (bytes.len(), limit::MESSAGE_BYTES_MAX);
        return Err(RejoinError::Content(CodecError::TooLarge { got, max }));
    }
    let envelope = Envelope::from_bytes(bytes).map_err(RejoinError::Signature)?;
    let named = RejoinRequest::decode(envelope.body()).map_err(RejoinError::Content)?;
    let key = named.device_key().map_err(RejoinError::Key)?;
    envelope.open::<RejoinRequest>(&key).map_err(RejoinError::Signature)
}

/// Decides a rejoin within a transaction. The inner error is the request's, and leaves the
/// transaction untouched.
pub(super) async fn close_epoch(
    tx: &mut Tx<'_>,
    issuer: &dyn CertificateIssuer,
    rejoining: &Rejoining,
) -> Result<Result<Vec<u8>, RejoinError>, StoreError> {
    let request = &rejoining.request;
    let Ok(key) = request.device_key() else { return Err(StoreError::Value("key")) };
    let Some(row) = tx.device(request.device).await? else { return Ok(Err(RejoinError::UnknownDevice)) };
    if row.revoked.is_some() {
        return Ok(Err(RejoinError::Revoked));
    }
    if row.key == key {
        return Ok(row.rejoined.ok_or(RejoinError::NotApproved));
    }
    let chain = tx.chain(request.device).await?;
    let epoch = chain.epoch.next();
    let approved = tx.rejoin_approved(request.device, epoch, key.fingerprint()).await?;
    if !approved || request.epoch != chain.epoch {
        return Ok(Err(RejoinError::NotApproved));
    }
    let now = tx.now();
    let certificate = match issuer.issue(&request.csr, request.device, now) {
        Ok(certificate) => certificate,
        Err(error) => return Ok(Err(RejoinError::Certificate(error))),
    };
    let grant = Envelope::seal(
        &RejoinGrant {
            device: request.device,
            epoch,
            closed_seq: chain.seq,
            closed_hash: chain.hash,
            top_record: chain.top_record,
            certificates: certificate.chain_der.into_iter().map(ByteBuf::from).collect(),
            server: now,
            echo_nonce: request.nonce,
        },
        &rejoining.ack_key,
    )?;
    let document = grant.to_bytes();
    tx.journal(Entry::Rejoined(Rejoined {
        device: request.device,
        epoch,
        device_key: key.to_bytes().to_vec(),
        facts: request.facts.clone(),
        slot: None,
        document: document.clone(),
        genesis: Hash::of(grant.body()),
    }))
    .await?;
    let (device, certificate) = (request.device, certificate.leaf_sha256);
    tx.journal(Entry::CertificateIssued { device, certificate }).await?;
    Ok(Ok(document))
}
