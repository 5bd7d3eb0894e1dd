//! What a device says of its own state, and the ledger of all devices, as a person reads them. Pure.
//!
//! Holds: what a device did not say is not known (不明), never good and never zero.

use crate::{
    overview::{DeviceCard, LedgerRow},
    store::model::FactRow,
};
use tenken_collector_core::sla::report::csv;
use tenken_common::{
    fact::{Fact, Inventory, PatchState, PatchStatus, PatternFileStatus, PatternState, WearCounter},
    id::Name,
    message::{DeviceText, Language},
    time::{Timestamp, jst_minute},
};

/// One device with all that it says of itself.
pub fn card(card: &DeviceCard, language: Language) -> String {
    let mut lines = vec![format!("{}  {}  {}", card.hospital, card.label, card.device)];
    let titles = [
        DeviceText::Patches,
        DeviceText::PatternFiles,
        DeviceText::Versions,
        DeviceText::Wear,
        DeviceText::Inventory,
    ];
    for title in titles {
        lines.push(title.text(language).to_owned());
        let before = lines.len();
        lines.extend(
            card.facts.iter().filter(|row| title_of(&row.fact) == title).map(|row| line(row, language)),
        );
        if lines.len() == before {
            lines.push(DeviceText::NeverReported.text(language).to_owned());
        }
        if title == DeviceText::Versions && !card.changes.is_empty() {
            lines.push(DeviceText::Changes.text(language).to_owned());
            lines.extend(card.changes.iter().map(|change| {
                let values = [
                    ("at", jst_minute(change.at)),
                    ("subject", change.subject.to_string()),
                    ("old", change.old.to_string()),
                    ("new", change.new.to_string()),
                ];
                DeviceText::Change.fill_all(language, &values)
            }));
        }
    }
    lines.join("\n")
}

/// Under which title it stands.
fn title_of(fact: &Fact) -> DeviceText {
    match fact {
        Fact::PatchStatus(_) => DeviceText::Patches,
        Fact::PatternFileStatus(_) => DeviceText::PatternFiles,
        Fact::Revision(_) => DeviceText::Versions,
        Fact::WearCounter(_) => DeviceText::Wear,
        Fact::Inventory(_) => DeviceText::Inventory,
    }
}

fn line(row: &FactRow, language: Language) -> String {
    let what = match &row.fact {
        Fact::PatchStatus(fact) => patches(fact, language),
        Fact::PatternFileStatus(fact) => pattern_file(fact, language),
        Fact::Revision(fact) => fact.version.to_string(),
        Fact::WearCounter(fact) => wear(fact, language),
        Fact::Inventory(fact) => inventory(fact),
    };
    let values = [("subject", row.subject.to_string()), ("what", what), ("at", jst_minute(row.at))];
    DeviceText::Line.fill_all(language, &values)
}

