//! The next epoch of a device: by the hospital's approval, or by a slot that replaces it.

use crate::support::{
    Device, NONCE, Rig, ack_key, enroll_request, facts, hospital_key, name, post, reject, resumed,
};
use axum::http::StatusCode;
use tenken_collector::{
    ingest::enroll::{RedeemError, enroll},
    store::{FileError, model::DeviceStatus},
};
use tenken_collector_core::{intake::ledger::QuarantineReason, stream::Entry};
use tenken_common::{
    ack::RejectReason,
    batch::GapReason,
    envelope::Envelope,
    id::{DeviceId, Epoch, Hash, Seq},
    key::SecretKey,
    renewal::{RejoinGrant, RejoinParts, RejoinRequest},
    statement::{KeySuccession, RejoinApproval},
    time::Clock,
};

fn new_key() -> SecretKey {
    SecretKey::from_seed(&[77; 32])
}

fn approval(device: DeviceId, epoch: u32, key: &SecretKey) -> Envelope {
    let approval = RejoinApproval {
        hospital: "minato".parse().unwrap(),
        device,
        epoch: Epoch(epoch),
        fingerprint: key.public().fingerprint(),
        approved_at: crate::support::START,
    };
    Envelope::seal(&approval, &hospital_key()).unwrap()
}

async fn ask(rig: &Rig, device: &Device, key: &SecretKey) -> (StatusCode, Vec<u8>) {
    let parts = RejoinParts {
        device: device.id,
        epoch: device.epoch,
        csr: key.public().to_bytes().to_vec(),
        facts: facts(),
        challenge: rig.challenge().await,
        nonce: NONCE,
    };
    let request = RejoinRequest::new(key.public(), parts);
    rig.call_open(post("/v1/rejoin", &Envelope::seal(&request, key).unwrap().to_bytes())).await
}

/// The device as it goes on.
fn rejoined(device: &Device, key: SecretKey, document: &[u8]) -> (Device, RejoinGrant) {
    let envelope = Envelope::from_bytes(document).unwrap();
    let grant = envelope.open::<RejoinGrant>(&ack_key().public()).unwrap().into_inner();
    let next = Device {
        certificate: Hash::of(&grant.certificates[0]),
        epoch: grant.epoch,
        seq: Seq(0),
        prev: Hash::of(envelope.body()),
        next_rec: 1,
        key,
        ..device.clone()
    };
    (next, grant)
}

/// Begins the next epoch of a device, where that is possible.
pub async fn go_on(rig: &Rig, device: &mut Device, seed: u8) {
    let key = SecretKey::from_seed(&[seed; 32]);
    // Refused for a revoked device, which is right.
    drop(rig.store.file_statement(&approval(device.id, device.epoch.next().0, &key)).await);
    let (status, document) = ask(rig, device, &key).await;
    if status == StatusCode::OK {
        *device = rejoined(device, key, &document).0;
    }
}

#[tokio::test]
async fn the_hospital_s_approval_begins_the_next_epoch() {
    let rig = Rig::new().await;
    let mut old = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&old)).await.unwrap();
    let first = old.cut(3);
    rig.push(&old, &first).await;
    let fork = Device { seq: Seq(0), prev: Hash([9; 32]), ..old.clone() };
    assert_eq!(reject(&rig.post(&fork, &fork.clone().cut(1)).await.1), RejectReason::Fork);

    let key = new_key();
    assert_eq!(ask(&rig, &old, &key).await, (StatusCode::CONFLICT, vec![]), "nobody approved it");
    let early = rig.store.file_statement(&approval(old.id, 3, &key)).await;
    assert!(matches!(early, Err(FileError::RejoinEpoch { current: Epoch(1), .. })), "{early:?}");
    assert!(rig.store.file_statement(&approval(old.id, 2, &key)).await.unwrap().is_some());
    assert!(rig.store.file_statement(&approval(old.id, 2, &key)).await.unwrap().is_none(), "the same again");
    let stranger = SecretKey::from_seed(&[78; 32]);
    assert_eq!(ask(&rig, &old, &stranger).await.0, StatusCode::CONFLICT, "another key was approved");

    let (status, document) = ask(&rig, &old, &key).await;
    assert_eq!(status, StatusCode::OK);
    let (mut new, grant) = rejoined(&old, key.clone(), &document);
    assert_eq!((grant.epoch, grant.closed_seq, grant.closed_hash), (Epoch(2), Seq(1), old.prev));
    assert_eq!((grant.top_record.0, grant.echo_nonce), (3, NONCE));
    let rig = rig.again().await;
    assert_eq!(ask(&rig, &old, &key).await, (StatusCode::OK, document), "a retry gets the very bytes");

    let bytes = new.cut(5);
    assert_eq!(rig.push(&new, &bytes).await.acked_seq, Seq(1), "the quarantine is over");
    let row = rig.store.device(old.id).await.unwrap().unwrap();
    assert_eq!((row.key, row.status()), (key.public(), DeviceStatus::Approved));
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts[0].epoch, counts[0].records, counts[0].quarantine), (Epoch(2), 8, None));
    let gaps = rig.store.gaps(old.id).await.unwrap();
    assert_eq!(
        (gaps[0].epoch, gaps[0].gap.reason, gaps[0].gap.run.from.0),
        (Epoch(1), GapReason::Unknown, 4)
    );
    assert_eq!(rig.store.quarantines().await.unwrap()[0].2, Some(rig.clock.wall()));
}

