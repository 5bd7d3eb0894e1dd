//! The collector's keys and certificates: a private root, the server's certificate, the
//! acknowledgement key, and the trust document that the vendor's offline key signed.
//!
//! ```text
//! DIR/root.pem          the root certificate; slots carry its SHA-256
//! DIR/root.key.pem      signs the server's and the devices' certificates
//! DIR/server.pem        the server's key and its chain: leaf, root
//! DIR/ack.key.pem       AK, apart from every TLS key
//! DIR/trust.pem         trust document v1, signed by RK
//! DIR/offline/rk.key.pem  RK: to be moved away from this machine
//! ```
//!
//! Holds: `create` never overwrites; it prepares the whole folder and moves it into place in one
//! step. The chain that the server shows contains the root itself, since an enrolling agent
//! knows only the root's hash.

mod ca;
mod files;

pub use ca::{ROOT_LIFE, SERVER_LIFE};

use ca::ServerFacts;
use rcgen::{Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tenken_common::{
    codec::CodecError,
    envelope::{Envelope, EnvelopeError},
    file::{self, Access, WriteError},
    id::{DeviceId, Hash},
    key::{KeyError, SecretKey},
    statement::{self, ArmourError},
    time::{Clock, Timestamp},
    tls::{self, TlsError},
    trust::TrustDocument,
};

const ROOT: &str = "root.pem";
const ROOT_KEY: &str = "root.key.pem";
const SERVER: &str = "server.pem";
const ACK_KEY: &str = "ack.key.pem";
const TRUST: &str = "trust.pem";
const OFFLINE: &str = "offline";
const RK: &str = "rk.key.pem";

/// Keys that cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("no keys in {}; run `tenken-collector init` first", .0.display())]
    Missing(PathBuf),
    #[error("{} exists already and is not overwritten; name another folder, or move it away", .0.display())]
    Exists(PathBuf),
    #[error("give at least one DNS name or IP address under which agents reach the collector")]
    NoNames,
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] WriteError),
    #[error("{} is damaged: {what}; restore it from the backup", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{} holds no key that can be used", path.display())]
    Key { path: PathBuf, source: KeyError },
    #[error("{} holds no trust document that can be used", path.display())]
    Trust { path: PathBuf, source: ArmourError },
    #[error("the trust document is not signed by the key it names")]
    TrustSignature(#[source] EnvelopeError),
    #[error("the trust document cannot be encoded")]
    TrustContent(#[source] CodecError),
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
    #[error("the system gave no random bytes")]
    Random(#[source] KeyError),
    #[error("the certificate request is malformed or not signed by its own key")]
    Request(#[source] rcgen::Error),
    #[error("the certificate request is for a key that is neither P-256 nor Ed25519")]
    RequestKey,
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
}

/// A device's new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// DER, leaf first, the root last.
    pub chain_der: Vec<Vec<u8>>,
    /// SHA-256 of the leaf: how the device is known on a connection.
    pub leaf_sha256: Hash,
}

/// See the module's head.
pub struct Pki {
    dir: PathBuf,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    server: tls::Identity,
    ack: SecretKey,
    trust: Envelope,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("dir", &self.dir).field("ack", &self.ack).finish_non_exhaustive()
    }
}

impl Pki {
    /// Makes everything in the new folder `dir`. `names` are the DNS names or IP addresses under
    /// which agents reach the collector.
    pub fn create(dir: &Path, names: &[String], now: Timestamp) -> Result<Self, PkiError> {
        if is_occupied(dir) {
            return Err(PkiError::Exists(dir.to_owned()));
        }
        let write = |path: &Path, source| PkiError::Write { path: path.to_owned(), source };
        let new = files::beside(dir).map_err(|e| write(dir, e))?;
        if new.exists() {
            // Left by a crash before anything was published: nobody has used these keys.
            fs::remove_dir_all(&new).map_err(|e| write(&new, e))?;
        }
        files::create_private_dir(&new).map_err(|e| write(&new, e))?;
        let made =
            fill(&new, names, now).and_then(|()| files::publish_dir(&new, dir).map_err(|e| write(dir, e)));
        if let Err(e) = made {
            // The first error is the one to tell; what remains is removed by the next try.
            let _ = fs::remove_dir_all(&new);
            return Err(e);
        }
        Self::load(dir)
    }

    /// Reads everything that a serving collector needs; RK is not among it.
    pub fn load(dir: &Path) -> Result<Self, PkiError> {
        if !dir.join(ROOT).exists() {
            return Err(PkiError::Missing(dir.to_owned()));
        }
        let root_path = dir.join(ROOT);
        let root = CertificateDer::from_pem_slice(read(&root_path)?.as_bytes())
            .map_err(|_| PkiError::Damaged { path: root_path.clone(), what: "no certificate in it" })?;
        let issuer = read_issuer(dir, &root)?;
        let ack_path = dir.join(ACK_KEY);
        let ack = SecretKey::from_pem(&read(&ack_path)?)
            .map_err(|source| PkiError::Key { path: ack_path, source })?;
        let trust_path = dir.join(TRUST);
        let trust = statement::from_armour(&read(&trust_path)?)
            .map_err(|source| PkiError::Trust { path: trust_path, source })?;
        let server = read_server(&dir.join(SERVER))?;
        Ok(Self { dir: dir.to_owned(), root, issuer, server, ack, trust })
    }

    /// Renews the server's certificate, with a new key, where less than a third of its life is
    /// left; for the start, before [`Self::device_tls`]. Says whether it did.
    pub fn renew_server(&mut self, now: Timestamp) -> Result<bool, PkiError> {
        let facts = self.server_facts()?;
        if !facts.is_due(now) {
            return Ok(false);
        }
        self.reissue_server(&facts.names, now)?;
        Ok(true)
    }

    /// Makes the server's certificate anew, under these names.
    pub fn reissue_server(&mut self, names: &[String], now: Timestamp) -> Result<(), PkiError> {
        self.server = write_server(&self.dir, names, &self.issuer, &self.root, now)?;
        Ok(())
    }

    /// The names in the server's certificate.
    pub fn server_names(&self) -> Result<Vec<String>, PkiError> {
        self.server_facts().map(|f| f.names)
    }

    /// When the server's certificate ends.
    pub fn server_expires(&self) -> Result<Timestamp, PkiError> {
        self.server_facts().map(|f| f.not_after)
    }

    /// What a hospital's slots carry.
    pub fn root_sha256(&self) -> Hash {
        Hash::of(&self.root)
    }

    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// AK, which signs acks and rejects.
    pub fn ack_key(&self) -> &SecretKey {
        &self.ack
    }

    /// The trust document, an envelope.
    pub fn trust(&self) -> &Envelope {
        &self.trust
    }

    /// A certificate for a device, from `now` minus one hour for
    /// [`tenken_common::limit::DEVICE_CERTIFICATE_LIFE`].
    pub fn issue(&self, csr_der: &[u8], device: DeviceId, now: Timestamp) -> Result<Issued, PkiError> {
        let leaf = ca::make_device(csr_der, device, &self.issuer, now)?;
        let leaf_sha256 = Hash::of(&leaf);
        Ok(Issued { chain_der: vec![leaf.to_vec(), self.root.to_vec()], leaf_sha256 })
    }

    /// For the devices' listener: a client certificate under the root is required.
    pub fn device_tls<C: Clock + std::fmt::Debug + 'static>(
        &self,
        clock: C,
    ) -> Result<ServerConfig, PkiError> {
        tls::server(self.server.clone(), Some(std::slice::from_ref(&self.root)), clock).map_err(PkiError::Tls)
    }

    /// For enrollment, renewal, trust and time: no client certificate is asked for.
    pub fn open_tls<C: Clock + std::fmt::Debug + 'static>(&self, clock: C) -> Result<ServerConfig, PkiError> {
        tls::server(self.server.clone(), None, clock).map_err(PkiError::Tls)
    }

    fn server_facts(&self) -> Result<ServerFacts, PkiError> {
        let damaged = PkiError::Damaged { path: self.dir.join(SERVER), what: "unreadable certificate" };
        self.server.chain.first().and_then(|leaf| ServerFacts::read(leaf)).ok_or(damaged)
    }
}

