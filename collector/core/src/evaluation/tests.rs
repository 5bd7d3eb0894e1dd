//! The desk's promises: one problem is one incident and one notice, whoever evaluates and how
//! often; nothing of one hospital changes anything of another.

use super::*;
use crate::{
    desk::{
        incident::{Phase, Step},
        notice::{NotifyReason, Severity},
        scorecard::Score,
    },
    intake::device_state::{Liveness, Stretch},
    predict::series::SeriesKey,
    stream::IncidentStep,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tenken_common::{id::Hash, unit::Unit};

mod cause;
mod interim;
mod told;

const GIB: f64 = 1_073_741_824.0;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + minutes * 60)
}

fn rules() -> RuleSet {
    RuleSet::parse(include_str!("../../../../packaging/rules/default.toml")).unwrap()
}

/// What a shell does between evaluations, without the shell.
struct Desk {
    rules: RuleSet,
    cares: Cares,
    silences: Vec<Silence>,
    uptime: Uptime,
    conditions: Vec<Condition>,
    incidents: BTreeMap<u64, Incident>,
    notices: Vec<Notice>,
    predictions: BTreeMap<IncidentId, Prediction>,
}

impl Desk {
    fn new() -> Self {
        Self {
            // Nobody acknowledges anything here; see `told`.
            rules: RuleSet { unacknowledged: None, ..rules() },
            cares: Cares::new(),
            silences: vec![],
            uptime: Uptime::new([Stretch { from: at(-60 * 24 * 40), to: at(1_000_000) }]),
            conditions: vec![],
            incidents: BTreeMap::new(),
            notices: vec![],
            predictions: BTreeMap::new(),
        }
    }

    fn run(&mut self, minute: i64, devices: &[DeviceInput], actions: &[IncidentAction]) -> Evaluation {
        let open: Vec<Incident> =
            self.incidents.values().filter(|i| i.phase != Phase::Closed).cloned().collect();
        let pending: Vec<Prediction> =
            self.predictions.values().filter(|p| p.judged.is_none()).cloned().collect();
        let out = evaluate(&EvaluationInput {
            as_of: at(minute),
            rules: &self.rules,
            uptime: &self.uptime,
            devices,
            conditions: &self.conditions,
            incidents: &open,
            cares: &self.cares,
            silences: &self.silences,
            actions,
            predictions: &pending,
        });
        // Through JSON, as the shell keeps it.
        let text = serde_json::to_string(&out).unwrap();
        let out: Evaluation = serde_json::from_str(&text).unwrap();
        self.conditions.clone_from(&out.conditions);
        self.incidents.extend(out.incidents.iter().map(|i| (i.id.0, i.clone())));
        self.notices.extend(out.notices.iter().cloned());
        self.predictions.extend(out.predictions.iter().map(|p| (p.incident, p.clone())));
        out
    }

    fn reasons(&self) -> Vec<NotifyReason> {
        self.notices.iter().map(|n| n.reason).collect()
    }

    fn only(&self) -> &Incident {
        assert_eq!(self.incidents.len(), 1);
        self.incidents.values().next().unwrap()
    }
}

fn device(id: u8, minute: i64) -> DeviceInput {
    DeviceInput {
        device: DeviceId([id; 16]),
        hospital: HospitalId(name(if id < 100 { "hospital-a" } else { "hospital-b" })),
        label: name(&format!("ct-{}", id % 100)),
        group: None,
        identity: Identity::default(),
        expected_interval: Duration::from_mins(1),
        last_received: Some(at(minute)),
        clock: None,
        forecasts_due: true,
        series: vec![],
        checks: vec![],
        anomalies: vec![],
        facts: vec![],
        interim: crate::desk::interim::Interim::default(),
        calendar: std::sync::Arc::default(),
    }
}

fn checked(id: u8, minute: i64, state: CheckState) -> DeviceInput {
    let check = CheckInput { probe: name("services"), subject: name("pacs"), state, at: at(minute) };
    DeviceInput { checks: vec![check], ..device(id, minute) }
}

/// Ten days of hourly points until `minute`, a GiB a day, so much left now.
fn filling(id: u8, minute: i64, left_gib: f64) -> DeviceInput {
    let key = SeriesKey {
        device: DeviceId([id; 16]),
        subject: name("/data"),
        probe: name("disk"),
        quantity: name("available_bytes"),
    };
    let points = (0..=240).map(|h| {
        let back = Duration::from_hours(240 - h);
        (at(minute).minus(back), GIB * (left_gib + back.as_secs_f64() / 86_400.0))
    });
    DeviceInput { series: vec![Series::new(key, Unit::Bytes, points)], ..device(id, minute) }
}

