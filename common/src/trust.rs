//! Whom a device trusts: the vendor's roots for TLS and its acknowledgement key, in versions.
//!
//! Holds: version v+1 is signed by the offline key that v names, so a device that was away for
//! years walks forward from the version it has and nobody else can lead it elsewhere. No version
//! is skipped and none comes again: a lower one changes nothing.
//!
//! Does not: need a trusted connection. Each document vouches for itself.

use crate::{
    envelope::{Envelope, EnvelopeError},
    key::{KeyError, PublicKey},
    limit, positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The vendor's roots and acknowledgement key. Version v+1 is signed by the key v names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustDocument {
    pub version: u64,
    /// DER certificates.
    pub roots: Vec<ByteBuf>,
    #[serde(with = "serde_bytes")]
    ack_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    next_signer: Vec<u8>,
    pub issued: Timestamp,
}
positional_payload!(TrustDocument, "trust");

/// A trust document that is not followed; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the trust document is not signed by the key that version {after} names")]
    Signature { after: u64, source: EnvelopeError },
    #[error("trust version {got} does not follow version {after}")]
    Version { after: u64, got: u64 },
    #[error("the trust document names no usable key")]
    Key(#[source] KeyError),
    #[error("the trust document names {0} roots, 1 to {max} are allowed", max = limit::TRUST_ROOTS_MAX)]
    Roots(usize),
}

impl TrustDocument {
    pub fn new(
        version: u64,
        roots: &[Vec<u8>],
        ack: PublicKey,
        signer: PublicKey,
        issued: Timestamp,
    ) -> Self {
        Self {
            version,
            roots: roots.iter().map(|r| ByteBuf::from(r.clone())).collect(),
            ack_key: ack.to_bytes().to_vec(),
            next_signer: signer.to_bytes().to_vec(),
            issued,
        }
    }

    pub fn ack_key(&self) -> Result<PublicKey, KeyError> {
        key_of(&self.ack_key)
    }

    /// The key that must have signed the version after this.
    pub fn next_signer(&self) -> Result<PublicKey, KeyError> {
        key_of(&self.next_signer)
    }

    /// The version after this, if that is what the envelope holds.
    pub fn follow(&self, envelope: &Envelope) -> Result<Self, TrustError> {
        let after = self.version;
        let signer = self.next_signer().map_err(TrustError::Key)?;
        let next = envelope
            .open::<Self>(&signer)
            .map_err(|source| TrustError::Signature { after, source })?
            .into_inner();
        if Some(next.version) != after.checked_add(1) {
            return Err(TrustError::Version { after, got: next.version });
        }
        if next.roots.is_empty() || next.roots.len() > limit::TRUST_ROOTS_MAX {
            return Err(TrustError::Roots(next.roots.len()));
        }
        // A device that took a document without usable keys could never leave it again.
        next.ack_key().and(next.next_signer()).map_err(TrustError::Key)?;
        Ok(next)
    }
}

fn key_of(bytes: &[u8]) -> Result<PublicKey, KeyError> {
    PublicKey::from_bytes(bytes.try_into().map_err(|_| KeyError::NotAPoint)?)
}

/// The answer of `/v1/trust`: consecutive versions, envelopes, oldest first. Not signed itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustChain {
    /// At most [`limit::TRUST_DOCUMENTS_MAX`].
    pub documents: Vec<ByteBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn document(version: u64, next_signer: u8) -> TrustDocument {
        TrustDocument::new(version, &[vec![1]], key(9).public(), key(next_signer).public(), Timestamp::EPOCH)
    }

    fn sealed(document: &TrustDocument, signer: u8) -> Envelope {
        Envelope::seal(document, &key(signer)).unwrap()
    }

    #[test]
    fn a_device_walks_forward_over_changed_signers() {
        let first = document(1, 1);
        let second = first.follow(&sealed(&document(2, 2), 1)).unwrap();
        let third = second.follow(&sealed(&document(3, 2), 2)).unwrap();
        assert_eq!(third.version, 3);
    }

    #[test]
    fn nothing_else_is_followed() {
        let first = document(1, 1);
        assert!(matches!(first.follow(&sealed(&document(2, 2), 2)), Err(TrustError::Signature { .. })));
        assert!(matches!(first.follow(&sealed(&document(3, 1), 1)), Err(TrustError::Version { got: 3, .. })));
        assert!(matches!(first.follow(&sealed(&document(1, 1), 1)), Err(TrustError::Version { got: 1, .. })));
        let empty = TrustDocument { roots: vec![], ..document(2, 1) };
        assert!(matches!(first.follow(&sealed(&empty, 1)), Err(TrustError::Roots(0))));
        let dead_end = TrustDocument { next_signer: vec![2; 32], ..document(2, 1) };
        assert!(matches!(first.follow(&sealed(&dead_end, 1)), Err(TrustError::Key(_))));
    }
}
