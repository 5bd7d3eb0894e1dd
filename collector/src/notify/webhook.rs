//! Signed JSON to a URL.
//!
//! ```text
//! Tenken-Idempotency-Id: <notice id>                 the same on every repeat
//! Tenken-Timestamp:      <seconds since 1970>        of this attempt
//! Tenken-Signature:      sha256=<hex HMAC-SHA256(secret, timestamp "." body)>
//! ```
//!
//! Holds: redirects are not followed: the signed notice goes where the configuration says, or
//! nowhere.

use super::{DeliveryError, OutletError, config::WebhookConfig, text};
use crate::http;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Certificate, Client, Response, StatusCode, header};
use serde::Serialize;
use sha2::Sha256;
use std::time::Duration;
use tenken_collector_core::desk::notice::{Bilingual, Notice};
use tenken_common::{
    id::{Hash, hex},
    message::Language,
    time::Timestamp,
};

pub const IDEMPOTENCY_HEADER: &str = "tenken-idempotency-id";
pub const TIMESTAMP_HEADER: &str = "tenken-timestamp";
pub const SIGNATURE_HEADER: &str = "tenken-signature";

pub struct WebhookOutlet {
    client: Client,
    url: String,
    secret: String,
    language: Language,
}

impl std::fmt::Debug for WebhookOutlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOutlet").finish_non_exhaustive()
    }
}

/// What the receiver reads. Fields are added, never changed.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    id: Hash,
    incident: String,
    reason: &'static str,
    severity: &'static str,
    hospital: &'a str,
    device: Option<String>,
    label: &'a str,
    rule: &'a str,
    subject: &'a str,
    first_seen: String,
    decided_at: String,
    finding: &'a Bilingual,
    action: &'a Bilingual,
    /// The notice as a person reads it, in the outlet's language.
    title: String,
    text: String,
}

impl WebhookOutlet {
    pub fn new(config: &WebhookConfig) -> Result<Self, OutletError> {
        let broken = |source| OutletError::Webhook { outlet: config.name.clone(), source };
        let mut builder = http::client(config.timeout.0);
        if let Some(path) = &config.ca_file {
            let authorities =
                Certificate::from_pem_bundle(&super::ca(&config.name, path)?).map_err(broken)?;
            builder = builder.tls_certs_only(authorities);
        }
        Ok(Self {
            client: builder.build().map_err(broken)?,
            url: config.url.clone(),
            secret: super::secret(&config.name, &config.secret_file)?,
            language: config.language,
        })
    }

    pub async fn deliver(&self, notice: &Notice, now: Timestamp) -> Result<(), DeliveryError> {
        let body = self.body(notice)?;
        let timestamp = now.as_secs().to_string();
        let signature = format!("sha256={}", sign(self.secret.as_bytes(), &timestamp, &body));
        let sent = self
            .client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_HEADER, notice.id().to_string())
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(judge(response).await),
            Err(error) => Err(DeliveryError::Unreachable(Box::new(error.without_url()))),
        }
    }

    fn body(&self, notice: &Notice) -> Result<Vec<u8>, DeliveryError> {
        let rendered = text::render(notice, self.language);
        let payload = Payload {
            id: notice.id(),
            incident: notice.incident.to_string(),
            reason: notice.reason.as_str(),
            severity: notice.severity.as_str(),
            hospital: notice.hospital.as_str(),
            device: notice.device.map(|d| d.to_string()),
            label: notice.label.as_str(),
            rule: notice.rule.as_str(),
            subject: notice.subject.as_str(),
            first_seen: notice.first_seen.to_string(),
            decided_at: notice.decided_at.to_string(),
            finding: &notice.finding,
            action: &notice.action,
            title: rendered.subject,
            text: rendered.body,
        };
        serde_json::to_vec(&payload).map_err(|e| DeliveryError::Unusable(Box::new(e)))
    }
}

/// Hexadecimal HMAC-SHA256 over `timestamp "." body`.
pub fn sign(secret: &[u8], timestamp: &str, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

/// Client errors that lie in the receiver's state or set-up: people mend that, and the notice
/// still counts.
const WORTH_ANOTHER_TRY: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
];

/// What an answer that is no success means.
pub(crate) async fn judge(mut response: Response) -> DeliveryError {
    let code = response.status();
    let status = code.as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .map(Duration::from_secs);
    // The first piece is enough for a person, and bounded.
    let said = response.chunk().await.ok().flatten().unwrap_or_default();
    let text = text::one_line(&String::from_utf8_lossy(&said), text::ERROR_CHARS_MAX);
    if code.is_server_error() || WORTH_ANOTHER_TRY.contains(&code) {
        DeliveryError::Deferred { status, text, retry_after }
    } else {
        DeliveryError::Refused { status, text }
    }
}

#[cfg(test)]
mod tests;
