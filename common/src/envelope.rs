//! Signed envelopes: the Dead Simple Signing Envelope's pre-authentication encoding (DSSE 1.0.2)
//! over the raw body bytes.
//!
//! ```text
//! signed = "DSSEv1" SP len(type) SP type SP len(body) SP body
//! wire   = [1, type, body:bin, [[keyid:bin8, sig:bin64]]]
//! ```
//!
//! Holds: a [`Verified`] value can only come out of [`Envelope::open`], which checks the
//! signature first and parses the very bytes that were signed afterwards. Parsing a received
//! body never happens before its signature was found good.
//!
//! Holds: what is signed has one form on the wire. The frame around it is not signed, so it is
//! taken in its shortest encoding only, and with the one signature that is checked: nobody on the
//! way can change a byte of a good envelope, or add one, and have another good envelope.

use crate::{
    codec::{self, CodecError},
    id::{Hash, KeyId},
    key::{PublicKey, SecretKey},
    limit,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What can stand inside an envelope. `TYPE` is frozen; another shape is another type.
pub trait Payload: Sized {
    const TYPE: &'static str;
    fn encode(&self) -> Result<Vec<u8>, CodecError>;
    fn decode(body: &[u8]) -> Result<Self, CodecError>;
}

/// Why an envelope was not opened, in the order of the checks.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not an envelope")]
    Outer(#[source] CodecError),
    #[error("envelope version {0}, this program knows version 1")]
    Version(u8),
    #[error("{0} signatures, version 1 has one")]
    Signatures(usize),
    #[error("no signature by the expected key")]
    WrongKey,
    #[error("the signature does not fit the content")]
    BadSignature,
    #[error("content of another type (`{0}`)")]
    WrongType(String),
    #[error("signed content that cannot be read")]
    Content(#[source] CodecError),
}

/// A body with its type and signatures, not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    body: Vec<u8>,
    signatures: Vec<(KeyId, [u8; 64])>,
}

#[derive(Serialize, Deserialize)]
struct Wire(u8, String, ByteBuf, Vec<(KeyId, ByteBuf)>);

impl Envelope {
    /// Signs a value.
    pub fn seal<T: Payload>(value: &T, key: &SecretKey) -> Result<Self, CodecError> {
        Ok(Self::seal_bytes(T::TYPE, value.encode()?, key))
    }

    /// Signs bytes that were encoded (and stored) before.
    pub fn seal_bytes(payload_type: &str, body: Vec<u8>, key: &SecretKey) -> Self {
        let signature = key.sign(&pre_authentication(payload_type, &body));
        let signatures = vec![(key.public().id(), signature)];
        Self { payload_type: payload_type.to_owned(), body, signatures }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|(id, s)| (*id, ByteBuf::from(s.to_vec())));
        let wire = Wire(1, self.payload_type.clone(), ByteBuf::from(self.body.clone()), signatures.collect());
        codec::to_vec(&wire).expect("strings and bytes always encode")
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let Wire(version, payload_type, body, signatures) =
            codec::from_slice(bytes, limit::ENVELOPE_BYTES_MAX).map_err(EnvelopeError::Outer)?;
        if version != 1 {
            return Err(EnvelopeError::Version(version));
        }
        if signatures.len() != 1 {
            return Err(EnvelopeError::Signatures(signatures.len()));
        }
        let signatures = signatures
            .into_iter()
            .map(|(id, s)| Ok((id, s.into_vec().try_into().map_err(|_| EnvelopeError::BadSignature)?)))
            .collect::<Result<_, _>>()?;
        let envelope = Self { payload_type, body: body.into_vec(), signatures };
        if envelope.to_bytes() != bytes {
            return Err(EnvelopeError::Outer(CodecError::OtherForm));
        }
        Ok(envelope)
    }

    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The key that is said to have signed: a hint for looking it up.
    pub fn key_hint(&self) -> Option<KeyId> {
        self.signatures.first().map(|(id, _)| *id)
    }

    /// Checks type, signature, then content; see the module's head.
    pub fn open<T: Payload>(&self, key: &PublicKey) -> Result<Verified<T>, EnvelopeError> {
        if self.payload_type != T::TYPE {
            return Err(EnvelopeError::WrongType(self.payload_type.chars().take(80).collect()));
        }
        let id = key.id();
        let (_, signature) =
            self.signatures.iter().find(|(hint, _)| *hint == id).ok_or(EnvelopeError::WrongKey)?;
        if !key.verify(&pre_authentication(&self.payload_type, &self.body), signature) {
            return Err(EnvelopeError::BadSignature);
        }
        let value = T::decode(&self.body).map_err(EnvelopeError::Content)?;
        Ok(Verified { value, body_hash: Hash::of(&self.body), key: id })
    }
}

/// DSSE's PAE.
fn pre_authentication(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len());
    let mut out = Vec::with_capacity(head.len() + body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
    out
}

