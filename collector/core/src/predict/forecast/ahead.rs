//! The same question with more care: several models, judged by how they would have done so far.
//!
//! Holds: what holds for [`super::forecast`], but for the trend's test: here the models together
//! have to beat "it stays as it is" clearly in forecasts of the series' own past. The interval is
//! as wide as nearly all of their misses were. Where its later end is out of sight, there is no
//! date.
//!
//! How: the points since the last purge become equal steps (medians, gaps bridged by a line), the
//! models of a degradation are laid through them ([`TRENDS`]), and where their weighted path first
//! meets the limit is the date. Fewer than
//! [`super::ensemble::STEPS_MIN`] steps are left to the line of [`super::forecast`].

use super::{
    Crossing, HISTORY_MIN, Outcome, Question, Refusal, SECONDS_A_DAY, STRETCH, asked,
    candidate::{Candidate, count},
    ensemble::{Path, STEPS_MAX, path},
    falls, falls_back, forecast, too_short,
};
use crate::predict::{robust::median, series::Point};
use serde::Serialize;
use std::time::Duration;
use tenken_common::time::Timestamp;

/// The models of a number that goes somewhere: as the newer half, as the whole, faster and faster,
/// by a constant part.
pub const TRENDS: [Candidate; 4] = [Candidate::Late, Candidate::Slope, Candidate::Bend, Candidate::Rate];
/// The most that their past misses may be of those of "it stays as it is".
const SKILL_MAX: f64 = 0.75;
/// A fall of this part of the range begins a new history; a smaller one is a bump on the way.
const PURGE: f64 = 0.5;
/// Steps that may be without a point.
const EMPTY_MAX: f64 = 0.5;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Steps that a person would choose.
const STEPS_S: [u64; 13] = [
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
];

/// The answer, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    pub outcome: Outcome,
    /// Absent where the question was settled before any model was asked.
    pub basis: Option<Basis>,
}

/// What the answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Basis {
    /// Steps that were looked at, and their length.
    pub steps: usize,
    pub step_s: u64,
    /// Misses in the past over those of "it stays as it is".
    pub skill: f64,
    /// Models by their weight.
    pub models: Vec<(&'static str, f64)>,
}

/// See the module's head.
pub fn ahead(points: &[Point], question: &Question) -> Answer {
    let (known, last) = match asked(points, question) {
        Ok(known) => known,
        Err(outcome) => return Answer { outcome, basis: None },
    };
    let falls = falls(known, question.direction, PURGE);
    let from = falls.last().map_or(0, |fall| known.partition_point(|(t, _)| t < fall));
    let points = known.get(from..).unwrap_or_default();
    let steps = match Steps::of(points) {
        Ok(steps) => steps,
        Err(refusal) => return Answer { outcome: Outcome::Refused(refusal), basis: None },
    };
    let reach = steps.reach();
    let Some(path) = path(&TRENDS, &steps.values, reach, None) else {
        return Answer { outcome: forecast(known, question), basis: None };
    };
    let outcome = match steps.meet(&path, question, last) {
        Ok(crossing) => match falls_back(&falls, crossing.at) {
            Ok(()) => Outcome::Crossing(crossing),
            Err(refusal) => Outcome::Refused(refusal),
        },
        Err(refusal) => Outcome::Refused(refusal),
    };
    let models = path.weights.iter().map(|(c, weight)| (c.name(), *weight)).collect();
    let basis = Basis { steps: steps.values.len(), step_s: steps.step.as_secs(), skill: path.skill, models };
    Answer { outcome, basis: Some(basis) }
}

/// A history in equal steps.
struct Steps {
    values: Vec<f64>,
    step: Duration,
    /// When the last one ends.
    end: Timestamp,
}

