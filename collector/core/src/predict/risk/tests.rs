//! Growth outweighs level; falls, gaps, other parts and missing counters have a stated outcome.

use super::*;
use proptest::prelude::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_secs(day * DAY)
}

fn hour_of(hour: i64) -> Timestamp {
    Timestamp::from_secs(hour * 3_600)
}

/// One reading a day, the last one on day `values.len() - 1`.
fn daily(values: &[f64]) -> Vec<Point> {
    (0..).zip(values).map(|(day, value)| (at(day), *value)).collect()
}

fn score(values: &[f64]) -> f64 {
    let points = daily(values);
    Damage::of(&points, points.last().unwrap().0).unwrap().score()
}

fn climbed(damage: &Damage) -> Vec<f64> {
    damage.climbs.iter().map(|climb| climb.by).collect()
}

fn grown(by: f64) -> Vec<f64> {
    (0..40).map(|day| if day < 36 { 5.0 } else { 5.0 + by }).collect()
}

#[test]
fn what_grows_says_more_than_what_has_been_there_for_long() {
    let old = score(&[500.0; 40]);
    assert!((old - 0.5 * 501_f64.log2()).abs() < 1e-9, "{old}");
    assert!(score(&grown(40.0)) > 2.0 * old);
    // The same forty sectors three weeks ago count once, and not twice.
    let earlier: Vec<f64> = (0..40).map(|day| if day < 20 { 5.0 } else { 45.0 }).collect();
    assert!((score(&grown(40.0)) - score(&earlier) - 41_f64.log2()).abs() < 1e-9);
    assert!(score(&[0.0; 40]).abs() < f64::EPSILON);
}

#[test]
fn a_fall_takes_nothing_of_what_was_climbed() {
    let mut values = vec![0.0; 40];
    values[35] = 20.0;
    let points = daily(&values);
    let damage = Damage::of(&points, at(39)).unwrap();
    assert_eq!((damage.value, climbed(&damage)), (0.0, vec![20.0, 20.0]));
    let reset = Damage::of(&daily(&[900.0, 900.0, 0.0, 0.0]), at(3)).unwrap();
    assert_eq!(climbed(&reset), [0.0, 0.0], "a reset is no climb");
}

#[test]
fn a_short_history_is_told_and_a_later_reading_is_not_known() {
    let damage = Damage::of(&daily(&[3.0, 9.0, 700.0]), at(1)).unwrap();
    let climb = Climb { by: 6.0, over: Duration::from_hours(24) };
    assert_eq!(damage, Damage { value: 9.0, climbs: [climb; 2] });
    let alone = Damage::of(&daily(&[3.0]), at(0)).unwrap();
    assert_eq!(alone.climbs, [Climb { by: 0.0, over: Duration::ZERO }; 2]);
    assert_eq!(Damage::of(&[], at(0)), None);
    assert_eq!(Damage::of(&daily(&[3.0]), at(-1)), None);
    // What came while nothing was read for three weeks is no climb of this week.
    let gap = [(at(0), 0.0), (at(21), 50.0)];
    assert_eq!(climbed(&Damage::of(&gap, at(21)).unwrap()), [50.0, 0.0]);
}

#[test]
fn another_part_is_not_judged_by_the_one_before() {
    let hours = daily(&[30_000.0, 30_024.0, 2.0, 26.0]);
    let age = Age { points: &hours, ..Age::default() };
    assert_eq!(Age { points: &daily(&[1.0, 25.0]), ..age }.same_part_since(), Timestamp::MIN);
    let name = Name::new("reallocated_sectors").unwrap();
    let points = daily(&[10.0, 800.0, 0.0, 1.0]);
    let kinds = [vec![Counter { name: &name, points: &points }]];
    let new = risk(&kinds, &age, at(3)).unwrap();
    assert_eq!((new.since, climbed(&new.told[0].1)), (at(2), vec![1.0, 1.0]));
    let newer = daily(&[30_000.0, 30_024.0, 30_048.0, 30_072.0, 3.0]);
    assert_eq!(risk(&kinds, &Age { points: &newer, ..age }, at(4)), None, "nothing is known of it yet");
}

/// Of a part without damage, read at these hours, on a device that runs since `runs_since`.
fn still(age: &[(i64, f64)], runs_since: Option<i64>) -> Option<Still> {
    let name = Name::new("reallocated_sectors").unwrap();
    let points: Vec<Point> = age.iter().map(|(hour, value)| (hour_of(*hour), *value)).collect();
    let as_of = points.last().unwrap().0;
    let none = [(as_of, 0.0)];
    let kinds = [vec![Counter { name: &name, points: &none }]];
    let age = Age { points: &points, life_signs: &[], runs_since: runs_since.map(hour_of) };
    let found = risk(&kinds, &age, as_of).unwrap();
    assert!((found.score - if found.still.is_some() { 10.0 } else { 0.0 }).abs() < f64::EPSILON);
    found.still
}

