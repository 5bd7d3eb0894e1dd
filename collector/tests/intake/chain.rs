//! The ledger's rows over the real store: stubs, holes with held links, quarantine, closed epochs.

use crate::support::{Device, Rig, START, reject};
use axum::http::StatusCode;
use tenken_collector::store::Book;
use tenken_collector_core::{intake::ledger::QuarantineReason, stream::Entry};
use tenken_common::{
    ack::RejectReason,
    batch::GapReason,
    id::Seq,
    limit,
    observation::{CheckState, Class},
    time::Timestamp,
};

#[tokio::test]
async fn a_stub_is_a_link_whose_records_are_declared() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let stub = device.cut_stub(5, GapReason::NotConsented);
    let got = rig.push(&device, &stub).await;
    assert_eq!((got.acked_seq, got.hash), (Seq(1), device.prev), "the hash of the body that was not sent");
    let batch = device.cut(3);
    assert_eq!(rig.push(&device, &batch).await.acked_seq, Seq(2));
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].batches, counts[0].records, counts[0].missing_runs), (2, 3, 0));
    let gaps = rig.store.gaps(device.id).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].gap.reason, gaps[0].gap.run.len()), (1, GapReason::NotConsented, 5));
    rig.store.project_all().await.unwrap();
    assert_eq!(rig.store.seen().await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_a_stub_and_its_body_the_first_is_stored() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let body = device.clone().cut(4);
    let stub = device.cut_stub(4, GapReason::Refused);
    rig.push(&device, &body).await;
    let position = rig.store.position().await.unwrap();
    assert_eq!(rig.push(&device, &stub).await.hash, device.prev, "a duplicate");
    let body = device.clone().cut(4);
    let stub = device.cut_stub(4, GapReason::Refused);
    rig.push(&device, &stub).await;
    rig.push(&device, &body).await;
    assert_eq!(rig.store.position().await.unwrap(), position + 1);
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].records, counts[0].gaps, counts[0].missing_runs), (4, 1, 0), "stored wins");
}

#[tokio::test]
async fn what_came_early_follows_in_one_transaction() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let sent: Vec<Vec<u8>> = (0..5).map(|_| device.cut(2)).collect();
    for early in [&sent[2], &sent[1], &sent[3], &sent[4]] {
        let got = rig.push(&device, early).await;
        assert_eq!((got.acked_seq, got.need_seq), (Seq(0), Some(Seq(1))));
    }
    assert_eq!(rig.store.counts().await.unwrap()[0].batches, 0);
    let got = rig.push(&device, &sent[0]).await;
    assert_eq!((got.acked_seq, got.need_seq), (Seq(4), None), "three were held, the fourth was not");
    assert_eq!(rig.push(&device, &sent[4]).await.hash, device.prev);
    assert_eq!(*rig.tally.accepted.lock().unwrap(), 5);
    let entries = rig.store.entries_after(0, 100).await.unwrap();
    let log: Vec<_> = entries
        .into_iter()
        .filter_map(|s| if let Entry::Envelope { bytes, .. } = s.entry { Some(bytes) } else { None })
        .collect();
    assert_eq!(log, sent, "in the chain's order");
}

#[tokio::test]
async fn held_links_may_be_lost_and_nothing_with_them() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (first, second) = (device.cut(1), device.cut(1));
    rig.push(&device, &second).await;
    let rig = rig.again().await;
    assert_eq!(rig.push(&device, &first).await.acked_seq, Seq(1), "a restart forgot it");
    assert_eq!(rig.push(&device, &second).await.acked_seq, Seq(2));
}

#[tokio::test]
async fn a_hole_that_is_never_filled_ends_in_quarantine() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (first, second) = (device.cut(1), device.cut(1));
    for _ in 0..limit::HOLE_STRIKES_MAX {
        assert_eq!(rig.push(&device, &second).await.need_seq, Some(Seq(1)));
    }
    let (status, body) = rig.post(&device, &second).await;
    assert_eq!((status, reject(&body)), (StatusCode::CONFLICT, RejectReason::Quarantined));
    let rig = rig.again().await;
    let (_, body) = rig.post(&device, &first).await;
    assert_eq!(reject(&body), RejectReason::Quarantined, "also what was asked for, and after a restart");
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].batches, counts[0].quarantine), (0, Some(QuarantineReason::Hole)));
    let evidence = evidence(&rig).await;
    assert_eq!(evidence, [second, first]);
}

#[tokio::test]
async fn a_resume_forgives_and_a_restored_collector_blames_nobody() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (_first, second) = (device.cut(1), device.cut(1));
    for _ in 0..limit::HOLE_STRIKES_MAX {
        rig.push(&device, &second).await;
    }
    assert_eq!(rig.resume(&device, None).await.0, StatusCode::OK);
    for _ in 1..limit::HOLE_STRIKES_MAX {
        assert_eq!(rig.push(&device, &second).await.need_seq, Some(Seq(1)));
    }
    rig.store.append(vec![Entry::Restored { taken: START }]).await.unwrap();
    // A restored collector is a new process.
    let rig = rig.again().await;
    for _ in 0..10 {
        assert_eq!(rig.push(&device, &second).await.need_seq, Some(Seq(1)));
    }
    assert_eq!(rig.resume(&device, None).await.0, StatusCode::OK);
    for _ in 1..limit::HOLE_STRIKES_MAX {
        assert_eq!(rig.push(&device, &second).await.need_seq, Some(Seq(1)));
    }
    let (status, body) = rig.post(&device, &second).await;
    assert_eq!((status, reject(&body)), (StatusCode::CONFLICT, RejectReason::Quarantined), "it knows now");
}

