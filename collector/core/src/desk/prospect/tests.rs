//! Parts are told in working days, with an interval, or not at all.

use super::*;
use crate::{
    desk::{incident::Incident, rule::RuleSet},
    evaluation::{DeviceInput, Evaluation, EvaluationInput, evaluate},
    intake::device_state::{Stretch, Uptime},
    predict::series::SeriesKey,
    sla::calendar::{Day, ServiceCalendar},
};
use std::sync::Arc;
use tenken_common::{
    fact::WearCounter,
    id::{DeviceId, HospitalId},
    unit::Quantity,
};

const RULES: &str = include_str!("../../../../../packaging/rules/default.toml");
/// Exposures that a tube is rated for, and how many a working day.
const RATED: f64 = 100_000.0;
const A_DAY: f64 = 500.0;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Midnight of a day in Japan.
fn day(text: &str) -> Timestamp {
    text.parse::<Day>().unwrap().start()
}

/// Normal noise from a seed: the sum of twelve uniform numbers.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    };
    move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}

/// A counter that is read every three hours and grows on working days by what `a_day` says.
fn counted(from: &str, to: &str, mut a_day: impl FnMut(Day) -> f64) -> Vec<Point> {
    let calendar = ServiceCalendar::default();
    let (mut points, mut count) = (Vec::new(), 0.0);
    for day in Day::in_span(crate::sla::span::Span::new(day(from), day(to))) {
        let today = if calendar.is_working(day) { a_day(day) } else { 0.0 };
        for (eighth, part) in [0.0, 0.0, 0.0, 0.2, 0.5, 0.9, 1.0, 1.0].into_iter().enumerate() {
            let hours = Duration::from_hours(3) * u32::try_from(eighth).unwrap();
            points.push((day.start().plus(hours), count + part * today));
        }
        count += today;
    }
    points
}

fn part(points: Vec<Point>, rated_life: Option<f64>, direction: WearDirection) -> DeviceInput {
    let device = DeviceId([1; 16]);
    let (probe, subject, quantity) = (name("counters"), name("tube"), name("exposures"));
    let value = points.last().map_or(0.0, |(_, v)| *v);
    let value = Quantity::new(quantity.clone(), Unit::Count, value).unwrap();
    let key = SeriesKey { device, subject: subject.clone(), probe: probe.clone(), quantity };
    DeviceInput {
        device,
        hospital: HospitalId(name("minato")),
        label: name("ct-1"),
        group: None,
        identity: crate::evaluation::Identity::default(),
        expected_interval: Duration::from_mins(1),
        last_received: points.last().map(|(at, _)| *at),
        clock: None,
        forecasts_due: true,
        series: vec![Series::new(key, Unit::Count, points)],
        checks: vec![],
        anomalies: vec![],
        facts: vec![FactInput {
            subject,
            at: Timestamp::EPOCH,
            fact: Fact::WearCounter(WearCounter { probe, value, rated_life, direction }),
        }],
        interim: crate::desk::interim::Interim::default(),
        calendar: Arc::default(),
    }
}

fn asked(device: &DeviceInput, as_of: Timestamp) -> (Evaluation, Vec<Incident>) {
    let mut device = device.clone();
    let (mut last, mut incidents) = (Evaluation::default(), Vec::new());
    for minutes in [0, 150] {
        let as_of = as_of.plus(Duration::from_mins(minutes));
        device.last_received = Some(as_of);
        last = evaluate(&EvaluationInput {
            as_of,
            rules: &RuleSet::parse(RULES).unwrap(),
            uptime: &Uptime::new([Stretch { from: day("2026-01-01"), to: day("2028-01-01") }]),
            devices: std::slice::from_ref(&device),
            conditions: &last.conditions,
            incidents: &[],
            cares: &crate::desk::care::Cares::new(),
            silences: &[],
            actions: &[],
            predictions: &[],
        });
        incidents.extend(last.incidents.clone());
    }
    (last, incidents)
}

#[test]
fn what_is_left_is_counted_in_working_days_across_the_holidays() {
    // A good month of work is left, with the five closed days of September in it.
    let mut noise = noise(1);
    let points = counted("2026-01-05", "2026-09-11", |_| A_DAY * (1.0 + 0.05 * noise()));
    let count = points.last().unwrap().1;
    let left = (RATED - count) / A_DAY;
    assert!((25.0..36.0).contains(&left), "{left}");
    let (last, incidents) = asked(&part(points, Some(RATED), WearDirection::Up), day("2026-09-11"));
    let Outcome::Crossing(c) = last.forecasts[0].outcome else { panic!("{:?}", last.forecasts) };
    let calendar = ServiceCalendar::default();
    let worked = |to| calendar.working_days(crate::sla::span::Span::new(day("2026-09-11"), to));
    let off = f64::from(u32::try_from(worked(c.at)).unwrap()) - left;
    assert!(off.abs() <= 0.1 * left, "{c:?} {left}");
    assert!(c.low <= c.at && c.at <= c.high, "{c:?}");
    assert!((c.per_day - A_DAY).abs() < 0.1 * A_DAY, "{c:?}");
    let incident = incidents.iter().find(|i| i.rule.as_str() == "wear-part");
    let Some(incident) = incident else { panic!("{incidents:#?} {left}") };
    for text in [&incident.finding.en, &incident.finding.ja] {
        assert!(text.contains("tube") && text.contains("100000") && !text.contains('{'), "{text}");
    }
    assert!((incident.numbers["days_left"] - left).abs() <= 0.1 * left, "{incident:#?}");
    assert_eq!(incident.severity, Severity::Warning);
}

