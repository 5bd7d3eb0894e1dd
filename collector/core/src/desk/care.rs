//! What was agreed with a hospital, as far as it steers who hears of an incident, and when: hours of
//! the week (SLA A4.4), planned stops (A6.5(3)①).
//!
//! Holds: it is what was known at one instant. Without a contract that covers the device nothing is
//! said about hours, and there is no window.

use crate::sla::{
    calendar::ServiceCalendar,
    contract::{Contacts, Contract, Devices},
    exclusion,
    history::History,
    span::Span,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    id::{HospitalId, Name},
    message::DeskText,
    time::Timestamp,
};

/// Whether 乙's normal contact is there (通常業務時間); holidays are other hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hours {
    Normal,
    Other,
}

impl Hours {
    pub fn message(self) -> DeskText {
        match self {
            Self::Normal => DeskText::HoursNormal,
            Self::Other => DeskText::HoursOther,
        }
    }
}

/// One contract's part; see the module's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Care {
    devices: Devices,
    hours: ServiceCalendar,
    contacts: Contacts,
    windows: Vec<Span>,
}

/// By hospital, each contract's.
pub type Cares = BTreeMap<HospitalId, Vec<Care>>;

impl Care {
    /// A contract's at an instant; `None` where none is in force.
    pub fn of(history: &History, as_of: Timestamp) -> Option<(HospitalId, Self)> {
        let known = history.known(as_of);
        let contract: &Contract = known.contracts.in_force(as_of)?;
        let care = Self {
            devices: contract.devices.clone(),
            hours: contract.response_hours.clone(),
            contacts: contract.contacts.clone(),
            windows: exclusion::planned_stops(&history.exclusions, &known.contracts, as_of).collect(),
        };
        Some((contract.hospital.id.clone(), care))
    }

    /// Of several contracts the first that covers the device.
    pub fn for_device<'a>(cares: &'a [Self], label: &Name, group: Option<&Name>) -> Option<&'a Self> {
        cares.iter().find(|care| care.devices.covers(label, group))
    }

    pub fn hours(&self, at: Timestamp) -> Hours {
        if self.hours.is_open(at) { Hours::Normal } else { Hours::Other }
    }

    /// Where 乙 is reached in these hours.
    pub fn contact(&self, hours: Hours) -> &str {
        match hours {
            Hours::Normal => &self.contacts.normal_hours,
            Hours::Other => &self.contacts.other_hours,
        }
    }

    /// The planned stop that goes on.
    pub fn window(&self, at: Timestamp) -> Option<Span> {
        self.windows.iter().copied().find(|span| span.contains(at))
    }

    /// The planned stop in which something began and ended.
    pub fn window_over(&self, from: Timestamp, to: Timestamp) -> Option<Span> {
        self.windows.iter().copied().find(|span| span.contains(from) && span.contains(to))
    }

    /// When so much of the normal hours is over; never where they have ended for good.
    pub fn deadline(&self, from: Timestamp, budget: Duration) -> Option<Timestamp> {
        self.hours.deadline(from, budget.into()).ok()
    }
}
