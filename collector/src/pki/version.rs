//! Versions of the collector's keys: how they are kept, read back, and followed by the next one.
//!
//! Holds: what is read is one unbroken chain from version 1, each signed by the key that the one
//! before named; the same walk that a device makes. A version appears whole or not at all.

use super::{
    ACK_KEY, OFFLINE, Pki, PkiError, RK, ROOT, ROOT_KEY, TRUST, ca, files, pem, put, read, write_server,
};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tenken_common::{
    codec,
    envelope::{Envelope, EnvelopeError},
    id::Hash,
    key::{PublicKey, SecretKey},
    limit, statement,
    time::Timestamp,
    trust::{TrustDocument, TrustError},
};

/// What the next version changes; the rest stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent choices, as on the command line")]
pub struct Renewed {
    pub ack_key: bool,
    pub root: bool,
    /// RK, which signs the version after the next.
    pub signer: bool,
    /// Only the newest root stays: for a root whose key got into wrong hands. Devices with
    /// certificates of older ones renew first.
    pub forget_roots: bool,
}

/// One version, for a listing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VersionLine {
    pub version: u64,
    pub issued: Timestamp,
    /// Fingerprint of the acknowledgement key.
    pub ack_key: Hash,
    /// Fingerprint of the key that signs the version after.
    pub signer: Hash,
    /// SHA-256 of each root, the one in use first.
    pub roots: Vec<Hash>,
}

/// What a version's folder holds besides the server's certificate.
pub(super) struct Content<'a> {
    pub root: &'a CertificateDer<'static>,
    pub root_key: &'a KeyPair,
    pub ack: &'a SecretKey,
    pub trust: &'a Envelope,
}

pub(super) fn place(dir: &Path, version: u64) -> PathBuf {
    dir.join(format!("{version:06}"))
}

pub(super) fn fill(place: &Path, content: &Content<'_>) -> Result<(), PkiError> {
    put(&place.join(ROOT), &pem("CERTIFICATE", content.root))?;
    put(&place.join(ROOT_KEY), &content.root_key.serialize_pem())?;
    put(&place.join(ACK_KEY), &content.ack.to_pem())?;
    put(&place.join(TRUST), &statement::to_armour(content.trust))
}

/// Every version in `dir`, from 1 on; none if there is none.
pub(super) fn read_all(dir: &Path) -> Result<Vec<(Envelope, TrustDocument)>, PkiError> {
    let mut all: Vec<(Envelope, TrustDocument)> = Vec::new();
    for version in 1.. {
        let place = place(dir, version);
        if !place.exists() {
            break;
        }
        let path = place.join(TRUST);
        let envelope = statement::from_armour(&read(&path)?)
            .map_err(|source| PkiError::Trust { path: path.clone(), source })?;
        let document = match all.last() {
            None => first(&envelope),
            Some((_, before)) => before.follow(&envelope),
        };
        let document = document.map_err(|source| PkiError::NotFollowed { path, source })?;
        all.push((envelope, document));
    }
    Ok(all)
}

/// Version 1 is signed by the very key that it names.
fn first(envelope: &Envelope) -> Result<TrustDocument, TrustError> {
    let refused = |source| TrustError::Signature { after: 0, source };
    let named: TrustDocument = codec::from_slice(envelope.body(), limit::MESSAGE_BYTES_MAX)
        .map_err(|e| refused(EnvelopeError::Content(e)))?;
    let signer = named.next_signer().map_err(TrustError::Key)?;
    let document = envelope.open::<TrustDocument>(&signer).map_err(refused)?.into_inner();
    if document.version == 1 {
        Ok(document)
    } else {
        Err(TrustError::Version { after: 0, got: document.version })
    }
}

