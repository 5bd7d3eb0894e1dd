//! The hospital's key: made here, and succeeded here.
//!
//! Holds: a secret key is never overwritten and readable by its owner only. A succession is
//! signed by the key that ends. A device knows the key of its enrollment, so its file carries
//! every succession since the first, oldest first; the vendor needs the newest one only.

use std::path::{Path, PathBuf};
use tenken_common::{
    codec::CodecError,
    envelope::{Envelope, EnvelopeError},
    file::{self, Access, WriteError},
    id::HospitalId,
    key::{KeyError, PublicKey, SecretKey},
    statement::{self, KeySuccession},
    time::Timestamp,
};

/// A key that cannot be made or succeeded.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    #[error("{} exists already; a hospital's key is never overwritten", .0.display())]
    Exists(PathBuf),
    #[error("no key could be made")]
    Key(#[source] KeyError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the succession could not be encoded")]
    Encode(#[source] CodecError),
    #[error("the earlier successions do not lead to this key; take the newest file that was put on devices")]
    OtherChain,
    #[error("succession {at} of the earlier ones is not signed by the key before it")]
    Broken { at: usize, source: EnvelopeError },
}

/// A key in its files.
#[derive(Debug)]
pub struct KeyFiles {
    pub secret: PathBuf,
    pub public: PathBuf,
    pub key: SecretKey,
}

/// Makes a key in `folder`.
pub fn make_key(folder: &Path) -> Result<KeyFiles, SuccessionError> {
    let (secret, public) = (folder.join("hospital.key"), folder.join("hospital.pub"));
    for path in [&secret, &public] {
        if path.exists() {
            return Err(SuccessionError::Exists(path.clone()));
        }
    }
    let key = SecretKey::generate().map_err(SuccessionError::Key)?;
    file::write(&secret, key.to_pem().as_bytes(), Access::Private)?;
    file::write(&public, key.public().to_pem().as_bytes(), Access::Everyone)?;
    Ok(KeyFiles { secret, public, key })
}

/// The new key, signed by the old one.
pub fn succeed(
    hospital: HospitalId,
    old: &SecretKey,
    new: PublicKey,
    now: Timestamp,
) -> Result<Envelope, SuccessionError> {
    Envelope::seal(&KeySuccession::new(hospital, new, now), old).map_err(SuccessionError::Encode)
}

/// Checks that earlier successions follow each other and end at `key`.
pub fn check_earlier(earlier: &[Envelope], key: PublicKey) -> Result<(), SuccessionError> {
    let mut signer = key;
    for (i, envelope) in earlier.iter().enumerate().rev() {
        // Whom it names is known from its content; who signed it, from the one before it.
        let named = named_successor(envelope).ok_or(SuccessionError::OtherChain)?;
        if named != signer {
            return Err(SuccessionError::OtherChain);
        }
        let Some(before) = i.checked_sub(1).and_then(|i| earlier.get(i)) else { break };
        signer = named_successor(before).ok_or(SuccessionError::OtherChain)?;
        envelope
            .open::<KeySuccession>(&signer)
            .map_err(|source| SuccessionError::Broken { at: i + 1, source })?;
    }
    Ok(())
}

/// What the device's file holds.
pub fn for_devices(earlier: &[Envelope], newest: &Envelope) -> String {
    earlier.iter().chain([newest]).map(statement::to_armour).collect()
}

fn named_successor(envelope: &Envelope) -> Option<PublicKey> {
    use tenken_common::envelope::Payload;
    if envelope.payload_type() != KeySuccession::TYPE {
        return None;
    }
    KeySuccession::decode(envelope.body()).ok()?.successor().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn step(old: u8, new: u8) -> Envelope {
        succeed("minato".parse().unwrap(), &key(old), key(new).public(), Timestamp::EPOCH).unwrap()
    }

    #[test]
    fn earlier_successions_must_lead_here() {
        let chain = [step(1, 2), step(2, 3)];
        check_earlier(&chain, key(3).public()).unwrap();
        check_earlier(&[], key(1).public()).unwrap();
        let text = for_devices(&chain, &step(3, 4));
        assert_eq!(statement::all_from_armour(&text).unwrap().len(), 3);
        assert!(matches!(check_earlier(&chain, key(2).public()), Err(SuccessionError::OtherChain)));
        let broken = [step(1, 2), step(9, 3)];
        assert!(matches!(
            check_earlier(&broken, key(3).public()),
            Err(SuccessionError::Broken { at: 2, .. })
        ));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let made = make_key(dir.path()).unwrap();
        let before = std::fs::read(&made.secret).unwrap();
        assert!(matches!(make_key(dir.path()), Err(SuccessionError::Exists(_))));
        assert_eq!(std::fs::read(&made.secret).unwrap(), before);
    }
}
