//! The HTTP routes that devices use.
//!
//! Holds: a body is never read past its cap. Content codings are refused, since bodies are
//! compressed only inside what is signed. What a device may act upon is signed; everything else
//! is a bare status, which means "again later".

use super::{
    IngestState, PeerIdentity,
    commit::CommitError,
    enroll::{RedeemError, enroll},
    rejoin::{RejoinError, rejoin},
    renewal,
    resume::{resume, verify_resume},
    verify::{Refusal, verify},
};
use crate::store::{Admission, Verdict};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;
use tenken_common::{
    ack::{Ack, NONCE_HEADER, Reject, RejectReason},
    batch::Link,
    envelope::{Envelope, Payload},
    id::Nonce,
    limit,
};

/// What the listener with client certificates serves.
pub fn device_router(state: IngestState) -> Router {
    Router::new().route("/v1/batch", post(batch)).route("/v1/resume", post(resume_route)).with_state(state)
}

/// What is served to anybody who can connect: nothing here tells more than public documents and
/// what the asker proved a right to. Batches come here too, from behind a proxy that inspects TLS.
pub fn enroll_router(state: IngestState) -> Router {
    Router::new()
        .route("/v1/enroll", post(enroll_route))
        .merge(renewal::routes())
        // For devices behind a proxy that inspects: the envelope proves the device.
        .route("/v1/batch", post(batch))
        .route("/v1/resume", post(resume_route))
        .route("/v1/rejoin", post(rejoin_route))
        .with_state(state)
}

async fn batch(
    State(state): State<IngestState>,
    peer: Option<Extension<PeerIdentity>>,
    request: Request,
) -> Response {
    let nonce = nonce_of(request.headers());
    match take_batch(&state, peer.map(|p| p.0).unwrap_or_default(), request, nonce).await {
        Ok(response) => response,
        Err(refusal) => refused(&state, refusal, nonce),
    }
}

async fn take_batch(
    state: &IngestState,
    peer: PeerIdentity,
    request: Request,
    nonce: Nonce,
) -> Result<Response, Refusal> {
    let bytes = read_body(request, limit::ENVELOPE_BYTES_MAX).await?;
    let whole = state.clock.mono();
    let verified = verify(&bytes, &state.devices.current(), peer)?;
    let link = verified.link();
    let admission = match state.committer.admit(verified, bytes).await {
        Ok(admission) => admission,
        Err(error) => return Ok(later(&error)),
    };
    let refuse = |reason| Err(Refusal { reason, link: Some(Box::new(link)) });
    match admission.verdict {
        Verdict::New { clone_suspected } => {
            if clone_suspected {
                tracing::warn!(device = %link.device, "an earlier boot sends again: the device may have been cloned");
            }
            let answer = acknowledge(state, &link, &admission, nonce);
            state.observer.acknowledged(state.clock.mono().saturating_since(whole));
            Ok(answer)
        }
        Verdict::Duplicate => {
            state.observer.duplicate();
            Ok(acknowledge(state, &link, &admission, nonce))
        }
        Verdict::Hole { .. } => {
            state.observer.refused(RejectReason::Hole);
            Ok(acknowledge(state, &link, &admission, nonce))
        }
        Verdict::Fork => {
            tracing::error!(device = %link.device, "two chains with one identity: the device is in quarantine");
            refuse(RejectReason::Fork)
        }
        Verdict::StaleEpoch { clone_suspected } => {
            if clone_suspected {
                tracing::warn!(device = %link.device, "a closed epoch goes on: the device may have been cloned");
            }
            refuse(RejectReason::StaleEpoch)
        }
        // This collector may have been restored from a backup: no reason to drop anything.
        Verdict::EpochAhead => Ok(bare(StatusCode::CONFLICT)),
        Verdict::Quarantined => refuse(RejectReason::Quarantined),
        Verdict::Unexplained => {
            tracing::error!(device = %link.device, "what a device was asked for does not come: it is in quarantine");
            refuse(RejectReason::Quarantined)
        }
    }
}

fn acknowledge(state: &IngestState, link: &Link, admission: &Admission, nonce: Nonce) -> Response {
    let need_seq = match admission.verdict {
        Verdict::Hole { need } => Some(need),
        Verdict::New { .. }
        | Verdict::Duplicate
        | Verdict::Fork
        | Verdict::StaleEpoch { .. }
        | Verdict::EpochAhead
        | Verdict::Quarantined
        | Verdict::Unexplained => None,
    };
    let ack = Ack {
        device: link.device,
        epoch: link.epoch,
        acked_seq: admission.committed_seq,
        hash: admission.committed_hash,
        server: state.clock.wall(),
        echo_nonce: nonce,
        position: admission.position,
        log_root: admission.root,
        retry_after_s: u32::try_from(state.committer.retry_after().as_secs()).unwrap_or(u32::MAX),
        need_seq,
    };
    signed(state, StatusCode::OK, &ack)
}

async fn resume_route(
    State(state): State<IngestState>,
    peer: Option<Extension<PeerIdentity>>,
    request: Request,
) -> Response {
    let nonce = nonce_of(request.headers());
    let peer = peer.map(|p| p.0).unwrap_or_default();
    let bytes = match read_body(request, limit::MESSAGE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refused(&state, refusal, nonce),
    };
    let fresh = (&*state.ack_keys, state.clock.wall());
    let asked = match verify_resume(&bytes, &state.devices.current(), peer, fresh) {
        Ok(asked) => asked,
        Err(refusal) => return refused(&state, refusal, nonce),
    };
    match resume(&state, asked).await {
        Ok(Ok(reply)) => signed(&state, StatusCode::OK, &reply),
        Ok(Err(reason)) => refused(&state, Refusal::bare(reason), nonce),
        Err(error) => later(&error),
    }
}

