//! What devices say of their own state, as listings and metrics show it.
//!
//! Holds: it only reads. What a device did not say, cannot tell or said too long ago is absent.

use crate::store::{
    Store, StoreError,
    model::{DeviceRow, DeviceStatus, FactRow, RevisionChange},
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tenken_collector_core::sla::{
    history::{History, Version},
    report::draft::{Happened, What},
};
use tenken_common::{
    fact::{Fact, InventoryItem, PatchState, PatternState},
    id::{DeviceId, HospitalId, Name},
    time::Timestamp,
};

/// For how long a report of patches or pattern files says something of today.
const COUNTS_FOR: Duration = Duration::from_hours(48);

/// One device, with all that it last said of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceCard {
    pub device: DeviceId,
    pub hospital: HospitalId,
    pub label: Name,
    pub facts: Vec<FactRow>,
    /// Versions that changed, oldest first.
    pub changes: Vec<RevisionChange>,
}

/// A line of the device ledger that the ministry's checklist asks hospitals for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    pub hospital: HospitalId,
    pub label: Name,
    pub device: DeviceId,
    pub hostname: Option<Name>,
    pub system: Option<Name>,
    pub system_version: Option<Name>,
    pub manufacturer: Option<Name>,
    pub model: Option<Name>,
    pub serial: Option<Name>,
    pub architecture: Option<Name>,
    pub remote_maintenance: Option<bool>,
    pub reported: Option<Timestamp>,
}

/// How far patches and pattern files of a device are now; see the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Upkeep {
    pub patches_pending: Option<u32>,
    pub security_pending: Option<u32>,
    /// Of the oldest definitions, where all products can tell.
    pub pattern_file_age_seconds: Option<f64>,
}

/// Everything that a device last said of itself.
pub async fn card(store: &Store, device: &DeviceRow) -> Result<DeviceCard, StoreError> {
    let mut changes = store.revision_changes().await?;
    changes.retain(|change| change.device == device.id);
    Ok(DeviceCard {
        device: device.id,
        hospital: device.hospital.clone(),
        label: device.label.clone(),
        facts: store.facts_of(device.id).await?,
        changes,
    })
}

/// All devices that are not revoked.
pub async fn ledger(store: &Store) -> Result<Vec<LedgerRow>, StoreError> {
    let mut out = Vec::new();
    for device in store.devices().await? {
        if device.status() != DeviceStatus::Revoked {
            let facts = store.facts_of(device.id).await?;
            out.push(ledger_row(device, &facts));
        }
    }
    Ok(out)
}

fn ledger_row(device: DeviceRow, facts: &[FactRow]) -> LedgerRow {
    let inventories = facts.iter().filter_map(|row| match &row.fact {
        Fact::Inventory(inventory) => Some((row.at, inventory)),
        Fact::PatchStatus(_) | Fact::PatternFileStatus(_) | Fact::Revision(_) | Fact::WearCounter(_) => None,
    });
    let newest = inventories.max_by_key(|(at, _)| *at);
    let item = |wanted: InventoryItem| {
        let (_, inventory) = newest?;
        inventory.items.iter().find(|(item, _)| *item == wanted).map(|(_, value)| value.clone())
    };
    LedgerRow {
        hostname: item(InventoryItem::Hostname),
        // What it said at enrollment, until it says more.
        system: item(InventoryItem::System).or(Some(device.facts.os)),
        system_version: item(InventoryItem::SystemVersion),
        manufacturer: item(InventoryItem::Manufacturer),
        model: item(InventoryItem::Model),
        serial: item(InventoryItem::Serial),
        architecture: item(InventoryItem::Architecture).or(Some(device.facts.arch)),
        remote_maintenance: item(InventoryItem::RemoteMaintenance).and_then(|word| match word.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }),
        reported: newest.map(|(at, _)| at),
        hospital: device.hospital,
        label: device.label,
        device: device.id,
    }
}

/// What happened to devices that a contract covers and somebody may have to report.
pub async fn happened(store: &Store, history: &History) -> Result<Vec<Happened>, StoreError> {
    let mut all = Vec::new();
    let changes = store.revision_changes().await?;
    let quarantines = store.quarantines().await?;
    let counts = store.counts().await?;
    for device in store.devices().await? {
        let covers = |version: &Version| {
            let contract = &version.contract;
            contract.hospital.id == device.hospital
                && contract.devices.covers(&device.label, device.group.as_ref())
        };
        if !history.versions.iter().any(covers) {
            continue;
        }
        let mut push = |at, what| all.push(Happened { device: device.label.clone(), at, what });
        for change in changes.iter().filter(|change| change.device == device.id) {
            let (subject, old, new) = (change.subject.clone(), change.old.clone(), change.new.clone());
            push(change.at, What::Revision { subject, old, new });
        }
        for (_, from, _) in quarantines.iter().filter(|(id, ..)| *id == device.id) {
            push(*from, What::Quarantine);
        }
        let clones = counts.iter().filter(|row| row.device == device.id);
        for at in clones.filter_map(|row| row.clone_suspected) {
            push(at, What::Clone);
        }
    }
    Ok(all)
}

