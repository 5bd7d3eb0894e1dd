//! Random histories of a contract; see `tenken_tests::sla`.

use std::time::Duration;
use tenken_tests::sla::{faults, load};

/// Faults of a history that are printed.
const SHOWN: usize = 5;

/// Tries `n` histories from `seed` on; gives how many failed.
pub fn run(n: u32, seed: u64) -> u64 {
    let mut failed = 0;
    for seed in seed..seed + u64::from(n) {
        let faults = faults(seed);
        if !faults.is_empty() {
            failed += 1;
            for fault in faults.iter().take(SHOWN) {
                println!("sla: seed {seed}: {fault}");
            }
        }
    }
    failed
}

/// Devices and incidents of the large year.
const DEVICES: u32 = 1_000;
const INCIDENTS: u32 = 10_000;
/// Of processor time, for all figures of the year.
const EVALUATION_MAX: Duration = Duration::from_secs(2);

/// Evaluates the large year `n` times; gives how many took too long.
pub fn load(n: u32, seed: u64) -> u64 {
    let mut failed = 0;
    for seed in seed..seed + u64::from(n) {
        let (history, end) = load::year(seed, DEVICES, INCIDENTS);
        let before = cpu();
        let evaluation = history.known(end).evaluate();
        let took = cpu().saturating_sub(before);
        let misses: u32 = evaluation.years.iter().filter_map(|year| year.misses).sum();
        println!(
            "sla-load: {DEVICES} devices, {INCIDENTS} incidents, {} months, {misses} misses in {:.3} CPU-s",
            evaluation.months.len(),
            took.as_secs_f64(),
        );
        failed += u64::from(took > EVALUATION_MAX);
    }
    failed
}

/// Processor time of this process.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(spent.tv_sec), u32::try_from(spent.tv_nsec));
    Duration::new(secs.expect("it does not run backwards"), nanos.expect("below a second"))
}
