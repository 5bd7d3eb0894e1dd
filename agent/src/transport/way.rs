//! The way to the collector as this device is set up: directly, through a proxy, or through one
//! that opens TLS to inspect it.
//!
//! Holds: an inspecting proxy's authority is trusted for transport only; no client certificate is
//! shown to it, and everything goes to the collector's open listener, where the device proves
//! itself by what it signs. Nothing that comes back is believed for having come over TLS.

use super::http::{HttpTransport, TransportError};
use crate::config::PushSection;
use reqwest::Proxy;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{path::PathBuf, time::Duration};
use tenken_common::{
    config::ConfigError,
    id::Hash,
    time::Clock,
    tls::{self, TlsError},
};

/// A way that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    #[error("the proxy's password")]
    Password(#[source] ConfigError),
    #[error("the proxy's address cannot be used")]
    Proxy(#[source] reqwest::Error),
    #[error("cannot read the proxy's certificate authority {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
    #[error(
        "this identity does not say where the collector is reached without a client certificate; the device must be enrolled anew for what needs that"
    )]
    NoOpenUrl,
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// The collector's two addresses, as they were granted.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'a> {
    /// Where a client certificate is shown.
    pub push: &'a str,
    /// Where none is asked for.
    pub open: Option<&'a str>,
}

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Way {
    timeout: Duration,
    proxy: Option<Proxy>,
    /// The inspecting proxy's authority.
    authority: Vec<CertificateDer<'static>>,
}

impl Way {
    /// Reads the files that the configuration names.
    pub fn new(push: &PushSection) -> Result<Self, WayError> {
        let mut way = Self { timeout: push.timeout.0, proxy: None, authority: Vec::new() };
        let Some(section) = &push.proxy else { return Ok(way) };
        if let Some(url) = &section.url {
            let proxy = Proxy::all(url).map_err(WayError::Proxy)?;
            way.proxy = Some(match (&section.username, &section.password_file) {
                (Some(name), Some(file)) => proxy.basic_auth(name, &file.read().map_err(WayError::Password)?),
                _ => proxy,
            });
        }
        if let Some(path) = &section.ca_file {
            let text = std::fs::read(path).map_err(|source| WayError::Read { path: path.clone(), source })?;
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
            way.authority = read.unwrap_or_default();
            if way.authority.is_empty() {
                return Err(WayError::NoCertificate { path: path.clone() });
            }
        }
        Ok(way)
    }

    /// Whether somebody on the way opens TLS, so that no client certificate can be shown.
    pub fn is_inspected(&self) -> bool {
        !self.authority.is_empty()
    }

    /// For batches and resume.
    pub fn delivery(
        &self,
        to: Addresses<'_>,
        roots: &[CertificateDer<'static>],
        identity: &tls::Identity,
        clock: impl Clock + 'static,
    ) -> Result<HttpTransport, WayError> {
        if self.is_inspected() {
            return self.open(to, roots, clock);
        }
        let tls = tls::client(roots, Some(identity.clone()), clock).map_err(WayError::Tls)?;
        self.transport(to.push, tls)
    }

    /// For what needs no client certificate.
    pub fn open(
        &self,
        to: Addresses<'_>,
        roots: &[CertificateDer<'static>],
        clock: impl Clock + 'static,
    ) -> Result<HttpTransport, WayError> {
        let tls = tls::client(&self.trusted(roots), None, clock).map_err(WayError::Tls)?;
        self.transport(to.open.ok_or(WayError::NoOpenUrl)?, tls)
    }

    /// For signed time, whatever the date.
    pub fn undated(
        &self,
        to: Addresses<'_>,
        roots: &[CertificateDer<'static>],
    ) -> Result<HttpTransport, WayError> {
        let tls = tls::client_without_dates(&self.trusted(roots)).map_err(WayError::Tls)?;
        self.transport(to.open.ok_or(WayError::NoOpenUrl)?, tls)
    }

    /// For trust documents, which vouch for themselves.
    pub fn unjudged(&self, to: Addresses<'_>) -> Result<HttpTransport, WayError> {
        let tls = tls::client_unjudged().map_err(WayError::Tls)?;
        self.transport(to.open.ok_or(WayError::NoOpenUrl)?, tls)
    }

    /// For an enrollment: the root is known by its hash only.
    pub fn enrollment(&self, url: &str, root: Hash) -> Result<HttpTransport, WayError> {
        let tls = if self.is_inspected() {
            tls::client_without_dates(&self.authority)
        } else {
            tls::client_pinned_by_hash(root)
        };
        self.transport(url, tls.map_err(WayError::Tls)?)
    }

    /// A proxy may let some connections through unopened.
    fn trusted(&self, roots: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
        self.authority.iter().chain(roots).cloned().collect()
    }

    fn transport(&self, base: &str, tls: rustls::ClientConfig) -> Result<HttpTransport, WayError> {
        Ok(HttpTransport::new(base, tls, self.timeout, self.proxy.clone())?)
    }
}
