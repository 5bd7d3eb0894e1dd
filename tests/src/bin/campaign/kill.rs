//! `kill -9` at random moments; see `tenken_tests::kill`.
//!
//! Several installations at once share the kills: each waits most of the time, and one that is
//! short of processor time is killed in stranger moments.

use tenken_tests::{KillPlan, kill_campaign, workspace_bin};

const INSTALLATIONS: u32 = 4;

/// Kills each side at least `n` times; gives how many records, links or programs are not as they
/// must be.
pub fn run(engine: &'static str, n: u32, seed: u64) -> u64 {
    // Built once, before anybody starts.
    workspace_bin("tenken-agent");
    let installations = INSTALLATIONS.min(n.max(1));
    let kills = n.div_ceil(installations);
    let run = |number: u32| {
        let plan = KillPlan { kills, seed: seed + u64::from(number), engine };
        std::thread::Builder::new().spawn(move || kill_campaign(plan)).expect("a thread can be started")
    };
    let running: Vec<_> = (0..installations).map(run).collect();
    let mut failed = 0;
    for (number, thread) in running.into_iter().enumerate() {
        match thread.join() {
            Ok(result) => {
                println!("kill on {engine}, installation {number}: {result}");
                if let Some(folder) = &result.folder {
                    println!("kept: {}", folder.display());
                }
                failed += result.failed();
            }
            // What it waited for in vain has been printed.
            Err(_) => failed += 1,
        }
    }
    failed
}