impl Steps {
    fn of(points: &[Point]) -> Result<Self, Refusal> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err(Refusal::TooFew { have: 0, need: super::POINTS_MIN });
        };
        let span = last.0.saturating_since(first.0);
        if span < HISTORY_MIN {
            return Err(too_short(span, HISTORY_MIN));
        }
        let step = step(points, span);
        let index = |at: Timestamp| last.0.saturating_since(at).as_micros() / step.as_micros().max(1);
        let mut values: Vec<Option<f64>> = Vec::new();
        for of_step in points.chunk_by(|a, b| index(a.0) == index(b.0)) {
            let Some((at, _)) = of_step.first() else { continue };
            let place = usize::try_from(index(first.0) - index(*at)).unwrap_or(usize::MAX);
            if place > 2 * STEPS_MAX {
                break;
            }
            values.resize(place, None);
            values.push(median(&mut of_step.iter().map(|(_, v)| *v).collect::<Vec<f64>>()));
        }
        let have = values.iter().flatten().count();
        if count(have) < (1.0 - EMPTY_MAX) * count(values.len()) {
            return Err(Refusal::TooFew { have, need: values.len().div_ceil(2) });
        }
        Ok(Self { values: bridged(&values), step, end: last.0 })
    }

    /// As far ahead as a crossing may lie.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ten times a few hundred steps"
    )]
    fn reach(&self) -> usize {
        (count(self.values.len()) * STRETCH) as usize
    }

    fn at(&self, ahead: f64) -> Timestamp {
        self.end.plus_micros(micros(ahead * self.step.as_secs_f64()))
    }

    fn meet(&self, path: &Path, question: &Question, last: Timestamp) -> Result<Crossing, Refusal> {
        let sign = question.direction.sign();
        let now = self.values.last().copied().unwrap_or(0.0);
        let moved = path.values.last().map_or(0.0, |v| sign * (v - now));
        if path.skill.is_nan() || path.skill > SKILL_MAX || moved <= 0.0 {
            return Err(Refusal::NoTrend);
        }
        let first = |offset: &dyn Fn(usize) -> f64| {
            let limit = sign * question.limit;
            let mut before = sign * now;
            for (i, value) in path.values.iter().enumerate() {
                let value = sign * value + offset(i + 1);
                if value >= limit {
                    let part = if value > before {
                        ((limit - before) / (value - before)).clamp(0.0, 1.0)
                    } else {
                        1.0
                    };
                    return Some(self.at(count(i) + part).max(question.as_of));
                }
                before = value;
            }
            None
        };
        let Some(at) = first(&|_| 0.0) else {
            let ratio = sign * (question.limit - now) / moved;
            let at = self.at(count(path.values.len()) * ratio);
            return Err(Refusal::TooFar { at });
        };
        if at > question.as_of.plus(question.horizon) {
            return Err(Refusal::TooFar { at });
        }
        let low = first(&|i| path.wide(i)).unwrap_or(at);
        let Some(high) = first(&|i| -path.wide(i)) else { return Err(Refusal::Unsteady) };
        let ahead = at.saturating_since(last).as_secs_f64().max(self.step.as_secs_f64());
        Ok(Crossing { at, low, high, per_day: (question.limit - now) / ahead * SECONDS_A_DAY })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a double saturates, which is meant")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// The usual distance of points, or more where that were too many steps.
fn step(points: &[Point], span: Duration) -> Duration {
    let mut apart: Vec<f64> = points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(a, b)| b.0.saturating_since(a.0).as_secs_f64())
        .collect();
    let usual = median(&mut apart).unwrap_or(0.0);
    let least = (span.as_secs_f64() / count(STEPS_MAX - 1)).max(usual);
    let fits = STEPS_S.into_iter().map(Duration::from_secs).find(|s| s.as_secs_f64() >= 0.99 * least);
    fits.unwrap_or(Duration::from_secs_f64(least))
}

/// Steps without a value get one on the line between their neighbours.
fn bridged(values: &[Option<f64>]) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::with_capacity(values.len());
    let mut empty = 0;
    for value in values {
        let Some(value) = value else {
            empty += 1;
            continue;
        };
        let before = out.last().copied().unwrap_or(*value);
        for i in 1..=empty {
            out.push(before + (value - before) * count(i) / count(empty + 1));
        }
        empty = 0;
        out.push(*value);
    }
    out
}

#[cfg(test)]
mod tests;
