//! Tests of the listener: real TLS over loopback, small deadlines.

use super::*;
use crate::{ingest::verify::Known, pki::Pki, store::model::DeviceStatus};
use axum::{Extension, routing::get, routing::post};
use http_body_util::BodyExt;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
};
use std::{net::SocketAddr, sync::Mutex};
use tenken_common::{
    id::DeviceId,
    time::{Clock, SystemClock, Timestamp},
    tls::{self, Identity},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

const DEADLINE: Duration = Duration::from_millis(200);
/// No test waits longer for anything.
const BOUND: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Seen {
    events: Mutex<Vec<String>>,
    changed: tokio::sync::Notify,
}

impl Seen {
    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
        self.changed.notify_one();
    }

    async fn wait_for(&self, event: &str) {
        let seen = async {
            while !self.events.lock().unwrap().iter().any(|e| e == event) {
                self.changed.notified().await;
            }
        };
        let in_time = timeout(BOUND, seen).await;
        assert!(in_time.is_ok(), "no `{event}` in {:?}", self.events.lock().unwrap());
    }
}

impl ListenerObserver for Seen {
    fn connected(&self) {
        self.note("connected".to_owned());
    }
    fn closed(&self) {
        self.note("closed".to_owned());
    }
    fn handshake_refused(&self, reason: HandshakeRefusal) {
        self.note(reason.as_str().to_owned());
    }
    fn over_limit(&self) {
        self.note("over_limit".to_owned());
    }
    fn turned_out(&self) {
        self.note("turned_out".to_owned());
    }
}

struct Running {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    pki: Pki,
    home: tempfile::TempDir,
    served: watch::Sender<Served>,
    guests: watch::Sender<Arc<Directory>>,
}

/// `mark` stands before every answer of `/mark`.
fn router(mark: &'static str) -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/slow", get(slow))
        .route("/body", post(read_all))
        .route("/mark", get(move || async move { mark }))
}

fn limits() -> ListenerLimits {
    ListenerLimits {
        handshake: DEADLINE,
        head: DEADLINE,
        body: DEADLINE,
        answer: DEADLINE,
        shutdown: DEADLINE,
        connections_max: 2,
    }
}

async fn slow() {
    std::future::pending::<()>().await;
}

async fn read_all(request: Request) -> String {
    match request.into_body().collect().await {
        Ok(body) => format!("{} bytes", body.to_bytes().len()),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            let mut texts = vec![error.to_string()];
            let mut source = error.source();
            while let Some(inner) = source {
                texts.push(inner.to_string());
                source = inner.source();
            }
            texts.join(": ")
        }
    }
}

async fn whoami(Extension(peer): Extension<PeerIdentity>) -> String {
    peer.certificate.map_or_else(|| "nobody".to_owned(), |c| c.to_string())
}

/// Which listener.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Devices,
    Enrollment,
    Plain,
}

async fn start(kind: Kind, limits: ListenerLimits) -> Running {
    let home = tempfile::tempdir().unwrap();
    let clock = SystemClock::new();
    let pki = Pki::create(&home.path().join("pki"), &["localhost".to_owned()], clock.wall()).unwrap();
    let config = match kind {
        Kind::Devices => Some(Arc::new(pki.device_tls(clock).unwrap())),
        Kind::Enrollment => Some(Arc::new(pki.open_tls(clock).unwrap())),
        Kind::Plain => None,
    };
    let served = watch::channel(Served { tls: config, router: router("") }).0;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let (stop, stopped) = oneshot::channel();
    let observer: Arc<dyn ListenerObserver> = seen.clone();
    let guests = watch::channel(Arc::default()).0;
    let task =
        tokio::spawn(serve(listener, served.subscribe(), guests.subscribe(), limits, observer, async {
            let _ = stopped.await;
        }));
    Running { address, seen, stop, task, pki, home, served, guests }
}

fn device(pki: &Pki, at: Timestamp) -> (Identity, Hash) {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    let issued = pki.issue(csr.der(), DeviceId([7; 16]), at).unwrap();
    let chain = issued.chain_der.into_iter().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    (Identity { chain, key }, issued.leaf_sha256)
}

fn client(server: &Pki, identity: Option<Identity>) -> ClientConfig {
    tls::client(std::slice::from_ref(server.root()), identity, SystemClock::new()).unwrap()
}

