//! What is the hospital's stays the hospital's: no key of the vendor, of a device or of another
//! hospital widens a consent or signs in its name, and no route of the collector takes a statement.

use crate::{
    outage::status_when,
    peer::{Peer, name},
};
use std::{fs, path::Path, process::Output, time::Duration};
use tenken_collector::pki::Pki;
use tenken_common::{
    category::Category,
    consent::{ConsentManifest, Scope},
    envelope::{Envelope, Payload},
    id::{DeviceId, Epoch, Hash, HospitalId, SlotId},
    key::SecretKey,
    statement::{self, Agreement, DeviceApproval, KeySuccession, RejoinApproval, SlotTicket},
    time::{Clock, SystemClock, Timestamp},
};
use tenken_tests::{Bed, BedPlan, HOSPITAL, Home, stdout};

const ROUTER: &str = include_str!("../../collector/src/ingest/router.rs");
/// Every kind of statement that a hospital signs; the list is that of `tests/tidy/wire.rs`.
const WIRE: &str = include_str!("../tidy/wire.rs");

fn sealed<T: Payload>(value: &T, signer: &SecretKey) -> Envelope {
    Envelope::seal(value, signer).unwrap()
}

/// One statement of each kind, as its signer would want it.
fn statements(bed: &Bed, device: DeviceId, signer: &SecretKey) -> Vec<(&'static str, Envelope)> {
    let hospital: HospitalId = HOSPITAL.parse().unwrap();
    let now = SystemClock::new().wall();
    let key = signer.public();
    let contract = fs::read(bed.path("contract.toml")).unwrap();
    let consent = ConsentManifest {
        hospital: hospital.clone(),
        scope: Scope::Hospital,
        categories: Category::ALL.into_iter().map(Category::code).collect(),
        interval_floor_s: 1,
        valid_from: Timestamp::EPOCH,
        valid_to: Timestamp::MAX,
        version: 1_000,
        heartbeat: true,
    };
    let ticket = SlotTicket {
        slot: SlotId([9; 16]),
        hospital: hospital.clone(),
        label: name("ct-9"),
        group: None,
        proof_key: Hash([9; 32]),
        expires: now.plus(Duration::from_hours(1)),
        replaces: None,
    };
    let fingerprint = key.fingerprint();
    let approval = DeviceApproval { hospital: hospital.clone(), device, fingerprint, approved_at: now };
    let rejoin =
        RejoinApproval { hospital: hospital.clone(), device, epoch: Epoch(2), fingerprint, approved_at: now };
    let succession = KeySuccession::new(hospital.clone(), key, now);
    let agreement = Agreement { hospital, kind: 1, subject: Hash::of(&contract), agreed_at: now };
    vec![
        ("ConsentManifest", sealed(&consent, signer)),
        ("DeviceApproval", sealed(&approval, signer)),
        ("SlotTicket", sealed(&ticket, signer)),
        ("RejoinApproval", sealed(&rejoin, signer)),
        ("KeySuccession", sealed(&succession, signer)),
        ("Agreement", sealed(&agreement, signer)),
    ]
}

/// Keys that are not the hospital's.
fn strangers(bed: &Bed, home: &Home) -> Vec<(&'static str, SecretKey)> {
    let pki_dir = bed.dir().join("collector/pki");
    let read = |path: &Path| SecretKey::from_pem(&fs::read_to_string(path).unwrap()).unwrap();
    bed.hospital(&["keygen", &bed.path("stranger")]);
    vec![
        ("the collector's AK", Pki::load(&pki_dir).unwrap().ack_key().clone()),
        ("the vendor's RK", read(&pki_dir.join("offline/rk.key.pem"))),
        ("the device's DK", tenken_agent::identity::load(&home.state).unwrap().device_key),
        ("another hospital's", read(Path::new(&bed.path("stranger/hospital.key")))),
    ]
}

