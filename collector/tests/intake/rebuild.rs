//! What is derived comes out the same when it is derived again; what was sent stays sent.

use crate::support::{Device, Rig, START, name};
use proptest::prelude::*;
use std::time::Duration;
use tenken_collector::store::model::{EvaluationRows, OutboxState, Outgoing};
use tenken_collector_core::{
    desk::notice::{Bilingual, IncidentId, Notice, NotifyReason, Severity},
    stream::Entry,
};
use tenken_common::{
    id::{BootId, Hash},
    time::Clock,
};

#[derive(Debug, Clone)]
enum Step {
    Batch { device: usize, records: u64, skip: u64, gap: bool },
    Replay { device: usize },
    Twin { device: usize },
    Boot { device: usize, boot: u8 },
    Approve { device: usize },
    Revoke { device: usize },
    Heartbeat { after_s: u64 },
    Project,
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0usize..3;
    prop_oneof![
        8 => (device.clone(), 0u64..6, 0u64..3, any::<bool>())
            .prop_map(|(device, records, skip, gap)| Step::Batch { device, records, skip, gap }),
        2 => device.clone().prop_map(|device| Step::Replay { device }),
        1 => device.clone().prop_map(|device| Step::Twin { device }),
        1 => (device.clone(), 1u8..4).prop_map(|(device, boot)| Step::Boot { device, boot }),
        1 => device.clone().prop_map(|device| Step::Approve { device }),
        1 => device.prop_map(|device| Step::Revoke { device }),
        3 => (1u64..400).prop_map(|after_s| Step::Heartbeat { after_s }),
        1 => Just(Step::Project),
    ]
}

async fn play(rig: &Rig, devices: &mut [(Device, Vec<u8>)], step: Step) {
    match step {
        Step::Batch { device, records, skip, gap } => {
            let (d, last) = &mut devices[device];
            let from = d.next_rec;
            d.next_rec += skip;
            let gaps = if gap && skip > 0 { vec![(from, from + skip - 1)] } else { vec![] };
            *last = d.cut_with(records, &gaps);
            rig.post(d, last).await;
        }
        Step::Replay { device } => {
            let (d, last) = &devices[device];
            rig.post(d, last).await;
        }
        Step::Twin { device } => {
            let mut twin = devices[device].0.clone();
            twin.prev = Hash([9; 32]);
            rig.post(&twin, &twin.clone().cut(1)).await;
        }
        Step::Boot { device, boot } => devices[device].0.boot = BootId([boot; 16]),
        // Refused for a revoked device, which is right.
        Step::Approve { device } => drop(rig.store.file_statement(&rig.approval(&devices[device].0)).await),
        Step::Revoke { device } => {
            rig.store.append(vec![Entry::Revoked { device: devices[device].0.id }]).await.unwrap();
            rig.state.devices.refresh(&rig.store).await.unwrap();
        }
        Step::Heartbeat { after_s } => {
            rig.clock.advance(Duration::from_secs(after_s));
            rig.state.committer.journal(Entry::Heartbeat).await.unwrap();
        }
        Step::Project => {
            let end = rig.store.position().await.unwrap();
            rig.store.project_until(end.saturating_sub(3)).await.unwrap();
        }
    }
}

async fn history(steps: Vec<Step>) {
    let rig = Rig::new().await;
    let mut devices = Vec::new();
    for n in 1..=3 {
        devices.push((rig.device(n).await, Vec::new()));
    }
    for step in steps {
        play(&rig, &mut devices, step).await;
    }
    rig.store.project_all().await.unwrap();
    let before = rig.store.digest().await.unwrap();
    rig.store.reset_derived().await.unwrap();
    assert!(rig.store.seen().await.unwrap().is_empty(), "it really is gone");
    rig.store.project_all().await.unwrap();
    assert_eq!(rig.store.digest().await.unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_rebuild_comes_out_the_same(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(history(steps));
    }
}

#[tokio::test]
async fn the_digest_sees_a_difference() {
    let rig = Rig::new().await;
    let before = rig.store.digest().await.unwrap();
    rig.device(1).await;
    assert_ne!(rig.store.digest().await.unwrap(), before);
}

#[tokio::test]
async fn what_a_batch_says_can_be_read() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let bytes = device.cut(3);
    rig.push(&device, &bytes).await;
    for after_s in [0, 20, 31, 30] {
        rig.clock.advance(Duration::from_secs(after_s));
        rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
    }
    rig.store.project_all().await.unwrap();
    let series = rig.store.series(device.id).await.unwrap();
    assert_eq!((series.len(), series[0].probe.as_str(), series[0].subject.as_str()), (1, "disk", "/"));
    // Stamped by a clock that is 1.5 s behind.
    let at = START.plus(Duration::from_millis(1_500));
    let later = at.plus(Duration::from_secs(1));
    let got = rig.store.samples(series[0].id, at..later.plus_micros(1)).await.unwrap();
    assert_eq!(got, [(at, 0.25), (later, 0.25)]);
    assert_eq!(rig.store.samples(series[0].id, at..later).await.unwrap().len(), 1, "the end is excluded");
    let checks = rig.store.checks().await.unwrap();
    assert_eq!((checks.len(), checks[0].probe.as_str()), (1, "service"));
    let seen = rig.store.seen().await.unwrap();
    assert_eq!((seen[0].received, seen[0].recorded), (START, Some(at.plus(Duration::from_secs(2)))));
    let runs: Vec<i64> =
        rig.store.heartbeat_runs().await.unwrap().iter().map(|r| r.last.micros_since(r.first)).collect();
    assert_eq!(runs, [20_000_000, 30_000_000], "31 seconds of silence are a stop");
}

#[tokio::test]
async fn a_notice_is_sent_once_whatever_is_rebuilt() {
    let rig = Rig::new().await;
    let text = Bilingual { ja: "ディスク".into(), en: "disk".into() };
    let notice = Notice {
        incident: IncidentId(7),
        reason: NotifyReason::Opened,
        severity: Severity::Critical,
        hospital: "minato".parse().unwrap(),
        device: None,
        label: name("ct-1"),
        rule: name("disk-full"),
        subject: name("/"),
        first_seen: START,
        decided_at: START,
        finding: text.clone(),
        action: text,
    };
    let rows =
        EvaluationRows { outbox: vec![Outgoing { notice, channel: name("mail") }], ..Default::default() };
    rig.store.save_evaluation(&rows).await.unwrap();
    let due = rig.store.due_notices(START, 10).await.unwrap();
    let (id, channel) = (due[0].notice.id(), due[0].channel.clone());
    let next = Some(START.plus(Duration::from_secs(9)));
    rig.store.notice_failed(id, &channel, "refused", next).await.unwrap();
    assert!(rig.store.due_notices(START, 10).await.unwrap().is_empty(), "not before its next attempt");
    rig.store.notice_delivered(id, &channel, rig.clock.wall()).await.unwrap();
    rig.store.reset_derived().await.unwrap();
    rig.store.save_evaluation(&rows).await.unwrap();
    let all = rig.store.outbox().await.unwrap();
    assert_eq!((all.len(), all[0].state, all[0].attempts), (1, OutboxState::Delivered, 2));
}
