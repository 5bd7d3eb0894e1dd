//! Whether people are told of an incident, and why or why not: each news of it goes through dedupe,
//! flap damping, the hospital's planned stops, silences and the wait for an acknowledgement.
//!
//! Holds: what was decided stands in the incident, so that deciding again (after a crash, on a second
//! worker) decides nothing new. Of what began and ended within a planned stop or a silence nothing is
//! sent; what outlasts it is told at its end. Each decision has its reason.
//!
//! Does not: know outlets; which of them want a notice is [`super::route`]'s.

use super::{
    care::{Care, Hours},
    incident::{Incident, Phase, Step},
    notice::{Notice, NotifyReason, Severity},
    rule::{AckHours, RuleSet, Unacknowledged},
    silence::{Silence, SilenceId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenken_common::{
    message::{DeskText, Language},
    time::{Timestamp, jst_minute},
};

/// One decision about one news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub at: Timestamp,
    pub news: NotifyReason,
    pub severity: Severity,
    /// Of which episode of the incident.
    pub first_seen: Timestamp,
    /// The contract's hours at the time.
    pub hours: Option<Hours>,
    pub outcome: Outcome,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Told to those who want to hear of it.
    Sent,
    /// A planned stop goes on.
    Held { until: Timestamp },
    /// Somebody said that nobody is to be told for now.
    Silenced { silence: SilenceId, until: Timestamp },
    /// It was over before anybody was told.
    Untold,
}

impl Outcome {
    pub fn message(self) -> DeskText {
        match self {
            Self::Sent => DeskText::DecisionSent,
            Self::Held { .. } | Self::Silenced { .. } => DeskText::DecisionHeld,
            Self::Untold => DeskText::DecisionUntold,
        }
    }
}

impl Decision {
    /// It told that nobody took it on.
    fn is_unacknowledged(&self) -> bool {
        self.news == NotifyReason::Unacknowledged && self.outcome == Outcome::Sent
    }

    /// Why, in words.
    pub fn why(&self, language: Language) -> String {
        match self.outcome {
            Outcome::Sent => self.news.why().text(language).to_owned(),
            Outcome::Held { until } => DeskText::WhyHeld.fill_all(language, &[("until", jst_minute(until))]),
            Outcome::Silenced { silence, until } => {
                let (silence, until) = (silence.to_string(), jst_minute(until));
                DeskText::WhySilenced.fill_all(language, &[("silence", silence), ("until", until)])
            }
            Outcome::Untold => DeskText::WhyUntold.text(language).to_owned(),
        }
    }
}

/// Decides about an incident as it is now, and notes that in it; the notice where one is sent.
pub fn decide(
    incident: &mut Incident,
    (rules, silences): (&RuleSet, &[Silence]),
    care: Option<&Care>,
    as_of: Timestamp,
) -> Option<Notice> {
    let news = news(incident, rules, care, as_of)?;
    let told = incident.told();
    let window = care.and_then(|care| {
        let over = incident.over.and_then(|over| care.window_over(incident.first_seen, over));
        care.window(as_of).or(over)
    });
    let silence = silences.iter().filter(|s| s.covers(incident, as_of)).max_by_key(|s| (s.span.to, s.id));
    let outcome = match (news.is_end(), window, silence) {
        // Nobody waits for the end of what nobody was told of.
        (true, _, _) if told.is_none() => Outcome::Untold,
        // An end is told at once: who heard of the beginning waits for it.
        (true, _, _) | (false, None, None) => Outcome::Sent,
        (false, Some(window), _) => Outcome::Held { until: window.to },
        (false, None, Some(silence)) => Outcome::Silenced { silence: silence.id, until: silence.span.to },
    };
    let (severity, first_seen) = (incident.severity, incident.first_seen);
    let hours = care.map(|care| care.hours(as_of));
    let decision = Decision { at: as_of, news, severity, first_seen, hours, outcome };
    let same = |d: &Decision| Decision { at: as_of, hours, ..*d } == decision;
    if incident.episode().any(same) {
        return None;
    }
    incident.decisions.push(decision);
    (outcome == Outcome::Sent).then(|| notice(incident, &decision, care))
}

/// What is new of an incident since people were last told of this episode.
fn news(incident: &Incident, rules: &RuleSet, care: Option<&Care>, as_of: Timestamp) -> Option<NotifyReason> {
    let (told, ended) = (incident.told(), incident.is_end_decided());
    match incident.phase {
        Phase::Open => match told {
            None if incident.is_flapping() => Some(NotifyReason::Flapping),
            None => Some(NotifyReason::Opened),
            Some(severity) if incident.severity > severity => Some(NotifyReason::Escalated),
            Some(_) => rules
                .unacknowledged
                .as_ref()
                .filter(|terms| is_unacknowledged(incident, terms, care, as_of))
                .map(|_| NotifyReason::Unacknowledged),
        },
        Phase::Recovered if !ended => Some(NotifyReason::Recovered),
        Phase::Closed if !ended => Some(NotifyReason::Closed),
        Phase::Recovered | Phase::Closed => None,
    }
}

/// Nobody took it on within the time; told once an episode.
fn is_unacknowledged(
    incident: &Incident,
    terms: &Unacknowledged,
    care: Option<&Care>,
    as_of: Timestamp,
) -> bool {
    let since = [Step::Detected, Step::Reopened, Step::Escalated].map(|step| incident.last(step));
    let Some(since) = since.into_iter().flatten().max() else { return false };
    let taken_on = [Step::Acknowledged, Step::FirstResponseReported].map(|step| incident.last(step));
    let due = match (terms.hours, care) {
        (AckHours::Normal, Some(care)) => care.deadline(since, terms.within.0),
        (AckHours::Normal, None) | (AckHours::All, _) => Some(since.plus(terms.within.0)),
    };
    incident.severity >= terms.severity
        && taken_on.iter().all(Option::is_none)
        && due.is_some_and(|due| due <= as_of)
        && !incident.episode().any(Decision::is_unacknowledged)
}

/// The notice that a decision leads to, or led to.
pub fn notice(incident: &Incident, decision: &Decision, care: Option<&Care>) -> Notice {
    let of_episode = |d: &&Decision| d.first_seen == decision.first_seen && d.at <= decision.at;
    let before: Vec<&Decision> = incident.decisions.iter().filter(of_episode).collect();
    // Who was told in other hours hears of the end too.
    let told = before.iter().filter(|d| decision.news.is_end() && d.outcome == Outcome::Sent);
    let hours: BTreeSet<Hours> = told.filter_map(|d| d.hours).chain(decision.hours).collect();
    // What concerns several devices names none of them as the one.
    let (device, label) = if incident.affected.is_empty() {
        (Some(incident.device), &incident.label)
    } else {
        (None, &incident.subject)
    };
    Notice {
        incident: incident.id,
        reason: decision.news,
        severity: decision.severity,
        hospital: incident.hospital.clone(),
        device,
        label: label.clone(),
        rule: incident.rule.clone(),
        subject: incident.subject.clone(),
        first_seen: decision.first_seen,
        decided_at: decision.at,
        contacts: hours.iter().filter_map(|h| care.map(|care| care.contact(*h).to_owned())).collect(),
        hours,
        unacknowledged: before.iter().any(|d| d.is_unacknowledged()),
        finding: incident.finding.clone(),
        action: incident.action.clone(),
    }
}
