//! The short form of the `kill` campaign, on both engines.

use tenken_tests::{KillPlan, kill_campaign};

fn short(engine: &'static str) {
    let result = kill_campaign(KillPlan { kills: 4, seed: 20_261_123, engine });
    assert_eq!(result.failed(), 0, "{result}; kept in {:?}", result.folder);
    assert!(result.account.stored() > 300, "hardly any load: {result}");
}

#[test]
fn nothing_is_lost_or_doubled_by_kill_9_on_sled() {
    short("sled");
}

#[test]
fn nothing_is_lost_or_doubled_by_kill_9_on_redb() {
    short("redb");
}
