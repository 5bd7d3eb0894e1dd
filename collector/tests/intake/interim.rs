//! A service that stops and comes back while the line is down: after nine hours it is the same incident,
//! detected later, and told once; whoever starts in between, and derived again.

use crate::{
    fact::message,
    support::{Device, Rig, name},
};
use std::{ops::Range, sync::Arc, time::Duration};
use tenken_collector::{
    notify::{NotifyConfig, Outlets},
    worker::{
        evaluate::{advance, advance_with},
        watch::Watcher,
    },
};
use tenken_collector_core::{
    desk::{
        incident::{Incident, Phase, Step},
        notice::{NotifyReason, Severity},
    },
    stream::Entry,
};
use tenken_common::{
    config,
    observation::{Body, CheckResult, CheckState},
};

const RULES: &str = include_str!("../../../packaging/rules/default.toml");
/// Results are five minutes apart, messages an hour.
const STEP_S: u64 = 300;
const HOURS: u64 = 14;
const DOWN: Range<u64> = 2..11;
/// The steps in which the service is down.
const BAD: Range<u64> = 60..72;

fn hour(h: u64) -> Vec<(u64, &'static str, Body)> {
    let result = |i| {
        let state = if BAD.contains(&i) { CheckState::Critical } else { CheckState::Ok };
        (i * STEP_S, "pacs", Body::CheckResult(CheckResult { probe: name("services"), state }))
    };
    (h * 12..(h + 1) * 12).map(result).collect()
}

/// How a run goes.
#[derive(Clone, Copy)]
struct Run {
    is_down: bool,
    /// Whether each evaluation is made by a process that has just started.
    starts: bool,
}

fn outlets() -> Outlets {
    let text = "[[alertmanager]]\nname = 'am'\nurl = 'http://127.0.0.1:1'";
    Outlets::new(&config::parse::<NotifyConfig>(text).unwrap()).unwrap()
}

async fn deliver(rig: &Rig, device: &mut Device, hours: Range<u64>) {
    for h in hours {
        let bytes = message(device, hour(h));
        rig.push(device, &bytes).await;
    }
}

/// What becomes of the service, and what people are told of it.
async fn run(how: Run) -> (Rig, Incident, Vec<NotifyReason>) {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&device)).await.unwrap();
    rig.store.append(vec![Entry::Rules { text: RULES.to_owned() }]).await.unwrap();
    let (outlets, mut watcher) = (outlets(), Watcher::default());
    for h in 0..HOURS {
        rig.clock.advance(Duration::from_hours(1));
        if !how.is_down || !DOWN.contains(&h) {
            let first = if how.is_down && h == DOWN.end { DOWN.start } else { h };
            deliver(&rig, &mut device, first..h + 1).await;
        }
        for _ in 0..3 {
            rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
            rig.clock.advance(Duration::from_secs(10));
            if how.starts {
                advance(&rig.store, &outlets, &Arc::default()).await.unwrap();
            } else {
                advance_with((&rig.store, &outlets), &Arc::default(), &mut watcher).await.unwrap();
            }
        }
    }
    let incidents = rig.store.incidents().await.unwrap();
    let incidents = incidents.iter().map(|row| serde_json::from_str(&row.json).unwrap());
    let mut own: Vec<Incident> = incidents.filter(|i: &Incident| i.rule.as_str() == "service-down").collect();
    assert_eq!(own.len(), 1, "{own:#?}");
    let incident = own.remove(0);
    let outbox = rig.store.outbox().await.unwrap();
    let told = outbox.iter().filter(|row| row.notice.incident == incident.id);
    let reasons = told.map(|row| row.notice.reason).collect();
    (rig, incident, reasons)
}

#[tokio::test]
async fn what_was_over_before_the_line_came_back_is_the_same_incident() {
    let (_, one, told) = run(Run { is_down: false, starts: false }).await;
    for starts in [false, true] {
        let (rig, other, told_late) = run(Run { is_down: true, starts }).await;
        assert_eq!(
            (&one.subject, one.first_seen, one.worst),
            (&other.subject, other.first_seen, other.worst)
        );
        assert_eq!((one.phase, other.phase), (Phase::Recovered, Phase::Recovered), "a response is due");
        assert_eq!(other.worst, Severity::Critical);
        let detected = |i: &Incident| i.last(Step::Detected).unwrap();
        let later = detected(&other).saturating_since(detected(&one));
        assert!((5..=7).contains(&(later.as_secs() / 3_600)), "{later:?}");
        let news = |told: &[NotifyReason]| {
            told.iter().filter(|n| **n != NotifyReason::Unacknowledged).copied().collect::<Vec<_>>()
        };
        assert_eq!(news(&told), [NotifyReason::Opened, NotifyReason::Recovered]);
        assert_eq!(news(&told), news(&told_late));
        assert!(other.over.is_some() && one.over.is_none());
        assert!(other.finding.ja.contains("遅れて届いた"), "{}", other.finding.ja);

        let store = &rig.store;
        store.project_all().await.unwrap();
        let before = store.digest().await.unwrap();
        store.reset_derived().await.unwrap();
        advance(store, &outlets(), &Arc::default()).await.unwrap();
        store.project_all().await.unwrap();
        assert_eq!(store.digest().await.unwrap(), before);
    }
}
