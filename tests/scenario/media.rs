//! Batches that travel on removable media: out with `export`, in with `import`, and the
//! acknowledgement back, beside the network and instead of it.

use crate::outage::status_when;
use serde_bytes::ByteBuf;
use std::{fs, process::Output, time::Duration};
use tenken_common::codec;
use tenken_tests::{Bed, BedPlan, Home, Process, stdout};

const BOUND: Duration = Duration::from_secs(30);
const HEAD: &[u8] = b"TENKEN-EXPORT 1\n";

fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in: {said}");
    }
}

/// A device that records while nobody takes anything from it; it is stopped then.
fn with_records(bed: &Bed, home: &Home, count: u64) {
    let before = spool(bed, home).map_or(0, |s| s["last_record"].as_u64().unwrap());
    let mut agent = bed.start_agent(home);
    status_when(bed, home, "records that wait", |s| {
        s["stopped"].is_null() && s["spool"]["last_record"].as_u64() >= Some(before + count)
    });
    agent.terminate();
    assert!(agent.wait(BOUND).success());
}

fn spool(bed: &Bed, home: &Home) -> Option<serde_json::Value> {
    let output = bed.agent(home, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(status["spool"].clone())
}

fn export(bed: &Bed, home: &Home, name: &str) -> Vec<u8> {
    stdout(&bed.agent(home, &["export", &bed.path(name)]));
    fs::read(bed.path(name)).unwrap()
}

fn import(bed: &Bed, name: &str, ack: &str) -> Output {
    bed.collector(&["--language", "en", "import", &bed.path(name), "--ack", &bed.path(ack)])
}

/// Manifest and envelopes of a file.
fn parts(bytes: &[u8]) -> (ByteBuf, Vec<ByteBuf>) {
    codec::from_slice(bytes.strip_prefix(HEAD).unwrap(), bytes.len()).unwrap()
}

fn write(bed: &Bed, name: &str, parts: &(ByteBuf, Vec<ByteBuf>)) {
    fs::write(bed.path(name), [HEAD, &codec::to_vec(parts).unwrap()].concat()).unwrap();
}

fn stop(process: &mut Process) {
    process.terminate();
    assert!(process.wait(BOUND).success());
}

/// Records, batches and gaps at the collector.
fn stored(bed: &Bed, home: &Home) -> (u64, u64, u64) {
    let list = bed.listing(&["device", "list"]);
    let row = list.as_array().unwrap().iter().find(|row| row["device"] == home.device.as_str()).unwrap();
    let number = |key: &str| row[key].as_u64().unwrap();
    assert_eq!((number("missing_runs"), &row["quarantined"]), (0, &false.into()), "{row}");
    (number("records"), number("batches"), number("gaps"))
}

#[test]
fn a_device_without_a_network_delivers_on_a_medium() {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let (ct1, ct2) = (bed.enroll("ct-1"), bed.enroll("ct-2"));
    stop(&mut collector);
    with_records(&bed, &ct1, 30);
    with_records(&bed, &ct2, 10);

    // What is in the file is still on the device, and comes again in the next one.
    let first = export(&bed, &ct1, "first");
    let other = export(&bed, &ct2, "other");
    let again = export(&bed, &ct1, "again");
    assert_eq!(parts(&first).1, parts(&again).1);

    // Cut off, altered, mixed: said, and nothing is stored.
    fs::write(bed.path("cut"), &first[..first.len() - 1]).unwrap();
    refused(&import(&bed, "cut", "none"), &["cut off"]);
    let whole = parts(&first);
    let (manifest, mut links) = whole.clone();
    links.push(parts(&other).1[0].clone());
    write(&bed, "mixed", &(manifest, links));
    refused(&import(&bed, "mixed", "none"), &["mixed"]);
    let (manifest, mut links) = whole.clone();
    let last = links.last_mut().unwrap();
    let at = last.len() - 10;
    last[at] ^= 1;
    write(&bed, "altered", &(manifest, links));
    refused(&import(&bed, "altered", "none"), &["refused", "bad_signature"]);
    write(&bed, "foreign", &(parts(&other).0, whole.1.clone()));
    refused(&import(&bed, "foreign", "none"), &["mixed"]);
    fs::write(bed.path("text"), "hello").unwrap();
    refused(&import(&bed, "text", "none"), &["no export"]);
    assert!(!std::path::Path::new(&bed.path("none")).exists());
    assert_eq!(stored(&bed, &ct1), (0, 0, 0));

    // Reversed is as good, beside a serving collector too; ten times have one effect.
    let (manifest, mut links) = whole;
    links.reverse();
    write(&bed, "reversed", &(manifest, links));
    let mut collector = bed.start_collector();
    let said = stdout(&import(&bed, "reversed", "ack"));
    assert!(said.contains("0 on file already"), "{said}");
    let once = stored(&bed, &ct1);
    assert!(once.0 >= 30 && once.2 == 0, "{once:?}");
    for _ in 0..9 {
        let said = stdout(&import(&bed, "first", "ack"));
        assert!(said.contains(" 0 new"), "{said}");
    }
    assert_eq!(stored(&bed, &ct1), once);

    // Another device's acknowledgement, or an altered one, deletes nothing.
    let in_flight = |home: &Home| {
        let json = stdout(&bed.agent(home, &["outbox", "--json"]));
        json.lines().count()
    };
    let before = in_flight(&ct2);
    refused(&bed.agent(&ct2, &["import-ack", &bed.path("ack")]), &["another"]);
    let text = fs::read_to_string(bed.path("ack")).unwrap();
    let (line, altered) =
        (text.lines().nth(2).unwrap(), text.lines().nth(2).unwrap().replace(char::is_alphabetic, "A"));
    fs::write(bed.path("bad"), text.replace(line, &altered)).unwrap();
    refused(&bed.agent(&ct1, &["import-ack", &bed.path("bad")]), &["acknowledgement"]);
    refused(&bed.agent(&ct1, &["import-ack", &bed.path("first")]), &["first"]);
    assert_eq!(in_flight(&ct2), before);
    assert_eq!(parts(&export(&bed, &ct1, "still")).1, parts(&first).1);

    // The right one lets go; the same again has nothing new.
    stdout(&bed.agent(&ct1, &["import-ack", &bed.path("ack")]));
    let said = stdout(&bed.agent(&ct1, &["--language", "en", "import-ack", &bed.path("ack")]));
    assert!(said.contains("nothing new"), "{said}");
    let said = stdout(&bed.agent(&ct1, &["--language", "en", "export", &bed.path("none")]));
    assert!(said.contains("nothing to export"), "{said}");

    // On the network both go on where they are; a late file changes nothing.
    let (_agent1, _agent2) = (bed.start_agent(&ct1), bed.start_agent(&ct2));
    for home in [&ct1, &ct2] {
        let before = stored(&bed, home).0;
        bed.device_when(home, "more records", |row| row["records"].as_u64() > Some(before + 10));
    }
    refused(&bed.agent(&ct1, &["export", &bed.path("none")]), &["running", "stop"]);
    let said = stdout(&import(&bed, "first", "late"));
    assert!(said.contains(" 0 new"), "{said}");
    bed.device_when(&ct1, "a chain without a loss", |row| row["missing_runs"] == 0 && row["gaps"] == 0);
    stop(&mut collector);
}

#[test]
fn a_file_whose_forerunner_the_collector_has_not_is_said() {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    stop(&mut collector);
    let early = fs::read(bed.database()).unwrap();
    with_records(&bed, &home, 10);
    let first = export(&bed, &home, "first");
    stdout(&import(&bed, "first", "ack"));
    stdout(&bed.agent(&home, &["import-ack", &bed.path("ack")]));
    with_records(&bed, &home, 10);
    export(&bed, &home, "second");

    // The collector as it was before the first file.
    let now = fs::read(bed.database()).unwrap();
    fs::write(bed.database(), &early).unwrap();
    refused(&import(&bed, "second", "none"), &["missing", "earlier file"]);
    assert_eq!(stored(&bed, &home), (0, 0, 0));
    stdout(&import(&bed, "first", "ack"));
    stdout(&import(&bed, "second", "ack"));
    let healed = stored(&bed, &home);
    fs::write(bed.database(), &now).unwrap();
    stdout(&import(&bed, "second", "ack"));
    assert_eq!(stored(&bed, &home), healed);

    let (manifest, mut links) = parts(&first);
    links.clear();
    write(&bed, "empty", &(manifest, links));
    refused(&import(&bed, "empty", "none"), &["0 batches"]);
}
