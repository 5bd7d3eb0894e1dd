//! One version of a contract, read from a TOML text (SLA A1.1, A1.3, A4.4, A6.3(2)).
//!
//! Holds: it names both parties, the service and at least one device, so every report can; all
//! problems of a text come at once with their key paths. Both calendars open often enough for the
//! response budget to be used up.
//!
//! Does not: say which version is in force, nor whether both parties approved it.

use super::{
    rules::{MonthDay, Rules},
    rules_file::{ChecklistFile, CountingFile, CurrencyFile, ExclusionRuleFile, GradesFile, RulesFile},
    terms::{Contacts, ContactsFile, Targets, TargetsFile, accept, required},
};
use crate::sla::calendar::{Day, HolidayList, ServiceCalendar};
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};
use tenken_common::{
    config::{self, Check, Problems},
    id::{ContractId, HospitalId, Name, unhex},
    key::PublicKey,
    time::Timestamp,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    pub id: ContractId,
    pub version: u32,
    /// In force from 00:00 JST of this day until the next version begins.
    pub effective_from: Day,
    pub service_name: String,
    /// 甲.
    pub hospital: Hospital,
    /// 乙, by its name.
    pub vendor: String,
    /// 丙, 丁.
    pub subcontractors: Vec<Subcontractor>,
    pub devices: Devices,
    pub contacts: Contacts,
    /// サービス提供時間 (A1.3): what uptime is measured in.
    pub service_hours: ServiceCalendar,
    /// 通常業務時間 (A4.4(2)): what responses are measured in.
    pub response_hours: ServiceCalendar,
    /// サポート対応時間 (A6.6(1)②): when inquiries are taken.
    pub support_hours: ServiceCalendar,
    pub targets: Targets,
    /// The last day that was agreed; the version stays in force after it (A2.3).
    pub term_ends: Option<Day>,
    pub rules: Rules,
}

/// 甲, and the key with which it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hospital {
    pub id: HospitalId,
    pub name: String,
    pub key: PublicKey,
}

/// 乙's helper (SLA A4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subcontractor {
    pub name: String,
    /// What it does for 乙, such as the operation of the service centre.
    pub role: String,
}

/// Which of the hospital's devices the contract covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    All,
    Named { labels: BTreeSet<Name>, groups: BTreeSet<Name> },
}

impl Devices {
    pub fn covers(&self, label: &Name, group: Option<&Name>) -> bool {
        match self {
            Self::All => true,
            Self::Named { labels, groups } => {
                labels.contains(label) || group.is_some_and(|group| groups.contains(group))
            }
        }
    }
}

impl Contract {
    /// Reads a contract's text; all its problems come at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let file: ContractFile = config::parse(text)?;
        let mut problems = Problems::default();
        file.read(&mut problems).ok_or(problems)
    }

    /// The same with an official list of holidays in all of its calendars.
    pub fn with_holidays(mut self, holidays: &Arc<HolidayList>) -> Self {
        for calendar in [&mut self.service_hours, &mut self.response_hours, &mut self.support_hours] {
            calendar.holidays = Arc::clone(holidays);
        }
        self
    }

    /// When it takes effect.
    pub fn starts(&self) -> Timestamp {
        self.effective_from.start()
    }

    /// Where 乙 is reached at this instant (SLA A4.4): holidays are other hours.
    pub fn contact_at(&self, at: Timestamp) -> &str {
        if self.response_hours.is_open(at) { &self.contacts.normal_hours } else { &self.contacts.other_hours }
    }
}

