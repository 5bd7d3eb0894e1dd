//! What an evaluation needs to know of devices, read from the store.
//!
//! Holds: it only reads. Devices that the hospital has not approved, and revoked ones, are not judged.

use crate::store::{Store, StoreError, model::SeriesRow};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenken_collector_core::{
    desk::rule::{Need, RuleSet},
    evaluation::{CheckInput, ClockReading, DeviceInput, WearInput},
    predict::{
        series::{Series, SeriesKey},
        watch::Noted,
    },
    sla::{calendar::ServiceCalendar, contract::Contract},
};
use tenken_common::{
    fact::Fact,
    id::{DeviceId, HospitalId},
    time::{ClockSource, Timestamp},
};

/// A device that has not said how often it reports.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// Every device that is judged, with the series that rules need.
pub async fn load_devices(
    store: &Store,
    needs: &[Need],
    (as_of, position): (Timestamp, u64),
) -> Result<Vec<DeviceInput>, StoreError> {
    let seen: BTreeMap<_, _> = store.seen().await?.into_iter().map(|s| (s.device, s)).collect();
    let mut checks: BTreeMap<DeviceId, Vec<CheckInput>> = BTreeMap::new();
    for row in store.checks().await? {
        let (probe, subject, state, at) = (row.probe, row.subject, row.state, row.at);
        checks.entry(row.device).or_default().push(CheckInput { probe, subject, state, at });
    }
    let mut wear =
        if needs.iter().any(|n| n.quantity.is_none()) { wear(store).await? } else { BTreeMap::new() };
    let calendars = if wear.is_empty() { BTreeMap::new() } else { calendars(store, as_of, position).await? };
    let identities = store.identities(as_of).await?;
    let mut devices = Vec::new();
    for device in store.devices().await?.into_iter().filter(|d| d.approved.is_some() && d.revoked.is_none()) {
        let all = store.series(device.id).await?;
        let seen = seen.get(&device.id);
        let calendar = calendars.get(&device.hospital).cloned().unwrap_or_default();
        devices.push(DeviceInput {
            device: device.id,
            hospital: device.hospital,
            label: device.label,
            group: device.group,
            identity: identities.get(&device.id).copied().unwrap_or_default(),
            expected_interval: expected_interval(store, &all).await?,
            last_received: seen.map(|s| s.received),
            clock: seen.and_then(|s| match s.clock.source {
                ClockSource::Unknown => None,
                ClockSource::SignedTime => Some(ClockReading {
                    offset_s: seconds(s.clock.offset_ms),
                    uncertainty_s: seconds(i64::from(s.clock.uncertainty_ms)),
                }),
            }),
            series: load_series(store, &all, needs, as_of).await?,
            checks: checks.remove(&device.id).unwrap_or_default(),
            anomalies: Vec::new(),
            wear: wear.remove(&device.id).unwrap_or_default(),
            calendar,
        });
    }
    Ok(devices)
}

/// The parts that devices tell of.
async fn wear(store: &Store) -> Result<BTreeMap<DeviceId, Vec<WearInput>>, StoreError> {
    let mut parts: BTreeMap<DeviceId, Vec<WearInput>> = BTreeMap::new();
    for row in store.facts().await? {
        if let Fact::WearCounter(counter) = row.fact {
            parts.entry(row.device).or_default().push(WearInput { subject: row.subject, counter });
        }
    }
    Ok(parts)
}

/// The service hours of each hospital's contract as they were loaded by then; where there is none,
/// weekdays count that are no holidays by law.
pub async fn calendars(
    store: &Store,
    as_of: Timestamp,
    position: u64,
) -> Result<BTreeMap<HospitalId, Arc<ServiceCalendar>>, StoreError> {
    let mut newest: BTreeMap<HospitalId, Contract> = BTreeMap::new();
    for row in store.contracts().await?.into_iter().filter(|row| row.position <= position) {
        let contract = Contract::parse(&row.text).map_err(|_| StoreError::Value("contract"))?;
        let order = |c: &Contract| (c.starts(), c.version);
        let is_newer =
            newest.get(&contract.hospital.id).is_none_or(|before| order(before) < order(&contract));
        if contract.starts() <= as_of && is_newer {
            newest.insert(contract.hospital.id.clone(), contract);
        }
    }
    Ok(newest.into_iter().map(|(id, contract)| (id, Arc::new(contract.service_hours))).collect())
}

/// Gives each device its episodes: those that were kept, and what is noted at this tick.
pub async fn give_anomalies(
    store: &Store,
    rules: &RuleSet,
    (devices, as_of): (&mut [DeviceInput], Timestamp),
    noted: &[Noted],
) -> Result<(), StoreError> {
    let mut of_device: BTreeMap<DeviceId, Vec<Noted>> = BTreeMap::new();
    for (rule, when) in rules.anomalies() {
        let kept = store.episodes(&rule.id, as_of.minus(when.lasts.0)).await?;
        let now = noted.iter().filter(|one| one.rule == rule.id).cloned();
        for one in kept.into_iter().chain(now) {
            of_device.entry(one.anomaly.key.device).or_default().push(one);
        }
    }
    for device in devices {
        device.anomalies = of_device.remove(&device.device).unwrap_or_default();
    }
    Ok(())
}

/// As the device's own report says.
pub async fn expected_interval(store: &Store, all: &[SeriesRow]) -> Result<Duration, StoreError> {
    let row =
        all.iter().find(|s| s.probe.as_str() == "agent" && s.name.as_str() == "expected_interval_seconds");
    let Some(row) = row else { return Ok(INTERVAL_DEFAULT) };
    let latest = store.latest_sample(row.id).await?;
    Ok(latest.map_or(INTERVAL_DEFAULT, |(_, s)| Duration::from_secs_f64(s.clamp(1.0, 86_400.0))))
}

async fn load_series(
    store: &Store,
    all: &[SeriesRow],
    needs: &[Need],
    as_of: Timestamp,
) -> Result<Vec<Series>, StoreError> {
    let mut loaded = Vec::new();
    for row in all {
        let need = needs
            .iter()
            .filter(|n| n.probe == row.probe && n.quantity.as_ref().is_none_or(|q| *q == row.name));
        let need = need.max_by_key(|n| n.history);
        let Some(need) = need else { continue };
        let points = store.samples(row.id, as_of.minus(need.history)..as_of.plus_micros(1)).await?;
        let key = SeriesKey {
            device: row.device,
            subject: row.subject.clone(),
            probe: row.probe.clone(),
            quantity: row.name.clone(),
        };
        loaded.push(Series::new(key, row.unit, points));
    }
    Ok(loaded)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a clock's error are far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}
