//! The one place that builds TLS configurations: TLS 1.3 only between agent and collector, ring
//! as the provider, pinned roots, client certificates.
//!
//! Holds: no configuration made here trusts a public certificate authority. The clock against
//! which certificates are judged is passed in. The three that judge less are for one question each:
//! [`client_without_dates`] for the signed time, [`client_unjudged`] for trust documents,
//! [`client_of_neighbour`] for whether a device beside this one answers.

use crate::{id::Hash, time::Clock};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::sync::Arc;

/// A configuration that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no root certificate was given")]
    NoRoots,
    #[error("a root certificate cannot be used")]
    Root(#[source] rustls::Error),
    #[error("the roots cannot be used to judge certificates")]
    Roots(#[source] rustls::server::VerifierBuilderError),
    #[error("the certificate and its key cannot be used")]
    Identity(#[source] rustls::Error),
    #[error("TLS 1.3 is not available")]
    Version(#[source] rustls::Error),
}

/// A certificate chain, leaf first, with its key (PKCS #8).
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// The cryptography that everything here uses.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes it the process's default too, for libraries that ask there; a second call changes nothing.
pub fn install_default() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

struct ClockTime<C>(C);

impl<C: Clock> TimeProvider for ClockTime<C> {
    fn current_time(&self) -> Option<UnixTime> {
        // Before 1970 there are no certificates; they are all not valid yet.
        Some(unix(u64::try_from(self.0.wall().as_secs()).unwrap_or(0)))
    }
}

impl<C> std::fmt::Debug for ClockTime<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClockTime").finish_non_exhaustive()
    }
}

/// For verifiers that do not ask.
#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(0))
    }
}

fn unix(secs: u64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs))
}

fn root_store(roots: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(TlsError::Root)?;
    }
    Ok(store)
}

/// An agent's: trusts `roots` only; shows `identity` where there is one.
pub fn client<C: Clock + 'static>(
    roots: &[CertificateDer<'static>],
    identity: Option<Identity>,
    clock: C,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Version)?
        .with_root_certificates(root_store(roots)?);
    match identity {
        Some(id) => builder.with_client_auth_cert(id.chain, id.key).map_err(TlsError::Identity),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// An agent's at enrollment: all it knows of the collector is its root's SHA-256, from the slot.
/// Dates are not judged: a new device's clock may be wrong, and what makes the reply believable is
/// the slot's proof in it, which covers this very request.
pub fn client_pinned_by_hash(root: Hash) -> Result<ClientConfig, TlsError> {
    client_with(Judgement::PinnedHash(root), Arc::new(NoTime))
}

/// An agent's for `/v1/time`: chain and pinned roots are judged, dates are not, since the answer is
/// what dates are to be judged by. It counts only with its nonce and the acknowledgement key's
/// signature, which no old certificate makes good.
pub fn client_without_dates(roots: &[CertificateDer<'static>]) -> Result<ClientConfig, TlsError> {
    client_with(Judgement::Undated(webpki(roots)?), Arc::new(NoTime))
}

/// An agent's for `/v1/trust`: no certificate is judged. A device that was away for years knows
/// neither the roots nor the date; nothing secret is asked, and each trust document vouches for
/// itself with the signature of the key that the version before it named.
pub fn client_unjudged() -> Result<ClientConfig, TlsError> {
    client_with(Judgement::None, Arc::new(NoTime))
}

/// For looking at a device beside this one: TLS 1.2 too, since it is old, and no certificate is
/// judged. Nothing is sent there but the question whether it answers.
pub fn client_of_neighbour() -> Result<ClientConfig, TlsError> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    client_with_versions(Judgement::None, Arc::new(NoTime), &versions)
}

fn client_with(judgement: Judgement, time: Arc<dyn TimeProvider>) -> Result<ClientConfig, TlsError> {
    client_with_versions(judgement, time, &[&rustls::version::TLS13])
}

fn client_with_versions(
    judgement: Judgement,
    time: Arc<dyn TimeProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(versions)
        .map_err(TlsError::Version)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Judge { judgement, provider: provider() }))
        .with_no_client_auth())
}

fn webpki(roots: &[CertificateDer<'static>]) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(root_store(roots)?), provider())
        .build()
        .map_err(TlsError::Roots)
}

/// What is asked of a server's certificate, where it is not the usual.
#[derive(Debug)]
enum Judgement {
    /// That certificate of the presented chain is the root whose hash is pinned.
    PinnedHash(Hash),
    /// These roots, whatever the date.
    Undated(Arc<WebPkiServerVerifier>),
    None,
}

/// Judges certificates as told, and always that the peer holds the key of what it shows.
#[derive(Debug)]
struct Judge {
    judgement: Judgement,
    provider: Arc<CryptoProvider>,
}

/// Verifies at a time at which the certificate is valid: the one that the refusal names.
fn verify_undated(
    verifier: &WebPkiServerVerifier,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    server_name: &ServerName<'_>,
) -> Result<ServerCertVerified, rustls::Error> {
    let at = |now| verifier.verify_server_cert(end_entity, intermediates, server_name, &[], now);
    match at(unix(0)) {
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => at(not_before),
        other => other,
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.judgement {
            Judgement::None => Ok(ServerCertVerified::assertion()),
            Judgement::Undated(verifier) => verify_undated(verifier, end_entity, intermediates, server_name),
            Judgement::PinnedHash(pinned) => {
                let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
                let root = intermediates.iter().find(|c| Hash::of(c) == *pinned).ok_or_else(unknown)?;
                let verifier = webpki(&[root.clone().into_owned()]).map_err(|_| unknown())?;
                verify_undated(&verifier, end_entity, intermediates, server_name)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Reached from `client_of_neighbour` only: no other configuration speaks TLS 1.2.
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The collector's: with `client_roots`, a client certificate under them is required.
pub fn server<C: Clock + 'static>(
    identity: Identity,
    client_roots: Option<&[CertificateDer<'static>]>,
    clock: C,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Version)?;
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let store = Arc::new(root_store(roots)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(store, provider())
                .build()
                .map_err(TlsError::Roots)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(identity.chain, identity.key).map_err(TlsError::Identity)
}
