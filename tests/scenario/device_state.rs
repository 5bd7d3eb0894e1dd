//! What a device says of its own state, from its message to whoever reads it: listings, ledger,
//! metrics and the SLA.

use crate::office::{metrics, metrics_line};
use std::time::Duration;
use tenken_common::{
    category::Category,
    fact::{
        Fact, Inventory, InventoryItem, PatchSource, PatchState, PatchStatus, PatternFileStatus,
        PatternSource, PatternState, Revision, WearCounter, WearDirection,
    },
    id::Name,
    observation::Body,
    time::{Clock, SystemClock, Timestamp},
    unit::{Quantity, Unit},
};
use tenken_tests::{Bed, BedPlan, Member, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(30);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn patches(state: PatchState, security: Option<u32>, oldest_at: Option<Timestamp>) -> Body {
    Body::Fact(Fact::PatchStatus(PatchStatus {
        probe: name("patches"),
        source: PatchSource::Apt,
        state,
        pending: security.map(|security| security + 3),
        security,
        oldest_at,
        index_at: None,
        applied_at: None,
        reboot_needed: Some(true),
        system: name("debian"),
        build: Some(name("12.9")),
    }))
}

pub fn pattern(defined_at: Timestamp) -> Body {
    Body::Fact(Fact::PatternFileStatus(PatternFileStatus {
        probe: name("antivirus"),
        source: PatternSource::ClamAv,
        state: PatternState::Known,
        engine: Some(name("1.0.7")),
        version: Some(name("27455")),
        defined_at: Some(defined_at),
    }))
}

fn revision(version: &str) -> Body {
    Body::Fact(Fact::Revision(Revision { probe: name("versions"), version: name(version) }))
}

fn wear() -> Body {
    let value = Quantity::new(name("exposures"), Unit::Count, 150_000.0).unwrap();
    let (rated_life, direction) = (Some(200_000.0), WearDirection::Up);
    Body::Fact(Fact::WearCounter(WearCounter { probe: name("wear"), value, rated_life, direction }))
}

fn inventory() -> Body {
    let items = [
        (InventoryItem::Hostname, "ct-console"),
        (InventoryItem::System, "debian"),
        (InventoryItem::SystemVersion, "12.9"),
        (InventoryItem::Serial, "SN-4711"),
        (InventoryItem::RemoteMaintenance, "yes"),
    ];
    let items = items.map(|(item, text)| (item, name(text))).to_vec();
    Body::Fact(Fact::Inventory(Inventory { probe: name("inventory"), items }))
}

/// Currency of the present month: kind, verdict, whether a report counts.
fn currency(bed: &Bed) -> Vec<(String, String, bool)> {
    let months = bed.listing(&["sla"]);
    let all = months[0]["currency"].as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let own = all.iter().filter(|one| one["device"] == "ct-1");
    own.map(|one| (text(&one["kind"]), text(&one["verdict"]), !one["last"].is_null())).collect()
}

#[test]
fn what_a_device_says_of_itself_is_seen_by_everybody() {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut member = runtime.block_on(Member::of_bed(&bed, "ct-1"));
    let now = SystemClock::new().wall();
    let days = |n: u64| now.minus(Duration::from_hours(24 * n));

    // Nothing is known, and that is said.
    let none = stdout(&bed.collector(&["--language", "ja", "device", "show", "ct-1"]));
    assert!(none.contains("不明（報告がありません）"), "{none}");
    assert!(currency(&bed).iter().all(|(_, verdict, told)| verdict == "unknown" && !told));
    assert!(!metrics(&bed).contains("tenken_device_patches_pending{"));

    let deliver = |member: &mut Member, seen| {
        member.record_seen(Category::Inventory, seen);
        runtime.block_on(member.deliver()).unwrap();
    };
    // 40 days are more than the contract's 30; of pattern files 1 day is less than its 7.
    let seen = vec![
        ("system", patches(PatchState::Known, Some(2), Some(days(40)))),
        ("clamav", pattern(days(1))),
        ("viewer", revision("3.1")),
        ("tube", wear()),
        ("device", inventory()),
    ];
    deliver(&mut member, seen);
    let shown = wait_until(BOUND, "the device's own state", |state| {
        *state = stdout(&bed.collector(&["--language", "en", "device", "show", "ct-1"]));
        state.contains("5 pending, 2 of them security").then(|| state.clone())
    });
    for part in ["restart needed", "definitions 27455", "viewer: 3.1", "exposures 150000 of 200000"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let facts = bed.listing(&["device", "show", &member.start().device.to_string()]);
    assert_eq!(facts["facts"].as_array().unwrap().len(), 5, "{facts}");
    let ledger = stdout(&bed.collector(&["--language", "en", "device", "ledger", "--csv"]));
    assert!(ledger.contains(",ct-console,debian,12.9,not known,not known,SN-4711,x86_64,yes,"), "{ledger}");
    assert_eq!(bed.listing(&["device", "ledger"])[0]["remote_maintenance"], true);

    wait_until(BOUND, "the metrics", |state| {
        *state = metrics(&bed);
        let line = |family: &str| metrics_line(state, &format!("{family}{{"));
        let pending = line("tenken_device_patches_pending");
        let security = line("tenken_device_patches_security_pending");
        let age: Option<f64> =
            line("tenken_device_pattern_file_age_seconds").rsplit(' ').next().and_then(|n| n.parse().ok());
        let is_aged = age.is_some_and(|age| (86_000.0..87_000.0).contains(&age));
        (pending.ends_with(" 5") && security.ends_with(" 2") && is_aged).then_some(())
    });
    let known = |kind: &str| currency(&bed).into_iter().find(|(of, ..)| of == kind).unwrap();
    assert_eq!(known("os_patch"), ("os_patch".to_owned(), "missed".to_owned(), true));
    // Nothing is known of the month before the first report.
    assert_eq!(known("pattern_file").1, "unknown");

    // A later version is an event, and a state that nobody knows shows no count.
    let seen = vec![("viewer", revision("3.2")), ("system", patches(PatchState::StaleIndex, None, None))];
    deliver(&mut member, seen);
    wait_until(BOUND, "the change of the version", |state| {
        *state = stdout(&bed.collector(&["--language", "en", "device", "show", "ct-1"]));
        (state.contains("viewer: 3.1 -> 3.2") && !state.contains("pending")).then_some(())
    });
    wait_until(BOUND, "the counts to go", |state| {
        *state = metrics(&bed);
        (!state.contains("tenken_device_patches_pending{")).then_some(())
    });
    // Nobody worked on it by the book: a draft, until somebody enters it.
    let drafts = stdout(&bed.collector(&["sla", "drafts", "--contract", "minato-remote"]));
    assert!(drafts.contains("revision-viewer-ct-1"), "{drafts}");
    std::fs::write(bed.path("drafts.json"), &drafts).unwrap();
    stdout(&bed.collector(&["sla", "enter", "--contract", "minato-remote", &bed.path("drafts.json")]));
    let none = stdout(&bed.collector(&["sla", "drafts", "--contract", "minato-remote"]));
    assert_eq!(none.trim(), "[]");
    let unknown = bed.collector(&["device", "show", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));

    // Derived again it is the same.
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    let rebuilt = stdout(&bed.collector(&["--language", "en", "rebuild"]));
    assert!(rebuilt.contains("same"), "{rebuilt}");
}
