//! What leaves a device is what the hospital consented to: everything that the agent says is
//! recorded, and read.

use crate::outage::status_when;
use std::{collections::BTreeSet, time::Duration};
use tenken_agent::sent::{self, Found};
use tenken_common::{
    batch::GapReason,
    category::Category,
    envelope::{Envelope, Payload},
    stub::Stub,
    wire::v1::ReceivedBatch,
};
use tenken_tests::{
    consent::{Carried, Overheard, carried},
    stdout,
};

const BOUND: Duration = Duration::from_secs(30);

/// Bodies of the batches and stubs that were heard.
fn bodies(overheard: &Overheard) -> BTreeSet<Vec<u8>> {
    let heard = overheard.recorder.heard().into_iter();
    let envelopes = heard.map(|h| Envelope::from_bytes(&h.body).unwrap());
    let links = envelopes.filter(|e| [ReceivedBatch::TYPE, Stub::TYPE].contains(&e.payload_type()));
    links.map(|e| e.body().to_vec()).collect()
}

/// The same by the device's own journal.
fn journal(overheard: &Overheard) -> BTreeSet<Vec<u8>> {
    let found = sent::journal(&overheard.home.state).unwrap().map(Result::unwrap);
    let body = |f: Found| if let Found::Entry(entry) = f { entry.body } else { panic!("{f:?}") };
    found.map(body).collect()
}

#[test]
fn disk_and_patch_only_until_the_hospital_withdraws() {
    let mut overheard = Overheard::start(&["disk", "patch"]);
    overheard.hear_records(5);
    let allowed = BTreeSet::from([Category::Disk, Category::Patch]);
    for heard in overheard.recorder.heard() {
        if let Carried::Batch(categories) = carried(&heard.body).expect("a known message") {
            assert!(categories.iter().all(|c| allowed.contains(c)), "{categories:?}");
        }
    }

    // Withdrawn while batches are on their way: they become stubs, and no record follows.
    overheard.hold_some();
    overheard.withdraw();
    overheard.recorder.hold(false);
    let last = status_when(&overheard.bed, &overheard.home, "the stubs to be acknowledged", |s| {
        s["spool"]["in_flight"] == 0 && s["spool"]["waiting"] == 0
    });
    let later = status_when(&overheard.bed, &overheard.home, "further cycles", |s| {
        s["written"].as_str() > last["written"].as_str() && s["delivery"]["state"] == "ok"
    });
    assert_eq!(later["spool"]["last_record"], last["spool"]["last_record"], "nothing is recorded");
    let verdict = overheard.judge();
    assert_eq!(verdict.failed(), 0, "{verdict}");
    let stubs = overheard.recorder.heard().into_iter().filter_map(|h| carried(&h.body));
    assert!(stubs.filter(|c| *c == Carried::Stub(GapReason::NotConsented)).count() > 0, "{verdict}");
    overheard.bed.device_when(&overheard.home, "the withdrawn records as declared losses", |row| {
        row["gaps"].as_u64() > Some(0) && row["missing_runs"] == 0
    });

    // The device's own journal has exactly what was on the wire, and the page shows it.
    overheard.agent.terminate();
    assert!(overheard.agent.wait(BOUND).success());
    assert_eq!(journal(&overheard), bodies(&overheard));
    for language in ["ja", "en"] {
        let args = ["--language", language, "outbox"];
        let page = stdout(&overheard.bed.agent(&overheard.home, &args));
        assert!(page.contains("used_ratio") && page.contains("not_consented"), "{page}");
        assert!(!page.contains("load1") && !page.contains('{'), "{page}");
    }
    let json = stdout(&overheard.bed.agent(&overheard.home, &["outbox", "--json"]));
    let lines: Vec<serde_json::Value> = json.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let sent = lines.iter().filter(|l| l["sent"].is_string()).count();
    assert_eq!(sent, bodies(&overheard).len());

    // The collector shows what the hospital has not filed yet, and what it then has.
    let row = |bed: &tenken_tests::Bed| bed.listing(&["device", "list"])[0]["consent"].clone();
    assert_eq!(row(&overheard.bed)["standing"], "in_force");
    stdout(&overheard.bed.collector(&["device", "file", &overheard.bed.path("withdrawn.statement")]));
    let consent = row(&overheard.bed);
    assert_eq!((&consent["standing"], &consent["version"]), (&"withdrawn".into(), &2.into()));
}
