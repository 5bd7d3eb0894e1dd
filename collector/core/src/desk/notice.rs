//! A notice: what the support desk is told about an incident, once.
//!
//! Holds: its identity is derived from the incident and the reason, so that deciding twice (after
//! a crash, on a second worker) gives the same notice, and a repeat carries the same Message-ID.

use super::incident::{Incident, Phase};
use serde::{Deserialize, Serialize};
use tenken_common::{
    id::{DeviceId, Hash, HospitalId, Name},
    message::{Language, Message},
    time::Timestamp,
};

/// The contract's object; its identity derives from device, rule, subject and first detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub u64);

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "INC-{}", self.0)
    }
}

/// A text that names no incident.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` names no incident (write it like INC-1234)")]
pub struct BadIncidentId(String);

impl std::str::FromStr for IncidentId {
    type Err = BadIncidentId;
    fn from_str(text: &str) -> Result<Self, BadIncidentId> {
        let digits = text.strip_prefix("INC-").unwrap_or(text);
        digits.parse().map(Self).map_err(|_| BadIncidentId(text.to_owned()))
    }
}

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Severity {
    pub fn message(self) -> Message {
        match self {
            Self::Info => Message::SeverityInfo,
            Self::Warning => Message::SeverityWarning,
            Self::Critical => Message::SeverityCritical,
        }
    }
}

/// Why it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyReason {
    /// The incident is new.
    Opened,
    /// It got worse.
    Escalated,
    Recovered,
}

impl NotifyReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Recovered => "recovered",
        }
    }
}

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bilingual {
    pub ja: String,
    pub en: String,
}

impl Bilingual {
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::Ja => &self.ja,
            Language::En => &self.en,
        }
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub incident: IncidentId,
    pub reason: NotifyReason,
    pub severity: Severity,
    pub hospital: HospitalId,
    /// `None` for what concerns no single device.
    pub device: Option<DeviceId>,
    /// What people call the device.
    pub label: Name,
    pub rule: Name,
    /// The mount, service, sensor it is about.
    pub subject: Name,
    pub first_seen: Timestamp,
    pub decided_at: Timestamp,
    /// What was found, with the numbers.
    pub finding: Bilingual,
    /// What to do first.
    pub action: Bilingual,
}

impl Notice {
    /// The same for the same decision, whoever makes it and how often.
    pub fn id(&self) -> Hash {
        let key = format!(
            "notice v1 {} {} {} {}",
            self.incident,
            self.reason.as_str(),
            self.severity.as_str(),
            self.first_seen.as_micros()
        );
        Hash::of(key.as_bytes())
    }
}

/// What the desk is told when an incident goes from `before` to `after`: opened (or back) once,
/// worse once a severity, recovered once. A person's own closing is no news to people.
pub fn decide(before: Option<&Incident>, after: &Incident, as_of: Timestamp) -> Option<Notice> {
    let was_open = before.is_some_and(Incident::is_open);
    let worse = before.is_some_and(|b| after.severity > b.severity);
    let reason = match after.phase {
        Phase::Open if !was_open => NotifyReason::Opened,
        Phase::Open if worse => NotifyReason::Escalated,
        Phase::Recovered if was_open => NotifyReason::Recovered,
        Phase::Open | Phase::Recovered | Phase::Closed => return None,
    };
    Some(Notice {
        incident: after.id,
        reason,
        severity: after.severity,
        hospital: after.hospital.clone(),
        device: Some(after.device),
        label: after.label.clone(),
        rule: after.rule.clone(),
        subject: after.subject.clone(),
        first_seen: after.first_seen,
        decided_at: as_of,
        finding: after.finding.clone(),
        action: after.action.clone(),
    })
}
