//! The acceptance of the forecast: right where there is a trend, silent where there is none.

use super::*;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Normal noise from a seed: the sum of twelve uniform numbers.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn points(seconds: i64, step: i64, mut value: impl FnMut(f64) -> f64) -> Vec<Point> {
    (0..=seconds / step)
        .map(|i| (Timestamp::from_secs(i * step), value(Timestamp::from_secs(i * step).as_secs_f64())))
        .collect()
}

fn ask(points: &[Point], limit: f64) -> Outcome {
    let question = Question {
        limit,
        direction: Direction::Up,
        as_of: points.last().map_or(Timestamp::EPOCH, |(t, _)| *t),
        horizon: Duration::from_hours(365 * 24),
        age_max: Duration::from_hours(3),
    };
    forecast(points, &question)
}

fn crossing_of(points: &[Point], limit: f64) -> Crossing {
    match ask(points, limit) {
        Outcome::Crossing(crossing) => crossing,
        other @ (Outcome::AlreadyReached | Outcome::Refused(_)) => panic!("{other:?}"),
    }
}

/// Fills from 0 at the start to 100 after `life` seconds; seen until its half.
fn half_life(life: i64, step: i64, relative: bool) {
    let (mut hits, mut widths) = (0, Vec::new());
    for seed in 0..200 {
        let mut noise = Noise(seed);
        let truth = Timestamp::from_secs(life).as_secs_f64();
        let seen = points(life / 2, step, |t| {
            let clean = 100.0 * t / truth;
            clean + 0.05 * noise.normal() * if relative { clean } else { 100.0 }
        });
        let remaining = truth / 2.0;
        // Noise may look like a bend; then it refuses, which counts as a miss below.
        let Outcome::Crossing(c) = ask(&seen, 100.0) else { continue };
        let error = (c.at.as_secs_f64() - truth).abs() / truth;
        assert!(error < 0.10, "seed {seed}: {error}");
        hits += i32::from(c.low.as_secs_f64() <= truth && truth <= c.high.as_secs_f64());
        widths.push((c.high.as_secs_f64() - c.low.as_secs_f64()) / 2.0 / remaining);
    }
    assert!(widths.len() >= 198, "{} of 200 are predicted", widths.len());
    assert!(hits >= 160, "{hits} of 200 intervals hold the truth");
    assert!(median(&mut widths).unwrap() <= 0.25);
}

#[test]
fn at_half_life_the_day_is_within_ten_percent() {
    half_life(60 * DAY, HOUR, false);
    half_life(60 * DAY, HOUR, true);
    half_life(16 * HOUR, 300, false);
    half_life(300 * DAY, DAY, true);
}

#[test]
fn an_exact_line_is_met_exactly_in_either_direction() {
    let up = points(10 * DAY, HOUR, |t| t);
    let c = crossing_of(&up, 20.0 * SECONDS_A_DAY);
    assert!((c.at.as_secs_f64() - 20.0 * SECONDS_A_DAY).abs() < 60.0, "{c:?}");
    assert!((c.per_day - SECONDS_A_DAY).abs() < 1.0);

    let down: Vec<Point> = up.iter().map(|(t, v)| (*t, 2e6 - v)).collect();
    let question = Question {
        limit: 2e6 - 20.0 * SECONDS_A_DAY,
        direction: Direction::Down,
        as_of: Timestamp::from_secs(10 * DAY),
        horizon: Duration::from_hours(365 * 24),
        age_max: Duration::from_hours(3),
    };
    let Outcome::Crossing(mirrored) = forecast(&down, &question) else { panic!() };
    assert!(mirrored.at.micros_since(c.at).abs() < 60_000_000 && mirrored.per_day < 0.0);
    assert_eq!(ask(&down, 3e6), Outcome::Refused(Refusal::NoTrend));
}

#[test]
fn a_burst_of_an_hour_is_no_trend() {
    for (history, step) in [(14 * DAY, 300), (2 * DAY, 60), (6 * HOUR, 60)] {
        for size in [10.0, 30.0, 59.0] {
            for position in 1..10 {
                let mut noise = Noise(u64::try_from(position).unwrap());
                let from = Timestamp::from_secs(history * position / 10)
                    .as_secs_f64()
                    .min(Timestamp::from_secs(history - HOUR - 600).as_secs_f64());
                let seen = points(history, step, |t| {
                    let burst = if (from..from + 3_600.0).contains(&t) { size } else { 0.0 };
                    40.0 + 0.5 * noise.normal() + burst
                });
                let got = ask(&seen, 100.0);
                assert!(matches!(got, Outcome::Refused(_)), "{history} {size} {position}: {got:?}");
            }
        }
    }
}

#[test]
fn a_burst_that_still_climbs_is_no_trend_either() {
    for minutes in [5, 15, 30, 55] {
        let mut noise = Noise(7);
        let history = 3 * DAY;
        let from = Timestamp::from_secs(history - minutes * 60).as_secs_f64();
        let seen = points(history, 60, |t| 40.0 + 0.5 * noise.normal() + ((t - from) / 60.0).max(0.0));
        assert!(matches!(ask(&seen, 100.0), Outcome::Refused(_)), "{minutes}");
    }
}

#[test]
fn a_trend_goes_through_its_bursts() {
    let truth = 40.0 * SECONDS_A_DAY;
    let seen = points(20 * DAY, HOUR, |t| {
        let hour = (t / 3_600.0) % 24.0;
        100.0 * t / truth + if (2.0..4.0).contains(&hour) { 25.0 } else { 0.0 }
    });
    let c = crossing_of(&seen, 100.0);
    assert!((c.at.as_secs_f64() - truth).abs() / truth < 0.1, "{c:?}");
}

