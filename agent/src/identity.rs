//! Who this device is: its keys, what it was granted, and whom it trusts, in one private file
//! with a second copy.
//!
//! Holds: the device's key is on the disk before the first request goes out, so a lost answer or
//! a power cut in the middle of an enrollment leads to the same device and not to a second one.
//! A damaged file is healed from its copy. The keys never leave this file.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tenken_common::{
    codec::{self, CodecError},
    envelope::{Envelope, EnvelopeError},
    file::{self, Access, WriteError},
    id::{DeviceId, Epoch, Hash, Name, SlotId},
    key::{KeyError, PublicKey, SecretKey},
    limit, tls,
    trust::TrustDocument,
};

const FILES: [&str; 2] = ["identity", "identity.copy"];

/// An identity that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "this device is not enrolled yet; run `tenken-agent enroll --slot FILE` with the hospital's slot file"
    )]
    NotEnrolled,
    #[error(
        "the enrollment was begun and not finished; run `tenken-agent enroll` again with the same slot file"
    )]
    Unfinished,
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("both copies of the identity in {} are damaged; the device must be enrolled anew by the hospital", dir.display())]
    Damaged { dir: PathBuf },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the identity could not be encoded")]
    Encode(#[source] CodecError),
    #[error("a key in the identity cannot be used")]
    Key(#[source] KeyError),
    #[error("the trust document in the identity cannot be used")]
    Trust(#[source] EnvelopeError),
}

/// The file's content: a checksum, then this.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    format: u8,
    device_key_pem: String,
    /// PKCS #8, DER.
    #[serde(with = "serde_bytes")]
    tls_key: Vec<u8>,
    slot: SlotId,
    #[serde(with = "serde_bytes")]
    hospital_key: Vec<u8>,
    group: Option<Name>,
    granted: Option<Granted>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Granted {
    device: DeviceId,
    epoch: Epoch,
    genesis: Hash,
    push_url: String,
    certificates: Vec<serde_bytes::ByteBuf>,
    trust: serde_bytes::ByteBuf,
}

/// Keys that are durable and not yet granted anything.
pub struct Applicant {
    stored: Stored,
    device_key: SecretKey,
}

/// What the hospital's slot contributes.
#[derive(Debug, Clone)]
pub struct SlotOrigin {
    pub slot: SlotId,
    pub hospital_key: PublicKey,
    pub group: Option<Name>,
}

/// An enrolled device.
#[derive(Debug, Clone)]
pub struct Enrolled {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// Where the chain begins.
    pub genesis: Hash,
    pub device_key: SecretKey,
    pub hospital_key: PublicKey,
    pub group: Option<Name>,
    pub push_url: String,
    pub tls: tls::Identity,
    pub trust: TrustDocument,
}

impl Enrolled {
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.trust.roots.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
    }
}

/// Keys for an enrollment with this slot: those of an unfinished one, else new ones. Durable when
/// it returns. `None` if the device is enrolled already.
pub fn begin(
    state_dir: &Path,
    origin: &SlotOrigin,
    make_tls_key: impl FnOnce() -> Result<Vec<u8>, KeyError>,
) -> Result<Option<Applicant>, IdentityError> {
    if let Some(stored) = read(state_dir)? {
        if stored.granted.is_some() {
            return Ok(None);
        }
        if stored.slot == origin.slot {
            let device_key = SecretKey::from_pem(&stored.device_key_pem).map_err(IdentityError::Key)?;
            return Ok(Some(Applicant { stored, device_key }));
        }
    }
    let device_key = SecretKey::generate().map_err(IdentityError::Key)?;
    let stored = Stored {
        format: 1,
        device_key_pem: device_key.to_pem(),
        tls_key: make_tls_key().map_err(IdentityError::Key)?,
        slot: origin.slot,
        hospital_key: origin.hospital_key.to_bytes().to_vec(),
        group: origin.group.clone(),
        granted: None,
    };
    write(state_dir, &stored)?;
    Ok(Some(Applicant { stored, device_key }))
}

impl Applicant {
    pub fn device_key(&self) -> &SecretKey {
        &self.device_key
    }

    pub fn tls_key_der(&self) -> &[u8] {
        &self.stored.tls_key
    }

    /// Makes the grant durable.
    pub fn finish(
        mut self,
        state_dir: &Path,
        grant: &tenken_common::enrollment::Grant,
        genesis: Hash,
    ) -> Result<Enrolled, IdentityError> {
        self.stored.granted = Some(Granted {
            device: grant.device,
            epoch: grant.epoch,
            genesis,
            push_url: grant.push_url.clone(),
            certificates: grant.certificates.clone(),
            trust: grant.trust.clone(),
        });
        // Judged before it is kept: a grant that cannot be used must not lock the device out.
        let enrolled = enrolled(self.stored.clone())?;
        write(state_dir, &self.stored)?;
        Ok(enrolled)
    }
}

/// The identity of an enrolled device.
pub fn load(state_dir: &Path) -> Result<Enrolled, IdentityError> {
    enrolled(read(state_dir)?.ok_or(IdentityError::NotEnrolled)?)
}

fn enrolled(stored: Stored) -> Result<Enrolled, IdentityError> {
    let granted = stored.granted.ok_or(IdentityError::Unfinished)?;
    let device_key = SecretKey::from_pem(&stored.device_key_pem).map_err(IdentityError::Key)?;
    let hospital_key = <[u8; 32]>::try_from(stored.hospital_key.as_slice())
        .map_err(|_| IdentityError::Key(KeyError::NotAPoint))
        .and_then(|bytes| PublicKey::from_bytes(&bytes).map_err(IdentityError::Key))?;
    Ok(Enrolled {
        device: granted.device,
        epoch: granted.epoch,
        genesis: granted.genesis,
        device_key,
        hospital_key,
        group: stored.group,
        push_url: granted.push_url,
        tls: tls::Identity {
            chain: granted.certificates.iter().map(|der| CertificateDer::from(der.to_vec())).collect(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(stored.tls_key)),
        },
        trust: first_trust(&granted.trust)?,
    })
}

/// The first trust document comes inside a grant, whose proof vouches for it; it names its own
/// signer, so what is checked here is that it is whole.
fn first_trust(bytes: &[u8]) -> Result<TrustDocument, IdentityError> {
    let envelope = Envelope::from_bytes(bytes).map_err(IdentityError::Trust)?;
    let named: TrustDocument = codec::from_slice(envelope.body(), limit::MESSAGE_BYTES_MAX)
        .map_err(|e| IdentityError::Trust(EnvelopeError::Content(e)))?;
    let signer = named.next_signer().map_err(IdentityError::Key)?;
    Ok(envelope.open::<TrustDocument>(&signer).map_err(IdentityError::Trust)?.into_inner())
}

fn write(state_dir: &Path, stored: &Stored) -> Result<(), IdentityError> {
    let body = codec::to_vec(stored).map_err(IdentityError::Encode)?;
    let content = [Hash::of(&body).as_bytes(), &body].concat();
    for name in FILES {
        file::write(&state_dir.join(name), &content, Access::Private)?;
    }
    Ok(())
}

/// The first copy that is whole, which is the newest; the others are made like it.
fn read(state_dir: &Path) -> Result<Option<Stored>, IdentityError> {
    let mut copies = Vec::new();
    for name in FILES {
        let path = state_dir.join(name);
        match std::fs::read(&path) {
            Ok(content) => copies.push(Some(content)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => copies.push(None),
            Err(source) => return Err(IdentityError::Read { path, source }),
        }
    }
    let Some(stored) = copies.iter().flatten().find_map(|content| decode(content)) else {
        let damaged = copies.iter().any(Option::is_some);
        return if damaged { Err(IdentityError::Damaged { dir: state_dir.to_owned() }) } else { Ok(None) };
    };
    let good = copies.iter().flatten().find(|content| decode(content).is_some());
    if copies.iter().any(|copy| copy.as_ref() != good) {
        write(state_dir, &stored)?;
    }
    Ok(Some(stored))
}

fn decode(content: &[u8]) -> Option<Stored> {
    let (checksum, body) = content.split_at_checked(32)?;
    if Hash::of(body).as_bytes() != checksum {
        return None;
    }
    codec::from_slice(body, limit::MESSAGE_BYTES_MAX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{enrollment::Grant, time::Timestamp};

    fn origin(slot: u8) -> SlotOrigin {
        let hospital_key = SecretKey::from_seed(&[1; 32]).public();
        SlotOrigin { slot: SlotId([slot; 16]), hospital_key, group: None }
    }

    fn grant() -> Grant {
        let vendor = SecretKey::from_seed(&[2; 32]);
        let ack = SecretKey::from_seed(&[3; 32]).public();
        let trust = TrustDocument::new(1, &[], ack, vendor.public(), Timestamp::EPOCH);
        Grant {
            device: DeviceId([4; 16]),
            epoch: Epoch(1),
            certificates: vec![],
            trust: Envelope::seal(&trust, &vendor).unwrap().to_bytes().into(),
            push_url: "https://localhost:1".into(),
            server: Timestamp::EPOCH,
        }
    }

    fn applicant(dir: &Path, slot: u8) -> Option<Applicant> {
        begin(dir, &origin(slot), || Ok(vec![9])).unwrap()
    }

    #[test]
    fn an_interrupted_enrollment_goes_on_with_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(load(dir.path()), Err(IdentityError::NotEnrolled)));
        let first = applicant(dir.path(), 1).unwrap().device_key().public();
        assert!(matches!(load(dir.path()), Err(IdentityError::Unfinished)));
        let again = applicant(dir.path(), 1).unwrap();
        assert_eq!(again.device_key().public(), first);
        again.finish(dir.path(), &grant(), Hash([5; 32])).unwrap();
        assert_eq!(load(dir.path()).unwrap().device_key.public(), first);
        assert!(applicant(dir.path(), 2).is_none(), "an enrolled device is not enrolled again");
    }

    #[test]
    fn one_damaged_copy_is_healed_and_two_are_said() {
        let dir = tempfile::tempdir().unwrap();
        applicant(dir.path(), 1).unwrap().finish(dir.path(), &grant(), Hash([5; 32])).unwrap();
        for name in FILES {
            let path = dir.path().join(name);
            let mut content = std::fs::read(&path).unwrap();
            content[40] ^= 1;
            std::fs::write(&path, &content).unwrap();
            assert!(load(dir.path()).is_ok(), "{name} damaged");
            assert_ne!(std::fs::read(&path).unwrap(), content, "{name} was healed");
        }
        for name in FILES {
            std::fs::write(dir.path().join(name), b"nonsense").unwrap();
        }
        assert!(matches!(load(dir.path()), Err(IdentityError::Damaged { .. })));
    }
}
