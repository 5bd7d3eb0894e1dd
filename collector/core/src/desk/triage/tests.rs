//! The page says what points where, with its numbers, and nothing of another hospital.

use super::*;
use crate::{
    desk::{
        finding::Finding,
        notice::Bilingual,
        rule::{RuleSet, When},
    },
    sla::report::html::html,
};
use std::collections::BTreeMap;
use tenken_common::{
    id::{DeviceId, HospitalId},
    unit::Unit,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + minute * 60)
}

fn incident(device: u8, label: &str, minute: i64) -> Incident {
    let both = |ja: &str, en: &str| Bilingual { ja: ja.into(), en: en.into() };
    let finding = Finding {
        rule: name("disk-full"),
        device: DeviceId([device; 16]),
        subject: name("/data"),
        severity: Severity::Critical,
        since: at(minute),
        last: at(minute + 5),
        affected: BTreeMap::new(),
        over: None,
        numbers: BTreeMap::from([("limit".to_owned(), 0.95)]),
        finding: both("満杯 <b>", "full <b>"),
        action: both("整理", "clear it"),
    };
    Incident::open(&finding, HospitalId(name("minato")), name(label), at(minute))
}

fn triage() -> Triage {
    let key = |probe: &str, quantity: &str, subject: &str| SeriesKey {
        device: DeviceId([1; 16]),
        subject: name(subject),
        probe: name(probe),
        quantity: name(quantity),
    };
    let line = |key| {
        Series::new(
            key,
            Unit::Ratio,
            (0..1_400).map(|m| (at(m), 0.5 + f64::from(i32::try_from(m).unwrap()) / 4_000.0)),
        )
    };
    let mut past = incident(1, "ct-1", -40_000);
    past.recover(at(-39_880));
    Triage {
        as_of: at(1_440),
        incident: incident(1, "ct-1", 1_400),
        last_received: Some(at(1_439)),
        is_silent: false,
        identity: Identity::default(),
        series: vec![line(key("disk", "used_ratio", "/data")), line(key("cpu", "busy_ratio", "device"))],
        judged: Some(("disk".into(), "used_ratio".into())),
        checks: vec![CheckInput {
            probe: name("services"),
            subject: name("pacs"),
            state: CheckState::Warning,
            at: at(1_430),
        }],
        changes: vec![VersionChange {
            at: at(1_340),
            subject: name("viewer"),
            old: name("1.0"),
            new: name("1.1"),
        }],
        others: vec![past, incident(2, "mr-2", 100)],
    }
}

/// As a person reads it: without what only keeps words together.
fn read(page: &str) -> String {
    page.replace("&nbsp;", " ").replace("<span class=\"n\">", "").replace("</span>", "")
}

#[test]
fn what_the_data_points_to_goes_before_the_advice() {
    let page = read(&html(&triage().document(Language::En)));
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    assert!(place("viewer went from 1.0 to 1.1") < place("clear it"));
    assert!(place("60 minutes before") > 0);
    assert!(place("the same 1 times before") > place("clear it"));
    assert!(page.contains("full &lt;b&gt;") && !page.contains("<b>"), "what came from outside is text");
    assert_eq!(page.matches("<svg").count(), 2);
    assert_eq!(page.matches("class=\"limit\" x1").count(), 1, "the rule's own line only");
    assert!(page.contains("limit 95.0 %"));
    assert!(page.contains("mr-2") && page.contains("2 hours"));
    assert_eq!(read(&html(&triage().document(Language::En))), page);
    assert!(html(&triage().document(Language::Ja)).contains("最初に確認すること"));
}

#[test]
fn a_silent_device_in_doubt_says_so_first() {
    let mut triage = triage();
    triage.is_silent = true;
    triage.identity.clone_suspected = Some(at(0));
    triage.series.clear();
    let page = read(&html(&triage.document(Language::En)));
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    assert!(place("identity of this device is in doubt") < place("Nothing has been heard"));
    assert!(page.contains("No value of the device") && !page.contains("<svg"));
}

#[test]
fn the_shown_day_ends_with_the_incident() {
    let mut incident = incident(1, "ct-1", 0);
    assert_eq!(span(&incident, at(9_000)).to, at(9_000));
    incident.recover(at(100));
    assert_eq!(span(&incident, at(9_000)).to, at(160));
    assert_eq!(span(&incident, at(110)).to, at(110));
}

#[test]
fn the_rules_own_number_comes_first() {
    let rules = RuleSet::parse(include_str!("../../../../../packaging/rules/default.toml")).unwrap();
    let when = |id: &str| &rules.rules.iter().find(|r| r.id.as_str() == id).unwrap().when;
    assert_eq!(judged(when("disk-full")), Some(("disk".into(), "used_ratio".into())));
    assert_eq!(judged(when("disk-filling")), Some(("disk".into(), "available_bytes".into())));
    assert!(
        matches!(when("silent-device"), When::SilentDevice(_)) && judged(when("silent-device")).is_none()
    );
    let triage = triage();
    let ranks: Vec<u8> =
        triage.series.iter().map(|s| rank(&triage.incident, triage.judged.as_ref(), &s.key)).collect();
    assert_eq!(ranks, [0, 4]);
}
