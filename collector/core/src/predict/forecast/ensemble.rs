//! Candidates together: each counts as much as it would have been right before.
//!
//! Holds: a candidate's weight and the band's width come from forecasts of the series' own past,
//! each made from what was known before it (rolling origin). The same steps give the same path.
//!
//! Does not: pool series.

use super::candidate::{Candidate, count};

/// Steps of the past that are looked at.
pub const STEPS_MAX: usize = 400;
/// Fewer are no history.
pub const STEPS_MIN: usize = 24;
/// Times in the past from which it is forecast.
const ORIGINS: usize = 12;
/// A candidate with a tenth more error than another has half of its weight.
const SHARPNESS: i32 = 8;
/// The part of the past misses that lies within the band of four in five, and within the wide one.
/// The weights were chosen on the same misses, so that it takes a little more than it says.
const BAND: f64 = 0.83;
const WIDE: f64 = 0.98;

/// What comes, with a band around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub values: Vec<f64>,
    /// The weights, greatest first.
    pub weights: Vec<(Candidate, f64)>,
    /// Its error in the past over that of "it stays as it is": below one it was of use.
    pub skill: f64,
    band: f64,
    wide: f64,
    /// With which power of the steps ahead both grow.
    growth: f64,
}

impl Path {
    /// Half the width of the band that holds four values in five, so many steps ahead.
    pub fn band(&self, ahead: usize) -> f64 {
        self.band * count(ahead).powf(self.growth)
    }

    /// Half the width of the band that nearly every past miss was within.
    pub fn wide(&self, ahead: usize) -> f64 {
        self.wide * count(ahead).powf(self.growth)
    }
}

/// One look back: the candidates' paths, and what came.
struct Trial<'a> {
    paths: Vec<Option<Vec<f64>>>,
    /// The last value that was known.
    before: f64,
    came: &'a [f64],
}

/// The next `ahead` steps as the candidates `among` say; `None` for fewer than [`STEPS_MIN`].
/// `season` is in steps.
pub fn path(among: &[Candidate], steps: &[f64], ahead: usize, season: Option<usize>) -> Option<Path> {
    let steps = steps.get(steps.len().saturating_sub(STEPS_MAX)..)?;
    if steps.len() < STEPS_MIN || ahead == 0 {
        return None;
    }
    let trials = trials(among, steps, ahead, season);
    let rights = rights(&trials, among.len());
    let now: Vec<Option<Vec<f64>>> = among.iter().map(|c| c.path(steps, ahead, season)).collect();
    let values = mixed(&now, &rights, ahead)?;
    let (mut misses, mut staying) = (Vec::new(), 0.0);
    for trial in &trials {
        let expected = mixed(&trial.paths, &rights, trial.came.len())?;
        let off = expected.iter().zip(trial.came).map(|(a, b)| (a - b).abs());
        misses.extend(off.enumerate().map(|(i, miss)| (count(i + 1), miss)));
        staying += trial.came.iter().map(|v| (trial.before - v).abs()).sum::<f64>();
    }
    let total: f64 = misses.iter().map(|(_, miss)| miss).sum();
    let growth = growth(&misses);
    let mut scaled: Vec<f64> = misses.iter().map(|(ahead, miss)| miss / ahead.powf(growth)).collect();
    scaled.sort_by(f64::total_cmp);
    Some(Path {
        values,
        weights: shares(among, &now, &rights),
        skill: if staying > 0.0 { total / staying } else { 1.0 },
        band: quantile(&scaled, BAND)?,
        wide: quantile(&scaled, WIDE)?,
        growth,
    })
}

fn trials<'a>(among: &[Candidate], steps: &'a [f64], ahead: usize, season: Option<usize>) -> Vec<Trial<'a>> {
    // As far as is asked, but most of the past has to be known before.
    let horizon = ahead.min(steps.len() / 3).max(1);
    let earliest = steps.len() / 3;
    let stride = ((steps.len() - horizon - earliest) / ORIGINS).min(horizon / 2).max(1);
    let trial = |i: usize| {
        let origin = (steps.len() - horizon).checked_sub(i * stride).filter(|o| *o >= earliest)?;
        let (known, came) = steps.split_at_checked(origin)?;
        let paths = among.iter().map(|c| c.path(known, horizon, season)).collect();
        Some(Trial { paths, before: *known.last()?, came: came.get(..horizon)? })
    };
    (0..ORIGINS).map_while(trial).collect()
}

/// How much each candidate counts; nothing where it was not there in every trial.
fn rights(trials: &[Trial<'_>], candidates: usize) -> Vec<f64> {
    let error = |candidate: usize| {
        let missed = trials.iter().map(|trial| {
            let path = trial.paths.get(candidate)?.as_ref()?;
            Some(path.iter().zip(trial.came).map(|(a, b)| (a - b).abs()).sum::<f64>())
        });
        missed.sum::<Option<f64>>()
    };
    let errors: Vec<Option<f64>> = (0..candidates).map(error).collect();
    let least = errors.iter().flatten().copied().fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
    errors.iter().map(|e| e.map_or(0.0, |e| (least / e.max(least)).powi(SHARPNESS))).collect()
}

fn mixed(paths: &[Option<Vec<f64>>], rights: &[f64], ahead: usize) -> Option<Vec<f64>> {
    let (mut sum, mut total) = (vec![0.0; ahead], 0.0);
    for (path, right) in paths.iter().zip(rights) {
        if let Some(path) = path {
            total += right;
            for (cell, value) in sum.iter_mut().zip(path) {
                *cell += right * value;
            }
        }
    }
    (total > 0.0).then(|| sum.into_iter().map(|v| v / total).collect())
}

fn shares(among: &[Candidate], now: &[Option<Vec<f64>>], rights: &[f64]) -> Vec<(Candidate, f64)> {
    let there = || among.iter().zip(now).zip(rights).filter(|((_, path), _)| path.is_some());
    let total: f64 = there().map(|(_, right)| right).sum();
    let mut shares: Vec<(Candidate, f64)> = there().map(|((c, _), right)| (*c, right / total)).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// With which power of the steps ahead misses grow: between noise and a wrong slope.
fn growth(misses: &[(f64, f64)]) -> f64 {
    let points: Vec<(f64, f64)> =
        misses.iter().filter(|(_, miss)| *miss > 0.0).map(|(h, miss)| (h.ln(), miss.ln())).collect();
    let n = count(points.len());
    let (mx, my) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (rise, width) = points
        .iter()
        .fold((0.0, 0.0), |(rise, width), (x, y)| (rise + (x - mx) * (y - my), width + (x - mx).powi(2)));
    if width > 0.0 { (rise / width).clamp(0.3, 1.0) } else { 0.5 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a length lies within it"
)]
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((count(last) * part).round() as usize).copied()
}
