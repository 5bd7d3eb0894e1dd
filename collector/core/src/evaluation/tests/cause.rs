//! One cause is one incident: a link, a disk, a device that may be another one.

use super::*;
use crate::intake::ledger::QuarantineReason;

fn rule_of(n: &Notice) -> (&str, NotifyReason) {
    (n.rule.as_str(), n.reason)
}

/// Devices of hospital A, last heard at these minutes.
fn heard(minutes: &[i64]) -> Vec<DeviceInput> {
    (1..).zip(minutes).map(|(id, minute)| device(id, *minute)).collect()
}

#[test]
fn a_cut_link_is_one_incident_for_all_its_devices() {
    let mut desk = Desk::new();
    desk.run(0, &heard(&[0, 0, 0]), &[]);
    for minute in 1..30 {
        // The hospital next door goes on.
        let mut all = heard(&[0, 0, -1]);
        all.push(device(101, minute));
        desk.run(minute, &all, &[]);
    }
    assert_eq!(
        desk.notices.iter().map(rule_of).collect::<Vec<_>>(),
        [("silent-hospital", NotifyReason::Opened)]
    );
    let incident = desk.only().clone();
    let labels: Vec<&str> = incident.affected.values().map(Name::as_str).collect();
    assert_eq!(
        (labels.as_slice(), incident.severity),
        (["ct-1", "ct-2", "ct-3"].as_slice(), Severity::Critical)
    );
    let notice = desk.notices.first().unwrap();
    assert_eq!((notice.first_seen, notice.subject.as_str(), notice.device), (at(0), "link", None));
    for part in ["hospital-a", "3", "ct-1", "ct-3"] {
        assert!(notice.finding.ja.contains(part) && notice.finding.en.contains(part), "{notice:?}");
    }

    // Two come back at once, the third within the time that it has: still nothing else.
    for minute in 30..60 {
        desk.run(minute, &heard(&[minute, minute, if minute < 40 { -1 } else { minute }]), &[]);
    }
    let told: Vec<_> = desk.notices.iter().map(rule_of).collect();
    assert_eq!(
        told,
        [("silent-hospital", NotifyReason::Opened), ("silent-hospital", NotifyReason::Recovered)]
    );
    assert_eq!(desk.only().last(Step::Recovered), Some(at(30)));
}

#[test]
fn a_device_that_does_not_come_back_with_the_link_is_told_for_itself() {
    let mut desk = Desk::new();
    desk.run(0, &heard(&[0, 0]), &[]);
    for minute in 1..60 {
        desk.run(minute, &heard(&[0, if minute < 20 { 0 } else { minute }]), &[]);
    }
    let told: Vec<_> = desk.notices.iter().map(rule_of).collect();
    assert_eq!(
        told,
        [
            ("silent-hospital", NotifyReason::Opened),
            ("silent-hospital", NotifyReason::Recovered),
            ("silent-device", NotifyReason::Opened)
        ]
    );
    let own = desk.incidents.values().find(|i| i.rule.as_str() == "silent-device").unwrap();
    assert_eq!((own.label.as_str(), own.first_seen), ("ct-1", at(0)));
}

#[test]
fn one_silent_device_of_several_is_not_the_link_and_stays_its_own() {
    let mut desk = Desk::new();
    for minute in 0..30 {
        desk.run(minute, &heard(&[0, minute, minute]), &[]);
    }
    assert_eq!(
        desk.notices.iter().map(rule_of).collect::<Vec<_>>(),
        [("silent-device", NotifyReason::Opened)]
    );
    // Now the link goes too: the two others are one incident, the first keeps its own.
    for minute in 30..60 {
        desk.run(minute, &heard(&[0, 29, 29]), &[]);
    }
    let open: Vec<(&str, usize)> =
        desk.incidents.values().map(|i| (i.rule.as_str(), i.affected.len())).collect();
    assert_eq!(desk.notices.len(), 2);
    assert!(open.contains(&("silent-hospital", 2)) && open.contains(&("silent-device", 0)), "{open:?}");
}

#[test]
fn a_hospital_with_one_device_has_no_link_of_its_own() {
    let mut desk = Desk::new();
    for minute in 0..30 {
        desk.run(minute, &heard(&[0]), &[]);
    }
    assert_eq!(
        desk.notices.iter().map(rule_of).collect::<Vec<_>>(),
        [("silent-device", NotifyReason::Opened)]
    );
}

