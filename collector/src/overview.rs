//! Everything that listings, the screen of quickstart and the metrics show, read at one moment.
//!
//! Holds: it only reads. What is not known is absent; nothing here turns an unknown into a zero.

mod consent;
pub mod device;

pub use consent::{ConsentOverview, ConsentStanding};
pub use device::{DeviceCard, LedgerRow, Upkeep};

use crate::{
    history,
    metrics::{
        Metrics,
        snapshot::{
            ContractFacts, DeviceFacts, ForecastFacts, IncidentCount, MissCount, PlannedStop, Snapshot,
            Verdict as MetricVerdict, YearFacts,
        },
    },
    store::{Store, StoreError, model::DeviceStatus},
    worker::load::{INTERVAL_DEFAULT, expected_intervals},
};
use consent::Consents;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenken_collector_core::{
    desk::{incident::Incident, notice::Severity, silence::Silence},
    evaluation::ForecastResult,
    intake::{
        device_state::{DeviceState, Stretch, Uptime, judge},
        ledger::QuarantineReason,
    },
    predict::forecast::Outcome,
    sla::{
        calendar::HolidayList,
        exclusion,
        history::History,
        indicator::{Indicator, IndicatorName, Verdict},
        miss::Miss,
        month::{Month, SlaMonth},
        span::Span,
    },
};
use tenken_common::{
    id::{ContractId, DeviceId, Epoch, Hash, HospitalId, Name},
    observation::{CheckState, ProbeState},
    time::{ClockSource, Timestamp},
    unit::Unit,
};

/// See the module's head.
#[derive(Debug, Serialize)]
pub struct Overview {
    pub as_of: Timestamp,
    pub devices: Vec<DeviceOverview>,
    /// All that are not closed.
    pub incidents: Vec<Incident>,
    /// In force.
    pub silences: Vec<Silence>,
    pub forecasts: Vec<ForecastResult>,
    pub sla: Vec<ContractMonth>,
}

