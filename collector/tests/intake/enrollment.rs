//! Redeeming slots: one use whatever the number, retries, expiry.

use crate::support::{Rig, TOKEN, enroll_request, post};
use axum::http::StatusCode;
use std::time::Duration;
use tenken_collector::ingest::{
    commit::CommitError,
    enroll::{RedeemError, enroll},
};
use tenken_common::{enrollment::slot_key, id::Hash, key::SecretKey};

#[tokio::test]
async fn of_a_thousand_at_once_exactly_one_wins() {
    let rig = Rig::new().await;
    let slot = rig.slot(1).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1_000_u32 {
        let state = rig.state.clone();
        let key = SecretKey::from_seed(&Hash::of(&n.to_be_bytes()).0);
        tasks.spawn(async move {
            let request = enroll_request(slot, &key);
            loop {
                match enroll(&state, request.bytes()).await {
                    Err(RedeemError::Later(CommitError::Overloaded)) => tokio::task::yield_now().await,
                    other => return other,
                }
            }
        });
    }
    let (mut won, mut used) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            Ok(_) => won += 1,
            Err(RedeemError::Used) => used += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((won, used), (1, 999));
    assert_eq!(rig.store.devices().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_with_the_same_key_gets_the_same_grant_even_after_a_restart() {
    let rig = Rig::new().await;
    let slot = rig.slot(1).await;
    let key = SecretKey::from_seed(&[1; 32]);
    let request = enroll_request(slot, &key);
    let (status, first) = rig.call_open(post("/v1/enroll", request.bytes())).await;
    assert_eq!(status, StatusCode::OK);
    let rig = rig.again().await;
    rig.clock.advance(Duration::from_hours(100));
    let (_, second) = rig.call_open(post("/v1/enroll", request.bytes())).await;
    let open = |reply: &[u8]| request.open_reply(reply, &slot_key(TOKEN)).unwrap();
    assert_eq!(open(&first), open(&second));
    let device = rig.store.device(open(&first).0.device).await.unwrap().unwrap();
    assert_eq!((Hash::of(&device.granted), device.label.as_str()), (open(&first).1, "ct-1"));
    let by_key = rig.store.device_by_key(key.public().id()).await.unwrap();
    let certificate = Hash::of(&open(&first).0.certificates[0]);
    assert_eq!(rig.store.device_by_certificate(certificate).await.unwrap().as_ref(), by_key.first());
}

#[tokio::test]
async fn a_slot_ends_at_its_expiry() {
    let rig = Rig::new().await;
    let slot = rig.slot(1).await;
    rig.clock.advance(Duration::from_hours(24));
    let request = enroll_request(slot, &SecretKey::from_seed(&[1; 32]));
    assert!(matches!(enroll(&rig.state, request.bytes()).await, Err(RedeemError::Expired)));
    assert_eq!(rig.call_open(post("/v1/enroll", request.bytes())).await.0, StatusCode::GONE);
    assert!(rig.store.devices().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_the_token_nothing_is_granted() {
    let rig = Rig::new().await;
    let slot = rig.slot(1).await;
    let good = enroll_request(slot, &SecretKey::from_seed(&[1; 32]));
    let mut altered = good.bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    assert_eq!(rig.call_open(post("/v1/enroll", &altered)).await.0, StatusCode::BAD_REQUEST);
    assert!(rig.store.devices().await.unwrap().is_empty());
}
