//! Where a device stands that starts, row by row; and a collector that is behind itself.

use crate::support::{Device, Rig, ack_key, facts, post, reject, resumed};
use axum::http::StatusCode;
use tenken_collector::store::Book;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    ack::{Ack, RejectReason, ResumeRequest},
    enrollment::HostFacts,
    envelope::Envelope,
    id::{Epoch, Hash, Nonce, Seq},
    key::SecretKey,
    time::{Clock, Timestamp},
};

/// An acknowledgement of a link that this collector does not know of.
pub fn acknowledged(device: &Device, key: &SecretKey) -> Vec<u8> {
    let ack = Ack {
        device: device.id,
        epoch: device.epoch,
        acked_seq: device.seq,
        hash: device.prev,
        server: Timestamp::EPOCH,
        echo_nonce: Nonce([0; 16]),
        position: 9,
        log_root: Hash::ZERO,
        retry_after_s: 0,
        need_seq: None,
    };
    Envelope::seal(&ack, key).unwrap().to_bytes()
}

#[tokio::test]
async fn a_collector_in_step_or_ahead_answers_and_changes_nothing() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let start = device.clone();
    for _ in 0..3 {
        let bytes = device.cut(2);
        rig.push(&device, &bytes).await;
    }
    let mut ahead = device.clone();
    ahead.cut(2);
    let position = rig.store.position().await.unwrap();
    for who in [&device, &ahead, &start] {
        let reply = resumed(&rig.resume(who, None).await.1);
        assert_eq!((reply.committed_seq, reply.committed_hash), (Seq(3), device.prev));
    }
    let other = Device { epoch: Epoch(7), ..device.clone() };
    assert_eq!(resumed(&rig.resume(&other, None).await.1).epoch, Epoch(1), "it hears of which epoch this is");
    let stale = Device { epoch: Epoch(0), ..device.clone() };
    assert_eq!(rig.resume(&stale, None).await, (StatusCode::CONFLICT, vec![]));
    assert_eq!(rig.store.position().await.unwrap(), position);
}

#[tokio::test]
async fn a_restored_collector_moves_to_what_it_acknowledged() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let bytes = device.cut(2);
    rig.push(&device, &bytes).await;
    rig.store.append(vec![Entry::Restored { taken: rig.clock.wall() }]).await.unwrap();
    // These two were acknowledged before the restore and are gone here.
    device.cut(2);
    device.cut(2);
    let proof = acknowledged(&device, &ack_key());
    let next = device.cut(2);
    assert_eq!(rig.push(&device, &next).await.need_seq, Some(Seq(2)), "before it asks");
    let reply = resumed(&rig.resume(&device, Some(proof.clone())).await.1);
    assert_eq!(reply.committed_seq, Seq(3));
    let rig = rig.again().await;
    assert_eq!(rig.push(&device, &next).await.acked_seq, Seq(4), "it goes on");
    let position = rig.store.position().await.unwrap();
    let reply = resumed(&rig.resume(&device, Some(proof.clone())).await.1);
    assert_eq!(reply.missing.iter().map(|r| (r.from.0, r.to.0)).collect::<Vec<_>>(), [(3, 6), (9, u64::MAX)]);
    assert_eq!(rig.store.position().await.unwrap(), position, "the proof again changes nothing");
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].collector_lost, counts[0].quarantine), (2, None));
    let entries = rig.store.entries_after(0, 100).await.unwrap();
    let lost =
        entries.iter().find_map(|s| if let Entry::CollectorLost(l) = &s.entry { Some(l) } else { None });
    assert_eq!((lost.unwrap().from, lost.unwrap().to, &lost.unwrap().ack), (Seq(2), Seq(3), &proof));
}

#[tokio::test]
async fn nothing_but_its_own_signature_moves_it() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let other = rig.device(2).await;
    let position = rig.store.position().await.unwrap();
    device.cut(1);
    let forged = acknowledged(&device, &SecretKey::from_seed(&[66; 32]));
    let by_itself = acknowledged(&device, &device.key);
    let of_another = acknowledged(&Device { seq: Seq(5), ..other }, &ack_key());
    let of_an_epoch = acknowledged(&Device { epoch: Epoch(2), ..device.clone() }, &ack_key());
    for proof in [forged, by_itself, of_another, of_an_epoch, b"ack".to_vec()] {
        let reply = resumed(&rig.resume(&device, Some(proof)).await.1);
        assert_eq!(reply.committed_seq, Seq(0));
    }
    assert_eq!(rig.store.position().await.unwrap(), position);
}

#[tokio::test]
async fn a_device_in_quarantine_is_told_nothing() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let fork = Device { prev: Hash([9; 32]), ..device.clone() };
    assert_eq!(reject(&rig.post(&fork, &fork.clone().cut(1)).await.1), RejectReason::Fork);
    device.cut(1);
    let proof = acknowledged(&device, &ack_key());
    assert_eq!(rig.resume(&device, Some(proof)).await, (StatusCode::CONFLICT, vec![]));
    assert_eq!(rig.store.counts().await.unwrap()[0].collector_lost, 0);
}

#[tokio::test]
async fn without_a_certificate_a_fresh_challenge_is_needed() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let challenge = rig.challenge().await;
    let ask = async |challenge: Option<Vec<u8>>| {
        let challenge = challenge.map(serde_bytes::ByteBuf::from);
        let request = ResumeRequest { challenge, ..device.resume_request() };
        rig.call_open(post("/v1/resume", &Envelope::seal(&request, &device.key).unwrap().to_bytes())).await
    };
    assert_eq!(ask(None).await, (StatusCode::UNAUTHORIZED, vec![]));
    assert_eq!(resumed(&ask(Some(challenge.clone())).await.1).committed_seq, Seq(0));
    rig.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(ask(Some(challenge)).await, (StatusCode::UNAUTHORIZED, vec![]));
    let (status, _) = rig.call_open(post("/v1/batch", &device.clone().cut(1))).await;
    assert_eq!(status, StatusCode::OK, "a batch proves itself");
}

#[tokio::test]
async fn another_host_is_noted_once_and_an_update_of_the_agent_is_none() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let ask = async |facts: HostFacts| {
        let request = ResumeRequest { facts, ..device.resume_request() };
        let bytes = Envelope::seal(&request, &device.key).unwrap().to_bytes();
        assert_eq!(rig.call(post("/v1/resume", &bytes), Some(device.certificate)).await.0, StatusCode::OK);
    };
    ask(HostFacts { agent_version: crate::support::name("9.9.9"), ..facts() }).await;
    assert_eq!(rig.store.device(device.id).await.unwrap().unwrap().facts_changed, None);
    for _ in 0..2 {
        ask(HostFacts { machine: Hash::of(b"another"), ..facts() }).await;
    }
    let row = rig.store.device(device.id).await.unwrap().unwrap();
    assert_eq!((row.facts_changed, row.facts.machine), (Some(rig.clock.wall()), Hash::of(b"another")));
    let entries = rig.store.entries_after(0, 100).await.unwrap();
    assert_eq!(entries.iter().filter(|s| matches!(s.entry, Entry::FactsChanged { .. })).count(), 1);
}

#[tokio::test]
async fn a_question_that_changes_nothing_writes_nothing() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let mut book = Book::default();
    let mut tx = rig.store.begin(&mut book).await.unwrap();
    let position = tx.position();
    let resumed = tx.resume(&device.resume_request(), None).await.unwrap().unwrap();
    assert_eq!((resumed.committed_seq, resumed.lost), (Seq(0), 0));
    assert_eq!(tx.commit().await.unwrap(), position);
}
