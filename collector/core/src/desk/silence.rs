//! A silence: somebody says that nobody is to be told of certain incidents for a time, and why.
//!
//! Holds: it keeps from telling, and from nothing else: incidents are opened, the SLA's clocks go on, and
//! what is still there when it ends is told then. It names what it is for, and ends within
//! [`limit::SILENCE_MAX`], so that none is forgotten. The newest entry of the same id counts: one is ended
//! by entering it again with another end.

use super::{
    incident::Incident,
    notice::{IncidentId, Severity},
};
use crate::sla::span::Span;
use serde::{Deserialize, Serialize};
use tenken_common::{
    id::{DeviceId, Hash, HospitalId, Name},
    limit,
    time::Timestamp,
};

/// Derived from what was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SilenceId(pub u64);

impl std::fmt::Display for SilenceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SIL-{}", self.0)
    }
}

/// A text that names no silence.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` names no silence (write it like SIL-1234)")]
pub struct BadSilenceId(String);

impl std::str::FromStr for SilenceId {
    type Err = BadSilenceId;
    fn from_str(text: &str) -> Result<Self, BadSilenceId> {
        let digits = text.strip_prefix("SIL-").unwrap_or(text);
        digits.parse().map(Self).map_err(|_| BadSilenceId(text.to_owned()))
    }
}

/// What a silence is for; what is not named may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    pub hospital: Option<HospitalId>,
    pub device: Option<DeviceId>,
    pub rule: Option<Name>,
    pub subject: Option<Name>,
    pub incident: Option<IncidentId>,
    /// What is worse is told all the same.
    pub max_severity: Severity,
}

impl Matcher {
    pub fn matches(&self, incident: &Incident) -> bool {
        let is_or_any = |wanted: bool, named: bool| wanted || !named;
        // What concerns several devices is told although one of them is silenced.
        let device = |id: &DeviceId| incident.device == *id && incident.affected.keys().all(|one| one == id);
        let rule = |id: &Name| incident.rule == *id;
        incident.severity <= self.max_severity
            && is_or_any(self.hospital.as_ref() == Some(&incident.hospital), self.hospital.is_some())
            && self.device.as_ref().is_none_or(device)
            && self.rule.as_ref().is_none_or(rule)
            && is_or_any(self.subject.as_ref() == Some(&incident.subject), self.subject.is_some())
            && is_or_any(self.incident == Some(incident.id), self.incident.is_some())
    }

    fn names_nothing(&self) -> bool {
        let (hospital, device, incident) = (&self.hospital, &self.device, &self.incident);
        let named = [hospital.is_some(), device.is_some(), incident.is_some()];
        !named.contains(&true) && self.rule.is_none() && self.subject.is_none()
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub id: SilenceId,
    pub matcher: Matcher,
    pub span: Span,
    /// Who entered this, as an identifier of the register.
    pub worker: Name,
    pub reason: String,
}

/// Why there is no such silence.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum BadSilence {
    #[error(
        "it names neither a hospital, a device, a rule, a subject nor an incident; one for everything would keep every alarm from everybody"
    )]
    NamesNothing,
    #[error("it ends before it begins, or has ended already")]
    Over,
    #[error("it lasts longer than {} days; what lasts longer is entered again, so that none is forgotten", limit::SILENCE_MAX.as_secs() / 86_400)]
    TooLong,
    #[error("it needs a reason, of at most {} characters in one line", limit::SILENCE_REASON_CHARS_MAX)]
    Reason,
}

impl Silence {
    /// Of somebody who enters it at `now`.
    pub fn new(
        matcher: Matcher,
        span: Span,
        (worker, reason): (Name, &str),
        now: Timestamp,
    ) -> Result<Self, BadSilence> {
        let reason = reason.trim();
        if matcher.names_nothing() {
            return Err(BadSilence::NamesNothing);
        }
        if span.is_empty() || span.to <= now {
            return Err(BadSilence::Over);
        }
        if span.to.saturating_since(span.from.min(now)) > limit::SILENCE_MAX {
            return Err(BadSilence::TooLong);
        }
        let chars = reason.chars().count();
        if chars == 0 || chars > limit::SILENCE_REASON_CHARS_MAX || reason.chars().any(char::is_control) {
            return Err(BadSilence::Reason);
        }
        let key = serde_json::to_vec(&(&matcher, span, &worker, reason, now));
        let key = key.expect("values without maps of odd keys always encode");
        let first = Hash::of(&key).0.into_iter().take(8);
        // 53 bits, which JSON numbers carry exactly.
        let id = SilenceId(first.fold(0u64, |id, byte| (id << 8) | u64::from(byte)) >> 11);
        Ok(Self { id, matcher, span, worker, reason: reason.to_owned() })
    }

    /// The same, ended at `now` by `worker`.
    pub fn ended(&self, now: Timestamp, worker: Name) -> Self {
        let span = Span::new(self.span.from.min(now), self.span.to.min(now));
        Self { span, worker, ..self.clone() }
    }

    pub fn covers(&self, incident: &Incident, at: Timestamp) -> bool {
        self.span.contains(at) && self.matcher.matches(incident)
    }
}

/// Takes in an entry: the newest of an id counts.
pub fn enter(silences: &mut Vec<Silence>, entered: Silence) {
    silences.retain(|known| known.id != entered.id);
    silences.push(entered);
}

#[cfg(test)]
mod tests;
