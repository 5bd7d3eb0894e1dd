//! The acceptance of the detector: finds what is planted, is quiet where nothing is, says why.

use super::*;
use proptest::prelude::*;
use tenken_common::{codec, message::Language};

const STEP_S: i64 = 300;

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

fn at(i: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + i * STEP_S)
}

/// Alerts of the shipped setting on a series of so many points, with the reason's aspect and side.
fn alerts(points: i64, value: impl FnMut(i64, f64) -> f64) -> Vec<(i64, Aspect, Side)> {
    alerts_from(ALERT, points, value)
}

fn alerts_from(score: f64, points: i64, mut value: impl FnMut(i64, f64) -> f64) -> Vec<(i64, Aspect, Side)> {
    let (mut detector, mut noise) = (Detector::new(score), Noise(11));
    let mut found = Vec::new();
    for i in 0..points {
        let verdict = detector.see(at(i), value(i, noise.normal())).unwrap();
        if verdict.alert {
            let reason = verdict.reason.unwrap();
            found.push((i, reason.aspect, reason.side));
        }
    }
    found
}

/// A day's rise and fall.
fn day(i: i64) -> f64 {
    (at(i).as_secs_f64() / 86_400.0 * std::f64::consts::TAU).sin()
}

#[test]
fn quiet_series_are_quiet() {
    assert_eq!(alerts(20_000, |_, _| 5.0), [], "constant");
    assert_eq!(alerts(20_000, |_, noise| 50.0 + noise), [], "noise");
    assert_eq!(alerts(20_000, |i, noise| 50.0 + 10.0 * day(i) + noise), [], "a day's rhythm");
    assert_eq!(alerts(20_000, |i, _| if i % 288 < 144 { 1.0 } else { 9.0 }), [], "on and off");
}

#[test]
fn a_jump_of_the_level_is_told_once_and_at_once() {
    let found = alerts(6_000, |i, noise| noise + if i < 4_000 { 50.0 } else { 90.0 });
    let [(when, _, Side::Above)] = found.as_slice() else { panic!("{found:?}") };
    assert!((4_000..4_003).contains(when), "{found:?}");
}

#[test]
fn a_standstill_is_told() {
    let found = alerts_from(NOTICE, 6_000, |i, noise| if i < 4_000 { 50.0 + noise } else { 50.0 });
    assert!(
        found.iter().any(|f| (4_000..4_048).contains(&f.0) && (f.1, f.2) == (Aspect::Spread, Side::Below)),
        "{found:?}"
    );
    assert!(found.len() <= 3, "{found:?}");
}

#[test]
fn what_is_usual_at_noon_is_not_at_night() {
    // A job of an hour that runs every day at the same time; once eight hours too late.
    let found = alerts_from(NOTICE, 8_000, |i, noise| {
        let hour = at(i).as_secs().rem_euclid(86_400) / 3_600;
        let late = (6_900..7_190).contains(&i);
        noise + if hour == (if late { 14 } else { 6 }) { 80.0 } else { 20.0 }
    });
    assert!(found.iter().any(|f| (6_900..7_200).contains(&f.0) && f.1 == Aspect::Hour), "{found:?}");
    assert!(found.len() <= 4, "{found:?}");
}

#[test]
fn nothing_is_told_while_it_learns() {
    assert_eq!(alerts(700, |i, noise| noise + if i < 600 { 50.0 } else { 5_000.0 }), []);
}

#[test]
fn the_sentence_has_the_numbers() {
    let (mut detector, mut noise) = (Detector::default(), Noise(5));
    for i in 0..3_000 {
        detector.see(at(i), 50.0 + noise.normal()).unwrap();
    }
    let verdict = detector.see(at(3_000), 1_234.5).unwrap();
    assert!(verdict.alert && verdict.is_news);
    let reason = verdict.reason.unwrap();
    for language in [Language::Ja, Language::En] {
        let text = reason.sentence(language);
        assert!(text.contains("1234") && text.contains(&reason::number(reason.bound)), "{text}");
    }
    assert!((51.0..54.0).contains(&reason.bound), "{reason:?}");
}

#[test]
fn numbers_have_four_digits() {
    let cases = [
        (0.0, "0"),
        (1_234.5, "1234"),
        (12.5, "12.5"),
        (0.012_345, "0.01235"),
        (-3.0, "-3"),
        (2.5e-9, "2.500e-9"),
        (1e20, "1.000e20"),
    ];
    for (value, text) in cases {
        assert_eq!(reason::number(value), text);
    }
}

#[test]
fn what_is_no_point_changes_nothing() {
    let mut detector = Detector::default();
    detector.see(at(0), 1.0).unwrap();
    let before = detector.clone();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        assert_eq!(detector.see(at(1), value), Err(PointError::NoNumber));
    }
    for i in [0, -5] {
        assert_eq!(detector.see(at(i), 1.0), Err(PointError::NotAfter { last: at(0) }));
    }
    assert_eq!(detector, before);
}

#[test]
fn after_a_long_silence_it_learns_again() {
    let (mut detector, mut noise) = (Detector::default(), Noise(2));
    for i in 0..3_000 {
        detector.see(at(i), 50.0 + noise.normal()).unwrap();
    }
    let year_later = at(3_000 + 105_120);
    let verdict = detector.see(year_later, 5_000.0).unwrap();
    assert!(!verdict.alert && verdict.score == 0.0, "{verdict:?}");
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Detector>() <= 2_048, "{} bytes", size_of::<Detector>());
}

proptest! {
    #[test]
    fn a_stored_state_goes_on_the_same(values in prop::collection::vec(-1e6f64..1e6, 300..700), cut in 0usize..300) {
        let (mut one, mut other) = (Detector::new(NOTICE), Detector::new(NOTICE));
        for (i, value) in (0i64..).zip(&values) {
            if usize::try_from(i).unwrap() == cut {
                let stored = codec::to_vec(&other).unwrap();
                other = codec::from_slice(&stored, 8_192).unwrap();
            }
            prop_assert_eq!(one.see(at(i), *value), other.see(at(i), *value));
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn any_numbers_give_a_finite_score(values in prop::collection::vec(prop::num::f64::ANY, 0..600)) {
        let mut detector = Detector::default();
        for (i, value) in (0i64..).zip(values) {
            if let Ok(verdict) = detector.see(at(i), value) {
                prop_assert!(verdict.score.is_finite() && verdict.score >= 0.0);
            }
        }
    }
}