#[tokio::test]
async fn a_held_link_of_another_chain_is_a_fork_when_its_turn_comes() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let mut twin = device.clone();
    twin.cut(3);
    let early = twin.cut(3);
    rig.push(&twin, &early).await;
    let first = device.cut(1);
    assert_eq!(rig.push(&device, &first).await.acked_seq, Seq(1), "it was stored all the same");
    assert_eq!(reject(&rig.post(&device, &device.clone().cut(1)).await.1), RejectReason::Quarantined);
    assert_eq!(rig.store.counts().await.unwrap()[0].quarantine, Some(QuarantineReason::Fork));
}

/// The envelopes kept as evidence.
async fn evidence(rig: &Rig) -> Vec<Vec<u8>> {
    let entries = rig.store.entries_after(0, 1_000).await.unwrap();
    let fork = |entry| if let Entry::Fork { bytes, .. } = entry { Some(bytes) } else { None };
    entries.into_iter().filter_map(|s| fork(s.entry)).collect()
}

async fn forked(rig: &Rig, n: u8) -> (Device, Device) {
    let mut device = rig.device(n).await;
    let mut twin = device.clone();
    let first = device.cut(1);
    rig.push(&device, &first).await;
    assert_eq!(reject(&rig.post(&twin, &twin.clone().cut(2)).await.1), RejectReason::Fork);
    twin.cut(2);
    (device, twin)
}

#[tokio::test]
async fn evidence_is_kept_once_and_what_is_stored_is_no_evidence() {
    let rig = Rig::new().await;
    let (mut device, twin) = forked(&rig, 1).await;
    let again = twin.clone().cut(1);
    let own = device.cut(1);
    for bytes in [&again, &own, &again, &own] {
        assert_eq!(reject(&rig.post(&device, bytes).await.1), RejectReason::Quarantined);
    }
    assert_eq!(evidence(&rig).await.len(), 3);
}

#[tokio::test]
async fn alarms_of_a_device_in_quarantine_show_with_a_doubt() {
    let rig = Rig::new().await;
    let (mut device, _) = forked(&rig, 1).await;
    let mut batch = device.plain(9, &[]);
    batch.class = Class::Urgent;
    let bytes = device.seal(batch).to_bytes();
    assert_eq!(rig.post(&device, &bytes).await.0, StatusCode::CONFLICT);
    rig.store.project_all().await.unwrap();
    let checks = rig.store.checks().await.unwrap();
    assert_eq!((checks.len(), checks[0].in_doubt, checks[0].state), (1, true, CheckState::Critical));
    let series = rig.store.series(device.id).await.unwrap();
    let all = rig.store.samples(series[0].id, Timestamp::MIN..Timestamp::MAX);
    assert_eq!(all.await.unwrap().len(), 1, "its numbers are no state");
    assert_eq!(rig.store.quarantines().await.unwrap(), [(device.id, START, None)]);
}

#[tokio::test]
async fn evidence_is_bounded() {
    let rig = Rig::new().await;
    let (mut device, _) = forked(&rig, 1).await;
    let mut book = Book::default();
    let mut tx = rig.store.begin(&mut book).await.unwrap();
    let full = i64::try_from(limit::EVIDENCE_BYTES_MAX).unwrap();
    sqlx::query("UPDATE ledger SET evidence_bytes = ?").bind(full).execute(tx.connection()).await.unwrap();
    tx.journal(Entry::Heartbeat).await.unwrap();
    tx.commit().await.unwrap();
    let before = evidence(&rig).await.len();
    assert_eq!(reject(&rig.post(&device, &device.clone().cut(1)).await.1), RejectReason::Quarantined);
    device.cut(1);
    assert_eq!(evidence(&rig).await.len(), before, "counted, not kept");
}

#[tokio::test]
async fn a_fork_within_the_kept_hashes_is_found_after_a_restart() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let twin = device.clone();
    for _ in 0..40 {
        let bytes = device.cut(1);
        rig.push(&device, &bytes).await;
    }
    let rig = rig.again().await;
    assert_eq!(reject(&rig.post(&twin, &twin.clone().cut(2)).await.1), RejectReason::Fork);
    let (_, body) = rig.post(&device, &device.clone().cut(1)).await;
    assert_eq!(reject(&body), RejectReason::Quarantined);
    assert_eq!(
        rig.resume(&device, None).await.0,
        StatusCode::CONFLICT,
        "it is not told how far it is either"
    );
}
