//! What is open, told again and again to those who keep it only in memory (an Alertmanager), so that
//! one that was started anew knows it too.
//!
//! Holds: what ended while it was being told is ended again, so no repeat outlives the end.

use crate::{
    notify::Outlets,
    store::{Store, StoreError},
};
use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc};
use tenken_collector_core::desk::{
    alert::{self, Outcome},
    incident::Incident,
    notice::{IncidentId, Notice},
};
use tenken_common::telemetry::ErrorChain;

/// See the module's head.
pub struct Repeater {
    store: Store,
    outlets: Arc<Outlets>,
}

impl Repeater {
    pub fn new(store: Store, outlets: Arc<Outlets>) -> Self {
        Self { store, outlets }
    }

    /// Until `shutdown`; at once over where no outlet wants repeats, which is no end of a part.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let Some(every) = self.outlets.repeat_every() else { return shutdown.await };
        let mut rounds = tokio::time::interval(every);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let round = async {
                rounds.tick().await;
                if let Err(error) = self.round().await {
                    tracing::warn!(reason = %ErrorChain(&error), "open incidents were not repeated");
                }
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = round => {}
            }
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let before: BTreeMap<IncidentId, Notice> = self
            .all()
            .await?
            .into_iter()
            .filter(Incident::is_open)
            .filter_map(|incident| Some((incident.id, newest(&incident)?)))
            .collect();
        if before.is_empty() {
            return Ok(());
        }
        let open: Vec<Notice> = before.values().cloned().collect();
        self.outlets.repeat(&open, self.store.clock().wall()).await;
        let ended = self.all().await?.into_iter().filter(|i| !i.is_open() && before.contains_key(&i.id));
        let ended: Vec<Notice> = ended.filter_map(|incident| newest(&incident)).collect();
        if !ended.is_empty() {
            self.outlets.repeat(&ended, self.store.clock().wall()).await;
        }
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Incident>, StoreError> {
        let rows = self.store.incidents().await?;
        rows.iter()
            .map(|row| serde_json::from_str(&row.json).map_err(|_| StoreError::Value("incident")))
            .collect()
    }
}

/// The newest of what was told.
fn newest(incident: &Incident) -> Option<Notice> {
    let told = incident.decisions.iter().rev().find(|decision| decision.outcome == Outcome::Sent)?;
    Some(alert::notice(incident, told, None))
}
