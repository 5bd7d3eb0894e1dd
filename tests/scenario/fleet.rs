//! The short forms of the campaigns `enroll` and `offline`.

use tenken_agent::spool::EngineKind;
use tenken_tests::{EnrollPlan, OfflinePlan, enroll_campaign, offline_campaign};

#[test]
fn a_slot_has_one_device_however_often_it_is_redeemed() {
    let result = enroll_campaign(EnrollPlan { replays: 300, at_once: 60, seed: 20_261_125 });
    assert_eq!(result.failed(), 0, "{result}");
}

fn hours_offline(engine: EngineKind) {
    let result = offline_campaign(OfflinePlan { hours: 4, seed: 20_261_125, engine });
    assert_eq!(result.failed(false), 0, "{result}");
}

#[test]
fn what_was_recorded_offline_arrives_alarm_first_from_sled() {
    hours_offline(EngineKind::Sled);
}

#[test]
fn what_was_recorded_offline_arrives_alarm_first_from_redb() {
    hours_offline(EngineKind::Redb);
}
