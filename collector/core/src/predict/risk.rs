//! How likely a part is to fail soon, from counters of the damage that it has taken: a disk's
//! sectors that were remapped or cannot be read.
//!
//! Holds: what counts is above all how far a counter climbed lately, and less where it stands: a disk
//! that has lived with forty remapped sectors for a year is not one that remapped forty this week.
//! All is on a scale of doublings, so that the first bad sector says as much as the step from 511 to
//! 1,023. A counter that falls (pending sectors that could be written, a value that wrapped) takes
//! nothing away, and what it climbed before stays known. Another part in the same place is not judged
//! by the history of the one before: see [`same_part_since`]. A short history only makes climbs
//! smaller, and is told.
//!
//! How: each kind of damage scores [`LEVEL`] a doubling of what is there, one a doubling of the
//! greatest climb within 30 days, and one more of that within seven, so that damage that speeds up
//! counts twice. Of counters that tell of the same damage the strongest speaks; kinds add up.
//!
//! Where the numbers are from: nothing is fitted by a machine. The three parts and their weights were
//! chosen on one half of Backblaze's disks and measured on the other (`tests/src/predict/disk.rs`
//! says how); on the first half weights of 0.25 to 1, windows of 3 to 30 days, a window of one day
//! more and caps of 6 to 20 doublings were all within three disks of each other, so the plainest was
//! taken. Power-on time and temperature were looked at and left out: they told nothing there.
//!
//! Does not: see the failures that come without a bad sector, which in that data are four in ten.

use super::series::Point;
use std::time::Duration;
use tenken_common::{id::Name, time::Timestamp};

/// Back from the newest reading: within which a climb counts, and within which it counts once more.
pub const WINDOWS: [Duration; 2] = [Duration::from_hours(30 * 24), Duration::from_hours(7 * 24)];
/// What a doubling of the level scores, against one for a doubling of a climb.
const LEVEL: f64 = 0.5;
/// Beyond a thousand nothing gets worse; firmware that packs other numbers into a raw value must not
/// outshine the rest.
const DOUBLINGS_MAX: f64 = 10.0;

/// A counter of a part, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Counter<'a> {
    pub name: &'a Name,
    /// Sorted; those that are known.
    pub points: &'a [Point],
}

/// What one counter says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Damage {
    pub value: f64,
    /// Within each of [`WINDOWS`].
    pub climbs: [Climb; 2],
}

/// How far a counter went up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Climb {
    pub by: f64,
    /// The window, or as much of it as is known.
    pub over: Duration,
}

/// What all counters of a part say.
#[derive(Debug, Clone, PartialEq)]
pub struct Risk {
    pub score: f64,
    /// Of each kind of damage the strongest counter, the strongest first; none that says nothing.
    pub told: Vec<(Name, Damage)>,
}

impl Damage {
    /// `None` where there is no point.
    pub fn of(points: &[Point], as_of: Timestamp) -> Option<Self> {
        let known = points.partition_point(|(at, _)| *at <= as_of);
        let points = points.get(..known)?;
        let (newest, value) = points.last()?;
        let climbs = WINDOWS.map(|window| Climb::since(points, newest.minus(window)));
        Some(Self { value: *value, climbs })
    }

    pub fn score(&self) -> f64 {
        LEVEL * doublings(self.value) + self.climbs.iter().map(|climb| doublings(climb.by)).sum::<f64>()
    }
}

impl Climb {
    /// The greatest rise from any reading since then to a later one.
    fn since(points: &[Point], begin: Timestamp) -> Self {
        let from = points.partition_point(|(at, _)| *at < begin);
        let points = points.get(from..).unwrap_or_default();
        let (mut lowest, mut by) = (f64::INFINITY, 0_f64);
        for (_, value) in points {
            lowest = lowest.min(*value);
            by = by.max(value - lowest);
        }
        let over = match points {
            [(first, _), .., (last, _)] => last.saturating_since(*first),
            [] | [_] => Duration::ZERO,
        };
        Self { by, over }
    }
}

fn doublings(count: f64) -> f64 {
    (1.0 + count.max(0.0)).log2().min(DOUBLINGS_MAX)
}

/// Since when it is the same part, by a number that only grows with its age (a disk's power-on
/// time): where that falls, another part was put in.
pub fn same_part_since(age: &[Point]) -> Timestamp {
    let fall = age.windows(2).rev().find_map(|pair| match pair {
        [(_, before), (at, after)] if after < before => Some(*at),
        _ => None,
    });
    fall.unwrap_or(Timestamp::MIN)
}

/// `kinds` are the counters of one part by what damage they tell of. `None` where none of them has a
/// point since then.
pub fn risk(kinds: &[Vec<Counter<'_>>], since: Timestamp, as_of: Timestamp) -> Option<Risk> {
    let damage = |counter: &Counter<'_>| {
        let from = counter.points.partition_point(|(at, _)| *at < since);
        let damage = Damage::of(counter.points.get(from..)?, as_of)?;
        Some((counter.name.clone(), damage))
    };
    let by_score = |a: &(Name, Damage), b: &(Name, Damage)| a.1.score().total_cmp(&b.1.score());
    let strongest = |kind: &Vec<Counter<'_>>| kind.iter().filter_map(damage).max_by(by_score);
    let mut told: Vec<(Name, Damage)> = kinds.iter().filter_map(strongest).collect();
    if told.is_empty() {
        return None;
    }
    let score = told.iter().map(|(_, damage)| damage.score()).sum();
    told.retain(|(_, damage)| damage.score() > 0.0);
    told.sort_by(|a, b| by_score(b, a));
    Some(Risk { score, told })
}

#[cfg(test)]
mod tests;