/// Sends `request` and reads until the server closes; a refusal arrives as an error here.
async fn exchange(address: SocketAddr, config: ClientConfig, request: &str) -> io::Result<String> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    timeout(BOUND, stream.read_to_string(&mut text)).await.expect("the server ends it in time")?;
    Ok(text)
}

const WHOAMI: &str = "GET /whoami HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_device_is_known_by_its_certificate() {
    let running = start(Kind::Devices, limits()).await;
    let (identity, leaf) = device(&running.pki, SystemClock::new().wall());
    let answer = exchange(running.address, client(&running.pki, Some(identity)), WHOAMI).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&leaf.to_string()), "{answer}");
    running.seen.wait_for("closed").await;
}

#[tokio::test]
async fn an_enrolling_agent_needs_the_roots_hash_only() {
    let running = start(Kind::Enrollment, limits()).await;
    let pinned = |root| tls::client_pinned_by_hash(root).unwrap();
    let answer = exchange(running.address, pinned(running.pki.root_sha256()), WHOAMI).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("nobody"), "{answer}");
    assert!(exchange(running.address, pinned(Hash([1; 32])), WHOAMI).await.is_err());
}

#[tokio::test]
async fn every_refused_handshake_has_its_reason() {
    let running = start(Kind::Devices, limits()).await;
    let now = SystemClock::new().wall();
    let stranger = start(Kind::Devices, limits()).await;

    let none = client(&running.pki, None);
    assert!(exchange(running.address, none, WHOAMI).await.is_err());
    running.seen.wait_for("no_client_certificate").await;

    let foreign = client(&running.pki, Some(device(&stranger.pki, now).0));
    assert!(exchange(running.address, foreign, WHOAMI).await.is_err());
    running.seen.wait_for("unknown_ca").await;

    let long_ago = now.minus(tenken_common::limit::DEVICE_CERTIFICATE_LIFE * 2);
    let expired = client(&running.pki, Some(device(&running.pki, long_ago).0));
    assert!(exchange(running.address, expired, WHOAMI).await.is_err());
    running.seen.wait_for("expired_certificate").await;

    let server = tls::Identity { ..server_identity(&running) };
    let wrong_use = client(&running.pki, Some(server));
    assert!(exchange(running.address, wrong_use, WHOAMI).await.is_err());
    running.seen.wait_for("bad_certificate").await;

    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(WHOAMI.as_bytes()).await.unwrap();
    running.seen.wait_for("not_tls").await;

    let _silent = TcpStream::connect(running.address).await.unwrap();
    running.seen.wait_for("handshake_timeout").await;

    let distrusting = client(&stranger.pki, Some(device(&running.pki, now).0));
    assert!(exchange(running.address, distrusting, WHOAMI).await.is_err());
    running.seen.wait_for("handshake_other").await;
    assert!(!running.seen.events.lock().unwrap().iter().any(|e| e == "connected"));
}

/// The server's own certificate, which is good but not for a client.
fn server_identity(running: &Running) -> Identity {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
    let text = std::fs::read(running.home.path().join("pki/000001/server.pem")).unwrap();
    Identity {
        chain: CertificateDer::pem_slice_iter(&text).map(Result::unwrap).collect(),
        key: PrivateKeyDer::from_pem_slice(&text).unwrap(),
    }
}

async fn plain(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(BOUND, stream.read_to_string(&mut text)).await.expect("the server ends it in time").unwrap();
    text
}

#[tokio::test]
async fn a_head_or_body_that_stalls_is_cut_off() {
    let running = start(Kind::Plain, limits()).await;
    let answer = plain(running.address, "GET /whoami HTTP/1.1\r\nhost: local").await;
    assert!(!answer.contains("200"), "{answer}");
    running.seen.wait_for("closed").await;

    let half = "POST /body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345";
    let answer = plain(running.address, half).await;
    assert!(answer.contains("did not come in time"), "{answer}");
    let whole = format!("{half}67890").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    assert!(plain(running.address, &whole).await.ends_with("10 bytes"));
    assert!(plain(running.address, WHOAMI).await.ends_with("nobody"));
}

