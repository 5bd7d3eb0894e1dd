//! Microsoft Defender Antivirus, as `MSFT_MpComputerStatus` describes it, on clients and servers alike.
//!
//! Holds: its definitions count where its service works, it is enabled and it runs as the product of
//! this computer (`Normal`; older versions do not say). Passive or not running, it is switched off.
//! Whether it looks at files as they are opened is not asked: it says nothing of the definitions.
//! A date in the future is no date. What it does not say is not known.

use crate::probes::{
    com::{Row, Variant},
    version,
};
use tenken_agent_core::probe::ProbeInfo;
use tenken_common::{
    fact::{PatternFileStatus, PatternSource, PatternState},
    id::Name,
    time::Timestamp,
};

/// What is asked for.
pub const PROPERTIES: [&str; 6] = [
    "AMEngineVersion",
    "AMRunningMode",
    "AMServiceEnabled",
    "AntivirusEnabled",
    "AntivirusSignatureLastUpdated",
    "AntivirusSignatureVersion",
];
/// WBEM_E_NOT_FOUND, WBEM_E_INVALID_NAMESPACE, WBEM_E_INVALID_CLASS, REGDB_E_CLASSNOTREG.
const ABSENT: [u32; 4] = [0x8004_1002, 0x8004_100E, 0x8004_1010, 0x8004_0154];
/// Its provider's word for a service that does not run.
const STOPPED: u32 = 0x8001_06BA;
/// What stands where nothing is loaded.
const NO_VERSION: &str = "0.0.0.0";

/// The status of the class's one object.
pub fn read(row: &Row, info: &ProbeInfo, now: Timestamp) -> PatternFileStatus {
    let flag = |name: &str| row.get(name).and_then(Variant::flag);
    let text = |name: &str| row.get(name).and_then(Variant::text);
    let numbered = |name: &str| text(name).filter(|text| text.trim() != NO_VERSION).and_then(version);
    let defined_at = row.get("AntivirusSignatureLastUpdated").and_then(Variant::date);
    let defined_at = defined_at.filter(|at| *at <= now.plus(super::AHEAD_MAX));
    let mode = text("AMRunningMode").map(str::trim).filter(|mode| !mode.is_empty());
    let stands_aside = mode.is_some_and(|mode| !mode.eq_ignore_ascii_case("Normal"));
    let state = match (flag("AMServiceEnabled"), flag("AntivirusEnabled")) {
        (Some(false), _) | (_, Some(false)) => PatternState::Disabled,
        _ if stands_aside => PatternState::Disabled,
        (Some(true), Some(true)) if defined_at.is_some() => PatternState::Known,
        (Some(true) | None, Some(true) | None) => PatternState::Unknown,
    };
    PatternFileStatus {
        probe: Name::of_outside(info.name),
        source: PatternSource::Defender,
        state,
        engine: numbered("AMEngineVersion"),
        version: numbered("AntivirusSignatureVersion"),
        defined_at,
    }
}

