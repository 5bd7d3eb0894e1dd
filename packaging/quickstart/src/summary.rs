//! What there is to see at one moment: the agent's own account beside the collector's.
//!
//! Holds: values come from the collector's store, so what is shown has been on the whole way;
//! only the count of appended records and the probes' categories are the device's own.

use crate::party::Party;
use serde::Serialize;
use std::sync::Arc;
use tenken_agent::{probes, status};
use tenken_collector::overview::{self, CheckValue, Overview, ProbeOverview, Value};
use tenken_collector_core::{desk::incident::Incident, evaluation::ForecastResult};
use tenken_common::{
    id::{DeviceId, Name},
    observation::ProbeState,
    time::{Clock, SystemClock, Timestamp},
};

/// See the module's head; also the form of `--json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub as_of: Timestamp,
    pub device_id: Option<DeviceId>,
    pub records_appended: u64,
    pub records_stored: u64,
    pub batches_acked: u64,
    pub gaps: u64,
    pub probes: Vec<Probe>,
    pub findings: Vec<Incident>,
    pub forecasts: Vec<ForecastResult>,
    pub sla: Vec<SlaLine>,
    pub metrics_url: String,
    /// Why the agent cannot keep records, where that is so.
    #[serde(skip)]
    pub spool_failing: Option<String>,
    #[serde(skip)]
    pub overview: Overview,
}

#[derive(Debug, Serialize)]
pub struct Probe {
    pub name: Name,
    pub category: &'static str,
    pub state: ProbeState,
    pub values: Vec<Value>,
    pub checks: Vec<CheckValue>,
}

/// One indicator of the contract.
#[derive(Debug, Serialize)]
pub struct SlaLine {
    pub indicator: String,
    pub value: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub reason_for_null: Option<String>,
    pub target: Option<f64>,
    pub verdict: String,
    pub coverage: Option<f64>,
}

pub async fn take(party: &Party) -> anyhow::Result<Summary> {
    let overview =
        overview::load(party.collector.store(), &Arc::default(), SystemClock::new().wall()).await?;
    let device = overview.devices.first();
    // Before its first cycle an agent has no status, and nothing appended.
    let status = status::load(&party.agent_config.state_dir).ok();
    let sla = overview.sla.iter().flat_map(|month| &month.figures.indicators).map(|i| SlaLine {
        indicator: word(&i.name),
        value: i.estimate.value,
        min: i.estimate.min,
        max: i.estimate.max,
        reason_for_null: i.estimate.reason_for_null.map(|reason| word(&reason)),
        target: i.target,
        verdict: word(&i.verdict),
        coverage: i.coverage,
    });
    Ok(Summary {
        as_of: overview.as_of,
        device_id: device.map(|d| d.device),
        records_appended: status.as_ref().map_or(0, |s| s.spool.last_record),
        records_stored: device.map_or(0, |d| d.records),
        batches_acked: status.as_ref().map_or(0, |s| s.spool.acked_batches),
        gaps: device.map_or(0, |d| d.gaps),
        probes: device.map(|d| probes_of(&d.probes)).unwrap_or_default(),
        findings: overview.incidents.clone(),
        forecasts: overview.forecasts.clone(),
        sla: sla.collect(),
        metrics_url: party.metrics_url.clone(),
        spool_failing: status.and_then(|s| s.spool.failing),
        overview,
    })
}

/// Those that the device has reported on; the agent's report on itself is one of them.
fn probes_of(all: &[ProbeOverview]) -> Vec<Probe> {
    let declared = probes::registry::infos();
    all.iter()
        .map(|p| {
            let info = declared.iter().find(|info| info.name == p.probe.as_str());
            let is_empty = p.values.is_empty() && p.checks.is_empty();
            let unreported = if is_empty { ProbeState::NoData } else { ProbeState::Ok };
            Probe {
                name: p.probe.clone(),
                category: info.map_or("agent", |info| info.category.as_str()),
                state: p.state.unwrap_or(unreported),
                values: p.values.clone(),
                checks: p.checks.clone(),
            }
        })
        .collect()
}

/// The word that JSON has for an enum's value.
fn word<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}
