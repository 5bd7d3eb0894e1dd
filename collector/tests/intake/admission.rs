//! Batches: every way to be refused, replay, restarts, a second process, a full disk.

use crate::support::{Device, NONCE, Rig, START, ack, ack_key, post, resumed};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use tenken_collector::store::{Book, StoreError, Verdict};
use tenken_collector_core::{intake::ledger::QuarantineReason, stream::Entry};
use tenken_common::{
    ack::{Reject, RejectReason},
    batch::RecRun,
    envelope::{Envelope, Payload},
    id::{BootId, Epoch, Hash, RecId, Seq},
    key::SecretKey,
    limit,
    time::Clock,
    wire::v1::ReceivedBatch,
};

fn reject(body: &[u8]) -> Reject {
    Envelope::from_bytes(body).unwrap().open::<Reject>(&ack_key().public()).unwrap().into_inner()
}

#[tokio::test]
async fn a_batch_is_stored_and_acknowledged_and_again_without_effect() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let first = device.cut(5);
    let got = rig.push(&device, &first).await;
    assert_eq!((got.acked_seq, got.hash, got.echo_nonce, got.need_seq), (Seq(1), device.prev, NONCE, None));
    let stored = rig.store.entries_after(got.position - 1, 1).await.unwrap();
    assert_eq!(stored[0].entry, Entry::Envelope { device: device.id, bytes: first.clone() }, "byte for byte");
    let second = device.cut(5);
    rig.push(&device, &second).await;
    let position = rig.store.position().await.unwrap();
    let again = rig.push(&device, &first).await;
    assert_eq!((again.acked_seq, again.hash), (Seq(2), device.prev), "the current acknowledgement");
    assert_eq!(rig.store.position().await.unwrap(), position);
    assert_eq!((*rig.tally.accepted.lock().unwrap(), *rig.tally.duplicates.lock().unwrap()), (2, 1));
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].batches, counts[0].records), (2, 10));
}

#[tokio::test]
async fn each_refusal_has_its_own_reason() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let other = rig.device(2).await;
    let good = device.clone().cut(2);
    let mut expected = Vec::new();
    let mut bare = |reason: RejectReason, got: (StatusCode, Vec<u8>), status: u16| {
        assert_eq!((got.0.as_u16(), got.1.as_slice()), (status, [].as_slice()), "{reason:?}");
        expected.push(reason);
    };

    let large = vec![0; limit::ENVELOPE_BYTES_MAX + 1];
    bare(RejectReason::TooLarge, rig.post(&device, &large).await, 413);
    let mut coded = post("/v1/batch", &good);
    coded.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    bare(RejectReason::ContentEncoding, rig.call(coded, None).await, 415);
    bare(RejectReason::Malformed, rig.post(&device, b"hello").await, 400);
    let stranger = Device { key: SecretKey::from_seed(&[9; 32]), ..device.clone() };
    bare(RejectReason::UnknownKey, rig.post(&device, &stranger.clone().cut(1)).await, 401);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    bare(RejectReason::BadSignature, rig.post(&device, &flipped).await, 401);
    let noise = Envelope::seal_bytes(ReceivedBatch::TYPE, b"no zstd".to_vec(), &device.key).to_bytes();
    bare(RejectReason::BadContent, rig.post(&device, &noise).await, 422);
    // No device has a reject made for another: it would make that one give up what it holds.
    let named_other = Device { id: other.id, ..device.clone() };
    bare(RejectReason::WrongDevice, rig.post(&device, &named_other.clone().cut(1)).await, 403);
    bare(RejectReason::WrongIdentity, rig.post(&other, &good).await, 403);

    let mut signed = |reason: RejectReason, got: (StatusCode, Vec<u8>), status: u16| {
        assert_eq!(
            (got.0.as_u16(), reject(&got.1).reason, reject(&got.1).echo_nonce),
            (status, reason.code(), NONCE)
        );
        expected.push(reason);
    };
    let stale = Device { epoch: Epoch(0), ..device.clone() };
    signed(RejectReason::StaleEpoch, rig.post(&device, &stale.clone().cut(1)).await, 409);
    let fork = Device { prev: Hash([9; 32]), ..other.clone() };
    signed(RejectReason::Fork, rig.post(&other, &fork.clone().cut(1)).await, 409);
    signed(RejectReason::Quarantined, rig.post(&other, &other.clone().cut(1)).await, 409);

    device.cut(1);
    let early = device.cut(1);
    let got = rig.push(&device, &early).await;
    assert_eq!((got.acked_seq, got.need_seq), (Seq(0), Some(Seq(1))));
    expected.push(RejectReason::Hole);

    let ahead = Device { epoch: Epoch(9), ..device.clone() };
    assert_eq!(
        rig.post(&device, &ahead.clone().cut(1)).await,
        (StatusCode::CONFLICT, vec![]),
        "nothing to drop"
    );

    rig.store.append(vec![Entry::Revoked { device: device.id }]).await.unwrap();
    rig.state.devices.refresh(&rig.store).await.unwrap();
    let got = rig.post(&device, &good).await;
    assert_eq!(reject(&got.1).reason, RejectReason::Revoked.code());
    expected.push(RejectReason::Revoked);

    let (status, _) = rig
        .call_open(post(
            "/v1/enroll",
            crate::support::enroll_request(tenken_common::id::SlotId([99; 16]), &device.key).bytes(),
        ))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    expected.push(RejectReason::Unenrolled);

    expected.sort();
    let refused: Vec<_> = rig.tally.refused.lock().unwrap().iter().map(|(r, n)| (*r, *n)).collect();
    assert_eq!(refused, expected.iter().map(|r| (*r, 1)).collect::<Vec<_>>());
    assert_eq!(expected, RejectReason::ALL, "every reason was seen");
}