/// Of every device.
pub(super) async fn upkeep(
    store: &Store,
    as_of: Timestamp,
) -> Result<BTreeMap<DeviceId, Upkeep>, StoreError> {
    let facts = store.facts().await?;
    let by_device = facts.chunk_by(|a, b| a.device == b.device);
    Ok(by_device.filter_map(|own| Some((own.first()?.device, Upkeep::of(own, as_of)))).collect())
}

impl Upkeep {
    /// Of several package sources the sum, where all can tell.
    fn of(facts: &[FactRow], as_of: Timestamp) -> Self {
        let (mut patches, mut ages) = (Vec::new(), Vec::new());
        for row in facts.iter().filter(|row| as_of.saturating_since(row.at) <= COUNTS_FOR) {
            match &row.fact {
                Fact::PatchStatus(fact) => patches.push((fact.state == PatchState::Known).then_some(fact)),
                Fact::PatternFileStatus(fact) => {
                    let defined = fact.defined_at.filter(|_| fact.state == PatternState::Known);
                    ages.push(defined.map(|at| as_of.saturating_since(at)));
                }
                Fact::Revision(_) | Fact::WearCounter(_) | Fact::Inventory(_) => {}
            }
        }
        let known: Option<Vec<_>> =
            patches.into_iter().collect::<Option<_>>().filter(|all: &Vec<_>| !all.is_empty());
        let sum = |count: fn(&tenken_common::fact::PatchStatus) -> Option<u32>| {
            known.as_ref()?.iter().try_fold(0u32, |sum, fact| Some(sum.saturating_add(count(fact)?)))
        };
        let oldest = ages.into_iter().collect::<Option<Vec<_>>>().and_then(|ages| ages.into_iter().max());
        Self {
            patches_pending: sum(|fact| fact.pending),
            security_pending: sum(|fact| fact.security),
            pattern_file_age_seconds: oldest.map(|age| age.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::fact::{PatchSource, PatchStatus, PatternFileStatus, PatternSource};

    fn at(h: i64) -> Timestamp {
        Timestamp::from_secs(1_795_000_000 + h * 3_600)
    }

    fn row(h: i64, fact: Fact) -> FactRow {
        let subject = Name::new("system").unwrap();
        FactRow { device: DeviceId([1; 16]), subject, at: at(h), fact }
    }

    fn patches(state: PatchState, pending: Option<u32>, security: Option<u32>) -> Fact {
        Fact::PatchStatus(PatchStatus {
            probe: Name::new("patches").unwrap(),
            source: PatchSource::Dnf,
            state,
            pending,
            security,
            oldest_at: None,
            index_at: None,
            applied_at: None,
            reboot_needed: None,
            system: Name::new("rhel").unwrap(),
            build: None,
        })
    }

    fn pattern(defined: Option<i64>) -> Fact {
        let state = if defined.is_some() { PatternState::Known } else { PatternState::Unknown };
        Fact::PatternFileStatus(PatternFileStatus {
            probe: Name::new("antivirus").unwrap(),
            source: PatternSource::Defender,
            state,
            engine: None,
            version: None,
            defined_at: defined.map(at),
        })
    }

    #[test]
    fn what_is_known_is_shown_and_nothing_else() {
        let of = |facts: &[FactRow]| Upkeep::of(facts, at(0));
        let known = patches(PatchState::Known, Some(5), Some(2));
        let both = of(&[row(-1, known.clone()), row(-3, pattern(Some(-10))), row(-3, pattern(Some(-30)))]);
        assert_eq!((both.patches_pending, both.security_pending), (Some(5), Some(2)));
        assert_eq!(both.pattern_file_age_seconds, Some(30.0 * 3_600.0), "the oldest counts");
        let stale = patches(PatchState::StaleIndex, Some(5), Some(0));
        for facts in [
            vec![],
            vec![row(-49, known.clone()), row(-49, pattern(Some(-50)))],
            vec![row(-1, stale), row(-1, pattern(None))],
            vec![
                row(-1, known),
                row(-1, patches(PatchState::Unknown, None, None)),
                row(-1, pattern(None)),
                row(-1, pattern(Some(-1))),
            ],
        ] {
            assert_eq!(of(&facts), Upkeep::default(), "{facts:?}");
        }
        let got = of(&[row(-1, patches(PatchState::Known, Some(4), None))]);
        assert_eq!((got.patches_pending, got.security_pending), (Some(4), None));
    }
}
