//! A hospital's proxy, real enough to be in the way: CONNECT with Basic authentication, and on
//! demand opening TLS to inspect it.
//!
//! Holds: it listens on loopback and connects to loopback only, whatever name it is asked for; it
//! goes away when dropped. Does not: keep what it sees, besides where it was sent.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use std::{
    io::Error,
    net::TcpListener as StdListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tenken_common::{
    time::SystemClock,
    tls::{self, Identity},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, copy_bidirectional, split},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a proxy lets pass of a connection before it dies, where it is told to: more than a TLS
/// handshake, less than a batch.
const DIES_AFTER: u64 = 2_500;

struct State {
    /// The header that it wants to see.
    credentials: Option<String>,
    acceptor: Option<TlsAcceptor>,
    dying: AtomicBool,
    tunnels: AtomicU64,
    cut: AtomicU64,
    ports: Mutex<Vec<u16>>,
    stop: Notify,
}

/// See the module's head.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// On a free port. `credentials` are what stands after `Basic `.
    pub fn start(credentials: Option<&str>) -> Self {
        Self::run(crate::free_port(), credentials, None)
    }

    /// The same on a port that it had before.
    pub fn start_at(port: u16, credentials: Option<&str>) -> Self {
        Self::run(port, credentials, None)
    }

    /// One that inspects; gives the certificate of its authority, PEM.
    pub fn inspecting() -> (Self, String) {
        let (acceptor, authority) = inspector();
        (Self::run(crate::free_port(), None, Some(acceptor)), authority)
    }

    fn run(port: u16, credentials: Option<&str>, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = StdListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State {
            credentials: credentials.map(|c| format!("proxy-authorization: Basic {c}")),
            acceptor,
            dying: AtomicBool::new(false),
            tunnels: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            ports: Mutex::default(),
            stop: Notify::new(),
        });
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, shared.clone()) => {}
                    () = shared.stop.notified() => {}
                }
            });
        });
        Self { port, state, thread: Some(thread) }
    }

    /// Whether connections break off in the middle of a request from now on.
    pub fn dying(&self, dying: bool) {
        self.state.dying.store(dying, Ordering::SeqCst);
    }

    /// Connections that it broke off.
    pub fn cut(&self) -> u64 {
        self.state.cut.load(Ordering::SeqCst)
    }

    /// Connections that it made.
    pub fn tunnels(&self) -> u64 {
        self.state.tunnels.load(Ordering::SeqCst)
    }

    /// To which ports, each once.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports = self.state.ports.lock().unwrap().clone();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            // A connection that breaks is what this is for.
            let _ = tunnel(stream, &state).await;
        });
    }
}

async fn tunnel(mut client: TcpStream, state: &State) -> Result<(), Error> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(port) = target.and_then(|t| t.rsplit(':').next()?.parse::<u16>().ok()) else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    };
    let allowed =
        state.credentials.as_ref().is_none_or(|wanted| head.lines().any(|l| l.eq_ignore_ascii_case(wanted)));
    if !allowed {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
            proxy-authenticate: Basic realm=\"hospital\"\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(refusal).await;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    state.tunnels.fetch_add(1, Ordering::SeqCst);
    state.ports.lock().unwrap().push(port);
    match &state.acceptor {
        None => pass(client, server, state).await,
        Some(acceptor) => {
            let client = acceptor.accept(client).await?;
            let config = tls::client_unjudged().map_err(Error::other)?;
            let name = ServerName::try_from("localhost").map_err(Error::other)?;
            let server = TlsConnector::from(Arc::new(config)).connect(name, server).await?;
            pass(client, server, state).await
        }
    }
}

async fn pass<A, B>(mut client: A, mut server: B, state: &State) -> Result<(), Error>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    if !state.dying.load(Ordering::SeqCst) {
        return copy_bidirectional(&mut client, &mut server).await.map(drop);
    }
    let (from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let mut first = from_client.take(DIES_AFTER);
    tokio::select! {
        _ = copy(&mut first, &mut to_server) => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
    state.cut.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// TLS as `localhost` by an authority of its own, whose certificate comes with it.
fn inspector() -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let pem = authority.pem();
    let issuer = Issuer::from_ca_cert_der(authority.der(), authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let identity = Identity {
        chain: vec![leaf.der().clone()],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    };
    (TlsAcceptor::from(Arc::new(tls::server(identity, None, SystemClock::new()).unwrap())), pem)
}
