//! The short forms of the campaigns `enroll`, `offline` and `collector-restore`.

use tenken_agent::spool::EngineKind;
use tenken_tests::{
    EnrollPlan, OfflinePlan, RestorePlan, enroll_campaign, offline_campaign, restore_campaign,
};

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

#[test]
fn a_restored_collector_goes_on_with_its_fleet_and_names_what_it_lost() {
    let result = restore_campaign(RestorePlan { devices: 12, seed: 20_261_125 });
    assert_eq!(result.failed(), 0, "{result}");
    assert!(result.named_lost > 0 && result.declared > 0, "nothing was lost: {result}");
}
