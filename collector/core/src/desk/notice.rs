//! A notice: what the support desk is told about an incident, once.
//!
//! Holds: its identity is derived from the incident and the reason, so that deciding twice (after
//! a crash, on a second worker) gives the same notice, and a repeat carries the same Message-ID.

use serde::{Deserialize, Serialize};
use tenken_common::{
    id::{DeviceId, Hash, HospitalId, Name},
    message::Language,
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
