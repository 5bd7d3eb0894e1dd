//! The M4 competition's weekly series: 359 of 80 to 2,597 weeks, thirteen more to be forecast.

use super::unpacked;
use std::path::Path;
use tenken_collector_core::predict::forecast::{candidate::Candidate, ensemble::path};

/// Weeks of a year, of which three have to be known.
const YEAR: usize = 52;

/// What is known, and what came.
pub struct Weeks {
    pub known: Vec<f64>,
    pub came: Vec<f64>,
}

/// Over all series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Mean absolute error over that of the last value in the known part, mean of the series.
    pub mase: f64,
    pub mase_of_last: f64,
    pub smape: f64,
    /// The part of all weeks within the 80 % band.
    pub covered: f64,
}

pub fn weekly(folder: &Path) -> Vec<Weeks> {
    let read = |name: &str| -> Vec<Vec<f64>> {
        let text = unpacked(&folder.join(name));
        let number = |field: &str| field.trim_matches('"').parse().ok();
        text.lines().skip(1).map(|line| line.split(',').skip(1).filter_map(number).collect()).collect()
    };
    let (known, came) = (read("Weekly-train.csv.gz"), read("Weekly-test.csv.gz"));
    known.into_iter().zip(came).map(|(known, came)| Weeks { known, came }).collect()
}

pub fn accuracy(series: &[Weeks]) -> Accuracy {
    let mut sum = Accuracy { mase: 0.0, mase_of_last: 0.0, smape: 0.0, covered: 0.0 };
    let n = count(series.len());
    for weeks in series {
        let path = path(&Candidate::ALL, &weeks.known, weeks.came.len(), Some(YEAR)).unwrap();
        let steps = weeks.known.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f64>();
        let scale = steps / count(weeks.known.len() - 1);
        let last = weeks.known[weeks.known.len() - 1];
        let m = n * count(weeks.came.len());
        for (i, (value, came)) in path.values.iter().zip(&weeks.came).enumerate() {
            let miss = (value - came).abs();
            sum.mase += miss / scale / m;
            sum.mase_of_last += (last - came).abs() / scale / m;
            sum.smape += 200.0 * miss / (value.abs() + came.abs()) / m;
            sum.covered += f64::from(u8::from(miss <= path.band(i + 1))) / m;
        }
    }
    sum
}

#[expect(clippy::cast_precision_loss, reason = "a number of weeks")]
fn count(n: usize) -> f64 {
    n as f64
}
