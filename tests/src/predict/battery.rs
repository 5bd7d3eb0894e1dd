//! Capacities of three cells a discharge cycle (NASA), and when they fall to 1.4 Ah.
//!
//! Holds: a forecast sees the cycles until then and no later ones; a cycle is a day.

use std::{collections::BTreeMap, path::Path, time::Duration};
use tenken_collector_core::predict::{
    forecast::{Direction, Outcome, Question, ahead::ahead},
    series::Point,
};
use tenken_common::time::Timestamp;

/// The capacity at the end of life.
pub const END_AH: f64 = 1.4;
const DAY_S: i64 = 86_400;

/// One cell.
pub struct Cell {
    pub name: String,
    pub capacities: Vec<f64>,
}

/// A date, in cycles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Date {
    pub at: f64,
    pub low: f64,
    pub high: f64,
}

pub fn cells(folder: &Path) -> Vec<Cell> {
    let text = std::fs::read_to_string(folder.join("nasa_B0005_B0006_B0007_capacity.csv")).unwrap();
    let mut cells: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let [name, _, capacity] = line.split(',').collect::<Vec<_>>()[..] else { continue };
        cells.entry(name).or_default().push(capacity.trim().parse().unwrap());
    }
    cells.into_iter().map(|(name, capacities)| Cell { name: name.to_owned(), capacities }).collect()
}

impl Cell {
    /// The first cycle at or below the end of life, counted from one.
    pub fn end(&self) -> Option<usize> {
        self.capacities.iter().position(|c| *c <= END_AH).map(|i| i + 1)
    }

    /// What is said after so many cycles; no date is a refusal.
    pub fn forecast(&self, cycles: usize) -> Option<Date> {
        let day = |cycle: usize| Timestamp::from_secs(i64::try_from(cycle).unwrap() * DAY_S);
        let points: Vec<Point> =
            self.capacities.iter().take(cycles).enumerate().map(|(i, c)| (day(i + 1), *c)).collect();
        let question = Question {
            limit: END_AH,
            direction: Direction::Down,
            as_of: day(cycles),
            horizon: Duration::from_hours(24 * 3_650),
            age_max: Duration::MAX,
        };
        let cycle = |at: Timestamp| at.as_secs_f64() / 86_400.0;
        match ahead(&points, &question).outcome {
            Outcome::Crossing(c) => Some(Date { at: cycle(c.at), low: cycle(c.low), high: cycle(c.high) }),
            Outcome::AlreadyReached | Outcome::Refused(_) => None,
        }
    }

    /// A least-squares line through the last 40 cycles, as peers do it.
    pub fn plain_line(&self, cycles: usize) -> f64 {
        let from = cycles.saturating_sub(40);
        let points: Vec<(f64, f64)> =
            (from..cycles).map(|i| (f64::from(u32::try_from(i + 1).unwrap()), self.capacities[i])).collect();
        let n = f64::from(u32::try_from(points.len()).unwrap());
        let (mx, my) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
        let rise: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
        let width: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
        mx + (END_AH - my) * width / rise
    }
}
