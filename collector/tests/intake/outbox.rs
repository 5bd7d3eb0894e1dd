//! The outbox under random histories: notices of several incidents, hospitals and channels come, messages
//! are delivered, fail, or nobody hears what came of them.

use crate::support::{START, name};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tenken_collector::store::{
    Store,
    model::{EvaluationRows, OutboxMessage, OutboxState, Outgoing},
};
use tenken_collector_core::desk::notice::{Bilingual, IncidentId, Notice, NotifyReason, Severity, group_id};
use tenken_common::{
    id::{BootId, Hash, Name},
    time::{Clock, ManualClock, Timestamp},
};

#[derive(Debug, Clone)]
enum Event {
    /// The next news of an incident, for both channels.
    Decide {
        incident: u64,
        waits: bool,
    },
    /// A round, in which each message of a channel that is not busy comes to one of these.
    Round {
        outcomes: Vec<Outcome>,
        busy: Option<bool>,
    },
    Pass {
        seconds: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Delivered,
    Failed,
    /// The process ended before it was noted.
    Unknown,
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![Just(Outcome::Delivered), Just(Outcome::Failed), Just(Outcome::Unknown)];
    let outcomes = proptest::collection::vec(outcome, 1..4);
    prop_oneof![
        4 => (0..6u64, any::<bool>()).prop_map(|(incident, waits)| Event::Decide { incident, waits }),
        3 => (outcomes, any::<Option<bool>>()).prop_map(|(outcomes, busy)| Event::Round { outcomes, busy }),
        2 => (1..60u64).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

/// `mail` groups, `chat` does not.
fn channel(grouped: bool) -> Name {
    name(if grouped { "mail" } else { "chat" })
}

fn notice(incident: u64, episode: u64, at: Timestamp) -> Notice {
    let text = Bilingual { ja: "停止".into(), en: "down".into() };
    Notice {
        incident: IncidentId(incident),
        reason: NotifyReason::Opened,
        severity: Severity::Critical,
        hospital: if incident.is_multiple_of(2) { "minato" } else { "kita" }.parse().unwrap(),
        device: None,
        label: name("ct-1"),
        rule: name("service-down"),
        subject: name("pacs"),
        first_seen: at.plus(Duration::from_nanos(1_000 * episode)),
        decided_at: at,
        hours: BTreeSet::new(),
        contacts: BTreeSet::new(),
        unacknowledged: false,
        finding: text.clone(),
        action: text,
    }
}

/// What has to hold of everything that was handed out.
#[derive(Default)]
struct Seen {
    messages: BTreeMap<(Hash, Name), Vec<Hash>>,
    /// In which message each notice went.
    went: BTreeMap<(Hash, Name), Hash>,
    /// By channel and incident, in the order in which they were decided, and how many were delivered.
    decided: BTreeMap<(Name, IncidentId), (Vec<Hash>, usize)>,
    due: BTreeMap<(Hash, Name), Timestamp>,
}

impl Seen {
    fn hand_out(&mut self, message: &OutboxMessage, now: Timestamp) {
        let ids: Vec<Hash> = message.notices.iter().map(Notice::id).collect();
        let key = (message.id, message.channel.clone());
        assert_eq!(message.id, group_id(ids.iter().copied()));
        let grouped = message.channel == channel(true);
        assert!(!ids.is_empty() && (grouped || ids.len() == 1), "{message:?}");
        assert!(message.notices.iter().all(|n| n.hospital == message.notices[0].hospital), "{message:?}");
        if let Some(before) = self.messages.insert(key, ids.clone()) {
            assert_eq!(before, ids, "a repeat holds the same");
        } else {
            let due = ids.iter().map(|id| self.due[&(*id, message.channel.clone())]);
            assert!(due.min().unwrap() <= now, "something in it was due");
        }
        let mut ahead: BTreeMap<IncidentId, usize> = BTreeMap::new();
        for notice in &message.notices {
            let before = self.went.insert((notice.id(), message.channel.clone()), message.id);
            assert!(before.is_none_or(|id| id == message.id), "each notice goes in one message");
            let (decided, delivered) = &self.decided[&(message.channel.clone(), notice.incident)];
            let place = ahead.entry(notice.incident).or_insert(*delivered);
            assert_eq!(decided[*place], notice.id(), "none before an earlier one of its incident");
            *place += 1;
        }
    }

    fn deliver(&mut self, message: &OutboxMessage) {
        for notice in &message.notices {
            self.decided.get_mut(&(message.channel.clone(), notice.incident)).unwrap().1 += 1;
        }
    }
}

async fn run(events: &[Event]) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(BootId([0; 16]), START));
    let store = Store::open(&dir.path().join("collector.sqlite"), clock.clone()).await.unwrap();
    let (mut seen, mut episodes) = (Seen::default(), 0);
    let last = [Event::Pass { seconds: 3_600 }]
        .into_iter()
        .chain((0..40).map(|_| Event::Round { outcomes: vec![Outcome::Delivered], busy: None }));
    for event in events.iter().cloned().chain(last) {
        let now = clock.wall();
        match event {
            Event::Pass { seconds } => clock.advance(Duration::from_secs(seconds)),
            Event::Decide { incident, waits } => {
                episodes += 1;
                let notice = notice(incident, episodes, now);
                let due = now.plus(Duration::from_secs(if waits { 30 } else { 0 }));
                let outgoing = [true, false].map(|grouped| {
                    let (notice, due) = (notice.clone(), if grouped { due } else { now });
                    Outgoing { notice, channel: channel(grouped), grouped, due }
                });
                for one in &outgoing {
                    let of = (one.channel.clone(), notice.incident);
                    seen.decided.entry(of).or_default().0.push(notice.id());
                    seen.due.insert((notice.id(), one.channel.clone()), one.due);
                }
                let rows = EvaluationRows { outbox: outgoing.into(), ..EvaluationRows::default() };
                assert!(store.save_evaluation(&rows).await.unwrap());
            }
            Event::Round { outcomes, busy } => {
                let busy: BTreeSet<Name> = busy.into_iter().map(channel).collect();
                let due = store.due_messages(now, 100, &busy).await.unwrap();
                assert!(due.iter().all(|message| !busy.contains(&message.channel)));
                for (message, outcome) in due.iter().zip(outcomes.iter().cycle()) {
                    seen.hand_out(message, now);
                    match outcome {
                        Outcome::Delivered => {
                            store.message_delivered(message.id, &message.channel, now).await.unwrap();
                            seen.deliver(message);
                        }
                        Outcome::Failed => {
                            let next = Some(now.plus(Duration::from_secs(5)));
                            store.message_failed(message.id, &message.channel, "no", next).await.unwrap();
                        }
                        Outcome::Unknown => {}
                    }
                }
            }
        }
    }
    let rows = store.outbox().await.unwrap();
    assert!(rows.iter().all(|row| row.state == OutboxState::Delivered), "{rows:?}");
    assert!(seen.decided.values().all(|(decided, delivered)| decided.len() == *delivered));
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn each_notice_goes_in_one_message_in_its_order(events in proptest::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&events));
    }
}
