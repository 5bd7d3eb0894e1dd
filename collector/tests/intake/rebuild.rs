//! What is derived comes out the same when it is derived again; what was sent stays sent.

use crate::fact::{message, patches, revision};
use crate::support::{Device, Rig, START, ack_key, facts, name, post};
use proptest::prelude::*;
use sqlx::{Connection, sqlite::SqliteConnectOptions};
use std::time::Duration;
use tenken_collector::store::model::{EvaluationRows, OutboxState, Outgoing};
use tenken_collector_core::{
    desk::notice::{Bilingual, IncidentId, Notice, NotifyReason, Severity},
    stream::Entry,
};
use tenken_common::{
    ack::ResumeRequest,
    batch::GapReason,
    enrollment::HostFacts,
    envelope::Envelope,
    id::{BootId, Epoch, Hash, Seq},
    key::SecretKey,
    observation::Class,
    time::Clock,
};

#[derive(Debug, Clone)]
enum Step {
    Batch {
        device: usize,
        records: u64,
        skip: u64,
        gap: bool,
    },
    Replay {
        device: usize,
    },
    Twin {
        device: usize,
    },
    Boot {
        device: usize,
        boot: u8,
    },
    Approve {
        device: usize,
    },
    Revoke {
        device: usize,
    },
    Heartbeat {
        after_s: u64,
    },
    Project,
    Stub {
        device: usize,
        records: u64,
    },
    /// The next two in the wrong order.
    Early {
        device: usize,
    },
    /// The same link beyond a hole, until nobody believes in it any more.
    Hole {
        device: usize,
    },
    Alarm {
        device: usize,
    },
    /// The collector forgot what it acknowledged.
    Lost {
        device: usize,
    },
    /// What it says of its own state, seen some seconds ago.
    Facts {
        device: usize,
        ago_s: u64,
        version: u8,
    },
    Restored,
    OtherHost {
        device: usize,
        machine: u8,
    },
    Rejoin {
        device: usize,
        key: u8,
    },
    /// Somebody goes on in an epoch that was closed.
    Ghost {
        device: usize,
    },
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
        1 => device.clone().prop_map(|device| Step::Revoke { device }),
        3 => (device.clone(), 1u64..4).prop_map(|(device, records)| Step::Stub { device, records }),
        2 => device.clone().prop_map(|device| Step::Early { device }),
        1 => device.clone().prop_map(|device| Step::Hole { device }),
        2 => device.clone().prop_map(|device| Step::Alarm { device }),
        2 => device.clone().prop_map(|device| Step::Lost { device }),
        3 => (device.clone(), 0u64..300, 0u8..3)
            .prop_map(|(device, ago_s, version)| Step::Facts { device, ago_s, version }),
        1 => Just(Step::Restored),
        1 => (device.clone(), 0u8..3).prop_map(|(device, machine)| Step::OtherHost { device, machine }),
        3 => (device.clone(), 50u8..255).prop_map(|(device, key)| Step::Rejoin { device, key }),
        1 => device.prop_map(|device| Step::Ghost { device }),
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
        Step::Facts { device, ago_s, version } => {
            let (d, last) = &mut devices[device];
            let seen = 300 - ago_s;
            let facts = vec![
                (seen, "viewer", revision(&version.to_string())),
                (seen, "system", patches(version.into(), Some(START))),
            ];
            *last = message(d, facts);
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
        Step::Stub { device, records } => {
            let (d, last) = &mut devices[device];
            *last = d.cut_stub(records, GapReason::NotConsented);
            rig.post(d, last).await;
        }
        Step::Early { device } => {
            let (d, last) = &mut devices[device];
            let first = d.cut(1);
            *last = d.cut(2);
            rig.post(d, last).await;
            rig.post(d, &first).await;
        }
        Step::Hole { device } => {
            let mut ahead = devices[device].0.clone();
            ahead.cut(1);
            let early = ahead.cut(3);
            for _ in 0..4 {
                rig.post(&ahead, &early).await;
            }
        }
        Step::Alarm { device } => {
            let (d, last) = &mut devices[device];
            let mut batch = d.plain(6, &[]);
            (batch.class, d.seq) = (Class::Urgent, batch.seq);
            let envelope = d.seal(batch);
            d.prev = Hash::of(envelope.body());
            *last = envelope.to_bytes();
            rig.post(d, last).await;
        }
        Step::Lost { device } => {
            let d = &mut devices[device].0;
            d.cut(2);
            let proof = crate::resume::acknowledged(d, &ack_key());
            rig.resume(d, Some(proof)).await;
        }
        Step::Restored => {
            rig.store.append(vec![Entry::Restored { taken: rig.clock.wall() }]).await.unwrap();
        }
        Step::OtherHost { device, machine } => {
            let d = &devices[device].0;
            let facts = HostFacts { machine: Hash([machine; 32]), ..facts() };
            let request = ResumeRequest { facts, ..d.resume_request() };
            let bytes = Envelope::seal(&request, &d.key).unwrap().to_bytes();
            rig.call(post("/v1/resume", &bytes), Some(d.certificate)).await;
        }
        Step::Rejoin { device, key } => crate::rejoin::go_on(rig, &mut devices[device].0, key).await,
        Step::Ghost { device } => {
            let d = &devices[device].0;
            let first_key = SecretKey::from_seed(&[u8::try_from(device + 1).unwrap(); 32]);
            let ghost = Device { key: first_key, epoch: Epoch(1), seq: Seq(1_000), ..d.clone() };
            rig.post(d, &ghost.clone().cut(2)).await;
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
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_rebuild_comes_out_the_same(steps in prop::collection::vec(step(), 0..60)) {
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
        hours: std::collections::BTreeSet::new(),
        contacts: std::collections::BTreeSet::new(),
        unacknowledged: false,
        finding: text.clone(),
        action: text,
    };
    let outgoing = Outgoing { notice, channel: name("mail"), grouped: true, due: START };
    let rows = EvaluationRows { outbox: vec![outgoing], ..Default::default() };
    rig.store.save_evaluation(&rows).await.unwrap();
    let due = async || rig.store.due_messages(START, 10, &std::collections::BTreeSet::new()).await.unwrap();
    let first = due().await.remove(0);
    assert_eq!(first.id, first.notices[0].id(), "one alone keeps its identity");
    let (id, channel) = (first.id, first.channel);
    let next = Some(START.plus(Duration::from_secs(9)));
    rig.store.message_failed(id, &channel, "refused", next).await.unwrap();
    assert!(due().await.is_empty(), "not before its next attempt");
    rig.store.message_delivered(id, &channel, rig.clock.wall()).await.unwrap();
    rig.store.reset_derived().await.unwrap();
    rig.store.save_evaluation(&rows).await.unwrap();
    let all = rig.store.outbox().await.unwrap();
    assert_eq!((all.len(), all[0].state, all[0].attempts), (1, OutboxState::Delivered, 2));
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_brought_up_to_date() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&device)).await.unwrap();
    let bytes = device.cut_with(3, &[(9, 9)]);
    rig.push(&device, &bytes).await;
    let twin = Device { prev: Hash([9; 32]), ..device.clone() };
    rig.post(&twin, &twin.clone().cut(1)).await;
    let file = rig.dir.path().join("first.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut c = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(include_str!("../../src/store/sqlite/0001_first.sql")).execute(&mut c).await.unwrap();
    let entries = rig.store.entries_after(0, 1_000).await.unwrap();
    for s in &entries {
        let (kind, device, body) = s.entry.encode().unwrap();
        sqlx::query("INSERT INTO stream (position, kind, committed_us, device, body) VALUES (?, ?, ?, ?, ?)")
            .bind(s.position.cast_signed())
            .bind(i64::from(kind))
            .bind(s.committed.as_micros())
            .bind(device.map(|d| d.0.to_vec()))
            .bind(body)
            .execute(&mut c)
            .await
            .unwrap();
    }
    // What the first version derived: rows that refer to each other, and are made anew.
    let derived = format!(
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY);
         INSERT INTO schema_version VALUES (1);
         INSERT INTO hospital VALUES ('minato', x'00', x'00', 1);
         INSERT INTO slot VALUES (x'01', 'minato', 'ct-1', NULL, x'00', 0, 0, x'02', 0);
         INSERT INTO device VALUES (x'02', 'minato', x'01', 'ct-1', NULL, x'00', x'00', x'00', x'00', 0, NULL, NULL);
         INSERT INTO device_certificate VALUES (x'03', x'02', 0);
         INSERT INTO ledger VALUES (x'02', 1, 0, x'00', x'00', x'', NULL, NULL, 0);
         INSERT INTO coverage VALUES (x'02', 0, x'00');
         UPDATE checkpoint SET position = {} WHERE name = 'applied';",
        entries.len()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(derived)).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let upgraded = Rig::at(file, rig.dir.clone(), rig.clock.clone()).await;
    assert_eq!(upgraded.store.digest().await.unwrap(), rig.store.digest().await.unwrap());
}
