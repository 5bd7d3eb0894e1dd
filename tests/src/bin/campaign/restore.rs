//! A collector restored from a backup under its fleet; see `tenken_tests::restore_campaign`.

use tenken_tests::{RestorePlan, restore_campaign};

/// `n` devices; gives of how many something is not as it must be.
pub fn run(n: u32, seed: u64) -> u64 {
    let result = restore_campaign(RestorePlan { devices: n, seed });
    println!("collector-restore: {result}");
    result.failed()
}