/// A disk that the device itself finds full, and the forecast of the collector.
fn full(minute: i64, left_gib: f64, state: CheckState) -> DeviceInput {
    let check = CheckInput { probe: name("disk.used_ratio"), subject: name("/data"), state, at: at(minute) };
    DeviceInput { checks: vec![check], ..filling(1, minute, left_gib) }
}

#[test]
fn a_full_disk_that_both_sides_find_is_one_incident() {
    let mut desk = Desk::new();
    for minute in [0, 30] {
        desk.run(minute, &[full(minute, 12.0, CheckState::Ok)], &[]);
    }
    desk.run(31, &[full(31, 12.0, CheckState::Warning)], &[]);
    assert_eq!(
        (desk.reasons().as_slice(), desk.only().rule.as_str()),
        ([NotifyReason::Opened].as_slice(), "disk-filling")
    );
    assert_eq!(desk.only().joined, BTreeSet::from([name("disk-full")]));
    assert!(desk.only().finding.en.contains("will run out of space"), "{:?}", desk.only().finding);
    // The device finds it worse: the same incident, worse.
    desk.run(32, &[full(32, 12.0, CheckState::Critical)], &[]);
    assert_eq!(desk.reasons(), [NotifyReason::Opened, NotifyReason::Escalated]);
    assert!(desk.notices.last().unwrap().finding.en.contains("fuller than it should be"));
    // Cleared for the device; the forecast still sees it fill.
    for minute in 33..80 {
        desk.run(minute, &[full(minute, 12.0, CheckState::Ok)], &[]);
    }
    assert!(desk.only().is_open());
    for minute in [80, 200, 201] {
        desk.run(minute, &[full(minute, 80.0, CheckState::Ok)], &[]);
    }
    assert_eq!(desk.reasons().last(), Some(&NotifyReason::Recovered));
    assert_eq!(desk.notices.len(), 3);
}

#[test]
fn a_full_disk_that_the_device_finds_first_is_joined_by_the_forecast() {
    let mut desk = Desk::new();
    for minute in [0, 30, 60] {
        desk.run(minute, &[full(minute, 12.0, CheckState::Critical)], &[]);
    }
    assert_eq!((desk.only().rule.as_str(), desk.notices.len()), ("disk-full", 1));
    assert_eq!(desk.only().joined, BTreeSet::from([name("disk-filling")]));
    // Closed by a person while both still find it: one new incident, not two.
    let incident = desk.only().id;
    let close = IncidentAction { incident, step: IncidentStep::Closed, worker: name("w"), at: at(61) };
    desk.run(61, &[full(61, 12.0, CheckState::Critical)], &[close]);
    desk.run(95, &[full(95, 12.0, CheckState::Critical)], &[]);
    assert_eq!(desk.incidents.values().filter(|i| i.is_open()).count(), 1);
    assert_eq!(desk.incidents.len(), 2);
}

#[test]
fn a_device_that_may_be_another_is_told_with_what_to_do_and_its_silence_is_part_of_it() {
    let mut desk = Desk::new();
    let doubt = |minute, quarantined: bool, clone: bool| DeviceInput {
        identity: Identity {
            quarantined: quarantined.then(|| (at(5), QuarantineReason::Fork)),
            clone_suspected: clone.then(|| at(7)),
        },
        ..device(1, minute)
    };
    desk.run(4, &[doubt(4, false, false)], &[]);
    for minute in 5..40 {
        desk.run(minute, &[doubt(4, true, minute > 7)], &[]);
    }
    let told: Vec<(&str, &str, Severity)> =
        desk.notices.iter().map(|n| (n.rule.as_str(), n.subject.as_str(), n.severity)).collect();
    let critical = Severity::Critical;
    assert_eq!(told, [("identity-doubt", "quarantine", critical), ("identity-doubt", "clone", critical)]);
    let first = desk.notices.first().unwrap();
    assert!(first.finding.ja.contains("食い違う") && first.finding.en.contains("contradict"), "{first:?}");
    assert!(first.action.ja.contains("tenken-hospital rejoin"), "{first:?}");
    desk.run(40, &[doubt(40, false, false)], &[]);
    assert_eq!(desk.reasons().split_off(2), [NotifyReason::Recovered, NotifyReason::Recovered]);
}
