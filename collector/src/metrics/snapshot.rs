//! What the collector knows of its devices, incidents and contracts, as gauges.
//!
//! Holds: a snapshot replaces the one before as a whole, so nothing stale stays. What is not
//! known is absent: never zero, never NaN. A silent device keeps its state and when it was last
//! seen; its values disappear. At most a configured number of devices has series of its own.

use super::family::Family;
use crate::overview::Upkeep;
use prometheus::{GaugeVec, Registry, proto::MetricFamily};
use std::collections::{BTreeMap, BTreeSet};
use tenken_collector_core::{
    desk::notice::Severity,
    intake::device_state::Liveness,
    sla::{
        consequence::Trigger,
        contract::Grade,
        indicator::{self, Indicator, IndicatorName},
        span::Span,
    },
};
use tenken_common::{
    id::{ContractId, DeviceId, HospitalId, Name},
    time::Timestamp,
};

/// Forecasts of one device that get series; more subjects than any device has disks and parts.
const FORECASTS_PER_DEVICE_MAX: usize = 32;

/// How the uptime target was kept so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Met,
    Missed,
    Unknown,
}

impl Verdict {
    pub const ALL: [Self; 3] = [Self::Met, Self::Missed, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything at one evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    pub devices: Vec<DeviceFacts>,
    pub incidents: Vec<IncidentCount>,
    /// In force.
    pub silences: u32,
    pub forecasts: Vec<ForecastFacts>,
    pub contracts: Vec<ContractFacts>,
    pub collector_lost_batches: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeviceFacts {
    pub hospital: HospitalId,
    pub device: DeviceId,
    /// What people call it.
    pub name: Name,
    pub condition: Liveness,
    pub last_seen: Option<Timestamp>,
    pub records_stored: u64,
    pub gaps: u64,
    /// Server time minus device time.
    pub clock_offset_seconds: Option<f64>,
    pub upkeep: Upkeep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentCount {
    pub hospital: HospitalId,
    pub severity: Severity,
    pub rule: Name,
    pub open: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ForecastFacts {
    pub device: DeviceId,
    pub subject: Name,
    /// One mount may run out of space and of inodes.
    pub quantity: Name,
    /// Until the limit is reached, the middle forecast; the others are the ends of its range.
    pub left_seconds: Option<f64>,
    pub left_low_seconds: Option<f64>,
    pub left_high_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ContractFacts {
    pub hospital: HospitalId,
    pub contract: ContractId,
    pub uptime: Option<f64>,
    pub uptime_min: Option<f64>,
    pub uptime_max: Option<f64>,
    pub target: Option<f64>,
    pub coverage: Option<f64>,
    pub verdict: Verdict,
    pub response: Option<f64>,
    pub responses_running: u32,
    pub responses_breached: u32,
    /// Every indicator of the current month.
    pub indicators: Vec<Indicator>,
    /// By item; `None` where the contract does not say what counts.
    pub misses: Option<Vec<MissCount>>,
    /// `None` before the contract's first year.
    pub year: Option<YearFacts>,
    /// By kind; `None` where no version was ever in force.
    pub grounds: Option<BTreeMap<&'static str, u32>>,
    pub planned_stop: PlannedStop,
}

/// Misses of one item of the current month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissCount {
    pub item: IndicatorName,
    pub certain: u32,
    pub open: u32,
}

/// The evaluation year so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YearFacts {
    pub misses: Option<u32>,
    pub misses_min: Option<u32>,
    pub misses_max: Option<u32>,
    pub grade: Option<Grade>,
    pub best: Option<Grade>,
    pub worst: Option<Grade>,
}

/// The planned stop that goes on, or the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlannedStop {
    pub span: Option<Span>,
    pub goes_on: bool,
}

/// The snapshot as metric families, ready to be encoded.
pub fn families(snapshot: &Snapshot, device_series_max: usize) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let mut devices: Vec<&DeviceFacts> = snapshot.devices.iter().collect();
    devices.sort_by(|a, b| (&a.hospital, a.device).cmp(&(&b.hospital, b.device)));
    count_devices(&devices, &registry);
    let left_out = devices.len().saturating_sub(device_series_max);
    devices.truncate(device_series_max);
    let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
    Family::DeviceSeriesLeftOut.gauge(&registry).with_label_values::<&str>(&[]).set(f64::from(left_out));
    show_devices(&devices, &registry);
    show_forecasts(&snapshot.forecasts, &devices, &registry);
    show_incidents(&snapshot.incidents, &registry);
    Family::Silences.gauge(&registry).with_label_values::<&str>(&[]).set(f64::from(snapshot.silences));
    show_contracts(&snapshot.contracts, &registry);
    let lost = Family::CollectorLost.counter(&registry);
    lost.with_label_values::<&str>(&[]).inc_by(snapshot.collector_lost_batches);
    registry.gather()
}

/// Absent where there is no value.
fn set(gauge: &GaugeVec, labels: &[&str], value: Option<f64>) {
    if let Some(value) = value.filter(|v| v.is_finite()) {
        gauge.with_label_values(labels).set(value);
    }
}

fn one_hot(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn count_devices(devices: &[&DeviceFacts], registry: &Registry) {
    let gauge = Family::Devices.gauge(registry);
    let hospitals: BTreeSet<&HospitalId> = devices.iter().map(|d| &d.hospital).collect();
    for hospital in hospitals {
        for condition in Liveness::ALL {
            gauge.with_label_values(&[hospital.as_str(), condition.as_str()]).set(0.0);
        }
    }
    for d in devices {
        gauge.with_label_values(&[d.hospital.as_str(), d.condition.as_str()]).inc();
    }
}

fn show_devices(devices: &[&DeviceFacts], registry: &Registry) {
    let last_seen = Family::DeviceLastSeen.gauge(registry);
    let state = Family::DeviceState.gauge(registry);
    let records = Family::DeviceRecords.counter(registry);
    let gaps = Family::DeviceGaps.counter(registry);
    let offset = Family::DeviceClockOffset.gauge(registry);
    let pending = Family::DevicePatches.gauge(registry);
    let security = Family::DeviceSecurityPatches.gauge(registry);
    let pattern_file = Family::DevicePatternFileAge.gauge(registry);
    for d in devices {
        let id = d.device.to_string();
        let labels = [d.hospital.as_str(), &id, d.name.as_str()];
        set(&last_seen, &labels, d.last_seen.map(Timestamp::as_secs_f64));
        for condition in Liveness::ALL {
            let [hospital, device, name] = labels;
            let labels = [hospital, device, name, condition.as_str()];
            set(&state, &labels, Some(one_hot(condition == d.condition)));
        }
        records.with_label_values(&labels).inc_by(d.records_stored);
        gaps.with_label_values(&labels).inc_by(d.gaps);
        if d.condition.is_heard() {
            set(&offset, &labels, d.clock_offset_seconds);
            set(&pending, &labels, d.upkeep.patches_pending.map(f64::from));
            set(&security, &labels, d.upkeep.security_pending.map(f64::from));
            set(&pattern_file, &labels, d.upkeep.pattern_file_age_seconds);
        }
    }
}

fn show_forecasts(forecasts: &[ForecastFacts], devices: &[&DeviceFacts], registry: &Registry) {
    let left = Family::ForecastLeft.gauge(registry);
    let low = Family::ForecastLeftLow.gauge(registry);
    let high = Family::ForecastLeftHigh.gauge(registry);
    let current: BTreeMap<DeviceId, &DeviceFacts> =
        devices.iter().filter(|d| d.condition.is_heard()).map(|d| (d.device, *d)).collect();
    let mut shown: BTreeMap<DeviceId, usize> = BTreeMap::new();
    for f in forecasts {
        let Some(d) = current.get(&f.device) else { continue };
        let count = shown.entry(f.device).or_default();
        if *count >= FORECASTS_PER_DEVICE_MAX {
            continue;
        }
        *count += 1;
        let id = d.device.to_string();
        let labels = [d.hospital.as_str(), &id, d.name.as_str(), f.subject.as_str(), f.quantity.as_str()];
        set(&left, &labels, f.left_seconds);
        set(&low, &labels, f.left_low_seconds);
        set(&high, &labels, f.left_high_seconds);
    }
}

fn show_incidents(incidents: &[IncidentCount], registry: &Registry) {
    let gauge = Family::Incidents.gauge(registry);
    for i in incidents {
        let labels = [i.hospital.as_str(), i.severity.as_str(), i.rule.as_str()];
        gauge.with_label_values(&labels).add(f64::from(i.open));
    }
}

fn show_contracts(contracts: &[ContractFacts], registry: &Registry) {
    let uptime = Family::SlaUptime.gauge(registry);
    let target = Family::SlaTarget.gauge(registry);
    let coverage = Family::SlaCoverage.gauge(registry);
    let verdict = Family::SlaVerdict.gauge(registry);
    let response = Family::SlaResponse.gauge(registry);
    let running = Family::SlaResponsesRunning.gauge(registry);
    let breached = Family::SlaResponsesBreached.gauge(registry);
    for c in contracts {
        let labels = [c.hospital.as_str(), c.contract.as_str()];
        let with = |last| [c.hospital.as_str(), c.contract.as_str(), last];
        set(&uptime, &with("value"), c.uptime);
        set(&uptime, &with("min"), c.uptime_min);
        set(&uptime, &with("max"), c.uptime_max);
        set(&target, &labels, c.target);
        set(&coverage, &labels, c.coverage);
        for v in Verdict::ALL {
            set(&verdict, &with(v.as_str()), Some(one_hot(v == c.verdict)));
        }
        set(&response, &labels, c.response);
        set(&running, &labels, Some(f64::from(c.responses_running)));
        set(&breached, &labels, Some(f64::from(c.responses_breached)));
    }
    show_indicators(contracts, registry);
    show_years(contracts, registry);
    show_planned_stops(contracts, registry);
}

fn show_indicators(contracts: &[ContractFacts], registry: &Registry) {
    let ratio = Family::SlaIndicator.gauge(registry);
    let target = Family::SlaIndicatorTarget.gauge(registry);
    let coverage = Family::SlaIndicatorCoverage.gauge(registry);
    let verdict = Family::SlaIndicatorVerdict.gauge(registry);
    let misses = Family::SlaMisses.gauge(registry);
    for c in contracts {
        for i in &c.indicators {
            let labels = [c.hospital.as_str(), c.contract.as_str(), i.name.as_str()];
            let with = |last| [c.hospital.as_str(), c.contract.as_str(), i.name.as_str(), last];
            set(&ratio, &with("value"), i.estimate.value);
            set(&ratio, &with("min"), i.estimate.min);
            set(&ratio, &with("max"), i.estimate.max);
            set(&target, &labels, i.target);
            set(&coverage, &labels, i.coverage);
            for v in indicator::Verdict::ALL {
                set(&verdict, &with(v.as_str()), Some(one_hot(v == i.verdict)));
            }
        }
        for miss in c.misses.iter().flatten() {
            let with = |last| [c.hospital.as_str(), c.contract.as_str(), miss.item.as_str(), last];
            set(&misses, &with("certain"), Some(f64::from(miss.certain)));
            set(&misses, &with("open"), Some(f64::from(miss.open)));
        }
    }
}

/// What a year without a grade has.
const NO_GRADE: &str = "none";

fn show_years(contracts: &[ContractFacts], registry: &Registry) {
    let misses = Family::SlaYearMisses.gauge(registry);
    let grades = Family::SlaYearGrade.gauge(registry);
    let grounds = Family::SlaTermination.gauge(registry);
    for c in contracts {
        let with = |last| [c.hospital.as_str(), c.contract.as_str(), last];
        if let Some(year) = c.year {
            set(&misses, &with("value"), year.misses.map(f64::from));
            set(&misses, &with("min"), year.misses_min.map(f64::from));
            set(&misses, &with("max"), year.misses_max.map(f64::from));
            for (bound, has) in [("value", year.grade), ("best", year.best), ("worst", year.worst)] {
                let has = has.map_or(NO_GRADE, Grade::as_str);
                for word in Grade::ALL.map(Grade::as_str).into_iter().chain([NO_GRADE]) {
                    let labels = [c.hospital.as_str(), c.contract.as_str(), bound, word];
                    set(&grades, &labels, Some(one_hot(word == has)));
                }
            }
        }
        if let Some(counts) = &c.grounds {
            for kind in Trigger::KINDS {
                let count = counts.get(kind).copied().unwrap_or(0);
                set(&grounds, &with(kind), Some(f64::from(count)));
            }
        }
    }
}

fn show_planned_stops(contracts: &[ContractFacts], registry: &Registry) {
    let goes_on = Family::PlannedStop.gauge(registry);
    let start = Family::PlannedStopStart.gauge(registry);
    let end = Family::PlannedStopEnd.gauge(registry);
    for c in contracts {
        let labels = [c.hospital.as_str(), c.contract.as_str()];
        set(&goes_on, &labels, Some(one_hot(c.planned_stop.goes_on)));
        set(&start, &labels, c.planned_stop.span.map(|span| span.from.as_secs_f64()));
        set(&end, &labels, c.planned_stop.span.map(|span| span.to.as_secs_f64()));
    }
}