/// A value whose signature was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T> {
    value: T,
    body_hash: Hash,
    key: KeyId,
}

impl<T> Verified<T> {
    /// SHA-256 of the signed body.
    pub fn body_hash(&self) -> Hash {
        self.body_hash
    }

    pub fn key(&self) -> KeyId {
        self.key
    }

    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Implements [`Payload`] for a type whose serde form is its frozen, positional shape.
#[macro_export]
macro_rules! positional_payload {
    ($type:ty, $name:literal) => {
        impl $crate::envelope::Payload for $type {
            const TYPE: &'static str = concat!("application/vnd.tenken.", $name, ".v1+msgpack");
            fn encode(&self) -> Result<Vec<u8>, $crate::codec::CodecError> {
                $crate::codec::to_vec(self)
            }
            fn decode(body: &[u8]) -> Result<Self, $crate::codec::CodecError> {
                $crate::codec::from_slice_exact(body, $crate::limit::MESSAGE_BYTES_MAX)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note(u32, String);
    positional_payload!(Note, "note");

    fn sealed() -> (SecretKey, Vec<u8>) {
        let key = SecretKey::from_seed(&[3; 32]);
        let envelope = Envelope::seal(&Note(5, "hello".into()), &key).unwrap();
        (key, envelope.to_bytes())
    }

    #[test]
    fn what_was_sealed_opens() {
        let (key, bytes) = sealed();
        let note = Envelope::from_bytes(&bytes).unwrap().open::<Note>(&key.public()).unwrap();
        assert_eq!(*note, Note(5, "hello".into()));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (key, bytes) = sealed();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let opened = Envelope::from_bytes(&altered).and_then(|e| e.open::<Note>(&key.public()));
            assert!(opened.is_err(), "bit {bit}");
        }
    }

    /// `bytes` with `old` in its frame replaced once.
    fn reframed(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
        [&bytes[..at], new, &bytes[at + old.len()..]].concat()
    }

    #[test]
    fn another_frame_around_what_was_signed_is_refused() {
        let (key, bytes) = sealed();
        let id = [&[0xc4, 8], key.public().id().as_bytes()].concat();
        let long_id = [&[0xc5, 0, 8], key.public().id().as_bytes()].concat();
        let body = [0xc4, 8, 0x92, 5];
        for (what, old, new) in [
            ("a long array", &[0x94, 1][..], &[0xdc, 0, 4, 1][..]),
            ("a long integer", &[0x94, 1], &[0x94, 0xcc, 1]),
            ("a longer integer", &[0x94, 1], &[0x94, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("a signed integer", &[0x94, 1], &[0x94, 0xd0, 1]),
            ("a long binary", &body, &[0xc6, 0, 0, 0, 8, 0x92, 5]),
            ("a body that is text", &body, &[0xa8, 0x92, 5]),
            ("a long key id", &id, &long_id),
        ] {
            let got = Envelope::from_bytes(&reframed(&bytes, old, new));
            assert!(matches!(got, Err(EnvelopeError::Outer(_))), "{what}: {got:?}");
        }
    }

    #[test]
    fn a_value_has_one_form_inside_too() {
        let key = SecretKey::from_seed(&[3; 32]);
        let open = |body: &[u8]| {
            let envelope = Envelope::seal_bytes(Note::TYPE, body.to_vec(), &key);
            envelope.open::<Note>(&key.public()).map(Verified::into_inner)
        };
        assert_eq!(open(&[0x92, 5, 0xa1, b'x']).unwrap(), Note(5, "x".into()));
        for other in [&[0x92, 5, 0xc4, 1, b'x'][..], &[0x92, 0xcc, 5, 0xa1, b'x'], &[0x92, 5, 0xd9, 1, b'x']]
        {
            assert!(matches!(open(other), Err(EnvelopeError::Content(_))), "{other:x?}");
        }
    }

    #[test]
    fn a_signature_that_nobody_checks_is_refused() {
        let (key, bytes) = sealed();
        let mut envelope = Envelope::from_bytes(&bytes).unwrap();
        envelope.signatures.push((KeyId([9; 8]), [7; 64]));
        assert!(matches!(Envelope::from_bytes(&envelope.to_bytes()), Err(EnvelopeError::Signatures(2))));
        envelope.signatures.clear();
        assert!(matches!(Envelope::from_bytes(&envelope.to_bytes()), Err(EnvelopeError::Signatures(0))));
        assert!(matches!(envelope.open::<Note>(&key.public()), Err(EnvelopeError::WrongKey)));
    }

    #[test]
    fn the_pre_authentication_encoding_is_the_specification_s() {
        let pae = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn another_key_does_not_open() {
        let (_, bytes) = sealed();
        let other = SecretKey::from_seed(&[4; 32]).public();
        let got = Envelope::from_bytes(&bytes).unwrap().open::<Note>(&other);
        assert!(matches!(got, Err(EnvelopeError::WrongKey)));
    }
}
