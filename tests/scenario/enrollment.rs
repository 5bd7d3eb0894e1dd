//! Who may become a device, and what a consent allows: slots that cannot be redeemed, statements by the
//! wrong key, devices that wait for their approval, and consents that are narrowed and taken away.

use crate::outage::status_when;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Output, time::Duration};
use tenken_common::{
    statement::SlotFile,
    time::{Clock, SystemClock, Timestamp},
};
use tenken_tests::{Bed, BedPlan, HOSPITAL, Home, http, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(30);

/// What differs from a slot that is as it should be.
#[derive(Default)]
struct Odd {
    key: Option<String>,
    root: Option<String>,
    consent: Option<String>,
    life: Option<&'static str>,
}

/// Makes a slot by the hospital's program; gives the device with its configuration, and the ticket.
fn slot(bed: &Bed, label: &str, odd: Odd) -> (Home, PathBuf) {
    let (device, ticket) = (bed.path(&format!("{label}.slot")), bed.path(&format!("{label}.ticket")));
    let key = odd.key.unwrap_or_else(|| bed.path("hospital/hospital.key"));
    let root = odd.root.unwrap_or_else(|| bed.root().to_owned());
    let consent = odd.consent.unwrap_or_else(|| bed.path("consent.statement"));
    let collector = format!("https://localhost:{}", bed.enroll_port);
    let life = odd.life.unwrap_or("1h");
    bed.hospital(&[
        "slot",
        "--key",
        &key,
        "--hospital",
        HOSPITAL,
        "--label",
        label,
        "--collector",
        &collector,
        "--root",
        &root,
        "--consent",
        &consent,
        "--life",
        life,
        "--for-device",
        &device,
        "--for-collector",
        &ticket,
    ]);
    (home(bed, label), PathBuf::from(ticket))
}

fn home(bed: &Bed, label: &str) -> Home {
    let (config, state) = (bed.dir().join(format!("{label}.toml")), bed.dir().join(label));
    fs::write(&config, format!("state_dir = \"{}\"\n", state.display())).unwrap();
    Home { config, state, device: String::new() }
}

fn enroll(bed: &Bed, home: &Home, slot: &str) -> Output {
    bed.agent(home, &["enroll", "--slot", &bed.path(slot)])
}

/// It failed, with status 2, and says all of this; the device is not enrolled.
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn devices(bed: &Bed) -> usize {
    bed.listing(&["device", "list"]).as_array().unwrap().len()
}

/// Another hospital's key and a consent that it signed.
fn stranger(bed: &Bed) -> (String, String) {
    bed.hospital(&["keygen", &bed.path("stranger")]);
    let (key, out) = (bed.path("stranger/hospital.key"), bed.path("stranger.statement"));
    bed.hospital(&["consent", "sign", "--key", &key, &bed.path("consent.edited.toml"), "--out", &out]);
    (key, out)
}

#[test]
fn slots_that_cannot_be_redeemed() {
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();

    // Used twice: once is enough, and the first device stays who it is.
    let first = bed.enroll("ct-1");
    refused(&enroll(&bed, &first, "ct-1.slot"), &["enrolled already", &first.device]);
    let second = home(&bed, "ct-1-copy");
    refused(&enroll(&bed, &second, "ct-1.slot"), &["refused the enrollment", "used", "410"]);
    refused(&bed.agent(&second, &["run"]), &["not finished"]);
    assert_eq!(devices(&bed), 1);

    // Expired: that is the collector's to say, whatever the slot file or the device's clock says.
    let (late, ticket) = slot(&bed, "late", Odd { life: Some("1s"), ..Odd::default() });
    stdout(&bed.collector(&["device", "file", ticket.to_str().unwrap()]));
    let path = bed.path("late.slot");
    let mut file = SlotFile::from_armour(&fs::read_to_string(&path).unwrap()).unwrap();
    let clock = SystemClock::new();
    wait_until(BOUND, "the slot to expire", |_| (clock.wall() >= file.expires).then_some(()));
    refused(&enroll(&bed, &late, "late.slot"), &["expired", "new one"]);
    file.expires = clock.wall().plus(Duration::from_secs(3_600));
    fs::write(&path, file.to_armour()).unwrap();
    refused(&enroll(&bed, &late, "late.slot"), &["refused the enrollment", "expired", "410"]);
    file.token[0] ^= 1;
    fs::write(&path, file.to_armour()).unwrap();
    refused(&enroll(&bed, &late, "late.slot"), &["refused the enrollment", "400"]);

    // Not filed with the collector.
    let (unfiled, ticket) = slot(&bed, "unfiled", Odd::default());
    refused(&enroll(&bed, &unfiled, "unfiled.slot"), &["does not know this slot", "404"]);
    // …and once it is, the same slot works.
    stdout(&bed.collector(&["device", "file", ticket.to_str().unwrap()]));
    stdout(&enroll(&bed, &unfiled, "unfiled.slot"));
    assert_eq!(devices(&bed), 2);

    // Of another hospital's key: the collector does not file its ticket, hence does not know it.
    let (key, consent) = stranger(&bed);
    let odd = Odd { key: Some(key), consent: Some(consent.clone()), ..Odd::default() };
    let (foreign, ticket) = slot(&bed, "foreign", odd);
    refused(&bed.collector(&["device", "file", ticket.to_str().unwrap()]), &["foreign.ticket"]);
    refused(&enroll(&bed, &foreign, "foreign.slot"), &["404"]);
    refused(&bed.collector(&["device", "file", &consent]), &["stranger.statement"]);

    // Another root: the agent does not even speak to that collector.
    let odd = Odd { root: Some("00".repeat(32)), ..Odd::default() };
    let (wrong_root, ticket) = slot(&bed, "wrong-root", odd);
    stdout(&bed.collector(&["device", "file", ticket.to_str().unwrap()]));
    refused(&enroll(&bed, &wrong_root, "wrong-root.slot"), &["certificate is not trusted", "UnknownIssuer"]);
    assert_eq!(devices(&bed), 2);
    // A new slot mends it, in the same folder.
    let (again, ticket) = slot(&bed, "right-root", Odd::default());
    stdout(&bed.collector(&["device", "file", ticket.to_str().unwrap()]));
    let again = Home { state: wrong_root.state, config: wrong_root.config, ..again };
    stdout(&enroll(&bed, &again, "right-root.slot"));

    // What is no slot at all.
    let garbage = home(&bed, "garbage");
    fs::write(bed.path("garbage.slot"), "-----BEGIN NONSENSE-----\n").unwrap();
    refused(&enroll(&bed, &garbage, "garbage.slot"), &["garbage.slot"]);
    refused(&enroll(&bed, &garbage, "ct-1.ticket"), &["ct-1.ticket"]);
    refused(&enroll(&bed, &garbage, "nothing.slot"), &["cannot read", "nothing.slot"]);
    assert!(!garbage.state.join("identity").exists());
    assert_eq!(devices(&bed), 3);
    let text = http::get(bed.metrics_port, "/metrics").unwrap().body;
    // Used, expired (by its file and by a longer one), unfiled, foreign; and the altered token.
    assert!(text.contains("tenken_ingest_refused_total{reason=\"unenrolled\"} 5\n"), "{text}");
    assert!(text.contains("tenken_ingest_refused_total{reason=\"bad_signature\"} 1\n"), "{text}");
}

#[test]
fn a_device_without_approval_is_stored_and_not_evaluated() {
    let plan = BedPlan::default();
    let service = "[[probes.services]]\nname = \"pacs\"\nprocess = \"no-such-process-anywhere\"\n";
    let bed = Bed::new(BedPlan { agent: format!("{}{service}", plan.agent), ..plan });
    let _collector = bed.start_collector();
    let home = bed.applicant("ct-1");
    let said = stdout(&enroll(&bed, &home, "ct-1.slot"));
    let _agent = bed.start_agent(&home);

    let row = wait_until(BOUND, "what a pending device sends to be stored", |state| {
        let list = bed.listing(&["device", "list"]);
        *state = list.to_string();
        let row = list.as_array()?.first()?.clone();
        let seen_down = row["probes"].to_string().contains("\"critical\"");
        (seen_down && row["records"].as_u64() > Some(5)).then_some(row)
    });
    assert_eq!(row["status"], "pending");
    let ticks = evaluations(&bed);
    wait_until(BOUND, "three more evaluations", |_| (evaluations(&bed) >= ticks + 3).then_some(()));
    let nothing = serde_json::json!([]);
    assert_eq!(bed.listing(&["incident", "list", "--all"]), nothing, "nobody is told of it");
    let text = http::get(bed.metrics_port, "/metrics").unwrap().body;
    assert!(!text.contains(row["device"].as_str().unwrap()), "no series of its own:\n{text}");

    // An approval of another key is not one.
    let device = row["device"].as_str().unwrap();
    let out = bed.path("wrong.approval");
    let approve = |key: &str, fingerprint: &str| {
        bed.hospital(&[
            "approve",
            "--key",
            key,
            "--hospital",
            HOSPITAL,
            "--device",
            device,
            "--fingerprint",
            fingerprint,
            "--out",
            &out,
        ]);
    };
    let fingerprint = row["fingerprint"].as_str().unwrap();
    assert!(said.replace(' ', "").contains(fingerprint), "both sides show the same: {said}");
    let key = bed.path("hospital/hospital.key");
    approve(&key, &"00".repeat(32));
    refused(&bed.collector(&["device", "file", &out]), &["wrong.approval"]);
    let (foreign, _) = stranger(&bed);
    approve(&foreign, fingerprint);
    refused(&bed.collector(&["device", "file", &out]), &["wrong.approval"]);
    assert_eq!(bed.listing(&["device", "list"])[0]["status"], "pending");

    approve(&key, fingerprint);
    stdout(&bed.collector(&["device", "file", &out]));
    wait_until(BOUND, "the incident of the approved device", |state| {
        let list = bed.listing(&["incident", "list"]);
        *state = list.to_string();
        (list != nothing).then_some(())
    });
}

/// How often the collector has evaluated.
fn evaluations(bed: &Bed) -> u64 {
    let text = http::get(bed.metrics_port, "/metrics").unwrap().body;
    let line = text.lines().find_map(|l| l.strip_prefix("tenken_evaluation_duration_seconds_count "));
    line.unwrap().parse().unwrap()
}

fn put(statement: &str, home: &Home) {
    // Moved into place whole, as an administrator's tools do.
    let new = home.state.join("consent.new");
    fs::copy(statement, &new).unwrap();
    fs::rename(new, home.state.join("consent.statement")).unwrap();
}

fn instant(value: &serde_json::Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn counts(bed: &Bed) -> (u64, u64) {
    let row = &bed.listing(&["device", "list"])[0];
    (row["batches"].as_u64().unwrap(), row["records"].as_u64().unwrap())
}

#[test]
fn a_consent_for_disks_lets_nothing_else_out() {
    let bed = Bed::new(BedPlan { categories: vec!["disk"], ..BedPlan::default() });
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    let only_disk = |row: &serde_json::Value| {
        let names: BTreeSet<&str> =
            row["probes"].as_array().unwrap().iter().map(|p| p["probe"].as_str().unwrap()).collect();
        // The probe, and what the device judges of its numbers.
        assert!(names.iter().all(|name| name.split('.').next() == Some("disk")), "{names:?}");
    };
    let first = bed.device_when(&home, "values of disks", |row| {
        let mut probes = row["probes"].as_array().into_iter().flatten();
        let disk = probes.find(|p| p["probe"] == "disk");
        disk.is_some_and(|p| p["values"].as_array().is_some_and(|values| !values.is_empty()))
    });
    only_disk(&first);

    // Withdrawn: the file is taken away, and from the next cycle on nothing leaves.
    let statement = bed.path("consent.statement");
    fs::remove_file(home.state.join("consent.statement")).unwrap();
    let status = status_when(&bed, &home, "the withdrawal", |s| s["delivery"]["state"] == "withheld");
    assert!(!status["consent"]["closed"].is_null());
    let before = counts(&bed);
    let written = instant(&status["written"]);
    let later = status_when(&bed, &home, "further cycles", |s| {
        instant(&s["written"]).saturating_since(written) > Duration::from_secs(2)
    });
    let last = |s: &serde_json::Value| s["spool"]["last_record"].as_u64();
    assert_eq!((counts(&bed), last(&later)), (before, last(&status)), "neither sent nor recorded");

    // Put back: it goes on where it was.
    put(&statement, &home);
    bed.device_when(&home, "records again", |row| row["records"].as_u64() > Some(before.1 + 1));

    // By another key: refused and said, and the one before holds on.
    let (_, forged) = stranger(&bed);
    put(&forged, &home);
    let refusal = |s: &serde_json::Value, word: &str| {
        s["consent"]["refused_file"].as_str().is_some_and(|why| why.contains(word))
    };
    let status = status_when(&bed, &home, "the forged consent to be refused", |s| refusal(s, "not signed"));
    assert_eq!(
        (status["consent"]["version"].as_u64(), status["consent"]["closed"].is_null()),
        (Some(1), true)
    );

    // A newer one, then the older again: refused by number, also after a restart.
    bed.sign_consent(3, &["disk"]);
    let newer = bed.path("newer.statement");
    fs::copy(&statement, &newer).unwrap();
    put(&newer, &home);
    status_when(&bed, &home, "version 3", |s| s["consent"]["version"] == 3);
    bed.sign_consent(2, &["disk", "performance", "network"]);
    put(&statement, &home);
    let status = status_when(&bed, &home, "version 2 to be refused", |s| refusal(s, "version 2"));
    assert_eq!(status["consent"]["version"], 3);
    assert_eq!(status["consent"]["categories"], serde_json::json!(["disk"]));
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    let before = counts(&bed);
    let _agent = bed.start_agent(&home);
    let status = status_when(&bed, &home, "version 2 to be refused after a restart", |s| {
        refusal(s, "version 2") && !s["consent"]["closed"].is_null()
    });
    assert_eq!(status["consent"]["version"], 3);
    assert_eq!(counts(&bed), before, "nothing leaves under a consent that was refused");
    put(&newer, &home);
    let last =
        bed.device_when(&home, "records under version 3", |row| row["records"].as_u64() > Some(before.1));
    only_disk(&last);
}
