//! Tests of the collector's keys: real files, real certificates.

use super::*;
use rcgen::CertificateParams;
use std::time::Duration;
use tenken_common::limit;
use x509_parser::prelude::{FromDer, X509Certificate};

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn names() -> Vec<String> {
    vec!["rsc.example.jp".to_owned(), "127.0.0.1".to_owned()]
}

fn made() -> (tempfile::TempDir, Pki) {
    let home = tempfile::tempdir().unwrap();
    let pki = Pki::create(&home.path().join("pki"), &names(), now()).unwrap();
    (home, pki)
}

fn csr() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
}

#[test]
fn what_was_made_is_read_again_and_the_trust_document_names_it() {
    let (home, pki) = made();
    let dir = home.path().join("pki");
    let again = Pki::load(&dir).unwrap();
    assert_eq!(again.root_sha256(), pki.root_sha256());
    assert_eq!(again.ack_key().public(), pki.ack_key().public());
    assert_eq!(again.server_names().unwrap(), names());

    let rk = SecretKey::from_pem(&read(&dir.join(OFFLINE).join(RK)).unwrap()).unwrap();
    let trust = again.trust().last().unwrap().open::<TrustDocument>(&rk.public()).unwrap();
    assert_eq!((trust.version, trust.ack_key().unwrap()), (1, pki.ack_key().public()));
    assert_eq!(trust.next_signer().unwrap(), rk.public());
    assert_eq!(trust.roots.iter().map(|r| Hash::of(r)).collect::<Vec<_>>(), [pki.root_sha256()]);
    assert_eq!(again.server.chain.last(), Some(again.root()), "agents pin the root by its hash");
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let (home, _) = made();
    let mut folders = vec![home.path().join("pki")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_made_stays() {
    let (home, pki) = made();
    let dir = home.path().join("pki");
    assert!(matches!(Pki::create(&dir, &names(), now()), Err(PkiError::Exists(_))));
    assert_eq!(Pki::load(&dir).unwrap().root_sha256(), pki.root_sha256());

    let other = home.path().join("other");
    assert!(matches!(Pki::create(&other, &[], now()), Err(PkiError::NoNames)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "only the first folder is there");
    fs::create_dir(files::beside(&other).unwrap()).unwrap();
    Pki::create(&other, &names(), now()).unwrap();
}

#[test]
fn errors_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let missing = Pki::load(home.path()).unwrap_err();
    assert!(missing.to_string().contains("tenken-collector init"), "{missing}");

    let (home, _) = made();
    let (_other_home, other) = made();
    let dir = home.path().join("pki");
    fs::write(version::place(&dir, 1).join(ROOT_KEY), other.issuer.key().serialize_pem()).unwrap();
    let foreign = Pki::load(&dir).unwrap_err();
    assert!(matches!(foreign, PkiError::Damaged { .. }), "{foreign}");
}

#[test]
fn a_device_gets_its_own_name_use_and_dates_whatever_it_asked_for() {
    let (_home, pki) = made();
    let device = DeviceId([0xab; 16]);
    let issued = pki.issue(&csr(), device, now()).unwrap();
    let [leaf, root] = issued.chain_der.as_slice() else { panic!("leaf and root") };
    assert_eq!((Hash::of(leaf), Hash::of(root)), (issued.leaf_sha256, pki.root_sha256()));

    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    assert_eq!(leaf.subject().to_string(), format!("CN={device}"));
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!leaf.is_ca());
    let validity = leaf.validity();
    assert_eq!(validity.not_before.timestamp(), now().minus(Duration::from_hours(1)).as_secs());
    assert_eq!(validity.not_after.timestamp(), now().plus(limit::DEVICE_CERTIFICATE_LIFE).as_secs());
    let serial = |i: &Issued| X509Certificate::from_der(&i.chain_der[0]).unwrap().1.serial.clone();
    assert_ne!(serial(&issued), serial(&pki.issue(&csr(), device, now()).unwrap()));
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let (_home, pki) = made();
    let device = DeviceId([1; 16]);
    let mut altered = csr();
    *altered.last_mut().unwrap() ^= 1;
    assert!(matches!(pki.issue(&altered, device, now()), Err(PkiError::Request(_))));
    assert!(matches!(pki.issue(b"hello", device, now()), Err(PkiError::Request(_))));

    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let other = CertificateParams::default().serialize_request(&p384).unwrap();
    assert!(matches!(pki.issue(other.der(), device, now()), Err(PkiError::RequestKey)));
}

#[test]
fn the_servers_certificate_is_renewed_in_its_last_third_under_the_same_names() {
    let (home, mut pki) = made();
    let before = pki.server.chain[0].clone();
    assert!(!pki.renew_server(now().plus(SERVER_LIFE / 2)).unwrap());
    let late = now().plus(SERVER_LIFE * 7 / 10);
    assert!(pki.renew_server(late).unwrap());
    let again = Pki::load(&home.path().join("pki")).unwrap();
    assert_ne!(again.server.chain[0], before);
    assert_eq!(again.server_names().unwrap(), names());
    assert_eq!(again.server_expires().unwrap(), late.plus(SERVER_LIFE));
    assert_eq!(again.root_sha256(), pki.root_sha256());
}

#[test]
fn each_version_follows_the_one_before_and_keeps_what_did_not_change() {
    let (home, first) = made();
    let dir = home.path().join("pki");
    let offline = Pki::offline_dir(&dir);
    assert!(!first.is_outdated());
    let change = |renewed| Pki::load(&dir).unwrap().next_version(renewed, &offline, now()).unwrap();

    let second = change(Renewed { ack_key: true, ..Renewed::default() });
    assert!(first.is_outdated());
    assert_eq!(second.root_sha256(), first.root_sha256());
    assert_eq!(second.ack_keys(), [second.ack_key().public(), first.ack_key().public()]);

    let third = change(Renewed { root: true, signer: true, ..Renewed::default() });
    assert_eq!(third.ack_key().public(), second.ack_key().public());
    let roots = |pki: &Pki| pki.newest().roots.iter().map(|r| Hash::of(r)).collect::<Vec<_>>();
    assert_eq!(roots(&third), [third.root_sha256(), first.root_sha256()]);
    assert_eq!(third.server.chain.last(), Some(third.root()));
    assert_eq!(third.server_names().unwrap(), names());

    // The new offline key signs from now on; the old one alone does not do.
    let old = home.path().join("old");
    fs::create_dir(&old).unwrap();
    fs::copy(offline.join(RK), old.join(RK)).unwrap();
    let refused = third.next_version(Renewed { ack_key: true, ..Renewed::default() }, &old, now());
    assert!(matches!(refused, Err(PkiError::NoSigner(_))), "{refused:?}");
    let fourth = change(Renewed { root: true, forget_roots: true, ..Renewed::default() });
    assert_eq!(roots(&fourth), [fourth.root_sha256()]);
    assert_eq!(fourth.versions().iter().map(|v| v.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(matches!(fourth.next_version(Renewed::default(), &offline, now()), Err(PkiError::NothingNew)));
}

#[test]
fn a_version_that_nobody_signed_is_not_served() {
    let (home, first) = made();
    let dir = home.path().join("pki");
    let offline = Pki::offline_dir(&dir);
    first.next_version(Renewed { ack_key: true, ..Renewed::default() }, &offline, now()).unwrap();
    let place = version::place(&dir, 2).join(TRUST);
    let stranger = SecretKey::generate().unwrap();
    let document =
        TrustDocument::new(2, &[first.root().to_vec()], stranger.public(), stranger.public(), now());
    let forged = Envelope::seal(&document, &stranger).unwrap();
    fs::write(place, tenken_common::statement::to_armour(&forged)).unwrap();
    assert!(matches!(Pki::load(&dir), Err(PkiError::NotFollowed { .. })));
}

#[test]
fn a_version_that_was_begun_and_not_finished_is_made_again() {
    let (home, first) = made();
    let dir = home.path().join("pki");
    fs::create_dir(dir.join(".000002.new")).unwrap();
    fs::write(dir.join(".000002.new/root.pem"), "half").unwrap();
    assert_eq!(Pki::load(&dir).unwrap().version(), 1);
    let renewed = Renewed { root: true, ..Renewed::default() };
    assert_eq!(first.next_version(renewed, &Pki::offline_dir(&dir), now()).unwrap().version(), 2);
}
