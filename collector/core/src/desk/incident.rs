//! An [`Incident`]: the contract's object. Detected, acknowledged, its first response reported,
//! recovered, closed; each step with its time and who did it, as the response clock of the SLA
//! (A4.1(2)②) is read from them.
//!
//! Holds: of one device, cause and subject at most one incident is open at a time; what another rule
//! finds of the same cause joins it. A problem that
//! comes back within the flap window continues its incident ([`Step::Reopened`]). Severity never
//! falls while it is open. A closed incident does not change.
//!
//! Closing: a person may close at any time; a problem that is still there then makes a new
//! incident after its hold. By itself an incident closes once it has been recovered for the flap
//! window, unless it was critical (an SLA severity) and its first response is not reported: that
//! clock goes on, and only people stop it.

use super::{
    alert::{Decision, Outcome},
    finding::Finding,
    notice::{Bilingual, IncidentId, Severity},
};
use crate::stream::{IncidentAction, IncidentStep};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{
    id::{DeviceId, Hash, HospitalId, Name},
    message::Message,
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub hospital: HospitalId,
    pub device: DeviceId,
    /// What people call the device.
    pub label: Name,
    pub rule: Name,
    pub subject: Name,
    pub phase: Phase,
    /// The worst since it was opened or reopened.
    pub severity: Severity,
    /// The worst of all episodes: what the SLA's response clock goes by.
    pub worst: Severity,
    /// When the problem was first there, of the present episode where it was reopened.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Until when the present episode was there, where it was over before anybody could know of it.
    #[serde(default)]
    pub over: Option<Timestamp>,
    /// In the order in which they became known.
    pub events: Vec<IncidentEvent>,
    /// The devices that it speaks for, by what people call them; none: its own only.
    #[serde(default)]
    pub affected: BTreeMap<DeviceId, Name>,
    /// Other rules that found the same.
    #[serde(default)]
    pub joined: BTreeSet<Name>,
    /// What people were told, and what not, and why.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    pub numbers: BTreeMap<String, f64>,
    pub finding: Bilingual,
    pub action: Bilingual,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Open,
    /// The problem is gone; people may still have to report.
    Recovered,
    Closed,
}

/// Something happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEvent {
    pub at: Timestamp,
    pub step: Step,
    /// `None` for what the collector found itself.
    pub worker: Option<Name>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Detected,
    Escalated,
    Acknowledged,
    /// The cause was investigated and reported; this stops the response clock.
    FirstResponseReported,
    Recovered,
    /// The problem came back within the flap window.
    Reopened,
    Closed,
}

impl Phase {
    pub fn message(self) -> Message {
        match self {
            Self::Open => Message::PhaseOpen,
            Self::Recovered => Message::PhaseRecovered,
            Self::Closed => Message::PhaseClosed,
        }
    }
}

impl Step {
    pub fn message(self) -> Message {
        match self {
            Self::Detected => Message::StepDetected,
            Self::Escalated => Message::StepEscalated,
            Self::Acknowledged => Message::StepAcknowledged,
            Self::FirstResponseReported => Message::StepReported,
            Self::Recovered => Message::StepRecovered,
            Self::Reopened => Message::StepReopened,
            Self::Closed => Message::StepClosed,
        }
    }
}

impl IncidentId {
    /// The first 53 bits (which JSON numbers carry exactly) of a hash of what it is about.
    pub fn derive(device: DeviceId, rule: &Name, subject: &Name, first_seen: Timestamp) -> Self {
        let key = format!("incident v1 {device} {rule} {subject} {}", first_seen.as_micros());
        let first = Hash::of(key.as_bytes()).0.into_iter().take(8);
        Self(first.fold(0u64, |id, byte| (id << 8) | u64::from(byte)) >> 11)
    }
}

