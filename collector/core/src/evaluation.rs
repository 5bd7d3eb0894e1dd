//! From what is known to what is to be done: the shell's only door to rules, forecasts,
//! findings, incidents and notices.
//!
//! Holds: deterministic (the same input gives the same output, whatever the order of devices) and
//! idempotent (evaluating again on its own output gives no new notice). Each device is judged
//! from its own data alone, so nothing of one hospital changes anything of another (SLA A6.1(3)).
//!
//! The shell loads what [`RuleSet::numbers`] and, where forecasts are due, [`RuleSet::needs`] name, calls
//! [`evaluate`], and in one transaction
//! replaces the conditions of the devices it passed, saves the changed incidents and queues the
//! notices. A device that is not passed is left alone.

mod late;

use crate::{
    desk::{
        alert,
        care::{Care, Cares},
        cause::{self, Outage, Scene},
        damage::PartSeen,
        finding::{Condition, ConditionKey, Finding, Holds, Progress, Verdict, advance},
        incident::Incident,
        interim::Interim,
        judgement::{Bench, Judgement},
        notice::{IncidentId, Notice},
        rule::{Rule, RuleSet},
        scorecard::Prediction,
        silence::Silence,
    },
    intake::{
        device_state::{DeviceState, Uptime, judge},
        ledger::QuarantineReason,
    },
    predict::{forecast::Outcome, series::Series, watch::Noted},
    sla::calendar::ServiceCalendar,
    stream::IncidentAction,
};
use late::CaughtUp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tenken_common::{
    fact::Fact,
    id::{DeviceId, HospitalId, Name},
    observation::CheckState,
    time::Timestamp,
};

/// Everything that is known.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationInput<'a> {
    pub as_of: Timestamp,
    pub rules: &'a RuleSet,
    /// When the collector was up, back to where any device was last heard (else at least a week).
    pub uptime: &'a Uptime,
    pub devices: &'a [DeviceInput],
    /// As the last evaluation gave them.
    pub conditions: &'a [Condition],
    /// All that are not closed.
    pub incidents: &'a [Incident],
    /// What was agreed with the hospitals.
    pub cares: &'a Cares,
    /// Of whom nobody is to be told for now.
    pub silences: &'a [Silence],
    /// What people did since the last evaluation.
    pub actions: &'a [IncidentAction],
    /// Those that are not judged yet.
    pub predictions: &'a [Prediction],
}

/// One device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInput {
    pub device: DeviceId,
    pub hospital: HospitalId,
    /// What people call it.
    pub label: Name,
    pub group: Option<Name>,
    pub identity: Identity,
    pub expected_interval: Duration,
    /// Commit time of its newest envelope.
    pub last_received: Option<Timestamp>,
    pub clock: Option<ClockReading>,
    /// Whether what needs a history is asked this time (forecasts, wear, failure risks); otherwise those
    /// conditions stand as they are.
    pub forecasts_due: bool,
    /// The newest numbers that rules look at, with their history where forecasts are due.
    pub series: Vec<Series>,
    /// The newest of each probe and subject.
    pub checks: Vec<CheckInput>,
    /// Of every episode of which one came within the time that its rule says.
    pub anomalies: Vec<Noted>,
    /// The newest that it said of each part, product and source of patches.
    pub facts: Vec<FactInput>,
    /// All that it told since the last evaluation.
    pub interim: Interim,
    /// The hospital's working days.
    pub calendar: Arc<ServiceCalendar>,
}

/// Whether it is the device that the hospital approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// Since when nothing more is taken from it, and why.
    pub quarantined: Option<(Timestamp, QuarantineReason)>,
    /// Since when somebody else seems to have its identity.
    pub clone_suspected: Option<Timestamp>,
}

impl Identity {
    /// Whether what comes from it is taken.
    pub fn is_sure(&self) -> bool {
        self.quarantined.is_none()
    }
}

/// Server time minus the device's wall time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReading {
    pub offset_s: f64,
    pub uncertainty_s: f64,
}

/// What a device last said of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FactInput {
    pub subject: Name,
    pub at: Timestamp,
    pub fact: Fact,
}

/// A judgement that the device made itself.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckInput {
    pub probe: Name,
    pub subject: Name,
    pub state: CheckState,
    pub at: Timestamp,
}

