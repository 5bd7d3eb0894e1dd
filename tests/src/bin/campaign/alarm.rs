//! From a critical check to the mail; see `tenken_tests::alarm`.

use tenken_tests::alarm_campaign;

/// `n` alarms; gives how many were not told or told twice, and one more where the goal is missed.
pub fn run(n: u32, seed: u64) -> u64 {
    let result = alarm_campaign(n, seed);
    for line in result.to_string().lines() {
        println!("alarm: {line}");
    }
    result.failed()
}