impl Incident {
    /// Detection is `as_of`: when the collector could know.
    pub fn open(finding: &Finding, hospital: HospitalId, label: Name, as_of: Timestamp) -> Self {
        Self {
            id: IncidentId::derive(finding.device, &finding.rule, &finding.subject, finding.since),
            hospital,
            device: finding.device,
            label,
            rule: finding.rule.clone(),
            subject: finding.subject.clone(),
            phase: Phase::Open,
            severity: finding.severity,
            worst: finding.severity,
            first_seen: finding.since,
            last_seen: finding.last,
            over: finding.over,
            events: vec![IncidentEvent { at: as_of, step: Step::Detected, worker: None }],
            affected: finding.affected.clone(),
            joined: BTreeSet::new(),
            decisions: Vec::new(),
            numbers: finding.numbers.clone(),
            finding: finding.finding.clone(),
            action: finding.action.clone(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// It went away and came back at least once: it is only gone after a longer rest.
    pub fn is_flapping(&self) -> bool {
        self.last(Step::Reopened).is_some()
    }

    /// When a step was last taken.
    pub fn last(&self, step: Step) -> Option<Timestamp> {
        self.events.iter().rev().find(|e| e.step == step).map(|e| e.at)
    }

    /// What was decided since the problem was there, or there again.
    pub fn episode(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|d| d.first_seen == self.first_seen)
    }

    /// The worst that people were told of the present episode.
    pub fn told(&self) -> Option<Severity> {
        let told = self.episode().filter(|d| d.outcome == Outcome::Sent && !d.news.is_end());
        told.map(|d| d.severity).max()
    }

    /// Why nobody was told of the present episode yet, where that was decided.
    pub fn untold(&self) -> Option<&Decision> {
        self.episode().last().filter(|_| self.told().is_none())
    }

    /// Whether the end of the present episode was told, or found not worth telling.
    pub fn is_end_decided(&self) -> bool {
        self.episode().any(|d| d.news.is_end())
    }

    /// The same problem, seen again. What another rule says of it counts where it is worse.
    pub fn update(&mut self, finding: &Finding, as_of: Timestamp) {
        let is_worse = finding.severity > self.severity;
        if is_worse {
            self.severity = finding.severity;
            self.note(as_of, Step::Escalated);
        }
        self.worst = self.worst.max(finding.severity);
        self.last_seen = self.last_seen.max(finding.last);
        self.over = self.over.and(finding.over);
        self.affected.extend(finding.affected.iter().map(|(id, label)| (*id, label.clone())));
        if finding.rule != self.rule {
            self.joined.insert(finding.rule.clone());
        }
        if finding.rule == self.rule || is_worse {
            self.numbers.clone_from(&finding.numbers);
            self.finding.clone_from(&finding.finding);
            self.action.clone_from(&finding.action);
        }
    }

    /// Whether a problem first seen at `since` continues this incident.
    pub fn continues_at(&self, since: Timestamp, flap_window: Duration) -> bool {
        let recovered = self.last(Step::Recovered);
        self.phase == Phase::Recovered
            && recovered.is_some_and(|at| since.saturating_since(at) <= flap_window)
    }

    pub fn reopen(&mut self, finding: &Finding, as_of: Timestamp) {
        // Later than any episode before, so that its notices are new ones.
        let after = self.last(Step::Recovered).map_or(finding.since, |at| at.plus_micros(1));
        self.first_seen = finding.since.max(after);
        self.phase = Phase::Open;
        self.severity = finding.severity;
        self.over = finding.over;
        self.note(as_of, Step::Reopened);
        self.update(finding, as_of);
    }

    pub fn recover(&mut self, gone_from: Timestamp) {
        if self.is_open() {
            self.phase = Phase::Recovered;
            self.note(gone_from, Step::Recovered);
        }
    }

    /// Closes what needs no person any more; see the module's head.
    pub fn close_if_done(&mut self, as_of: Timestamp, flap_window: Duration) {
        let Some(recovered) = self.last(Step::Recovered) else { return };
        let responded = self.worst < Severity::Critical || self.last(Step::FirstResponseReported).is_some();
        if self.phase == Phase::Recovered && responded && as_of.saturating_since(recovered) > flap_window {
            self.phase = Phase::Closed;
            self.note(as_of, Step::Closed);
        }
    }

    /// What a person did. The same told twice is one event. Returns whether this closed an
    /// incident whose problem was still there.
    pub fn apply(&mut self, action: &IncidentAction) -> bool {
        let step = match action.step {
            IncidentStep::Acknowledged => Step::Acknowledged,
            IncidentStep::FirstResponseReported => Step::FirstResponseReported,
            IncidentStep::Closed => Step::Closed,
        };
        let event = IncidentEvent { at: action.at, step, worker: Some(action.worker.clone()) };
        if self.phase == Phase::Closed || self.events.contains(&event) {
            return false;
        }
        self.events.push(event);
        let was_open = self.is_open();
        if step == Step::Closed {
            self.phase = Phase::Closed;
        }
        was_open && step == Step::Closed
    }

    fn note(&mut self, at: Timestamp, step: Step) {
        self.events.push(IncidentEvent { at, step, worker: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_hours(1);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(minutes * 60)
    }

    fn finding(severity: Severity, minute: i64) -> Finding {
        let both = Bilingual { ja: "異常".into(), en: "bad".into() };
        Finding {
            rule: Name::new("r").unwrap(),
            device: DeviceId([1; 16]),
            subject: Name::new("s").unwrap(),
            severity,
            since: at(minute),
            last: at(minute),
            affected: BTreeMap::new(),
            over: None,
            numbers: BTreeMap::new(),
            finding: both.clone(),
            action: both,
        }
    }

    fn opened(severity: Severity) -> Incident {
        let hospital = HospitalId(Name::new("h").unwrap());
        Incident::open(&finding(severity, 0), hospital, Name::new("ct-1").unwrap(), at(1))
    }

    fn act(step: IncidentStep, minute: i64) -> IncidentAction {
        let incident = opened(Severity::Critical).id;
        IncidentAction { incident, step, worker: Name::new("w-7").unwrap(), at: at(minute) }
    }

    #[test]
    fn the_identity_follows_from_what_it_is_about() {
        let one = opened(Severity::Critical);
        assert_eq!(one.id, opened(Severity::Info).id);
        assert!(one.id.0 < 1 << 53);
        assert_ne!(one.id, IncidentId::derive(one.device, &one.rule, &one.subject, at(1)));
    }

    #[test]
    fn a_critical_one_waits_for_its_first_response() {
        let mut incident = opened(Severity::Critical);
        incident.apply(&act(IncidentStep::Acknowledged, 2));
        incident.recover(at(10));
        incident.close_if_done(at(9_000), WINDOW);
        assert_eq!(incident.phase, Phase::Recovered);
        incident.apply(&act(IncidentStep::FirstResponseReported, 9_001));
        incident.close_if_done(at(9_002), WINDOW);
        assert_eq!((incident.phase, incident.last(Step::Closed)), (Phase::Closed, Some(at(9_002))));
        let steps: Vec<Step> = incident.events.iter().map(|e| e.step).collect();
        let expected =
            [Step::Detected, Step::Acknowledged, Step::Recovered, Step::FirstResponseReported, Step::Closed];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_warning_closes_by_itself_after_the_flap_window() {
        let mut incident = opened(Severity::Warning);
        incident.recover(at(10));
        incident.close_if_done(at(70), WINDOW);
        assert_eq!(incident.phase, Phase::Recovered);
        assert!(incident.continues_at(at(70), WINDOW) && !incident.continues_at(at(71), WINDOW));
        incident.close_if_done(at(71), WINDOW);
        assert_eq!(incident.phase, Phase::Closed);
    }

    #[test]
    fn an_escalated_one_stays_critical_for_the_clock() {
        let mut incident = opened(Severity::Warning);
        incident.update(&finding(Severity::Critical, 5), at(5));
        incident.update(&finding(Severity::Warning, 6), at(6));
        assert_eq!((incident.severity, incident.last(Step::Escalated)), (Severity::Critical, Some(at(5))));
        incident.recover(at(10));
        incident.reopen(&finding(Severity::Warning, 20), at(21));
        incident.recover(at(30));
        incident.close_if_done(at(9_000), WINDOW);
        assert_eq!(incident.phase, Phase::Recovered);
    }

    #[test]
    fn a_persons_step_counts_once_and_a_closed_incident_does_not_change() {
        let mut incident = opened(Severity::Critical);
        assert!(!incident.apply(&act(IncidentStep::Acknowledged, 2)));
        assert!(!incident.apply(&act(IncidentStep::Acknowledged, 2)));
        assert_eq!(incident.events.len(), 2);
        assert!(incident.apply(&act(IncidentStep::Closed, 3)), "its problem was still there");
        let closed = incident.clone();
        assert!(!incident.apply(&act(IncidentStep::Closed, 4)));
        incident.recover(at(5));
        assert_eq!(incident, closed);
    }
}
