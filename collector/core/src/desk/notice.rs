//! A notice: what the support desk is told about an incident, once.
//!
//! Holds: its identity is derived from the incident and the reason, so that deciding twice (after
//! a crash, on a second worker) gives the same notice, and a repeat carries the same Message-ID.

use super::care::Hours;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenken_common::{
    id::{DeviceId, Hash, HospitalId, Name},
    message::{DeskText, Language, Message},
    time::Timestamp,
};

/// Notices in one message: what people still read.
pub const GROUP_MAX: usize = 100;

/// The identity of a message with these notices; of one it is the notice's own.
pub fn group_id(notices: impl IntoIterator<Item = Hash>) -> Hash {
    let ids: Vec<Hash> = notices.into_iter().collect();
    if let [only] = ids.as_slice() {
        return *only;
    }
    let parts: Vec<&[u8]> = ids.iter().map(|id| id.0.as_slice()).collect();
    Hash::of(&[b"message v1 ".as_slice(), &parts.concat()].concat())
}

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
    /// It came back soon after it had gone; nothing more is told until it has been gone for long.
    Flapping,
    /// Nobody took it on in time.
    Unacknowledged,
    Recovered,
    /// A person closed it while it was there.
    Closed,
}

impl NotifyReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Flapping => "flapping",
            Self::Unacknowledged => "unacknowledged",
            Self::Recovered => "recovered",
            Self::Closed => "closed",
        }
    }

    pub fn is_end(self) -> bool {
        match self {
            Self::Recovered | Self::Closed => true,
            Self::Opened | Self::Escalated | Self::Flapping | Self::Unacknowledged => false,
        }
    }

    /// Why it is news.
    pub fn why(self) -> DeskText {
        match self {
            Self::Opened => DeskText::WhyOpened,
            Self::Escalated => DeskText::WhyEscalated,
            Self::Flapping => DeskText::WhyFlapping,
            Self::Unacknowledged => DeskText::WhyUnacknowledged,
            Self::Recovered => DeskText::WhyRecovered,
            Self::Closed => DeskText::WhyClosed,
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
    /// The contract's hours in which it is told, of an end also those in which the beginning was.
    /// None where no contract says.
    #[serde(default)]
    pub hours: BTreeSet<Hours>,
    /// Where the contract says that 乙 is reached in these hours.
    #[serde(default)]
    pub contacts: BTreeSet<String>,
    /// It was told before that nobody took it on.
    #[serde(default)]
    pub unacknowledged: bool,
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
