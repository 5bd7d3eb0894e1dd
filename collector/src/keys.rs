//! The keys by which a collector serves, followed while it does: a new trust version, and its own
//! certificate's last third.
//!
//! Holds: what signs, what is shown and who is let in change together, for each connection as a
//! whole; connections from before end after the request under way. A version that cannot be read
//! is said once and leaves the present one in force.

use crate::{
    ingest::{
        CertificateIssuer, IngestObserver, IngestState, IssueError, IssuedCertificate, commit::Committer,
        listener::Served, renewal::Renewals, router, verify::DeviceDirectory,
    },
    pki::{Pki, PkiError},
    store::Store,
};
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tenken_common::{
    id::DeviceId,
    telemetry::ErrorChain,
    time::{Clock, Timestamp},
};
use tokio::sync::watch;

/// How soon a new version is seen.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module's head.
pub struct Keys {
    pki: RwLock<Arc<Pki>>,
    clock: Arc<dyn Clock>,
}

/// What the routes need besides keys.
#[derive(Clone)]
pub struct Rooms {
    pub store: Store,
    pub committer: Committer,
    pub devices: Arc<DeviceDirectory>,
    pub clock: Arc<dyn Clock>,
    /// Where granted devices push to.
    pub push_url: Arc<str>,
    pub observer: Arc<dyn IngestObserver>,
}

/// What the two listeners for devices serve, as it comes to be.
pub struct Serving {
    rooms: Rooms,
    renewals: Arc<Renewals>,
    pub device: watch::Sender<Served>,
    pub open: watch::Sender<Served>,
}

impl Keys {
    /// The newest version; the server's certificate is renewed where it is time.
    pub fn load(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, PkiError> {
        let mut pki = Pki::load(dir)?;
        pki.renew_server(clock.wall())?;
        Ok(Self { pki: RwLock::new(Arc::new(pki)), clock })
    }

    fn current(&self) -> Arc<Pki> {
        Arc::clone(&self.pki.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is to be served by the keys now in force.
    pub fn serve(self: &Arc<Self>, rooms: Rooms) -> Result<Serving, PkiError> {
        let renewals = Arc::default();
        let (device, open) = self.served(&rooms, &renewals)?;
        Ok(Serving { rooms, renewals, device: watch::channel(device).0, open: watch::channel(open).0 })
    }

    fn served(
        self: &Arc<Self>,
        rooms: &Rooms,
        renewals: &Arc<Renewals>,
    ) -> Result<(Served, Served), PkiError> {
        let pki = self.current();
        let rooms = rooms.clone();
        let state = IngestState {
            store: rooms.store,
            committer: rooms.committer,
            devices: rooms.devices,
            clock: rooms.clock,
            ack_key: Arc::new(pki.ack_key().clone()),
            ack_keys: pki.ack_keys().into(),
            trust: pki.trust().map(tenken_common::envelope::Envelope::to_bytes).collect(),
            push_url: rooms.push_url,
            issuer: self.clone(),
            renewals: renewals.clone(),
            observer: rooms.observer,
        };
        let device_tls = Arc::new(pki.device_tls(self.clock.clone())?);
        let open_tls = Arc::new(pki.open_tls(self.clock.clone())?);
        let device = Served { tls: Some(device_tls), router: router::device_router(state.clone()) };
        Ok((device, Served { tls: Some(open_tls), router: router::enroll_router(state) }))
    }

    /// Follows for ever; the caller ends it by dropping the future.
    pub async fn follow(self: &Arc<Self>, serving: &Serving) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut said = None;
        loop {
            tick.tick().await;
            match self.look(serving) {
                Ok(None) => {}
                Ok(Some(version)) => {
                    tracing::info!(version, "serving by new keys");
                    said = None;
                }
                Err(error) => {
                    let text = ErrorChain(&error).to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::error!(reason = %text, "new keys cannot be used; the present ones stay in force");
                    }
                    said = Some(text);
                }
            }
        }
    }

    /// The version taken up, where there was something to take up.
    fn look(self: &Arc<Self>, serving: &Serving) -> Result<Option<u64>, PkiError> {
        let (pki, now) = (self.current(), self.clock.wall());
        if !pki.is_outdated() && !pki.is_server_due(now)? {
            return Ok(None);
        }
        let fresh = Self::load(pki.dir(), self.clock.clone())?;
        let fresh = fresh.current();
        let version = fresh.version();
        *self.pki.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        let (device, open) = self.served(&serving.rooms, &serving.renewals)?;
        serving.device.send_replace(device);
        serving.open.send_replace(open);
        Ok(Some(version))
    }
}

impl CertificateIssuer for Keys {
    fn issue(
        &self,
        csr_der: &[u8],
        device: DeviceId,
        now: Timestamp,
    ) -> Result<IssuedCertificate, IssueError> {
        let issued =
            self.current().issue(csr_der, device, now).map_err(|e| IssueError(ErrorChain(&e).to_string()))?;
        Ok(IssuedCertificate { chain_der: issued.chain_der, leaf_sha256: issued.leaf_sha256 })
    }
}
