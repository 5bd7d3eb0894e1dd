//! What a device says of its own state, as opposed to what it measures: patches, pattern files,
//! versions, wear, inventory.
//!
//! Holds: as all of an observation, numbers, enums, times and bounded identifiers; the codes are
//! frozen. What a device could not find out is absent, and a state of its own where it matters, so
//! that nothing unknown looks like something good.

use crate::{id::Name, time::Timestamp, unit::Quantity};
use serde::{Deserialize, Serialize};
use std::fmt;

/// See the module's head. The subject of the observation says of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    PatchStatus(PatchStatus),
    PatternFileStatus(PatternFileStatus),
    Revision(Revision),
    WearCounter(WearCounter),
    Inventory(Inventory),
}

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant = $code),* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn code(self) -> u8 {
                self as u8
            }

            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

coded!(/// Who was asked for patches.
PatchSource {
    Apt = 1 "apt",
    Dnf = 2 "dnf",
    Zypper = 3 "zypper",
    /// Windows Update Agent.
    Wua = 4 "wua",
});

coded!(/// What the answer is worth.
PatchState {
    /// The counts are of a fresh index.
    Known = 0 "known",
    /// The counts are of an index that is older than it may be (不明、索引 n 日前).
    StaleIndex = 1 "stale_index",
    /// Updates are switched off on this system.
    Disabled = 2 "disabled",
    /// Another server decides what is offered (WSUS), and it could not be asked.
    Managed = 3 "managed",
    /// The source of updates did not answer.
    Unreachable = 4 "unreachable",
    Unknown = 5 "unknown",
});

/// Security patches of an operating system (SLA A7.1(1)①).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchStatus {
    pub probe: Name,
    pub source: PatchSource,
    pub state: PatchState,
    /// Updates that are offered and not installed, security among them.
    pub pending: Option<u32>,
    pub security: Option<u32>,
    /// Since when the oldest pending security patch is offered: its publication where the source
    /// tells it, else when this device first saw it.
    pub oldest_at: Option<Timestamp>,
    /// When the package index was last brought up to date.
    pub index_at: Option<Timestamp>,
    pub applied_at: Option<Timestamp>,
    pub reboot_needed: Option<bool>,
    /// `debian`, `windows`.
    pub system: Name,
    /// `12.9`, `10.0.20348.2113`.
    pub build: Option<Name>,
}

coded!(/// Where the state of a pattern file was read.
PatternSource {
    /// The header of ClamAV's databases.
    ClamAv = 1 "clamav",
    /// A file's date.
    FileDate = 2 "file_date",
    /// A pattern in a file.
    FileText = 3 "file_text",
    /// The output of a configured command.
    Command = 4 "command",
    Registry = 5 "registry",
    /// `MSFT_MpComputerStatus`.
    Defender = 6 "defender",
    /// `root\SecurityCenter2`.
    SecurityCenter = 7 "security_center",
});

coded!(PatternState {
    Known = 0 "known",
    /// The product is there and switched off.
    Disabled = 1 "disabled",
    Unknown = 2 "unknown",
});

/// The pattern file of one antivirus product; the subject is the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternFileStatus {
    pub probe: Name,
    pub source: PatternSource,
    pub state: PatternState,
    pub engine: Option<Name>,
    pub version: Option<Name>,
    /// When the definitions were made.
    pub defined_at: Option<Timestamp>,
}

/// The version of a piece of software; the subject is the piece (SLA A2.1(3)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub probe: Name,
    pub version: Name,
}

coded!(/// Which way a wear counter goes.
WearDirection {
    /// Worn out when it reaches the rated life (exposures).
    Up = 1 "up",
    /// Worn out when nothing is left of the rated life (remaining share).
    Down = 2 "down",
});

/// A wear part's counter; the subject is the part (SLA A2.1(2)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WearCounter {
    pub probe: Name,
    pub value: Quantity,
    /// In the counter's own unit.
    pub rated_life: Option<f64>,
    pub direction: WearDirection,
}

coded!(/// One line of the device ledger that the ministry's checklist asks hospitals for.
InventoryItem {
    Hostname = 1 "hostname",
    System = 2 "system",
    SystemVersion = 3 "system_version",
    Manufacturer = 4 "manufacturer",
    Model = 5 "model",
    Serial = 6 "serial",
    Architecture = 7 "architecture",
    /// `yes` or `no`.
    RemoteMaintenance = 8 "remote_maintenance",
});