#[tokio::test]
async fn an_unannounced_large_body_is_cut_off() {
    let rig = Rig::new().await;
    let request = Request::post("/v1/batch").body(Body::new(Endless)).unwrap();
    assert_eq!(rig.call(request, None).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

/// A body that never ends.
struct Endless;

impl axum::body::HttpBody for Endless {
    type Data = hyper::body::Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let frame = hyper::body::Frame::data(hyper::body::Bytes::from_static(&[0; 4096]));
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}

#[tokio::test]
async fn a_pending_device_s_batches_are_stored_behind_an_inspecting_proxy_too() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let (status, body) = rig.call(post("/v1/batch", &device.cut(1)), None).await;
    assert_eq!((status, ack(&body).acked_seq), (StatusCode::OK, Seq(1)));
}

#[tokio::test]
async fn a_fork_leaves_its_evidence_and_nothing_else() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let mut twin = device.clone();
    rig.push(&device, &device.clone().cut(1)).await;
    device.cut(1);
    let evidence = twin.cut(2);
    let (status, _) = rig.post(&twin, &evidence).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let last = rig.store.position().await.unwrap();
    let stored = rig.store.entries_after(last - 1, 1).await.unwrap();
    assert_eq!(stored[0].entry, Entry::Fork { device: device.id, bytes: evidence });
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].batches, counts[0].quarantine), (1, Some(QuarantineReason::Fork)));
    let again = rig.again().await;
    assert_eq!(
        again.post(&device, &device.clone().cut(1)).await.0,
        StatusCode::CONFLICT,
        "after a restart too"
    );
}

#[tokio::test]
async fn a_device_that_was_cloned_without_diverging_is_suspected() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    for boot in [1, 2, 1] {
        device.boot = BootId([boot; 16]);
        let bytes = device.cut(1);
        rig.push(&device, &bytes).await;
    }
    assert_eq!(rig.store.counts().await.unwrap()[0].clone_suspected, Some(START));
}

#[tokio::test]
async fn a_restart_without_shutdown_goes_on_where_the_file_is() {
    let mut rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(device.cut(3));
        rig.push(&device, sent.last().unwrap()).await;
        // A write that never commits, then the process is gone.
        let mut book = Book::default();
        let mut tx = rig.store.begin(&mut book).await.unwrap();
        tx.journal(Entry::Heartbeat).await.unwrap();
        drop(tx);
        rig = rig.again().await;
        for old in &sent {
            assert_eq!(rig.push(&device, old).await.acked_seq, device.seq);
        }
    }
    let kept = rig.store.entries_after(0, 100).await.unwrap();
    let positions: Vec<u64> = kept.iter().map(|s| s.position).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "dense");
    let envelopes: Vec<_> = kept.into_iter().filter(|s| matches!(s.entry, Entry::Envelope { .. })).collect();
    assert_eq!(envelopes.len(), 5);
}

#[tokio::test]
async fn two_processes_on_one_file_take_each_batch_once() {
    let one = Rig::new().await;
    let mut device = one.device(1).await;
    let two = one.again().await;
    for i in 0..20 {
        let bytes = device.cut(1);
        let (a, b) = tokio::join!(one.push(&device, &bytes), two.push(&device, &bytes));
        assert_eq!((a.acked_seq, b.acked_seq), (Seq(i + 1), Seq(i + 1)));
    }
    assert_eq!(*one.tally.accepted.lock().unwrap() + *two.tally.accepted.lock().unwrap(), 20);
    assert_eq!(one.store.counts().await.unwrap()[0].batches, 20);
}