#[derive(Debug, Serialize)]
pub struct DeviceOverview {
    pub device: DeviceId,
    pub hospital: HospitalId,
    pub label: Name,
    pub status: &'static str,
    pub fingerprint: Hash,
    pub state: DeviceState,
    pub last_received: Option<Timestamp>,
    pub batches: u64,
    pub records: u64,
    pub gaps: u64,
    pub missing_runs: u64,
    pub quarantined: bool,
    /// Why, where it is.
    pub quarantine: Option<&'static str>,
    pub epoch: Option<Epoch>,
    /// When it was first suspected that somebody else has its identity.
    pub clone_suspected: Option<Timestamp>,
    /// When it last said that it runs on another host.
    pub facts_changed: Option<Timestamp>,
    /// Batches that the collector acknowledged and lost.
    pub collector_lost_batches: u64,
    pub clock_offset_ms: Option<i64>,
    pub agent_version: Option<String>,
    /// What the hospital consented to, as far as it was filed here.
    pub consent: Option<ConsentOverview>,
    /// Patches and pattern files, as far as it told lately.
    pub upkeep: Upkeep,
    pub probes: Vec<ProbeOverview>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProbeOverview {
    pub probe: Name,
    /// `None` where only values came and no report on the run yet.
    pub state: Option<ProbeState>,
    pub values: Vec<Value>,
    pub checks: Vec<CheckValue>,
}

/// The newest point of a series.
#[derive(Debug, Clone, Serialize)]
pub struct Value {
    pub subject: Name,
    pub name: Name,
    pub unit: Unit,
    pub value: f64,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
pub struct CheckValue {
    pub subject: Name,
    pub state: CheckState,
    pub at: Timestamp,
    /// It came from a device in quarantine: its identity is in doubt.
    pub in_doubt: bool,
}

/// One contract's figures.
#[derive(Debug, Serialize)]
pub struct ContractMonth {
    pub contract: ContractId,
    pub hospital: HospitalId,
    pub service_name: String,
    /// The planned stop that goes on, or the next one.
    pub planned_stop: Option<Span>,
    #[serde(flatten)]
    pub figures: SlaMonth,
}

/// Reads everything; the SLA of the current month.
pub async fn load(
    store: &Store,
    holidays: &Arc<HolidayList>,
    as_of: Timestamp,
) -> Result<Overview, StoreError> {
    let mut overview = figures(store, holidays, as_of).await?;
    add_reported(store, &mut overview.devices).await?;
    Ok(overview)
}

/// The same without what probes reported, which is most of it: what the metrics are made of.
pub async fn figures(
    store: &Store,
    holidays: &Arc<HolidayList>,
    as_of: Timestamp,
) -> Result<Overview, StoreError> {
    let incidents = store
        .open_incidents()
        .await?
        .iter()
        .map(|row| serde_json::from_str(&row.json).map_err(|_| StoreError::Value("incident")))
        .collect::<Result<_, _>>()?;
    let mut silences = store.silences().await?;
    silences.retain(|silence| silence.span.contains(as_of));
    Ok(Overview {
        as_of,
        devices: known(store, as_of).await?,
        incidents,
        silences,
        forecasts: forecasts(store).await?,
        sla: sla(store, holidays, Month::of(as_of), as_of).await?,
    })
}

pub async fn forecasts(store: &Store) -> Result<Vec<ForecastResult>, StoreError> {
    let rows = store.forecasts().await?;
    rows.iter()
        .map(|row| serde_json::from_str(&row.json).map_err(|_| StoreError::Value("forecast")))
        .collect()
}

/// Every device, with what it reported last.
pub async fn devices(store: &Store, as_of: Timestamp) -> Result<Vec<DeviceOverview>, StoreError> {
    let mut devices = known(store, as_of).await?;
    add_reported(store, &mut devices).await?;
    Ok(devices)
}

/// Runs, checks and the newest point of every series.
async fn add_reported(store: &Store, devices: &mut [DeviceOverview]) -> Result<(), StoreError> {
    let mut probes = probes(store).await?;
    for device in devices {
        let mut of_device = probes.remove(&device.device).unwrap_or_default();
        for (series, (at, value)) in store.latest(device.device).await? {
            let probe = probe_of(&mut of_device, &series.probe);
            let (subject, name, unit) = (series.subject, series.name, series.unit);
            probe.values.push(Value { subject, name, unit, value, at });
        }
        device.probes = of_device;
    }
    Ok(())
}

/// Every device, without what its probes reported.
async fn known(store: &Store, as_of: Timestamp) -> Result<Vec<DeviceOverview>, StoreError> {
    let seen: BTreeMap<_, _> = store.seen().await?.into_iter().map(|s| (s.device, s)).collect();
    let counts: BTreeMap<_, _> = store.counts().await?.into_iter().map(|c| (c.device, c)).collect();
    let runs = store.heartbeat_runs().await?;
    let uptime = Uptime::new(runs.iter().map(|run| Stretch { from: run.first, to: run.last.min(as_of) }));
    let intervals = expected_intervals(store).await?;
    let consents = Consents::load(store).await?;
    let upkeep = device::upkeep(store, as_of).await?;
    let mut out = Vec::new();
    for row in store.devices().await? {
        let (seen, counts) = (seen.get(&row.id), counts.get(&row.id));
        let interval = intervals.get(&row.id).copied().unwrap_or(INTERVAL_DEFAULT);
        let last_received = seen.map(|s| s.received);
        out.push(DeviceOverview {
            device: row.id,
            status: match row.status() {
                DeviceStatus::Pending => "pending",
                DeviceStatus::Approved => "approved",
                DeviceStatus::Revoked => "revoked",
            },
            fingerprint: row.key.fingerprint(),
            state: judge(last_received, interval, as_of, &uptime),
            last_received,
            batches: counts.map_or(0, |c| c.batches),
            records: counts.map_or(0, |c| c.records),
            gaps: counts.map_or(0, |c| c.gaps),
            missing_runs: counts.map_or(0, |c| c.missing_runs),
            quarantined: counts.is_some_and(|c| c.quarantine.is_some()),
            quarantine: counts.and_then(|c| c.quarantine).map(QuarantineReason::as_str),
            epoch: counts.map(|c| c.epoch),
            clone_suspected: counts.and_then(|c| c.clone_suspected),
            facts_changed: row.facts_changed,
            collector_lost_batches: counts.map_or(0, |c| c.collector_lost),
            clock_offset_ms: seen.and_then(|s| match s.clock.source {
                ClockSource::Unknown => None,
                ClockSource::SignedTime => Some(s.clock.offset_ms),
            }),
            agent_version: seen.map(|s| s.agent_version.clone()),
            consent: consents.of(&row, as_of),
            upkeep: upkeep.get(&row.id).copied().unwrap_or_default(),
            probes: Vec::new(),
            hospital: row.hospital,
            label: row.label,
        });
    }
    Ok(out)
}

/// Runs and checks; values are added by the caller.
async fn probes(store: &Store) -> Result<BTreeMap<DeviceId, Vec<ProbeOverview>>, StoreError> {
    let mut by_device: BTreeMap<DeviceId, Vec<ProbeOverview>> = BTreeMap::new();
    for run in store.probe_runs().await? {
        probe_of(by_device.entry(run.device).or_default(), &run.probe).state = Some(run.state);
    }
    for check in store.checks().await? {
        let probe = probe_of(by_device.entry(check.device).or_default(), &check.probe);
        let (subject, state, at, in_doubt) = (check.subject, check.state, check.at, check.in_doubt);
        probe.checks.push(CheckValue { subject, state, at, in_doubt });
    }
    Ok(by_device)
}

fn probe_of<'a>(probes: &'a mut Vec<ProbeOverview>, name: &Name) -> &'a mut ProbeOverview {
    let place = probes.iter().position(|p| p.probe == *name).unwrap_or_else(|| {
        let (values, checks) = (Vec::new(), Vec::new());
        probes.push(ProbeOverview { probe: name.clone(), state: None, values, checks });
        probes.len() - 1
    });
    probes.get_mut(place).expect("it was just found or pushed")
}

