//! What a point costs in the store; see `tenken_tests::column`.

use super::sla::cpu;
use tenken_tests::{
    column::{ColumnResult, DAYS, column_campaign},
    tick::SERIES,
};

/// A point in the store may take so many bytes for each that VictoriaMetrics takes.
const TIMES_MAX: f64 = 2.0;

/// Prints the figures; gives 1 where a point takes too much.
pub fn run(devices: u32, seed: u64) -> u64 {
    let result = column_campaign(devices, seed, cpu);
    let ColumnResult { points, history: (took, read), written: (first, last), .. } = result;
    let each = |bytes: u64| float(bytes) / float(points);
    println!(
        "column: {devices} devices x {SERIES} series x {DAYS} days of minutes, {points} points: {:.2} bytes a point in the store, {:.2} in VictoriaMetrics, {:.2} in the stream",
        each(result.projected_bytes),
        each(result.victoria_bytes),
        each(result.stream_bytes),
    );
    println!(
        "column: {:.2} M points projected and packed a CPU-s; written while the first day was projected {:.1} MB, while the last was {:.1} MB; {read} points of the year's histories of {SERIES} series in {:.1} CPU-ms",
        float(points) / 1e6 / result.projected.as_secs_f64(),
        float(first) / 1e6,
        float(last) / 1e6,
        took.as_secs_f64() * 1e3,
    );
    u64::from(each(result.projected_bytes) > TIMES_MAX * each(result.victoria_bytes))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(n: u64) -> f64 {
    n as f64
}
