//! What is unusual, from what devices deliver to the incident: the same whether it comes at once or
//! after nine hours, whether the process lives on or starts again, and whether it is derived again.

use crate::{
    fact::message,
    support::{Device, Rig, name},
};
use std::{sync::Arc, time::Duration};
use tenken_collector::{
    notify::Outlets,
    store::model::DetectorRow,
    worker::{
        evaluate::{advance, advance_with},
        watch::Watcher,
    },
};
use tenken_collector_core::{
    desk::{incident::Incident, notice::Severity},
    predict::watch::Noted,
    stream::Entry,
};
use tenken_common::{
    observation::{Body, Sample},
    time::Timestamp,
    unit::{Quantity, Unit},
};

const RULES: &str = include_str!("../../../packaging/rules/default.toml");
/// Points are five minutes apart, messages an hour.
const STEP_S: u64 = 300;
const HOURS: u64 = 96;
/// When the line is down for nine hours, and in which of them the load and the temperature jump.
const DOWN: std::ops::Range<u64> = 78..87;
const JUMP: u64 = 80;

fn load(i: u64) -> f64 {
    let scattered = u32::try_from(i * 7_919 % 1_009).unwrap();
    f64::from(scattered) / 504.5 + if (JUMP * 12..JUMP * 12 + 12).contains(&i) { 90.0 } else { 0.0 }
}

fn hour(h: u64) -> Vec<(u64, &'static str, Body)> {
    let sample = |probe, quantity, unit, value| {
        let quantities = vec![Quantity::new(name(quantity), unit, value).unwrap()];
        Body::Sample(Sample { probe: name(probe), quantities })
    };
    (h * 12..(h + 1) * 12)
        .flat_map(|i| {
            let load1 = sample("cpu", "load1", Unit::Count, load(i));
            let celsius = sample("sensors", "celsius", Unit::Celsius, 40.0 + load(i));
            [(i * STEP_S, "device", load1), (i * STEP_S, "cpu", celsius)]
        })
        .collect()
}

/// How a run goes.
#[derive(Clone, Copy)]
struct Run {
    is_down: bool,
    /// Whether each evaluation is made by a process that has just started.
    starts: bool,
}

struct Outcome {
    noted: Vec<Noted>,
    incidents: Vec<Incident>,
    detectors: Vec<DetectorRow>,
    rig: Rig,
}

/// As if it were the run's device: identities are drawn.
fn of_device(run: &Outcome, mut noted: Vec<Noted>) -> Vec<Noted> {
    for one in &mut noted {
        one.anomaly.key.device = run.noted[0].anomaly.key.device;
    }
    noted
}

async fn deliver(rig: &Rig, device: &mut Device, hours: impl Iterator<Item = u64>) {
    let seen: Vec<_> = hours.flat_map(hour).collect();
    for part in seen.chunks(200) {
        let bytes = message(device, part.to_vec());
        rig.push(device, &bytes).await;
    }
}

async fn run(how: Run) -> Outcome {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&device)).await.unwrap();
    rig.store.append(vec![Entry::Rules { text: RULES.to_owned() }]).await.unwrap();
    let (outlets, mut watcher) = (Outlets::default(), Watcher::default());
    for h in 0..HOURS {
        // Three ticks, so that states are kept every five hours.
        for _ in 0..3 {
            rig.clock.advance(Duration::from_secs(1_200));
            rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
        }
        if !how.is_down || !DOWN.contains(&h) {
            let first = if how.is_down && h == DOWN.end { DOWN.start } else { h };
            deliver(&rig, &mut device, first..=h).await;
        }
        if how.starts {
            advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
        } else {
            advance_with((&rig.store, &outlets), &Arc::default(), &mut watcher).await.unwrap();
        }
    }
    // Until every state was kept once more.
    for _ in 0..15 {
        rig.clock.advance(Duration::from_mins(1));
        rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
    }
    advance_with((&rig.store, &outlets), &Arc::default(), &mut watcher).await.unwrap();
    let incidents = rig.store.incidents().await.unwrap();
    let incidents = incidents.iter().map(|row| serde_json::from_str(&row.json).unwrap());
    let incidents = incidents.filter(|i: &Incident| i.rule.as_str() == "unusual").collect();
    let noted = rig.store.episodes(&name("unusual"), Timestamp::EPOCH).await.unwrap();
    let detectors = rig.store.detectors().await.unwrap();
    Outcome { noted, incidents, detectors, rig }
}

