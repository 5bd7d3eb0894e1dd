//! What the device is: the lines that the Ministry of Health's checklist for medical institutions
//! asks of a device ledger (機器台帳).
//!
//! Holds: hostname, model and serial are identifiers; what does not fit one leaves as a hash. What
//! the configuration says wins over what the system says, for a device whose own number stands on
//! its plate only.

use super::{DEVICE_SUBJECT, every_day, fact, joined, version};
use serde::{Deserialize, Serialize};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    fact::{self, Fact, InventoryItem},
    id::Name,
    observation::Observation,
};

/// `[probes.inventory]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InventorySpec {
    pub manufacturer: Option<Name>,
    pub model: Option<Name>,
    pub serial: Option<Name>,
    /// Whether the vendor maintains it from afar; the ledger asks.
    pub remote_maintenance: bool,
}

impl Default for InventorySpec {
    fn default() -> Self {
        Self { manufacturer: None, model: None, serial: None, remote_maintenance: true }
    }
}

/// See the module's head.
pub struct Inventory {
    info: ProbeInfo,
    spec: InventorySpec,
}

impl Inventory {
    pub fn new(spec: InventorySpec) -> Self {
        let info = every_day("inventory", Category::Inventory);
        Self { info: ProbeInfo { cost: Cost::Cheap, ..info }, spec }
    }
}

impl Probe for Inventory {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let identifier = |text: String| (!is_placeholder(&text)).then(|| Name::of_outside(&joined(&text)));
        let plate = |item| plate(item).and_then(identifier);
        let spec = &self.spec;
        let remote = if spec.remote_maintenance { "yes" } else { "no" };
        let known = [
            (InventoryItem::Hostname, sysinfo::System::host_name().ok().and_then(identifier)),
            (InventoryItem::System, identifier(sysinfo::System::distribution_id())),
            (InventoryItem::SystemVersion, sysinfo::System::os_version().ok().as_deref().and_then(version)),
            (InventoryItem::Manufacturer, spec.manufacturer.clone().or_else(|| plate("sys_vendor"))),
            (InventoryItem::Model, spec.model.clone().or_else(|| plate("product_name"))),
            (InventoryItem::Serial, spec.serial.clone().or_else(|| plate("product_serial"))),
            (InventoryItem::Architecture, identifier(sysinfo::System::cpu_arch())),
            (InventoryItem::RemoteMaintenance, Some(Name::of_outside(remote))),
        ];
        let items = known.into_iter().filter_map(|(item, name)| Some((item, name?))).collect();
        let inventory = fact::Inventory { probe: Name::of_outside(self.info.name), items };
        Ok(vec![fact(&self.info, cx, Name::of_outside(DEVICE_SUBJECT), Fact::Inventory(inventory))])
    }
}

/// SMBIOS, as Linux shows it; the serial to root only.
#[cfg(target_os = "linux")]
fn plate(item: &str) -> Option<String> {
    std::fs::read_to_string(format!("/sys/class/dmi/id/{item}")).ok()
}

/// Windows keeps the same in the registry, but for the serial.
#[cfg(not(target_os = "linux"))]
fn plate(item: &str) -> Option<String> {
    let value = match item {
        "sys_vendor" => "SystemManufacturer",
        "product_name" => "SystemProductName",
        _ => return None,
    };
    let registry = Some(format!("HKLM\\HARDWARE\\DESCRIPTION\\System\\BIOS\\{value}"));
    super::extract::Extract { registry, ..Default::default() }.text().ok()
}

/// What makers leave where they should have written something.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let empty =
        ["", "none", "default string", "not specified", "not applicable", "system serial number", "unknown"];
    empty.contains(&text.as_str()) || text.starts_with("to be filled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;
    use tenken_common::observation::Body;

    #[test]
    fn what_is_configured_wins_and_the_rest_is_the_machines() {
        let serial = Some(Name::new("SN-0042").unwrap());
        let spec = InventorySpec { serial, remote_maintenance: false, ..InventorySpec::default() };
        let seen = run_here(&mut Inventory::new(spec)).unwrap();
        let [Observation { body: Body::Fact(Fact::Inventory(inventory)), .. }] = seen.as_slice() else {
            panic!("one inventory: {seen:?}")
        };
        let item =
            |wanted| inventory.items.iter().find(|(item, _)| *item == wanted).map(|(_, name)| name.as_str());
        assert_eq!(item(InventoryItem::Serial), Some("SN-0042"));
        assert_eq!(item(InventoryItem::RemoteMaintenance), Some("no"));
        assert!(item(InventoryItem::System).is_some() && item(InventoryItem::Architecture).is_some());
    }

    #[test]
    fn placeholders_are_left_out() {
        assert!(
            is_placeholder("To Be Filled By O.E.M.\n")
                && is_placeholder(" ")
                && is_placeholder("Default string")
        );
        assert!(!is_placeholder("CT-80"));
    }
}
