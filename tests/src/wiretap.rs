//! A man in the middle who only listens: it ends TLS with a certificate of its own, carries all
//! of it on to the collector, and keeps every byte that the client's side wrote.
//!
//! Holds: each connection is kept apart, once as it came over the line and once as it was inside
//! of TLS, so nothing that was written is seen in pieces only.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread::JoinHandle,
};
use tenken_common::{
    id::Hash,
    time::SystemClock,
    tls::{self, Identity},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What one connection's client wrote.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub line: Vec<u8>,
    pub plain: Vec<u8>,
}

type Tape = Arc<Mutex<Vec<Heard>>>;

/// See the module's head.
pub struct Wiretap {
    pub port: u16,
    /// SHA-256 of the root that a client has to trust to be heard.
    pub root: Hash,
    tape: Tape,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wiretap {
    /// Listens on a port of its own, in front of the collector's at `upstream`.
    pub fn start(upstream: u16, upstream_root: Hash) -> Self {
        let (identity, root) = own_identity();
        let server = tls::server(identity, None, SystemClock::new()).expect("a fresh certificate serves");
        let client = tls::client_pinned_by_hash(upstream_root).expect("TLS 1.3 is there");
        let (acceptor, connector) =
            (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has free ports");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (stop, stopped) = oneshot::channel();
        let tape = Tape::default();
        let kept = Arc::clone(&tape);
        let listen = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector, tape) = (acceptor.clone(), connector.clone(), Arc::clone(&kept));
                // A connection that breaks has broken: the client comes again.
                tokio::spawn(async move { relay(stream, &acceptor, &connector, upstream, tape).await.ok() });
            }
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listen => {}
                    // A sender that is gone means the same.
                    _ = stopped => {}
                }
            });
        });
        Self { port, root, tape, stop: Some(stop), thread: Some(thread) }
    }

    /// All connections so far.
    pub fn heard(&self) -> Vec<Heard> {
        locked(&self.tape).clone()
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in it has been printed.
            let _ = thread.join();
        }
    }
}

fn locked(tape: &Mutex<Vec<Heard>>) -> MutexGuard<'_, Vec<Heard>> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own_identity() -> (Identity, Hash) {
    let root_key = KeyPair::generate().expect("the system has random bytes");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key).expect("a root signs itself").der().clone();
    let issuer = Issuer::new(params, root_key);
    let key = KeyPair::generate().expect("the system has random bytes");
    let names = CertificateParams::new(["localhost".to_owned()]).expect("a host name");
    let leaf = names.signed_by(&key, &issuer).expect("the root signs").der().clone();
    let hash = Hash::of(&root);
    let chain: Vec<CertificateDer<'static>> = vec![leaf, root];
    (Identity { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }, hash)
}

async fn relay(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
    upstream: u16,
    tape: Tape,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let number = {
        let mut tape = locked(&tape);
        tape.push(Heard::default());
        tape.len() - 1
    };
    let client = acceptor.accept(Line { stream, tape: Arc::clone(&tape), number }).await?;
    let name = ServerName::try_from("localhost").expect("a host name");
    let tcp = TcpStream::connect(("127.0.0.1", upstream)).await?;
    tcp.set_nodelay(true)?;
    let server = connector.connect(name, tcp).await?;
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let up = async {
        let mut part = vec![0; 16 * 1024];
        loop {
            let n = from_client.read(&mut part).await?;
            let Some(said) = part.get(..n).filter(|said| !said.is_empty()) else { break };
            if let Some(heard) = locked(&tape).get_mut(number) {
                heard.plain.extend_from_slice(said);
            }
            to_server.write_all(said).await?;
            to_server.flush().await?;
        }
        to_server.shutdown().await
    };
    let down = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(up, down).map(drop)
}

/// The line to the client; what is read from it goes onto the tape.
struct Line {
    stream: TcpStream,
    tape: Tape,
    number: usize,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let number = self.number;
        if let Some(heard) = locked(&self.tape).get_mut(number) {
            heard.line.extend(buf.filled().iter().skip(before));
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
