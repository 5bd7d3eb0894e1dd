//! The cost of the evaluation's ticks; see `tenken_tests::tick`.

use super::sla::cpu;
use tenken_tests::tick::{SERIES, tick_campaign};

/// One core has so long for a minute of the whole fleet.
const MINUTE_S: f64 = 60.0;

/// Gives how many minutes took longer than they have.
pub fn run(devices: u32, seed: u64) -> u64 {
    let result = tick_campaign(devices, seed, cpu);
    let minutes: Vec<String> = result.minutes.iter().map(|s| format!("{s:.1}")).collect();
    let written: Vec<String> = result.written.iter().map(|b| (b / 1_000_000).to_string()).collect();
    println!(
        "tick: {devices} devices x {SERIES} series ({} in the store, {} forecasts, {} MiB): {} CPU-s a minute and {} MB written, {} devices packed in them; the costliest of six ticks {:.1} CPU-s",
        result.series,
        result.forecasts,
        result.database_bytes / (1024 * 1024),
        minutes.join(", "),
        written.join(" and "),
        result.packed,
        result.tick_max_s,
    );
    result.minutes.iter().filter(|s| **s > MINUTE_S).count() as u64
}