impl Pki {
    /// Makes the version after this one, signed with RK from the folder `offline`; a serving
    /// collector takes it up by itself. A new RK is put beside the old one in that folder.
    pub fn next_version(&self, renewed: Renewed, offline: &Path, now: Timestamp) -> Result<Self, PkiError> {
        if renewed == Renewed::default() {
            return Err(PkiError::NothingNew);
        }
        let before = self.newest();
        let version = before.version + 1;
        let signer = find_signer(offline, before)?;
        let next_signer = if renewed.signer { new_signer(offline, version)? } else { signer.public() };
        let ack =
            if renewed.ack_key { SecretKey::generate().map_err(PkiError::Random)? } else { self.ack.clone() };
        let (root_key, root) = if renewed.root {
            ca::make_root(now)?
        } else {
            let text = read(&self.place().join(ROOT_KEY))?;
            (KeyPair::from_pem(&text).map_err(PkiError::Make)?, self.root.clone())
        };
        let mut roots = vec![root.to_vec()];
        if !renewed.forget_roots {
            roots.extend(before.roots.iter().map(|der| der.to_vec()).filter(|der| *der != root.as_ref()));
            // The oldest were of certificates that ended long ago.
            roots.truncate(limit::TRUST_ROOTS_MAX);
        } else if before.roots.len() == 1 && !renewed.root {
            return Err(PkiError::NoRootLeft);
        }
        let document = TrustDocument::new(version, &roots, ack.public(), next_signer, now);
        let trust = Envelope::seal(&document, &signer).map_err(PkiError::TrustContent)?;

        let place = place(&self.dir, version);
        let write = |source| PkiError::Write { path: place.clone(), source };
        let new = files::beside(&place).map_err(write)?;
        if new.exists() {
            // Left by a crash before anything was published: nobody has used these keys.
            fs::remove_dir_all(&new).map_err(write)?;
        }
        files::create_private_dir(&new).map_err(write)?;
        fill(&new, &Content { root: &root, root_key: &root_key, ack: &ack, trust: &trust })?;
        let issuer = Issuer::from_ca_cert_der(&root, root_key).map_err(PkiError::Make)?;
        write_server(&new, &self.server_names()?, &issuer, &root, now)?;
        files::publish_dir(&new, &place).map_err(write)?;
        Self::load(&self.dir)
    }

    /// The folder in which `create` puts RK, until somebody moves it away.
    pub fn offline_dir(dir: &Path) -> PathBuf {
        dir.join(OFFLINE)
    }

    pub fn versions(&self) -> Vec<VersionLine> {
        let line = |document: &TrustDocument| {
            let fingerprint = |key: Result<PublicKey, _>| key.map_or(Hash::ZERO, |k| k.fingerprint());
            VersionLine {
                version: document.version,
                issued: document.issued,
                ack_key: fingerprint(document.ack_key()),
                signer: fingerprint(document.next_signer()),
                roots: document.roots.iter().map(|der| Hash::of(der)).collect(),
            }
        };
        self.trust.iter().map(|(_, document)| line(document)).collect()
    }
}

/// The key in `offline` that `before` names.
fn find_signer(offline: &Path, before: &TrustDocument) -> Result<SecretKey, PkiError> {
    let refused = |source| PkiError::Read { path: offline.to_owned(), source };
    for entry in fs::read_dir(offline).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.extension().is_some_and(|e| e == "pem")
            && let Ok(key) = SecretKey::from_pem(&read(&path)?)
            && before.next_signer().ok() == Some(key.public())
        {
            return Ok(key);
        }
    }
    Err(PkiError::NoSigner(offline.to_owned()))
}

/// A new RK, durable before any document names it. One that a crash left behind under this
/// version's name was never named by any.
fn new_signer(offline: &Path, version: u64) -> Result<PublicKey, PkiError> {
    let key = SecretKey::generate().map_err(PkiError::Random)?;
    let name = RK.replace(".key", &format!("-{version:06}.key"));
    put(&offline.join(name), &key.to_pem())?;
    Ok(key.public())
}
