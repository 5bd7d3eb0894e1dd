//! On which day does it reach the limit? A date with an interval, or a refusal with its reason.
//!
//! Holds: the same points and question give the same answer (no randomness). A forecast is made
//! only from a trend that is there: significant against the noise, the same in the newest third
//! as in the whole, begun after the last purge, over an hour at the very least, and never
//! stretched to more than [`STRETCH`] times the time it was seen in. A burst is none of that.
//!
//! How: the window (all since the last purge; where that has no steady trend its newest half,
//! then quarter) is thinned to [`BINS`] medians, a Theil-Sen line laid through it, and the
//! crossing's interval found by Fieller's theorem from the errors of height and slope, which
//! autocorrelated noise widens.
//!
//! Does not: know seasons. A number that falls back regularly is refused, not modelled. This is
//! what the rules ask, thousands of times a minute; [`ahead`] takes more time for one series.

pub mod ahead;
pub mod candidate;
pub mod ensemble;

use super::{
    robust::{Line, median, spread},
    series::{Point, resample},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::{message::Message, time::Timestamp};

/// Points that a line is laid through: 7,140 pairs, about 60 µs.
pub const BINS: usize = 120;
/// A history need not have more points: as many for each bin as outvote a burst.
pub const HISTORY_POINTS: usize = 12 * BINS;
/// Of these, the newest, no point may be missing: they show a fall that the bins hide yet.
pub const NEWEST_POINTS: usize = 60;
/// Fewer points than this are no history.
pub const POINTS_MIN: usize = 12;
/// A shorter time than this is no history.
pub const HISTORY_MIN: Duration = Duration::from_hours(1);
/// How many times the window's length a crossing may lie ahead.
pub const STRETCH: f64 = 10.0;
/// A part of the history stands for the whole only if it is at least this long, so that it is
/// longer than a burst and than most of a daily rise.
const PART_MIN: Duration = Duration::from_hours(12);
/// A smaller fall is none, as a part of the range.
const PART_OF_RANGE: f64 = 0.15;
/// Slope over its error; about 1 in 16,000 by chance, as thousands of series are asked a minute.
const SIGNIFICANT: f64 = 4.0;
/// Two-sided 95 %.
const QUANTILE: f64 = 1.96;
const SECONDS_A_DAY: f64 = 86_400.0;

/// Where the limit lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Reached from below.
    Up,
    /// Reached from above.
    Down,
}

impl Direction {
    /// Makes up of either.
    pub fn sign(self) -> f64 {
        match self {
            Self::Up => 1.0,
            Self::Down => -1.0,
        }
    }

    pub fn reached(self, value: f64, limit: f64) -> bool {
        self.sign() * value >= self.sign() * limit
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    pub limit: f64,
    pub direction: Direction,
    pub as_of: Timestamp,
    /// Later crossings are of no interest.
    pub horizon: Duration,
    /// Older newest points tell nothing of today.
    pub age_max: Duration,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Crossing(Crossing),
    /// The median of the newest three points is there.
    AlreadyReached,
    Refused(Refusal),
}

/// When the line meets the limit, with a 95 % interval of the line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    pub at: Timestamp,
    pub low: Timestamp,
    pub high: Timestamp,
    /// The trend, in the series' unit.
    pub per_day: f64,
}

/// Why there is no date.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    TooFew {
        have: usize,
        need: usize,
    },
    /// The history is too short for any trend, or for one that far ahead.
    TooShort {
        have_s: u64,
        need_s: u64,
    },
    /// The newest point is too old.
    Stale {
        last: Timestamp,
    },
    /// Nothing moves towards the limit beyond what noise does.
    NoTrend,
    /// It moves, but not as it did: the newest points do not continue the line.
    Unsteady,
    /// It falls back regularly, next about then, which is before the line meets the limit.
    FallsBack {
        next: Timestamp,
    },
    TooFar {
        at: Timestamp,
    },
}

impl Refusal {
    /// Why, in words for a person.
    pub fn message(self) -> Message {
        match self {
            Self::TooFew { .. } | Self::TooShort { .. } => Message::RefusalTooShort,
            Self::Stale { .. } => Message::RefusalStale,
            Self::NoTrend => Message::RefusalNoTrend,
            Self::Unsteady => Message::RefusalUnsteady,
            Self::FallsBack { .. } => Message::RefusalFallsBack,
            Self::TooFar { .. } => Message::RefusalTooFar,
        }
    }

    /// Whether this says that the limit is not in sight, and not merely that nothing can be said.
    pub fn is_all_clear(&self) -> bool {
        match self {
            Self::NoTrend | Self::FallsBack { .. } | Self::TooFar { .. } => true,
            Self::TooFew { .. } | Self::TooShort { .. } | Self::Stale { .. } | Self::Unsteady => false,
        }
    }
}

