//! What the agent's two loops share: the device's identity, its consent and clock, the spool's
//! handle, and how delivery goes, of which the status is made.
//!
//! Holds: one thread; nothing is borrowed across an await.

use crate::{
    clock::AuthorityClock,
    config::PushSection,
    identity::Enrolled,
    sent::Sent,
    service::Supervisor,
    spool::SpoolHandle,
    status::{self, ConsentStatus, DeliveryState, DeliveryStatus, SessionStatus, SpoolStatus, Status},
};
use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};
use tenken_agent_core::{consent_gate::ConsentGate, spool::SpoolError};
use tenken_common::{
    observation::ProbeRun,
    telemetry::ErrorChain,
    time::{Clock, Timestamp},
};
use tokio::sync::Notify;

/// What this program calls itself on the wire.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// See the module's head.
pub struct Shared {
    pub clock: Arc<dyn Clock>,
    /// As it was at the start; device, epoch and device key stay so.
    pub enrolled: Enrolled,
    pub gate: RefCell<ConsentGate>,
    pub device_clock: AuthorityClock,
    pub session: RefCell<SessionStatus>,
    pub spool: SpoolHandle,
    pub sent: Sent,
    pub push: PushSection,
    pub delivery: RefCell<DeliveryStatus>,
    pub refused_consent: RefCell<Option<String>>,
    /// Something is urgent, or what may be sent has changed.
    pub wake: Notify,
    pub state_dir: PathBuf,
    pub started: Timestamp,
    pub stopped: Cell<Option<Timestamp>>,
    pub spool_failure: RefCell<Option<String>>,
    pub supervisor: Rc<Supervisor>,
}

impl Shared {
    /// The time by which consent is judged.
    pub fn authority(&self) -> Timestamp {
        self.device_clock.authority()
    }

    /// Notes how delivery goes; `since` moves only when the state changes.
    pub fn delivery(&self, state: DeliveryState, why: Option<String>, failures: u64) {
        let now = self.clock.wall();
        let mut delivery = self.delivery.borrow_mut();
        let ok = state == DeliveryState::Ok;
        if delivery.state != state {
            delivery.since = (!ok).then_some(now);
        }
        if ok {
            delivery.last_ack = Some(now);
        }
        (delivery.state, delivery.why, delivery.failures) = (state, why, failures);
    }

    pub fn spool_failed(&self, e: &SpoolError) {
        let text = ErrorChain(e).to_string();
        let first = self.spool_failure.borrow().as_deref() != Some(text.as_str());
        if first {
            tracing::error!(reason = %text, "spool failed");
        }
        self.spool_failure.replace(Some(text));
    }

    pub fn spool_works(&self) {
        self.spool_failure.replace(None);
    }

    pub async fn write_status<'a>(&self, runs: impl Iterator<Item = &'a ProbeRun>) {
        let spool = match self.spool.snapshot().await {
            Ok(snapshot) => SpoolStatus {
                waiting: snapshot.stats.waiting,
                urgent: snapshot.stats.urgent,
                in_flight: snapshot.stats.in_flight,
                disk_bytes: snapshot.stats.disk_bytes,
                oldest: snapshot.stats.oldest,
                last_record: snapshot.last_id.0,
                acked_batches: snapshot.stats.acked_seq.0,
                evicted: snapshot.stats.evicted,
                corrupt: snapshot.stats.corrupt,
                degraded: snapshot.stats.degraded,
                failing: self.spool_failure.borrow().clone(),
            },
            Err(e) => SpoolStatus { failing: Some(ErrorChain(&e).to_string()), ..SpoolStatus::default() },
        };
        let now = self.clock.now();
        let status = Status {
            agent_version: VERSION.to_owned(),
            device: self.enrolled.device,
            fingerprint: self.enrolled.device_key.public().fingerprint(),
            started: self.started,
            written: now.wall,
            stopped: self.stopped.get(),
            consent: self.consent_status(),
            spool,
            delivery: self.delivery.borrow().clone(),
            clock: self.device_clock.quality(now),
            session: self.session.borrow().clone(),
            sent_failing: self.sent.failure(),
            probes: runs.cloned().collect(),
        };
        if let Err(e) = status::save(&self.state_dir, &status) {
            tracing::warn!(reason = %ErrorChain(&e), "status not written");
        }
    }

    fn consent_status(&self) -> ConsentStatus {
        let gate = self.gate.borrow();
        let manifest = gate.manifest();
        ConsentStatus {
            version: gate.highest(),
            closed: gate.is_open(self.authority()).err().map(|refusal| refusal.to_string()),
            valid_to: manifest.map(|m| m.valid_to),
            categories: manifest
                .map(|m| m.known_categories().map(|c| c.as_str().to_owned()).collect())
                .unwrap_or_default(),
            refused_file: self.refused_consent.borrow().clone(),
        }
    }
}
