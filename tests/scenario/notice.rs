//! A service dies, and people are told: once, by mail and by webhook, whatever breaks in between.

use crate::office::{BOUND, Letter, Office, SECRET, metrics_line};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{path::Path, sync::Arc};
use tenken_collector::store::{Store, model::OutboxRow};
use tenken_common::{id::hex, time::SystemClock};
use tenken_tests::{MailServer, WebhookRequest, bed::stdout, wait_until};

#[test]
fn a_dead_service_is_told_once_and_so_is_its_return() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(dir.path());
    let office = Office::open(&mail);
    let _collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    let mut service = office.start_service();
    let _agent = office.bed.start_agent(&home);
    office.wait_for_service(&home);
    assert!(mail.messages().is_empty() && office.hook.requests().is_empty());

    service.kill();
    let letters = Office::mails(&mail, 1);
    office.wait_for_hooks(1);
    let incident = only_incident(&office);
    let number = format!("INC-{}", incident["id"]);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let sent = &mail.messages()[0];
    assert_eq!(
        (sent.from.as_str(), sent.to.as_slice()),
        ("rsc@example.jp", ["desk@example.jp".to_owned()].as_slice())
    );
    for part in ["【点検】[重大]", "minato", "ct-1", "pacs"] {
        assert!(letter.subject.contains(part), "{part} in {letter:?}");
    }
    for part in [
        "装置: ct-1",
        "病院: minato",
        "サービス pacs の状態が異常です",
        "初回検知: ",
        "推奨する対応:",
        "計画停止や保守作業の有無",
        &format!("インシデント番号: {number}"),
        &home.device,
    ] {
        assert!(letter.body.contains(part), "{part} in {letter:?}");
    }
    let requests = office.hook.requests();
    let notice = verified(&requests[0]);
    assert_eq!(letter.id, format!("<{}@example.jp>", notice["id"].as_str().unwrap()));
    assert_eq!(
        (&notice["incident"], &notice["reason"], &notice["severity"], &notice["label"]),
        (&number.as_str().into(), &"opened".into(), &"critical".into(), &"ct-1".into())
    );

    steps_stop_the_clock(&office, &number);

    let _back = office.start_service();
    let letters = Office::mails(&mail, 2);
    office.wait_for_hooks(2);
    assert!(letters[1].subject.contains("[復旧]") && letters[1].body.contains(&number), "{letters:?}");
    let back = verified(&office.hook.requests()[1]);
    assert_eq!((&back["reason"], &back["incident"]), (&"recovered".into(), &number.as_str().into()));
    assert_ne!(letters[0].id, letters[1].id);

    stdout(&office.bed.collector(&["incident", "close", &number, "--worker", "sato"]));
    wait_until(BOUND, "the incident to be closed", |state| {
        let open = office.bed.listing(&["incident", "list"]);
        *state = open.to_string();
        (open == serde_json::json!([])).then_some(())
    });
    assert_eq!(office.bed.listing(&["incident", "show", &number])["phase"], "closed");
    let again = office.bed.collector(&["incident", "ack", &number, "--worker", "sato"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is closed already"));
    office.wait_for_ticks(2);
    assert_eq!((mail.messages().len(), office.hook.requests().len()), (2, 2));
}

/// An acknowledgement does not stop the response clock, the reported cause does.
fn steps_stop_the_clock(office: &Office, number: &str) {
    let bed = &office.bed;
    let responses = || bed.listing(&["sla"])[0]["responses"].clone();
    assert_eq!((&responses()["running"], &responses()["met"]), (&1.into(), &0.into()), "{}", responses());
    let events = |steps: usize| {
        wait_until(BOUND, "the step to be known", |state| {
            let incident = bed.listing(&["incident", "show", number]);
            *state = incident.to_string();
            incident["events"].as_array().filter(|e| e.len() >= steps).cloned()
        })
    };
    stdout(&bed.collector(&["incident", "ack", number, "--worker", "sato"]));
    let acknowledged = events(2);
    assert_eq!(
        (&acknowledged[1]["step"], &acknowledged[1]["worker"]),
        (&"acknowledged".into(), &"sato".into())
    );
    assert_eq!((&responses()["running"], &responses()["met"]), (&1.into(), &0.into()));
    stdout(&bed.collector(&["incident", "report", number, "--worker", "sato"]));
    assert_eq!(events(3)[2]["step"], "first_response_reported");
    assert_eq!((&responses()["running"], &responses()["met"]), (&0.into(), &1.into()), "{}", responses());
    let sla = bed.listing(&["sla"]);
    assert_eq!(sla[0]["segments"][0]["clocks"][0]["state"]["state"], "met", "{sla}");
}

#[test]
fn what_is_silenced_is_an_incident_and_is_told_when_the_silence_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(dir.path());
    let office = Office::open(&mail);
    let _collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    let add = |what: &[&str]| {
        let mut args = vec!["silence", "add", "--worker", "sato", "--reason", "サービスの入れ替え"];
        args.extend(what);
        office.bed.collector(&args)
    };
    let refused = |what: &[&str], why: &str| {
        let out = add(what);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(why), "{said}");
    };
    refused(&["--for", "1h"], "names neither");
    refused(&["--for", "32d", "--device", "ct-1"], "31 days");
    refused(&["--for", "1h", "--device", "ct-2"], "there is no device ct-2");
    refused(&["--for", "1h", "--hospital", "kita"], "there is no hospital kita");
    refused(&["--for", "1h", "--rule", "service-downn"], "there is no rule service-downn");
    assert!(stdout(&office.bed.collector(&["silence", "list"])).contains("通知の停止はありません"));

    stdout(&add(&["--for", "2h", "--device", "ct-1", "--rule", "service-down"]));
    // Its service never ran.
    let _agent = office.bed.start_agent(&home);
    let number = wait_until(BOUND, "the incident", |state| {
        let open = office.bed.listing(&["incident", "list"]);
        *state = open.to_string();
        Some(format!("INC-{}", open.get(0)?["id"]))
    });
    office.wait_for_ticks(2);
    assert!(mail.messages().is_empty() && office.hook.requests().is_empty());
    let shown = stdout(&office.bed.collector(&["incident", "show", &number]));
    let listed = stdout(&office.bed.collector(&["silence", "list"]));
    for part in
        ["有効", "sato", "病院 minato、装置 ct-1、検知規則 service-down", "サービスの入れ替え", &number]
    {
        assert!(listed.contains(part), "{part} in {listed}");
    }
    let id = listed.split_whitespace().next().unwrap();
    assert!(shown.contains(&format!("保留: 通知の停止 {id} が有効")), "{shown}");
    assert!(office.metrics().contains("tenken_silences 1"));

    stdout(&office.bed.collector(&["silence", "end", id, "--worker", "sato"]));
    let letters = Office::mails(&mail, 1);
    office.wait_for_hooks(1);
    assert!(letters[0].subject.contains("[重大]") && letters[0].body.contains(&number), "{letters:?}");
    let over = office.bed.collector(&["silence", "end", id, "--worker", "sato"]);
    assert!(!over.status.success() && String::from_utf8_lossy(&over.stderr).contains("has ended already"));
    assert!(stdout(&office.bed.collector(&["silence", "list", "--all"])).contains("終了"));
}

