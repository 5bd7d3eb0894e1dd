//! `/metrics` and `/healthz`: what Prometheus and a person on call read of the collector.
//!
//! Holds: what the collector counts itself stands beside a [`Snapshot`] of what it knows, which
//! is replaced as a whole. Labels take their values from enums, the configuration and the
//! register of devices, never from what a peer sent; the number of per-device series is bounded.
//!
//! Does not: serve as a source for SLA figures; those come from the log.

pub mod family;
mod process;
pub mod remote_write;
pub mod snapshot;

pub use snapshot::{
    ContractFacts, DeviceFacts, ForecastFacts, IncidentCount, MissCount, PlannedStop, Snapshot, Verdict,
    YearFacts,
};

use crate::{
    ingest::listener::{HandshakeRefusal, ListenerObserver},
    notify::dispatch::{DeliveryResult, DispatchObserver},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use family::Family;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry, TextEncoder, proto::MetricFamily};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tenken_collector_core::invariant::Invariant;
use tenken_common::{ack::RejectReason, id::Name, time::Timestamp};

/// Devices with series of their own, unless configured otherwise.
pub const DEVICE_SERIES_DEFAULT: usize = 10_000;

/// See the module's head.
pub struct Metrics {
    registry: Registry,
    device_series_max: usize,
    state: Mutex<Arc<Vec<MetricFamily>>>,
    health: Mutex<Result<(), String>>,
    batches: IntCounterVec,
    records: IntCounterVec,
    bytes: IntCounterVec,
    duplicates: IntCounterVec,
    refused: IntCounterVec,
    violations: IntCounterVec,
    commit_groups: IntCounterVec,
    commit_seconds: HistogramVec,
    ack_seconds: HistogramVec,
    connections: GaugeVec,
    over_limit: IntCounterVec,
    turned_out: IntCounterVec,
    handshakes_refused: IntCounterVec,
    stream_position: GaugeVec,
    notices: IntCounterVec,
    outbox_pending: GaugeVec,
    outbox_oldest: GaugeVec,
    evaluation_seconds: HistogramVec,
    evaluation_last: GaugeVec,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("device_series_max", &self.device_series_max).finish_non_exhaustive()
    }
}

const NO_LABELS: [&str; 0] = [];