#[tokio::test]
async fn a_closed_epoch_that_goes_on_is_a_clone() {
    let rig = Rig::new().await;
    let mut old = rig.device(1).await;
    let first = old.cut(1);
    rig.push(&old, &first).await;
    let key = new_key();
    rig.store.file_statement(&approval(old.id, 2, &key)).await.unwrap();
    let (_, document) = ask(&rig, &old, &key).await;
    let (new, _) = rejoined(&old, key, &document);
    assert_eq!(reject(&rig.post(&old, &first).await.1), RejectReason::StaleEpoch);
    assert_eq!(rig.store.counts().await.unwrap()[0].clone_suspected, None, "a replay is no clone");
    let more = old.cut(1);
    for _ in 0..2 {
        assert_eq!(reject(&rig.post(&old, &more).await.1), RejectReason::StaleEpoch);
    }
    assert_eq!(rig.store.counts().await.unwrap()[0].clone_suspected, Some(rig.clock.wall()));
    let entries = rig.store.entries_after(0, 100).await.unwrap();
    assert_eq!(entries.iter().filter(|s| matches!(s.entry, Entry::CloneSuspected { .. })).count(), 1);

    let posing = Device { epoch: Epoch(2), prev: new.prev, seq: Seq(0), ..old.clone() };
    assert_eq!(
        rig.post(&posing, &posing.clone().cut(1)).await,
        (StatusCode::UNAUTHORIZED, vec![]),
        "the old key speaks for nothing in the new epoch"
    );
    assert_eq!(rig.resume(&old, None).await, (StatusCode::UNAUTHORIZED, vec![]));
}

