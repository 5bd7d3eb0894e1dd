//! How a device that was away finds back: trust documents, signed time, and a new certificate. All
//! of it is served without a client certificate, since the device's may have ended long ago.
//!
//! Holds: trust documents and time are public. A certificate is given for a request that the
//! device's own key signed over a fresh challenge, never to a revoked device, and is in the journal
//! before the device has it. The same key asked for again within the challenge's life gets the same
//! certificate, so a lost answer costs nothing; the old certificates stay good until their date.

use super::{
    IngestState, IssueError, IssuedCertificate,
    challenge::{ChallengeError, fresh_challenge},
    commit::CommitError,
    router::{bare, binary, later, nonce_of, read_body, refused, signed},
    verify::Refusal,
};
use crate::store::{StoreError, model::DeviceStatus};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::{get, post},
};
use serde_bytes::ByteBuf;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tenken_collector_core::stream::Entry;
use tenken_common::{
    ack::{RejectReason, SignedTime},
    codec,
    id::{DeviceId, Hash, Nonce},
    limit,
    renewal::{RenewReply, RenewRequest},
    time::{Monotonic, Timestamp},
    trust::TrustChain,
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// New certificates for one device within a challenge's life: one that crashes in between may come
/// with another key, but nobody fills the journal.
const RENEWALS_MAX: usize = 4;

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    #[error("the request is not believed: {}", .0.as_str())]
    Request(RejectReason),
    #[error("the request is not of this moment")]
    Challenge(#[source] ChallengeError),
    #[error("the certificate request was refused")]
    Certificate(#[source] IssueError),
    #[error("the device had {RENEWALS_MAX} certificates within minutes")]
    TooMany,
    #[error("not now")]
    Later(#[source] CommitError),
}

/// The routes of this module.
pub(super) fn routes() -> Router<IngestState> {
    Router::new()
        .route("/v1/trust", get(trust))
        .route("/v1/time", get(time))
        .route("/v1/renew", post(renew_route))
}

/// The versions after the one that the device has, oldest first.
async fn trust(State(state): State<IngestState>, uri: Uri) -> Response {
    let Some(after) = after(uri.query()) else { return bare(StatusCode::BAD_REQUEST) };
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    let documents = state.trust.iter().skip(after).take(limit::TRUST_DOCUMENTS_MAX);
    let chain = TrustChain { documents: documents.map(|d| ByteBuf::from(d.clone())).collect() };
    match codec::to_vec(&chain) {
        Ok(bytes) => binary(StatusCode::OK, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            bare(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// `after=N`; 0 where nothing is said.
fn after(query: Option<&str>) -> Option<u64> {
    match query {
        None | Some("") => Some(0),
        Some(query) => query.strip_prefix("after=")?.parse().ok(),
    }
}

async fn time(State(state): State<IngestState>, headers: HeaderMap) -> Response {
    let time = SignedTime { server: state.clock.wall(), echo_nonce: nonce_of(&headers) };
    signed(&state, StatusCode::OK, &time)
}

async fn renew_route(State(state): State<IngestState>, request: Request) -> Response {
    let nonce = nonce_of(request.headers());
    let bytes = match read_body(request, limit::MESSAGE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refused(&state, refusal, nonce),
    };
    let error = match renew(&state, &bytes).await {
        Ok(reply) => return signed(&state, StatusCode::OK, &reply),
        Err(error) => error,
    };
    tracing::info!(%error, "a renewal was refused");
    match error {
        RenewError::Request(reason) => refused(&state, Refusal::bare(reason), nonce),
        RenewError::Challenge(error) => refused(&state, Refusal::bare(error.reason()), nonce),
        RenewError::Certificate(_) => refused(&state, Refusal::bare(RejectReason::Malformed), nonce),
        RenewError::TooMany => later(&CommitError::Overloaded),
        RenewError::Later(error) => later(&error),
    }
}

/// Answers a renewal.
pub async fn renew(state: &IngestState, bytes: &[u8]) -> Result<RenewReply, RenewError> {
    let (known, request) = state
        .devices
        .current()
        .open::<RenewRequest>(bytes, limit::MESSAGE_BYTES_MAX)
        .map_err(RenewError::Request)?;
    if known.id != request.device {
        return Err(RenewError::Request(RejectReason::WrongDevice));
    }
    if known.status == DeviceStatus::Revoked {
        return Err(RenewError::Request(RejectReason::Revoked));
    }
    let now = state.clock.wall();
    fresh_challenge(&request.challenge, &state.ack_keys, now).map_err(RenewError::Challenge)?;
    let key = key_of(&request.csr).ok_or(RenewError::Request(RejectReason::Malformed))?;

    let place = state.renewals.of(known.id, state.clock.mono());
    let mut recent = place.lock().await;
    recent.retain(|one| one.is_fresh(state.clock.mono()));
    if let Some(one) = recent.iter().find(|one| one.key == key) {
        return Ok(reply(known.id, &one.certificate, now, request.nonce));
    }
    if recent.len() >= RENEWALS_MAX {
        return Err(RenewError::TooMany);
    }
    let certificate = state.issuer.issue(&request.csr, known.id, now).map_err(RenewError::Certificate)?;
    let entry = Entry::CertificateIssued { device: known.id, certificate: certificate.leaf_sha256 };
    state.committer.journal(entry).await.map_err(RenewError::Later)?;
    // The device connects with it as soon as it has the reply; the directory must know it by then.
    state.devices.refresh(&state.store).await.map_err(unreadable)?;
    let reply = reply(known.id, &certificate, now, request.nonce);
    recent.push(Recent { key, at: state.clock.mono(), certificate });
    Ok(reply)
}

fn reply(device: DeviceId, certificate: &IssuedCertificate, now: Timestamp, nonce: Nonce) -> RenewReply {
    RenewReply {
        device,
        certificates: certificate.chain_der.iter().map(|der| ByteBuf::from(der.clone())).collect(),
        server: now,
        echo_nonce: nonce,
    }
}

/// Hash of the public key that a certificate is asked for.
fn key_of(csr: &[u8]) -> Option<Hash> {
    let (_, request) = X509CertificationRequest::from_der(csr).ok()?;
    Some(Hash::of(request.certification_request_info.subject_pki.raw))
}

fn unreadable(error: StoreError) -> RenewError {
    RenewError::Later(CommitError::Store(Arc::new(error)))
}

/// Certificates of the last minutes, by device; one device's requests wait for each other.
#[derive(Debug, Default)]
pub struct Renewals(Mutex<BTreeMap<DeviceId, Arc<tokio::sync::Mutex<Vec<Recent>>>>>);

#[derive(Debug)]
struct Recent {
    key: Hash,
    at: Monotonic,
    certificate: IssuedCertificate,
}

impl Recent {
    fn is_fresh(&self, now: Monotonic) -> bool {
        now.saturating_since(self.at) <= limit::CHALLENGE_LIFE
    }
}

impl Renewals {
    fn of(&self, device: DeviceId, now: Monotonic) -> Arc<tokio::sync::Mutex<Vec<Recent>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody works on and holds nothing fresh goes.
        all.retain(|_, place| {
            Arc::strong_count(place) > 1
                || place.try_lock().is_ok_and(|recent| recent.iter().any(|one| one.is_fresh(now)))
        });
        all.entry(device).or_default().clone()
    }
}
