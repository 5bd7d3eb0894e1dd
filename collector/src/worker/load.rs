//! What an evaluation needs to know of devices, read from the store.
//!
//! Holds: it only reads. Devices that the hospital has not approved, and revoked ones, are not judged.

use super::turn::Due;
use crate::store::{
    Store, StoreError,
    model::{FactRow, SeriesRow},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenken_collector_core::{
    desk::{
        interim::Interim,
        rule::{Need, RuleSet},
    },
    evaluation::{CheckInput, ClockReading, DeviceInput, FactInput},
    predict::{
        series::{Point, Series, SeriesKey},
        watch::Noted,
    },
    sla::{calendar::ServiceCalendar, contract::Contract},
};
use tenken_common::{
    fact::Fact,
    id::{DeviceId, HospitalId, Name},
    time::{ClockSource, Timestamp},
};

/// A device that has not said how often it reports.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// Every device that is judged, with the numbers that rules need; the histories of those whose forecasts
/// are due.
pub async fn load_devices(
    store: &Store,
    rules: &RuleSet,
    (as_of, position): (Timestamp, u64),
    due: &Due,
) -> Result<Vec<DeviceInput>, StoreError> {
    let seen: BTreeMap<_, _> = store.seen().await?.into_iter().map(|s| (s.device, s)).collect();
    let mut checks: BTreeMap<DeviceId, Vec<CheckInput>> = BTreeMap::new();
    for row in store.checks().await? {
        let (probe, subject, state, at) = (row.probe, row.subject, row.state, row.at);
        checks.entry(row.device).or_default().push(CheckInput { probe, subject, state, at });
    }
    let mut newest: BTreeMap<DeviceId, Vec<Series>> = BTreeMap::new();
    for (row, point) in store.newest(&rules.numbers(), as_of).await? {
        newest.entry(row.device).or_default().push(series(row, [point]));
    }
    let needs = rules.needs();
    let mut facts = if rules.wants_facts() { facts(store).await? } else { BTreeMap::new() };
    let wears = facts.values().flatten().any(|said| matches!(said.fact, Fact::WearCounter(_)));
    let calendars = if wears { calendars(store, as_of, position).await? } else { BTreeMap::new() };
    let identities = store.identities(as_of).await?;
    let intervals = expected_intervals(store).await?;
    let mut devices = Vec::new();
    for device in store.devices().await?.into_iter().filter(|d| d.approved.is_some() && d.revoked.is_none()) {
        let seen = seen.get(&device.id);
        let calendar = calendars.get(&device.hospital).cloned().unwrap_or_default();
        let forecasts_due = due.takes(device.id);
        let mut series =
            if forecasts_due { histories(store, device.id, &needs, as_of).await? } else { Vec::new() };
        for one in newest.remove(&device.id).unwrap_or_default() {
            if !series.iter().any(|s| s.key == one.key && s.unit == one.unit) {
                series.push(one);
            }
        }
        devices.push(DeviceInput {
            device: device.id,
            hospital: device.hospital,
            label: device.label,
            group: device.group,
            identity: identities.get(&device.id).copied().unwrap_or_default(),
            expected_interval: intervals.get(&device.id).copied().unwrap_or(INTERVAL_DEFAULT),
            last_received: seen.map(|s| s.received),
            clock: seen.and_then(|s| match s.clock.source {
                ClockSource::Unknown => None,
                ClockSource::SignedTime => Some(ClockReading {
                    offset_s: seconds(s.clock.offset_ms),
                    uncertainty_s: seconds(i64::from(s.clock.uncertainty_ms)),
                }),
            }),
            forecasts_due,
            series,
            checks: checks.remove(&device.id).unwrap_or_default(),
            anomalies: Vec::new(),
            facts: facts.remove(&device.id).unwrap_or_default(),
            interim: Interim::default(),
            calendar,
        });
    }
    Ok(devices)
}

/// What devices last said of parts, pattern files and patches.
async fn facts(store: &Store) -> Result<BTreeMap<DeviceId, Vec<FactInput>>, StoreError> {
    let mut facts: BTreeMap<DeviceId, Vec<FactInput>> = BTreeMap::new();
    for row in store.facts().await? {
        match row.fact {
            Fact::WearCounter(_) | Fact::PatternFileStatus(_) | Fact::PatchStatus(_) => {
                let FactRow { device, subject, at, fact } = row;
                facts.entry(device).or_default().push(FactInput { subject, at, fact });
            }
            Fact::Revision(_) | Fact::Inventory(_) => {}
        }
    }
    Ok(facts)
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

/// How often each device reports, as its own report says; [`INTERVAL_DEFAULT`] where there is none.
pub async fn expected_intervals(store: &Store) -> Result<BTreeMap<DeviceId, Duration>, StoreError> {
    let number = (Name::of_outside("agent"), Name::of_outside("expected_interval_seconds"));
    let newest = store.newest(&[number].into(), Timestamp::MAX).await?;
    let interval = |seconds: f64| Duration::from_secs_f64(seconds.clamp(1.0, 86_400.0));
    Ok(newest.into_iter().map(|(row, (_, seconds))| (row.device, interval(seconds))).collect())
}

async fn histories(
    store: &Store,
    device: DeviceId,
    needs: &[Need],
    as_of: Timestamp,
) -> Result<Vec<Series>, StoreError> {
    let (mut rows, mut spans) = (Vec::new(), BTreeMap::new());
    for row in store.series(device).await? {
        let need = needs
            .iter()
            .filter(|n| n.probe == row.probe && n.quantity.as_ref().is_none_or(|q| *q == row.name));
        let Some(need) = need.max_by_key(|n| n.history) else { continue };
        spans.insert(row.id, as_of.minus(need.history)..as_of.plus_micros(1));
        rows.push(row);
    }
    let mut points = store.histories(device, &spans).await?;
    Ok(rows
        .into_iter()
        .map(|row| (points.remove(&row.id).unwrap_or_default(), row))
        .map(|(p, row)| series(row, p))
        .collect())
}

fn series(row: SeriesRow, points: impl IntoIterator<Item = Point>) -> Series {
    let SeriesRow { device, subject, probe, name, unit, .. } = row;
    Series::new(SeriesKey { device, subject, probe, quantity: name }, unit, points)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a clock's error are far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}