#[tokio::test]
async fn who_asks_and_never_reads_is_cut_off() {
    let running = start(Kind::Plain, limits()).await;
    let mut deaf = TcpStream::connect(running.address).await.unwrap();
    let asked = "GET /whoami HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    let on_and_on = async { while deaf.write_all(asked.as_bytes()).await.is_ok() {} };
    timeout(BOUND, on_and_on).await.expect("the server ends it");
    running.seen.wait_for("closed").await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let patient = ListenerLimits { head: BOUND, ..limits() };
    let running = start(Kind::Plain, patient).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    let _second = TcpStream::connect(running.address).await.unwrap();
    let third = plain(running.address, "").await;
    assert_eq!(third, "");
    running.seen.wait_for("over_limit").await;

    drop(first);
    running.seen.wait_for("closed").await;
    // The place is free a moment after the report.
    let in_time = timeout(BOUND, async {
        loop {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            let mut text = String::new();
            if stream.write_all(WHOAMI.as_bytes()).await.is_ok()
                && stream.read_to_string(&mut text).await.is_ok()
                && text.ends_with("nobody")
            {
                break;
            }
        }
    });
    in_time.await.expect("a place became free");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_at_once_and_stuck_ones_at_the_deadline() {
    let patient = ListenerLimits { head: BOUND, ..limits() };
    let running = start(Kind::Plain, patient).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    let mut stuck = TcpStream::connect(running.address).await.unwrap();
    stuck.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    running.seen.wait_for("connected").await;
    running.stop.send(()).unwrap();
    let mut nothing = Vec::new();
    timeout(BOUND, idle.read_to_end(&mut nothing)).await.expect("idle ones end").unwrap();
    timeout(BOUND, running.task).await.expect("serve returns").unwrap();
    // The stuck one is cut: closed or reset, but not left hanging.
    assert!(timeout(BOUND, stuck.read_to_end(&mut nothing)).await.is_ok());
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}

fn guests(leaf: Hash, status: DeviceStatus) -> Arc<Directory> {
    let id = DeviceId([7; 16]);
    let key = tenken_common::key::SecretKey::from_seed(&[1; 32]).public();
    Arc::new(Directory::new([Known { id, key, status, retired: None }], [(leaf, id)], 1))
}

/// Connects, and gives the stream with the first bytes written to it.
async fn connected(
    running: &Running,
    identity: Identity,
    request: &str,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let tcp = TcpStream::connect(running.address).await.unwrap();
    let config = Arc::new(client(&running.pki, Some(identity)));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_revoked_devices_connections_are_cut_idle_or_in_the_middle() {
    let patient = ListenerLimits { head: BOUND, body: BOUND, ..limits() };
    let running = start(Kind::Devices, patient).await;
    let (identity, leaf) = device(&running.pki, SystemClock::new().wall());
    running.guests.send_replace(guests(leaf, DeviceStatus::Approved));
    let mut idle = connected(&running, identity.clone(), "").await;
    let mut busy =
        connected(&running, identity, "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12").await;
    running.seen.wait_for("connected").await;
    let revoked = tokio::time::Instant::now();
    running.guests.send_replace(guests(leaf, DeviceStatus::Revoked));
    for stream in [&mut idle, &mut busy] {
        let mut rest = Vec::new();
        // Closed without a word, which TLS calls an error; nothing was answered.
        let _ = timeout(BOUND, stream.read_to_end(&mut rest)).await.expect("it is cut");
        assert!(rest.is_empty(), "{rest:?}");
    }
    assert!(revoked.elapsed() < Duration::from_secs(5));
    running.seen.wait_for("turned_out").await;
}

#[tokio::test]
async fn what_is_served_can_be_replaced_under_open_connections() {
    let patient = ListenerLimits { head: BOUND, ..limits() };
    let running = start(Kind::Plain, patient).await;
    let mut kept = TcpStream::connect(running.address).await.unwrap();
    running.seen.wait_for("connected").await;
    running.served.send_replace(Served { tls: None, router: router("new") });
    let mut rest = Vec::new();
    timeout(BOUND, kept.read_to_end(&mut rest)).await.expect("an idle one is ended").unwrap();
    let mark = WHOAMI.replace("whoami", "mark");
    assert!(plain(running.address, &mark).await.ends_with("new"));
}
