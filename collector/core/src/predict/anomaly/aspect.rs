//! What is looked at: eight numbers that describe a point among those before it.
//!
//! Holds: constant memory; every number is finite where the values are within [`VALUE_MAX`].
//!
//! Does not: judge them; that is [`super::tail`].

use serde::{Deserialize, Serialize};
use tenken_common::time::Timestamp;

/// A greater one is no measurement.
pub const VALUE_MAX: f64 = 1e100;
/// Points of the short window; two of them are the long one.
pub const WINDOW: usize = 24;
const HOURS: usize = 24;
/// How fast the level follows.
const LEVEL_PACE: f64 = 0.0052;
/// How fast an hour's usual value follows, a point.
const HOUR_PACE: f64 = 0.0035;
/// A difference that means nothing: this part of the usual deviation, that part of the level.
const GRAIN: f64 = 0.0287;
const GRAIN_OF_LEVEL: f64 = 1e-3;
const GRAIN_MIN: f64 = 1e-9;
/// The same of what is a logarithm.
const GRAIN_OF_LOGARITHM: f64 = 0.05;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The value against the level.
    Value,
    /// The value against the few before it.
    Step,
    /// The mean of the short window against the level.
    Run,
    /// The mean of the long window against the level.
    LongRun,
    /// How far the values of the short window lie apart.
    Spread,
    /// How roughly the short window goes for its spread.
    Shape,
    /// The value against the usual one at this hour of the day.
    Hour,
    /// That difference, over the length of the short window.
    HourRun,
}

impl Aspect {
    pub const ALL: [Self; 8] = [
        Self::Value,
        Self::Step,
        Self::Run,
        Self::LongRun,
        Self::Spread,
        Self::Shape,
        Self::Hour,
        Self::HourRun,
    ];
}

/// One aspect of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    pub aspect: Aspect,
    /// What is judged.
    pub amount: f64,
    /// The least difference of it that means anything.
    pub grain: f64,
    /// What is added to make the amount a value that a person knows.
    pub origin: f64,
}

/// What was seen at one hour of the day.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct HourOfDay {
    usual: f64,
    values: f64,
}

/// The past, as far as the aspects need it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    recent: [f64; WINDOW],
    /// Those before the recent ones.
    earlier: [f64; WINDOW],
    values: f64,
    level: f64,
    deviation: f64,
    /// Of the last few.
    just_now: f64,
    hours: [HourOfDay; HOURS],
    hour_run: f64,
}

impl Past {
    /// Takes a point in and describes it; the windows' aspects are there once the long one is full.
    pub fn see(&mut self, at: Timestamp, value: f64) -> ([Sight; 8], usize) {
        if self.values < 1.0 {
            self.recent = [value; WINDOW];
            self.earlier = [value; WINDOW];
            (self.level, self.just_now) = (value, value);
        }
        let grain = (GRAIN * self.deviation).max(GRAIN_OF_LEVEL * self.level.abs()).max(GRAIN_MIN);
        self.shift(value);
        let sights = self.sights(at, value, grain);
        self.learn(at, value);
        let there = if self.values > LONG { sights.len() } else { 2 };
        (sights, there)
    }

    fn shift(&mut self, value: f64) {
        let [.., oldest] = self.recent;
        self.recent.copy_within(..WINDOW - 1, 1);
        self.earlier.copy_within(..WINDOW - 1, 1);
        let [newest, ..] = &mut self.recent;
        *newest = value;
        let [newest, ..] = &mut self.earlier;
        *newest = oldest;
    }

    fn sights(&mut self, at: Timestamp, value: f64, grain: f64) -> [Sight; 8] {
        let short = self.recent.iter().sum::<f64>() / N;
        let long = f64::midpoint(short, self.earlier.iter().sum::<f64>() / N);
        let variance = self.recent.iter().map(|v| (v - short).powi(2)).sum::<f64>() / N;
        let steps = self.recent.iter().zip(self.recent.iter().skip(1)).map(|(a, b)| (a - b).powi(2));
        let roughness = steps.sum::<f64>() / N;
        let hour = self.hour(at).filter(|h| h.values >= 1.0).map_or(self.level, |h| h.usual);
        self.hour_run += (value - hour - self.hour_run) / N;
        let (floor, level) = (grain * grain, self.level);
        let spread = (variance.sqrt() + grain).ln();
        let shape = 0.5 * ((roughness + floor) / (2.0 * variance + floor)).ln();
        let sight = |aspect, amount, grain, origin| Sight { aspect, amount, grain, origin };
        [
            sight(Aspect::Value, value - level, grain, level),
            sight(Aspect::Step, value - self.just_now, grain, self.just_now),
            sight(Aspect::Run, short - level, grain, level),
            sight(Aspect::LongRun, long - level, grain, level),
            sight(Aspect::Spread, spread, GRAIN_OF_LOGARITHM, 0.0),
            sight(Aspect::Shape, shape, GRAIN_OF_LOGARITHM, 0.0),
            sight(Aspect::Hour, value - hour, grain, hour),
            sight(Aspect::HourRun, self.hour_run, grain, hour),
        ]
    }

    fn learn(&mut self, at: Timestamp, value: f64) {
        self.values += 1.0;
        let pace = self.values.recip().max(LEVEL_PACE);
        let off = value - self.level;
        self.level += pace * off;
        self.deviation += pace * (off.abs() - self.deviation);
        self.just_now += 0.5 * (value - self.just_now);
        if let Some(hour) = self.hours.get_mut(index(at)) {
            hour.values += 1.0;
            hour.usual += hour.values.recip().max(HOUR_PACE) * (value - hour.usual);
        }
    }

    fn hour(&self, at: Timestamp) -> Option<HourOfDay> {
        self.hours.get(index(at)).copied()
    }
}

/// The windows' length, and twice that.
const N: f64 = 24.0;
const LONG: f64 = 2.0 * N;

/// The hour of the day; whose day does not matter, as long as it is always the same.
fn index(at: Timestamp) -> usize {
    usize::try_from(at.as_secs().rem_euclid(86_400) / 3_600).unwrap_or(0)
}
