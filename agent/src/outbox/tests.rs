//! The page against the bytes: what is decoded is found on it, field by field.

use super::*;
use crate::sent::SentJournal;
use tenken_common::{
    batch::GapReason,
    category::Category,
    id::Name,
    observation::{CheckState, ProbeState},
    time::Monotonic,
    unit::Unit,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(boot: u8, n: u64) -> Moment {
    let wall = Timestamp::from_secs(1_700_000_000 + i64::try_from(n).unwrap());
    Moment { boot: BootId([boot; 16]), mono: Monotonic(1_234_000 + n), wall }
}

fn numbers() -> Vec<Quantity> {
    let value = |i: u8, unit| Quantity::new(name(&format!("number_{i}")), unit, 0.1 + f64::from(i)).unwrap();
    Unit::ALL.into_iter().zip(1..).map(|(unit, i)| value(i, unit)).collect()
}

/// A batch with every kind of body.
fn batch() -> Batch {
    let runs = ProbeState::ALL.into_iter().zip(31..);
    let runs = runs.map(|(state, duration_ms)| ProbeRun { probe: name("cpu"), state, duration_ms });
    let bodies = [
        (Category::Disk, "/var/lib", Body::Sample(Sample { probe: name("disk"), quantities: numbers() })),
        (Category::Patch, "os", Body::Sample(Sample { probe: name("patch"), quantities: vec![] })),
        (
            Category::Service,
            "pacs",
            Body::CheckResult(CheckResult { probe: name("services"), state: CheckState::Critical }),
        ),
        (
            Category::Agent,
            "agent",
            Body::SelfReport(SelfReport { quantities: numbers(), runs: runs.collect() }),
        ),
    ];
    let record = |(i, (category, subject, body)): (u64, (Category, &str, Body))| Record {
        id: RecId(4_000 + i),
        observation: Observation {
            at: at(if i == 1 { 8 } else { 7 }, i),
            category,
            subject: name(subject),
            body,
        },
    };
    Batch {
        device: DeviceId([1; 16]),
        epoch: Epoch(3),
        seq: Seq(77),
        prev: Hash([2; 32]),
        at: at(7, 50),
        clock: ClockQuality { offset_ms: -421, uncertainty_ms: 12, source: ClockSource::SignedTime },
        agent_version: "0.9.3".into(),
        class: Class::Urgent,
        records: (0..).zip(bodies).map(record).collect(),
        gaps: vec![Gap { run: RecRun { from: RecId(501), to: RecId(509) }, reason: GapReason::Evicted }],
    }
}

/// Every value of a batch, as it must be found on the page: taken apart field by field.
fn leaves(batch: &Batch) -> Vec<String> {
    let Batch { device, epoch, seq, prev, at, clock, agent_version, class: _, records, gaps } = batch;
    let ClockQuality { offset_ms, uncertainty_ms, source: _ } = clock;
    let moment =
        |Moment { boot, mono, wall }: &Moment| vec![boot.to_string(), mono.0.to_string(), wall.to_string()];
    let quantities = |all: &[Quantity]| -> Vec<String> {
        let one = |Quantity { name, unit, value }: &Quantity| format!("{name} {value} {}", unit.as_str());
        all.iter().map(one).collect()
    };
    let mut found = vec![device.to_string(), epoch.to_string(), seq.to_string(), prev.to_string()];
    found.extend(moment(at));
    found.extend([offset_ms.to_string(), uncertainty_ms.to_string(), agent_version.clone()]);
    for Record { id, observation: Observation { at, category, subject, body } } in records {
        found.extend([id.to_string(), category.to_string(), subject.to_string()]);
        found.extend(moment(at));
        match body {
            Body::Sample(Sample { probe, quantities: q }) => {
                found.push(format!("{probe}:"));
                found.extend(quantities(q));
            }
            Body::CheckResult(CheckResult { probe, state }) => {
                found.push(format!("{probe}: {}", state.as_str()));
            }
            Body::SelfReport(SelfReport { quantities: q, runs }) => {
                found.extend(quantities(q));
                for ProbeRun { probe, state, duration_ms } in runs {
                    found.push(format!("{probe} {} {duration_ms} ms", state.as_str()));
                }
            }
            Body::Fact(fact) => {
                found.push(format!("{}:", fact.probe()));
                found.extend(fact.fields().into_iter().map(|(name, field)| format!("{name} {field}")));
            }
        }
    }
    for Gap { run: RecRun { from, to }, reason } in gaps {
        found.push(format!("{from}–{to}"));
        found.push(reason.as_str().to_owned());
    }
    found
}

/// What the bytes in the journal say, printed.
fn printed(bodies: &[(&str, Vec<u8>)], json: bool, language: Language) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SentJournal::new(dir.path());
    for (i, (payload_type, body)) in bodies.iter().enumerate() {
        let at = Timestamp::from_secs(1_800_000_000 + i64::try_from(i).unwrap());
        let (payload_type, body) = ((*payload_type).to_owned(), body.clone());
        journal.record(&SentEntry { at, seq: Seq(77), payload_type, body }).unwrap();
    }
    let mut out = Vec::new();
    Printer { out: &mut out, json, language }.sent(dir.path(), Timestamp::MIN).unwrap();
    String::from_utf8(out).unwrap()
}

