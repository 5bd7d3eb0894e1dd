//! The Numenta Anomaly Benchmark: its corpus, and its score as published (Lavin and Ahmad, 2015).
//!
//! Holds: the score is the benchmark's: the first 15 % of a file (at most 750 rows) is not scored;
//! of each window the best detection counts, by a sigmoid of its place in the window; a detection
//! outside costs by its distance from the window before; the sum over all files is set between
//! that of a detector that says nothing (0) and a perfect one (100). [`reproduced`] shows it.

use std::{collections::BTreeMap, path::Path};
use tenken_common::time::{Timestamp, read_time};

/// What a point outside of a window costs, in the two profiles that differ by it.
pub const STANDARD: f64 = 0.11;
pub const LOW_FALSE: f64 = 0.22;

/// One series.
pub struct File {
    pub name: String,
    pub points: Vec<(Timestamp, f64)>,
    /// First and last row of each labelled window.
    pub windows: Vec<(usize, usize)>,
}

/// Where a row lies for the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    NotScored,
    Within(usize),
    Outside,
}

pub fn corpus(folder: &Path) -> Vec<File> {
    let labels = std::fs::read_to_string(folder.join("labels/combined_windows.json")).unwrap();
    let labels: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&labels).unwrap();
    let file = |(name, windows): (String, Vec<(String, String)>)| {
        let text = std::fs::read_to_string(folder.join("data").join(&name)).unwrap();
        let point = |line: &str| {
            let (at, value) = line.split_once(',').unwrap();
            (read_time(at).unwrap(), value.trim().parse().unwrap())
        };
        let points: Vec<(Timestamp, f64)> = text.lines().skip(1).map(point).collect();
        let row = |at: &str| {
            let at = read_time(at).unwrap();
            points.iter().position(|(t, _)| *t == at).unwrap()
        };
        let windows = windows.iter().map(|(first, last)| (row(first), row(last))).collect();
        File { name, points, windows }
    };
    labels.into_iter().map(file).collect()
}

impl File {
    pub fn is_labelled(&self, row: usize) -> bool {
        self.windows.iter().any(|(first, last)| (*first..=*last).contains(&row))
    }

    /// Place and worth of every row, for a cost of what is outside.
    fn worths(&self, cost: f64) -> Vec<(Place, f64)> {
        let n = self.points.len();
        let skipped = (n * 15 / 100).min(750);
        let full = sigmoid(-1.0);
        let worth = |row: usize| {
            if let Some(w) = self.windows.iter().position(|(a, b)| (*a..=*b).contains(&row)) {
                let (first, last) = self.windows[w];
                let place = -(count(last + 1 - row) / count(last - first + 1));
                return (Place::Within(w), sigmoid(place) / full);
            }
            let before = self.windows.iter().rfind(|(_, last)| *last < row);
            let past = before.map(|(first, last)| count(row - last) / count(last - first));
            (Place::Outside, cost * past.map_or(-1.0, sigmoid))
        };
        (0..n)
            .map(worth)
            .enumerate()
            .map(|(row, (place, worth))| (if row < skipped { Place::NotScored } else { place }, worth))
            .collect()
    }
}

/// One inside, minus one far behind.
fn sigmoid(place: f64) -> f64 {
    if place > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * place).exp()) - 1.0 }
}

/// What a threshold gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    pub threshold: f64,
    /// Between nothing (0) and perfect (100).
    pub normal: f64,
    pub raw: f64,
    pub found: usize,
    pub windows: usize,
}

/// The score at a threshold.
pub fn at(files: &[&File], scores: &[&[f64]], threshold: f64, cost: f64) -> Score {
    let (mut raw, mut found, mut windows) = (0.0, 0, 0);
    for (file, scores) in files.iter().zip(scores) {
        let mut best = vec![-1.0_f64; file.windows.len()];
        for ((place, worth), score) in file.worths(cost).into_iter().zip(*scores) {
            match place {
                Place::Within(w) if *score >= threshold => best[w] = best[w].max(worth),
                Place::Outside if *score >= threshold => raw += worth,
                Place::Within(_) | Place::Outside | Place::NotScored => {}
            }
        }
        raw += best.iter().sum::<f64>();
        found += best.iter().filter(|b| **b > -1.0).count();
        windows += best.len();
    }
    Score { threshold, normal: normal(raw, windows), raw, found, windows }
}

fn normal(raw: f64, windows: usize) -> f64 {
    100.0 * (raw + count(windows)) / (2.0 * count(windows))
}

