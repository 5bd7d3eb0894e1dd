//! Tests of the webhook against a small receiver on loopback.

use super::*;
use crate::notify::{NotifyConfig, example};
use axum::{Router, extract::Request, http, response::IntoResponse, routing::post};
use http_body_util::BodyExt;
use std::sync::{Arc, Mutex};

type Received = Arc<Mutex<Vec<(http::HeaderMap, Vec<u8>)>>>;

/// Answers every post with `status` and keeps what it got; the URL of it.
async fn receiver(status: u16) -> (String, Received) {
    let received = Received::default();
    let keep = Arc::clone(&received);
    let hook = move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        keep.lock().unwrap().push((parts.headers, body));
        let status = http::StatusCode::from_u16(status).unwrap();
        let headers = [("retry-after", "7200"), ("location", "/elsewhere")];
        (status, headers, "no\nroom").into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(hook)).route("/elsewhere", post(async || "taken"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

fn outlet(url: &str) -> WebhookOutlet {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "hush\n").unwrap();
    let text = format!("[[webhook]]\nname = 'chat'\nurl = '{url}'\nsecret_file = '{}'", secret.display());
    let config: NotifyConfig = tenken_common::config::parse(&text).unwrap();
    WebhookOutlet::new(&config.webhook[0]).unwrap()
}

fn at() -> Timestamp {
    Timestamp::from_secs(1_795_000_000)
}

#[tokio::test]
async fn the_receiver_can_check_who_sent_it_and_tell_a_repeat() {
    let (url, received) = receiver(204).await;
    let outlet = outlet(&url);
    outlet.deliver(&example::notice(), at()).await.unwrap();
    outlet.deliver(&example::notice(), at().plus(Duration::from_mins(1))).await.unwrap();

    let received = received.lock().unwrap();
    let [(first, body), (second, again)] = received.as_slice() else { panic!("two posts") };
    assert_eq!(body, again);
    assert_eq!(first[IDEMPOTENCY_HEADER], example::notice().id().to_string().as_str());
    assert_eq!(first[IDEMPOTENCY_HEADER], second[IDEMPOTENCY_HEADER]);
    for (headers, stamp) in [(first, "1795000000"), (second, "1795000060")] {
        assert_eq!(headers[TIMESTAMP_HEADER], stamp);
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"hush").unwrap();
        mac.update(&[stamp.as_bytes(), b".", body].concat());
        let claimed = headers[SIGNATURE_HEADER].to_str().unwrap().strip_prefix("sha256=").unwrap();
        mac.verify_slice(&tenken_common::id::unhex::<32>(claimed).unwrap()).unwrap();
    }
    let json: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(json["incident"], "INC-1042");
    assert_eq!(json["finding"]["ja"], "ディスク /var は 12/03 に満杯の見込み");
    assert_eq!(json["first_seen"], "2026-11-22T23:05:00Z");
    assert!(json["title"].as_str().unwrap().starts_with("【点検】[重大]"));
}

#[tokio::test]
async fn an_answer_tells_whether_to_try_again() {
    for (status, retryable) in
        [(500, true), (503, true), (429, true), (404, true), (400, false), (410, false)]
    {
        let (url, _received) = receiver(status).await;
        let error = outlet(&url).deliver(&example::notice(), at()).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{status}: {error}");
        assert!(error.to_string().ends_with(&format!("{status}: no room")), "{error}");
        let asked = retryable.then_some(tenken_common::limit::RETRY_AFTER_MAX);
        assert_eq!(error.retry_after(), asked, "bounded");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (url, received) = receiver(307).await;
    let error = outlet(&url).deliver(&example::notice(), at()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused { status: 307, .. }), "{error}");
    assert_eq!(received.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_means_later() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    let error = outlet(&url).deliver(&example::notice(), at()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_private_receiver_is_trusted_by_its_own_authority_only() {
    let home = tempfile::tempdir().unwrap();
    let clock = tenken_common::time::SystemClock::new();
    let now = tenken_common::time::Clock::wall(&clock);
    let dir = home.path().join("pki");
    let pki = crate::pki::Pki::create(&dir, &["localhost".to_owned()], now).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pki.open_tls(clock).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/hook", post(async || "taken"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
        }
    });
    let secret = home.path().join("secret");
    std::fs::write(&secret, "hush").unwrap();
    let mut config = WebhookConfig {
        name: tenken_common::id::Name::new("chat").unwrap(),
        url: format!("https://localhost:{port}/hook"),
        secret_file: tenken_common::config::SecretFile(secret),
        ca_file: Some(dir.join("000001/root.pem")),
        language: Language::En,
        min_severity: tenken_collector_core::desk::notice::Severity::Info,
        only: tenken_collector_core::desk::route::Only::default(),
        timeout: tenken_common::config::HumanDuration(Duration::from_secs(5)),
    };
    {
        let trusting = WebhookOutlet::new(&config).unwrap();
        trusting.deliver(&example::notice(), at()).await.unwrap();
    }
    let other = home.path().join("other");
    crate::pki::Pki::create(&other, &["localhost".to_owned()], now).unwrap();
    config.ca_file = Some(other.join("000001/root.pem"));
    let error = WebhookOutlet::new(&config).unwrap().deliver(&example::notice(), at()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
}