#[test]
fn an_age_that_stands_still_while_the_device_runs_is_told() {
    let climbs = |days: i64| (0..=days).zip(0_u32..).map(|(day, n)| (24 * day, 100.0 + 24.0 * f64::from(n)));
    let stands = |days: i64, hours: &[i64]| {
        let mut age: Vec<(i64, f64)> = climbs(days).collect();
        let last = age.last().unwrap().1;
        age.extend(hours.iter().map(|hour| (24 * days + hour, last)));
        age
    };
    let lasts = |age: &[(i64, f64)], runs| still(age, runs).map(|still| still.lasts.as_secs() / 3_600);
    assert_eq!(lasts(&stands(7, &[24]), Some(-1)), Some(24));
    assert_eq!(lasts(&stands(30, &[24, 47, 70]), Some(-1)), Some(70));
    let Still { value, .. } = still(&stands(30, &[24]), Some(-1)).unwrap();
    assert!((value - 820.0).abs() < f64::EPSILON);
    assert_eq!(lasts(&stands(7, &[]), Some(-1)), None, "it climbs");
    assert_eq!(lasts(&stands(7, &[1, 19]), Some(-1)), None, "not for long enough");
    assert_eq!(lasts(&stands(6, &[24]), Some(-1)), None, "that it climbed is not known for a week");
    assert_eq!(lasts(&stands(7, &[24]), None), None, "whether the device runs is not known");
    assert_eq!(lasts(&stands(7, &[24, 48]), Some(7 * 24 + 2)), Some(24), "only what it ran counts");
    assert_eq!(lasts(&stands(7, &[24]), Some(7 * 24 + 2)), None);
    assert_eq!(lasts(&stands(7, &[63, 64]), Some(-1)), None, "it may have slept over the weekend");
    // The numbers beside the age: all of them stand still too, or one moves.
    let points: Vec<Point> = stands(9, &[24]).iter().map(|(h, v)| (hour_of(*h), *v)).collect();
    let with_sign = |now: f64| {
        let celsius: Vec<Point> =
            points.iter().map(|(at, _)| (*at, if *at == hour_of(240) { now } else { 31.0 })).collect();
        let signs = [celsius.as_slice()];
        let age = Age { points: &points, life_signs: &signs, runs_since: Some(hour_of(-1)) };
        age.still(hour_of(240)).is_some()
    };
    assert!(with_sign(31.0) && !with_sign(32.0));
    let mut rests = stands(9, &[24]);
    rests[5].1 = rests[4].1;
    assert_eq!(lasts(&rests, Some(-1)), None, "this one does not always count");
    let mut wakes = stands(9, &[24, 48]);
    wakes.push((12 * 24, 900.0));
    assert_eq!(lasts(&wakes, Some(-1)), None, "it goes on");
}

#[test]
fn of_one_kind_of_damage_the_strongest_speaks_and_kinds_add_up() {
    let [remapped, pending, offline, lost] =
        ["reallocated_sectors", "pending_sectors", "offline_uncorrectable", "media_errors"]
            .map(|name| Name::new(name).unwrap());
    let (some, more, none) = (daily(&[1.0, 7.0]), daily(&[1.0, 15.0]), daily(&[0.0, 0.0]));
    let counter = |name, points| Counter { name, points };
    let kinds = [
        vec![counter(&remapped, some.as_slice())],
        vec![counter(&pending, &some), counter(&offline, &more)],
        vec![counter(&lost, &none)],
    ];
    let found = risk(&kinds, &Age::default(), at(1)).unwrap();
    let names: Vec<&Name> = found.told.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&offline, &remapped], "the strongest first, and nothing of what says nothing");
    let sum = score(&[1.0, 7.0]) + score(&[1.0, 15.0]);
    assert!((found.score - sum).abs() < 1e-9);
    assert_eq!(risk(&[vec![], vec![]], &Age::default(), at(1)), None);
    let healthy = risk(&[vec![counter(&lost, &none)]], &Age::default(), at(1)).unwrap();
    assert_eq!(healthy, Risk { score: 0.0, since: Timestamp::MIN, still: None, told: vec![] });
}

proptest! {
    #[test]
    fn more_damage_never_scores_less_and_no_counter_outshines(
        values in prop::collection::vec(0f64..1e12, 1..60), more in 0f64..1e12,
    ) {
        let mut worse = values.clone();
        *worse.last_mut().unwrap() += more;
        let (one, other) = (score(&values), score(&worse));
        prop_assert!(one <= other + 1e-9, "{one} {other}");
        prop_assert!((0.0..=25.0 + 1e-9).contains(&other), "{other}");
    }
}