async fn rejoin_route(State(state): State<IngestState>, request: Request) -> Response {
    let bytes = match read_body(request, limit::MESSAGE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refused(&state, refusal, Nonce([0; 16])),
    };
    let error = match rejoin(&state, &bytes).await {
        Ok(grant) => return binary(StatusCode::OK, grant),
        Err(error) => error,
    };
    if let Some(reason) = error.reason() {
        state.observer.refused(reason);
    }
    tracing::info!(%error, "a rejoin was refused");
    match error {
        RejoinError::Later(error) => later(&error),
        RejoinError::Content(_) | RejoinError::Key(_) | RejoinError::Certificate(_) => {
            bare(StatusCode::BAD_REQUEST)
        }
        RejoinError::Signature(_) | RejoinError::Challenge(_) => bare(StatusCode::UNAUTHORIZED),
        RejoinError::UnknownDevice => bare(StatusCode::NOT_FOUND),
        RejoinError::Revoked => bare(StatusCode::FORBIDDEN),
        RejoinError::NotApproved => bare(StatusCode::CONFLICT),
    }
}

async fn enroll_route(State(state): State<IngestState>, request: Request) -> Response {
    let bytes = match read_body(request, limit::MESSAGE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refused(&state, refusal, Nonce([0; 16])),
    };
    let error = match enroll(&state, &bytes).await {
        Ok(reply) => return binary(StatusCode::OK, reply),
        Err(error) => error,
    };
    if let Some(reason) = error.reason() {
        state.observer.refused(reason);
    }
    tracing::info!(%error, "an enrollment was refused");
    match error {
        RedeemError::Later(error) => later(&error),
        RedeemError::Request(_) | RedeemError::Certificate(_) => bare(StatusCode::BAD_REQUEST),
        RedeemError::UnknownSlot => bare(StatusCode::NOT_FOUND),
        RedeemError::Expired | RedeemError::Used => bare(StatusCode::GONE),
        RedeemError::Revoked => bare(StatusCode::FORBIDDEN),
        RedeemError::Random(_) | RedeemError::Encode(_) => bare(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The nonce to echo; zero where the asker sent none, which no device accepts.
pub(super) fn nonce_of(headers: &HeaderMap) -> Nonce {
    let text = headers.get(NONCE_HEADER).and_then(|v| v.to_str().ok());
    text.and_then(|t| t.parse().ok()).unwrap_or(Nonce([0; 16]))
}

/// Reads at most `max` bytes.
pub(super) async fn read_body(request: Request, max: usize) -> Result<Vec<u8>, Refusal> {
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::bare(RejectReason::ContentEncoding));
    }
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > max as u64) {
        return Err(Refusal::bare(RejectReason::TooLarge));
    }
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::bare(RejectReason::TooLarge)),
        Err(_) => Err(Refusal::bare(RejectReason::Malformed)),
    }
}

/// A refusal: signed where a good signature vouches for the link it names.
pub(super) fn refused(state: &IngestState, refusal: Refusal, nonce: Nonce) -> Response {
    state.observer.refused(refusal.reason);
    let status = status_of(refusal.reason);
    let Some(link) = refusal.link else { return bare(status) };
    let reject = Reject {
        device: link.device,
        epoch: link.epoch,
        seq: link.seq,
        hash: link.hash,
        reason: refusal.reason.code(),
        server: state.clock.wall(),
        echo_nonce: nonce,
    };
    signed(state, status, &reject)
}

fn status_of(reason: RejectReason) -> StatusCode {
    match reason {
        RejectReason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RejectReason::Malformed => StatusCode::BAD_REQUEST,
        RejectReason::UnknownKey | RejectReason::BadSignature => StatusCode::UNAUTHORIZED,
        RejectReason::BadContent => StatusCode::UNPROCESSABLE_ENTITY,
        RejectReason::WrongDevice
        | RejectReason::WrongIdentity
        | RejectReason::Revoked
        | RejectReason::Unenrolled => StatusCode::FORBIDDEN,
        RejectReason::StaleEpoch | RejectReason::Fork | RejectReason::Quarantined | RejectReason::Hole => {
            StatusCode::CONFLICT
        }
        RejectReason::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    }
}

pub(super) fn later(error: &CommitError) -> Response {
    let status = match error {
        CommitError::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        CommitError::Store(store) if store.is_retryable() => StatusCode::TOO_MANY_REQUESTS,
        CommitError::Stopped | CommitError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = bare(status);
    response.headers_mut().insert(header::RETRY_AFTER, seconds(error.retry_after()));
    response
}

fn seconds(d: Duration) -> HeaderValue {
    HeaderValue::from(d.as_secs())
}

pub(super) fn signed<T: Payload>(state: &IngestState, status: StatusCode, value: &T) -> Response {
    match Envelope::seal(value, &state.ack_key) {
        Ok(envelope) => binary(status, envelope.to_bytes()),
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            bare(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

pub(super) fn binary(status: StatusCode, bytes: Vec<u8>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (status, kind, Body::from(bytes)).into_response()
}

pub(super) fn bare(status: StatusCode) -> Response {
    status.into_response()
}