/// Everything that follows. All lists are in a fixed order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub device_states: BTreeMap<DeviceId, DeviceState>,
    /// What is wrong now.
    pub findings: Vec<Finding>,
    pub forecasts: Vec<ForecastResult>,
    /// Parts whose damage was looked at.
    pub parts: Vec<PartSeen>,
    /// All of the devices that were passed.
    pub conditions: Vec<Condition>,
    /// New or changed.
    pub incidents: Vec<Incident>,
    pub notices: Vec<Notice>,
    /// New, acted on or judged.
    pub predictions: Vec<Prediction>,
}

/// One forecast with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastResult {
    pub device: DeviceId,
    pub rule: Name,
    pub subject: Name,
    pub quantity: Name,
    pub value: f64,
    pub limit: f64,
    pub outcome: Outcome,
}

impl ForecastResult {
    /// From `as_of` to the crossing; 0 where it is reached.
    pub fn days_left(&self, as_of: Timestamp) -> Option<f64> {
        match self.outcome {
            Outcome::Crossing(c) => Some(c.at.saturating_since(as_of).as_secs_f64() / 86_400.0),
            Outcome::AlreadyReached => Some(0.0),
            Outcome::Refused(_) => None,
        }
    }
}

/// See the module's head.
pub fn evaluate(input: &EvaluationInput) -> Evaluation {
    let mut conditions: BTreeMap<DeviceId, BTreeMap<ConditionKey, Condition>> = BTreeMap::new();
    for condition in input.conditions {
        let of_device = conditions.entry(condition.key.device).or_default();
        of_device.insert(condition.key.clone(), condition.clone());
    }
    let mut incidents: BTreeMap<DeviceId, Vec<Incident>> = BTreeMap::new();
    for incident in input.incidents {
        incidents.entry(incident.device).or_default().push(incident.clone());
    }
    let devices: BTreeMap<DeviceId, &DeviceInput> = input.devices.iter().map(|d| (d.device, d)).collect();
    let state = |d: &DeviceInput| judge(d.last_received, d.expected_interval, input.as_of, input.uptime);
    let states = devices.iter().map(|(id, device)| (*id, state(device))).collect();
    let outages = cause::outages(Scene {
        rules: input.rules,
        devices: &devices,
        states: &states,
        conditions: input.conditions,
        incidents: input.incidents,
    });
    let mut out = Evaluation { device_states: states, ..Evaluation::default() };
    let mut of_group: BTreeMap<Option<&Name>, RuleSet> = BTreeMap::new();
    for (id, device) in devices {
        let before = incidents.remove(&id).unwrap_or_default();
        let group = device.group.as_ref();
        let ward = Ward {
            input,
            rules: of_group.entry(group).or_insert_with(|| input.rules.for_group(group)),
            device,
            state: state(device),
            outage: outages.get(&device.hospital),
            conditions: conditions.remove(&id).unwrap_or_default(),
            incidents: before.clone(),
        };
        ward.evaluate(&before, &mut out);
    }
    out
}

/// One device while it is judged.
struct Ward<'a> {
    input: &'a EvaluationInput<'a>,
    /// For its group.
    rules: &'a RuleSet,
    device: &'a DeviceInput,
    state: DeviceState,
    outage: Option<&'a Outage>,
    /// Of the last evaluation; taken out as they are judged.
    conditions: BTreeMap<ConditionKey, Condition>,
    incidents: Vec<Incident>,
}

