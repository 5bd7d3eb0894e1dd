//! Outlets in trouble: a webhook that answers 500, 429 and hangs, a mail server that is down, greylists,
//! refuses one recipient and falls silent. Nothing is lost, nothing doubled, all of it is visible, and no
//! end overtakes its beginning.

use crate::office::Letter;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::Duration,
};
use tenken_collector::{
    metrics::Metrics,
    notify::{
        NotifyConfig, Outlets, Wanted,
        dispatch::{DispatchLimits, Dispatcher, Round},
    },
    store::{
        Store,
        model::{EvaluationRows, OutboxRow, OutboxState, Outgoing},
    },
    worker::dispatch::StoreOutbox,
};
use tenken_collector_core::desk::notice::{Bilingual, IncidentId, Notice, NotifyReason, Severity};
use tenken_common::{
    config,
    id::{BootId, DeviceId, Name},
    time::{Clock, ManualClock, Timestamp},
};
use tenken_tests::{MailServer, WebhookReceiver};

const START: Timestamp = Timestamp::from_secs(1_795_000_000);

/// A store with its outbox, and outlets to these servers.
struct Post {
    clock: Arc<ManualClock>,
    store: Store,
    outlets: Arc<Outlets>,
    dir: tempfile::TempDir,
}

impl Post {
    async fn open(config: impl Fn(&std::path::Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("password", MailServer::PASSWORD), ("secret", "hush")] {
            fs::write(dir.path().join(name), text).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let clock = Arc::new(ManualClock::new(BootId([0; 16]), START));
        let store = Store::open(&dir.path().join("collector.sqlite"), clock.clone()).await.unwrap();
        let config: NotifyConfig = config::parse(&config(dir.path())).unwrap();
        let outlets = Arc::new(Outlets::new(&config).unwrap());
        Self { clock, store, outlets, dir }
    }

    /// As the evaluation does.
    async fn decide(&self, incident: u64, reason: NotifyReason) {
        self.decide_as(incident, (reason, Severity::Critical)).await;
    }

    async fn decide_as(&self, incident: u64, (reason, severity): (NotifyReason, Severity)) {
        let text = Bilingual { ja: "サービス停止".into(), en: "service down".into() };
        let name = |text: &str| Name::new(text).unwrap();
        let notice = Notice {
            incident: IncidentId(incident),
            reason,
            severity,
            hospital: "minato".parse().unwrap(),
            device: Some(DeviceId([1; 16])),
            label: name("ct-1"),
            rule: name("service-down"),
            subject: name("pacs"),
            first_seen: START,
            decided_at: self.clock.wall(),
            hours: BTreeSet::new(),
            contacts: BTreeSet::new(),
            unacknowledged: false,
            finding: text.clone(),
            action: text,
        };
        let outgoing = self.outlets.wanting(&notice).map(|Wanted { key, grouped, due }| Outgoing {
            notice: notice.clone(),
            channel: key,
            grouped,
            due,
        });
        let rows = EvaluationRows { outbox: outgoing.collect(), ..EvaluationRows::default() };
        assert!(self.store.save_evaluation(&rows).await.unwrap());
    }

    async fn round(&self) -> Round {
        self.dispatcher().round().await.unwrap()
    }

    fn dispatcher(&self) -> Dispatcher<StoreOutbox> {
        Dispatcher::new(
            Arc::new(StoreOutbox::new(self.store.clone())),
            self.outlets.clone(),
            self.clock.clone(),
            Arc::new(Metrics::new(self.clock.wall(), 10)),
            DispatchLimits::default(),
        )
    }

    async fn rows(&self) -> BTreeMap<(String, NotifyReason), OutboxRow> {
        let rows = self.store.outbox().await.unwrap();
        rows.into_iter().map(|row| ((row.channel.to_string(), row.notice.reason), row)).collect()
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_webhook_that_is_in_trouble_hears_of_the_beginning_before_the_end() {
    let hook = WebhookReceiver::start();
    hook.answer_next(&[500, 429]);
    run(async {
        let url = hook.url("/hook");
        let post = Post::open(|dir| {
            format!("[[webhook]]\nname = 'chat'\nurl = '{url}'\nsecret_file = '{}/secret'", dir.display())
        })
        .await;
        post.decide(7, NotifyReason::Opened).await;
        assert_eq!(post.round().await.deferred, 1);
        let opened = ("chat".to_owned(), NotifyReason::Opened);
        let row = post.rows().await.remove(&opened).unwrap();
        assert_eq!((row.state, row.attempts), (OutboxState::Waiting, 1));
        assert!(row.last_error.unwrap().contains("500"));
        // Its end is decided meanwhile, and is due at once; it waits for its turn all the same.
        post.clock.advance(Duration::from_secs(1));
        post.decide(7, NotifyReason::Recovered).await;
        assert_eq!(post.round().await, Round::default());
        // Another incident does not.
        post.decide(8, NotifyReason::Opened).await;
        assert_eq!(post.round().await.deferred, 1, "429");
        post.clock.advance(Duration::from_mins(20));
        for delivered in [2, 1] {
            assert_eq!(post.round().await.delivered, delivered);
        }
        let told: Vec<(String, String)> = hook
            .requests()
            .iter()
            .filter(|r| r.status == 200)
            .map(|r| serde_json::from_slice::<serde_json::Value>(&r.body).unwrap())
            .map(|v| (v["incident"].as_str().unwrap().into(), v["reason"].as_str().unwrap().into()))
            .collect();
        let of = |incident: &str, reason: &str| (incident.to_owned(), reason.to_owned());
        assert_eq!(told.len(), 3);
        assert!(told.contains(&of("INC-8", "opened")));
        assert_eq!((&told[0].1, &told[2]), (&"opened".to_owned(), &of("INC-7", "recovered")));
        let requests = hook.requests();
        let ids: BTreeSet<&String> = requests.iter().map(|r| &r.headers["tenken-idempotency-id"]).collect();
        assert_eq!((requests.len(), ids.len()), (5, 3), "two in vain; a repeat has the same identity");
        assert_eq!(post.round().await, Round::default(), "nothing twice");
    });
}

#[test]
fn a_webhook_that_hangs_is_given_up_for_now_and_holds_no_mail_up() {
    // It takes the connection and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    run(async {
        let post = Post::open(|dir| {
            format!(
                "{}[[webhook]]\nname = 'chat'\nurl = 'http://{address}/'\nsecret_file = '{}/secret'\n\
                 timeout = '1s'\n",
                email(dir, &mail, "['desk@example.jp']"),
                dir.display()
            )
        })
        .await;
        post.decide(7, NotifyReason::Opened).await;
        let round = post.round().await;
        assert_eq!((round.delivered, round.deferred), (1, 1));
        assert_eq!(mail.messages().len(), 1);
        let row = post.rows().await.remove(&("chat".to_owned(), NotifyReason::Opened)).unwrap();
        assert!(row.next_attempt > post.clock.wall() && row.state == OutboxState::Waiting, "{row:?}");
        assert!(row.last_error.unwrap().contains("could not be reached"));
    });
}

#[test]
fn a_webhook_that_hangs_for_long_holds_no_later_mail_up() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    run(async {
        let post = Post::open(|dir| {
            format!(
                "{}[[webhook]]\nname = 'chat'\nurl = 'http://{address}/'\nsecret_file = '{}/secret'\n\
                 timeout = '5m'\n",
                email(dir, &mail, "['desk@example.jp']"),
                dir.display()
            )
        })
        .await;
        post.decide(7, NotifyReason::Opened).await;
        let wake = tokio::sync::Notify::new();
        let dispatcher = post.dispatcher();
        let told = async {
            let mut look = tokio::time::interval(Duration::from_millis(50));
            for incident in [8, 9] {
                while mail.messages().len() + 7 < incident {
                    look.tick().await;
                }
                post.decide(incident as u64, NotifyReason::Opened).await;
                wake.notify_one();
            }
            while mail.messages().len() < 3 {
                look.tick().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), dispatcher.run(&wake, told)).await;
        assert!(ended.is_ok(), "{:?}", mail.messages().len());
        let waiting = post.rows().await.remove(&("chat".to_owned(), NotifyReason::Opened)).unwrap();
        assert_eq!(waiting.attempts, 0, "the webhook is still at its first attempt");
    });
}

