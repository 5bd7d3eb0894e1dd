//! The collector's keys and certificates, in versions: a private root, the server's certificate,
//! the acknowledgement key, and the trust document by which devices learn of them, signed by the
//! vendor's offline key.
//!
//! ```text
//! DIR/000001/root.pem        the root certificate; slots carry its SHA-256
//! DIR/000001/root.key.pem    signs the server's and the devices' certificates
//! DIR/000001/server.pem      the server's key and its chain: leaf, root
//! DIR/000001/ack.key.pem     AK, apart from every TLS key
//! DIR/000001/trust.pem       trust document 1, signed by RK
//! DIR/000002/..              the next version, whole
//! DIR/offline/rk.key.pem     RK: to be moved away from this machine
//! ```
//!
//! Holds: `create` and [`Pki::next_version`] never overwrite; each prepares a whole folder and
//! moves it into place in one step. The newest version is in force; the documents of the ones
//! before stay, for devices that were away, as do their roots in the newest document, for the
//! certificates that devices still have. The chain that the server shows contains the root
//! itself, since an enrolling agent knows only the root's hash.

mod ca;
pub(crate) mod files;
mod version;

pub use ca::{ROOT_LIFE, SERVER_LIFE};
pub use version::{Renewed, VersionLine};

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
    envelope::Envelope,
    file::{self, Access, WriteError},
    id::{DeviceId, Hash},
    key::{KeyError, PublicKey, SecretKey},
    statement::ArmourError,
    time::{Clock, Timestamp},
    tls::{self, TlsError},
    trust::{TrustDocument, TrustError},
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
    #[error("{} is no trust document that follows the one before", path.display())]
    NotFollowed { path: PathBuf, source: TrustError },
    #[error("the trust document cannot be encoded")]
    TrustContent(#[source] CodecError),
    #[error("{} holds no key that the newest trust document names as its signer; give the folder that was moved away", .0.display())]
    NoSigner(PathBuf),
    #[error(
        "say what is to change: a new acknowledgement key, root or signer, or roots that are no longer trusted"
    )]
    NothingNew,
    #[error("only a new root can take the place of the old ones: forgetting them needs a new root as well")]
    NoRootLeft,
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
    /// All versions, oldest first.
    trust: Vec<(Envelope, TrustDocument)>,
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
        let trust = version::read_all(dir)?;
        let Some((_, newest)) = trust.last() else { return Err(PkiError::Missing(dir.to_owned())) };
        let place = version::place(dir, newest.version);
        let damaged = |name: &str, what| PkiError::Damaged { path: place.join(name), what };
        let root = CertificateDer::from_pem_slice(read(&place.join(ROOT))?.as_bytes())
            .map_err(|_| damaged(ROOT, "no certificate in it"))?;
        if !newest.roots.iter().any(|named| named.as_slice() == root.as_ref()) {
            return Err(damaged(ROOT, "the trust document does not name it"));
        }
        let issuer = read_issuer(&place, &root)?;
        let ack_path = place.join(ACK_KEY);
        let ack = SecretKey::from_pem(&read(&ack_path)?)
            .map_err(|source| PkiError::Key { path: ack_path, source })?;
        if newest.ack_key().ok() != Some(ack.public()) {
            return Err(damaged(ACK_KEY, "the trust document names another key"));
        }
        let server = read_server(&place.join(SERVER))?;
        Ok(Self { dir: dir.to_owned(), root, issuer, server, ack, trust })
    }

    /// Whether the folder holds a version after this one.
    pub fn is_outdated(&self) -> bool {
        version::place(&self.dir, self.version() + 1).exists()
    }

    /// The newest trust document's version.
    pub fn version(&self) -> u64 {
        self.newest().version
    }

    fn newest(&self) -> &TrustDocument {
        &self.trust.last().expect("a loaded folder holds at least one version").1
    }

    /// The folder of the version in force.
    fn place(&self) -> PathBuf {
        version::place(&self.dir, self.version())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether less than a third of the life of the server's certificate is left.
    pub fn is_server_due(&self, now: Timestamp) -> Result<bool, PkiError> {
        self.server_facts().map(|facts| facts.is_due(now))
    }

    /// Renews the server's certificate, with a new key, where it is due; before
    /// [`Self::device_tls`]. Says whether it did.
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
        self.server = write_server(&self.place(), names, &self.issuer, &self.root, now)?;
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

    /// Every acknowledgement key that was ever in force, the present one first: what they signed
    /// still counts.
    pub fn ack_keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in self.trust.iter().rev().filter_map(|(_, document)| document.ack_key().ok()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// All trust documents, oldest first.
    pub fn trust(&self) -> impl ExactSizeIterator<Item = &Envelope> {
        self.trust.iter().map(|(envelope, _)| envelope)
    }

    /// A certificate for a device, from `now` minus one hour for
    /// [`tenken_common::limit::DEVICE_CERTIFICATE_LIFE`].
    pub fn issue(&self, csr_der: &[u8], device: DeviceId, now: Timestamp) -> Result<Issued, PkiError> {
        let leaf = ca::make_device(csr_der, device, &self.issuer, now)?;
        let leaf_sha256 = Hash::of(&leaf);
        Ok(Issued { chain_der: vec![leaf.to_vec(), self.root.to_vec()], leaf_sha256 })
    }

    /// For the devices' listener: a client certificate under one of the roots that the newest
    /// trust document names is required.
    pub fn device_tls<C: Clock + 'static>(&self, clock: C) -> Result<ServerConfig, PkiError> {
        let roots: Vec<_> =
            self.newest().roots.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        tls::server(self.server.clone(), Some(&roots), clock).map_err(PkiError::Tls)
    }

    /// For enrollment, renewal, trust and time: no client certificate is asked for.
    pub fn open_tls<C: Clock + 'static>(&self, clock: C) -> Result<ServerConfig, PkiError> {
        tls::server(self.server.clone(), None, clock).map_err(PkiError::Tls)
    }

    fn server_facts(&self) -> Result<ServerFacts, PkiError> {
        let damaged = PkiError::Damaged { path: self.place().join(SERVER), what: "unreadable certificate" };
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
    let offline = dir.join(OFFLINE);
    files::create_private_dir(&offline)
        .map_err(|source| PkiError::Write { path: offline.clone(), source })?;
    let rk = SecretKey::generate().map_err(PkiError::Random)?;
    put(&offline.join(RK), &rk.to_pem())?;

    let (root_key, root) = ca::make_root(now)?;
    let ack = SecretKey::generate().map_err(PkiError::Random)?;
    let trust = TrustDocument::new(1, &[root.to_vec()], ack.public(), rk.public(), now);
    let trust = Envelope::seal(&trust, &rk).map_err(PkiError::TrustContent)?;
    let place = version::place(dir, 1);
    files::create_private_dir(&place).map_err(|source| PkiError::Write { path: place.clone(), source })?;
    version::fill(&place, &version::Content { root: &root, root_key: &root_key, ack: &ack, trust: &trust })?;
    let issuer = Issuer::from_ca_cert_der(&root, root_key).map_err(PkiError::Make)?;
    write_server(&place, names, &issuer, &root, now).map(drop)
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
