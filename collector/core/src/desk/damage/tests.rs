//! A disk that takes damage opens an incident that says why, and a new disk in its place ends it.

use crate::{
    desk::{
        incident::{Incident, Phase},
        rule::RuleSet,
        scorecard::{Prediction, Score},
    },
    evaluation::{CheckInput, DeviceInput, Evaluation, EvaluationInput, Identity, evaluate},
    intake::device_state::{Stretch, Uptime},
    predict::series::{Point, Series, SeriesKey},
};
use std::{sync::Arc, time::Duration};
use tenken_common::{
    id::{DeviceId, HospitalId, Name},
    observation::CheckState,
    time::Timestamp,
    unit::Unit,
};

const RULES: &str = include_str!("../../../../../packaging/rules/default.toml");
const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + day * DAY)
}

/// A disk that is read once a day.
struct Disk {
    remapped: Vec<Point>,
    powered: Vec<Point>,
    last: Evaluation,
    incidents: Vec<Incident>,
    predictions: Vec<Prediction>,
    /// When its own check last said that it fails.
    fails: Option<Timestamp>,
}

impl Disk {
    fn new() -> Self {
        let (remapped, powered) = (Vec::new(), Vec::new());
        let (last, incidents, predictions) = (Evaluation::default(), Vec::new(), Vec::new());
        Self { remapped, powered, last, incidents, predictions, fails: None }
    }

    /// A day's reading, and the evaluations of the day.
    fn read(&mut self, day: i64, remapped: f64, power_on_days: f64) {
        self.remapped.push((at(day), remapped));
        self.powered.push((at(day), power_on_days * 86_400.0));
        self.judged(day);
    }

    /// Every three hours of a day.
    fn judged(&mut self, day: i64) {
        for hours in (0..24).step_by(3) {
            self.judge(at(day).plus(Duration::from_hours(hours)));
        }
    }

    fn judge(&mut self, as_of: Timestamp) {
        let name = |text| Name::new(text).unwrap();
        let device = DeviceId([7; 16]);
        let series = |quantity, unit, points: &Vec<Point>| {
            let (subject, probe) = (name("sda"), name("smart"));
            Series::new(SeriesKey { device, subject, probe, quantity: name(quantity) }, unit, points.clone())
        };
        let devices = [DeviceInput {
            device,
            hospital: HospitalId(name("minato")),
            label: name("ct-1"),
            group: None,
            identity: Identity::default(),
            expected_interval: Duration::from_mins(1),
            last_received: Some(as_of),
            clock: None,
            forecasts_due: true,
            series: vec![
                series("reallocated_sectors", Unit::Count, &self.remapped),
                series("power_on_seconds", Unit::Seconds, &self.powered),
            ],
            checks: self
                .fails
                .iter()
                .map(|at| CheckInput {
                    probe: name("smart"),
                    subject: name("sda"),
                    state: CheckState::Critical,
                    at: *at,
                })
                .collect(),
            anomalies: vec![],
            facts: vec![],
            interim: crate::desk::interim::Interim::default(),
            calendar: Arc::default(),
        }];
        let pending: Vec<Prediction> =
            self.predictions.iter().filter(|p| p.judged.is_none()).cloned().collect();
        self.last = evaluate(&EvaluationInput {
            as_of,
            rules: &RuleSet::parse(RULES).unwrap(),
            uptime: &Uptime::new([Stretch { from: at(-9), to: at(999) }]),
            devices: &devices,
            conditions: &self.last.conditions,
            incidents: &self.incidents,
            cares: &crate::desk::care::Cares::new(),
            silences: &[],
            actions: &[],
            predictions: &pending,
        });
        for changed in self.last.predictions.clone() {
            self.predictions.retain(|p| p.incident != changed.incident);
            self.predictions.push(changed);
        }
        for changed in self.last.incidents.clone() {
            self.incidents.retain(|incident| incident.id != changed.id);
            self.incidents.push(changed);
        }
    }

    fn is_open(&self) -> bool {
        self.incidents.iter().any(|incident| incident.phase == Phase::Open)
    }
}

