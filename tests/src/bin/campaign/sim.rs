//! Simulated worlds; see `tenken_tests::sim`.

use tenken_tests::sim::{Coverage, Outcome, Plan, run};

/// Milliseconds in a year of 365 days.
const YEAR_MS: u64 = 365 * 86_400_000;
/// Lines of a world's story that are printed.
const STORY_MAX: usize = 120;

/// Runs `n` worlds from `seed` on; gives how many failed, and the rows that hardly ever occurred.
pub fn run_worlds(n: u32, seed: u64) -> u64 {
    let mut coverage = Coverage::default();
    let (mut failed, mut device_ms, mut batches, mut records) = (0, 0, 0, 0);
    for seed in seed..seed + u64::from(n) {
        let outcome = run(&Plan::of(seed), None, false);
        coverage.add(&outcome.rows);
        device_ms += outcome.device_ms;
        batches += outcome.batches;
        records += outcome.records;
        if !outcome.violations.is_empty() {
            failed += 1;
            if failed <= 3 {
                tell(&outcome);
            } else if let Some(first) = outcome.violations.first() {
                println!("sim: seed {seed} failed: {:?}: {}", first.invariant, first.what);
            }
        }
    }
    print!("{coverage}");
    let days = device_ms / 86_400_000;
    println!(
        "sim: {} device-years ({days} device-days), {batches} batches, {records} records stored",
        device_ms / YEAR_MS
    );
    let thin = coverage.thin();
    for row in &thin {
        println!("sim: `{}` occurred in less than 1 % of the worlds", row.as_str());
    }
    failed + thin.len() as u64
}

/// A failed world once more, with its story.
fn tell(outcome: &Outcome) {
    println!("sim: seed {} failed:", outcome.seed);
    for violation in outcome.violations.iter().take(6) {
        println!("  {:?} at {} ms: {}", violation.invariant, violation.at, violation.what);
    }
    let again = run(&Plan::of(outcome.seed), None, true);
    let lines = std::env::var("SIM_STORY").ok().and_then(|n| n.parse().ok()).unwrap_or(STORY_MAX);
    let skipped = again.trace.len().saturating_sub(lines);
    again.trace.iter().skip(skipped).for_each(|line| println!("    {line}"));
}
