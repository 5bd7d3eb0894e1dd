//! What devices say of their own state, as the store keeps it.

use crate::support::{Device, Rig, START, name};
use std::time::Duration;
use tenken_collector_core::sla::{
    contract::CurrencyKind,
    currency::{CurrencyReport, CurrencyState},
    span::Span,
};
use tenken_common::{
    category::Category,
    fact::{
        Fact, Inventory, InventoryItem, PatchSource, PatchState, PatchStatus, PatternFileStatus,
        PatternSource, PatternState, Revision, WearCounter, WearDirection,
    },
    id::RecId,
    observation::{Body, Observation, Record, Sample},
    time::{Clock, Moment, Timestamp},
    unit::{Quantity, Unit},
};

/// Seconds after [`START`], by the collector's clock.
fn at(s: u64) -> Timestamp {
    START.plus(Duration::from_secs(s))
}

/// A message with what the device saw at these seconds by the collector's clock.
pub fn message(device: &mut Device, seen: Vec<(u64, &str, Body)>) -> Vec<u8> {
    let mut batch = device.plain(0, &[]);
    let offset = Duration::from_millis(u64::try_from(batch.clock.offset_ms).unwrap());
    for (s, subject, body) in seen {
        let wall = at(s).minus(offset);
        let observation = Observation {
            at: Moment { wall, ..batch.at },
            category: Category::Patch,
            subject: name(subject),
            body,
        };
        batch.records.push(Record { id: RecId(device.next_rec), observation });
        device.next_rec += 1;
    }
    device.seq = batch.seq;
    let envelope = device.seal(batch);
    device.prev = tenken_common::id::Hash::of(envelope.body());
    envelope.to_bytes()
}

pub fn patches(security: u32, oldest_at: Option<Timestamp>) -> Body {
    Body::Fact(Fact::PatchStatus(PatchStatus {
        probe: name("patches"),
        source: PatchSource::Apt,
        state: PatchState::Known,
        pending: Some(security),
        security: Some(security),
        oldest_at,
        index_at: None,
        applied_at: None,
        reboot_needed: Some(false),
        system: name("debian"),
        build: None,
    }))
}

fn pattern(defined_at: Option<Timestamp>) -> Body {
    let state = if defined_at.is_some() { PatternState::Known } else { PatternState::Unknown };
    let (probe, source) = (name("antivirus"), PatternSource::ClamAv);
    let (engine, version) = (None, Some(name("27000")));
    Body::Fact(Fact::PatternFileStatus(PatternFileStatus {
        probe,
        source,
        state,
        engine,
        version,
        defined_at,
    }))
}

pub fn revision(version: &str) -> Body {
    Body::Fact(Fact::Revision(Revision { probe: name("versions"), version: name(version) }))
}

fn wear(exposures: f64) -> Body {
    let value = Quantity::new(name("exposures"), Unit::Count, exposures).unwrap();
    let (rated_life, direction) = (Some(200_000.0), WearDirection::Up);
    Body::Fact(Fact::WearCounter(WearCounter { probe: name("wear"), value, rated_life, direction }))
}

fn inventory(host: &str) -> Body {
    let items = vec![(InventoryItem::Hostname, name(host))];
    Body::Fact(Fact::Inventory(Inventory { probe: name("inventory"), items }))
}

fn outage(seconds: f64) -> Body {
    let quantities = vec![Quantity::new(name("push_outage"), Unit::Seconds, seconds).unwrap()];
    Body::Sample(Sample { probe: name("agent"), quantities })
}

async fn rig() -> (Rig, Device) {
    let rig = Rig::new().await;
    let device = rig.device(1).await;
    rig.clock.advance(Duration::from_secs(10_000));
    (rig, device)
}

async fn changes(rig: &Rig) -> Vec<(Timestamp, String, String)> {
    let changes = rig.store.revision_changes().await.unwrap();
    changes.iter().map(|c| (c.at, c.old.to_string(), c.new.to_string())).collect()
}

