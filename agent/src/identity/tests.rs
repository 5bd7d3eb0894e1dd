//! Tests of the identity on real files: interrupted enrollments, damaged copies, renewed keys.

use super::*;
use crate::{
    config::AgentConfig,
    media::{self, MediaError},
    offline::Offline,
};
use tenken_common::{
    enrollment::Grant,
    time::{SystemClock, Timestamp},
};

fn origin(slot: u8) -> SlotOrigin {
    let hospital_key = SecretKey::from_seed(&[1; 32]).public();
    let collector = "https://localhost:2".to_owned();
    SlotOrigin { slot: SlotId([slot; 16]), hospital_key, group: None, collector }
}

/// A key and a certificate for it.
fn certificate() -> (Vec<u8>, Vec<ByteBuf>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    (key.serialize_der(), vec![certificate.der().to_vec().into()])
}

fn grant() -> Grant {
    let vendor = SecretKey::from_seed(&[2; 32]);
    let ack = SecretKey::from_seed(&[3; 32]).public();
    let trust = TrustDocument::new(1, &[], ack, vendor.public(), Timestamp::EPOCH);
    Grant {
        device: DeviceId([4; 16]),
        epoch: Epoch(1),
        certificates: certificate().1,
        trust: Envelope::seal(&trust, &vendor).unwrap().to_bytes().into(),
        push_url: "https://localhost:1".into(),
        server: Timestamp::EPOCH,
    }
}

fn applicant(dir: &Path, slot: u8) -> Option<Applicant> {
    begin(dir, &origin(slot), || Ok(vec![9])).unwrap()
}

#[test]
fn an_interrupted_enrollment_goes_on_with_the_same_keys() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path()), Err(IdentityError::NotEnrolled)));
    let first = applicant(dir.path(), 1).unwrap().device_key().public();
    assert!(matches!(load(dir.path()), Err(IdentityError::Unfinished)));
    let again = applicant(dir.path(), 1).unwrap();
    assert_eq!(again.device_key().public(), first);
    again.finish(dir.path(), &grant(), Hash([5; 32])).unwrap();
    assert_eq!(load(dir.path()).unwrap().device_key.public(), first);
    assert!(applicant(dir.path(), 2).is_none(), "an enrolled device is not enrolled again");
}

#[test]
fn one_damaged_copy_is_healed_and_two_are_said() {
    let dir = tempfile::tempdir().unwrap();
    applicant(dir.path(), 1).unwrap().finish(dir.path(), &grant(), Hash([5; 32])).unwrap();
    for name in FILES {
        let path = dir.path().join(name);
        let mut content = std::fs::read(&path).unwrap();
        content[40] ^= 1;
        std::fs::write(&path, &content).unwrap();
        assert!(load(dir.path()).is_ok(), "{name} damaged");
        assert_ne!(std::fs::read(&path).unwrap(), content, "{name} was healed");
    }
    for name in FILES {
        std::fs::write(dir.path().join(name), b"nonsense").unwrap();
    }
    assert!(matches!(load(dir.path()), Err(IdentityError::Damaged { .. })));
}

fn enrolled_in(dir: &Path) -> Enrolled {
    applicant(dir, 1).unwrap().finish(dir, &grant(), Hash([5; 32])).unwrap()
}

#[test]
fn a_renewed_certificate_takes_the_old_ones_place_when_it_worked() {
    let dir = tempfile::tempdir().unwrap();
    let first = enrolled_in(dir.path()).tls.chain;
    let (key, chain) = certificate();
    keep_renewed(dir.path(), &key, &chain).unwrap();
    let both = load(dir.path()).unwrap();
    assert_eq!(both.tls_before.unwrap().chain, first);
    assert_ne!(both.tls.chain, first);
    settle_renewed(dir.path()).unwrap();
    let settled = load(dir.path()).unwrap();
    assert_eq!(settled.tls.chain, both.tls.chain);
    assert!(settled.tls_before.is_none());
}

#[test]
fn a_device_that_must_rejoin_exports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    enrolled_in(dir.path());
    begin_rejoin(dir.path(), || Ok(certificate().0)).unwrap();
    let config = AgentConfig { state_dir: dir.path().to_owned(), ..AgentConfig::default() };
    let export = || {
        let mut offline = Offline::open(&config).unwrap();
        media::export(&mut offline, dir.path(), &dir.path().join("export"), &SystemClock::new())
    };
    assert!(matches!(export(), Err(MediaError::Rejoin)));
    drop_rejoin(dir.path()).unwrap();
    assert!(matches!(export(), Err(MediaError::Closed(_))), "only the consent is missing");
}

#[test]
fn a_rejoin_keeps_its_keys_until_it_is_granted_or_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let before = enrolled_in(dir.path());
    let begin = || begin_rejoin(dir.path(), || Ok(certificate().0)).unwrap().rejoin.unwrap();
    let asked = begin().device_key.public();
    assert_eq!(begin().device_key.public(), asked, "asked again, also after a restart");
    assert_eq!(load(dir.path()).unwrap().device_key.public(), before.device_key.public());
    assert!(drop_rejoin(dir.path()).unwrap().rejoin.is_none());

    let asked = begin().device_key.public();
    let grant = RejoinGrant {
        device: before.device,
        epoch: Epoch(2),
        closed_seq: tenken_common::id::Seq(9),
        closed_hash: Hash([8; 32]),
        top_record: tenken_common::id::RecId(70),
        certificates: certificate().1,
        server: Timestamp::EPOCH,
        echo_nonce: tenken_common::id::Nonce([1; 16]),
    };
    finish_rejoin(dir.path(), &grant, Hash([6; 32])).unwrap();
    let after = load(dir.path()).unwrap();
    assert_eq!((after.epoch, after.genesis), (Epoch(2), Hash([6; 32])));
    assert_eq!(after.device_key.public(), asked);
    assert!(after.rejoin.is_none());
    assert_eq!(after.push_url, before.push_url);
}

#[test]
fn a_trust_document_is_kept_in_both_copies_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let before = enrolled_in(dir.path());
    let vendor = SecretKey::from_seed(&[2; 32]);
    let ack = SecretKey::from_seed(&[33; 32]).public();
    // Signed by the old offline key, names a new one.
    let next =
        TrustDocument::new(2, &[vec![1]], ack, SecretKey::from_seed(&[4; 32]).public(), Timestamp::EPOCH);
    let envelope = Envelope::seal(&next, &vendor).unwrap();
    assert_eq!(before.trust.follow(&envelope).unwrap(), next);
    assert_eq!(keep_trust(dir.path(), &envelope).unwrap().trust, next);
    let copies = FILES.map(|name| std::fs::read(dir.path().join(name)).unwrap());
    assert_eq!(copies[0], copies[1]);
    std::fs::remove_file(dir.path().join(FILES[0])).unwrap();
    assert_eq!(load(dir.path()).unwrap().trust, next);
}
