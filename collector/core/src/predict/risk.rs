//! How likely a part is to fail soon, from counters of the damage that it has taken: a disk's
//! sectors that were remapped or cannot be read.
//!
//! Holds: what counts is above all how far a counter climbed lately, and less where it stands: a disk
//! that has lived with forty remapped sectors for a year is not one that remapped forty this week.
//! All is on a scale of doublings, so that the first bad sector says as much as the step from 511 to
//! 1,023. A counter that falls (pending sectors that could be written, a value that wrapped) takes
//! nothing away, and what it climbed before stays known. Another part in the same place is not judged
//! by the history of the one before: where its age falls, it is another. A short history only makes
//! climbs smaller, and is told.
//!
//! A part whose age stands still while it is read and the device runs, with all else that moves in a
//! part that works (its temperature, what was written), has stopped telling of itself: the readings are old
//! ones that something between repeats, or the part hangs. That scores [`STANDS_STILL`], whatever the
//! counters say.
//!
//! How: each kind of damage scores [`LEVEL`] a doubling of what is there, one a doubling of the
//! greatest climb within 30 days, and one more of that within seven, so that damage that speeds up
//! counts twice. Of counters that tell of the same damage the strongest speaks; kinds add up.
//!
//! Where the numbers are from: nothing is fitted by a machine. The three parts and their weights were
//! chosen on one half of Backblaze's disks and measured on the other (`tests/src/predict/disk.rs`
//! says how); on the first half weights of 0.25 to 1, windows of 3 to 30 days, a window of one day
//! more and caps of 6 to 20 doublings were all within three disks of each other, so the plainest was
//! taken. That all this stood still was seen there on three disks that failed and two that did not, two
//! of the three without a bad sector; scores of 1 to 10 and three to seven days of climbing before it
//! found the same. How old or warm a disk is was looked at and left out: it told nothing there.
//!
//! Does not: see most of the failures that come without a bad sector, which in that data are four in ten.

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
/// What a part scores that tells nothing new of itself: as one that has lost a thousand sectors.
const STANDS_STILL: f64 = DOUBLINGS_MAX;
/// An age stands still if it does for so long: most of a day, since parts are read once a day, by clocks
/// that drift.
const STILL_MIN: Duration = Duration::from_hours(20);
/// Between readings that are further apart the device may have slept.
const APART_MAX: Duration = Duration::from_hours(36);
/// For so long before, every reading has to have been of a greater age: some parts do not count their
/// age in the hours in which they rest.
const CLIMBS_MIN: Duration = WINDOWS[1];

/// A counter of a part, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Counter<'a> {
    pub name: &'a Name,
    /// Sorted; those that are known.
    pub points: &'a [Point],
}

/// A number that only grows with the part's age: a disk's power-on time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Age<'a> {
    /// Sorted; those that are known.
    pub points: &'a [Point],
    /// Numbers that move while the part works; some parts do not count idle hours in their age.
    pub life_signs: &'a [&'a [Point]],
    /// Since when the device runs without a break, where that is known.
    pub runs_since: Option<Timestamp>,
}

/// An age that does not grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Still {
    pub value: f64,
    pub lasts: Duration,
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
    /// Since when this very part is there, as far as is known.
    pub since: Timestamp,
    pub still: Option<Still>,
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

impl Age<'_> {
    /// Where it falls, another part was put in.
    fn same_part_since(&self) -> Timestamp {
        let fall = self.points.windows(2).rev().find_map(|pair| match pair {
            [(_, before), (at, after)] if after < before => Some(*at),
            _ => None,
        });
        fall.unwrap_or(Timestamp::MIN)
    }

    fn still(&self, as_of: Timestamp) -> Option<Still> {
        let known = self.points.partition_point(|(at, _)| *at <= as_of);
        let points = self.points.get(..known)?;
        let ((newest, value), runs_since) = (points.last()?, self.runs_since?);
        let moved = points.iter().rposition(|(_, before)| before.total_cmp(value).is_ne())?;
        let alike = points.get(moved + 1..)?;
        // Back from the newest, as long as the device was awake and running.
        let awake = alike.windows(2).rev().map_while(|pair| match pair {
            [(at, _), (next, _)] => {
                (*at >= runs_since && next.saturating_since(*at) <= APART_MAX).then_some(*at)
            }
            _ => None,
        });
        let lasts = newest.saturating_since(awake.last()?);
        let began = alike.first()?.0;
        let lives = self.life_signs.iter().any(|sign| moves(sign, began, *newest));
        let is_still = lasts >= STILL_MIN && !lives && climbs_until(points, began);
        is_still.then_some(Still { value: *value, lasts })
    }
}

fn moves(sign: &[Point], from: Timestamp, to: Timestamp) -> bool {
    let within = sign.iter().filter(|(at, _)| from <= *at && *at <= to).map(|(_, value)| *value);
    let (low, high) =
        within.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    low < high
}

/// Whether each of the readings of [`CLIMBS_MIN`] before, which have to be known, was greater than the one
/// before it.
fn climbs_until(points: &[Point], end: Timestamp) -> bool {
    let begin = end.minus(CLIMBS_MIN);
    let is_known = points.first().is_some_and(|(at, _)| *at <= begin);
    let (from, to) =
        (points.partition_point(|(at, _)| *at < begin), points.partition_point(|(at, _)| *at <= end));
    let week = points.get(from..to).unwrap_or_default();
    is_known && week.len() > 2 && week.is_sorted_by(|(_, before), (_, after)| before < after)
}

/// `kinds` are the counters of one part by what damage they tell of. `None` where none of them has a
/// point of this very part.
pub fn risk(kinds: &[Vec<Counter<'_>>], age: &Age<'_>, as_of: Timestamp) -> Option<Risk> {
    let since = age.same_part_since();
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
    let still = age.still(as_of);
    let stands_still = if still.is_some() { STANDS_STILL } else { 0.0 };
    let score = stands_still + told.iter().map(|(_, damage)| damage.score()).sum::<f64>();
    told.retain(|(_, damage)| damage.score() > 0.0);
    told.sort_by(|a, b| by_score(b, a));
    Some(Risk { score, since, still, told })
}

#[cfg(test)]
mod tests;