/// A month of every contract.
pub async fn sla(
    store: &Store,
    holidays: &Arc<HolidayList>,
    month: Month,
    as_of: Timestamp,
) -> Result<Vec<ContractMonth>, StoreError> {
    let histories = history::histories_from(store, holidays, month.span().from).await?;
    let of = |history: &History| {
        let newest = &history.versions.last()?.contract;
        let known = history.known(as_of);
        Some(ContractMonth {
            contract: newest.id.clone(),
            hospital: newest.hospital.id.clone(),
            service_name: newest.service_name.clone(),
            planned_stop: exclusion::planned_stop(&history.exclusions, &known.contracts, as_of),
            figures: known.month(month),
        })
    };
    Ok(histories.values().filter_map(of).collect())
}

/// The evaluation year that each contract is in, and what follows from those before.
#[derive(Debug, Default)]
pub struct Years {
    computed: Option<Timestamp>,
    by_contract: BTreeMap<ContractId, ContractYear>,
}

#[derive(Debug)]
struct ContractYear {
    year: Option<YearFacts>,
    grounds: Option<BTreeMap<&'static str, u32>>,
}

/// Every month of every contract goes into a year's figures, so they are not made at every tick.
const YEARS_EVERY: Duration = Duration::from_mins(10);

impl Years {
    /// Makes the figures again where they are old.
    pub async fn renew(
        &mut self,
        store: &Store,
        holidays: &Arc<HolidayList>,
        as_of: Timestamp,
    ) -> Result<(), StoreError> {
        if self.computed.is_some_and(|at| at <= as_of && as_of < at.plus(YEARS_EVERY)) {
            return Ok(());
        }
        let histories = history::histories(store, holidays).await?;
        let of = |(id, history): (ContractId, History)| (id, ContractYear::of(&history, as_of));
        self.by_contract = histories.into_iter().map(of).collect();
        self.computed = Some(as_of);
        Ok(())
    }
}

impl ContractYear {
    fn of(history: &History, as_of: Timestamp) -> Self {
        let evaluation = history.known(as_of).evaluate();
        let year = evaluation.years.last().filter(|year| !year.ended).map(|year| YearFacts {
            misses: year.misses,
            misses_min: year.misses_min,
            misses_max: year.misses_max,
            grade: year.grade,
            best: year.best,
            worst: year.worst,
        });
        let grounds = (!evaluation.months.is_empty()).then(|| {
            let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
            for trigger in &evaluation.triggers {
                *counts.entry(trigger.kind()).or_default() += 1;
            }
            counts
        });
        Self { year, grounds }
    }
}

/// The outbox as a gauge.
pub async fn show_outbox(store: &Store, metrics: &Metrics) -> Result<(), StoreError> {
    let waiting = store.waiting_notices().await?;
    let oldest = waiting.iter().map(|row| row.notice.decided_at).min();
    metrics.set_outbox(u32::try_from(waiting.len()).unwrap_or(u32::MAX), oldest);
    Ok(())
}

impl Overview {
    /// What Prometheus is shown.
    pub fn snapshot(&self, years: &Years) -> Snapshot {
        let facts = |c: &ContractMonth| contract_facts(c, years.by_contract.get(&c.contract), self.as_of);
        Snapshot {
            devices: self.devices.iter().filter(|d| d.status == "approved").map(device_facts).collect(),
            incidents: incident_counts(&self.incidents),
            silences: u32::try_from(self.silences.len()).unwrap_or(u32::MAX),
            forecasts: self.forecasts.iter().map(|f| forecast_facts(f, self.as_of)).collect(),
            contracts: self.sla.iter().map(facts).collect(),
            collector_lost_batches: self.devices.iter().map(|d| d.collector_lost_batches).sum(),
        }
    }
}

fn device_facts(d: &DeviceOverview) -> DeviceFacts {
    DeviceFacts {
        hospital: d.hospital.clone(),
        device: d.device,
        name: d.label.clone(),
        condition: d.state.liveness,
        last_seen: d.last_received,
        records_stored: d.records,
        gaps: d.gaps,
        upkeep: d.upkeep,
        clock_offset_seconds: d
            .clock_offset_ms
            .map(|ms| Timestamp::from_micros(ms.saturating_mul(1_000)).as_secs_f64()),
    }
}

