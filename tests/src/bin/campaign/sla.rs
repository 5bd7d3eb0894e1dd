//! Random histories of a contract; see `tenken_tests::sla`.

use std::time::Duration;
use tenken_collector_core::sla::report::{Standing, html::html, monthly::MonthlyReport};
use tenken_common::message::Language;
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

/// Of processor time, for all twelve monthly reports, as pages in both languages.
const REPORTS_MAX: Duration = Duration::from_secs(10);

/// Evaluates the large year and makes its monthly reports, `n` times; gives how often either took
/// too long.
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
        let before = cpu();
        let known = history.known(end);
        let (mut pages, mut bytes) = (0, 0);
        for month in known.months() {
            let report = MonthlyReport::of(&known, month, Standing::Draft);
            for language in [Language::Ja, Language::En] {
                bytes += html(&report.document(language)).len();
                pages += 1;
            }
        }
        let took = cpu().saturating_sub(before);
        println!(
            "sla-load: {pages} monthly reports, {bytes} bytes of HTML in {:.3} CPU-s",
            took.as_secs_f64()
        );
        failed += u64::from(took > REPORTS_MAX || pages != 24);
    }
    failed
}

/// Processor time of this process.
pub fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(spent.tv_sec), u32::try_from(spent.tv_nsec));
    Duration::new(secs.expect("it does not run backwards"), nanos.expect("below a second"))
}