#[test]
fn nothing_is_predicted_from_before_a_purge() {
    // Ten a day, purged once on day 9: the line begins anew.
    let seen = points(12 * DAY, HOUR, |t| {
        let day = t / SECONDS_A_DAY;
        10.0 * if day < 9.0 { day } else { day - 9.0 }
    });
    let c = crossing_of(&seen, 100.0);
    assert!((c.at.as_secs_f64() / SECONDS_A_DAY - 19.0).abs() < 0.5, "{c:?}");

    // Just purged: the old line is not continued, and the new one is not there yet.
    for minutes in [15, 30, 50, 90, 180, 400] {
        let purge = Timestamp::from_secs(9 * DAY).as_secs_f64();
        let mut noise = Noise(3);
        let seen = points(9 * DAY + minutes * 60, 300, |t| {
            noise.normal() * 0.2
                + 10.0 * if t < purge { t / SECONDS_A_DAY } else { (t - purge) / SECONDS_A_DAY }
        });
        let got = ask(&seen, 100.0);
        let ok = match got {
            Outcome::Refused(_) => true,
            Outcome::Crossing(c) => c.at > Timestamp::from_secs(16 * DAY),
            Outcome::AlreadyReached => false,
        };
        assert!(ok, "{minutes}: {got:?}");
    }
}

#[test]
fn what_falls_back_every_week_does_not_reach_the_limit() {
    for offset in 1..14 {
        let mut noise = Noise(offset);
        let seen = points(21 * DAY + i64::try_from(offset).unwrap() * DAY / 2, HOUR, |t| {
            10.0 * ((t / SECONDS_A_DAY) % 7.0) + 0.5 * noise.normal()
        });
        let got = ask(&seen, 100.0);
        assert!(matches!(got, Outcome::Refused(_)), "{offset}: {got:?}");
    }
}

#[test]
fn without_a_trend_there_is_no_date() {
    assert_eq!(ask(&points(30 * DAY, HOUR, |_| 8_000.0), 9_000.0), Outcome::Refused(Refusal::NoTrend));
    // A level that was reached in one step and stays.
    for day in 3..28 {
        let step = f64::from(day) * SECONDS_A_DAY;
        let mut noise = Noise(u64::try_from(day).unwrap());
        for loud in [0.0, 1.0] {
            let seen = points(30 * DAY, HOUR, |t| if t < step { 40.0 } else { 70.0 } + loud * noise.normal());
            let got = ask(&seen, 100.0);
            assert!(matches!(got, Outcome::Refused(_)), "{day} {loud}: {got:?}");
        }
    }
    for seed in 0..100 {
        let mut noise = Noise(seed);
        let seen = points(30 * DAY, HOUR, |_| 50.0 + 5.0 * noise.normal());
        assert!(matches!(ask(&seen, 100.0), Outcome::Refused(Refusal::NoTrend)), "{seed}");
    }
}

#[test]
fn a_random_walk_seldom_looks_like_a_trend() {
    let found = (0..200)
        .filter(|seed| {
            let (mut noise, mut level) = (Noise(*seed), 50.0);
            let seen = points(30 * DAY, HOUR, |_| {
                level += 0.2 * noise.normal();
                level
            });
            matches!(ask(&seen, 200.0), Outcome::Crossing(_))
        })
        .count();
    assert!(found <= 20, "{found} of 200");
}

#[test]
fn daily_steps_are_a_trend() {
    let seen = points(20 * DAY, HOUR, |t| (t / SECONDS_A_DAY).floor());
    let c = crossing_of(&seen, 40.0);
    assert!((c.at.as_secs_f64() / SECONDS_A_DAY - 40.5).abs() < 2.0, "{c:?}");
}

#[test]
fn it_refuses_to_guess() {
    let early = points(50 * 60, 60, |t| t);
    assert_eq!(ask(&early, 1e6), Outcome::Refused(Refusal::TooShort { have_s: 3_000, need_s: 3_600 }));
    let two = points(DAY, DAY, |t| t);
    assert_eq!(ask(&two, 1e6), Outcome::Refused(Refusal::TooFew { have: 2, need: POINTS_MIN }));
    assert_eq!(ask(&[], 1.0), Outcome::Refused(Refusal::TooFew { have: 0, need: POINTS_MIN }));
    let slow = points(60 * DAY, HOUR, |t| t / SECONDS_A_DAY);
    assert!(matches!(ask(&slow, 1_000.0), Outcome::Refused(Refusal::TooFar { .. })));
    // An hour and a half says nothing about next month.
    let young = points(90 * 60, 60, |t| t);
    let month = 30.0 * SECONDS_A_DAY;
    assert!(matches!(ask(&young, month), Outcome::Refused(Refusal::TooShort { .. })));
    assert_eq!(ask(&young, 5_000.0), Outcome::AlreadyReached);
    let old = Question {
        limit: 1e9,
        direction: Direction::Up,
        as_of: Timestamp::from_secs(3 * DAY),
        horizon: Duration::from_hours(24),
        age_max: Duration::from_hours(3),
    };
    assert!(matches!(forecast(&young, &old), Outcome::Refused(Refusal::Stale { .. })));
}

#[test]
fn what_comes_after_as_of_is_not_looked_at() {
    let all = points(20 * DAY, HOUR, |t| if t < 10.0 * SECONDS_A_DAY { t } else { 0.0 });
    let question = Question {
        limit: 15.0 * SECONDS_A_DAY,
        direction: Direction::Up,
        as_of: Timestamp::from_secs(10 * DAY - 1),
        horizon: Duration::from_hours(24 * 365),
        age_max: Duration::from_hours(3),
    };
    let known = all.get(..240).unwrap();
    assert_eq!(forecast(&all, &question), forecast(known, &question));
    assert!(matches!(forecast(&all, &question), Outcome::Crossing(_)));
}