fn body() -> Vec<u8> {
    ReceivedBatch { batch: batch(), unknown: vec![] }.encode().unwrap()
}

#[test]
fn every_field_of_the_bytes_is_on_the_page_in_both_languages() {
    let decoded = ReceivedBatch::decode(&body()).unwrap().batch;
    assert_eq!(decoded, batch());
    for language in [Language::Ja, Language::En] {
        let page = printed(&[(ReceivedBatch::TYPE, body())], false, language);
        for leaf in leaves(&decoded) {
            assert!(page.contains(&leaf), "{leaf:?} is not in:\n{page}");
        }
        for (message, present) in [
            (Message::OutboxUrgent, true),
            (Message::OutboxClockSigned, true),
            (Message::OutboxClockUnknown, false),
        ] {
            assert_eq!(page.contains(message.text(language)), present, "{message:?} in:\n{page}");
        }
        assert!(page.contains("2027-01-15T08:00:00Z"), "when it left:\n{page}");
        assert!(!page.contains('{'), "{page}");
        let widest = page.lines().map(column::width).max();
        assert!(widest <= Some(COLUMNS), "{widest:?}:\n{page}");
    }
}

#[test]
fn json_has_the_same_and_nothing_is_left_out() {
    let text = printed(&[(ReceivedBatch::TYPE, body())], true, Language::Ja);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "what",
        "sent",
        "bytes",
        "device",
        "epoch",
        "seq",
        "prev",
        "at",
        "clock",
        "agent_version",
        "class",
        "records",
        "unknown",
        "gaps",
    ];
    assert_eq!(keys, expected.into());
    let numbers = value["records"][0]["body"]["sample"]["quantities"].as_array().unwrap();
    assert_eq!(numbers.len(), Unit::ALL.len());
    assert_eq!(numbers[1]["value"], 2.1);
    assert_eq!(value["gaps"][0]["run"]["to"], 509);
    assert_eq!(value["records"].as_array().unwrap().len(), batch().records.len());
}

#[test]
fn stubs_and_what_cannot_be_read_are_shown_too() {
    let stub = Stub {
        device: DeviceId([1; 16]),
        epoch: Epoch(3),
        seq: Seq(78),
        prev: Hash([4; 32]),
        body_hash: Hash([5; 32]),
        records: vec![RecRun { from: RecId(601), to: RecId(609) }, RecRun::one(RecId(702))],
        reason: GapReason::NotConsented,
    };
    for language in [Language::Ja, Language::En] {
        let bodies = [(Stub::TYPE, stub.encode().unwrap()), (ReceivedBatch::TYPE, b"nonsense".to_vec())];
        let page = printed(&bodies, false, language);
        for part in ["78", &stub.prev.to_string(), &stub.body_hash.to_string(), "601–609, 702"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for part in ["not_consented", ReceivedBatch::TYPE, "8"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(printed(&[], false, language).contains(Message::ScreenNothing.text(language)));
    }
}

#[test]
fn since_leaves_out_what_left_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SentJournal::new(dir.path());
    let (at, payload_type) = (Timestamp::from_secs(100), ReceivedBatch::TYPE.to_owned());
    journal.record(&SentEntry { at, seq: Seq(1), payload_type, body: body() }).unwrap();
    let lines = |since| {
        let mut out = Vec::new();
        let mut printer = Printer { out: &mut out, json: true, language: Language::En };
        assert_eq!(printer.sent(dir.path(), since).unwrap().len(), 1, "known as sent in any case");
        out.len()
    };
    assert!(lines(Timestamp::from_secs(100)) > 0);
    assert_eq!(lines(Timestamp::from_secs(101)), 0);
}
