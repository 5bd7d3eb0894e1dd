//! The agent's cost beside its peers'; see `tenken_tests::footprint`.

use tenken_tests::{FootprintResult, footprint};

const BINARY_BYTES_MAX: u64 = 8_000_000;
const FIRST_RECORD_MS_MAX: u128 = 100;

/// Name, PSS in MiB, processor seconds an hour.
const GOALS: [(&str, f64, f64); 2] = [("tenken-agent, sled", 7.0, 0.5), ("tenken-agent, redb", 5.0, 0.15)];

/// Measures for `minutes`; gives how many goals are missed.
pub fn run(minutes: u32) -> u64 {
    let FootprintResult { costs, missing, costly, first_record, binary_bytes } = footprint(minutes);
    let mut missed = 0;
    for cost in &costs {
        println!(
            "footprint: {:20} {:6.3} CPU-s/h  {:5.1} MiB PSS  {} threads",
            cost.name, cost.cpu_hour_s, cost.pss_mib, cost.threads
        );
        let goal = GOALS.iter().find(|(name, ..)| *name == cost.name);
        let over = goal.is_some_and(|(_, pss, cpu)| cost.pss_mib > *pss || cost.cpu_hour_s > *cpu);
        missed += u64::from(over);
    }
    for (probe, cpu_s) in costly {
        println!("footprint: one run of {probe}: {cpu_s:.2} CPU-s");
    }
    println!(
        "footprint: first record {} ms after the start, program {binary_bytes} bytes",
        first_record.as_millis()
    );
    missed += u64::from(first_record.as_millis() > FIRST_RECORD_MS_MAX);
    missed += u64::from(binary_bytes > BINARY_BYTES_MAX);
    if !missing.is_empty() {
        println!("footprint: not installed or not running: {}", missing.join(", "));
    }
    missed
}