fn refused(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{what}: {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
}

/// Everything that a statement could have changed at the collector.
fn filed(bed: &Bed) -> (serde_json::Value, serde_json::Value) {
    let mut devices = bed.listing(&["device", "list"]);
    for device in devices.as_array_mut().unwrap() {
        let keep = ["device", "hospital", "label", "status", "fingerprint", "consent"];
        device.as_object_mut().unwrap().retain(|key, _| keep.contains(&key.as_str()));
    }
    (devices, bed.listing(&["contract", "list"]))
}

#[test]
fn nobody_else_signs_in_the_hospital_s_name() {
    let bed = Bed::new(BedPlan { categories: vec!["disk"], ..BedPlan::default() });
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let device: DeviceId = home.device.parse().unwrap();
    let before = filed(&bed);
    let strangers = strangers(&bed, &home);

    // The kinds are all there are.
    let kinds: Vec<&str> = statements(&bed, device, &strangers[0].1).iter().map(|(kind, _)| *kind).collect();
    let listed =
        WIRE.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.strip_suffix("\", Stored),"));
    assert_eq!(listed.collect::<Vec<_>>().len(), kinds.len());
    assert!(kinds.iter().all(|kind| WIRE.contains(&format!("(\"{kind}\", Stored)"))), "{kinds:?}");

    // Filed by the vendor's own staff.
    for (whose, key) in &strangers {
        for (kind, envelope) in statements(&bed, device, key) {
            let path = bed.path("forged.statement");
            fs::write(&path, statement::to_armour(&envelope)).unwrap();
            refused(&bed.collector(&["device", "file", &path]), &format!("{kind} by {whose}"));
        }
    }
    assert_eq!(filed(&bed), before);

    // Posted to every route of both listeners, and to some that there are not.
    let routes = ROUTER.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: Vec<&str> = routes.chain(["/v1/consent", "/v1/statement", "/v1/approve"]).collect();
    assert!(routes.contains(&"/v1/batch") && routes.contains(&"/v1/enroll"), "{routes:?}");
    for port in [bed.device_port, bed.enroll_port] {
        let peer = Peer::of(&home.state, port);
        for (kind, envelope) in statements(&bed, device, &strangers[0].1) {
            let body = envelope.to_bytes();
            let length = format!("Content-Length: {}", body.len());
            for route in &routes {
                let reply = peer.request(&format!("POST {route}"), &[&length], &body).unwrap();
                assert!(reply.status >= 400, "{kind} at {route}: {}", reply.status);
            }
        }
    }
    assert_eq!(filed(&bed), before);

    // Put into the device's own folder: the consent of the hospital holds on.
    let mut agent = bed.start_agent(&home);
    status_when(&bed, &home, "the hospital's consent", |s| s["consent"]["version"] == 1);
    for (whose, key) in &strangers {
        for (kind, envelope) in statements(&bed, device, key) {
            let file = match kind {
                "ConsentManifest" => statement::CONSENT_FILE,
                "KeySuccession" => statement::SUCCESSOR_FILE,
                _ => continue,
            };
            let what = format!("{kind} by {whose} to be refused");
            fs::write(home.state.join("forged.new"), statement::to_armour(&envelope)).unwrap();
            fs::rename(home.state.join("forged.new"), home.state.join(file)).unwrap();
            let status = status_when(&bed, &home, &what, |s| {
                s["consent"]["refused_file"].as_str().is_some_and(|why| why.contains(file))
            });
            assert_eq!(status["consent"]["version"], 1, "{what}");
            assert_eq!(status["consent"]["categories"], serde_json::json!(["disk"]), "{what}");
        }
        fs::remove_file(home.state.join(statement::SUCCESSOR_FILE)).unwrap();
        fs::copy(bed.path("consent.statement"), home.state.join(statement::CONSENT_FILE)).unwrap();
        status_when(&bed, &home, "nothing to be refused", |s| {
            s["consent"]["refused_file"].is_null() && s["consent"]["closed"].is_null()
        });
    }
    agent.terminate();
    assert!(agent.wait(Duration::from_secs(30)).success());
}

#[test]
fn the_hospital_s_program_from_agreement_to_a_new_key() {
    let bed = Bed::new(BedPlan { categories: vec!["disk"], agreed: false, ..BedPlan::default() });
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let _agent = bed.start_agent(&home);
    let (key, contract) = (bed.path("hospital/hospital.key"), bed.path("contract.toml"));

    // It agrees to the very text that the vendor loaded, and to no other.
    let agree = |contract: &str, out: &str| {
        bed.hospital(&["agree", "--key", &key, "--hospital", HOSPITAL, "--contract", contract, "--out", out]);
    };
    assert_eq!(bed.listing(&["contract", "list"])[0]["agreed"], serde_json::Value::Null);
    let altered = bed.path("altered.toml");
    fs::write(&altered, fs::read_to_string(&contract).unwrap() + "\n# one more line\n").unwrap();
    agree(&altered, &bed.path("altered.agreement"));
    refused(&bed.collector(&["device", "file", &bed.path("altered.agreement")]), "another text");
    agree(&contract, &bed.path("agreement"));
    for word in ["Filed", "On file already"] {
        let said = stdout(&bed.collector(&["--language", "en", "device", "file", &bed.path("agreement")]));
        assert!(said.contains(word), "{said}");
    }
    assert!(bed.listing(&["contract", "list"])[0]["agreed"].is_string());

    // Its key is succeeded, at the vendor's and on the device.
    let (devices, vendor) = (bed.path("for-devices"), bed.path("for-vendor"));
    bed.hospital(&[
        "succeed",
        "--key",
        &key,
        "--hospital",
        HOSPITAL,
        &bed.path("next"),
        "--for-devices",
        &devices,
        "--for-collector",
        &vendor,
    ]);
    status_when(&bed, &home, "the first consent", |s| s["consent"]["closed"].is_null());
    stdout(&bed.collector(&["device", "file", &vendor]));
    let consent = |key: &str, version: u64, out: &str| {
        bed.sign_consent(version, &["disk"]);
        bed.hospital(&["consent", "sign", "--key", key, &bed.path("consent.edited.toml"), "--out", out]);
    };
    let (by_old, by_new) = (bed.path("by-old"), bed.path("by-new"));
    consent(&key, 5, &by_old);
    consent(&bed.path("next/hospital.key"), 5, &by_new);
    refused(&bed.collector(&["device", "file", &by_old]), "a consent by the key that ended");
    stdout(&bed.collector(&["device", "file", &by_new]));

    let put = |from: &str, name: &str| {
        fs::copy(from, home.state.join("new.statement")).unwrap();
        fs::rename(home.state.join("new.statement"), home.state.join(name)).unwrap();
    };
    put(&devices, statement::SUCCESSOR_FILE);
    status_when(&bed, &home, "the old consent to be void", |s| !s["consent"]["closed"].is_null());
    put(&by_old, statement::CONSENT_FILE);
    status_when(&bed, &home, "the old key to be refused", |s| {
        s["consent"]["refused_file"].is_string() && !s["consent"]["closed"].is_null()
    });
    put(&by_new, statement::CONSENT_FILE);
    status_when(&bed, &home, "the successor's consent", |s| {
        s["consent"]["version"] == 5 && s["consent"]["closed"].is_null()
    });
    let public = bed.path("hospital/hospital.pub");
    bed.hospital(&["consent", "show", "--public", &public, &home.state.display().to_string()]);
    bed.hospital(&["statement", "show", "--public", &public, &devices]);
}
