//! Data categories: what kind of thing an observation tells, which is what a hospital consents to.
//!
//! Holds: every observation has exactly one category; the codes are frozen. A category has a
//! purpose (SLA A2.2(1): acquisition is declared per category) and a usual responsible party.

use crate::message::Message;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Processor and memory load, uptime.
    Performance = 1,
    /// Space, inodes and state of mounts.
    Disk = 2,
    /// Interfaces: traffic, errors, link.
    Network = 3,
    /// Temperatures, fans, voltages.
    Sensor = 4,
    /// The device's clock against signed time.
    Clock = 5,
    /// Services and processes that must run.
    Service = 6,
    /// Security patches.
    Patch = 7,
    /// Antivirus pattern files.
    PatternFile = 8,
    /// Versions of device software.
    Revision = 9,
    /// Wear parts.
    Wear = 10,
    /// The agent's report on itself.
    Agent = 11,
    /// What the device is: the ledger's lines.
    Inventory = 12,
    /// Errors in the system's log, counted.
    Event = 13,
    /// Devices beside this one, as they answer.
    Neighbour = 14,
}

/// SLA A4: 甲 is the hospital, 乙 the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Hospital,
    Vendor,
}

impl Category {
    pub const ALL: [Self; 14] = [
        Self::Performance,
        Self::Disk,
        Self::Network,
        Self::Sensor,
        Self::Clock,
        Self::Service,
        Self::Patch,
        Self::PatternFile,
        Self::Revision,
        Self::Wear,
        Self::Agent,
        Self::Inventory,
        Self::Event,
        Self::Neighbour,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Sensor => "sensor",
            Self::Clock => "clock",
            Self::Service => "service",
            Self::Patch => "patch",
            Self::PatternFile => "pattern_file",
            Self::Revision => "revision",
            Self::Wear => "wear",
            Self::Agent => "agent",
            Self::Inventory => "inventory",
            Self::Event => "event",
            Self::Neighbour => "neighbour",
        }
    }

    /// What the vendor wants it for, in words for the hospital's administrator.
    pub fn purpose(self) -> Message {
        match self {
            Self::Performance => Message::PurposePerformance,
            Self::Disk => Message::PurposeDisk,
            Self::Network => Message::PurposeNetwork,
            Self::Sensor => Message::PurposeSensor,
            Self::Clock => Message::PurposeClock,
            Self::Service => Message::PurposeService,
            Self::Patch => Message::PurposePatch,
            Self::PatternFile => Message::PurposePatternFile,
            Self::Revision => Message::PurposeRevision,
            Self::Wear => Message::PurposeWear,
            Self::Agent => Message::PurposeAgent,
            Self::Inventory => Message::PurposeInventory,
            Self::Event => Message::PurposeEvent,
            Self::Neighbour => Message::PurposeNeighbour,
        }
    }

    /// Who looks after it unless the contract says otherwise (SLA A4.1(2): terminals are 甲's).
    pub fn responsible(self) -> Party {
        match self {
            Self::Patch | Self::PatternFile | Self::Network => Party::Hospital,
            Self::Performance
            | Self::Disk
            | Self::Sensor
            | Self::Clock
            | Self::Service
            | Self::Revision
            | Self::Wear
            | Self::Agent
            | Self::Inventory
            | Self::Event
            | Self::Neighbour => Party::Vendor,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no category.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no data category")]
pub struct UnknownCategory(String);

impl FromStr for Category {
    type Err = UnknownCategory;
    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        Self::ALL.into_iter().find(|c| c.as_str() == text).ok_or_else(|| UnknownCategory(text.to_owned()))
    }
}