/// Whether anything is there besides an empty folder.
fn is_occupied(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) => e.kind() != io::ErrorKind::NotFound,
    }
}

fn fill(dir: &Path, names: &[String], now: Timestamp) -> Result<(), PkiError> {
    let (root_key, root) = ca::make_root(now)?;
    put(&dir.join(ROOT), &pem("CERTIFICATE", &root))?;
    put(&dir.join(ROOT_KEY), &root_key.serialize_pem())?;
    let issuer = Issuer::from_ca_cert_der(&root, root_key).map_err(PkiError::Make)?;
    write_server(dir, names, &issuer, &root, now)?;

    let ack = SecretKey::generate().map_err(PkiError::Random)?;
    put(&dir.join(ACK_KEY), &ack.to_pem())?;

    let rk = SecretKey::generate().map_err(PkiError::Random)?;
    let offline = dir.join(OFFLINE);
    files::create_private_dir(&offline)
        .map_err(|source| PkiError::Write { path: offline.clone(), source })?;
    put(&offline.join(RK), &rk.to_pem())?;
    let trust = TrustDocument::new(1, &[root.to_vec()], ack.public(), rk.public(), now);
    let envelope = Envelope::seal(&trust, &rk).map_err(PkiError::TrustContent)?;
    envelope.open::<TrustDocument>(&rk.public()).map_err(PkiError::TrustSignature)?;
    put(&dir.join(TRUST), &statement::to_armour(&envelope))
}