#[tokio::test]
async fn nine_hours_late_are_the_same_finding_with_another_time_of_detection() {
    let undisturbed = run(Run { is_down: false, starts: false }).await;
    let late = run(Run { is_down: true, starts: false }).await;
    let mut late_noted = late.noted.clone();
    for (one, other) in late_noted.iter_mut().zip(&undisturbed.noted) {
        assert!(one.anomaly.committed > other.anomaly.committed);
        one.anomaly.committed = other.anomaly.committed;
    }
    assert_eq!(undisturbed.noted, of_device(&undisturbed, late_noted));
    let [one] = undisturbed.incidents.as_slice() else { panic!("{:#?}", undisturbed.incidents) };
    let [other] = late.incidents.as_slice() else { panic!("{:#?}", late.incidents) };
    assert_eq!((&one.subject, one.first_seen), (&other.subject, other.first_seen));
    assert_eq!((one.severity, other.severity), (Severity::Info, Severity::Info));
    assert_eq!((&one.finding, &one.numbers), (&other.finding, &other.numbers));
    let hours_later = other.events[0].at.saturating_since(one.events[0].at).as_secs() / 3_600;
    assert!((6..=7).contains(&hours_later), "{hours_later}");
    // Load and temperature went together: one finding, that names the stronger and counts the other.
    for text in [&one.finding.en, &one.finding.ja] {
        assert!(
            text.contains("ct-1") && text.contains("sensors cpu celsius") && text.contains('9'),
            "{text}"
        );
    }
    assert!(one.finding.en.contains("1 others"), "{}", one.finding.en);
    assert!(!one.is_open(), "it is over six hours after the last");
}

#[tokio::test]
async fn a_start_goes_on_where_it_stopped_and_a_rebuild_comes_out_the_same() {
    let lives = run(Run { is_down: true, starts: false }).await;
    let starts = run(Run { is_down: true, starts: true }).await;
    assert_eq!(lives.noted, of_device(&lives, starts.noted.clone()));
    assert_eq!(lives.incidents.len(), starts.incidents.len());
    let states = |run: &Outcome| run.detectors.iter().map(|d| d.detector.clone()).collect::<Vec<_>>();
    assert_eq!(states(&lives), states(&starts));

    let store = &lives.rig.store;
    store.project_all().await.unwrap();
    let before = store.digest().await.unwrap();
    store.reset_derived().await.unwrap();
    assert!(store.detectors().await.unwrap().is_empty(), "it really is gone");
    advance(store, &Outlets::default(), &Arc::default()).await.unwrap();
    store.project_all().await.unwrap();
    assert_eq!(store.digest().await.unwrap(), before);
}

#[tokio::test]
async fn what_no_rule_watches_any_more_is_forgotten() {
    let run = run(Run { is_down: false, starts: false }).await;
    assert_eq!(run.detectors.len(), 2);
    let store = &run.rig.store;
    let without = |probe: &str| {
        let line =
            RULES.lines().filter(|l| !l.contains(&format!("probe = \"{probe}\", quantity = \"celsius\"")));
        line.collect::<Vec<_>>().join("\n")
    };
    store.append(vec![Entry::Rules { text: without("sensors") }, Entry::Heartbeat]).await.unwrap();
    advance(store, &Outlets::default(), &Arc::default()).await.unwrap();
    let left = store.detectors().await.unwrap();
    assert_eq!(left.iter().map(|d| d.key.probe.as_str()).collect::<Vec<_>>(), ["cpu"]);
    assert_eq!(store.episodes(&name("unusual"), Timestamp::EPOCH).await.unwrap(), run.noted);
}
