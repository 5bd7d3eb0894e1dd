//! Which outlet wants which notice, and why another does not.
//!
//! Holds: pure, so that the same is said beforehand, when it is queued, and when somebody asks.
//! Hours that nobody knows (a hospital without a contract) keep nobody from hearing.

use super::{
    care::Hours,
    notice::{Notice, NotifyReason, Severity},
};
use serde::Deserialize;
use std::collections::BTreeSet;
use tenken_common::{id::HospitalId, message::DeskText};

/// What an outlet wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub min_severity: Severity,
    pub only: Only,
    /// Another program that keeps what is open, and so has to hear that somebody closed it.
    pub keeps_state: bool,
}

/// What an outlet is confined to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Only {
    /// None: all.
    pub hospitals: BTreeSet<HospitalId>,
    /// Of the contract (A4.4); without it always.
    pub hours: Option<Hours>,
    /// What nobody acknowledged in time, and its end.
    pub unacknowledged: bool,
}

/// Why an outlet does not hear of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    Severity,
    Hospital,
    Hours,
    /// It hears only of what nobody acknowledged.
    Acknowledged,
    /// That a person closed it is no news to people.
    Closed,
}

impl Unwanted {
    pub fn message(self) -> DeskText {
        match self {
            Self::Severity => DeskText::UnwantedSeverity,
            Self::Hospital => DeskText::UnwantedHospital,
            Self::Hours => DeskText::UnwantedHours,
            Self::Acknowledged => DeskText::UnwantedAcknowledged,
            Self::Closed => DeskText::UnwantedClosed,
        }
    }
}

impl Route {
    pub fn judge(&self, notice: &Notice) -> Result<(), Unwanted> {
        let other_hours = |own: Hours| !notice.hours.is_empty() && !notice.hours.contains(&own);
        if notice.reason == NotifyReason::Closed && !self.keeps_state {
            Err(Unwanted::Closed)
        } else if notice.severity < self.min_severity {
            Err(Unwanted::Severity)
        } else if !self.only.hospitals.is_empty() && !self.only.hospitals.contains(&notice.hospital) {
            Err(Unwanted::Hospital)
        } else if self.only.hours.is_some_and(other_hours) {
            Err(Unwanted::Hours)
        } else if self.only.unacknowledged && !notice.unacknowledged {
            Err(Unwanted::Acknowledged)
        } else {
            Ok(())
        }
    }
}
