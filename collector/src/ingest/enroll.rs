//! Redeeming a slot: a device proves that it holds a hospital's slot and is given its identity, or,
//! where the slot replaces a device that lost its key, that device's next epoch.
//!
//! Holds: a slot is redeemed once, which is decided inside the committer's transaction, so that
//! of any number at once exactly one wins. A retry with the same device key is given the very
//! grant it was given before. The grant's hash is where the device's chain begins.

use super::{CertificateIssuer, IngestState, IssueError, commit::CommitError};
use crate::store::{StoreError, Tx};
use serde_bytes::ByteBuf;
use tenken_collector_core::stream::{Enrolled, Entry, Rejoined};
use tenken_common::{
    ack::RejectReason,
    codec::{self, CodecError},
    enrollment::{EnrollmentError, Grant, Proven, Received},
    id::{DeviceId, Epoch, Hash},
    key::{KeyError, random},
};

/// Why a slot was not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    #[error("the request is not believed")]
    Request(#[source] EnrollmentError),
    #[error("no such slot is on file")]
    UnknownSlot,
    #[error("the slot has expired")]
    Expired,
    #[error("the slot was redeemed by another device")]
    Used,
    #[error("the device's certificate request was refused")]
    Certificate(#[source] IssueError),
    #[error("the device was revoked")]
    Revoked,
    #[error("no random bytes for a device's identity")]
    Random(#[source] KeyError),
    #[error("the grant could not be encoded")]
    Encode(#[source] CodecError),
    #[error("not now")]
    Later(#[source] CommitError),
}

impl RedeemError {
    /// The metric's reason, where it is the request's fault.
    pub fn reason(&self) -> Option<RejectReason> {
        match self {
            Self::Request(EnrollmentError::Malformed(_) | EnrollmentError::Version(_))
            | Self::Certificate(_) => Some(RejectReason::Malformed),
            Self::Request(
                EnrollmentError::DeviceKey | EnrollmentError::Signature | EnrollmentError::Proof,
            ) => Some(RejectReason::BadSignature),
            Self::UnknownSlot | Self::Expired | Self::Used => Some(RejectReason::Unenrolled),
            Self::Revoked => Some(RejectReason::Revoked),
            Self::Random(_) | Self::Encode(_) | Self::Later(_) => None,
        }
    }
}

/// A proven request on its way into the committer.
#[derive(Debug, Clone)]
pub struct Redemption {
    pub proven: Proven,
    pub trust: Vec<u8>,
    pub push_url: String,
}

/// What was granted; the same for a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    pub device: DeviceId,
    pub grant: Vec<u8>,
}

/// Answers an enrollment request with the reply's bytes.
pub async fn enroll(state: &IngestState, request: &[u8]) -> Result<Vec<u8>, RedeemError> {
    let received = Received::from_bytes(request).map_err(RedeemError::Request)?;
    let slot =
        state.store.slot(received.slot_hint()).await.map_err(later)?.ok_or(RedeemError::UnknownSlot)?;
    let proven = received.prove(&slot.proof_key).map_err(RedeemError::Request)?;
    let redemption = Redemption {
        proven: proven.clone(),
        trust: state.trust.last().cloned().unwrap_or_default(),
        push_url: state.push_url.to_string(),
    };
    let redeemed = state.committer.redeem(redemption).await.map_err(RedeemError::Later)??;
    // The device pushes as soon as it has the reply; the directory must know it by then.
    state.devices.refresh(&state.store).await.map_err(later)?;
    proven.reply(&redeemed.grant).map_err(RedeemError::Encode)
}

fn later(error: StoreError) -> RedeemError {
    RedeemError::Later(CommitError::Store(std::sync::Arc::new(error)))
}

/// Decides a redemption within a transaction. The inner error is the request's, and leaves the
/// transaction untouched.
pub(super) async fn redeem(
    tx: &mut Tx<'_>,
    issuer: &dyn CertificateIssuer,
    redemption: Redemption,
) -> Result<Result<Redeemed, RedeemError>, StoreError> {
    let transcript = redemption.proven.transcript();
    let key = redemption.proven.device_key();
    let Some(slot) = tx.slot(transcript.slot).await? else { return Ok(Err(RedeemError::UnknownSlot)) };
    if let Some(device) = slot.device {
        return Ok(match tx.device(device).await? {
            Some(row) if row.key == key && row.revoked.is_some() => Err(RedeemError::Revoked),
            Some(row) if row.key == key => Ok(Redeemed { device, grant: row.granted }),
            Some(_) | None => Err(RedeemError::Used),
        });
    }
    let now = tx.now();
    if slot.expires <= now {
        return Ok(Err(RedeemError::Expired));
    }
    let (device, epoch) = match slot.replaces {
        Some(device) => match tx.device(device).await? {
            Some(row) if row.revoked.is_some() => return Ok(Err(RedeemError::Revoked)),
            Some(_) => (device, tx.chain(device).await?.epoch.next()),
            None => return Ok(Err(RedeemError::UnknownSlot)),
        },
        None => match random() {
            Ok(bytes) => (DeviceId(bytes), Epoch(1)),
            Err(error) => return Ok(Err(RedeemError::Random(error))),
        },
    };
    let certificate = match issuer.issue(&transcript.csr, device, now) {
        Ok(certificate) => certificate,
        Err(error) => return Ok(Err(RedeemError::Certificate(error))),
    };
    let grant = codec::to_vec(&Grant {
        device,
        epoch,
        certificates: certificate.chain_der.into_iter().map(ByteBuf::from).collect(),
        trust: ByteBuf::from(redemption.trust.clone()),
        push_url: redemption.push_url.clone(),
        server: now,
    })?;
    let (device_key, facts) = (key.to_bytes().to_vec(), transcript.facts.clone());
    let (document, genesis) = (grant.clone(), Hash::of(&grant));
    tx.journal(match slot.replaces {
        Some(_) => {
            let slot = Some(slot.id);
            Entry::Rejoined(Rejoined { device, epoch, device_key, facts, slot, document, genesis })
        }
        None => Entry::Enrolled(Enrolled {
            slot: slot.id,
            hospital: slot.hospital,
            device,
            label: slot.label,
            group: slot.group,
            device_key,
            facts,
            grant: document,
        }),
    })
    .await?;
    tx.journal(Entry::CertificateIssued { device, certificate: certificate.leaf_sha256 }).await?;
    Ok(Ok(Redeemed { device, grant }))
}
