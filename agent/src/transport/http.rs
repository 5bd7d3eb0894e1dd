//! HTTPS to the collector: TLS 1.3, pinned roots, a client certificate, bounded in time and size.
//!
//! Holds: no redirect is followed, no public certificate authority is trusted, no proxy is used
//! unless configured, an answer over the limit is cut off. What an answer means is not known here.

use std::time::Duration;
use tenken_common::{ack::NONCE_HEADER, id::Nonce, limit};

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
    #[error("the collector gave no answer in time")]
    TimedOut,
    #[error("the connection broke in the middle of the answer")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than {max} bytes", max = limit::MESSAGE_BYTES_MAX)]
    TooLarge,
}

/// A client for one collector address.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    base: String,
}

impl HttpTransport {
    /// `base` is `https://host:port`; `timeout` bounds one whole request.
    pub fn new(base: &str, tls: rustls::ClientConfig, timeout: Duration) -> Result<Self, TransportError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(TransportError::SetUp)?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    /// Posts `body`; `nonce` is what the answer must echo to be believed about time.
    pub async fn post(&self, path: &str, body: Vec<u8>, nonce: &Nonce) -> Result<Answer, TransportError> {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header(NONCE_HEADER, nonce.to_string())
            .header("content-type", "application/octet-stream")
            .body(body);
        let mut response = request.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(TransportError::Broken)? {
            if body.len() + chunk.len() > limit::MESSAGE_BYTES_MAX {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body })
    }
}

fn classify(e: reqwest::Error) -> TransportError {
    if e.is_timeout() { TransportError::TimedOut } else { TransportError::Unreachable(e.without_url()) }
}