/// Key and chain stand in one file, so that both change in one step.
fn write_server(
    dir: &Path,
    names: &[String],
    issuer: &Issuer<'static, KeyPair>,
    root: &CertificateDer<'static>,
    now: Timestamp,
) -> Result<tls::Identity, PkiError> {
    let (key, leaf) = ca::make_server(names, issuer, now)?;
    let text = [key.serialize_pem(), pem("CERTIFICATE", &leaf), pem("CERTIFICATE", root)].concat();
    put(&dir.join(SERVER), &text)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(tls::Identity { chain: vec![leaf, root.clone()], key })
}

fn read_server(path: &Path) -> Result<tls::Identity, PkiError> {
    let damaged = |what| PkiError::Damaged { path: path.to_owned(), what };
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| damaged("unreadable certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| damaged("no key in it"))?;
    if chain.len() < 2 {
        return Err(damaged("the chain does not hold leaf and root"));
    }
    Ok(tls::Identity { chain, key })
}

fn read_issuer(dir: &Path, root: &CertificateDer<'static>) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let path = dir.join(ROOT_KEY);
    let text = read(&path)?;
    let damaged = |what| PkiError::Damaged { path: path.clone(), what };
    let key = KeyPair::from_pem(&text).map_err(|_| damaged("no key in it"))?;
    let owner = x509_parser::parse_x509_certificate(root)
        .ok()
        .is_some_and(|(_, c)| c.public_key().subject_public_key.data.as_ref() == key.public_key_raw());
    if !owner {
        return Err(damaged("it does not belong to root.pem"));
    }
    Issuer::from_ca_cert_der(root, key).map_err(PkiError::Make)
}

fn pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der)
        .expect("a fixed label and a certificate of ours always encode")
}

fn put(path: &Path, text: &str) -> Result<(), PkiError> {
    Ok(file::write(path, text.as_bytes(), Access::Private)?)
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
