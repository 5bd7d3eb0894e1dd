//! Ed25519 keys as this project uses them: one type to sign, one to verify, and their files.
//!
//! Holds: verification is always `verify_strict`. A secret key prints as its key id only.

use crate::id::{Hash, KeyId};
use ed25519_dalek::{Signature, Signer};
use std::fmt;

/// Bytes that are no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the system gave no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("not a PEM file with one `{expected}` block")]
    Pem { expected: &'static str },
    #[error("these 32 bytes are no Ed25519 public key")]
    NotAPoint,
}

/// `N` random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

/// A key that signs.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    const PEM: &'static str = "TENKEN SECRET KEY";

    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_seed(&random()?))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    pub fn to_pem(&self) -> String {
        pem(Self::PEM, self.0.as_bytes())
    }

    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        unpem(Self::PEM, text).map(|seed| Self::from_seed(&seed))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

/// A key that verifies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    const PEM: &'static str = "TENKEN PUBLIC KEY";

    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| KeyError::NotAPoint)
    }

    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// SHA-256 of the key: what two people compare.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(self.0.as_bytes())
    }

    pub fn id(&self) -> KeyId {
        let mut id = [0u8; 8];
        id.iter_mut().zip(self.fingerprint().0).for_each(|(to, from)| *to = from);
        KeyId(id)
    }

    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    pub fn to_pem(self) -> String {
        pem(Self::PEM, self.0.as_bytes())
    }

    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&unpem(Self::PEM, text)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A fingerprint in groups of four digits, as people read it to each other.
pub fn grouped(fingerprint: &Hash) -> String {
    let digits = fingerprint.to_string();
    let groups: Vec<&str> = (0..digits.len()).step_by(4).filter_map(|i| digits.get(i..i + 4)).collect();
    groups.join(" ")
}

fn pem(label: &str, bytes: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, bytes)
        .expect("a fixed label and 32 bytes always encode")
}

fn unpem(expected: &'static str, text: &str) -> Result<[u8; 32], KeyError> {
    let (label, bytes) = pem_rfc7468::decode_vec(text.as_bytes()).map_err(|_| KeyError::Pem { expected })?;
    if label != expected {
        return Err(KeyError::Pem { expected });
    }
    bytes.try_into().map_err(|_| KeyError::Pem { expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_files_and_do_not_mix() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let again = SecretKey::from_pem(&secret.to_pem()).unwrap();
        assert_eq!(again.public(), secret.public());
        assert_eq!(PublicKey::from_pem(&secret.public().to_pem()).unwrap(), secret.public());
        assert!(PublicKey::from_pem(&secret.to_pem()).is_err(), "a secret key is no public key");
        assert!(!format!("{secret:?}").contains("0707"));
    }

    #[test]
    fn a_signature_holds_for_its_message_only() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let signature = secret.sign(b"a");
        assert!(secret.public().verify(b"a", &signature));
        assert!(!secret.public().verify(b"b", &signature));
        assert!(!SecretKey::from_seed(&[8; 32]).public().verify(b"a", &signature));
    }
}
