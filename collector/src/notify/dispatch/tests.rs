//! Tests of the dispatcher over an outbox in memory and a real webhook receiver.

use super::*;
use crate::notify::{NotifyConfig, example};
use axum::{Router, http::StatusCode, routing::post};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};
use tenken_common::{id::BootId, time::ManualClock};

#[derive(Debug, Clone, PartialEq)]
enum State {
    Waiting { next: Timestamp, failures: u32, error: String },
    Delivered,
    GivenUp { error: String },
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<DueKey, (Notice, State)>>);

impl Memory {
    fn add(&self, outlet: &str, notice: &Notice) -> DueKey {
        let key = DueKey { message: notice.id(), outlet: Name::new(outlet).unwrap() };
        let state = State::Waiting { next: Timestamp::EPOCH, failures: 0, error: String::new() };
        self.0.lock().unwrap().insert(key.clone(), (notice.clone(), state));
        key
    }

    fn state(&self, key: &DueKey) -> State {
        self.0.lock().unwrap()[key].1.clone()
    }

    fn set(&self, key: &DueKey, state: State) {
        self.0.lock().unwrap().get_mut(key).unwrap().1 = state;
    }
}

impl Outbox for Memory {
    type Error = std::convert::Infallible;

    async fn due(&self, now: Timestamp, max: usize, busy: &BTreeSet<Name>) -> Result<Vec<Due>, Self::Error> {
        let rows = self.0.lock().unwrap();
        let due = rows.iter().filter_map(|(key, (notice, state))| match state {
            State::Waiting { next, failures, .. } if *next <= now && !busy.contains(&key.outlet) => {
                let (id, outlet) = (key.message, key.outlet.clone());
                Some(Due { id, outlet, notices: vec![notice.clone()], failures: *failures })
            }
            State::Waiting { .. } | State::Delivered | State::GivenUp { .. } => None,
        });
        Ok(due.take(max).collect())
    }

    async fn delivered(&self, row: &DueKey, _at: Timestamp) -> Result<(), Self::Error> {
        self.set(row, State::Delivered);
        Ok(())
    }

    async fn failed(
        &self,
        row: &DueKey,
        _at: Timestamp,
        next: Option<Timestamp>,
        error: &str,
    ) -> Result<(), Self::Error> {
        let failures = match self.state(row) {
            State::Waiting { failures, .. } => failures + 1,
            State::Delivered | State::GivenUp { .. } => panic!("a failure after the end"),
        };
        let error = error.to_owned();
        self.set(
            row,
            match next {
                Some(next) => State::Waiting { next, failures, error },
                None => State::GivenUp { error },
            },
        );
        Ok(())
    }
}

#[derive(Default)]
struct Attempts(Mutex<Vec<(String, DeliveryResult)>>);

impl DispatchObserver for Attempts {
    fn attempted(&self, outlet: &Name, result: DeliveryResult) {
        self.0.lock().unwrap().push((outlet.to_string(), result));
    }
}

struct Desk {
    outbox: Arc<Memory>,
    clock: Arc<ManualClock>,
    attempts: Arc<Attempts>,
    dispatcher: Dispatcher<Memory>,
    /// What the receiver of `chat` answers; that of `other` always takes it.
    status: Arc<AtomicU16>,
    posts: Arc<AtomicUsize>,
}