/// The text's shape: everything may be missing, so that all that is missing is found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ContractFile {
    id: Option<ContractId>,
    version: Option<u32>,
    effective_from: Option<Day>,
    /// May be said; there is one only.
    time_zone: Option<String>,
    service_name: Option<String>,
    hospital: HospitalFile,
    vendor: PartyFile,
    subcontractors: Vec<PartyFile>,
    all_devices: bool,
    devices: BTreeSet<Name>,
    device_groups: BTreeSet<Name>,
    contacts: ContactsFile,
    service_hours: ServiceCalendar,
    response_hours: Option<ServiceCalendar>,
    support_hours: Option<ServiceCalendar>,
    targets: TargetsFile,
    term_ends: Option<Day>,
    evaluation_year_starts: Option<MonthDay>,
    exclusion_rules: Vec<ExclusionRuleFile>,
    currency: Option<CurrencyFile>,
    checklist: Vec<ChecklistFile>,
    counting: Option<CountingFile>,
    grades: Option<GradesFile>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HospitalFile {
    id: Option<HospitalId>,
    name: Option<String>,
    key: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PartyFile {
    name: Option<String>,
    role: Option<String>,
}

impl Check for ContractFile {
    fn check(&self, problems: &mut Problems) {
        // The contract is made only to see what stands in its way.
        let _ = self.clone().read(problems);
    }
}

impl ContractFile {
    /// `None` only with a problem noted.
    fn read(self, problems: &mut Problems) -> Option<Contract> {
        let id = required(self.id, "id", problems);
        let version = required(self.version, "version", problems)
            .filter(|v| accept(*v > 0, "version", "counts from 1", problems));
        let effective_from = required(self.effective_from, "effective_from", problems);
        accept(
            self.time_zone.is_none_or(|zone| zone == TIME_ZONE),
            "time_zone",
            "is not known; contracts are judged in Asia/Tokyo only",
            problems,
        );
        let service_name = text(self.service_name, "service_name", problems);
        let hospital = self.hospital.read(problems);
        let vendor = text(self.vendor.name, "vendor.name", problems);
        accept(self.vendor.role.is_none(), "vendor.role", "only a subcontractor has a role", problems);
        let subcontractors = subcontractors(self.subcontractors, problems);
        let devices = devices(self.all_devices, self.devices, self.device_groups, problems);
        let contacts = self.contacts.read(problems);
        let targets = self.targets.read(problems);
        let response_hours = self.response_hours.unwrap_or_else(|| self.service_hours.clone());
        let support_hours = self.support_hours.unwrap_or_else(|| self.service_hours.clone());
        let rules = RulesFile {
            evaluation_year_starts: self.evaluation_year_starts,
            exclusion_rules: self.exclusion_rules,
            currency: self.currency,
            checklist: self.checklist,
            counting: self.counting,
            grades: self.grades,
        };
        let rules = rules.read(problems);
        if let (Some(from), Some(ends)) = (effective_from, self.term_ends) {
            accept(from < ends, "term_ends", "is not after effective_from", problems);
        }
        if let (Some(from), Some(targets)) = (effective_from, &targets) {
            let calendars = [("service_hours", &self.service_hours), ("response_hours", &response_hours)];
            for (key, calendar) in calendars {
                if let Err(e) = calendar.deadline(from.start(), targets.response.budget) {
                    problems.push(key, e.to_string());
                }
            }
        }
        let calendars = [
            ("service_hours", &self.service_hours),
            ("response_hours", &response_hours),
            ("support_hours", &support_hours),
        ];
        for (key, calendar) in calendars {
            for day in calendar.extra_open.keys().filter(|day| calendar.extra_closed.contains(day)) {
                problems.push(format!("{key}.extra_open.{day}"), "is named in extra_closed too");
            }
        }
        let contract = Contract {
            id: id?,
            version: version?,
            effective_from: effective_from?,
            service_name: service_name?,
            hospital: hospital?,
            vendor: vendor?,
            subcontractors,
            devices: devices?,
            contacts: contacts?,
            service_hours: self.service_hours,
            response_hours,
            support_hours,
            targets: targets?,
            term_ends: self.term_ends,
            rules: rules?,
        };
        problems.is_empty().then_some(contract)
    }
}

impl HospitalFile {
    fn read(self, problems: &mut Problems) -> Option<Hospital> {
        let id = required(self.id, "hospital.id", problems);
        let name = text(self.name, "hospital.name", problems);
        let key = required(self.key, "hospital.key", problems).and_then(|digits| {
            let key = unhex::<32>(&digits)
                .map_err(|e| e.to_string())
                .and_then(|bytes| PublicKey::from_bytes(&bytes).map_err(|e| e.to_string()));
            key.map_err(|e| problems.push("hospital.key", e)).ok()
        });
        Some(Hospital { id: id?, name: name?, key: key? })
    }
}

fn subcontractors(files: Vec<PartyFile>, problems: &mut Problems) -> Vec<Subcontractor> {
    let read = |(i, file): (usize, PartyFile)| {
        let name = text(file.name, &format!("subcontractors.{i}.name"), problems);
        let role = text(file.role, &format!("subcontractors.{i}.role"), problems);
        Some(Subcontractor { name: name?, role: role? })
    };
    files.into_iter().enumerate().filter_map(read).collect()
}

fn devices(
    all: bool,
    labels: BTreeSet<Name>,
    groups: BTreeSet<Name>,
    problems: &mut Problems,
) -> Option<Devices> {
    match (all, labels.is_empty() && groups.is_empty()) {
        (true, true) => Some(Devices::All),
        (false, false) => Some(Devices::Named { labels, groups }),
        (true, false) => {
            problems.push("all_devices", "is true, so `devices` and `device_groups` must be left out");
            None
        }
        (false, true) => {
            problems.push(
                "devices",
                "names no device (name one, or a group in device_groups, or set all_devices = true)",
            );
            None
        }
    }
}

/// The only zone (SLA A1.3 is of Japan).
const TIME_ZONE: &str = "Asia/Tokyo";

/// The longest name that fits on a report's line.
const TEXT_CHARS_MAX: usize = 200;

pub(super) fn text(value: Option<String>, key: &str, problems: &mut Problems) -> Option<String> {
    required(value.filter(|t| !t.trim().is_empty()), key, problems).filter(|t| {
        let good = t.chars().count() <= TEXT_CHARS_MAX && !t.chars().any(char::is_control);
        accept(good, key, "is one line of at most 200 characters", problems)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{desk::notice::Severity, sla::calendar::BusinessDuration};

    pub(crate) const EXAMPLE: &str = include_str!("../../../../../packaging/config/contract.example.toml");

    fn keys(text: &str) -> Vec<String> {
        Contract::parse(text).unwrap_err().iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn the_example_is_a_contract() {
        let contract = Contract::parse(EXAMPLE).unwrap();
        assert_eq!(contract.effective_from.to_string(), "2026-04-01");
        assert_eq!(contract.targets.response.budget, BusinessDuration::from_secs(4 * 3600));
        assert_eq!(contract.targets.response.severities, [Severity::Critical].into());
        assert_eq!(
            contract.service_hours,
            ServiceCalendar {
                extra_closed: contract.service_hours.extra_closed.clone(),
                ..ServiceCalendar::default()
            }
        );
        assert!(contract.devices.covers(&Name::new("ct-1").unwrap(), None));
        assert!(!contract.devices.covers(&Name::new("ct-9").unwrap(), None));
    }

    #[test]
    fn an_empty_text_names_every_field_that_is_missing() {
        let expected = [
            "id",
            "version",
            "effective_from",
            "service_name",
            "hospital.id",
            "hospital.name",
            "hospital.key",
            "vendor.name",
            "devices",
            "contacts.normal_hours",
            "contacts.other_hours",
            "targets.uptime",
            "targets.response.budget",
            "targets.response.severities",
        ];
        assert_eq!(keys(""), expected);
    }

    #[test]
    fn each_wrong_field_is_named_and_nothing_else() {
        for (from, to, key) in [
            ("service_name = \"", "service_nam = \"", "service_nam"),
            ("version = 1", "version = 0", "version"),
            ("version = 1", "version = 1\ntime_zone = \"Asia/Seoul\"", "time_zone"),
            ("version = 1", "version = 1\nterm_ends = \"2026-04-01\"", "term_ends"),
            ("effective_from = \"2026-04-01\"", "effective_from = \"2026-04-31\"", "effective_from"),
            ("uptime = 0.99", "uptime = 99", "targets.uptime"),
            ("budget = \"4h\"", "budget = \"4 hours\"", "targets.response.budget"),
            ("budget = \"4h\"", "budget = \"0s\"", "targets.response.budget"),
            ("severities = [\"critical\"]", "severities = [\"critcal\"]", "targets.response.severities.0"),
            ("key = \"d75a", "key = \"d75", "hospital.key"),
            ("normal_hours = \"support@", "normal_hours = \"support at ", "contacts.normal_hours"),
            ("devices = [\"ct-1\"", "all_devices = true\ndevices = [\"ct-1\"", "all_devices"),
            ("mon = [\"09:00-17:00\"]", "mon = [\"9-17\"]", "service_hours.weekly.mon.0"),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            let found = keys(&EXAMPLE.replacen(from, to, 1));
            assert!(found.iter().any(|k| k == key), "{to}: {found:?}");
        }
    }

    #[test]
    fn a_calendar_that_never_opens_is_refused() {
        let text = format!("{EXAMPLE}\n[response_hours]\nweekly = {{}}\n");
        assert_eq!(keys(&text), ["response_hours"]);
    }

    #[test]
    fn the_contact_follows_the_hours() {
        let contract = Contract::parse(EXAMPLE).unwrap();
        let reached = |at: &str| contract.contact_at(format!("{at}+09:00").parse().unwrap()).to_owned();
        let (normal, other) = (&contract.contacts.normal_hours, &contract.contacts.other_hours);
        assert_ne!(normal, other);
        assert_eq!(&reached("2026-07-17T16:59:59"), normal);
        assert_eq!(&reached("2026-07-17T17:00:01"), other);
        assert_eq!(&reached("2026-07-20T12:00:00"), other, "a holiday");
    }

    #[test]
    fn all_devices_are_all_and_a_group_is_its_members() {
        let (ct, group) = (Name::new("ct-1").unwrap(), Name::new("imaging").unwrap());
        assert!(Devices::All.covers(&ct, None));
        let of_group = Devices::Named { labels: [].into(), groups: [group.clone()].into() };
        assert!(of_group.covers(&ct, Some(&group)));
        assert!(!of_group.covers(&ct, Some(&ct)) && !of_group.covers(&ct, None));
        let named = "devices = [\"ct-1\", \"mri-1\"]\ndevice_groups = [\"ultrasound\"]";
        assert!(EXAMPLE.contains(named));
        let devices = |text: &str| Contract::parse(&EXAMPLE.replacen(named, text, 1)).map(|c| c.devices);
        assert_eq!(devices("all_devices = true").unwrap(), Devices::All);
        assert_eq!(devices("device_groups = [\"imaging\"]").unwrap(), of_group);
        assert!(devices("").is_err());
    }

    #[test]
    fn a_name_fits_on_a_line_of_the_report() {
        let named = |name: &str| {
            let mut problems = Problems::default();
            let read = text(Some(name.to_owned()), "x", &mut problems);
            assert_eq!(read.is_some(), problems.is_empty());
            read.is_some()
        };
        assert!(named(&"あ".repeat(TEXT_CHARS_MAX)) && !named(&"あ".repeat(TEXT_CHARS_MAX + 1)));
        assert!(!named("two\nlines") && !named("\t") && !named(" "));
    }

    #[test]
    fn a_role_belongs_to_a_subcontractor() {
        let with_role = EXAMPLE.replacen("[vendor]\n", "[vendor]\nrole = \"x\"\n", 1);
        assert_ne!(with_role, EXAMPLE);
        assert_eq!(keys(&with_role), ["vendor.role"]);
        let tokyo = EXAMPLE.replacen("version = 1", "version = 1\ntime_zone = \"Asia/Tokyo\"", 1);
        assert!(Contract::parse(&tokyo).is_ok());
    }
}
