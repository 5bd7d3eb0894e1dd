//! Is this point unlike what the series does? A score for each point as it comes, and an alert
//! for what is rare enough to tell a person.
//!
//! Holds: constant memory a series (under 2 KiB), one pass, no look-ahead: a point is judged by
//! the points before it, and what was said is never taken back. The same points give the same
//! answers, also after the state was stored and read again. All settings are constants here, one
//! set for every series. Nothing is pooled across series.
//!
//! How: eight [`aspect`]s describe a point among those before it (level, spread, shape, time of
//! day). Of each, either side has its own [`tail`], which tells how rare such an amount is in this
//! series. The score is the rarest aspect's surprise, the negative logarithm of its chance; a series
//! with more points a month has more chances for a rare one, so its score is lowered by the
//! logarithm of how many more. So a threshold stands for a rate of false alarms a month, not a
//! point. One that lasts is one alert: another follows only after [`CALM`] quiet points, or when it
//! gets much worse.
//!
//! Does not: alert in the first [`LEARNING`] points or [`LEARNING_TIME`], know the day of the week,
//! or tell a fault from a rare but good event.

pub mod aspect;
pub mod reason;
pub mod tail;

use aspect::{Aspect, Past, Sight, VALUE_MAX};
use reason::{Reason, Side};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tail::Tail;
use tenken_common::time::Timestamp;

/// The score from which on a person is told. With it, 20 series have at most one false alarm a
/// month on what it was calibrated on, the stretches without a label of the Numenta benchmark;
/// `campaign predict` prints the rate.
pub const ALERT: f64 = 12.0;
/// A lower one for those who watch a screen: the best of that benchmark, with 85 false alarms.
pub const NOTICE: f64 = 7.0;
/// Points before the first score, and before the first alert.
const SCORING: f64 = 250.0;
pub const LEARNING: f64 = 750.0;
/// Time before the first alert, as a day has to be known.
pub const LEARNING_TIME: Duration = Duration::from_hours(48);
/// Quiet points after which the next one is news again.
pub const CALM: u32 = 48;
/// Before that only what is so many times as surprising, and this more.
const WORSE: f64 = 1.1;
const WORSE_BY: f64 = 4.56;
/// The part of the greatest surprise that a simpler aspect needs to be the reason.
const NEARLY: f64 = 0.6;
/// Time between points for which the score is as it is.
const USUAL_STEP_S: f64 = 300.0;
/// After a longer silence all is learnt again.
pub const SILENCE: Duration = Duration::from_hours(90 * 24);

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    alert_from: f64,
    first: Timestamp,
    last: Timestamp,
    /// Usual seconds between two points.
    step_s: f64,
    points: f64,
    past: Past,
    above: [Tail; 8],
    below: [Tail; 8],
    /// The score of the newest alert, and the quiet points since it.
    held: f64,
    calm: u32,
}

/// What is said of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Zero where nothing is unusual.
    pub score: f64,
    /// Whether this is not the same thing that was told a moment ago.
    pub is_news: bool,
    /// Whether a person is to be told.
    pub alert: bool,
    /// The rarest aspect, where the score is not zero.
    pub reason: Option<Reason>,
}

/// A point that cannot be judged. The state is as before.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq)]
pub enum PointError {
    #[error("there is no number")]
    NoNumber,
    #[error("its time is not after the last one ({last})")]
    NotAfter { last: Timestamp },
}

impl Default for Detector {
    fn default() -> Self {
        Self::new(ALERT)
    }
}

impl Detector {
    /// Alerts from this score on; see [`ALERT`] and [`NOTICE`].
    pub fn new(alert_from: f64) -> Self {
        Self {
            alert_from,
            first: Timestamp::EPOCH,
            last: Timestamp::EPOCH,
            step_s: 0.0,
            points: 0.0,
            past: Past::default(),
            above: [Tail::default(); 8],
            below: [Tail::default(); 8],
            held: 0.0,
            calm: CALM,
        }
    }

    pub fn alert_from(&self) -> f64 {
        self.alert_from
    }