#[test]
fn at_half_life_with_noise_the_day_is_within_ten_percent() {
    for seed in 1..=20 {
        let mut noise = noise(seed);
        // 5 % of the whole life as noise of a reading.
        let mut points = counted("2026-01-05", "2026-06-05", |_| A_DAY);
        for (_, value) in &mut points {
            *value += 0.05 * RATED * noise();
        }
        let as_of = day("2026-06-05");
        let clock = WorkingClock::new(&ServiceCalendar::default(), day("2026-01-05"), as_of);
        let lived = clock.shown(as_of).saturating_since(Timestamp::EPOCH).as_secs_f64() / 86_400.0;
        let rated = 2.0 * lived * A_DAY;
        let (last, _) = asked(&part(points, Some(rated), WearDirection::Up), as_of);
        let Outcome::Crossing(c) = last.forecasts[0].outcome else { panic!("{seed}: {:?}", last.forecasts) };
        let left = ServiceCalendar::default().working_days(crate::sla::span::Span::new(as_of, c.at));
        let whole = lived + f64::from(u32::try_from(left).unwrap());
        assert!((whole - 2.0 * lived).abs() <= 0.1 * 2.0 * lived, "{seed}: {whole} of {}", 2.0 * lived);
    }
}

#[test]
fn what_falls_to_nothing_needs_no_rated_life_and_one_of_unknown_life_is_not_judged() {
    let used = counted("2026-01-05", "2026-09-11", |_| 0.5);
    let left: Vec<Point> = used.iter().map(|(at, v)| (*at, 100.0 - v)).collect();
    let (last, incidents) = asked(&part(left, None, WearDirection::Down), day("2026-09-11"));
    assert!(matches!(last.forecasts[0].outcome, Outcome::Crossing(_)), "{:?}", last.forecasts);
    assert!(incidents.iter().any(|i| i.rule.as_str() == "wear-part"), "{incidents:?}");
    let (last, incidents) = asked(&part(used, None, WearDirection::Up), day("2026-09-11"));
    assert!(last.forecasts.is_empty() && incidents.is_empty());
}

#[test]
fn a_replaced_part_begins_anew_and_an_old_reading_says_nothing() {
    let mut points = counted("2026-01-05", "2026-08-28", |_| A_DAY);
    let until = points.len();
    points.extend(counted("2026-08-28", "2026-09-03", |_| A_DAY));
    let device = part(points.clone(), Some(RATED), WearDirection::Up);
    let (last, incidents) = asked(&device, day("2026-09-03"));
    let told = last.forecasts[0].outcome;
    assert!(!matches!(told, Outcome::Crossing(c) if c.at < day("2026-12-01")), "{told:?}");
    assert!(incidents.is_empty(), "{incidents:?}");
    points.truncate(until);
    let (last, incidents) = asked(&part(points, Some(RATED), WearDirection::Up), day("2026-09-03"));
    assert!(
        matches!(last.forecasts[0].outcome, Outcome::Refused(Refusal::Stale { .. })),
        "{:?}",
        last.forecasts
    );
    assert!(incidents.is_empty(), "{incidents:?}");
}

#[test]
fn the_careful_date_is_asked_only_where_the_quick_one_is_near() {
    let hourly = |per_day: f64| -> Vec<Point> {
        (0..=30 * 24)
            .map(|h| (Timestamp::from_secs(h * 3_600), per_day * f64::from(u32::try_from(h).unwrap()) / 24.0))
            .collect()
    };
    let question = |limit| Question {
        limit,
        direction: Direction::Up,
        as_of: Timestamp::from_secs(30 * 86_400),
        horizon: HORIZON,
        age_max: DAY,
    };
    let points = hourly(1.0);
    let (near, far) = (question(40.0), question(130.0));
    assert_eq!(foresee(&points, &far, DAY * 30), forecast(&points, &far));
    let careful = ahead(&points, &near).outcome;
    let (Outcome::Crossing(told), Outcome::Crossing(careful)) = (foresee(&points, &near, DAY * 30), careful)
    else {
        panic!("{careful:?}")
    };
    assert_eq!((told.at, told.low, told.high), (careful.at, careful.low, careful.high));
    let Outcome::Crossing(c) = foresee(&points, &near, DAY * 30) else { panic!() };
    assert!((c.at.as_secs_f64() / 86_400.0 - 40.0).abs() < 0.2, "{c:?}");
}