/// The best threshold of all, as the published protocol chooses it.
pub fn best(files: &[&File], scores: &[&[f64]], cost: f64) -> Score {
    let mut rows = Vec::new();
    for (f, (file, scores)) in files.iter().zip(scores).enumerate() {
        for ((place, worth), score) in file.worths(cost).into_iter().zip(*scores) {
            if place != Place::NotScored && *score > 0.0 {
                rows.push((*score, f, place, worth));
            }
        }
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let windows: usize = files.iter().map(|f| f.windows.len()).sum();
    let mut raw = -count(windows);
    let mut held: BTreeMap<(usize, Place), f64> = BTreeMap::new();
    let mut best = (raw, f64::INFINITY);
    for same in rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        for (_, f, place, worth) in same {
            if *place == Place::Outside {
                raw += worth;
            } else {
                let held = held.entry((*f, *place)).or_insert(-1.0);
                raw += (worth - *held).max(0.0);
                *held = held.max(*worth);
            }
        }
        if raw > best.0 {
            best = (raw, same[0].0);
        }
    }
    at(files, scores, best.1, cost)
}

/// The published raw score of the benchmark's own `windowedGaussian`, standard profile.
pub const WINDOWED_GAUSSIAN: f64 = -24.013_105_489_1;

/// That detector, written again: how many standard deviations a value is off the mean of the last
/// 6,400, which are moved on by 100; and its score where its tail is 1.0 to twelve digits, as the
/// published result files have it.
pub fn reproduced(files: &[File]) -> f64 {
    /// `1 - erfc(x / 1.4142) / 2` is 1.0 to twelve digits from here on.
    const CERTAIN: f64 = 7.130_438_466;
    let offs: Vec<Vec<f64>> = files.iter().map(windowed_gaussian).collect();
    let scores: Vec<&[f64]> = offs.iter().map(Vec::as_slice).collect();
    at(&files.iter().collect::<Vec<_>>(), &scores, CERTAIN, STANDARD).raw
}

fn windowed_gaussian(file: &File) -> Vec<f64> {
    let (mut window, mut waiting): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut mean, mut deviation) = (0.0, 1.0);
    let mut offs = Vec::new();
    for (_, value) in &file.points {
        offs.push(if window.is_empty() { 0.0 } else { (value - mean).abs() / deviation });
        if window.len() < 6_400 {
            window.push(*value);
        } else {
            waiting.push(*value);
            if waiting.len() < 100 {
                continue;
            }
            window.drain(..100);
            window.append(&mut waiting);
        }
        mean = window.iter().sum::<f64>() / count(window.len());
        let variance = window.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count(window.len());
        deviation = if variance == 0.0 { 1e-6 } else { variance.sqrt() };
    }
    offs
}

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        let points = (0..100).map(|i| (Timestamp::from_secs(i * 300), 0.0)).collect();
        File { name: "a".into(), points, windows: vec![(40, 49), (80, 89)] }
    }

    fn scored(rows: &[usize]) -> Score {
        let (file, mut scores) = (file(), vec![0.0; 100]);
        for row in rows {
            scores[*row] = 1.0;
        }
        at(&[&file], &[&scores], 0.5, STANDARD)
    }

    #[test]
    fn nothing_is_zero_and_all_at_once_is_a_hundred() {
        assert_eq!((scored(&[]).normal, scored(&[]).found), (0.0, 0));
        assert!((scored(&[40, 80]).normal - 100.0).abs() < 1e-9);
        // The first fifteen rows are not scored.
        assert_eq!(scored(&[3, 14]), scored(&[]));
    }

    #[test]
    fn late_is_worth_less_and_outside_costs() {
        assert!(scored(&[40]).raw > scored(&[45]).raw && scored(&[45]).raw > scored(&[49]).raw);
        assert_eq!(scored(&[45, 40]), scored(&[40]));
        assert!((scored(&[20]).raw - (-2.0 - STANDARD)).abs() < 1e-9);
        // Just behind a window it costs less than far behind.
        assert!(scored(&[51]).raw > scored(&[70]).raw);
    }

    #[test]
    fn the_best_threshold_is_found() {
        let (file, mut scores) = (file(), vec![0.0; 100]);
        (scores[40], scores[20], scores[80]) = (3.0, 2.0, 1.0);
        let best = best(&[&file], &[&scores], STANDARD);
        assert_eq!((best.threshold, best.found), (1.0, 2));
    }
}