#[test]
fn the_same_finding_a_thousand_times_is_one_incident_and_one_notice() {
    let mut desk = Desk::new();
    for minute in 0..1_000 {
        desk.run(minute, &[checked(1, minute, CheckState::Critical)], &[]);
    }
    assert_eq!(desk.reasons(), [NotifyReason::Opened]);
    let notice = desk.notices.first().unwrap();
    assert_eq!((notice.severity, notice.first_seen, notice.decided_at), (Severity::Critical, at(0), at(0)));
    for part in ["hospital-a", "ct-1", "pacs", "2026-09-21 23:13"] {
        assert!(notice.finding.ja.contains(part) && notice.finding.en.contains(part), "{notice:?}");
    }
    assert!(!notice.action.ja.is_empty() && !notice.finding.ja.contains('{'));

    for minute in 1_000..1_010 {
        desk.run(minute, &[checked(1, minute, CheckState::Ok)], &[]);
    }
    assert_eq!(desk.reasons(), [NotifyReason::Opened, NotifyReason::Recovered]);
    assert_eq!(desk.only().last(Step::Recovered), Some(at(1_000)));
}

#[test]
fn evaluating_again_changes_nothing() {
    let mut desk = Desk::new();
    let devices = [checked(1, 0, CheckState::Critical), filling(2, 0, 2.0), device(3, -60)];
    desk.run(0, &devices, &[]);
    desk.run(40, &devices.clone().map(|d| DeviceInput { last_received: Some(at(40)), ..d }), &[]);
    let (before, notices) = (desk.conditions.clone(), desk.notices.len());
    let again = desk.run(40, &devices.map(|d| DeviceInput { last_received: Some(at(40)), ..d }), &[]);
    assert_eq!((again.incidents, again.notices, desk.conditions), (vec![], vec![], before));
    assert!(notices >= 2);
}

#[test]
fn a_filling_disk_is_told_with_its_day_and_gets_critical() {
    let mut desk = Desk::new();
    desk.run(0, &[filling(1, 0, 12.0)], &[]);
    assert!(desk.notices.is_empty(), "it has to hold for half an hour");
    let out = desk.run(30, &[filling(1, 30, 12.0)], &[]);
    let left = out.forecasts.first().unwrap().days_left(at(30)).unwrap();
    assert!((left - 12.0).abs() < 0.1, "{left}");
    let notice = desk.notices.first().unwrap();
    assert_eq!((notice.reason, notice.severity), (NotifyReason::Opened, Severity::Warning));
    for part in ["2026-10-03", "12.0 GiB", "-1.0 GiB", "/data"] {
        assert!(notice.finding.ja.contains(part) && notice.finding.en.contains(part), "{notice:?}");
    }
    assert!(notice.finding.ja.contains("あと12 日"), "{}", notice.finding.ja);

    for _ in 0..3 {
        desk.run(60, &[filling(1, 60, 2.0)], &[]);
    }
    assert_eq!(desk.reasons(), [NotifyReason::Opened, NotifyReason::Escalated]);
    assert_eq!(desk.only().severity, Severity::Critical);
    // A little farther than the limit is not yet recovered; far away is, after two hours.
    desk.run(90, &[filling(1, 90, 35.0)], &[]);
    desk.run(300, &[filling(1, 300, 35.0)], &[]);
    assert!(desk.only().is_open());
    desk.run(330, &[filling(1, 330, 80.0)], &[]);
    desk.run(450, &[filling(1, 450, 80.0)], &[]);
    assert_eq!(desk.reasons().last(), Some(&NotifyReason::Recovered));
}

#[test]
fn an_alert_with_a_date_is_held_to_it() {
    let day = |n: i64| 1_440 * n;
    let run = |acts: bool, left: &dyn Fn(i64) -> f64| {
        let mut desk = Desk::new();
        for minute in [0, 30] {
            desk.run(minute, &[filling(1, minute, left(0))], &[]);
        }
        let incident = desk.only().id;
        let step = IncidentStep::Acknowledged;
        let action = IncidentAction { incident, step, worker: name("w-1"), at: at(60) };
        desk.run(60, &[filling(1, 60, left(0))], if acts { std::slice::from_ref(&action) } else { &[] });
        for n in 1..=25 {
            desk.run(day(n), &[filling(1, day(n), left(n))], &[]);
        }
        assert_eq!(desk.predictions.len(), 1, "one alert, one judgement");
        desk.predictions.into_values().next().unwrap()
    };
    let falling = run(false, &|n| f64::from(i32::try_from(12 - n).unwrap()));
    assert_eq!((falling.alerted, falling.rule.as_str()), (at(30), "disk-filling"));
    let judged = falling.judged.unwrap();
    assert_eq!((judged.score, judged.at), (Score::True, at(day(13))));
    assert!(judged.lead_days.unwrap() > 6.0, "{judged:?}");
    let cleared = |n: i64| if n < 3 { 12.0 } else { 300.0 };
    assert_eq!(run(false, &cleared).judged.unwrap().score, Score::False);
    let acted = run(true, &cleared);
    assert_eq!((acted.acted, acted.judged.unwrap().score), (Some(at(60)), Score::Averted));

    let mut full = Desk::new();
    for minute in [0, 30] {
        full.run(minute, &[filling(1, minute, -1.0)], &[]);
    }
    assert_eq!(full.predictions.into_values().next().unwrap().judged.unwrap().score, Score::TooLate);
}