    /// Judges a point by those before it, and learns it.
    pub fn see(&mut self, at: Timestamp, value: f64) -> Result<Verdict, PointError> {
        if !value.is_finite() || value.abs() > VALUE_MAX {
            return Err(PointError::NoNumber);
        }
        if self.points > 0.0 && at <= self.last {
            return Err(PointError::NotAfter { last: self.last });
        }
        if self.points > 0.0 && at.saturating_since(self.last) > SILENCE {
            *self = Self::new(self.alert_from);
        }
        self.time(at);
        let (sights, there) = self.past.see(at, value);
        let (surprise, reason) = self.surprise(sights.get(..there).unwrap_or_default());
        let often = (self.step_s.max(1.0) / USUAL_STEP_S).ln();
        let is_judged = surprise > 0.0 && self.points >= SCORING;
        let score = if is_judged { (surprise + often).max(0.0) } else { 0.0 };
        let is_news = self.calm >= CALM || score > self.held * WORSE + WORSE_BY;
        let mut alert = false;
        if score >= self.alert_from {
            if is_news {
                self.held = score;
                alert = self.has_learnt();
            }
            self.calm = 0;
        } else {
            self.calm = self.calm.saturating_add(1);
        }
        Ok(Verdict { score, is_news, alert, reason: reason.filter(|_| score > 0.0) })
    }

    fn has_learnt(&self) -> bool {
        self.points >= LEARNING && self.last.saturating_since(self.first) >= LEARNING_TIME
    }

    fn time(&mut self, at: Timestamp) {
        if self.points < 1.0 {
            self.first = at;
        } else {
            let step = at.saturating_since(self.last).as_secs_f64().clamp(1.0, 86_400.0);
            // A gap is no step.
            let step = if self.points > 20.0 { step.min(4.0 * self.step_s) } else { step };
            self.step_s += (step - self.step_s) / self.points.min(200.0);
        }
        self.points += 1.0;
        self.last = at;
    }

    /// The rarest aspect's surprise; and as its reason the simplest aspect that says nearly as much.
    fn surprise(&mut self, sights: &[Sight]) -> (f64, Option<Reason>) {
        let mut seen = [(0.0, None); 8];
        let mut best: f64 = 0.0;
        for (i, sight) in sights.iter().enumerate() {
            let (Some(above), Some(below)) = (self.above.get_mut(i), self.below.get_mut(i)) else { continue };
            let (up, down) = counts(sight.aspect);
            let high = up * above.see(sight.amount, sight.grain);
            let low = down * below.see(-sight.amount, sight.grain);
            let (surprise, side, bound) = if high > low {
                (high, Side::Above, above.bound())
            } else {
                (low, Side::Below, -below.bound())
            };
            best = best.max(surprise);
            if let Some(seen) = seen.get_mut(i) {
                *seen = (surprise, Some((sight, side, bound)));
            }
        }
        let simplest = seen.iter().find(|(surprise, _)| *surprise >= NEARLY * best);
        let reason =
            simplest.and_then(|(_, told_by)| *told_by).map(|(sight, side, bound)| told(sight, side, bound));
        (best, reason)
    }
}

/// In the amounts that a person knows.
fn told(sight: &Sight, side: Side, bound: f64) -> Reason {
    let known = |amount: f64| match sight.aspect {
        Aspect::Spread | Aspect::Shape => amount.exp(),
        Aspect::Value | Aspect::Step | Aspect::Run | Aspect::LongRun | Aspect::Hour | Aspect::HourRun => {
            sight.origin + amount
        }
    };
    Reason { aspect: sight.aspect, side, seen: known(sight.amount), bound: known(bound) }
}

/// How much a surprise of an aspect counts, above and below.
fn counts(aspect: Aspect) -> (f64, f64) {
    match aspect {
        Aspect::Value => (1.06, 1.06),
        Aspect::Step => (0.4, 0.4),
        Aspect::Run => (1.09, 1.09),
        Aspect::LongRun => (1.23, 1.23),
        Aspect::Spread => (0.71, 0.8),
        Aspect::Shape => (0.727, 0.727),
        Aspect::Hour => (0.815, 0.815),
        Aspect::HourRun => (1.0, 1.0),
    }
}

#[cfg(test)]
mod tests;
