//! What a device told since the last evaluation, each result and number in its place: what began and
//! ended in between, while nobody was told anything (a backlog of nine hours comes at once), is found as if it
//! had been evaluated at the time.
//!
//! Holds: everything is in the order of the device's time, whatever it came in. Where only the newest of
//! a kind came and it is fresh, there is nothing here to look at: the evaluation has that anyway.
//!
//! Does not: know how a device was between two results; a result stands until the next one, and for no
//! longer than the rule takes it for the device's state.

use super::{
    judgement::{Bench, Judgement, other_subject},
    rule::When,
};
use crate::{
    evaluation::CheckInput,
    predict::series::{Point, Series, SeriesKey},
};
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    batch::Batch,
    id::{DeviceId, Name},
    observation::{Body, CheckState},
    time::Timestamp,
    unit::Quantity,
};

/// Of one device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interim {
    /// By probe and subject.
    checks: BTreeMap<(Name, Name), BTreeMap<Timestamp, CheckState>>,
    series: Vec<Series>,
}

impl Interim {
    /// Of numbers those of these probes and quantities.
    pub fn take(&mut self, batch: &Batch, numbers: &BTreeSet<(Name, Name)>) {
        for record in &batch.records {
            let o = &record.observation;
            let at = batch.corrected(o);
            match &o.body {
                Body::CheckResult(check) => {
                    let key = (check.probe.clone(), o.subject.clone());
                    self.checks.entry(key).or_default().insert(at, check.state);
                }
                Body::Sample(sample) if !numbers.is_empty() => {
                    for q in &sample.quantities {
                        if numbers.contains(&(sample.probe.clone(), q.name.clone())) {
                            self.insert((batch.device, &o.subject, &sample.probe), q, at);
                        }
                    }
                }
                Body::Sample(_) | Body::SelfReport(_) | Body::Fact(_) => {}
            }
        }
    }

    fn insert(&mut self, (device, subject, probe): (DeviceId, &Name, &Name), q: &Quantity, at: Timestamp) {
        let same = |s: &&mut Series| {
            (&s.key.subject, &s.key.probe, &s.key.quantity, s.unit) == (subject, probe, &q.name, q.unit)
        };
        if let Some(series) = self.series.iter_mut().find(same) {
            series.insert(at, q.value);
        } else {
            let key = SeriesKey {
                device,
                subject: subject.clone(),
                probe: probe.clone(),
                quantity: q.name.clone(),
            };
            self.series.push(Series::new(key, q.unit, [(at, q.value)]));
        }
    }

    /// Only the checks that are wanted, by probe and subject.
    pub fn keep_checks(&mut self, wanted: impl Fn(&Name, &Name) -> bool) {
        self.checks.retain(|(probe, subject), _| wanted(probe, subject));
    }

    /// Whether a check was ever other than good.
    pub fn was_bad(&self, probe: &Name, subject: &Name) -> bool {
        let told = self.checks.get(&(probe.clone(), subject.clone()));
        told.is_some_and(|told| told.values().any(|state| *state != CheckState::Ok))
    }

    /// Leaves out the checks that were good all along: nothing comes of them.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.checks.retain(|_, told| told.values().any(|state| *state != CheckState::Ok));
        self
    }
}

impl<'a> Bench<'a> {
    /// What the rule says at each time of which the device told since the last evaluation, the oldest
    /// first; by subject. Nothing where the newest says it all.
    pub fn interim(&self, interim: &'a Interim) -> BTreeMap<Name, Vec<(Timestamp, Judgement)>> {
        match &self.rule.when {
            When::Check(when) => {
                let states = (&when.states, &when.critical_states);
                self.checks_of(interim, |probe| *probe == when.probe, |_, subject| subject.clone(), states)
            }
            When::OtherCheck(when) => {
                let states = (&when.states, &when.critical_states);
                self.checks_of(interim, |probe| !when.except.contains(probe), other_subject, states)
            }
            When::Threshold(when) => {
                let own = |s: &&Series| s.key.probe == when.probe && s.key.quantity == when.quantity;
                interim
                    .series
                    .iter()
                    .filter(own)
                    .map(|series| {
                        let points = series.points().iter().map(|(at, value): &Point| (at, value));
                        // With what else came at the time.
                        let judged = Bench { series: &interim.series, ..*self }
                            .at_each(points, |then, _| then.threshold(when, series));
                        (series.key.subject.clone(), judged)
                    })
                    .collect()
            }
            When::Forecast(_)
            | When::Wear(_)
            | When::FailureRisk(_)
            | When::PatternFile(_)
            | When::Patches(_)
            | When::ClockSkew(_)
            | When::SilentDevice(_)
            | When::SilentHospital(_)
            | When::IdentityDoubt(_)
            | When::Anomaly(_) => BTreeMap::new(),
        }
    }

    /// Of the checks of these probes, each under what it is called.
    fn checks_of(
        &self,
        interim: &Interim,
        is_own: impl Fn(&Name) -> bool,
        called: impl Fn(&Name, &Name) -> Name,
        states: (&BTreeSet<CheckState>, &BTreeSet<CheckState>),
    ) -> BTreeMap<Name, Vec<(Timestamp, Judgement)>> {
        let own = interim.checks.iter().filter(|((probe, _), _)| is_own(probe));
        own.map(|((probe, subject), told)| {
            let called = called(probe, subject);
            let judged = self.at_each(told.iter(), |then, state| {
                let (probe, subject, at) = (probe.clone(), subject.clone(), then.as_of);
                Some(then.check(&CheckInput { probe, subject, state: *state, at }, &called, states))
            });
            (called, judged)
        })
        .collect()
    }

    fn at_each<'t, T: 't>(
        &self,
        told: impl ExactSizeIterator<Item = (&'t Timestamp, &'t T)> + Clone,
        judge: impl Fn(&Self, &T) -> Option<Judgement>,
    ) -> Vec<(Timestamp, Judgement)> {
        let is_newest_alone = told.len() == 1 && told.clone().all(|(at, _)| !self.is_old(*at));
        if is_newest_alone {
            return Vec::new();
        }
        // A clock that is ahead told it no later than now.
        let then = |at: &Timestamp| Bench { as_of: (*at).min(self.as_of), ..*self };
        told.filter_map(|(at, what)| Some((*at, judge(&then(at), what)?))).collect()
    }
}
