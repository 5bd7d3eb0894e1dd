//! The enrollment exchange: a device proves that it holds a hospital's slot without ever sending
//! the slot's token, and the collector proves the same back.
//!
//! ```text
//! request = [1, transcript:bin, HMAC-SHA256(slot key, transcript), Sig_DK(transcript)]
//! reply   = [1, body:bin, HMAC-SHA256(slot key, transcript || body)]
//! ```
//!
//! Holds: the key of both HMACs is derived from the token, so a proxy that reads everything can
//! neither redeem the slot nor swap the reply. The reply's hash is where the device's chain starts.

use crate::{
    codec::{self, CodecError},
    id::{DeviceId, Epoch, Hash, Name, Nonce, SlotId},
    key::{PublicKey, SecretKey},
    limit,
    time::Timestamp,
};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::Sha256;

/// Why an enrollment message was not believed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    #[error("not an enrollment message")]
    Malformed(#[source] CodecError),
    #[error("enrollment message version {0}, this program knows version 1")]
    Version(u8),
    #[error("the device's key is no Ed25519 key")]
    DeviceKey,
    #[error("the request is not signed by the key it names")]
    Signature,
    #[error("the other side does not hold this slot's token")]
    Proof,
}

/// What both sides agree that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    pub slot: SlotId,
    #[serde(with = "serde_bytes")]
    device_key: Vec<u8>,
    /// PKCS #10 request for the TLS client key, DER.
    pub csr: ByteBuf,
    pub facts: HostFacts,
    pub nonce: Nonce,
}

/// What the host says of itself; a change later is a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    pub os: Name,
    pub arch: Name,
    pub agent_version: Name,
    /// Hash of the machine's identity, not the identity.
    pub machine: Hash,
}

/// What the device is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// DER, leaf first.
    pub certificates: Vec<ByteBuf>,
    /// The trust document, an envelope.
    pub trust: ByteBuf,
    /// Where batches go, `https://host:port`.
    pub push_url: String,
    pub server: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RequestWire(u8, ByteBuf, Hash, ByteBuf);

#[derive(Serialize, Deserialize)]
struct ReplyWire(u8, ByteBuf, Hash);

/// The key of a slot's proofs: derived, so that the collector never holds the token.
pub fn slot_key(token: &[u8]) -> Hash {
    Hash::of(&[b"tenken slot v1".as_slice(), token].concat())
}

/// A request on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    transcript: Vec<u8>,
    bytes: Vec<u8>,
}

impl Request {
    pub fn new(
        slot: SlotId,
        slot_key: &Hash,
        device_key: &SecretKey,
        csr: Vec<u8>,
        facts: HostFacts,
        nonce: Nonce,
    ) -> Result<Self, CodecError> {
        let transcript = codec::to_vec(&Transcript {
            slot,
            device_key: device_key.public().to_bytes().to_vec(),
            csr: ByteBuf::from(csr),
            facts,
            nonce,
        })?;
        let signature = ByteBuf::from(device_key.sign(&transcript).to_vec());
        let proof = proof(slot_key, &[&transcript]);
        let bytes = codec::to_vec(&RequestWire(1, ByteBuf::from(transcript.clone()), proof, signature))?;
        Ok(Self { transcript, bytes })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The grant, and the hash with which the device's chain begins.
    pub fn open_reply(&self, reply: &[u8], slot_key: &Hash) -> Result<(Grant, Hash), EnrollmentError> {
        let ReplyWire(version, body, mac) =
            codec::from_slice(reply, limit::MESSAGE_BYTES_MAX).map_err(EnrollmentError::Malformed)?;
        if version != 1 {
            return Err(EnrollmentError::Version(version));
        }
        if !proven(slot_key, &[&self.transcript, &body], &mac) {
            return Err(EnrollmentError::Proof);
        }
        let grant = codec::from_slice(&body, limit::MESSAGE_BYTES_MAX).map_err(EnrollmentError::Malformed)?;
        Ok((grant, Hash::of(&body)))
    }
}

/// A request that arrived, its proof not yet checked.
#[derive(Debug, Clone)]
pub struct Received {
    bytes: Vec<u8>,
    proof: Hash,
    transcript: Transcript,
    device_key: PublicKey,
}

impl Received {
    /// Reads a request and checks the device's own signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnrollmentError> {
        let RequestWire(version, transcript_bytes, proof, signature) =
            codec::from_slice(bytes, limit::MESSAGE_BYTES_MAX).map_err(EnrollmentError::Malformed)?;
        if version != 1 {
            return Err(EnrollmentError::Version(version));
        }
        let transcript: Transcript = codec::from_slice(&transcript_bytes, limit::MESSAGE_BYTES_MAX)
            .map_err(EnrollmentError::Malformed)?;
        let device_key = <[u8; 32]>::try_from(transcript.device_key.as_slice())
            .ok()
            .and_then(|b| PublicKey::from_bytes(&b).ok())
            .ok_or(EnrollmentError::DeviceKey)?;
        let signature = signature.into_vec().try_into().map_err(|_| EnrollmentError::Signature)?;
        if !device_key.verify(&transcript_bytes, &signature) {
            return Err(EnrollmentError::Signature);
        }
        Ok(Self { bytes: transcript_bytes.into_vec(), proof, transcript, device_key })
    }

