//! Days without a network, then the drain, on both engines; see `tenken_tests::offline_campaign`.

use tenken_agent::spool::EngineKind;
use tenken_tests::{OfflinePlan, offline_campaign};

/// `days` offline; gives how many goals were missed on both engines together.
pub fn run(days: u32, seed: u64) -> u64 {
    let engines = EngineKind::ALL.into_iter();
    let failed = engines.map(|engine| {
        let result = offline_campaign(OfflinePlan { hours: 24 * days, seed, engine });
        println!("offline on {result}");
        result.failed(true)
    });
    failed.sum()
}