/// Mail by this server to these recipients.
fn email(dir: &std::path::Path, mail: &MailServer, to: &str) -> String {
    format!(
        "[[email]]\nname = 'desk'\nserver = 'localhost'\nport = {}\nca_file = '{}'\nusername = '{}'\n\
         password_file = '{}/password'\nfrom = 'rsc@example.jp'\nto = {to}\ntimeout = '2s'\n",
        mail.port(),
        mail.ca_file().display(),
        MailServer::USER,
        dir.display()
    )
}

#[test]
fn a_mail_server_refuses_one_recipient_greylists_one_and_keeps_one_waiting() {
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    run(async {
        let to = "['desk@example.jp', 'gone@example.jp', 'grey@example.jp', 'slow@example.jp']";
        let post = Post::open(|dir| email(dir, &mail, to)).await;
        post.decide(7, NotifyReason::Opened).await;
        let round = post.round().await;
        assert_eq!((round.delivered, round.deferred, round.given_up), (1, 2, 1));
        let row = async |who: &str| {
            let key = (format!("desk/{who}@example.jp"), NotifyReason::Opened);
            post.rows().await.remove(&key).unwrap()
        };
        assert_eq!(row("desk").await.state, OutboxState::Delivered);
        let gone = row("gone").await;
        assert_eq!(gone.state, OutboxState::Failed);
        assert!(gone.last_error.unwrap().contains("nobody of that name"));
        assert!(row("grey").await.last_error.unwrap().contains("greylisted"));
        assert_eq!(row("slow").await.state, OutboxState::Waiting);
        post.clock.advance(Duration::from_mins(1));
        let round = post.round().await;
        assert_eq!((round.delivered, round.deferred, round.given_up), (1, 1, 0));
        let to: Vec<Vec<String>> = mail.messages().into_iter().map(|m| m.to).collect();
        assert_eq!(to, [["desk@example.jp".to_owned()], ["grey@example.jp".to_owned()]]);
    });
}

