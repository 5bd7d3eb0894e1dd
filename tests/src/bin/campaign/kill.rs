//! `kill -9` at random moments; see `tenken_tests::kill`.

use tenken_tests::{KillPlan, kill_campaign};

/// Gives how many records, links or programs are not as they must be.
pub fn run(engine: &'static str, rounds: u32, seed: u64) -> u64 {
    let result = kill_campaign(KillPlan { rounds, seed, engine });
    println!("kill on {engine}: {result}");
    if let Some(folder) = &result.folder {
        println!("kept: {}", folder.display());
    }
    result.failed()
}
