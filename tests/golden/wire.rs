//! One batch with every kind of record, its exact plain bytes, and what comes back out of them.

use tenken_common::{
    batch::{Batch, Gap, GapReason, RecRun},
    category::Category,
    envelope::{Envelope, Payload},
    fact::{
        Fact, Inventory, InventoryItem, PatchSource, PatchState, PatchStatus, PatternFileStatus,
        PatternSource, PatternState, Revision, WearCounter, WearDirection,
    },
    id::{BootId, DeviceId, Epoch, Hash, Name, RecId, Seq, hex},
    key::SecretKey,
    observation::{
        Body, CheckResult, CheckState, Class, Observation, ProbeRun, ProbeState, Record, Sample, SelfReport,
    },
    time::{ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::{ReceivedBatch, RecordV1, encode_batch},
};

fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

fn quantity(text: &str, unit: Unit, value: f64) -> Quantity {
    Quantity::new(name(text), unit, value).expect("a finite value")
}

fn moment(s: i64) -> Moment {
    Moment { boot: BootId([7; 16]), mono: Monotonic(12_345), wall: Timestamp::from_secs(s) }
}

fn observation(category: Category, subject: &str, body: Body) -> Observation {
    Observation { at: moment(1_790_000_000), category, subject: name(subject), body }
}

fn batch() -> Batch {
    let sample = Sample {
        probe: name("disk"),
        quantities: vec![
            quantity("used_bytes", Unit::Bytes, 1.5e9),
            quantity("used_ratio", Unit::Ratio, 0.25),
        ],
    };
    let check = CheckResult { probe: name("services"), state: CheckState::Critical };
    let report = SelfReport {
        quantities: vec![quantity("rss_bytes", Unit::Bytes, 7e6)],
        runs: vec![ProbeRun { probe: name("cpu"), state: ProbeState::Ok, duration_ms: 3 }],
    };
    let bodies = [
        observation(Category::Disk, "/", Body::Sample(sample)),
        observation(Category::Service, "pacs", Body::CheckResult(check)),
        observation(Category::Agent, "agent", Body::SelfReport(report)),
    ];
    batch_of(bodies)
}

/// What a device says of its own state.
fn facts() -> Batch {
    let patches = |known: Option<u32>| PatchStatus {
        probe: name("patches"),
        source: PatchSource::Apt,
        state: if known.is_some() { PatchState::Known } else { PatchState::Unreachable },
        pending: known.map(|n| n + 2),
        security: known,
        oldest_at: known.map(|_| Timestamp::from_secs(1_789_000_000)),
        index_at: Some(Timestamp::from_secs(1_789_900_000)),
        applied_at: None,
        reboot_needed: Some(true),
        system: name("debian"),
        build: known.map(|_| name("12.9")),
    };
    let pattern = PatternFileStatus {
        probe: name("pattern_files"),
        source: PatternSource::ClamAv,
        state: PatternState::Known,
        engine: None,
        version: Some(name("26968")),
        defined_at: Some(Timestamp::from_secs(1_789_990_000)),
    };
    let wear = WearCounter {
        probe: name("counters"),
        value: quantity("exposures", Unit::Count, 125_000.0),
        rated_life: Some(400_000.0),
        direction: WearDirection::Up,
    };
    let inventory = Inventory {
        probe: name("inventory"),
        items: vec![(InventoryItem::Model, name("CT-80")), (InventoryItem::RemoteMaintenance, name("yes"))],
    };
    let revision = Revision { probe: name("revisions"), version: name("4.2.1") };
    batch_of([
        observation(Category::Patch, "os", Body::Fact(Fact::PatchStatus(patches(Some(3))))),
        observation(Category::Patch, "os", Body::Fact(Fact::PatchStatus(patches(None)))),
        observation(Category::PatternFile, "clamav", Body::Fact(Fact::PatternFileStatus(pattern))),
        observation(Category::Revision, "console", Body::Fact(Fact::Revision(revision))),
        observation(Category::Wear, "tube", Body::Fact(Fact::WearCounter(wear))),
        observation(Category::Inventory, "device", Body::Fact(Fact::Inventory(inventory))),
    ])
}

fn batch_of(bodies: impl IntoIterator<Item = Observation>) -> Batch {
    let records = (1..).zip(bodies).map(|(id, observation)| Record { id: RecId(id), observation });
    Batch {
        device: DeviceId([1; 16]),
        epoch: Epoch(1),
        seq: Seq(2),
        prev: Hash([3; 32]),
        at: moment(1_790_000_001),
        clock: ClockQuality { offset_ms: -5, uncertainty_ms: 20, source: ClockSource::SignedTime },
        agent_version: "0.1.0".to_owned(),
        class: Class::Urgent,
        records: records.collect(),
        gaps: vec![Gap { run: RecRun { from: RecId(4), to: RecId(9) }, reason: GapReason::Evicted }],
    }
}

const PLAIN: &str = include_str!("batch.v1.hex");

const PLAIN_FACTS: &str = include_str!("facts.v1.hex");

#[test]
fn the_plain_bytes_of_a_batch_are_frozen() {
    frozen(&batch(), PLAIN);
    frozen(&facts(), PLAIN_FACTS);
}

fn frozen(batch: &Batch, expected: &str) {
    let records = batch.records.iter().map(RecordV1::of).collect::<Result<_, _>>().expect("records encode");
    let plain = encode_batch(batch, records).expect("a batch encodes");
    let wrapped: Vec<String> =
        hex(&plain).as_bytes().chunks(100).map(|c| String::from_utf8_lossy(c).into()).collect();
    assert_eq!(wrapped.join("\n"), expected.trim(), "version 1 has changed: that would be a new version");
}

#[test]
fn a_batch_comes_back_out_of_its_envelope_as_it_went_in() {
    let key = SecretKey::from_seed(&[9; 32]);
    for batch in [batch(), facts()] {
        let sent = ReceivedBatch { batch, unknown: vec![] };
        let bytes = Envelope::seal(&sent, &key).expect("a batch seals").to_bytes();
        let opened = Envelope::from_bytes(&bytes).expect("an envelope");
        assert_eq!(opened.payload_type(), ReceivedBatch::TYPE);
        assert_eq!(opened.open::<ReceivedBatch>(&key.public()).expect("a good signature").into_inner(), sent);
    }
}
