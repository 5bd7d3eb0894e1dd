//! The acceptance of the careful forecast.

use super::super::{Direction, POINTS_MIN};
use super::*;

const DAY_S: i64 = 86_400;

/// Normal noise from a seed: the sum of twelve uniform numbers.
struct Noise(u64);

impl Noise {
    fn normal(&mut self) -> f64 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }
}

/// A point a day.
fn days(n: i64, mut value: impl FnMut(f64) -> f64) -> Vec<Point> {
    (0..n).map(|i| (Timestamp::from_secs(i * DAY_S), value(Timestamp::from_secs(i).as_secs_f64()))).collect()
}

fn question(points: &[Point], limit: f64, direction: Direction) -> Question {
    Question {
        limit,
        direction,
        as_of: points.last().map_or(Timestamp::EPOCH, |(t, _)| *t),
        horizon: Duration::from_hours(24 * 3_650),
        age_max: Duration::from_hours(24),
    }
}

fn down(points: &[Point], limit: f64) -> Outcome {
    ahead(points, &question(points, limit, Direction::Down)).outcome
}

fn up(points: &[Point], limit: f64) -> Outcome {
    ahead(points, &question(points, limit, Direction::Up)).outcome
}

fn day_of(at: Timestamp) -> f64 {
    at.as_secs_f64() / 86_400.0
}

#[test]
fn a_line_is_met_where_it_is() {
    let mut noise = Noise(1);
    let seen = days(100, |t| 2.0 - 0.005 * t + 0.005 * noise.normal());
    let Outcome::Crossing(c) = down(&seen, 1.2) else { panic!("{:?}", down(&seen, 1.2)) };
    assert!((day_of(c.at) - 160.0).abs() < 8.0, "{c:?}");
    assert!(c.low <= c.at && c.at <= c.high && day_of(c.low) < 160.0 && 160.0 < day_of(c.high), "{c:?}");
    assert!((c.per_day + 0.005).abs() < 0.001, "{c:?}");
}

#[test]
fn a_degradation_that_quickens_is_not_a_line() {
    let capacity = |t: f64| 2.0 - 0.000_5 * t.powf(1.5);
    let mut noise = Noise(2);
    let seen = days(70, |t| capacity(t) + 0.003 * noise.normal());
    let truth = (0.8_f64 / 0.000_5).powf(1.0 / 1.5);
    let Outcome::Crossing(c) = down(&seen, 1.2) else { panic!("{:?}", down(&seen, 1.2)) };
    assert!((day_of(c.at) - truth).abs() < 0.12 * truth, "{c:?} {truth}");
    assert!(day_of(c.low) < truth && truth < day_of(c.high), "{c:?} {truth}");
    let line = forecast(&seen, &question(&seen, 1.2, Direction::Down));
    let off = |outcome: Outcome| match outcome {
        Outcome::Crossing(c) => (day_of(c.at) - truth).abs(),
        Outcome::AlreadyReached | Outcome::Refused(_) => f64::INFINITY,
    };
    assert!(off(Outcome::Crossing(c)) < off(line), "{c:?} {line:?}");
}

#[test]
fn a_random_walk_seldom_looks_like_a_trend() {
    let found = (0..200)
        .filter(|seed| {
            let (mut noise, mut level) = (Noise(*seed), 50.0);
            let seen = days(200, |_| {
                level += 0.2 * noise.normal();
                level
            });
            matches!(up(&seen, 70.0), Outcome::Crossing(_))
        })
        .count();
    assert!(found <= 10, "{found} of 200");
}

#[test]
fn noise_and_constants_get_no_date() {
    for seed in 0..50 {
        let mut noise = Noise(seed);
        let seen = days(150, |_| 50.0 + noise.normal());
        assert!(matches!(up(&seen, 60.0), Outcome::Refused(_)), "{seed}");
    }
    let constant = days(150, |_| 50.0);
    assert_eq!(up(&constant, 60.0), Outcome::Refused(Refusal::NoTrend));
    assert_eq!(up(&constant, 40.0), Outcome::AlreadyReached);
}

#[test]
fn a_trend_away_from_the_limit_gets_no_date() {
    let seen = days(100, |t| 100.0 - t);
    assert_eq!(up(&seen, 200.0), Outcome::Refused(Refusal::NoTrend));
}

#[test]
fn two_points_and_none_are_too_few() {
    assert_eq!(up(&[], 1.0), Outcome::Refused(Refusal::TooFew { have: 0, need: POINTS_MIN }));
    let two = days(2, |t| t);
    assert_eq!(up(&two, 9.0), Outcome::Refused(Refusal::TooFew { have: 2, need: POINTS_MIN }));
}

#[test]
fn a_few_steps_are_left_to_the_line() {
    let seen = days(20, |t| t);
    let answer = ahead(&seen, &question(&seen, 40.0, Direction::Up));
    assert!(matches!(answer.outcome, Outcome::Crossing(_)) && answer.basis.is_none(), "{answer:?}");
}

#[test]
fn what_is_purged_regularly_does_not_reach_the_limit() {
    let mut noise = Noise(3);
    let seen = days(100, |t| 10.0 * (t % 30.0) / 30.0 + 0.1 * noise.normal());
    assert!(matches!(up(&seen, 20.0), Outcome::Refused(_)), "{:?}", up(&seen, 20.0));
}

#[test]
fn gaps_are_bridged_and_mostly_gaps_refused() {
    let line = days(200, |t| t);
    let some: Vec<Point> = line.iter().enumerate().filter(|(i, _)| i % 5 != 0).map(|(_, p)| *p).collect();
    let Outcome::Crossing(c) = up(&some, 300.0) else { panic!("{:?}", up(&some, 300.0)) };
    assert!((day_of(c.at) - 300.0).abs() < 5.0, "{c:?}");
    let year_of_silence: Vec<Point> = line
        .iter()
        .take(30)
        .map(|(t, v)| (t.minus(Duration::from_hours(24 * 400)), *v))
        .chain(line.iter().take(30).map(|(t, v)| (*t, v + 30.0)))
        .collect();
    assert!(matches!(up(&year_of_silence, 300.0), Outcome::Refused(Refusal::TooFew { .. })));
}

#[test]
fn steps_fit_the_history() {
    let minutes: Vec<Point> =
        (0..43_200).map(|i| (Timestamp::from_secs(i * 60), Timestamp::from_secs(i).as_secs_f64())).collect();
    let answer = ahead(&minutes, &question(&minutes, 60_000.0, Direction::Up));
    let basis = answer.basis.unwrap();
    assert_eq!((basis.step_s, basis.steps), (7_200, 360));
    assert!(matches!(answer.outcome, Outcome::Crossing(_)), "{:?}", answer.outcome);
}
