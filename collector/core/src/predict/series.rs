//! A [`Series`]: one number of one subject of one device, over time.
//!
//! Holds: points are finite, sorted by time, and there is one a time; a late point takes its
//! place, a second one for the same time replaces the first. A series belongs to one device, and
//! a device to one hospital: there is no way to add one hospital's points to another's.
//!
//! Does not: fill a gap. Where nothing was measured, [`Series::gaps`] says so.

use super::robust::median;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::{
    id::{DeviceId, Name},
    time::Timestamp,
    unit::Unit,
};

/// Whose number it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesKey {
    pub device: DeviceId,
    /// The mount, sensor, interface; `device` for the device itself.
    pub subject: Name,
    pub probe: Name,
    pub quantity: Name,
}

/// When, and how much.
pub type Point = (Timestamp, f64);

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub key: SeriesKey,
    pub unit: Unit,
    points: Vec<Point>,
}

/// A time without a point, between two that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub after: Timestamp,
    pub before: Timestamp,
}

impl Series {
    /// Points in any order; those that are no numbers are left out.
    pub fn new(key: SeriesKey, unit: Unit, points: impl IntoIterator<Item = Point>) -> Self {
        Self { key, unit, points: ordered(points) }
    }

    /// One more, in its place.
    pub fn insert(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() {
            return;
        }
        match self.points.binary_search_by_key(&at, |(t, _)| *t) {
            Ok(i) => {
                if let Some(point) = self.points.get_mut(i) {
                    point.1 = value;
                }
            }
            Err(i) => self.points.insert(i, (at, value)),
        }
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The points of `from..=to`.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> &[Point] {
        let start = self.points.partition_point(|(t, _)| *t < from);
        let end = self.points.partition_point(|(t, _)| *t <= to);
        self.points.get(start..end).unwrap_or_default()
    }

    /// The newest point that is not after `at`.
    pub fn latest(&self, at: Timestamp) -> Option<Point> {
        self.between(Timestamp::MIN, at).last().copied()
    }

    /// Where more than `longest` lies between two points.
    pub fn gaps(&self, longest: Duration) -> Vec<Hole> {
        self.points
            .windows(2)
            .filter_map(|pair| match pair {
                [(after, _), (before, _)] if before.saturating_since(*after) > longest => {
                    Some(Hole { after: *after, before: *before })
                }
                _ => None,
            })
            .collect()
    }
}

/// Points as a series has them: sorted, those that are no numbers left out, of one time the last
/// that was given.
pub fn ordered(points: impl IntoIterator<Item = Point>) -> Vec<Point> {
    let mut points: Vec<Point> = points.into_iter().filter(|(_, v)| v.is_finite()).collect();
    points.sort_by_key(|(at, _)| *at);
    // The sort is stable, so of one time the last given stands last, and it is kept.
    points.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
    points
}

/// At most `bins` points, one for each of equal steps: the median of the step's values at the
/// median of its times, so that bursts shorter than half a step vanish. Steps end at the last
/// point, so that the newest is never a part of one; a step without a point has none.
pub fn resample(points: &[Point], bins: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= bins || bins == 0 {
        return points.to_vec();
    }
    let step_us = (last.0.micros_since(first.0) / i64::try_from(bins).unwrap_or(i64::MAX)).saturating_add(1);
    let step_of = |point: &Point| last.0.micros_since(point.0) / step_us;
    points.chunk_by(|a, b| step_of(a) == step_of(b)).filter_map(middle).collect()
}

/// Median time and median value of sorted points.
fn middle(points: &[Point]) -> Option<Point> {
    let (lower, upper) = (points.get((points.len().max(1) - 1) / 2)?, points.get(points.len() / 2)?);
    let mut values: Vec<f64> = points.iter().map(|(_, v)| *v).collect();
    median(&mut values).map(|value| (lower.0.plus_micros(upper.0.micros_since(lower.0) / 2), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(points: &[(i64, f64)]) -> Series {
        let name = |n: &str| Name::new(n).unwrap();
        let key = SeriesKey {
            device: DeviceId([1; 16]),
            subject: name("/data"),
            probe: name("disk"),
            quantity: name("used_bytes"),
        };
        Series::new(key, Unit::Bytes, points.iter().map(|(t, v)| (Timestamp::from_secs(*t), *v)))
    }

    #[test]
    fn late_points_take_their_place_and_the_newest_word_counts() {
        let mut s = series(&[(30, 3.0), (10, 1.0), (10, 1.5), (20, f64::NAN)]);
        s.insert(Timestamp::from_secs(20), 2.0);
        s.insert(Timestamp::from_secs(30), 3.5);
        s.insert(Timestamp::from_secs(40), f64::INFINITY);
        let expected = [(10, 1.5), (20, 2.0), (30, 3.5)].map(|(t, v)| (Timestamp::from_secs(t), v));
        assert_eq!(s.points(), expected);
        assert_eq!(s.latest(Timestamp::from_secs(29)), Some((Timestamp::from_secs(20), 2.0)));
        assert_eq!(s.latest(Timestamp::from_secs(9)), None);
    }

    #[test]
    fn gaps_are_known() {
        let s = series(&[(0, 1.0), (60, 1.0), (600, 1.0), (660, 1.0)]);
        let hole = Hole { after: Timestamp::from_secs(60), before: Timestamp::from_secs(600) };
        assert_eq!(s.gaps(Duration::from_mins(2)), [hole]);
    }

    #[test]
    fn a_short_burst_does_not_survive_resampling() {
        let s = series(&(0..1_000).map(|i| (i * 60, if i == 500 { 9.0 } else { 1.0 })).collect::<Vec<_>>());
        let thin = resample(s.points(), 100);
        assert_eq!(thin.len(), 100);
        assert!(thin.iter().all(|(_, v)| (*v - 1.0).abs() < f64::EPSILON));
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_gives_the_same_series(points in prop::collection::vec((0i64..500, 0f64..9.0), 0..80)) {
            let mut one = series(&[]);
            for (t, v) in &points {
                one.insert(Timestamp::from_secs(*t), *v);
            }
            prop_assert_eq!(&one, &series(&points));
            let thin = resample(one.points(), 16);
            prop_assert!(thin.len() <= 16 && thin.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