#[test]
fn a_mail_server_that_says_later_gets_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start_failing(dir.path(), 2);
    let office = Office::open(&mail);
    let _collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    // Its service never ran.
    let _agent = office.bed.start_agent(&home);
    let letters = Office::mails(&mail, 1);
    office.wait_for_hooks(1);
    let text = wait_until(BOUND, "the delivery to be counted", |state| {
        *state = office.metrics();
        let line = "tenken_notice_attempts_total{outlet=\"desk\",result=\"delivered\"} 1";
        state.contains(line).then(|| state.clone())
    });
    let deferred = metrics_line(&text, "tenken_notice_attempts_total{outlet=\"desk\",result=\"deferred\"}");
    assert!(deferred.ends_with(" 2"), "{deferred}\n{text}");
    office.wait_for_ticks(2);
    assert_eq!((mail.messages().len(), office.hook.requests().len()), (1, 1));
    let notice = verified(&office.hook.requests()[0]);
    assert_eq!(letters[0].id, format!("<{}@example.jp>", notice["id"].as_str().unwrap()));
}

#[test]
fn a_collector_that_is_killed_tells_what_it_had_decided() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    // Its port and authority are known, and nobody listens there.
    let gone = MailServer::start(&first);
    let mut office = Office::open(&gone);
    drop(gone);
    let mut collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    let _agent = office.bed.start_agent(&home);
    office.wait_for_hooks(1);
    wait_until(BOUND, "an attempt at mail", |state| {
        *state = office.metrics();
        state.contains("tenken_notice_attempts_total{outlet=\"desk\"").then_some(())
    });
    collector.kill();
    // The chat's delivery may have been noted before the kill or not: it tells itself by its identity.
    let waiting: Vec<OutboxRow> = outbox(&office.bed.path("collector/collector.sqlite"))
        .into_iter()
        .filter(|r| r.delivered.is_none() && r.channel.to_string().starts_with("desk/"))
        .collect();
    let [row] = waiting.as_slice() else { panic!("{waiting:?}") };
    let expected = format!("<{}@example.jp>", row.notice.id());

    let mail = MailServer::start(&second);
    office.move_mail(&mail);
    let mut collector = office.bed.start_collector();
    let letters = Office::mails(&mail, 1);
    // Now, before or after the delivery was noted: a repeat is the same mail.
    collector.kill();
    assert_eq!(letters.iter().map(|l| &l.id).collect::<Vec<_>>(), [&expected]);
    let _collector = office.bed.start_collector();
    wait_until(BOUND, "the outbox to be empty", |state| {
        *state = office.metrics();
        state.contains("\ntenken_outbox_pending 0\n").then_some(())
    });
    office.wait_for_ticks(2);
    let letters: Vec<Letter> = Office::mails(&mail, 1);
    assert!(letters.len() <= 2 && letters.iter().all(|l| l.id == expected), "{letters:?}");
    let ids: Vec<_> = office.hook.requests().iter().map(|r| verified(r)["id"].clone()).collect();
    assert!(ids.len() <= 2 && ids.iter().all(|id| *id == row.notice.id().to_string()), "{ids:?}");
    assert_eq!(office.bed.listing(&["incident", "list"]).as_array().unwrap().len(), 1);
}

fn only_incident(office: &Office) -> serde_json::Value {
    let list = office.bed.listing(&["incident", "list"]);
    let [incident] = list.as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((&incident["rule"], &incident["subject"]), (&"service-down".into(), &"pacs".into()));
    incident.clone()
}

/// The payload, once its signature is good and its identity is that of the header.
fn verified(request: &WebhookRequest) -> serde_json::Value {
    let header = |name: &str| request.headers[name].as_str();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(header("tenken-timestamp").as_bytes());
    mac.update(b".");
    mac.update(&request.body);
    assert_eq!(header("tenken-signature"), format!("sha256={}", hex(&mac.finalize().into_bytes())));
    let payload: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(payload["id"], header("tenken-idempotency-id"));
    payload
}

fn outbox(database: &str) -> Vec<OutboxRow> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(database), Arc::new(SystemClock::new())).await.unwrap();
        let rows = store.outbox().await.unwrap();
        store.close().await;
        rows
    })
}
