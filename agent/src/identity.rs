//! Who this device is: its keys, what it was granted, and whom it trusts, in one private file
//! with a second copy.
//!
//! Holds: the device's key is on the disk before the first request goes out, so a lost answer or
//! a power cut in the middle of an enrollment or a rejoin leads to the same device and not to a
//! second one. What is new (a trust document, a certificate, an epoch) is here before it is used;
//! the certificate before it stays until the new one worked. A damaged file is healed from its
//! copy. The keys never leave this file.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::path::{Path, PathBuf};
use tenken_agent_core::session::Validity;
use tenken_common::{
    codec::{self, CodecError},
    envelope::{Envelope, EnvelopeError, Payload},
    file::{self, Access, WriteError},
    id::{DeviceId, Epoch, Hash, Name, SlotId},
    key::{KeyError, PublicKey, SecretKey},
    limit,
    renewal::RejoinGrant,
    time::Timestamp,
    tls,
    trust::TrustDocument,
};
use x509_parser::prelude::{FromDer, X509Certificate};

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
    #[error("a certificate in the identity cannot be read")]
    Certificate,
    #[error("there is no rejoin under way")]
    NoRejoin,
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
    // Fields from here on came later; files from before lack them.
    /// Where the collector is reached without a client certificate.
    #[serde(default)]
    open_url: Option<String>,
    /// A renewed certificate that has not worked yet.
    #[serde(default)]
    renewed: Option<StoredTls>,
    #[serde(default)]
    rejoin: Option<StoredRejoin>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Granted {
    device: DeviceId,
    epoch: Epoch,
    genesis: Hash,
    push_url: String,
    certificates: Vec<ByteBuf>,
    trust: ByteBuf,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredTls {
    /// PKCS #8, DER.
    key: ByteBuf,
    certificates: Vec<ByteBuf>,
}

/// The keys of the epoch that is asked for.
#[derive(Clone, Serialize, Deserialize)]
struct StoredRejoin {
    device_key_pem: String,
    /// PKCS #8, DER.
    tls_key: ByteBuf,
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
    /// The collector's address for enrollment.
    pub collector: String,
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
    /// Where the collector is reached without a client certificate.
    pub open_url: Option<String>,
    pub tls: tls::Identity,
    /// Of the certificate in `tls`.
    pub validity: Validity,
    /// The certificate before, while the newer has not worked yet.
    pub tls_before: Option<tls::Identity>,
    pub trust: TrustDocument,
    pub rejoin: Option<PendingRejoin>,
}

/// A TLS client certificate with its key.
struct Certificate {
    tls: tls::Identity,
    validity: Validity,
}

impl Certificate {
    fn new(key: &[u8], certificates: &[ByteBuf]) -> Result<Self, IdentityError> {
        let leaf = certificates.first().ok_or(IdentityError::Certificate)?;
        let (_, read) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Certificate)?;
        let at = |t: x509_parser::time::ASN1Time| Timestamp::from_secs(t.timestamp());
        let validity =
            Validity { not_before: at(read.validity().not_before), not_after: at(read.validity().not_after) };
        let tls = tls::Identity {
            chain: certificates.iter().map(|der| CertificateDer::from(der.to_vec())).collect(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec())),
        };
        Ok(Self { tls, validity })
    }
}

/// The keys with which this device asks for its next epoch.
#[derive(Debug, Clone)]
pub struct PendingRejoin {
    pub device_key: SecretKey,
    /// PKCS #8, DER.
    pub tls_key: Vec<u8>,
}

impl Enrolled {
    /// When the certificate is to be renewed; one moment for one certificate, also after a restart.
    pub fn renew_at(&self) -> Timestamp {
        let leaf = self.tls.chain.first().map_or(Hash::ZERO, |der| Hash::of(der));
        let seed = leaf.as_bytes().iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte));
        self.validity.renew_at(seed)
    }

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
        open_url: Some(origin.collector.clone()),
        renewed: None,
        rejoin: None,
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
    let first = Certificate::new(&stored.tls_key, &granted.certificates)?;
    let renewed = stored.renewed.map(|r| Certificate::new(&r.key, &r.certificates)).transpose()?;
    let (certificate, tls_before) = match renewed {
        Some(renewed) => (renewed, Some(first.tls)),
        None => (first, None),
    };
    let rejoin = stored.rejoin.map(PendingRejoin::try_from).transpose()?;
    Ok(Enrolled {
        device: granted.device,
        epoch: granted.epoch,
        genesis: granted.genesis,
        device_key,
        hospital_key,
        group: stored.group,
        push_url: granted.push_url,
        open_url: stored.open_url,
        tls: certificate.tls,
        validity: certificate.validity,
        tls_before,
        trust: trust_of(&granted.trust)?,
        rejoin,
    })
}