#[tokio::test]
async fn a_rejoin_is_asked_just_now_by_whoever_has_the_key() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let key = new_key();
    rig.store.file_statement(&approval(device.id, 2, &key)).await.unwrap();
    let parts = RejoinParts {
        device: device.id,
        epoch: Epoch(1),
        csr: vec![1],
        facts: facts(),
        challenge: rig.challenge().await,
        nonce: NONCE,
    };
    let request = RejoinRequest::new(key.public(), parts);
    let forged = Envelope::seal(&request, &device.key).unwrap().to_bytes();
    assert_eq!(rig.call_open(post("/v1/rejoin", &forged)).await.0, StatusCode::UNAUTHORIZED);
    rig.clock.advance(std::time::Duration::from_secs(301));
    let late = Envelope::seal(&request, &key).unwrap().to_bytes();
    assert_eq!(rig.call_open(post("/v1/rejoin", &late)).await.0, StatusCode::UNAUTHORIZED);
    let nobody = Device { id: DeviceId([0; 16]), ..device.clone() };
    assert_eq!(ask(&rig, &nobody, &key).await.0, StatusCode::NOT_FOUND);
    rig.store.append(vec![Entry::Revoked { device: device.id }]).await.unwrap();
    assert_eq!(ask(&rig, &device, &key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(rig.store.device(device.id).await.unwrap().unwrap().key, device.key.public());
}

#[tokio::test]
async fn a_slot_that_replaces_a_device_gives_it_a_new_key() {
    let rig = Rig::new().await;
    let mut old = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&old)).await.unwrap();
    let bytes = old.cut(4);
    rig.push(&old, &bytes).await;
    let nobody = tenken_common::statement::SlotTicket {
        slot: tenken_common::id::SlotId([9; 16]),
        hospital: "minato".parse().unwrap(),
        label: name("ct-9"),
        group: None,
        proof_key: Hash([1; 32]),
        expires: rig.clock.wall().plus(std::time::Duration::from_hours(1)),
        replaces: Some(DeviceId([0; 16])),
    };
    let filed = rig.store.file_statement(&Envelope::seal(&nobody, &hospital_key()).unwrap()).await;
    assert!(matches!(filed, Err(FileError::UnknownDevice { .. })), "{filed:?}");
    let slot = rig.slot_for(2, Some(old.id)).await;
    let mut new = rig.redeem(slot, new_key()).await;
    assert_eq!((new.id, new.epoch), (old.id, Epoch(2)));
    let again = rig.redeem(slot, new_key()).await;
    assert_eq!((again.prev, again.epoch), (new.prev, new.epoch), "the same grant for the same key");
    let other = enroll_request(slot, &SecretKey::from_seed(&[5; 32]));
    assert!(matches!(enroll(&rig.state, other.bytes()).await, Err(RedeemError::Used)));
    let bytes = new.cut(2);
    assert_eq!(rig.push(&new, &bytes).await.acked_seq, Seq(1));
    let rows = rig.store.devices().await.unwrap();
    assert_eq!((rows.len(), rows[0].status(), rows[0].label.as_str()), (1, DeviceStatus::Pending, "ct-2"));
    rig.store.file_statement(&rig.approval(&new)).await.unwrap();
    assert_eq!(rig.store.counts().await.unwrap()[0].records, 6);
    assert_eq!(resumed(&rig.resume(&new, None).await.1).epoch, Epoch(2));
}

#[tokio::test]
async fn a_hole_s_quarantine_ends_with_the_epoch() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    device.cut(1);
    let second = device.cut(1);
    for _ in 0..4 {
        rig.post(&device, &second).await;
    }
    assert_eq!(rig.store.counts().await.unwrap()[0].quarantine, Some(QuarantineReason::Hole));
    let key = new_key();
    rig.store.file_statement(&approval(device.id, 2, &key)).await.unwrap();
    let (_, document) = ask(&rig, &device, &key).await;
    let (mut new, grant) = rejoined(&device, key, &document);
    assert_eq!((grant.closed_seq, grant.top_record.0), (Seq(0), 0));
    let bytes = new.cut(1);
    assert_eq!(rig.push(&new, &bytes).await.acked_seq, Seq(1));
}

#[tokio::test]
async fn a_successor_signs_and_the_old_key_no_longer() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let successor = SecretKey::from_seed(&[101; 32]);
    let hospital: tenken_common::id::HospitalId = "minato".parse().unwrap();
    let succession = KeySuccession::new(hospital.clone(), successor.public(), rig.clock.wall());
    let own = Envelope::seal(&succession, &successor).unwrap();
    assert!(matches!(rig.store.file_statement(&own).await, Err(FileError::UnknownHospital)));
    let signed = Envelope::seal(&succession, &hospital_key()).unwrap();
    assert!(rig.store.file_statement(&signed).await.unwrap().is_some());
    assert!(rig.store.file_statement(&signed).await.unwrap().is_none(), "the same again");
    let by_old = rig.store.file_statement(&rig.approval(&device)).await;
    assert!(matches!(by_old, Err(FileError::UnknownHospital)), "{by_old:?}");
    let key = new_key();
    let approval = RejoinApproval {
        hospital,
        device: device.id,
        epoch: Epoch(2),
        fingerprint: key.public().fingerprint(),
        approved_at: rig.clock.wall(),
    };
    assert!(
        rig.store.file_statement(&Envelope::seal(&approval, &successor).unwrap()).await.unwrap().is_some()
    );
}
