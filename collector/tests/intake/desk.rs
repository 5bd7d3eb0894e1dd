//! One problem is one incident, one notice and one end, however often it is found, whoever evaluates
//! and whatever is started anew in between.

use crate::support::{Device, Rig, name};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tenken_collector::{
    desk,
    notify::{NotifyConfig, Outlets},
    store::Store,
    worker::evaluate::advance,
};
use tenken_collector_core::{
    desk::{
        incident::{Incident, Phase},
        notice::NotifyReason,
    },
    stream::{Entry, IncidentStep},
};
use tenken_common::{
    config,
    id::{Hash, RecId},
    observation::{Body, CheckResult, CheckState, Observation, Record},
    time::{Clock, ClockQuality, Moment, Monotonic},
};

const RULES: &str = include_str!("../../../packaging/rules/default.toml");
/// Between two ticks.
const TICK: Duration = Duration::from_secs(30);

fn outlets() -> Outlets {
    let text = "[[alertmanager]]\nname = 'am'\nurl = 'http://127.0.0.1:1'";
    Outlets::new(&config::parse::<NotifyConfig>(text).unwrap()).unwrap()
}

async fn rig() -> (Rig, Device) {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&device)).await.unwrap();
    rig.store.append(vec![Entry::Rules { text: RULES.to_owned() }]).await.unwrap();
    (rig, device)
}

/// The check of its service, told `times` times in one message.
fn told(rig: &Rig, device: &mut Device, state: CheckState, times: u64) -> Vec<u8> {
    let mut batch = device.plain(0, &[]);
    let wall = rig.clock.wall();
    batch.at = Moment { boot: device.boot, mono: Monotonic(device.seq.0), wall };
    batch.clock = ClockQuality { offset_ms: 0, ..batch.clock };
    batch.records = (0..times)
        .map(|i| {
            let body = Body::CheckResult(CheckResult { probe: name("services"), state });
            let category = tenken_common::category::Category::Service;
            let at = Moment { wall: wall.minus(Duration::from_millis(times - i)), ..batch.at };
            let observation = Observation { at, category, subject: name("pacs"), body };
            Record { id: RecId(device.next_rec + i), observation }
        })
        .collect();
    device.next_rec += times;
    device.seq = batch.seq;
    let envelope = device.seal(batch);
    device.prev = Hash::of(envelope.body());
    envelope.to_bytes()
}

async fn incidents(store: &Store) -> Vec<Incident> {
    let rows = store.incidents().await.unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.json).unwrap()).collect()
}

async fn reasons(store: &Store) -> Vec<NotifyReason> {
    store.outbox().await.unwrap().iter().map(|row| row.notice.reason).collect()
}

#[tokio::test]
async fn the_same_finding_a_thousand_times_by_two_workers_and_restarts() {
    let (rig, mut device) = rig().await;
    let outlets = outlets();
    let mut workers = [rig.again().await, rig.again().await];
    let mut acknowledged = false;
    for round in 0..120u32 {
        // A thousand times bad, then good for ten minutes.
        let state = if round < 100 { CheckState::Critical } else { CheckState::Ok };
        rig.clock.advance(TICK);
        let bytes = told(&rig, &mut device, state, 10);
        rig.push(&device, &bytes).await;
        rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
        let ([one, two], holidays) = (&workers, Arc::default());
        let (first, second) =
            tokio::join!(advance(&one.store, &outlets, &holidays), advance(&two.store, &outlets, &holidays),);
        assert!(first.unwrap() + second.unwrap() <= 1);
        if !acknowledged {
            let incident = incidents(&rig.store).await[0].id;
            let (step, at) = (IncidentStep::Acknowledged, rig.clock.wall());
            desk::step_incident(&rig.store, incident, step, name("sato"), at).await.unwrap();
            acknowledged = true;
        }
        if round % 10 == 9 {
            workers = [rig.again().await, rig.again().await];
        }
    }
    let all = incidents(&rig.store).await;
    assert_eq!((all.len(), all[0].phase), (1, Phase::Recovered));
    assert_eq!(reasons(&rig.store).await, [NotifyReason::Opened, NotifyReason::Recovered]);

    // Made anew from the stream, it comes to the same and queues nothing.
    let before = rig.store.digest().await.unwrap();
    rig.store.reset_derived().await.unwrap();
    advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    assert_eq!(rig.store.digest().await.unwrap(), before);
    assert_eq!(rig.store.outbox().await.unwrap().len(), 2);
}

#[tokio::test]
async fn ten_flaps_in_an_hour_are_one_flap_notice_in_the_outbox() {
    let (rig, mut device) = rig().await;
    let outlets = outlets();
    for minute in 0..150u32 {
        let bad = minute < 70 && minute % 7 < 1;
        rig.clock.advance(Duration::from_mins(1));
        let bytes = told(&rig, &mut device, if bad { CheckState::Warning } else { CheckState::Ok }, 1);
        rig.push(&device, &bytes).await;
        rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
        advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    }
    let expected =
        [NotifyReason::Opened, NotifyReason::Recovered, NotifyReason::Flapping, NotifyReason::Recovered];
    assert_eq!(reasons(&rig.store).await, expected);
    let ids: BTreeSet<Hash> = rig.store.outbox().await.unwrap().iter().map(|row| row.notice.id()).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_fork_opens_an_incident_that_a_rejoin_ends() {
    let (rig, mut device) = rig().await;
    let outlets = outlets();
    let bytes = told(&rig, &mut device, CheckState::Ok, 1);
    rig.push(&device, &bytes).await;
    // Somebody with the same key tells another story.
    let twin = Device { prev: Hash([9; 32]), ..device.clone() };
    rig.post(&twin, &twin.clone().cut(1)).await;
    rig.clock.advance(TICK);
    rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
    advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    let all = incidents(&rig.store).await;
    assert_eq!(
        (all.len(), all[0].rule.as_str(), all[0].subject.as_str()),
        (1, "identity-doubt", "quarantine")
    );

    // Nothing else is of the very microsecond of a tick.
    rig.clock.advance(TICK);
    crate::rejoin::go_on(&rig, &mut device, 77).await;
    rig.clock.advance(TICK);
    rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
    advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    assert_eq!(reasons(&rig.store).await, [NotifyReason::Opened, NotifyReason::Recovered]);

    // The old identity goes on: a clone, for all that is known.
    rig.clock.advance(TICK);
    let ghost = Device { seq: tenken_common::id::Seq(1_000), ..twin };
    rig.post(&ghost, &ghost.clone().cut(2)).await;
    rig.clock.advance(TICK);
    rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
    advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    let clone = incidents(&rig.store).await.into_iter().find(|i| i.subject.as_str() == "clone").unwrap();
    assert!(clone.is_open() && clone.finding.ja.contains("以前の識別情報"), "{clone:?}");

    let before = rig.store.digest().await.unwrap();
    rig.store.reset_derived().await.unwrap();
    advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
    assert_eq!(rig.store.digest().await.unwrap(), before);
}
