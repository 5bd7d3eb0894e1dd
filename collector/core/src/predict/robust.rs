//! Statistics that a few wild values do not move: median, scale, slope.
//!
//! Holds: input is finite; the answer does not depend on its order.

/// Makes the median absolute deviation the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;

/// The middle value, or the mean of the middle two; reorders `values`.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let half = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let upper = *upper;
    if !even {
        return Some(upper);
    }
    below.iter().copied().max_by(f64::total_cmp).map(|lower| f64::midpoint(lower, upper))
}

/// Standard deviation as the median distance from the median tells it.
pub fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let Some(middle) = median(&mut values) else { return 0.0 };
    for v in &mut values {
        *v = (*v - middle).abs();
    }
    median(&mut values).map_or(0.0, |m| m * NORMAL)
}

/// A straight line through `(x, y)`, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// The mean of x.
    pub centre: f64,
    /// y at the centre.
    pub height: f64,
    pub slope: f64,
    /// Robust standard deviation of the residuals.
    pub noise: f64,
    pub error: LineError,
}

/// Variances and covariance of height and slope, from the residuals where they are (noise may
/// grow along the line), widened where neighbouring residuals are alike: points that repeat each
/// other tell less than independent ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineError {
    pub height: f64,
    pub slope: f64,
    pub both: f64,
}

impl Line {
    pub fn at(&self, x: f64) -> f64 {
        self.height + self.slope * (x - self.centre)
    }

    pub fn slope_error(&self) -> f64 {
        self.error.slope.sqrt()
    }

    /// Theil-Sen: the median of the slopes of all pairs; the height is the mean of what is left
    /// without its wild part. `None` for fewer than three points. Costs n²/2 divisions; callers
    /// resample first. `points` are sorted by x.
    #[expect(clippy::cast_precision_loss, reason = "a count of points is far below 2^52")]
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 3 {
            return None;
        }
        let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
        for (i, (x0, y0)) in points.iter().enumerate() {
            for (x1, y1) in points.iter().skip(i + 1) {
                if x1 > x0 {
                    slopes.push((y1 - y0) / (x1 - x0));
                }
            }
        }
        let slope = median(&mut slopes)?;
        let n = points.len() as f64;
        let centre = points.iter().map(|(x, _)| x).sum::<f64>() / n;
        let above = |height: f64| points.iter().map(move |(x, y)| y - height - slope * (x - centre));
        let middle = median(&mut above(0.0).collect::<Vec<f64>>())?;
        let noise = spread(above(middle));
        let tame = |r: f64| r.clamp(-3.0 * noise, 3.0 * noise);
        let height = middle + above(middle).map(tame).sum::<f64>() / n;
        // Where most residuals are zero there is no scale to tame by, and all count.
        let residuals: Vec<f64> = above(height).map(|r| if noise > 0.0 { tame(r) } else { r }).collect();
        let error = LineError::of(points, centre, &residuals);
        Some(Self { centre, height, slope, noise, error })
    }
}

impl LineError {
    #[expect(clippy::cast_precision_loss, reason = "a count of points is far below 2^52")]
    fn of(points: &[(f64, f64)], centre: f64, residuals: &[f64]) -> Self {
        let n = points.len() as f64;
        let width: f64 = points.iter().map(|(x, _)| (x - centre).powi(2)).sum();
        let moment = |power: i32| {
            points.iter().zip(residuals).map(|((x, _), r)| (x - centre).powi(power) * r * r).sum::<f64>()
        };
        // Two degrees of freedom went into the line.
        let widening = widening(residuals) * n / (n - 2.0);
        Self {
            height: widening * moment(0) / (n * n),
            slope: widening * moment(2) / (width * width),
            both: widening * moment(1) / (n * width),
        }
    }
}

/// By how much the variance of an estimate grows when residuals follow each other (first-order
/// autocorrelation, only where it is positive).
fn widening(residuals: &[f64]) -> f64 {
    let total: f64 = residuals.iter().map(|r| r * r).sum();
    if total <= 0.0 {
        return 1.0;
    }
    let neighbours: f64 = residuals.iter().zip(residuals.iter().skip(1)).map(|(a, b)| a * b).sum();
    let rho = (neighbours / total).clamp(0.0, 0.95);
    (1.0 + rho) / (1.0 - rho)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert!((spread([1.0, 2.0, 3.0, 4.0, 500.0].into_iter()) - NORMAL).abs() < 1e-12);
    }

    #[test]
    fn a_quarter_of_wild_values_does_not_turn_the_line() {
        let points: Vec<(f64, f64)> = (0..40)
            .map(|i| (f64::from(i), if i % 4 == 0 { 1e6 } else { 2.0 * f64::from(i) + 1.0 }))
            .collect();
        let line = Line::fit(&points).unwrap();
        assert!((line.slope - 2.0).abs() < 0.3, "{line:?}");
    }

    #[test]
    fn points_that_repeat_each_other_make_it_less_sure() {
        let alternating: Vec<(f64, f64)> =
            (0..60).map(|i| (f64::from(i), if i % 2 == 0 { 1.0 } else { -1.0 })).collect();
        let slow: Vec<(f64, f64)> =
            (0..60).map(|i| (f64::from(i), if i / 15 % 2 == 0 { 1.0 } else { -1.0 })).collect();
        let (a, b) = (Line::fit(&alternating).unwrap(), Line::fit(&slow).unwrap());
        assert!(b.slope_error() > 2.0 * a.slope_error(), "{a:?} {b:?}");
    }
}
