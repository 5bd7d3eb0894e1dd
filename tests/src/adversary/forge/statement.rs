//! Statements and trust documents, against the code of both sides that believes them: the store's
//! filing, on the real store of an installation; the agent's consent gate; and the walk along trust
//! documents. In this process, since a start of a program for each try would take hours.
//!
//! Holds: a try has an effect if it is filed, adopted or followed.

use crate::{
    Bed, BedPlan, HOSPITAL,
    adversary::{device::Device, draw::Draw, tally::Tally},
};
use std::{fs, sync::Arc};
use tenken_agent_core::consent_gate::ConsentGate;
use tenken_collector::store::Store;
use tenken_collector_core::stream::{Entry, Hospital};
use tenken_common::{
    category::Category,
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, Payload},
    id::{DeviceId, Hash, HospitalId, SlotId},
    key::SecretKey,
    statement::{DeviceApproval, SlotTicket},
    time::{Clock as _, SystemClock, Timestamp},
    trust::TrustDocument,
};

/// Whose keys there are.
#[derive(Clone)]
struct Keys {
    hospital: SecretKey,
    /// Of another hospital, which is on file as well and belongs to the attacker.
    other: SecretKey,
    acknowledgement: SecretKey,
    device: SecretKey,
}

/// Runs `n` tries of each class.
pub fn statements(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let bed = Bed::new(BedPlan::default());
    let collector = bed.start_collector();
    let device = Device::of(&bed.enroll("ct-1").state, bed.device_port);
    drop(collector);
    let keys = Keys {
        hospital: SecretKey::from_pem(&fs::read_to_string(bed.path("hospital/hospital.key")).unwrap())
            .unwrap(),
        other: SecretKey::from_seed(&draw.bytes()),
        acknowledgement: bed.ack_key(),
        device: device.enrolled.device_key.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tally = runtime.block_on(filed(&bed, &keys, &device, n, &mut draw));
    tally.add(adopted(&keys, device.enrolled.device, n, &mut draw));
    tally.add(followed(&keys, n, &mut draw));
    tally
}

/// A statement that would be taken if the hospital had signed it, signed by somebody else.
fn forged<T: Payload>(draw: &mut Draw, keys: &Keys, value: &T) -> Envelope {
    let under_the_id = |envelope: &Envelope| {
        let mut bytes = envelope.to_bytes();
        let end = bytes.len();
        bytes[end - 74..end - 66].copy_from_slice(keys.hospital.public().id().as_bytes());
        Envelope::from_bytes(&bytes).unwrap()
    };
    let seal = |key: &SecretKey| Envelope::seal(value, key).unwrap();
    let stranger = SecretKey::from_seed(&draw.bytes());
    let key = draw.one_of(&[&keys.other, &keys.acknowledgement, &keys.device, &stranger]);
    match draw.below(4) {
        0 => seal(key),
        1 => under_the_id(&seal(key)),
        2 => {
            // The hospital's signature, the content of somebody else.
            let good = seal(&keys.hospital);
            let body = draw.altered(good.body());
            let mut bytes = Envelope::seal_bytes(T::TYPE, body, &stranger).to_bytes();
            let (end, genuine) = (bytes.len(), good.to_bytes());
            bytes[end - 76..].copy_from_slice(&genuine[genuine.len() - 76..]);
            Envelope::from_bytes(&bytes).unwrap()
        }
        // The hospital's signature under something of another kind.
        _ => {
            let kinds = [ConsentManifest::TYPE, DeviceApproval::TYPE, SlotTicket::TYPE, TrustDocument::TYPE];
            let other: Vec<&str> = kinds.into_iter().filter(|kind| *kind != T::TYPE).collect();
            Envelope::seal_bytes(draw.one_of(&other), value.encode().unwrap(), &keys.hospital)
        }
    }
}

fn consent(version: u64) -> ConsentManifest {
    ConsentManifest {
        hospital: HOSPITAL.parse().unwrap(),
        scope: Scope::Hospital,
        categories: Category::ALL.iter().map(|c| c.code()).collect(),
        interval_floor_s: 1,
        valid_from: Timestamp::EPOCH,
        valid_to: Timestamp::MAX,
        version,
        heartbeat: true,
    }
}

async fn filed(bed: &Bed, keys: &Keys, device: &Device, n: usize, draw: &mut Draw) -> Tally {
    let mut tally = Tally::default();
    let clock = SystemClock::new();
    let store = Store::open(&bed.database(), Arc::new(clock.clone())).await.unwrap();
    let attacker: HospitalId = "attacker".parse().unwrap();
    let entry = Hospital { id: attacker, key: keys.other.public().to_bytes().to_vec() };
    store.append(vec![Entry::Hospital(entry)]).await.unwrap();
    let hospital: HospitalId = HOSPITAL.parse().unwrap();
    let on_file = store.position().await.unwrap();
    let mut newest = None;
    for _ in 0..n {
        let expires = clock.wall().plus(std::time::Duration::from_secs(3_600));
        let ticket = SlotTicket {
            slot: SlotId(draw.bytes()),
            hospital: hospital.clone(),
            label: super::super::content::name(draw),
            group: None,
            proof_key: Hash(draw.bytes()),
            expires,
            replaces: None,
        };
        let approval = DeviceApproval {
            hospital: hospital.clone(),
            device: device.enrolled.device,
            fingerprint: device.enrolled.device_key.public().fingerprint(),
            approved_at: clock.wall(),
        };
        let manifest = consent(2 + draw.below(1_000) as u64);
        let tries = [
            ("consent forged, at the collector", forged(draw, keys, &manifest)),
            ("approval forged, at the collector", forged(draw, keys, &approval)),
            ("slot forged, at the collector", forged(draw, keys, &ticket)),
            (
                "consent of before, at the collector",
                Envelope::seal(&consent(draw.below(2) as u64), &keys.hospital).unwrap(),
            ),
        ];
        for (class, envelope) in tries {
            let filed = store.file_statement(&envelope).await;
            // Also where it would change nothing: it was believed.
            tally.count(class, filed.ok().map(|_| format!("was believed: {}", envelope.payload_type())));
        }
        newest = Some(manifest);
    }
    let after = store.position().await.unwrap();
    tally
        .hold("consent forged, at the collector", after == on_file, || format!("the stream grew to {after}"));
    if let Some(manifest) = newest {
        let filed = store.file_statement(&Envelope::seal(&manifest, &keys.hospital).unwrap()).await;
        let taken = matches!(filed, Ok(Some(_)));
        tally.hold("consent forged, at the collector", taken, || {
            format!("the true one is refused: {filed:?}")
        });
    }
    store.close().await;
    tally
}

/// The agent's own gate: what it records and sends.
fn adopted(keys: &Keys, device: DeviceId, n: usize, draw: &mut Draw) -> Tally {
    let mut tally = Tally::default();
    let mut gate = ConsentGate::new(keys.hospital.public(), device, None, 7);
    for _ in 0..n {
        let manifest = consent(7 + draw.below(1_000) as u64);
        let adopted = gate.adopt(&forged(draw, keys, &manifest));
        tally
            .count("consent forged, at the device", adopted.ok().map(|v| format!("version {v} was adopted")));
        let before = consent(draw.below(7) as u64);
        let adopted = gate.adopt(&Envelope::seal(&before, &keys.hospital).unwrap());
        tally.count(
            "consent of before, at the device",
            adopted.ok().map(|v| format!("version {v} was adopted")),
        );
        let others = ConsentManifest { scope: Scope::Device(DeviceId(draw.bytes())), ..manifest };
        let adopted = gate.adopt(&Envelope::seal(&others, &keys.hospital).unwrap());
        tally.count(
            "consent cross-device, at the device",
            adopted.ok().map(|v| format!("version {v} was adopted")),
        );
    }
    let taken = gate.adopt(&Envelope::seal(&consent(8), &keys.hospital).unwrap());
    tally.hold("consent forged, at the device", taken.is_ok(), || "the true one is refused".into());
    tally
}

/// A device walks along the vendor's trust documents.
fn followed(keys: &Keys, n: usize, draw: &mut Draw) -> Tally {
    let mut tally = Tally::default();
    let signer = SecretKey::from_seed(&draw.bytes());
    let document = |version, next: &SecretKey| {
        let ack = keys.acknowledgement.public();
        TrustDocument::new(version, &[vec![1, 2, 3]], ack, next.public(), Timestamp::EPOCH)
    };
    let current = document(5, &signer);
    let with_root = Keys { hospital: signer.clone(), other: keys.hospital.clone(), ..keys.clone() };
    for _ in 0..n {
        let mine = SecretKey::from_seed(&draw.bytes());
        let next = forged(draw, &with_root, &document(6, &mine));
        tally.count(
            "trust document forged",
            current.follow(&next).ok().map(|d| format!("version {} followed", d.version)),
        );
        // Truly signed, of another place in the walk.
        let version = draw.one_of(&[0, 1, 4, 5, 7, 8, u64::MAX]);
        let other = Envelope::seal(&document(version, &signer), &signer).unwrap();
        tally.count(
            "trust document reordered",
            current.follow(&other).ok().map(|_| format!("version {version} followed")),
        );
    }
    let taken = current.follow(&Envelope::seal(&document(6, &signer), &signer).unwrap());
    tally.hold("trust document forged", taken.is_ok(), || format!("the true one is refused: {taken:?}"));
    tally
}