/// `points` are sorted (see [`super::series::Series`]); those after `as_of` are not looked at.
pub fn forecast(points: &[Point], question: &Question) -> Outcome {
    let (points, last) = match asked(points, question) {
        Ok(known) => known,
        Err(outcome) => return outcome,
    };
    match crossing(points, last, question) {
        Ok(crossing) => Outcome::Crossing(crossing),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// The points that are known then, and when the last one was; or the answer, where there is
/// nothing to forecast.
fn asked<'a>(points: &'a [Point], question: &Question) -> Result<(&'a [Point], Timestamp), Outcome> {
    let known = points.partition_point(|(t, _)| *t <= question.as_of);
    let points = points.get(..known).unwrap_or_default();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err(Outcome::Refused(Refusal::TooFew { have: 0, need: POINTS_MIN }));
    };
    if question.as_of.saturating_since(last.0) > question.age_max {
        return Err(Outcome::Refused(Refusal::Stale { last: last.0 }));
    }
    let newest = newest(points);
    if question.direction.reached(newest, question.limit) {
        return Err(Outcome::AlreadyReached);
    }
    let have = last.0.saturating_since(first.0);
    if have < HISTORY_MIN {
        return Err(Outcome::Refused(too_short(have, HISTORY_MIN)));
    }
    if points.len() < POINTS_MIN {
        return Err(Outcome::Refused(Refusal::TooFew { have: points.len(), need: POINTS_MIN }));
    }
    Ok((points, last.0))
}

fn too_short(have: Duration, need: Duration) -> Refusal {
    Refusal::TooShort { have_s: have.as_secs(), need_s: need.as_secs() }
}

/// One wild value is not the state.
fn newest(points: &[Point]) -> f64 {
    let mut values: Vec<f64> = points.iter().rev().take(3).map(|(_, v)| *v).collect();
    median(&mut values).unwrap_or(0.0)
}

fn crossing(points: &[Point], last: Timestamp, question: &Question) -> Result<Crossing, Refusal> {
    let falls = falls(points, question.direction, PART_OF_RANGE);
    let start = falls.last().or(points.first().map(|(t, _)| t)).copied().unwrap_or(last);
    let (line, count, window) = steady_line(points, start, last, question.direction)?;
    let crossing = meet(&line, count, last, question);
    falls_back(&falls, crossing.at)?;
    if crossing.at > question.as_of.plus(question.horizon) {
        return Err(Refusal::TooFar { at: crossing.at });
    }
    let need = crossing.at.saturating_since(last).div_f64(STRETCH);
    if need > window { Err(too_short(window, need)) } else { Ok(crossing) }
}

/// Refuses what lies after the next fall, where falls are regular.
fn falls_back(falls: &[Timestamp], at: Timestamp) -> Result<(), Refusal> {
    if let [.., before, latest] = falls {
        let next = latest.plus_micros(latest.micros_since(*before));
        if at > next {
            return Err(Refusal::FallsBack { next });
        }
    }
    Ok(())
}

/// The line of the longest window that has a steady trend towards the limit (in coordinates in
/// which that is up, x in seconds from `last`), the number of its points, and its length.
fn steady_line(
    points: &[Point],
    start: Timestamp,
    last: Timestamp,
    direction: Direction,
) -> Result<(Line, usize, Duration), Refusal> {
    let whole = last.saturating_since(start);
    if whole < HISTORY_MIN {
        return Err(too_short(whole, HISTORY_MIN));
    }
    let mut refusal = Refusal::NoTrend;
    for part in [1, 2, 4] {
        let window = whole / part;
        if part > 1 && window < PART_MIN {
            break;
        }
        let from = points.partition_point(|(t, _)| *t < last.minus(window));
        let raw = points.get(from..).unwrap_or_default();
        let thin: Vec<(f64, f64)> =
            resample(raw, BINS).into_iter().map(|(t, v)| (seconds(last, t), direction.sign() * v)).collect();
        if thin.len() < POINTS_MIN {
            if part == 1 {
                return Err(Refusal::TooFew { have: thin.len(), need: POINTS_MIN });
            }
            break;
        }
        match trend(&thin) {
            Trend::None => {}
            Trend::Unsteady => refusal = Refusal::Unsteady,
            Trend::Steady(line) if has_fallen(&line, raw, last, direction) => refusal = Refusal::Unsteady,
            Trend::Steady(line) => return Ok((line, thin.len(), window)),
        }
    }
    Err(refusal)
}

enum Trend {
    None,
    Unsteady,
    Steady(Line),
}