#[tokio::test]
async fn the_newest_counts_whatever_comes_first() {
    let (rig, mut device) = rig().await;
    let definitions = Some(at(50));
    let newer = message(
        &mut device,
        vec![
            (900, "system", patches(0, None)),
            (900, "clamav", pattern(definitions)),
            (900, "tube", wear(500.0)),
            (900, "device", inventory("ct-new")),
            (900, "agent", outage(120.0)),
        ],
    );
    let older = message(
        &mut device,
        vec![
            (300, "system", patches(4, Some(at(100)))),
            (300, "clamav", pattern(None)),
            (300, "tube", wear(400.0)),
            (300, "device", inventory("ct-old")),
            (900, "system", patches(0, None)),
        ],
    );
    for bytes in [&newer, &older] {
        rig.push(&device, bytes).await;
    }
    rig.store.project_all().await.unwrap();

    let facts = rig.store.facts_of(device.id).await.unwrap();
    assert_eq!(facts, rig.store.facts().await.unwrap());
    assert_eq!(facts.len(), 4);
    assert!(facts.iter().all(|row| row.at == at(900)), "{facts:?}");
    let said = rig.store.said(device.id, Timestamp::MIN).await.unwrap();
    let report =
        |s, kind, source: &str, state| CurrencyReport { at: at(s), kind, source: Some(name(source)), state };
    let (pattern_file, patch) = (CurrencyKind::PatternFile, CurrencyKind::OsPatch);
    let expected = [
        report(300, pattern_file, "clamav:clamav", CurrencyState::Unknown),
        report(300, patch, "system:apt", CurrencyState::Since { since: at(100) }),
        report(900, pattern_file, "clamav:clamav", CurrencyState::Since { since: at(50) }),
        report(900, patch, "system:apt", CurrencyState::UpToDate),
    ];
    assert_eq!(said.reports, expected, "what came twice is one report");
    assert_eq!(said.failed_pushes, [Span::new(at(780), at(900))]);
    assert_eq!(rig.store.said(device.id, at(301)).await.unwrap().reports, expected[2..]);

    // The counter is a line of numbers, for the forecast.
    let series = rig.store.series(device.id).await.unwrap();
    let line = series.iter().find(|s| s.name == name("exposures")).unwrap();
    let points = rig.store.samples(line.id, at(0)..at(1_000)).await.unwrap();
    assert_eq!(points, [(at(300), 400.0), (at(900), 500.0)]);
    assert_eq!((line.probe.clone(), line.subject.clone()), (name("wear"), name("tube")));

    let before = rig.store.digest().await.unwrap();
    rig.store.reset_derived().await.unwrap();
    rig.store.project_all().await.unwrap();
    assert_eq!(rig.store.digest().await.unwrap(), before);
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_stay_the_newest() {
    let (rig, mut device) = rig().await;
    let ahead = message(&mut device, vec![(999_999, "device", inventory("ahead"))]);
    rig.push(&device, &ahead).await;
    rig.clock.advance(Duration::from_secs(60));
    let mended = message(&mut device, vec![(10_030, "device", inventory("mended"))]);
    rig.push(&device, &mended).await;
    rig.store.project_all().await.unwrap();
    let facts = rig.store.facts_of(device.id).await.unwrap();
    let [row] = facts.as_slice() else { panic!("{facts:?}") };
    assert!(format!("{:?}", row.fact).contains("mended") && row.at <= rig.clock.wall(), "{row:?}");
}

#[tokio::test]
async fn a_version_that_changes_is_kept_as_an_event() {
    let (rig, mut device) = rig().await;
    for s in (100..=500).step_by(100) {
        let bytes = message(&mut device, vec![(s, "viewer", revision(if s < 400 { "3.1" } else { "3.2" }))]);
        rig.push(&device, &bytes).await;
    }
    rig.store.project_all().await.unwrap();
    let change = |s, old: &str, new: &str| (at(s), old.to_owned(), new.to_owned());
    assert_eq!(changes(&rig).await, [change(400, "3.1", "3.2")]);
    // Of before; and between, out of order.
    let late = vec![
        (50, "viewer", revision("3.0")),
        (450, "viewer", revision("3.2")),
        (150, "viewer", revision("3.1")),
        (360, "viewer", revision("3.2-rc")),
    ];
    let late = message(&mut device, late);
    rig.push(&device, &late).await;
    rig.store.project_all().await.unwrap();
    let expected = [change(100, "3.0", "3.1"), change(360, "3.1", "3.2-rc"), change(400, "3.2-rc", "3.2")];
    assert_eq!(changes(&rig).await, expected);
}
