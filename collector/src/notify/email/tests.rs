//! Tests of mail against a tiny SMTP responder.

use super::*;
use crate::notify::{NotifyConfig, example};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};

/// Speaks SMTP on loopback: answers each `RCPT` with `rcpt`, keeps all lines.
async fn responder(rcpt: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            talk(stream, rcpt, &keep).await;
        }
    });
    (port, lines)
}

async fn talk<S: AsyncRead + AsyncWrite>(stream: S, rcpt: &str, keep: &Mutex<Vec<String>>) {
    let (read, mut write) = tokio::io::split(stream);
    let mut read = BufReader::new(read).lines();
    write.write_all(b"220 test\r\n").await.unwrap();
    let mut in_message = false;
    while let Ok(Some(line)) = read.next_line().await {
        let answer = match line.get(..4).unwrap_or("") {
            _ if in_message && line != "." => "",
            "EHLO" => "250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
            "RCPT" => rcpt,
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        in_message = answer.starts_with("354") || (in_message && line != ".");
        keep.lock().unwrap().push(line);
        if write.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
    }
}

fn outlet(port: u16, encryption: &str) -> EmailOutlet {
    let text = format!(
        "[[email]]\nname = 'desk'\nserver = '127.0.0.1'\nport = {port}\nencryption = '{encryption}'\n\
         from = 'rsc@example.jp'\nto = ['desk@example.jp']\ntimeout = '5s'"
    );
    let config: NotifyConfig = tenken_common::config::parse(&text).unwrap();
    EmailOutlet::new(&config.email[0], Some("desk@example.jp")).unwrap()
}

fn deliver(outlet: &EmailOutlet) -> impl Future<Output = Result<(), DeliveryError>> {
    let notice = example::notice();
    async move { outlet.deliver(notice.id(), std::slice::from_ref(&notice), None).await }
}

#[tokio::test]
async fn a_mail_is_marked_and_a_repeat_is_the_same_mail() {
    let (port, lines) = responder("250 ok\r\n").await;
    let outlet = outlet(port, "none");
    deliver(&outlet).await.unwrap();
    deliver(&outlet).await.unwrap();

    let lines = lines.lock().unwrap();
    let messages: Vec<&[String]> =
        lines.split(|l| l == "DATA").skip(1).map(|rest| rest.split(|l| l == ".").next().unwrap()).collect();
    let [first, second] = messages.as_slice() else { panic!("two messages: {lines:?}") };
    assert_eq!(first, second);
    let has = |text: &str| first.iter().any(|l| l == text);
    assert!(has(&format!("Message-ID: <{}@example.jp>", example::notice().id())), "{first:?}");
    assert!(has("Auto-Submitted: auto-generated") && has("To: desk@example.jp"), "{first:?}");
    assert!(has("Date: Sun, 22 Nov 2026 23:05:30 +0000"), "{first:?}");
    assert!(has("Content-Type: text/plain; charset=utf-8"), "{first:?}");
    assert!(first.iter().any(|l| l.starts_with("Subject: =?utf-8?b?")), "{first:?}");
    assert!(lines.iter().any(|l| l.starts_with("RCPT TO:<desk@example.jp>")));
}

#[tokio::test]
async fn a_refusal_is_for_good_or_for_now() {
    let (port, _lines) = responder("550 5.1.1 nobody of that name\r\n").await;
    let error = deliver(&outlet(port, "none")).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Refused { status: 550, .. }), "{error}");
    assert!(!error.is_retryable() && error.to_string().contains("nobody of that name"), "{error}");

    let (port, _lines) = responder("451 4.7.1 greylisted\r\n").await;
    let error = deliver(&outlet(port, "none")).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Deferred { status: 451, .. }), "{error}");

    let (port, _lines) = responder("535 5.7.8 who are you\r\n").await;
    assert!(deliver(&outlet(port, "none")).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn without_the_promised_encryption_nothing_is_sent() {
    let (port, lines) = responder("250 ok\r\n").await;
    let error = deliver(&outlet(port, "starttls")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(!lines.lock().unwrap().iter().any(|l| l.starts_with("MAIL") || l == "DATA"));
}

#[tokio::test]
async fn a_private_server_is_trusted_by_its_own_authority_only() {
    let home = tempfile::tempdir().unwrap();
    let clock = tenken_common::time::SystemClock::new();
    let now = tenken_common::time::Clock::wall(&clock);
    let pki = crate::pki::Pki::create(&home.path().join("pki"), &["localhost".to_owned()], now).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pki.open_tls(clock).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, "250 ok\r\n", &keep).await;
            }
        }
    });
    let password = home.path().join("password");
    std::fs::write(&password, "hush\n").unwrap();
    let text = format!(
        "[[email]]\nname = 'desk'\nserver = 'localhost'\nport = {port}\nencryption = 'tls'\n\
         username = 'rsc'\npassword_file = '{}'\nca_file = '{}'\n\
         from = 'rsc@example.jp'\nto = ['desk@example.jp']\ntimeout = '5s'",
        password.display(),
        home.path().join("pki/000001/root.pem").display()
    );
    let mut config: NotifyConfig = tenken_common::config::parse(&text).unwrap();
    let trusting = EmailOutlet::new(&config.email[0], Some("desk@example.jp")).unwrap();
    deliver(&trusting).await.unwrap();
    // RFC 4616: base64 of NUL "rsc" NUL "hush".
    assert!(lines.lock().unwrap().iter().any(|l| l == "AUTH PLAIN AHJzYwBodXNo"));

    config.email[0].ca_file = None;
    let distrusting = EmailOutlet::new(&config.email[0], Some("desk@example.jp")).unwrap();
    let error = deliver(&distrusting).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
}