#[test]
fn damage_that_grows_is_one_incident_and_a_new_disk_ends_it() {
    let mut disk = Disk::new();
    let mut age = 900.0;
    for day in 0..20 {
        age += 1.0;
        disk.read(day, 40.0, age);
        assert!(!disk.is_open(), "old damage that stands still, day {day}");
    }
    for day in 20..24 {
        age += 1.0;
        disk.read(day, 40.0 + 30.0 * f64::from(i32::try_from(day - 19).unwrap()), age);
    }
    assert!(disk.is_open() && disk.incidents.len() == 1, "{:?}", disk.incidents);
    let told = &disk.incidents[0];
    assert_eq!(told.rule.as_str(), "disk-failing");
    assert_eq!(told.numbers.get("reallocated_sectors"), Some(&160.0));
    let en = "sda may fail soon: reallocated_sectors is 160 (+120 in 7 days, +120 in 23 days)";
    assert!(told.finding.en.contains(en), "{}", told.finding.en);
    let ja = "reallocated_sectors が 160（直近 7 日で +120、23 日で +120）";
    assert!(told.finding.ja.contains(ja), "{}", told.finding.ja);
    // Nothing is read for a week: that is no recovery.
    for day in 24..31 {
        disk.judged(day);
    }
    assert!(disk.is_open());
    for day in 31..35 {
        disk.read(day, 0.0, f64::from(i32::try_from(day - 30).unwrap()));
    }
    assert!(!disk.is_open() && disk.incidents.len() == 1, "{:?}", disk.incidents);
}

#[test]
fn a_score_that_hovers_about_the_limit_does_not_end_it() {
    let mut disk = Disk::new();
    // From the 12th day on the climb of the 5th is none of this week: the score falls from 10.0 to 8.6.
    let climbs = |day: i64| if day < 5 { 100.0 } else { 109.0 };
    for day in 0..3 {
        disk.read(day, climbs(day), 900.0 + f64::from(i32::try_from(day).unwrap()));
    }
    assert!(!disk.is_open());
    for day in 3..20 {
        let powered = 900.0 + f64::from(i32::try_from(day).unwrap());
        disk.read(day, climbs(day) + if day >= 12 { 2.0 } else { 0.0 }, powered);
    }
    let open: Vec<&Incident> = disk.incidents.iter().collect();
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(disk.is_open(), "{open:?}");
    assert!(open[0].numbers["score"] < 10.0, "{open:?}");
}

/// A disk that is told of on the 21st day, and how its alert is judged after 100 days; nothing is read of
/// it where `reading` gives nothing.
fn told_of(fails_from: i64, reading: impl Fn(i64) -> Option<(f64, i64)>) -> Prediction {
    let mut disk = Disk::new();
    for day in 0..100 {
        disk.fails = (day >= fails_from).then(|| at(day));
        match reading(day) {
            Some((remapped, days)) => disk.read(day, remapped, f64::from(i32::try_from(days).unwrap())),
            None => disk.judged(day),
        }
    }
    let [prediction] = disk.predictions.as_slice() else { panic!("{:?}", disk.predictions) };
    assert_eq!(prediction.rule.as_str(), "disk-failing");
    assert_eq!(disk.last.forecasts, [], "it names no day for a plan");
    prediction.clone()
}

#[test]
fn an_alert_of_a_part_is_judged_by_whether_it_fails_within_its_time() {
    const NEVER: i64 = i64::MAX;
    let judged = |p: &Prediction| p.judged.map(|judged| judged.score);
    let damaged = |day: i64| Some((if day < 20 { 40.0 } else { 160.0 }, 900 + day));
    let failed = told_of(40, damaged);
    assert_eq!(judged(&failed), Some(Score::True));
    assert!(failed.judged.unwrap().lead_days.unwrap() > 10.0, "{failed:?}");
    assert_eq!(judged(&told_of(NEVER, damaged)), Some(Score::False));
    let replaced = told_of(NEVER, |day| if day < 30 { damaged(day) } else { Some((0.0, day - 29)) });
    assert_eq!(judged(&replaced), Some(Score::Averted), "{replaced:?}");
    // Nothing is read any more: nobody knows.
    assert_eq!(judged(&told_of(NEVER, |day| damaged(day).filter(|_| day < 24))), None);
}
