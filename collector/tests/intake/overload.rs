//! More than the collector can write: alarms first, everybody else later, nothing lost.

use crate::support::Rig;
use axum::http::StatusCode;
use std::sync::Arc;
use tenken_collector::{
    ingest::{
        PeerIdentity,
        commit::{CommitError, QUEUE_MAX, QUEUE_RESERVE, committer},
        verify::verify,
    },
    store::Verdict,
};
use tenken_common::{id::Seq, limit, observation::Class};

/// Lets every task that can run come to where it waits.
async fn settle() {
    for _ in 0..QUEUE_MAX {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_last_places_are_for_alarms() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    // A committer whose loop does not run yet: what is sent waits.
    let (door, run) = committer(rig.store.clone(), rig.state.issuer.clone());
    let peer = PeerIdentity { certificate: Some(device.certificate) };
    let check = |bytes: &[u8]| verify(bytes, &rig.state.devices.current(), peer).unwrap();
    let ordinary = device.clone().cut(1);
    let mut first = device.clone();
    let mut batch = first.plain(1, &[]);
    batch.class = Class::Urgent;
    let urgent = first.seal(batch).to_bytes();
    let mut waiting = tokio::task::JoinSet::new();
    let door = Arc::new(door);
    let places = |n: usize, bytes: &Vec<u8>, waiting: &mut tokio::task::JoinSet<_>| {
        for _ in 0..n {
            let (door, verified, bytes) = (door.clone(), check(bytes), bytes.clone());
            waiting.spawn(async move { door.admit(verified, bytes).await });
        }
    };
    places(QUEUE_MAX - QUEUE_RESERVE, &ordinary, &mut waiting);
    settle().await;
    assert!(!door.retry_after().is_zero(), "whoever is answered now is asked to wait");
    let refused = door.admit(check(&ordinary), ordinary.clone()).await;
    assert!(matches!(refused, Err(CommitError::Overloaded)), "{refused:?}");
    places(QUEUE_RESERVE, &urgent, &mut waiting);
    settle().await;
    let refused = door.admit(check(&urgent), urgent.clone()).await;
    assert!(matches!(refused, Err(CommitError::Overloaded)), "the reserve has its end: {refused:?}");
    let run = tokio::spawn(run.run());
    let mut verdicts = Vec::new();
    while let Some(done) = waiting.join_next().await {
        verdicts.push(done.unwrap().unwrap().verdict);
    }
    assert_eq!(verdicts.len(), QUEUE_MAX);
    assert_eq!(verdicts.iter().filter(|v| matches!(v, Verdict::New { .. })).count(), 1);
    assert!(door.retry_after().is_zero());
    run.abort();
}

#[tokio::test]
async fn whoever_is_put_off_is_not_blamed_for_a_hole() {
    let rig = Rig::new().await;
    let (mut device, mut other) = (rig.device(1).await, rig.device(2).await);
    let known = other.cut(1);
    rig.push(&other, &known).await;
    device.cut(1);
    let second = device.cut(1);
    let again = async || assert_eq!(rig.push(&device, &second).await.need_seq, Some(Seq(1)));
    for _ in 0..limit::HOLE_STRIKES_MAX {
        again().await;
    }
    // A crowd at once, of which the last are put off: the first of the device may have been one.
    let peer = PeerIdentity { certificate: Some(other.certificate) };
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..=QUEUE_MAX {
        let (door, bytes) = (rig.state.committer.clone(), known.clone());
        let verified = verify(&bytes, &rig.state.devices.current(), peer).unwrap();
        crowd.spawn(async move { door.admit(verified, bytes).await });
    }
    let mut put_off = 0;
    while let Some(done) = crowd.join_next().await {
        put_off += usize::from(matches!(done.unwrap(), Err(CommitError::Overloaded)));
    }
    assert!(put_off > 0);
    for _ in 1..limit::HOLE_STRIKES_MAX {
        again().await;
    }
    assert_eq!(rig.store.counts().await.unwrap()[0].quarantine, None);
    assert_eq!(rig.post(&device, &second).await.0, StatusCode::CONFLICT, "now it is unexplained");
}