#[test]
fn a_silent_device_is_one_incident_and_its_last_values_are_not_its_state() {
    let mut desk = Desk::new();
    let mut input = checked(1, 0, CheckState::Ok);
    desk.run(1, std::slice::from_ref(&input), &[]);
    input.checks[0].state = CheckState::Critical;
    for minute in [5, 11, 12, 60, 600] {
        let out = desk.run(minute, std::slice::from_ref(&input), &[]);
        let expected = if minute == 5 { Liveness::Stale } else { Liveness::Silent };
        assert_eq!(out.device_states.values().next().unwrap().liveness, expected);
    }
    let rules: Vec<&str> = desk.notices.iter().map(|n| n.rule.as_str()).collect();
    assert_eq!(rules, ["service-down", "silent-device"]);
    desk.run(601, &[device(1, 601)], &[]);
    assert_eq!(
        desk.notices.last().map(|n| (n.rule.as_str(), n.reason)),
        Some(("silent-device", NotifyReason::Recovered))
    );
    assert_eq!(desk.incidents.values().filter(|i| i.is_open()).count(), 1, "what is not known has not ended");

    let mut never = Desk::new();
    let unheard = DeviceInput { last_received: None, ..device(2, 0) };
    let out = never.run(9_000, &[unheard], &[]);
    assert_eq!(out.device_states.values().next().unwrap().liveness, Liveness::Unknown);
    assert!(never.notices.is_empty());
}

#[test]
fn a_flapping_problem_is_told_twice_at_most_within_its_hour() {
    let mut desk = Desk::new();
    for minute in 0..100 {
        let state = if minute % 10 < 2 { CheckState::Critical } else { CheckState::Ok };
        desk.run(minute, &[checked(1, minute, state)], &[]);
    }
    assert_eq!(desk.reasons(), [NotifyReason::Opened, NotifyReason::Recovered, NotifyReason::Flapping]);
    assert!(desk.only().is_open());
    for minute in 100..200 {
        desk.run(minute, &[checked(1, minute, CheckState::Ok)], &[]);
    }
    assert_eq!(desk.reasons().len(), 4);
    assert_eq!(desk.reasons().last(), Some(&NotifyReason::Recovered));
}

#[test]
fn what_people_do_is_kept_and_a_problem_closed_too_early_comes_back() {
    let mut desk = Desk::new();
    let bad = |minute| [checked(1, minute, CheckState::Critical)];
    desk.run(0, &bad(0), &[]);
    let incident = desk.only().id;
    let act = |step, minute| IncidentAction { incident, step, worker: name("w-1"), at: at(minute) };
    desk.run(1, &bad(1), &[act(IncidentStep::FirstResponseReported, 1), act(IncidentStep::Acknowledged, 0)]);
    let steps: Vec<Step> = desk.only().events.iter().map(|e| e.step).collect();
    assert_eq!(steps, [Step::Detected, Step::Acknowledged, Step::FirstResponseReported]);
    // The check's time is still that of the first run: the new incident must be another one.
    desk.run(2, &bad(0), &[act(IncidentStep::Closed, 2)]);
    assert_eq!(desk.incidents.len(), 2);
    assert_eq!(desk.reasons(), [NotifyReason::Opened, NotifyReason::Closed, NotifyReason::Opened]);
    desk.run(3, &bad(0), &[act(IncidentStep::Closed, 2)]);
    assert_eq!((desk.incidents.len(), desk.notices.len()), (2, 3));
}

