//! Detections made anew: which incidents devices' own checks have to have made, whether or not
//! anybody answered them.
//!
//! Holds: it is the collector's own evaluation, at the same ticks, over what the devices signed, by
//! the rules in the file that judge checks. Only what must have been detected is told: of a device
//! that 甲 had approved, that was never in doubt, rejoined nor revoked, and of a check that had been
//! good for longer than an incident before it could have gone on.
//!
//! Does not: know of forecasts, thresholds and silence, nor of checks that a rule covers, as they
//! belong to what that rule found before; nor of the time before the first rules in the file.

use crate::{
    desk::{
        care::Cares,
        finding::Condition,
        incident::{Incident, Phase},
        interim::Interim,
        rule::{CheckIs, OtherCheck, Rule, RuleSet, When},
    },
    evaluation::{CheckInput, DeviceInput, EvaluationInput, Identity, evaluate},
    intake::device_state::{Stretch, Uptime, judge},
    sla::heartbeat::HeartbeatRuns,
    stream::{Enrolled, IncidentAction},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tenken_common::{
    batch::Batch,
    id::{DeviceId, HospitalId, Name},
    observation::{Body, CheckState},
    time::Timestamp,
};

/// How often a device reports where it does not say, and what it may say, as the evaluation has it.
const INTERVAL_S: (f64, f64, f64) = (60.0, 1.0, 86_400.0);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Detector {
    text: String,
    rules: Option<RuleSet>,
    /// The same for devices of a group.
    of_group: BTreeMap<Option<Name>, RuleSet>,
    wards: BTreeMap<DeviceId, Ward>,
    /// What people did since the last tick.
    actions: Vec<IncidentAction>,
}

#[derive(Debug)]
struct Ward {
    hospital: HospitalId,
    label: Name,
    group: Option<Name>,
    approved: bool,
    /// Nothing is told of it.
    left_out: bool,
    received: Option<Timestamp>,
    interval: Option<(Timestamp, f64)>,
    checks: BTreeMap<(Name, Name), Check>,
    conditions: Vec<Condition>,
    incidents: Vec<Incident>,
    /// Something came since the last tick.
    touched: bool,
    /// What that was.
    interim: Interim,
}

#[derive(Debug, Clone, Copy)]
struct Check {
    state: CheckState,
    at: Timestamp,
    /// From which tick on it was good; it counts once that is long enough.
    good_from: Option<Timestamp>,
    counts: bool,
}

impl Detector {
    /// The rules by which later ticks are evaluated; others than before begin anew.
    pub(super) fn use_rules(&mut self, text: &str) {
        if self.text == text {
            return;
        }
        text.clone_into(&mut self.text);
        self.rules = RuleSet::parse(text).ok().map(|mut rules| {
            let covered: BTreeSet<Name> =
                rules.rules.iter_mut().flat_map(|rule| std::mem::take(&mut rule.covers)).collect();
            let judges_checks = |when: &When| matches!(when, When::Check(_) | When::OtherCheck(_));
            rules.rules.retain(|rule| judges_checks(&rule.when) && !covered.contains(&rule.id));
            rules
        });
        self.of_group.clear();
        for ward in self.wards.values_mut() {
            ward.begin_anew();
        }
    }

    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    pub(super) fn enroll(&mut self, enrolled: &Enrolled) {
        let ward = Ward {
            hospital: enrolled.hospital.clone(),
            label: enrolled.label.clone(),
            group: enrolled.group.clone(),
            approved: false,
            left_out: false,
            received: None,
            interval: None,
            checks: BTreeMap::new(),
            conditions: Vec::new(),
            incidents: Vec::new(),
            touched: false,
            interim: Interim::default(),
        };
        self.wards.insert(enrolled.device, ward);
    }

    pub(super) fn approve(&mut self, device: DeviceId) {
        if let Some(ward) = self.wards.get_mut(&device).filter(|ward| !ward.approved) {
            ward.approved = true;
            ward.begin_anew();
        }
    }

    pub(super) fn leave_out(&mut self, device: DeviceId) {
        if let Some(ward) = self.wards.get_mut(&device) {
            ward.left_out = true;
        }
    }

    pub(super) fn act(&mut self, action: &IncidentAction) {
        self.actions.push(action.clone());
    }

    /// A stub, of which only that it came is known.
    pub(super) fn hear(&mut self, device: DeviceId, committed: Timestamp) {
        if let Some(ward) = self.wards.get_mut(&device) {
            ward.received = ward.received.max(Some(committed));
            ward.touched = true;
        }
    }

    pub(super) fn take(&mut self, batch: &Batch, committed: Timestamp) {
        self.hear(batch.device, committed);
        let Some(ward) = self.wards.get_mut(&batch.device) else { return };
        // Of numbers nothing is made anew.
        ward.interim.take(batch, &BTreeSet::new());
        for record in &batch.records {
            let o = &record.observation;
            let at = batch.corrected(o);
            match &o.body {
                Body::CheckResult(check) => ward.see(&check.probe, &o.subject, (check.state, at)),
                Body::SelfReport(report) => {
                    let mut said = report.quantities.iter();
                    let interval = said.find(|q| q.name.as_str() == "expected_interval_seconds");
                    if let Some(interval) = interval
                        && ward.interval.is_none_or(|(before, _)| before < at)
                    {
                        ward.interval = Some((at, interval.value));
                    }
                }
                Body::Sample(_) | Body::Fact(_) => {}
            }
        }
    }

    /// A tick of the evaluation.
    pub(super) fn tick(&mut self, as_of: Timestamp, heartbeats: &HeartbeatRuns) {
        let actions = std::mem::take(&mut self.actions);
        let Some(rules) = &self.rules else {
            self.wards.values_mut().for_each(|ward| ward.interim = Interim::default());
            return;
        };
        let mut uptime: Option<Uptime> = None;
        for (id, ward) in &mut self.wards {
            let interim = std::mem::take(&mut ward.interim);
            if !ward.approved || ward.left_out {
                continue;
            }
            if ward.is_still() && actions.is_empty() {
                continue;
            }
            let uptime = uptime.get_or_insert_with(|| {
                let runs = heartbeats.runs().iter();
                Uptime::new(runs.map(|run| Stretch { from: run.first, to: run.last.min(as_of) }))
            });
            let group = ward.group.as_ref();
            let rules = self.of_group.entry(group.cloned()).or_insert_with(|| rules.for_group(group));
            ward.tick(*id, (as_of, &*uptime), (rules, &actions), interim);
        }
    }

    /// Every incident that was detected so far.
    pub(super) fn incidents(&self) -> Vec<Incident> {
        let told = self.wards.values().filter(|ward| !ward.left_out);
        told.flat_map(|ward| ward.incidents.iter().cloned()).collect()
    }
}

impl Ward {
    /// What was there before is not known any more.
    fn begin_anew(&mut self) {
        for check in self.checks.values_mut() {
            (check.good_from, check.counts) = (None, false);
        }
        self.conditions.clear();
        self.incidents.clear();
        self.touched = true;
    }

    /// The newest by the device's time, as the projection takes it.
    fn see(&mut self, probe: &Name, subject: &Name, (state, at): (CheckState, Timestamp)) {
        let key = (probe.clone(), subject.clone());
        let check = self.checks.entry(key).or_insert(Check { state, at, good_from: None, counts: false });
        if at > check.at {
            (check.state, check.at) = (state, at);
        }
    }

    /// Whether nothing can come of a tick.
    fn is_still(&self) -> bool {
        let settled = self.checks.values().all(|check| check.counts);
        let open = self.incidents.iter().any(|incident| incident.phase != Phase::Closed);
        settled && !open && !self.touched && self.conditions.is_empty()
    }

    fn tick(
        &mut self,
        id: DeviceId,
        (as_of, uptime): (Timestamp, &Uptime),
        (rules, actions): (&RuleSet, &[IncidentAction]),
        mut interim: Interim,
    ) {
        let (default, least, most) = INTERVAL_S;
        let interval = self.interval.map_or(default, |(_, seconds)| seconds.clamp(least, most));
        let expected_interval = Duration::from_secs_f64(interval);
        let heard = judge(self.received, expected_interval, as_of, uptime).liveness.is_heard();
        for ((probe, subject), check) in self.checks.iter_mut().filter(|(_, check)| !check.counts) {
            let good = heard && is_good(probe, check, rules, as_of) && !interim.was_bad(probe, subject);
            check.good_from = good.then(|| check.good_from.unwrap_or(as_of));
            check.counts =
                check.good_from.is_some_and(|from| as_of.saturating_since(from) > rest(probe, rules));
        }
        self.touched = false;
        interim.keep_checks(|probe, subject| {
            self.checks.get(&(probe.clone(), subject.clone())).is_some_and(|check| check.counts)
        });
        let checks = self.checks.iter().filter(|(_, check)| check.counts).map(|((probe, subject), check)| {
            CheckInput { probe: probe.clone(), subject: subject.clone(), state: check.state, at: check.at }
        });
        let device = DeviceInput {
            device: id,
            hospital: self.hospital.clone(),
            label: self.label.clone(),
            group: self.group.clone(),
            identity: Identity::default(),
            expected_interval,
            last_received: self.received,
            clock: None,
            forecasts_due: false,
            series: Vec::new(),
            checks: checks.collect(),
            anomalies: Vec::new(),
            facts: Vec::new(),
            interim: interim.settled(),
            calendar: Arc::default(),
        };
        let open: Vec<Incident> =
            self.incidents.iter().filter(|incident| incident.phase != Phase::Closed).cloned().collect();
        let evaluation = evaluate(&EvaluationInput {
            as_of,
            rules,
            uptime,
            devices: std::slice::from_ref(&device),
            conditions: &self.conditions,
            incidents: &open,
            cares: &Cares::new(),
            silences: &[],
            actions,
            predictions: &[],
        });
        self.conditions = evaluation.conditions;
        for changed in evaluation.incidents {
            match self.incidents.iter_mut().find(|incident| incident.id == changed.id) {
                Some(incident) => *incident = changed,
                None => self.incidents.push(changed),
            }
        }
    }
}

/// Whether every rule that judges it finds it good.
fn is_good(probe: &Name, check: &Check, rules: &RuleSet, as_of: Timestamp) -> bool {
    judging(probe, rules).all(|(rule, states)| {
        let is_fresh = as_of.saturating_since(check.at) <= rule.age_max.0;
        is_fresh && check.state != CheckState::Unknown && !states.contains(&check.state)
    })
}

/// After being good for so long a check has no incident that could go on.
fn rest(probe: &Name, rules: &RuleSet) -> Duration {
    let flap = rules.flap_window.0;
    let longest = judging(probe, rules).map(|(rule, _)| rule.resolve_hold.0).max().unwrap_or_default();
    longest.max(flap).saturating_add(flap)
}

/// The rules that look at a check, with the states that they find bad.
fn judging<'r>(
    probe: &'r Name,
    rules: &'r RuleSet,
) -> impl Iterator<Item = (&'r Rule, &'r BTreeSet<CheckState>)> {
    rules.rules.iter().filter_map(move |rule| match &rule.when {
        When::Check(CheckIs { probe: of, states, .. }) if of == probe => Some((rule, states)),
        When::OtherCheck(OtherCheck { except, states, .. }) if !except.contains(probe) => {
            Some((rule, states))
        }
        When::Check(_)
        | When::OtherCheck(_)
        | When::PatternFile(_)
        | When::Patches(_)
        | When::Forecast(_)
        | When::Wear(_)
        | When::Threshold(_)
        | When::ClockSkew(_)
        | When::SilentDevice(_)
        | When::SilentHospital(_)
        | When::IdentityDoubt(_)
        | When::FailureRisk(_)
        | When::Anomaly(_) => None,
    })
}

#[cfg(test)]
mod tests;