impl Ward<'_> {
    fn evaluate(mut self, before: &[Incident], out: &mut Evaluation) {
        self.apply_actions();
        for rule in &self.rules.rules {
            for (judgement, told) in self.judgements(rule, out) {
                self.step(rule, judgement, &told, out);
            }
        }
        for incident in &mut self.incidents {
            incident.close_if_done(self.input.as_of, self.rules.flap_window.0);
        }
        self.incidents.sort_by_key(|i| i.id);
        self.keep_score(before, out);
        let cares = self.input.cares.get(&self.device.hospital).map_or(&[][..], Vec::as_slice);
        let care = Care::for_device(cares, &self.device.label, self.device.group.as_ref());
        for mut after in self.incidents {
            let before = before.iter().find(|b| b.id == after.id);
            let by = (self.rules, self.input.silences);
            out.notices.extend(alert::decide(&mut after, by, care, self.input.as_of));
            if before != Some(&after) {
                out.incidents.push(after);
            }
        }
    }

    /// Notes what alerts foretell, and judges those whose time has come.
    fn keep_score(&self, before: &[Incident], out: &mut Evaluation) {
        let (id, as_of) = (self.device.device, self.input.as_of);
        let parts = || out.parts.iter().filter(|part| part.prospect.device == id);
        let told = || {
            let forecasts = out.forecasts.iter().filter(|f| f.device == id);
            forecasts.chain(parts().map(|part| &part.prospect))
        };
        let mut pending: BTreeMap<IncidentId, Prediction> = self
            .input
            .predictions
            .iter()
            .filter(|p| p.device == id)
            .map(|p| (p.incident, p.clone()))
            .collect();
        for incident in self.incidents.iter().filter(|i| i.is_open()) {
            let was_open = before.iter().any(|b| b.id == incident.id && b.is_open());
            let about = |f: &&ForecastResult| f.rule == incident.rule && f.subject == incident.subject;
            let foretold = told().find(about);
            if let Some(prediction) =
                foretold.filter(|_| !was_open).and_then(|f| foretell(incident, f, as_of))
            {
                pending.entry(incident.id).or_insert(prediction);
            }
        }
        for (incident, mut prediction) in pending {
            let acted = self.input.actions.iter().filter(|a| a.incident == incident).map(|a| a.at).min();
            // Whoever puts another part in its place acts too.
            let replaced = parts().find(|part| prediction.is_about(&part.prospect)).map(|part| part.since);
            let replaced = replaced.filter(|since| *since > prediction.alerted);
            prediction.acted = prediction.acted.or(acted).or(replaced);
            let now = told().find(|f| prediction.is_about(f));
            prediction.judged = now.and_then(|f| prediction.judge(f, as_of, &self.device.calendar));
            if !self.input.predictions.contains(&prediction) {
                out.predictions.push(prediction);
            }
        }
    }

    fn apply_actions(&mut self) {
        let mut actions: Vec<&IncidentAction> = self.input.actions.iter().collect();
        actions.sort_by_key(|a| (a.at, a.step));
        for action in actions {
            let Some(incident) = self.incidents.iter_mut().find(|i| i.id == action.incident) else {
                continue;
            };
            if incident.apply(action) {
                for rule in [&incident.rule].into_iter().chain(&incident.joined) {
                    let key = ConditionKey {
                        device: incident.device,
                        rule: rule.clone(),
                        subject: incident.subject.clone(),
                    };
                    // Whatever is still there begins anew now, and not with its old evidence.
                    let anew = Condition {
                        key: key.clone(),
                        since: self.input.as_of,
                        pending_from: self.input.as_of,
                        active: false,
                        gone_from: None,
                    };
                    self.conditions.insert(key, anew);
                }
            }
        }
    }

    /// One for each subject that is seen now, was told of since or has a condition; with those of the time
    /// since the last evaluation.
    fn judgements(&self, rule: &Rule, out: &mut Evaluation) -> Vec<(Judgement, Vec<(Timestamp, Judgement)>)> {
        let (device, state, outage) = (self.device, self.state, self.outage);
        let bench = Bench { rule, device, series: &device.series, state, outage, as_of: self.input.as_of };
        let mut interim = bench.interim(&device.interim);
        let mut of_subject: BTreeMap<Name, Judgement> = BTreeMap::new();
        let with_condition = self.conditions.keys().filter(|k| k.rule == rule.id).map(|k| &k.subject);
        for subject in with_condition.chain(interim.keys()) {
            of_subject.insert(subject.clone(), bench.unseen(subject));
        }
        for judgement in bench.judge(&mut out.forecasts, &mut out.parts) {
            of_subject.insert(judgement.subject.clone(), judgement);
        }
        let with_told = |judgement: Judgement| {
            let told = interim.remove(&judgement.subject).unwrap_or_default();
            (judgement, told)
        };
        of_subject.into_values().map(with_told).collect()
    }

    fn step(
        &mut self,
        rule: &Rule,
        judgement: Judgement,
        told: &[(Timestamp, Judgement)],
        out: &mut Evaluation,
    ) {
        let (as_of, flap_window) = (self.input.as_of, self.rules.flap_window.0);
        let key = ConditionKey {
            device: self.device.device,
            rule: rule.id.clone(),
            subject: judgement.subject.clone(),
        };
        let open = self.incidents.iter().find(|i| i.is_open() && is_about(i, &key));
        // An open incident whose condition was lost is as good as its condition.
        let before = self.conditions.remove(&key).or_else(|| {
            open.map(|incident| Condition {
                key: key.clone(),
                since: incident.first_seen,
                pending_from: incident.first_seen,
                active: true,
                gone_from: None,
            })
        });
        let kin = cause::kin(&self.rules.rules, rule);
        let is_kin = |i: &Incident| i.is_open() && i.subject == key.subject && kin.contains(&i.rule);
        let flapping = self.incidents.iter().any(|i| is_kin(i) && i.is_flapping());
        let resolve = if flapping { rule.resolve_hold.0.max(flap_window) } else { rule.resolve_hold.0 };
        let (verdict, holds) = (judgement.verdict, Holds { hold: rule.hold.0, resolve });
        let before = match self.catch_up((rule, &key, &kin), before, (&judgement, told), holds) {
            CaughtUp::Goes(before) => before,
            // It is told as there before it can be over.
            CaughtUp::Passed(condition) => return out.conditions.push(condition),
        };
        match advance(before, &key, verdict, as_of, holds) {
            Progress::Absent => {}
            Progress::Pending(condition) => out.conditions.push(condition),
            Progress::Over { gone_from } => {
                // It is over when no rule finds it any more.
                let holds =
                    |c: &&Condition| c.active && c.key.subject == key.subject && kin.contains(&c.key.rule);
                let here = out.conditions.iter().filter(|c| c.key.device == key.device);
                if !self.conditions.values().chain(here).any(|c| holds(&c))
                    && let Some(incident) = self.incidents.iter_mut().find(|i| is_kin(i))
                {
                    incident.recover(gone_from);
                }
            }
            Progress::Active(condition) => {
                if matches!(verdict, Verdict::True { .. } | Verdict::Between) {
                    let finding = self.finding(rule, judgement, &condition);
                    self.report(&finding, &kin);
                    out.findings.push(finding);
                }
                out.conditions.push(condition);
            }
        }
    }

    fn finding(&self, rule: &Rule, judgement: Judgement, condition: &Condition) -> Finding {
        let mut values = judgement.values;
        values.same("device", &self.device.label);
        values.same("hospital", &self.device.hospital);
        values.same("subject", &judgement.subject);
        values.minute("since", condition.since);
        Finding {
            rule: rule.id.clone(),
            device: self.device.device,
            severity: judgement.severity,
            since: condition.since,
            last: self.input.as_of,
            over: None,
            affected: judgement.affected,
            numbers: judgement.numbers,
            finding: values.fill(&rule.summary),
            action: values.fill(&rule.action),
            subject: judgement.subject,
        }
    }

    /// Updates the open incident, or continues the one that has just recovered, or opens one.
    fn report(&mut self, finding: &Finding, kin: &BTreeSet<&Name>) {
        let (as_of, flap_window) = (self.input.as_of, self.rules.flap_window.0);
        let same = |i: &&mut Incident| kin.contains(&i.rule) && i.subject == finding.subject;
        if let Some(open) = self.incidents.iter_mut().filter(same).find(|i| i.is_open()) {
            open.update(finding, as_of);
        } else if let Some(back) =
            self.incidents.iter_mut().filter(same).find(|i| i.continues_at(finding.since, flap_window))
        {
            back.reopen(finding, as_of);
        } else {
            let (hospital, label) = (self.device.hospital.clone(), self.device.label.clone());
            self.incidents.push(Incident::open(finding, hospital, label, as_of));
        }
    }
}

/// Nothing where the forecast has no date to be held to.
fn foretell(incident: &Incident, f: &ForecastResult, as_of: Timestamp) -> Option<Prediction> {
    let (at, low, high) = match f.outcome {
        Outcome::Crossing(c) => (c.at, c.low, c.high),
        Outcome::AlreadyReached => (as_of, as_of, as_of),
        Outcome::Refused(_) => return None,
    };
    Some(Prediction {
        incident: incident.id,
        hospital: incident.hospital.clone(),
        device: incident.device,
        label: incident.label.clone(),
        rule: incident.rule.clone(),
        subject: incident.subject.clone(),
        quantity: f.quantity.clone(),
        alerted: as_of,
        at,
        low,
        high,
        acted: None,
        judged: None,
    })
}

fn is_about(incident: &Incident, key: &ConditionKey) -> bool {
    incident.rule == key.rule && incident.subject == key.subject
}

#[cfg(test)]
mod tests;