fn patches(fact: &PatchStatus, language: Language) -> String {
    let unknown = || DeviceText::Unknown.text(language).to_owned();
    let count = |n: Option<u32>| n.map_or_else(unknown, |n| n.to_string());
    let when = |at: Option<Timestamp>| at.map_or_else(unknown, jst_minute);
    let state = match fact.state {
        PatchState::Known => DeviceText::PatchKnown
            .fill_all(language, &[("pending", count(fact.pending)), ("security", count(fact.security))]),
        PatchState::StaleIndex => {
            DeviceText::PatchStale.fill_all(language, &[("index", when(fact.index_at))])
        }
        PatchState::Disabled => DeviceText::PatchDisabled.text(language).to_owned(),
        PatchState::Managed => DeviceText::PatchManaged.text(language).to_owned(),
        PatchState::Unreachable => DeviceText::PatchUnreachable.text(language).to_owned(),
        PatchState::Unknown => unknown(),
    };
    let at = |text: DeviceText, at: Option<Timestamp>| {
        at.map(|at| text.fill_all(language, &[("at", jst_minute(at))]))
    };
    let build = fact.build.as_ref().map_or_else(String::new, |build| format!(" {build}"));
    let restart = fact.reboot_needed.filter(|needed| *needed);
    let parts = [
        Some(state),
        at(DeviceText::PatchOldest, fact.oldest_at),
        at(DeviceText::PatchApplied, fact.applied_at),
        restart.map(|_| DeviceText::RebootNeeded.text(language).to_owned()),
        Some(format!("{} {}{build}", fact.source, fact.system)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(DeviceText::Comma.text(language))
}

fn pattern_file(fact: &PatternFileStatus, language: Language) -> String {
    let unknown = || DeviceText::Unknown.text(language).to_owned();
    let state = match fact.state {
        PatternState::Known => {
            let version = fact.version.as_ref().map_or_else(unknown, Name::to_string);
            let defined = fact.defined_at.map_or_else(unknown, jst_minute);
            DeviceText::PatternKnown.fill_all(language, &[("version", version), ("defined", defined)])
        }
        PatternState::Disabled => DeviceText::PatternDisabled.text(language).to_owned(),
        PatternState::Unknown => unknown(),
    };
    let engine = fact.engine.as_ref();
    let engine =
        engine.map(|engine| DeviceText::PatternEngine.fill_all(language, &[("engine", engine.to_string())]));
    [Some(state), engine].into_iter().flatten().collect::<Vec<_>>().join(DeviceText::Comma.text(language))
}

fn wear(fact: &WearCounter, language: Language) -> String {
    let unit = fact.value.unit;
    let value = format!("{} {}", fact.value.name, unit.display(fact.value.value));
    match fact.rated_life {
        Some(life) => {
            let life = unit.display(life).to_string();
            DeviceText::WearOf.fill_all(language, &[("value", value), ("life", life)])
        }
        None => value,
    }
}

fn inventory(fact: &Inventory) -> String {
    let items = fact.items.iter().map(|(item, value)| format!("{} {value}", item.as_str()));
    items.collect::<Vec<_>>().join(", ")
}

/// The ledger's columns and lines.
fn table(rows: &[LedgerRow], language: Language) -> Vec<Vec<String>> {
    let head = [
        DeviceText::ColumnHospital,
        DeviceText::ColumnLabel,
        DeviceText::ColumnDevice,
        DeviceText::ColumnHostname,
        DeviceText::ColumnSystem,
        DeviceText::ColumnSystemVersion,
        DeviceText::ColumnManufacturer,
        DeviceText::ColumnModel,
        DeviceText::ColumnSerial,
        DeviceText::ColumnArchitecture,
        DeviceText::ColumnRemote,
        DeviceText::ColumnReported,
    ];
    let unknown = || DeviceText::Unknown.text(language).to_owned();
    let word = |name: &Option<Name>| name.as_ref().map_or_else(unknown, Name::to_string);
    let line = |row: &LedgerRow| {
        let remote = match row.remote_maintenance {
            Some(true) => DeviceText::Yes.text(language).to_owned(),
            Some(false) => DeviceText::No.text(language).to_owned(),
            None => unknown(),
        };
        vec![
            row.hospital.to_string(),
            row.label.to_string(),
            row.device.to_string(),
            word(&row.hostname),
            word(&row.system),
            word(&row.system_version),
            word(&row.manufacturer),
            word(&row.model),
            word(&row.serial),
            word(&row.architecture),
            remote,
            row.reported.map_or_else(unknown, jst_minute),
        ]
    };
    let head = head.iter().map(|text| text.text(language).to_owned()).collect();
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}

/// The ledger for a table program.
pub fn ledger_csv(rows: &[LedgerRow], language: Language) -> String {
    csv::rows(&table(rows, language))
}

/// The ledger for a person, a line for each device.
pub fn ledger(rows: &[LedgerRow], language: Language) -> String {
    let lines = table(rows, language);
    let Some((head, lines)) = lines.split_first() else { return String::new() };
    let one = |line: &Vec<String>| {
        let cells = head.iter().zip(line).skip(3).map(|(name, value)| format!("{name} {value}"));
        let first: Vec<&str> = line.iter().take(3).map(String::as_str).collect();
        format!(
            "{}\n  {}",
            first.join("  "),
            cells.collect::<Vec<_>>().join(DeviceText::Comma.text(language))
        )
    };
    lines.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        fact::{PatchSource, PatternSource, WearDirection},
        id::{DeviceId, HospitalId},
        unit::{Quantity, Unit},
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_secs(1_795_000_000 + day * 86_400)
    }

    fn row(subject: &str, fact: Fact) -> FactRow {
        FactRow { device: DeviceId([1; 16]), subject: name(subject), at: at(0), fact }
    }

    fn status(state: PatchState) -> Fact {
        Fact::PatchStatus(PatchStatus {
            probe: name("patches"),
            source: PatchSource::Apt,
            state,
            pending: (state == PatchState::Known).then_some(12),
            security: (state == PatchState::Known).then_some(3),
            oldest_at: Some(at(-9)),
            index_at: Some(at(-40)),
            applied_at: None,
            reboot_needed: Some(true),
            system: name("debian"),
            build: Some(name("12.9")),
        })
    }

    fn device(facts: Vec<FactRow>) -> DeviceCard {
        let hospital = HospitalId(name("minato"));
        DeviceCard { device: DeviceId([1; 16]), hospital, label: name("ct-1"), facts, changes: vec![] }
    }

    #[test]
    fn a_device_in_words() {
        let (engine, version) = (None, Some(name("27000")));
        let pattern = Fact::PatternFileStatus(PatternFileStatus {
            probe: name("antivirus"),
            source: PatternSource::ClamAv,
            state: PatternState::Known,
            engine,
            version,
            defined_at: Some(at(-1)),
        });
        let value = Quantity::new(name("exposures"), Unit::Count, 500.0).unwrap();
        let (rated_life, direction) = (Some(1_000.0), WearDirection::Up);
        let wear = Fact::WearCounter(WearCounter { probe: name("wear"), value, rated_life, direction });
        let facts = vec![row("system", status(PatchState::Known)), row("clamav", pattern), row("tube", wear)];
        let text = card(&device(facts), Language::En);
        for part in [
            "system: 12 pending, 3 of them security, the oldest since",
            "restart needed, apt debian 12.9 (as of",
            "clamav: definitions 27000 of",
            "tube: exposures 500 of 1000",
            "Software versions\n  not known (never reported)",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(card(&device(vec![]), Language::Ja).contains("不明（報告がありません）"));
    }

    #[test]
    fn no_state_that_is_not_known_shows_a_count() {
        for state in PatchState::ALL.iter().filter(|state| **state != PatchState::Known) {
            for language in [Language::Ja, Language::En] {
                let text = card(&device(vec![row("system", status(*state))]), language);
                assert!(!text.contains("pending") && !text.contains("うちセキュリティ"), "{text}");
            }
        }
    }

    #[test]
    fn the_ledger_has_a_line_for_each_device_and_says_what_is_not_known() {
        let row = LedgerRow {
            hospital: HospitalId(name("minato")),
            label: name("ct-1"),
            device: DeviceId([1; 16]),
            hostname: Some(name("-ct")),
            system: Some(name("debian")),
            system_version: Some(name("12.9")),
            manufacturer: None,
            model: None,
            serial: Some(name("SN-1")),
            architecture: None,
            remote_maintenance: Some(true),
            reported: Some(at(0)),
        };
        let csv = ledger_csv(std::slice::from_ref(&row), Language::En);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 2, "{csv}");
        assert!(lines[0].starts_with("\u{feff}hospital,device,id,hostname,OS,OS version"), "{csv}");
        assert!(lines[1].contains(",\"'-ct\",debian,12.9,not known,not known,SN-1,not known,yes,"), "{csv}");
        let none = LedgerRow { remote_maintenance: None, ..row };
        assert!(ledger(&[none], Language::Ja).contains("リモートメンテナンス 不明"));
    }
}
