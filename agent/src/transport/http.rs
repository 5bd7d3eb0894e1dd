//! HTTPS to the collector: TLS 1.3, a client certificate, bounded in time and size.
//!
//! Holds: no redirect is followed, no public certificate authority is trusted, no proxy is used
//! unless configured, an answer over the limit is cut off. What an answer means is not known here;
//! why none came is told apart as far as it leads to different steps.

use reqwest::Proxy;
use rustls::{AlertDescription, CertificateError};
use std::{error::Error, time::Duration};
use tenken_common::{ack::NONCE_HEADER, id::Nonce, limit};

/// Until there is a connection with TLS: a network that swallows packets must not hold an alarm up
/// for as long as a whole request may take.
const CONNECT_MAX: Duration = Duration::from_secs(4);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("the HTTPS client cannot be set up")]
    SetUp(#[source] reqwest::Error),
    #[error("the collector cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the proxy cannot be reached")]
    ProxyUnreachable(#[source] reqwest::Error),
    #[error("the proxy asks for a user name and password, or refuses those that are configured (HTTP 407)")]
    ProxyRefused,
    #[error("the proxy gives no connection to the collector")]
    ProxyFailed(#[source] reqwest::Error),
    /// The certificate that the server showed is not trusted; for its dates, or otherwise.
    #[error("the server's certificate is not trusted: {why}")]
    ServerCertificate { dates: bool, why: rustls::Error },
    /// The server does not take this device's certificate.
    #[error("the collector does not take this device's certificate ({0:?})")]
    ClientCertificate(AlertDescription),
    #[error("the collector gave no answer in time")]
    TimedOut,
    #[error("the connection broke in the middle of the exchange")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than {max} bytes", max = limit::MESSAGE_BYTES_MAX)]
    TooLarge,
}

/// A client for one address.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    base: String,
}

impl HttpTransport {
    /// `base` is `https://host:port`; `timeout` bounds one whole request.
    pub fn new(
        base: &str,
        tls: rustls::ClientConfig,
        timeout: Duration,
        proxy: Option<Proxy>,
    ) -> Result<Self, TransportError> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT_MAX))
            .pool_max_idle_per_host(1);
        let builder = match proxy {
            Some(proxy) => builder.proxy(proxy),
            None => builder,
        };
        let client = builder.build().map_err(TransportError::SetUp)?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    /// Posts `body`; `nonce` is what the answer must echo to be believed about time.
    pub async fn post(&self, path: &str, body: Vec<u8>, nonce: &Nonce) -> Result<Answer, TransportError> {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/octet-stream")
            .body(body);
        exchange(request, nonce).await
    }

    pub async fn get(&self, path: &str, nonce: &Nonce) -> Result<Answer, TransportError> {
        exchange(self.client.get(format!("{}{path}", self.base)), nonce).await
    }
}

async fn exchange(request: reqwest::RequestBuilder, nonce: &Nonce) -> Result<Answer, TransportError> {
    let request = request.header(NONCE_HEADER, nonce.to_string());
    let mut response = request.send().await.map_err(classify)?;
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        if body.len() + chunk.len() > limit::MESSAGE_BYTES_MAX {
            return Err(TransportError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after, body })
}

fn classify(e: reqwest::Error) -> TransportError {
    let e = e.without_url();
    match tls_error(&e) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let dates = matches!(
                why,
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            );
            let why = rustls::Error::InvalidCertificate(why.clone());
            return TransportError::ServerCertificate { dates, why };
        }
        Some(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
            return TransportError::ClientCertificate(*alert);
        }
        Some(_) | None => {}
    }
    if e.is_timeout() {
        return TransportError::TimedOut;
    }
    // The library names a refusing proxy in its text only; a test with a real one holds it to that.
    let texts: Vec<String> = chain(&e).map(ToString::to_string).collect();
    let says = |text: &str| texts.iter().any(|t| t.contains(text));
    if says("proxy authorization required") {
        TransportError::ProxyRefused
    } else if says("tunnel error: failed to create underlying connection") {
        TransportError::ProxyUnreachable(e)
    } else if says("tunnel error") {
        TransportError::ProxyFailed(e)
    } else if e.is_connect() {
        TransportError::Unreachable(e)
    } else {
        TransportError::Broken(e)
    }
}

/// Alerts by which a server says that it does not take a client certificate.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

fn chain<'a>(e: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(e), |e: &&'a (dyn Error + 'static)| {
        let e: &'a (dyn Error + 'static) = *e;
        // An I/O error keeps what it wraps to itself and shows only that one's source.
        match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => e.source(),
        }
    })
}

fn tls_error(e: &reqwest::Error) -> Option<&rustls::Error> {
    chain(e).find_map(|e| e.downcast_ref::<rustls::Error>())
}
