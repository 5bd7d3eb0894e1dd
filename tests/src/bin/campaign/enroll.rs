//! Replayed and contested redemptions; see `tenken_tests::enroll_campaign`.

use tenken_tests::{EnrollPlan, enroll_campaign};

/// `n` replays, and a tenth of that many redemptions of one slot at once.
pub fn run(n: u32, seed: u64) -> u64 {
    let result = enroll_campaign(EnrollPlan { replays: n, at_once: n.div_ceil(10), seed });
    println!("enroll: {result}");
    result.failed()
}