fn incident_counts(incidents: &[Incident]) -> Vec<IncidentCount> {
    let mut counts: BTreeMap<(HospitalId, Severity, Name), u32> = BTreeMap::new();
    for incident in incidents.iter().filter(|i| i.is_open()) {
        let key = (incident.hospital.clone(), incident.severity, incident.rule.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((hospital, severity, rule), open)| IncidentCount { hospital, severity, rule, open })
        .collect()
}

fn forecast_facts(f: &ForecastResult, as_of: Timestamp) -> ForecastFacts {
    let left = |at: Timestamp| at.saturating_since(as_of).as_secs_f64();
    let (at, low, high) = match f.outcome {
        Outcome::Crossing(c) => (Some(left(c.at)), Some(left(c.low)), Some(left(c.high))),
        Outcome::AlreadyReached => (Some(0.0), Some(0.0), Some(0.0)),
        Outcome::Refused(_) => (None, None, None),
    };
    ForecastFacts {
        device: f.device,
        subject: f.subject.clone(),
        quantity: f.quantity.clone(),
        left_seconds: at,
        left_low_seconds: low,
        left_high_seconds: high,
    }
}

fn contract_facts(c: &ContractMonth, year: Option<&ContractYear>, as_of: Timestamp) -> ContractFacts {
    let of = |name| c.figures.indicators.iter().find(|i: &&Indicator| i.name == name);
    let uptime = of(IndicatorName::Uptime);
    ContractFacts {
        hospital: c.hospital.clone(),
        contract: c.contract.clone(),
        uptime: uptime.and_then(|i| i.estimate.value),
        uptime_min: uptime.and_then(|i| i.estimate.min),
        uptime_max: uptime.and_then(|i| i.estimate.max),
        target: uptime.and_then(|i| i.target),
        coverage: uptime.and_then(|i| i.coverage),
        verdict: match uptime.map(|i| i.verdict) {
            Some(Verdict::Met) => MetricVerdict::Met,
            Some(Verdict::Missed) => MetricVerdict::Missed,
            Some(Verdict::Unknown | Verdict::NotApplicable) | None => MetricVerdict::Unknown,
        },
        response: of(IndicatorName::Response).and_then(|i| i.estimate.value),
        responses_running: c.figures.responses.running,
        responses_breached: c.figures.responses.breached,
        indicators: c.figures.indicators.clone(),
        misses: c.figures.misses.as_ref().map(|misses| misses.iter().map(miss_count).collect()),
        year: year.and_then(|y| y.year),
        grounds: year.and_then(|y| y.grounds.clone()),
        planned_stop: PlannedStop {
            span: c.planned_stop,
            goes_on: c.planned_stop.is_some_and(|span| span.contains(as_of)),
        },
    }
}

fn miss_count(miss: &Miss) -> MissCount {
    MissCount { item: miss.item, certain: miss.count, open: miss.open }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{at, incident, name};
    use tenken_collector_core::{
        desk::notice::IncidentId,
        predict::forecast::{Crossing, Refusal},
    };

    #[test]
    fn open_incidents_are_counted_by_hospital_severity_and_rule() {
        let mut recovered = incident(Severity::Critical);
        recovered.recover(at(9));
        let mut second = incident(Severity::Critical);
        second.id = IncidentId(7);
        let counts = incident_counts(&[incident(Severity::Critical), second, recovered]);
        let [only] = counts.as_slice() else { panic!("{counts:?}") };
        assert_eq!((only.open, only.severity, only.rule.as_str()), (2, Severity::Critical, "disk-filling"));
    }

    #[test]
    fn a_refused_forecast_has_no_time_left_and_a_reached_limit_none_more() {
        let forecast = |outcome| ForecastResult {
            device: DeviceId([1; 16]),
            rule: name("inodes-filling"),
            subject: name("/var"),
            quantity: name("inodes_used"),
            value: 1.0,
            limit: 2.0,
            outcome,
        };
        let left = |outcome| forecast_facts(&forecast(outcome), at(0)).left_seconds;
        let crossing = Crossing { at: at(3_600), low: at(1_800), high: at(7_200), per_day: 1.0 };
        assert_eq!(left(Outcome::Crossing(crossing)), Some(3_600.0));
        assert_eq!(left(Outcome::AlreadyReached), Some(0.0));
        assert_eq!(left(Outcome::Refused(Refusal::NoTrend)), None);
        let facts = forecast_facts(&forecast(Outcome::Crossing(crossing)), at(0));
        assert_eq!(facts.quantity, name("inodes_used"));
        assert_eq!((facts.left_low_seconds, facts.left_high_seconds), (Some(1_800.0), Some(7_200.0)));
    }
}
