//! The one place that builds TLS configurations: TLS 1.3 only between agent and collector, ring
//! as the provider, pinned roots, client certificates.
//!
//! Holds: no configuration made here trusts a public certificate authority. The clock against
//! which certificates are judged is passed in.

use crate::{id::Hash, time::Clock};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
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
    #[error("the client certificates' roots cannot be used")]
    ClientRoots(#[source] rustls::server::VerifierBuilderError),
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

#[derive(Debug)]
struct ClockTime<C>(C);

impl<C: Clock + std::fmt::Debug> TimeProvider for ClockTime<C> {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from(self.0.wall().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)))
    }
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
pub fn client<C: Clock + std::fmt::Debug + 'static>(
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
pub fn client_pinned_by_hash<C: Clock + std::fmt::Debug + 'static>(
    root: Hash,
    clock: C,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Version)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedByHash { root, provider: provider() }))
        .with_no_client_auth())
}

/// Takes that certificate of the presented chain for the root whose hash is pinned, and then
/// verifies as usual.
#[derive(Debug)]
struct PinnedByHash {
    root: Hash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedByHash {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let root = intermediates.iter().find(|c| Hash::of(c) == self.root).ok_or_else(unknown)?;
        let store = root_store(&[root.clone().into_owned()]).map_err(|_| unknown())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), self.provider.clone())
            .build()
            .map_err(|_| unknown())?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13))
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
pub fn server<C: Clock + std::fmt::Debug + 'static>(
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
                .map_err(TlsError::ClientRoots)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(identity.chain, identity.key).map_err(TlsError::Identity)
}