impl TryFrom<StoredRejoin> for PendingRejoin {
    type Error = IdentityError;

    fn try_from(stored: StoredRejoin) -> Result<Self, IdentityError> {
        let device_key = SecretKey::from_pem(&stored.device_key_pem).map_err(IdentityError::Key)?;
        Ok(Self { device_key, tls_key: stored.tls_key.into_vec() })
    }
}

/// What vouches for a stored trust document was checked before it was stored: the proof of the
/// grant that it came in, or the signature that the version before it asked for. Checked here is
/// that it is whole.
fn trust_of(bytes: &[u8]) -> Result<TrustDocument, IdentityError> {
    let envelope = Envelope::from_bytes(bytes).map_err(IdentityError::Trust)?;
    if envelope.payload_type() != TrustDocument::TYPE {
        return Err(IdentityError::Trust(EnvelopeError::WrongType(envelope.payload_type().to_owned())));
    }
    let document: TrustDocument = codec::from_slice(envelope.body(), limit::MESSAGE_BYTES_MAX)
        .map_err(|e| IdentityError::Trust(EnvelopeError::Content(e)))?;
    document.ack_key().and(document.next_signer()).map_err(IdentityError::Key)?;
    Ok(document)
}

/// Changes what is stored, durably, and gives the identity as it is then.
fn change(
    state_dir: &Path,
    alter: impl FnOnce(&mut Stored, &mut Granted) -> Result<(), IdentityError>,
) -> Result<Enrolled, IdentityError> {
    let mut stored = read(state_dir)?.ok_or(IdentityError::NotEnrolled)?;
    let mut granted = stored.granted.take().ok_or(IdentityError::Unfinished)?;
    alter(&mut stored, &mut granted)?;
    stored.granted = Some(granted);
    // Judged before it is kept, as at enrollment.
    let enrolled = enrolled(stored.clone())?;
    write(state_dir, &stored)?;
    Ok(enrolled)
}

/// Keeps a trust document that follows the one held (the caller checked it).
pub fn keep_trust(state_dir: &Path, document: &Envelope) -> Result<Enrolled, IdentityError> {
    change(state_dir, |_, granted| {
        granted.trust = document.to_bytes().into();
        Ok(())
    })
}

/// Keeps a renewed certificate beside the one in use.
pub fn keep_renewed(
    state_dir: &Path,
    tls_key: &[u8],
    certificates: &[ByteBuf],
) -> Result<Enrolled, IdentityError> {
    change(state_dir, |stored, _| {
        let key = ByteBuf::from(tls_key.to_vec());
        stored.renewed = Some(StoredTls { key, certificates: certificates.to_vec() });
        Ok(())
    })
}

/// The renewed certificate worked: the one before goes.
pub fn settle_renewed(state_dir: &Path) -> Result<Enrolled, IdentityError> {
    change(state_dir, |stored, granted| {
        if let Some(renewed) = stored.renewed.take() {
            stored.tls_key = renewed.key.into_vec();
            granted.certificates = renewed.certificates;
        }
        Ok(())
    })
}

/// Keys for the next epoch: those of a rejoin under way, else new ones. Durable when it returns.
pub fn begin_rejoin(
    state_dir: &Path,
    make_tls_key: impl FnOnce() -> Result<Vec<u8>, KeyError>,
) -> Result<Enrolled, IdentityError> {
    change(state_dir, |stored, _| {
        if stored.rejoin.is_none() {
            stored.rejoin = Some(StoredRejoin {
                device_key_pem: SecretKey::generate().map_err(IdentityError::Key)?.to_pem(),
                tls_key: make_tls_key().map_err(IdentityError::Key)?.into(),
            });
        }
        Ok(())
    })
}

/// The device stands in its chain as it should after all: the rejoin is given up.
pub fn drop_rejoin(state_dir: &Path) -> Result<Enrolled, IdentityError> {
    change(state_dir, |stored, _| {
        stored.rejoin = None;
        Ok(())
    })
}

/// The next epoch was granted; `genesis` is where its chain begins. From here on the device is who
/// the grant says it is.
pub fn finish_rejoin(
    state_dir: &Path,
    grant: &RejoinGrant,
    genesis: Hash,
) -> Result<Enrolled, IdentityError> {
    change(state_dir, |stored, granted| {
        let keys = stored.rejoin.take().ok_or(IdentityError::NoRejoin)?;
        stored.device_key_pem = keys.device_key_pem;
        stored.tls_key = keys.tls_key.into_vec();
        stored.renewed = None;
        granted.epoch = grant.epoch;
        granted.genesis = genesis;
        granted.certificates.clone_from(&grant.certificates);
        Ok(())
    })
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
mod tests;
