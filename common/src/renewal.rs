//! How a device that has its key gets the rest anew: a TLS certificate (renewal), or a new epoch
//! of its chain after it fell behind it (rejoin). Both go to the listener that asks for no client
//! certificate.
//!
//! Holds: a request is signed by the device's own key over a fresh challenge, the collector's
//! [`crate::ack::SignedTime`]; so losing TLS never loses the identity (I6), and a recorded request
//! is worth nothing after [`crate::limit::CHALLENGE_LIFE`]. A rejoin begins only with the
//! hospital's [`crate::statement::RejoinApproval`] of the new key.

use crate::{
    enrollment::HostFacts,
    id::{DeviceId, Epoch, Hash, Nonce, RecId, Seq},
    key::{KeyError, PublicKey},
    positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Asks for a TLS certificate, signed with the device key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// PKCS #10 request for a new TLS client key, DER.
    pub csr: ByteBuf,
    /// The collector's newest signed time, an envelope.
    pub challenge: ByteBuf,
    pub nonce: Nonce,
}
positional_payload!(RenewRequest, "renew");

/// The new certificate; the old one stays good until its date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewReply {
    pub device: DeviceId,
    /// DER, leaf first.
    pub certificates: Vec<ByteBuf>,
    pub server: Timestamp,
    pub echo_nonce: Nonce,
}
positional_payload!(RenewReply, "renew-reply");

/// Asks for the next epoch, signed with the new device key that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinRequest {
    pub device: DeviceId,
    /// The epoch that ends.
    pub epoch: Epoch,
    #[serde(with = "serde_bytes")]
    device_key: Vec<u8>,
    /// PKCS #10 request for a new TLS client key, DER.
    pub csr: ByteBuf,
    pub facts: HostFacts,
    /// The collector's newest signed time, an envelope.
    pub challenge: ByteBuf,
    pub nonce: Nonce,
}
positional_payload!(RejoinRequest, "rejoin");

/// What a [`RejoinRequest`] says besides its key.
#[derive(Debug, Clone)]
pub struct RejoinParts {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub csr: Vec<u8>,
    pub facts: HostFacts,
    pub challenge: Vec<u8>,
    pub nonce: Nonce,
}

impl RejoinRequest {
    pub fn new(device_key: PublicKey, parts: RejoinParts) -> Self {
        Self {
            device: parts.device,
            epoch: parts.epoch,
            device_key: device_key.to_bytes().to_vec(),
            csr: ByteBuf::from(parts.csr),
            facts: parts.facts,
            challenge: ByteBuf::from(parts.challenge),
            nonce: parts.nonce,
        }
    }

    /// The key that must have signed the request.
    pub fn device_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(self.device_key.as_slice().try_into().map_err(|_| KeyError::NotAPoint)?)
    }
}

/// How the old epoch was closed. The hash of its body is the genesis of the new one, so a retry
/// gets the very same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinGrant {
    pub device: DeviceId,
    /// The epoch that begins.
    pub epoch: Epoch,
    pub closed_seq: Seq,
    pub closed_hash: Hash,
    /// The highest record id that the collector has of the old epoch.
    pub top_record: RecId,
    /// DER, leaf first.
    pub certificates: Vec<ByteBuf>,
    pub server: Timestamp,
    pub echo_nonce: Nonce,
}
positional_payload!(RejoinGrant, "rejoin-grant");
