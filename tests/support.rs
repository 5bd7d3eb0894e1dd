//! The test bench tries itself: every peer that it starts is the real thing and is really asked.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Output},
    time::Duration,
};
use tempfile::tempdir;
use tenken_tests::{MailServer, Process, Prometheus, WebhookReceiver, http, promtool, wait_until};

const BOUND: Duration = Duration::from_secs(30);

fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    command
}

#[test]
fn a_process_is_heard_and_stopped_softly() {
    let dir = tempdir().unwrap();
    let script = "tail -f /dev/null & child=$!; trap 'kill $child; echo bye; exit 7' TERM; echo ready >&2; wait $child";
    let mut process = Process::start(dir.path(), "soft", &mut shell(script));
    process.wait_for_text(BOUND, "ready");
    assert!(process.is_running());
    process.terminate();
    assert_eq!(process.wait(BOUND).code(), Some(7));
    assert_eq!((process.stdout_text().as_str(), process.stderr_text().as_str()), ("bye\n", "ready\n"));
}

#[test]
fn a_process_is_killed_and_does_not_outlive_its_handle() {
    let dir = tempdir().unwrap();
    let mut process = Process::start(dir.path(), "hard", &mut shell("trap '' TERM; exec tail -f /dev/null"));
    process.kill();
    assert!(!process.is_running());
}

#[test]
fn neither_a_process_nor_its_children_outlive_the_handle() {
    let dir = tempdir().unwrap();
    let mut command = shell("tail -f /dev/null & echo child=$!; exec tail -f /dev/null");
    let mut process = Process::start(dir.path(), "parent", &mut command);
    process.wait_for_text(BOUND, "child=");
    let child = process.stdout_text().trim().replace("child=", "");
    let parent = process.id().to_string();
    drop(process);
    wait_until(BOUND, "both to be gone", |state| {
        *state = [&parent, &child]
            .map(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default())
            .concat();
        // A zombie is gone, only its reaper has not looked yet.
        state.lines().all(|line| line.contains(") Z ")).then_some(())
    });
}

#[test]
#[should_panic(expected = "and never said")]
fn a_process_that_ends_silently_is_reported_at_once() {
    let dir = tempdir().unwrap();
    Process::start(dir.path(), "mute", &mut shell("exit 3")).wait_for_text(BOUND, "hello");
}

#[test]
fn prometheus_scrapes_and_answers() {
    let dir = tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    let rule = "groups: [{name: g, rules: [{record: twice, expr: up * 2}]}]";
    std::fs::write(&rules, rule).unwrap();
    let receiver = WebhookReceiver::start();
    let target = format!("127.0.0.1:{}", receiver.port());
    let prometheus = Prometheus::start(dir.path(), std::slice::from_ref(&target), &[&rules]);
    let twice = wait_until(BOUND, "the recorded rule over a scrape", |state| {
        let samples = prometheus.query("twice{job=\"tenken\"}");
        *state = format!("{samples:?}, up: {:?}", prometheus.query("up"));
        samples.into_iter().find(|sample| sample.value > 1.5)
    });
    assert_eq!(twice.labels["instance"], target);
    assert!(prometheus.query("absent_series").is_empty());
    assert!(receiver.requests().iter().any(|request| request.path == "/metrics"));
}

#[test]
fn promtool_tells_good_metrics_from_bad() {
    let good = "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\n";
    let output = promtool(&["check", "metrics"], good);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!promtool(&["check", "metrics"], "a total 1\n").status.success());
}

/// Sends one mail with Python's own client; the arguments say how far it follows the rules.
fn send_mail(server: &MailServer, login: Option<(&str, &str)>, with_tls: bool) -> Output {
    let script = r#"
import smtplib, ssl, sys
port, ca, tls, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "tls", sys.argv[4], sys.argv[5]
with smtplib.SMTP("localhost", port, timeout=10) as client:
    if tls:
        client.starttls(context=ssl.create_default_context(cafile=ca))
    if user:
        client.login(user, password)
    client.sendmail("rsc@example.jp", ["desk@example.jp", "chief@example.jp"],
                    "Subject: =?utf-8?b?54K55qSc?=\r\nMessage-ID: <1@example.jp>\r\n\r\nHello.\r\n")
"#;
    let (user, password) = login.unwrap_or_default();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script, &server.port().to_string()]).arg(server.ca_file());
    python.args([if with_tls { "tls" } else { "plain" }, user, password]).output().unwrap()
}

const LOGIN: Option<(&str, &str)> = Some((MailServer::USER, MailServer::PASSWORD));

#[test]
fn the_mail_server_takes_mail_over_tls_after_login() {
    let dir = tempdir().unwrap();
    let server = MailServer::start(dir.path());
    let sent = send_mail(&server, LOGIN, true);
    assert!(sent.status.success(), "{}{}", String::from_utf8_lossy(&sent.stderr), server.stderr_text());
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].from, "rsc@example.jp");
    assert_eq!(messages[0].to, ["desk@example.jp", "chief@example.jp"]);
    assert!(
        messages[0].text.contains("Message-ID: <1@example.jp>") && messages[0].text.ends_with("Hello.\r\n")
    );
}

#[test]
fn the_mail_server_refuses_everything_else() {
    let dir = tempdir().unwrap();
    let server = MailServer::start(dir.path());
    for (login, with_tls, code) in
        [(None, false, "530"), (None, true, "530"), (Some((MailServer::USER, "wrong")), true, "535")]
    {
        let sent = send_mail(&server, login, with_tls);
        let said = String::from_utf8_lossy(&sent.stderr);
        assert!(!sent.status.success() && said.contains(code), "{login:?} {with_tls}: {said}");
    }
    let plain_login = send_mail(&server, LOGIN, false);
    assert!(!plain_login.status.success());
    assert!(server.messages().is_empty());
}

#[test]
fn the_mail_server_fails_as_often_as_it_was_told() {
    let dir = tempdir().unwrap();
    let server = MailServer::start_failing(dir.path(), 2);
    for _ in 0..2 {
        let sent = send_mail(&server, LOGIN, true);
        assert!(String::from_utf8_lossy(&sent.stderr).contains("451"));
    }
    assert!(send_mail(&server, LOGIN, true).status.success());
    assert_eq!(server.messages().len(), 1);
}

fn post(receiver: &WebhookReceiver, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", receiver.port())).unwrap();
    write!(
        stream,
        "POST /hook?a=1 HTTP/1.1\r\nX-Signature: s=1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_webhook_receiver_keeps_requests_and_answers_as_told() {
    let receiver = WebhookReceiver::start();
    receiver.answer_next(&[503, 429]);
    for status in ["503", "429", "200"] {
        assert!(post(&receiver, "{\"n\":1}").starts_with(&format!("HTTP/1.1 {status} ")));
    }
    let requests = receiver.requests();
    assert_eq!(requests.iter().map(|r| r.status).collect::<Vec<_>>(), [503, 429, 200]);
    let first = &requests[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/hook?a=1"));
    assert_eq!(
        (first.headers["x-signature"].as_str(), first.body.as_slice()),
        ("s=1", b"{\"n\":1}".as_slice())
    );
    let port = receiver.port();
    drop(receiver);
    wait_until(BOUND, "the receiver's port to close", |_| http::get(port, "/").is_err().then_some(()));
}
