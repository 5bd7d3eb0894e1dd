//! One cause, one incident: a link that cuts off a whole hospital is not as many silent devices as it
//! has, and what two rules find of one disk is not two problems.
//!
//! Holds: a device's silence is the link's only while nobody else of its hospital was heard after it
//! was due. A device in doubt, and one that was silent alone before, says nothing of the link. What
//! belongs to an open link incident opens none of its own, until that is over.

use super::{
    finding::Condition,
    incident::Incident,
    rule::{Rule, RuleSet, When},
};
use crate::{
    evaluation::DeviceInput,
    intake::device_state::{DeviceState, FRESH_INTERVALS, Liveness},
};
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    id::{DeviceId, HospitalId, Name},
    time::Timestamp,
};

/// A hospital of which nobody is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The device whose incident speaks for all.
    pub lead: DeviceId,
    pub affected: BTreeMap<DeviceId, Name>,
    /// When anybody of the hospital was last heard.
    pub last: Timestamp,
    /// Nobody was heard since.
    pub stands: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub rules: &'a RuleSet,
    pub devices: &'a BTreeMap<DeviceId, &'a DeviceInput>,
    pub states: &'a BTreeMap<DeviceId, DeviceState>,
    pub conditions: &'a [Condition],
    pub incidents: &'a [Incident],
}

/// The outages of all hospitals; see the module's head.
pub fn outages(scene: Scene<'_>) -> BTreeMap<HospitalId, Outage> {
    let link = scene.rules.rules.iter().find_map(|rule| {
        if let When::SilentHospital(when) = &rule.when { Some((&rule.id, when.devices_min)) } else { None }
    });
    let Some((link, devices_min)) = link else { return BTreeMap::new() };
    let alone = scene.silent_alone();
    let mut by_hospital: BTreeMap<&HospitalId, Vec<&DeviceInput>> = BTreeMap::new();
    for device in scene.devices.values().filter(|d| d.identity.is_sure() && !alone.contains(&d.device)) {
        by_hospital.entry(&device.hospital).or_default().push(device);
    }
    let known: Vec<&Incident> = scene.incidents.iter().filter(|i| i.rule == *link).collect();
    let pending = scene.conditions.iter().filter(|c| c.key.rule == *link).map(|c| c.key.device);
    let pending: BTreeSet<DeviceId> = pending.collect();
    let found = by_hospital.into_iter().filter_map(|(hospital, devices)| {
        Some((hospital.clone(), scene.outage((&known, &pending), devices_min, &devices)?))
    });
    found.collect()
}

impl Scene<'_> {
    /// Devices with an incident of their own silence.
    fn silent_alone(&self) -> BTreeSet<DeviceId> {
        let rules = self.rules.rules.iter().filter(|rule| matches!(rule.when, When::SilentDevice(_)));
        let ids: BTreeSet<&Name> = rules.map(|rule| &rule.id).collect();
        self.incidents.iter().filter(|i| i.is_open() && ids.contains(&i.rule)).map(|i| i.device).collect()
    }

    /// Of one hospital, given the link's incidents and where its condition is pending.
    fn outage(
        &self,
        (known, pending): (&[&Incident], &BTreeSet<DeviceId>),
        devices_min: usize,
        devices: &[&DeviceInput],
    ) -> Option<Outage> {
        let last = devices.iter().filter_map(|d| d.last_received).max()?;
        let cut = devices.iter().filter(|d| self.is_cut(d, last));
        let cut: BTreeMap<DeviceId, Name> = cut.map(|d| (d.device, d.label.clone())).collect();
        let here: BTreeSet<DeviceId> = devices.iter().map(|d| d.device).collect();
        let known = || known.iter().filter(|i| here.contains(&i.device));
        if let Some(open) = known().find(|i| i.is_open()) {
            let stands = last <= open.first_seen;
            let mut affected = open.affected.clone();
            affected.extend(cut.into_iter().filter(|_| stands));
            return Some(Outage { lead: open.device, affected, last, stands });
        }
        let is_silent = |id: &DeviceId| self.states.get(id).is_some_and(|s| s.liveness == Liveness::Silent);
        if cut.len() < devices_min || !cut.keys().any(is_silent) {
            return None;
        }
        // Who spoke for the hospital before, so that a link that comes and goes is one incident.
        let before = pending.iter().copied().chain(known().map(|i| i.device));
        let lead = before.chain(cut.keys().copied()).find(|id| cut.contains_key(id))?;
        Some(Outage { lead, affected: cut, last, stands: true })
    }

    /// Late, and nobody was heard once it was.
    fn is_cut(&self, device: &DeviceInput, last: Timestamp) -> bool {
        let late = self.states.get(&device.device).is_some_and(|state| match state.liveness {
            Liveness::Stale | Liveness::Silent => true,
            Liveness::Fresh | Liveness::Unknown => false,
        });
        let due =
            device.last_received.map(|at| at.plus(device.expected_interval.saturating_mul(FRESH_INTERVALS)));
        late && due.is_some_and(|due| last <= due)
    }
}

/// The rules that may find the same problem as this one, with itself.
pub fn kin<'a>(rules: &'a [Rule], rule: &'a Rule) -> BTreeSet<&'a Name> {
    let head = rules.iter().find(|other| other.covers.contains(&rule.id)).unwrap_or(rule);
    [&head.id, &rule.id].into_iter().chain(&head.covers).collect()
}