async fn desk() -> Desk {
    let status = Arc::new(AtomicU16::new(200));
    let posts = Arc::new(AtomicUsize::new(0));
    let (answer, count) = (Arc::clone(&status), Arc::clone(&posts));
    let chat = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap()
    };
    let router = Router::new().route("/chat", post(chat)).route("/other", post(async || "ok"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "hush").unwrap();
    let text: String = ["chat", "other"]
        .map(|n| {
            format!("[[webhook]]\nname = '{n}'\nurl = '{url}/{n}'\nsecret_file = '{}'\n", secret.display())
        })
        .concat();
    let config: NotifyConfig = tenken_common::config::parse(&text).unwrap();
    let outlets = Arc::new(Outlets::new(&config).unwrap());
    let outbox = Arc::new(Memory::default());
    let clock = Arc::new(ManualClock::new(BootId([1; 16]), Timestamp::from_secs(1_795_000_000)));
    let attempts = Arc::new(Attempts::default());
    let dispatcher = Dispatcher::new(
        Arc::clone(&outbox),
        outlets,
        clock.clone(),
        attempts.clone(),
        DispatchLimits { poll: Duration::from_millis(5), ..DispatchLimits::default() },
    );
    Desk { outbox, clock, attempts, dispatcher, status, posts }
}

#[tokio::test]
async fn what_the_server_took_is_sent_once() {
    let desk = desk().await;
    let key = desk.outbox.add("chat", &example::notice());
    assert_eq!(desk.dispatcher.round().await.unwrap(), Round { delivered: 1, ..Round::default() });
    assert_eq!(desk.dispatcher.round().await.unwrap(), Round::default());
    assert_eq!((desk.outbox.state(&key), desk.posts.load(Ordering::SeqCst)), (State::Delivered, 1));
    assert_eq!(*desk.attempts.0.lock().unwrap(), [("chat".to_owned(), DeliveryResult::Delivered)]);
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again_later_and_holds_no_other_up() {
    let desk = desk().await;
    desk.status.store(503, Ordering::SeqCst);
    let key = desk.outbox.add("chat", &example::notice());
    let mut later = example::notice();
    later.incident.0 += 1;
    desk.outbox.add("chat", &later);
    desk.outbox.add("other", &example::notice());
    let round = desk.dispatcher.round().await.unwrap();
    assert_eq!(round, Round { delivered: 1, deferred: 1, given_up: 0 });
    assert_eq!(desk.posts.load(Ordering::SeqCst), 1, "the second row of a busy server waits");

    let waiting = |desk: &Desk| {
        let rows = desk.outbox.0.lock().unwrap();
        rows.values().filter(|(_, s)| matches!(s, State::Waiting { .. })).count()
    };
    desk.status.store(200, Ordering::SeqCst);
    assert_eq!(waiting(&desk), 2);
    desk.clock.advance(DispatchLimits::default().retry_first);
    desk.dispatcher.round().await.unwrap();
    assert_eq!(waiting(&desk), 0);
    assert_eq!(desk.outbox.state(&key), State::Delivered);
}

#[tokio::test]
async fn a_refusal_for_good_stays_visible() {
    let desk = desk().await;
    desk.status.store(410, Ordering::SeqCst);
    let refused = desk.outbox.add("chat", &example::notice());
    let nowhere = desk.outbox.add("gone", &example::notice());
    assert_eq!(desk.dispatcher.round().await.unwrap(), Round { given_up: 2, ..Round::default() });
    let State::GivenUp { error } = desk.outbox.state(&refused) else { panic!("given up") };
    assert!(error.contains("410"), "{error}");
    let State::GivenUp { error } = desk.outbox.state(&nowhere) else { panic!("given up") };
    assert!(error.contains("configured"), "{error}");
    assert_eq!(desk.dispatcher.round().await.unwrap(), Round::default());
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_stop() {
    let desk = desk().await;
    desk.status.store(503, Ordering::SeqCst);
    let key = desk.outbox.add("chat", &example::notice());
    let wake = tokio::sync::Notify::new();
    let delivered = async {
        loop {
            desk.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
            match desk.outbox.state(&key) {
                State::Delivered => return,
                State::Waiting { failures: 2.., .. } => desk.status.store(200, Ordering::SeqCst),
                State::Waiting { .. } | State::GivenUp { .. } => {}
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), desk.dispatcher.run(&wake, delivered)).await;
    assert!(ended.is_ok(), "{:?}", desk.outbox.state(&key));
}