#[test]
fn hospitals_and_order_do_not_matter_to_each_other() {
    let mut devices: Vec<DeviceInput> = (1..5).map(|i| checked(i, 0, CheckState::Critical)).collect();
    devices.extend((101..105).map(|i| filling(i, 0, 2.0)));
    let of_a: Vec<DeviceInput> =
        devices.iter().filter(|d| d.hospital.as_str() == "hospital-a").cloned().collect();
    let (mut both, mut alone, mut turned) = (Desk::new(), Desk::new(), Desk::new());
    for minute in [0, 40] {
        let heard = |d: &DeviceInput| DeviceInput { last_received: Some(at(minute)), ..d.clone() };
        both.run(minute, &devices.iter().map(heard).collect::<Vec<_>>(), &[]);
        alone.run(minute, &of_a.iter().map(heard).collect::<Vec<_>>(), &[]);
        turned.run(minute, &devices.iter().rev().map(heard).collect::<Vec<_>>(), &[]);
    }
    let kept: Vec<Notice> =
        both.notices.iter().filter(|n| n.hospital.as_str() == "hospital-a").cloned().collect();
    assert_eq!((kept.len(), both.notices.len()), (4, 8));
    assert_eq!(kept, alone.notices);
    assert_eq!((both.notices, both.incidents), (turned.notices, turned.incidents));
}

#[test]
fn a_clock_and_a_sensor_are_told_with_their_numbers() {
    let mut desk = Desk::new();
    let make = |minute: i64, celsius: f64, offset_s: f64| {
        let series = [("celsius", celsius), ("critical_celsius", 90.0)].map(|(quantity, value)| {
            let key = SeriesKey {
                device: DeviceId([1; 16]),
                subject: name("cpu"),
                probe: name("sensors"),
                quantity: name(quantity),
            };
            Series::new(key, Unit::Celsius, [(at(minute), value)])
        });
        let clock = Some(ClockReading { offset_s, uncertainty_s: 1.0 });
        DeviceInput { series: series.into(), clock, ..device(1, minute) }
    };
    for minute in 0..=10 {
        desk.run(minute, &[make(minute, 92.5, -300.0)], &[]);
    }
    let texts: Vec<&str> = desk.notices.iter().map(|n| n.finding.en.as_str()).collect();
    assert!(texts[0].contains("Now 92.5 °C, limit 90.0 °C"), "{texts:?}");
    assert!(texts[1].contains("off by 5 minutes (allowed: 60 seconds)"), "{texts:?}");
    // Below the limit, above where it clears: still the same incident.
    for minute in 11..60 {
        desk.run(minute, &[make(minute, 88.0, 55.0)], &[]);
    }
    assert_eq!(desk.notices.len(), 2);
    for minute in 60..80 {
        desk.run(minute, &[make(minute, 70.0, 1.0)], &[]);
    }
    assert_eq!(desk.notices.len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_open_incident_a_key_and_no_notice_twice(
        history in prop::collection::vec((1i64..40, 0u8..6, any::<bool>()), 1..60),
    ) {
        let (mut desk, mut minute) = (Desk::new(), 0);
        let mut newest = checked(1, 0, CheckState::Ok);
        for (wait, what, act) in history {
            minute += wait;
            match what {
                0 | 1 => newest = checked(1, minute, CheckState::Ok),
                2 => newest = checked(1, minute, CheckState::Critical),
                3 => newest = checked(1, minute, CheckState::Warning),
                4 => newest.last_received = Some(at(minute)),
                _ => {}
            }
            let steps = [IncidentStep::Acknowledged, IncidentStep::FirstResponseReported, IncidentStep::Closed];
            let actions: Vec<IncidentAction> = desk.incidents.values().filter(|_| act).map(|i| IncidentAction {
                incident: i.id,
                step: *steps.get(usize::from(what) % 3).unwrap(),
                worker: name("w"),
                at: at(minute),
            }).collect();
            desk.run(minute, std::slice::from_ref(&newest), &actions);
            let again = desk.run(minute, std::slice::from_ref(&newest), &actions);
            prop_assert!(again.notices.is_empty());
            for rule in ["service-down", "silent-device"] {
                let open = desk.incidents.values().filter(|i| i.is_open() && i.rule.as_str() == rule).count();
                prop_assert!(open <= 1);
            }
        }
        let ids: BTreeSet<Hash> = desk.notices.iter().map(Notice::id).collect();
        prop_assert_eq!(ids.len(), desk.notices.len());
        let begun = [NotifyReason::Opened, NotifyReason::Flapping];
        let opened = desk.notices.iter().filter(|n| begun.contains(&n.reason)).count();
        let recovered = desk.notices.iter().filter(|n| n.reason == NotifyReason::Recovered).count();
        prop_assert!(recovered <= opened);
        prop_assert!(opened >= desk.incidents.len());
    }
}
