//! The detectors of a fleet: one a series, fed with what devices send, as it comes.
//!
//! Holds: a state is what the stream says and nothing else, so whoever takes the same batches in the
//! same order has the same states and anomalies, when and in which pieces it is done. A device that
//! delivers nine hours at once gets the anomalies and scores that it would have got anyhow; they
//! became known when they were committed ([`Anomaly::committed`]). Each device has at most
//! [`WATCHED_SERIES_MAX`] series watched, the first that came.
//!
//! Does not: judge a point that is not after the newest of its series, or later than its own commit
//! by more than [`AHEAD_MAX`] (a clock that is wrong; it would make every later point an old one).

use super::{
    anomaly::{Detector, reason::Reason},
    series::SeriesKey,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{
    batch::Batch,
    fact::Fact,
    id::{DeviceId, Name},
    limit::WATCHED_SERIES_MAX,
    observation::{Body, Observation},
    time::Timestamp,
    unit::{Quantity, Unit},
};

/// How far a point may be ahead of its commit.
pub const AHEAD_MAX: Duration = Duration::from_hours(1);

/// One quantity of a probe, or all of them; of every subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    pub probe: Name,
    #[serde(default)]
    pub quantity: Option<Name>,
}

impl Watched {
    pub fn takes(&self, probe: &Name, quantity: &Name) -> bool {
        self.probe == *probe && self.quantity.as_ref().is_none_or(|q| q == quantity)
    }
}

/// A point that a person is to be told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    pub key: SeriesKey,
    pub unit: Unit,
    /// The device's time, corrected.
    pub at: Timestamp,
    /// When the collector could know.
    pub committed: Timestamp,
    pub value: f64,
    pub score: f64,
    pub reason: Reason,
}

/// An anomaly as a rule takes it: one of an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    pub rule: Name,
    /// The first anomaly of the episode that came.
    pub began: Timestamp,
    pub anomaly: Anomaly,
}

impl Noted {
    /// Takes an anomaly into the episode of the one before it, or begins the next.
    pub fn after(
        before: Option<(Timestamp, Timestamp)>,
        rule: &Name,
        together: Duration,
        a: Anomaly,
    ) -> Self {
        let goes_on = before.filter(|(_, latest)| {
            let apart = a.at.saturating_since(*latest).max(latest.saturating_since(a.at));
            apart <= together
        });
        let began = goes_on.map_or(a.at, |(began, _)| began);
        Self { rule: rule.clone(), began, anomaly: a }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Watch {
    devices: BTreeMap<DeviceId, Vec<Line>>,
}

/// One series, by subject, probe, quantity and unit.
#[derive(Debug)]
struct Line {
    subject: Name,
    probe: Name,
    quantity: Name,
    unit: Unit,
    detector: Box<Detector>,
    /// Since it was last kept.
    changed: bool,
}

impl Line {
    fn order(&self) -> (&Name, &Name, &Name, Unit) {
        (&self.subject, &self.probe, &self.quantity, self.unit)
    }

    fn key(&self, device: DeviceId) -> SeriesKey {
        let (subject, probe, quantity) = (self.subject.clone(), self.probe.clone(), self.quantity.clone());
        SeriesKey { device, subject, probe, quantity }
    }
}

impl Watch {
    /// Feeds a batch, in the order of the device's time; answers what is news.
    pub fn take(&mut self, watched: &BTreeSet<Watched>, batch: &Batch, committed: Timestamp) -> Vec<Anomaly> {
        let mut seen: Vec<(Timestamp, &Observation)> =
            batch.records.iter().map(|r| (batch.corrected(&r.observation), &r.observation)).collect();
        seen.sort_by_key(|(at, _)| *at);
        let lines = self.devices.entry(batch.device).or_default();
        let mut found = Vec::new();
        for (at, o) in seen.into_iter().filter(|(at, _)| *at <= committed.plus(AHEAD_MAX)) {
            let own = Name::of_outside("agent");
            let (probe, quantities) = match &o.body {
                Body::Sample(sample) => (&sample.probe, sample.quantities.as_slice()),
                Body::SelfReport(report) => (&own, report.quantities.as_slice()),
                Body::Fact(Fact::WearCounter(wear)) => (&wear.probe, std::slice::from_ref(&wear.value)),
                Body::CheckResult(_) | Body::Fact(_) => continue,
            };
            for q in quantities {
                if !watched.iter().any(|w| w.takes(probe, &q.name)) {
                    continue;
                }
                let Some(line) = line(lines, &o.subject, probe, q) else { continue };
                // What is no point changes nothing.
                let Ok(verdict) = line.detector.see(at, q.value) else { continue };
                line.changed = true;
                if let Some(reason) = verdict.reason.filter(|_| verdict.alert) {
                    let (key, unit) = (line.key(batch.device), line.unit);
                    found.push(Anomaly {
                        key,
                        unit,
                        at,
                        committed,
                        value: q.value,
                        score: verdict.score,
                        reason,
                    });
                }
            }
        }
        found
    }

    /// A state that was kept.
    pub fn put(&mut self, key: SeriesKey, unit: Unit, detector: Detector) {
        let lines = self.devices.entry(key.device).or_default();
        let order = (&key.subject, &key.probe, &key.quantity, unit);
        let place = lines.partition_point(|line| line.order() < order);
        let SeriesKey { subject, probe, quantity, .. } = key;
        let detector = Box::new(detector);
        lines.insert(place, Line { subject, probe, quantity, unit, detector, changed: false });
    }

    /// Forgets the series that are watched no more.
    pub fn keep(&mut self, watched: &BTreeSet<Watched>) {
        for lines in self.devices.values_mut() {
            lines.retain(|line| watched.iter().any(|w| w.takes(&line.probe, &line.quantity)));
        }
        self.devices.retain(|_, lines| !lines.is_empty());
    }

    /// All states of some devices, or those that changed since they were last given here.
    pub fn states(
        &mut self,
        which: impl Fn(DeviceId) -> bool,
        all: bool,
    ) -> Vec<(SeriesKey, Unit, &Detector)> {
        let mut states = Vec::new();
        for (device, lines) in self.devices.iter_mut().filter(|(device, _)| which(**device)) {
            for line in lines.iter_mut().filter(|line| all || line.changed) {
                line.changed = false;
                states.push((line.key(*device), line.unit, &*line.detector));
            }
        }
        states
    }

    pub fn series(&self) -> usize {
        self.devices.values().map(Vec::len).sum()
    }
}

/// The series of a quantity, which is begun where there is room for it.
fn line<'l>(lines: &'l mut Vec<Line>, subject: &Name, probe: &Name, q: &Quantity) -> Option<&'l mut Line> {
    let order = (subject, probe, &q.name, q.unit);
    match lines.binary_search_by(|line| line.order().cmp(&order)) {
        Ok(place) => lines.get_mut(place),
        Err(_) if lines.len() >= WATCHED_SERIES_MAX => None,
        Err(place) => {
            let (subject, probe, quantity) = (subject.clone(), probe.clone(), q.name.clone());
            let detector = Box::default();
            lines.insert(place, Line { subject, probe, quantity, unit: q.unit, detector, changed: true });
            lines.get_mut(place)
        }
    }
}

#[cfg(test)]
mod tests;