impl Metrics {
    /// Counters begin at zero where their labels are known, so that a first event is seen as a
    /// rise. Not healthy before [`Self::set_health`].
    pub fn new(started: Timestamp, device_series_max: usize) -> Self {
        let registry = Registry::new();
        let metrics = Self {
            device_series_max,
            state: Mutex::new(Arc::new(Vec::new())),
            health: Mutex::new(Err("starting".to_owned())),
            batches: Family::Batches.counter(&registry),
            records: Family::Records.counter(&registry),
            bytes: Family::Bytes.counter(&registry),
            duplicates: Family::Duplicates.counter(&registry),
            refused: Family::Refused.counter(&registry),
            violations: Family::InvariantViolations.counter(&registry),
            commit_groups: Family::CommitGroups.counter(&registry),
            commit_seconds: Family::CommitSeconds.histogram(&registry),
            ack_seconds: Family::AckSeconds.histogram(&registry),
            connections: Family::Connections.gauge(&registry),
            over_limit: Family::ConnectionsOverLimit.counter(&registry),
            turned_out: Family::ConnectionsTurnedOut.counter(&registry),
            handshakes_refused: Family::HandshakesRefused.counter(&registry),
            stream_position: Family::StreamPosition.gauge(&registry),
            notices: Family::Notices.counter(&registry),
            outbox_pending: Family::OutboxPending.gauge(&registry),
            outbox_oldest: Family::OutboxOldest.gauge(&registry),
            evaluation_seconds: Family::EvaluationSeconds.histogram(&registry),
            evaluation_last: Family::EvaluationLast.gauge(&registry),
            registry,
        };
        let build = Family::BuildInfo.gauge(&metrics.registry);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        let start = Family::StartTime.gauge(&metrics.registry);
        start.with_label_values(&NO_LABELS).set(started.as_secs_f64());
        for counter in
            [&metrics.batches, &metrics.records, &metrics.bytes, &metrics.duplicates, &metrics.commit_groups]
        {
            counter.with_label_values(&NO_LABELS).inc_by(0);
        }
        for reason in RejectReason::ALL {
            metrics.refused.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        for invariant in Invariant::ALL {
            metrics.violations.with_label_values(&[invariant.as_str()]).inc_by(0);
        }
        metrics
    }

    pub fn invariant_violated(&self, invariant: Invariant) {
        self.violations.with_label_values(&[invariant.as_str()]).inc();
    }

    /// A batch was committed.
    pub fn batch_accepted(&self, records: u64, bytes: u64) {
        self.batches.with_label_values(&NO_LABELS).inc();
        self.records.with_label_values(&NO_LABELS).inc_by(records);
        self.bytes.with_label_values(&NO_LABELS).inc_by(bytes);
    }

    pub fn duplicate(&self) {
        self.duplicates.with_label_values(&NO_LABELS).inc();
    }

    pub fn refused(&self, reason: RejectReason) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// One transaction of batches, disk sync included.
    pub fn group_committed(&self, took: Duration) {
        self.commit_groups.with_label_values(&NO_LABELS).inc();
        self.commit_seconds.with_label_values(&NO_LABELS).observe(took.as_secs_f64());
    }

    /// From the end of a request's body to its signed answer.
    pub fn acknowledged(&self, took: Duration) {
        self.ack_seconds.with_label_values(&NO_LABELS).observe(took.as_secs_f64());
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 entries")]
    pub fn set_stream_position(&self, position: u64) {
        self.stream_position.with_label_values(&NO_LABELS).set(position as f64);
    }

    /// What waits in the outbox, and since when.
    pub fn set_outbox(&self, pending: u32, oldest: Option<Timestamp>) {
        self.outbox_pending.with_label_values(&NO_LABELS).set(f64::from(pending));
        match oldest {
            Some(at) => self.outbox_oldest.with_label_values(&NO_LABELS).set(at.as_secs_f64()),
            None => self.outbox_oldest.reset(),
        }
    }

    /// An evaluation ended.
    pub fn evaluated(&self, took: Duration, at: Timestamp) {
        self.evaluation_seconds.with_label_values(&NO_LABELS).observe(took.as_secs_f64());
        self.evaluation_last.with_label_values(&NO_LABELS).set(at.as_secs_f64());
    }

    /// Replaces everything that the last snapshot said.
    pub fn update(&self, snapshot: &Snapshot) {
        let families = Arc::new(snapshot::families(snapshot, self.device_series_max));
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = families;
    }

    /// What `/healthz` answers: 200, or 503 with the reason.
    pub fn set_health(&self, health: Result<(), String>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// The observer of one listener, for [`crate::ingest::listener::serve`].
    pub fn listener(self: &Arc<Self>, name: &'static str) -> Arc<dyn ListenerObserver> {
        self.connections.with_label_values(&[name]).set(0.0);
        self.over_limit.with_label_values(&[name]).inc_by(0);
        self.turned_out.with_label_values(&[name]).inc_by(0);
        for reason in HandshakeRefusal::ALL {
            self.handshakes_refused.with_label_values(&[name, reason.as_str()]).inc_by(0);
        }
        Arc::new(ListenerMetrics { metrics: Arc::clone(self), name })
    }

    /// Called once, where remote write is configured.
    pub fn remote_write(&self) -> remote_write::RemoteWriteMetrics {
        remote_write::RemoteWriteMetrics::register(&self.registry)
    }

    /// All of it in Prometheus' text format.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        let state = Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner));
        let mut text = String::new();
        let encoder = TextEncoder::new();
        encoder.encode_utf8(&self.registry.gather(), &mut text)?;
        encoder.encode_utf8(&process::families(), &mut text)?;
        encoder.encode_utf8(&state, &mut text)?;
        Ok(text)
    }

    /// `/metrics` and `/healthz`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(show_health))
            .with_state(Arc::clone(self))
    }
}

async fn show_metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n").into_response()
        }
    }
}

async fn show_health(State(metrics): State<Arc<Metrics>>) -> Response {
    let health = metrics.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

struct ListenerMetrics {
    metrics: Arc<Metrics>,
    name: &'static str,
}

impl ListenerObserver for ListenerMetrics {
    fn connected(&self) {
        self.metrics.connections.with_label_values(&[self.name]).inc();
    }

    fn closed(&self) {
        self.metrics.connections.with_label_values(&[self.name]).dec();
    }

    fn handshake_refused(&self, reason: HandshakeRefusal) {
        self.metrics.handshakes_refused.with_label_values(&[self.name, reason.as_str()]).inc();
    }

    fn over_limit(&self) {
        self.metrics.over_limit.with_label_values(&[self.name]).inc();
    }

    fn turned_out(&self) {
        self.metrics.turned_out.with_label_values(&[self.name]).inc();
    }
}

impl DispatchObserver for Metrics {
    fn attempted(&self, outlet: &Name, result: DeliveryResult) {
        self.notices.with_label_values(&[outlet.as_str(), result.as_str()]).inc();
    }
}

#[cfg(test)]
mod tests;