    /// The slot that is said to be redeemed: for looking its ticket up.
    pub fn slot_hint(&self) -> SlotId {
        self.transcript.slot
    }

    /// Checks that the sender holds the slot's token.
    pub fn prove(self, slot_key: &Hash) -> Result<Proven, EnrollmentError> {
        if proven(slot_key, &[&self.bytes], &self.proof) {
            Ok(Proven { received: self, slot_key: *slot_key })
        } else {
            Err(EnrollmentError::Proof)
        }
    }
}

/// A request whose sender holds the slot.
#[derive(Debug, Clone)]
pub struct Proven {
    received: Received,
    slot_key: Hash,
}

impl Proven {
    pub fn transcript(&self) -> &Transcript {
        &self.received.transcript
    }

    pub fn device_key(&self) -> PublicKey {
        self.received.device_key
    }

    /// The reply around an encoded grant; the same grant for a retry, whose transcript may differ.
    pub fn reply(&self, grant: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mac = proof(&self.slot_key, &[&self.received.bytes, grant]);
        codec::to_vec(&ReplyWire(1, ByteBuf::from(grant.to_vec()), mac))
    }
}

fn mac(key: &Hash, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn proof(key: &Hash, parts: &[&[u8]]) -> Hash {
    Hash(mac(key, parts).finalize().into_bytes().into())
}

/// In constant time.
fn proven(key: &Hash, parts: &[&[u8]], claimed: &Hash) -> bool {
    mac(key, parts).verify_slice(&claimed.0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: &[u8]) -> Request {
        let facts = HostFacts {
            os: Name::new("linux").unwrap(),
            arch: Name::new("x86_64").unwrap(),
            agent_version: Name::new("0.1.0").unwrap(),
            machine: Hash::of(b"m"),
        };
        let device_key = SecretKey::from_seed(&[5; 32]);
        Request::new(SlotId([1; 16]), &slot_key(token), &device_key, vec![1, 2], facts, Nonce([9; 16]))
            .unwrap()
    }

    fn grant() -> Vec<u8> {
        codec::to_vec(&Grant {
            device: DeviceId([6; 16]),
            epoch: Epoch(1),
            certificates: vec![],
            trust: ByteBuf::new(),
            push_url: "https://localhost:1".into(),
            server: Timestamp::EPOCH,
        })
        .unwrap()
    }

    #[test]
    fn both_sides_prove_the_token_and_never_send_it() {
        let request = request(b"0123456789abcdef");
        assert!(!request.bytes().windows(16).any(|w| w == b"0123456789abcdef"));
        let key = slot_key(b"0123456789abcdef");
        let proven = Received::from_bytes(request.bytes()).unwrap().prove(&key).unwrap();
        let reply = proven.reply(&grant()).unwrap();
        let (opened, start) = request.open_reply(&reply, &key).unwrap();
        assert_eq!((opened.device, start), (DeviceId([6; 16]), Hash::of(&grant())));
    }

    #[test]
    fn without_the_token_neither_side_is_believed() {
        let other = slot_key(b"another token!!!");
        let request = request(b"0123456789abcdef");
        let received = Received::from_bytes(request.bytes()).unwrap();
        assert!(matches!(received.clone().prove(&other), Err(EnrollmentError::Proof)));
        let proven = received.prove(&slot_key(b"0123456789abcdef")).unwrap();
        let swapped = Proven { slot_key: other, ..proven }.reply(&grant()).unwrap();
        let got = request.open_reply(&swapped, &slot_key(b"0123456789abcdef"));
        assert!(matches!(got, Err(EnrollmentError::Proof)));
    }

    #[test]
    fn every_altered_byte_of_a_request_is_noticed() {
        let key = slot_key(b"0123456789abcdef");
        let bytes = request(b"0123456789abcdef").bytes().to_vec();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Received::from_bytes(&altered).and_then(|r| r.prove(&key)).is_err(), "byte {at}");
        }
    }
}
