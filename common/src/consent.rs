//! The hospital's consent (SLA A1.2(3), A5.2(2)): which categories may leave which devices, how
//! often at most, from when to when.
//!
//! Holds: it is signed by the hospital's own key and by nobody else (I8). What is not named is
//! not permitted. The highest version seen counts; a lower one is refused.
//!
//! Does not: know what time it is, nor whether that time can be trusted; the gate passes it in.

use crate::{
    category::Category,
    id::{DeviceId, HospitalId, Name},
    positional_payload,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A manifest, as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentManifest {
    pub hospital: HospitalId,
    pub scope: Scope,
    /// Codes of [`Category`]; one that this version does not know permits nothing.
    pub categories: BTreeSet<u8>,
    /// No category is collected more often than this.
    pub interval_floor_s: u32,
    pub valid_from: Timestamp,
    pub valid_to: Timestamp,
    pub version: u64,
    /// Whether "I am alive" may be sent when nothing else may.
    pub heartbeat: bool,
}
positional_payload!(ConsentManifest, "consent");

/// Which of the hospital's devices it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    Hospital,
    Group(Name),
    Device(DeviceId),
}

/// Why something may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the consent does not name this category")]
    Category,
    #[error("the consent is not valid yet")]
    NotYet,
    #[error("the consent has expired")]
    Expired,
    #[error("the consent was withdrawn at this device")]
    Withdrawn,
}

impl ConsentManifest {
    pub fn permits(&self, category: Category, at: Timestamp) -> Result<(), Refusal> {
        self.is_valid(at)?;
        if self.categories.contains(&category.code()) { Ok(()) } else { Err(Refusal::Category) }
    }

    pub fn is_valid(&self, at: Timestamp) -> Result<(), Refusal> {
        if at < self.valid_from {
            return Err(Refusal::NotYet);
        }
        if at >= self.valid_to { Err(Refusal::Expired) } else { Ok(()) }
    }

    /// The next version with the same scope and no category: how the hospital takes it back. The
    /// sign of life, with which declared losses may go, was permitted apart from the categories.
    pub fn withdrawn(&self, heartbeat: bool) -> Self {
        let version = self.version.saturating_add(1);
        Self { categories: BTreeSet::new(), version, heartbeat, ..self.clone() }
    }

    /// The categories that this version knows, in their order.
    pub fn known_categories(&self) -> impl Iterator<Item = Category> {
        self.categories.iter().filter_map(|code| Category::from_code(*code))
    }

    pub fn covers(&self, device: DeviceId, group: Option<&Name>) -> bool {
        match &self.scope {
            Scope::Hospital => true,
            Scope::Group(name) => group == Some(name),
            Scope::Device(id) => *id == device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ConsentManifest {
        ConsentManifest {
            hospital: "minato".parse().unwrap(),
            scope: Scope::Hospital,
            categories: [Category::Disk.code(), Category::Patch.code(), 200].into(),
            interval_floor_s: 60,
            valid_from: Timestamp::from_secs(100),
            valid_to: Timestamp::from_secs(200),
            version: 1,
            heartbeat: true,
        }
    }

    #[test]
    fn only_what_is_named_and_only_while_it_lasts() {
        let m = manifest();
        let at = Timestamp::from_secs;
        assert_eq!(m.permits(Category::Disk, at(100)), Ok(()));
        assert_eq!(m.permits(Category::Network, at(150)), Err(Refusal::Category));
        assert_eq!(m.permits(Category::Disk, at(99)), Err(Refusal::NotYet));
        assert_eq!(m.permits(Category::Disk, at(200)), Err(Refusal::Expired));
        assert_eq!(m.known_categories().collect::<Vec<_>>(), [Category::Disk, Category::Patch]);
        let none = m.withdrawn(false);
        assert_eq!((none.version, none.scope.clone(), none.heartbeat), (2, m.scope, false));
        assert!(Category::ALL.into_iter().all(|c| none.permits(c, at(150)) == Err(Refusal::Category)));
    }
}