#[tokio::test]
async fn another_process_s_revocation_is_followed() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let cli = rig.again().await;
    cli.store.append(vec![Entry::Revoked { device: device.id }]).await.unwrap();
    let gone = async {
        while rig.state.devices.current().is_welcome(device.id) {
            tokio::task::yield_now().await;
        }
    };
    let bound = std::time::Duration::from_secs(1);
    let followed = async {
        tokio::select! {
            () = rig.state.devices.follow(&rig.store) => {}
            () = gone => {}
        }
    };
    tokio::time::timeout(bound, followed).await.expect("within one second");
}

#[tokio::test]
async fn fifty_devices_at_once_share_transactions() {
    let rig = Rig::new().await;
    let mut devices = Vec::new();
    for n in 1..=50 {
        devices.push(rig.device(n).await);
    }
    let before = rig.store.position().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for mut device in devices {
        let state = rig.state.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                let bytes = device.cut(2);
                let peer = tenken_collector::ingest::PeerIdentity { certificate: Some(device.certificate) };
                let received =
                    tenken_collector::ingest::verify::verify(&bytes, &state.devices.current(), peer).unwrap();
                let got = state.committer.admit(received, bytes).await.unwrap();
                assert_eq!(
                    (got.verdict, got.committed_seq),
                    (Verdict::New { clone_suspected: false }, device.seq)
                );
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(rig.store.position().await.unwrap(), before + 1_000);
    let counts = rig.store.counts().await.unwrap();
    assert!(counts.iter().all(|c| c.batches == 20 && c.records == 40 && c.missing_runs == 0));
}

#[tokio::test]
async fn a_full_disk_answers_later_and_loses_nothing() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let mut book = Book::default();
    let mut tx = rig.store.begin(&mut book).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").execute(tx.connection()).await.unwrap();
    drop(tx);
    let mut acked = 0;
    let (status, bytes) = loop {
        let bytes = device.cut(500);
        let (status, _) = rig.post(&device, &bytes).await;
        if status != StatusCode::OK {
            break (status, bytes);
        }
        acked += 1;
        assert!(acked < 500, "the disk never filled");
    };
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rig.store.counts().await.unwrap()[0].batches, acked);
    let mut tx = rig.store.begin(&mut book).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1000000").execute(tx.connection()).await.unwrap();
    drop(tx);
    assert_eq!(
        rig.push(&device, &bytes).await.acked_seq,
        Seq(acked + 1),
        "the same batch, once there is room"
    );
}

#[tokio::test]
async fn resume_says_how_far_and_what_is_missing() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    device.next_rec = 4;
    let bytes = device.cut_with(3, &[(1, 2)]);
    rig.push(&device, &bytes).await;
    let (status, body) = rig.resume(&device, None).await;
    assert_eq!(status, StatusCode::OK);
    let reply = resumed(&body);
    assert_eq!((reply.committed_seq, reply.committed_hash, reply.echo_nonce), (Seq(1), device.prev, NONCE));
    let run = |from, to| RecRun { from: RecId(from), to: RecId(to) };
    assert_eq!(reply.missing, [run(3, 3), run(7, u64::MAX)], "and whatever comes after the last");
}

#[tokio::test]
async fn errors_of_opening_are_one_clear_sentence() {
    let dir = tempfile::TempDir::new().unwrap();
    let clock = std::sync::Arc::new(tenken_common::time::ManualClock::new(BootId([0; 16]), START));
    let missing = tenken_collector::store::Store::open(&dir.path().join("no/such/file"), clock.clone()).await;
    assert!(matches!(missing, Err(StoreError::CannotOpen)), "{missing:?}");
    std::fs::write(dir.path().join("text"), "this is a text and no database. ".repeat(64)).unwrap();
    let text = tenken_collector::store::Store::open(&dir.path().join("text"), clock.clone()).await;
    assert!(matches!(text, Err(StoreError::NotADatabase)), "{text:?}");
    let path = dir.path().join("newer");
    let store = tenken_collector::store::Store::open(&path, clock.clone()).await.unwrap();
    let mut book = Book::default();
    let mut tx = store.begin(&mut book).await.unwrap();
    sqlx::query("INSERT INTO schema_version VALUES (99)").execute(tx.connection()).await.unwrap();
    tx.journal(Entry::Heartbeat).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    let newer = tenken_collector::store::Store::open(&path, clock.clone()).await;
    assert!(matches!(newer, Err(StoreError::NewerSchema { found: 99, .. })), "{newer:?}");
    assert_eq!(clock.wall(), START);
}
