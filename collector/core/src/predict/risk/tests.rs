//! Growth outweighs level; falls, gaps, other parts and missing counters have a stated outcome.

use super::*;
use proptest::prelude::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_secs(day * DAY)
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
    assert_eq!(same_part_since(&hours), at(2));
    assert_eq!(same_part_since(&daily(&[1.0, 25.0])), Timestamp::MIN);
    let name = Name::new("reallocated_sectors").unwrap();
    let points = daily(&[10.0, 800.0, 0.0, 1.0]);
    let kinds = [vec![Counter { name: &name, points: &points }]];
    let new = risk(&kinds, same_part_since(&hours), at(3)).unwrap();
    assert_eq!(climbed(&new.told[0].1), [1.0, 1.0]);
    assert_eq!(risk(&kinds, at(4), at(5)), None, "nothing is known of it yet");
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
    let found = risk(&kinds, Timestamp::MIN, at(1)).unwrap();
    let names: Vec<&Name> = found.told.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&offline, &remapped], "the strongest first, and nothing of what says nothing");
    let sum = score(&[1.0, 7.0]) + score(&[1.0, 15.0]);
    assert!((found.score - sum).abs() < 1e-9);
    assert_eq!(risk(&[vec![], vec![]], Timestamp::MIN, at(1)), None);
    let healthy = risk(&[vec![counter(&lost, &none)]], Timestamp::MIN, at(1)).unwrap();
    assert_eq!(healthy, Risk { score: 0.0, told: vec![] });
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