#[test]
fn a_mail_server_that_is_down_gets_all_of_it_once_when_it_is_back() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gone = MailServer::start(first.path());
    let back = MailServer::start(second.path());
    run(async {
        let post = Post::open(|dir| email(dir, &gone, "['desk@example.jp']")).await;
        let config = email(post.dir.path(), &back, "['desk@example.jp']");
        drop(gone);
        post.decide(7, NotifyReason::Opened).await;
        for _ in 0..5 {
            assert_eq!(post.round().await.deferred, 1);
            post.clock.advance(Duration::from_mins(20));
        }
        post.decide(7, NotifyReason::Unacknowledged).await;
        post.decide(7, NotifyReason::Recovered).await;
        let config: NotifyConfig = config::parse(&config).unwrap();
        let post = Post { outlets: Arc::new(Outlets::new(&config).unwrap()), ..post };
        // The one that was tried stays as it was; what came meanwhile is one mail.
        for _ in 0..2 {
            assert_eq!(post.round().await.delivered, 1);
        }
        assert_eq!(post.round().await, Round::default());
        assert_eq!((back.messages().len(), message_ids(&back).len()), (2, 2));
    });
}

#[test]
fn many_incidents_of_one_hospital_are_one_mail_and_its_repeat_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    run(async {
        let post = Post::open(|dir| email(dir, &mail, "['desk@example.jp', 'grey@example.jp']")).await;
        for incident in 1..=40 {
            post.decide(incident, NotifyReason::Opened).await;
        }
        let round = post.round().await;
        assert_eq!((round.delivered, round.deferred), (1, 1));
        // What comes while it is put off goes by itself, and the one that is repeated does not grow.
        post.decide(41, NotifyReason::Opened).await;
        post.clock.advance(Duration::from_mins(1));
        let round = post.round().await;
        assert_eq!((round.delivered, round.deferred), (3, 0));
        assert_eq!(post.round().await, Round::default());
        let of = |who: &str| {
            let mails = mail.messages().into_iter().filter(|m| m.to == [format!("{who}@example.jp")]);
            let letters = mails.map(|m| Letter::read(&m));
            letters.partition::<Vec<_>, _>(|letter| letter.subject.contains("40件"))
        };
        let ((desk, desk_later), (grey, grey_later)) = (of("desk"), of("grey"));
        let lengths = [&desk, &desk_later, &grey, &grey_later].map(Vec::len);
        assert_eq!(lengths, [1; 4]);
        assert_eq!(desk[0].subject, "【点検】[重大 40件] minato ct-1");
        for incident in 1..=40 {
            let number = format!("インシデント番号: INC-{incident}\r\n");
            for letter in [&desk[0], &grey[0]] {
                assert_eq!(letter.body.matches(&number).count(), 1, "{number} in {letter:?}");
            }
        }
        let later = &desk_later[0];
        assert!(later.subject.starts_with("【点検】[重大] minato ct-1") && later.body.contains("INC-41"));
        assert_eq!((&desk[0].id, &later.id), (&grey[0].id, &grey_later[0].id));
    });
}

#[test]
fn what_is_mild_waits_for_company_and_goes_with_what_is_urgent() {
    let home = tempfile::tempdir().unwrap();
    let mail = MailServer::start(home.path());
    run(async {
        let post = Post::open(|dir| email(dir, &mail, "['desk@example.jp']")).await;
        post.decide_as(1, (NotifyReason::Opened, Severity::Warning)).await;
        assert_eq!(post.round().await, Round::default());
        post.clock.advance(Duration::from_secs(10));
        post.decide_as(2, (NotifyReason::Opened, Severity::Critical)).await;
        assert_eq!(post.round().await.delivered, 1);
        let letters: Vec<Letter> = mail.messages().iter().map(Letter::read).collect();
        assert_eq!(letters[0].subject, "【点検】[重大 1件、警告 1件] minato ct-1");
        // Alone it goes when its time has come.
        post.decide_as(3, (NotifyReason::Opened, Severity::Warning)).await;
        post.clock.advance(Duration::from_secs(29));
        assert_eq!(post.round().await, Round::default());
        post.clock.advance(Duration::from_secs(1));
        assert_eq!(post.round().await.delivered, 1);
    });
}

/// Each once.
fn message_ids(mail: &MailServer) -> BTreeSet<String> {
    let line =
        |text: &str| text.lines().find(|l| l.to_lowercase().starts_with("message-id")).map(ToOwned::to_owned);
    mail.messages().iter().filter_map(|m| line(&m.text)).collect()
}