/// What the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub probe: Name,
    pub items: Vec<(InventoryItem, Name)>,
}

/// One named part of a fact, for whoever shows all of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Word(String),
    Count(u64),
    Flag(bool),
    At(Timestamp),
    Quantity(Quantity),
    Number(f64),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::At(at) => at.fmt(f),
            Self::Quantity(Quantity { name, unit, value }) => write!(f, "{name} {value} {}", unit.as_str()),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Fact {
    pub fn probe(&self) -> &Name {
        match self {
            Self::PatchStatus(fact) => &fact.probe,
            Self::PatternFileStatus(fact) => &fact.probe,
            Self::Revision(fact) => &fact.probe,
            Self::WearCounter(fact) => &fact.probe,
            Self::Inventory(fact) => &fact.probe,
        }
    }

    /// All that it says but its probe; what is not known is not among it.
    pub fn fields(&self) -> Vec<(&'static str, Field)> {
        let word = |name: &Name| Field::Word(name.to_string());
        let coded = |text: &'static str| Some(Field::Word(text.to_owned()));
        let count = |n: u32| Field::Count(n.into());
        let all: Vec<(&'static str, Option<Field>)> = match self {
            Self::PatchStatus(fact) => vec![
                ("source", coded(fact.source.as_str())),
                ("state", coded(fact.state.as_str())),
                ("pending", fact.pending.map(count)),
                ("security", fact.security.map(count)),
                ("oldest_at", fact.oldest_at.map(Field::At)),
                ("index_at", fact.index_at.map(Field::At)),
                ("applied_at", fact.applied_at.map(Field::At)),
                ("reboot_needed", fact.reboot_needed.map(Field::Flag)),
                ("system", Some(word(&fact.system))),
                ("build", fact.build.as_ref().map(word)),
            ],
            Self::PatternFileStatus(fact) => vec![
                ("source", coded(fact.source.as_str())),
                ("state", coded(fact.state.as_str())),
                ("engine", fact.engine.as_ref().map(word)),
                ("version", fact.version.as_ref().map(word)),
                ("defined_at", fact.defined_at.map(Field::At)),
            ],
            Self::Revision(fact) => vec![("version", Some(word(&fact.version)))],
            Self::WearCounter(fact) => vec![
                ("value", Some(Field::Quantity(fact.value.clone()))),
                ("rated_life", fact.rated_life.map(Field::Number)),
                ("direction", coded(fact.direction.as_str())),
            ],
            Self::Inventory(fact) => {
                fact.items.iter().map(|(item, name)| (item.as_str(), Some(word(name)))).collect()
            }
        };
        all.into_iter().filter_map(|(name, field)| Some((name, field?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Unit;

    #[test]
    fn codes_are_frozen_and_distinct() {
        let codes: Vec<_> = PatchSource::ALL.iter().map(|source| source.code()).collect();
        assert_eq!(codes, [1, 2, 3, 4]);
        for state in PatchState::ALL {
            assert_eq!(PatchState::from_code(state.code()), Some(*state));
        }
        for source in PatternSource::ALL {
            assert_eq!(PatternSource::from_code(source.code()), Some(*source));
        }
        assert_eq!(PatternState::from_code(9), None);
        assert_eq!(InventoryItem::ALL.len(), usize::from(InventoryItem::RemoteMaintenance.code()));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let name = |text| Name::new(text).unwrap();
        let patches = Fact::PatchStatus(PatchStatus {
            probe: name("patches"),
            source: PatchSource::Apt,
            state: PatchState::StaleIndex,
            pending: None,
            security: None,
            oldest_at: None,
            index_at: Some(Timestamp::EPOCH),
            applied_at: None,
            reboot_needed: Some(false),
            system: name("debian"),
            build: None,
        });
        let shown: Vec<_> = patches.fields().into_iter().map(|(n, f)| format!("{n} {f}")).collect();
        let expected = [
            "source apt",
            "state stale_index",
            "index_at 1970-01-01T00:00:00Z",
            "reboot_needed false",
            "system debian",
        ];
        assert_eq!(shown, expected);
        let value = Quantity::new(name("exposures"), Unit::Count, 12.0).unwrap();
        let (probe, direction) = (name("counters"), WearDirection::Up);
        let wear = Fact::WearCounter(WearCounter { probe, value, rated_life: None, direction });
        assert_eq!(wear.fields().len(), 2);
    }
}
