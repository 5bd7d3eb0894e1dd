//! What a probe saw: [`Observation`], and [`Record`], an observation with its number.
//!
//! Holds: bodies are numbers, enums and bounded identifiers; there is no field for free text, so
//! patient data has no place to stand in. A kind's code is frozen; a kind this version does not
//! know is kept in the log and counted, never guessed at.

use crate::{
    category::Category,
    fact::Fact,
    id::{Name, RecId},
    message::Message,
    time::Moment,
    unit::Quantity,
};
use serde::{Deserialize, Serialize};

/// One thing seen at one moment about one subject (a mount, a service, the device itself).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub at: Moment,
    pub category: Category,
    pub subject: Name,
    pub body: Body,
}

/// See the module's head. Adding a body means adding a kind, never changing one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Sample(Sample),
    CheckResult(CheckResult),
    SelfReport(SelfReport),
    Fact(Fact),
}

/// Numbers that one probe read together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub probe: Name,
    pub quantities: Vec<Quantity>,
}

/// A judgement that the device made itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub probe: Name,
    pub state: CheckState,
}

/// Nagios' four states; the codes are its exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// The agent on itself: its own numbers, and how each probe's last run went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfReport {
    pub quantities: Vec<Quantity>,
    pub runs: Vec<ProbeRun>,
}

/// One run of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRun {
    pub probe: Name,
    pub state: ProbeState,
    pub duration_ms: u32,
}

/// How a probe's run ended. Only `Ok` has values; the rest say why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeState {
    Ok = 0,
    /// Works, and there is nothing to see here (no sensors in a virtual machine).
    NoData = 1,
    /// Cannot work on this system.
    Unsupported = 2,
    TimedOut = 3,
    Failed = 4,
    /// The hospital's consent does not cover it, so it was not run.
    NotConsented = 5,
    /// The agent cost its device more than it may, so it was not run.
    OverBudget = 6,
}

impl CheckState {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Critical, Self::Unknown];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// The state in words for a person.
    pub fn message(self) -> Message {
        match self {
            Self::Ok => Message::CheckOk,
            Self::Warning => Message::CheckWarning,
            Self::Critical => Message::CheckCritical,
            Self::Unknown => Message::CheckUnknown,
        }
    }
}

impl ProbeState {
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::NoData,
        Self::Unsupported,
        Self::TimedOut,
        Self::Failed,
        Self::NotConsented,
        Self::OverBudget,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoData => "no_data",
            Self::Unsupported => "unsupported",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::NotConsented => "not_consented",
            Self::OverBudget => "over_budget",
        }
    }
}

/// How soon a record has to be at the collector; also the order of eviction, ordinary first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Urgent = 0,
    Ordinary = 1,
}

impl Class {
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Ordinary];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }
}

impl Observation {
    /// A check that is not ok is urgent, everything else is not.
    pub fn class(&self) -> Class {
        match &self.body {
            Body::CheckResult(check) => match check.state {
                CheckState::Critical | CheckState::Warning => Class::Urgent,
                CheckState::Ok | CheckState::Unknown => Class::Ordinary,
            },
            Body::Sample(_) | Body::SelfReport(_) | Body::Fact(_) => Class::Ordinary,
        }
    }
}

/// An observation with its number: what the spool keeps and a batch carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: RecId,
    pub observation: Observation,
}
