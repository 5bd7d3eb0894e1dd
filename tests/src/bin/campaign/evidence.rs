//! Evidence that somebody altered; see `tenken_tests::evidence`.

use super::Plan;
use std::sync::atomic::{AtomicU64, Ordering};
use tenken_tests::{
    crash::{Tally, spread},
    evidence::{Case, Trial},
};

/// Trials that are written out.
const SHOWN: usize = 10;

/// Alters a byte `n` times, rewrites the vendor's stream `n` times and hides devices' reports `n`
/// times; gives how many were not met.
pub fn run(plan: Plan) -> u64 {
    let case = Case::new(plan.seed);
    let n = usize::try_from(plan.n).expect("a count");
    let tally = |what: &str, trial: &(dyn Fn(u64) -> Trial + Sync), n: usize| {
        let fitting = AtomicU64::new(0);
        let tally = spread(n, |job| {
            let trial = trial(plan.seed + job as u64);
            fitting.fetch_add(u64::from(trial.fits), Ordering::Relaxed);
            let mut tally = Tally { tried: 1, ..Tally::default() };
            if let Some(fault) = trial.fault {
                tally.fail(format!("{job}: {}", trial.what), vec![fault]);
            }
            tally
        });
        for failure in tally.failures.iter().take(SHOWN) {
            println!("evidence: {what}: {failure}");
        }
        let fitting = fitting.into_inner();
        println!(
            "evidence: {what}: {} trials, {} failed; {fitting} fit together without a witness",
            tally.tried,
            tally.failures.len()
        );
        (tally.failures.len() as u64, fitting)
    };
    println!("evidence: {} entries", case.items());
    let (untouched, _) = tally("untouched", &|_| case.untouched(), 1);
    let (byte, _) = tally("one byte altered", &|seed| case.alter_byte(seed), n);
    let (again, fitting) = tally("rewritten and signed again", &|seed| case.rewrite(seed), n);
    let (late, _) = tally("begun late", &|_| case.begin_late(), 1);
    let (left_out, _) = tally("incident left out", &|_| case.leave_out_incident(), 1);
    let (rules, _) = tally("rules forgotten", &|_| case.forget_rules(), 1);
    let (reports, _) = tally("report of patches hidden", &|seed| case.hide_report(seed), n);
    // A forger whose work never fits shows nothing.
    let is_poor = fitting * 4 < plan.n.into();
    untouched + byte + again + late + left_out + rules + reports + u64::from(is_poor)
}
