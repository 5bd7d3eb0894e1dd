//! How rare is a value above the usual? One side of a distribution, learnt as it comes.
//!
//! Holds: constant memory, one pass, no look-ahead: a value is judged by what came before it and
//! learnt afterwards. What lies above the bound (which one value in 45 exceeds) follows a
//! generalised Pareto distribution, as the theory of extremes says, whose scale and weight come
//! from the mean and variance of the excesses; until there are some, from the usual distance to
//! the bound. Old values are forgotten slowly, the greatest excess most slowly.
//!
//! Does not: know what the value means, or which side of it is up.

use serde::{Deserialize, Serialize};

/// The part of the values above the bound.
pub const ABOVE: f64 = 1.0 / 45.0;
/// The slowest learning: the weight of one value of many.
const PACE: f64 = 0.0022;
/// The same for what is rare, and for the scale.
const RARE_PACE: f64 = 0.0107;
const SCALE_PACE: f64 = 0.0075;
/// How many excesses the first guess is worth.
const GUESS: f64 = 66.0;
/// A tail is at least as heavy as this, whatever was seen.
const WEIGHT_MIN: f64 = 0.0375;
/// How much less rare a value is that has been exceeded lately.
const SEEN: f64 = 0.474;
/// How fast the greatest excess fades.
const FADING: f64 = 0.0002;
/// Values from which on a wild one is not believed at once.
const FIRST: f64 = 20.0;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tail {
    bound: f64,
    /// Usual distance from the bound.
    scale: f64,
    /// Mean and mean square of the excesses.
    mean: f64,
    square: f64,
    greatest: f64,
    values: f64,
    excesses: f64,
}

impl Tail {
    /// Above this lies one value in 45.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// The negative logarithm of the chance of a value as high as this, zero below the bound; and
    /// learns it. `grain` is the least difference that means anything.
    pub fn see(&mut self, value: f64, grain: f64) -> f64 {
        if self.values < 1.0 {
            self.bound = value;
            self.values = 1.0;
            return 0.0;
        }
        let excess = value - self.bound;
        let scale = self.scale.max(grain);
        self.greatest -= FADING * self.greatest;
        self.values += 1.0;
        let surprise = if excess > 0.0 { self.exceeded(excess, scale) } else { 0.0 };
        let pace = self.values.recip().max(PACE);
        let believed = if self.values < FIRST { excess.abs() } else { excess.abs().min(10.0 * scale) };
        self.scale += pace.max(SCALE_PACE) * (believed - self.scale);
        let step = 3.0 * pace * scale;
        self.bound += if excess > 0.0 { step * (1.0 - ABOVE) } else { -step * ABOVE };
        surprise
    }

    fn exceeded(&mut self, excess: f64, scale: f64) -> f64 {
        let known = self.excesses + GUESS;
        let mean = (self.mean * self.excesses + scale * GUESS) / known;
        let square = (self.square * self.excesses + 2.0 * scale * scale * GUESS) / known;
        let variance = (square - mean * mean).max(f64::MIN_POSITIVE);
        let weight = (0.5 * (1.0 - mean * mean / variance)).max(WEIGHT_MIN);
        let width = mean * (1.0 - weight);
        let mut surprise = (1.0 + weight * excess / width).ln() / weight - ABOVE.ln();
        if excess < self.greatest {
            surprise -= SEEN * (1.0 + self.greatest / width).ln();
        } else {
            self.greatest = excess;
        }
        self.excesses += 1.0;
        let pace = self.excesses.recip().max(RARE_PACE);
        self.mean += pace * (excess - self.mean);
        self.square += pace * (excess * excess - self.square);
        surprise.max(0.0)
    }
}