fn trend(points: &[(f64, f64)]) -> Trend {
    let recent = points.get(points.len() - points.len() / 3..).unwrap_or_default();
    let (Some(whole), Some(recent)) = (Line::fit(points), Line::fit(recent)) else { return Trend::None };
    // Beyond rounding, too: a constant has no noise, and a rise of its last bit is no trend.
    let rise = whole.slope * points.first().map_or(0.0, |(x, _)| x.abs());
    if rise <= 1e-9 * whole.height.abs() || whole.slope < SIGNIFICANT * whole.slope_error() {
        return Trend::None;
    }
    let allowed = (0.5 * whole.slope).max(4.0 * recent.slope_error()).min(whole.slope);
    if (recent.slope - whole.slope).abs() < allowed { Trend::Steady(whole) } else { Trend::Unsteady }
}

/// Whether the newest raw points lie clearly below the line: a purge that the bins hide yet.
fn has_fallen(line: &Line, raw: &[Point], last: Timestamp, direction: Direction) -> bool {
    let tail = raw.get(raw.len().saturating_sub(NEWEST_POINTS)..).unwrap_or_default();
    let jitter = spread(tail.iter().zip(tail.iter().skip(1)).map(|(a, b)| b.1 - a.1)) / 2f64.sqrt();
    let mut missing: Vec<f64> =
        tail.iter().rev().take(3).map(|(t, v)| line.at(seconds(last, *t)) - direction.sign() * v).collect();
    let allowed = 5.0 * jitter + 4.0 * line.noise + 1e-9 * line.height.abs();
    median(&mut missing).is_some_and(|missing| missing > allowed)
}

/// When the number fell back from the limit, by more than noise and by this part of its range,
/// and stayed there: a purge, a replaced part, the end of a long burst.
fn falls(points: &[Point], direction: Direction, part: f64) -> Vec<Timestamp> {
    let thin = resample(points, 2 * BINS);
    let y: Vec<f64> = thin.iter().map(|(_, v)| direction.sign() * v).collect();
    let noise = spread(y.iter().zip(y.iter().skip(1)).map(|(a, b)| b - a)) / 2f64.sqrt();
    let mut sorted = y.clone();
    sorted.sort_by(f64::total_cmp);
    let quantile = |q: usize| sorted.get(sorted.len().saturating_sub(1) * q / 20).copied().unwrap_or(0.0);
    let worth = (6.0 * noise).max(part * (quantile(19) - quantile(1)));
    let level = |from: usize, to: usize| median(&mut y.get(from..to).unwrap_or_default().to_vec());
    let mut found: Vec<(usize, f64)> = Vec::new();
    for i in 2..y.len().saturating_sub(1) {
        let (Some(before), Some(after)) = (level(i.saturating_sub(3), i), level(i, y.len().min(i + 3)))
        else {
            continue;
        };
        let fall = before - after;
        if fall <= worth {
            continue;
        }
        match found.last_mut() {
            Some(near) if near.0 + 3 >= i => {
                if fall >= near.1 {
                    *near = (i, fall);
                }
            }
            _ => found.push((i, fall)),
        }
    }
    found.into_iter().filter_map(|(i, _)| thin.get(i).map(|(t, _)| *t)).collect()
}

/// Fieller: where the line's confidence band meets the limit, `(gap - slope·d)² = z²·var(d)`. The
/// slope is significant, so both roots are there.
#[expect(clippy::cast_precision_loss, reason = "a count of points is far below 2^52")]
fn meet(line: &Line, count: usize, last: Timestamp, question: &Question) -> Crossing {
    let gap = question.direction.sign() * question.limit - line.height;
    // Close to Student's quantile from ten points on.
    let z = (QUANTILE + 2.4 / count as f64).powi(2);
    let a = (line.slope.powi(2) - z * line.error.slope).max(0.1 * line.slope.powi(2));
    let b = gap * line.slope + z * line.error.both;
    let c = gap.powi(2) - z * line.error.height;
    let root = (b * b - a * c).max(0.0).sqrt();
    let ahead = gap / line.slope;
    let at = |x: f64| later(last, line.centre + x).max(question.as_of);
    Crossing {
        at: at(ahead),
        low: at(((b - root) / a).min(ahead)),
        high: at(((b + root) / a).max(ahead)),
        per_day: question.direction.sign() * line.slope * SECONDS_A_DAY,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double holds microseconds of 285 years")]
fn seconds(origin: Timestamp, at: Timestamp) -> f64 {
    at.micros_since(origin) as f64 / 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a double saturates, which is meant")]
fn later(origin: Timestamp, seconds: f64) -> Timestamp {
    origin.plus_micros((seconds * 1e6) as i64)
}

#[cfg(test)]
mod tests;
