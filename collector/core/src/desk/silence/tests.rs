//! What a silence keeps from being told, and what it does not.

use super::*;
use crate::desk::{finding::Finding, notice::Bilingual};
use std::{collections::BTreeMap, time::Duration};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(minutes * 60)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn incident(device: u8, severity: Severity) -> Incident {
    let both = Bilingual { ja: "異常".into(), en: "bad".into() };
    let finding = Finding {
        rule: name("service-down"),
        device: DeviceId([device; 16]),
        subject: name("pacs"),
        severity,
        since: at(0),
        last: at(0),
        affected: BTreeMap::new(),
        over: None,
        numbers: BTreeMap::new(),
        finding: both.clone(),
        action: both,
    };
    Incident::open(&finding, HospitalId(name("minato")), name("ct-1"), at(1))
}

fn any() -> Matcher {
    Matcher {
        hospital: None,
        device: None,
        rule: None,
        subject: None,
        incident: None,
        max_severity: Severity::Critical,
    }
}

fn minato() -> Matcher {
    Matcher { hospital: Some(HospitalId(name("minato"))), ..any() }
}

fn silence(matcher: Matcher, from: i64, to: i64, reason: &str) -> Result<Silence, BadSilence> {
    Silence::new(matcher, Span::new(at(from), at(to)), (name("w-7"), reason), at(10))
}

#[test]
fn what_is_named_has_to_fit_and_what_is_not_may_be_anything() {
    let bad = incident(1, Severity::Critical);
    let fitting = [
        minato(),
        Matcher { device: Some(bad.device), ..any() },
        Matcher { rule: Some(name("service-down")), ..any() },
        Matcher { subject: Some(name("pacs")), ..minato() },
        Matcher { incident: Some(bad.id), ..any() },
    ];
    let other = [
        Matcher { hospital: Some(HospitalId(name("kita"))), ..any() },
        Matcher { device: Some(DeviceId([2; 16])), ..minato() },
        Matcher { rule: Some(name("disk-filling")), ..minato() },
        Matcher { subject: Some(name("console")), ..minato() },
        Matcher { incident: Some(IncidentId(1)), ..minato() },
        Matcher { max_severity: Severity::Warning, ..minato() },
    ];
    assert!(fitting.iter().all(|m| m.matches(&bad)));
    for matcher in other {
        assert!(!matcher.matches(&bad), "{matcher:?}");
    }
    let mild = Matcher { max_severity: Severity::Warning, ..minato() };
    assert!(mild.matches(&incident(1, Severity::Warning)));
}

#[test]
fn one_silenced_device_does_not_silence_what_it_speaks_for() {
    let mut link = incident(1, Severity::Critical);
    let matcher = Matcher { device: Some(link.device), ..any() };
    link.affected = BTreeMap::from([(link.device, name("ct-1"))]);
    assert!(matcher.matches(&link));
    link.affected.insert(DeviceId([2; 16]), name("ct-2"));
    assert!(!matcher.matches(&link));
    assert!(minato().matches(&link), "the hospital as a whole is another matter");
}

#[test]
fn it_needs_what_it_is_for_a_reason_and_an_end_that_is_near() {
    let days = |n: u64| i64::try_from(Duration::from_hours(24 * n).as_secs() / 60).unwrap();
    assert!(silence(minato(), 0, 11, "交換作業").is_ok());
    assert!(silence(minato(), 0, days(31), "交換作業").is_ok());
    assert_eq!(silence(any(), 0, 60, "交換作業"), Err(BadSilence::NamesNothing));
    let only_mild = Matcher { max_severity: Severity::Info, ..any() };
    assert_eq!(silence(only_mild, 0, 60, "交換作業"), Err(BadSilence::NamesNothing));
    for (from, to) in [(0, 10), (60, 60), (60, 59)] {
        assert_eq!(silence(minato(), from, to, "交換作業"), Err(BadSilence::Over));
    }
    assert_eq!(silence(minato(), 0, days(31) + 1, "交換作業"), Err(BadSilence::TooLong));
    // Not even when it begins late: nobody knows today what next year is not worth telling.
    assert_eq!(silence(minato(), days(31), days(32), "交換作業"), Err(BadSilence::TooLong));
    for reason in ["", "  ", "a\nb", &"長".repeat(limit::SILENCE_REASON_CHARS_MAX + 1)] {
        assert_eq!(silence(minato(), 0, 60, reason), Err(BadSilence::Reason));
    }
}

#[test]
fn the_newest_entry_of_an_id_counts() {
    let first = silence(minato(), 0, 60, "交換作業").unwrap();
    let other = silence(minato(), 0, 90, "交換作業").unwrap();
    assert_ne!(first.id, other.id);
    assert_eq!(first.id.to_string().parse(), Ok(first.id));
    assert!("SIL-x".parse::<SilenceId>().is_err());
    let bad = incident(1, Severity::Critical);
    assert!(first.covers(&bad, at(0)) && first.covers(&bad, at(59)) && !first.covers(&bad, at(60)));

    let ended = first.ended(at(30), name("w-8"));
    let mut silences = Vec::new();
    for entry in [first, other.clone(), ended.clone()] {
        enter(&mut silences, entry);
    }
    assert_eq!(silences, [other, ended.clone()]);
    assert!(ended.covers(&bad, at(29)) && !ended.covers(&bad, at(30)));
    let before = silence(minato(), 20, 60, "交換作業").unwrap().ended(at(15), name("w-8"));
    assert!(before.span.is_empty());
}
