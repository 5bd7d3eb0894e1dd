//! Statements of the hospital: filed when its own key signed them, and only then.

use crate::support::{Rig, START, hospital_key, name};
use std::time::Duration;
use tenken_collector::store::{FileError, model::DeviceStatus};
use tenken_common::{
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, Payload},
    id::{DeviceId, Hash, SlotId},
    key::SecretKey,
    statement::{DeviceApproval, SlotTicket},
};

fn seal<T: Payload>(value: &T) -> Envelope {
    Envelope::seal(value, &hospital_key()).unwrap()
}

fn ticket(hours: u64) -> SlotTicket {
    SlotTicket {
        slot: SlotId([1; 16]),
        hospital: "minato".parse().unwrap(),
        label: name("ct-1"),
        group: None,
        proof_key: Hash([1; 32]),
        expires: START.plus(Duration::from_hours(hours)),
        replaces: None,
    }
}

fn consent(version: u64) -> ConsentManifest {
    ConsentManifest {
        hospital: "minato".parse().unwrap(),
        scope: Scope::Hospital,
        categories: [2].into(),
        interval_floor_s: 60,
        valid_from: START,
        valid_to: START.plus(Duration::from_hours(1_000)),
        version,
        heartbeat: true,
    }
}

#[tokio::test]
async fn only_the_hospital_s_own_key_counts() {
    let rig = Rig::new().await;
    let forged = Envelope::seal(&ticket(24), &SecretKey::from_seed(&[3; 32])).unwrap();
    assert!(matches!(rig.store.file_statement(&forged).await, Err(FileError::UnknownHospital)));
    let other = seal(&SlotTicket { hospital: "shiba".parse().unwrap(), ..ticket(24) });
    assert!(matches!(rig.store.file_statement(&other).await, Err(FileError::OtherHospital { .. })));
    let mut bytes = seal(&ticket(24)).to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let broken = Envelope::from_bytes(&bytes).unwrap();
    assert!(matches!(rig.store.file_statement(&broken).await, Err(FileError::Envelope(_))));
    assert!(rig.store.slots().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_ticket_is_filed_once_and_within_its_life() {
    let rig = Rig::new().await;
    let file = |t: SlotTicket| {
        let store = rig.store.clone();
        async move { store.file_statement(&seal(&t)).await }
    };
    assert!(matches!(file(ticket(0)).await, Err(FileError::SlotExpired(_))));
    assert!(matches!(file(ticket(73)).await, Err(FileError::SlotTooLong(_))));
    assert!(file(ticket(72)).await.unwrap().is_some());
    assert!(file(ticket(72)).await.unwrap().is_none(), "the same again");
    assert!(matches!(file(ticket(71)).await, Err(FileError::SlotTaken(_))));
}

#[tokio::test]
async fn an_approval_names_the_very_key() {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    let good = DeviceApproval {
        hospital: "minato".parse().unwrap(),
        device: device.id,
        fingerprint: device.key.public().fingerprint(),
        approved_at: START,
    };
    let wrong = seal(&DeviceApproval { fingerprint: Hash([0; 32]), ..good.clone() });
    assert!(matches!(rig.store.file_statement(&wrong).await, Err(FileError::Fingerprint { .. })));
    let nobody = seal(&DeviceApproval { device: DeviceId([0; 16]), ..good });
    assert!(matches!(rig.store.file_statement(&nobody).await, Err(FileError::UnknownDevice { .. })));
    assert_eq!(rig.store.device(device.id).await.unwrap().unwrap().status(), DeviceStatus::Pending);
    assert!(rig.store.file_statement(&rig.approval(&device)).await.unwrap().is_some());
    assert_eq!(rig.store.device(device.id).await.unwrap().unwrap().status(), DeviceStatus::Approved);
    assert!(rig.store.file_statement(&rig.approval(&device)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_consent_s_version_only_goes_up() {
    let rig = Rig::new().await;
    assert!(rig.store.file_statement(&seal(&consent(2))).await.unwrap().is_some());
    assert!(rig.store.file_statement(&seal(&consent(2))).await.unwrap().is_none(), "the same again");
    let other = ConsentManifest { interval_floor_s: 7, ..consent(2) };
    for consent in [consent(1), other] {
        let stale = rig.store.file_statement(&seal(&consent)).await;
        assert!(matches!(stale, Err(FileError::StaleConsent { on_file: 2, .. })));
    }
    rig.store.file_statement(&seal(&consent(3))).await.unwrap();
    let versions: Vec<u64> = rig.store.consents().await.unwrap().iter().map(|c| c.version).collect();
    assert_eq!(versions, [2, 3]);
}