/// What a refusal says: nothing where it is not installed, else that nothing is known of it.
pub fn refused(code: u32, info: &ProbeInfo) -> Option<PatternFileStatus> {
    let state = if code == STOPPED { PatternState::Disabled } else { PatternState::Unknown };
    let status = PatternFileStatus {
        probe: Name::of_outside(info.name),
        source: PatternSource::Defender,
        state,
        engine: None,
        version: None,
        defined_at: None,
    };
    (!ABSENT.contains(&code)).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::every_six_hours;
    use tenken_common::category::Category;

    /// As Windows 10, 11 and Server 2019 and later give it.
    fn normal() -> Row {
        let text = |text: &str| Variant::Text(text.to_owned());
        Row::from([
            ("AMEngineVersion", text("1.1.26100.7")),
            ("AMRunningMode", text("Normal")),
            ("AMServiceEnabled", Variant::Flag(true)),
            ("AntivirusEnabled", Variant::Flag(true)),
            ("AntivirusSignatureLastUpdated", text("20261124083012.000000+000")),
            ("AntivirusSignatureVersion", text("1.441.203.0")),
        ])
    }

    fn read(row: &Row) -> PatternFileStatus {
        let info = every_six_hours("pattern_files", Category::PatternFile);
        // 25 November 2026
        super::read(row, &info, Timestamp::from_secs(1_795_590_000))
    }

    fn with(name: &'static str, value: Variant) -> PatternFileStatus {
        let mut row = normal();
        row.insert(name, value);
        read(&row)
    }

    #[test]
    fn a_computer_that_defender_protects() {
        assert_eq!(normal().into_keys().collect::<Vec<_>>(), PROPERTIES);
        let status = read(&normal());
        assert_eq!((status.source, status.state), (PatternSource::Defender, PatternState::Known));
        assert_eq!(status.engine.unwrap().as_str(), "1.1.26100.7");
        assert_eq!(status.version.unwrap().as_str(), "1.441.203.0");
        assert_eq!(status.defined_at.unwrap().to_string(), "2026-11-24T08:30:12Z");
        // As platform 4.10, which Server 2016 came with, leaves it out.
        let mut older = normal();
        older.remove("AMRunningMode");
        assert_eq!(read(&older).state, PatternState::Known);
    }

    #[test]
    fn a_defender_that_stands_aside_is_switched_off() {
        for mode in ["Passive Mode", "SxS Passive Mode", "EDR Block Mode", "Not running"] {
            assert_eq!(with("AMRunningMode", Variant::Text(mode.to_owned())).state, PatternState::Disabled);
        }
        for name in ["AMServiceEnabled", "AntivirusEnabled"] {
            assert_eq!(with(name, Variant::Flag(false)).state, PatternState::Disabled, "{name}");
        }
        // As it stands where another product has taken over.
        let text = |text: &str| Variant::Text(text.to_owned());
        let stopped = read(&Row::from([
            ("AMEngineVersion", text("0.0.0.0")),
            ("AMRunningMode", text("Not running")),
            ("AMServiceEnabled", Variant::Flag(false)),
            ("AntivirusEnabled", Variant::Flag(false)),
            ("AntivirusSignatureLastUpdated", Variant::Empty),
            ("AntivirusSignatureVersion", text("0.0.0.0")),
        ]));
        assert_eq!(stopped.state, PatternState::Disabled);
        assert_eq!((stopped.engine, stopped.version, stopped.defined_at), (None, None, None));
    }

    #[test]
    fn a_refusal_is_absence_a_stopped_service_or_not_known() {
        let info = every_six_hours("pattern_files", Category::PatternFile);
        let state = |code| refused(code, &info).map(|status| status.state);
        assert_eq!(ABSENT.map(state), [None; 4]);
        assert_eq!(state(STOPPED), Some(PatternState::Disabled));
        // Access denied, the call was cancelled.
        assert_eq!([0x8004_1003, 0x0004_0004].map(state), [Some(PatternState::Unknown); 2]);
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_not_known() {
        assert_eq!(read(&Row::new()).state, PatternState::Unknown);
        for name in ["AMServiceEnabled", "AntivirusEnabled", "AntivirusSignatureLastUpdated"] {
            let mut without = normal();
            without.remove(name);
            assert_eq!(read(&without).state, PatternState::Unknown, "{name}");
            for value in
                [Variant::Empty, Variant::Integer(1), Variant::Text("True".to_owned()), Variant::Other(13)]
            {
                assert_eq!(with(name, value).state, PatternState::Unknown, "{name}");
            }
        }
        for date in
            ["29991124083012.000000+000", "16010101000000.000000+000", "20261324083012.000000+000", ""]
        {
            let status = with("AntivirusSignatureLastUpdated", Variant::Text(date.to_owned()));
            assert_eq!((status.state, status.defined_at), (PatternState::Unknown, None), "{date}");
        }
        let odd = with("AntivirusSignatureVersion", Variant::Text("YAMADA TARO".to_owned()));
        assert_eq!((odd.state, odd.version), (PatternState::Known, None));
    }
}
