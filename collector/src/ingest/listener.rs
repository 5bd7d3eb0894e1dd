//! The collector's own accept loop, for TLS and for plain HTTP on loopback: what `axum::serve`
//! lacks is a deadline for each step of a connection.
//!
//! Holds: a peer that stalls costs one place among `connections_max` for a bounded time: the
//! handshake, the request's head and its body each have their deadline, and so has the taking of
//! an answer. Beyond that number a connection is accepted and closed at once, and counted. Every
//! refusal is reported with its reason. At shutdown, requests under way may end, until the
//! deadline. What is served can be replaced: connections made from then on get the new, older ones
//! end after the request under way. The connection of a device that is not welcome any more is cut,
//! idle or not.
//!
//! Does not: log peers' addresses above DEBUG, or judge a certificate beyond what TLS does.

mod body;
mod patience;
mod refusal;

pub use refusal::HandshakeRefusal;

use super::{PeerIdentity, verify::Directory};
use axum::{Router, body::Body, extract::Request};
use body::DeadlineBody;
use hyper::{server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use patience::Patience;
use rustls::ServerConfig;
use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};
use tenken_common::id::Hash;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// How long each step may take, and how many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    pub handshake: Duration,
    /// For a request's head, also the idle time of a kept-alive connection.
    pub head: Duration,
    /// For a request's body, from the end of its head.
    pub body: Duration,
    /// For a peer to take the next part of an answer.
    pub answer: Duration,
    /// For the requests under way at shutdown.
    pub shutdown: Duration,
    pub connections_max: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(14),
            answer: Duration::from_secs(10),
            shutdown: Duration::from_secs(10),
            connections_max: 20_000,
        }
    }
}

/// What a listener reports.
pub trait ListenerObserver: Send + Sync + 'static {
    /// A connection is ready for requests.
    fn connected(&self);
    /// It ended, however.
    fn closed(&self);
    fn handshake_refused(&self, reason: HandshakeRefusal);
    /// A connection was closed unheard, since there were too many.
    fn over_limit(&self);
    /// A connection was cut, since its device is not welcome any more.
    fn turned_out(&self);
}

/// What a listener serves, and with which keys.
#[derive(Clone)]
pub struct Served {
    /// Without it, plain HTTP: for loopback only.
    pub tls: Option<Arc<ServerConfig>>,
    pub router: Router,
}

impl Served {
    /// For a listener whose content never changes.
    pub fn fixed(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

/// Who may be connected: the devices as they stand.
pub type Guests = watch::Receiver<Arc<Directory>>;

/// A requests' head larger than this is refused.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Wait after the system refused to accept, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is ready, then ends the connections. `guests` are followed on
/// connections that showed a client certificate.
pub async fn serve(
    listener: TcpListener,
    served: watch::Receiver<Served>,
    guests: Guests,
    limits: ListenerLimits,
    observer: Arc<dyn ListenerObserver>,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let (stop, stopped) = watch::channel(false);
    let connection = Connection { served, guests, limits, observer, stopped };
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_peer(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connection.observer.over_limit();
            continue;
        };
        let connection = connection.clone();
        open.spawn(async move {
            connection.run(stream).await;
            drop(place);
        });
    }
    drop(listener);
    // Every connection holds a receiver or has ended; either is fine.
    let _ = stop.send(true);
    let ended = timeout(limits.shutdown, async { while open.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!(connections = open.len(), "connections cut at shutdown");
        open.shutdown().await;
    }
}

/// Whether an accept failed for that peer's sake only.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the accept loop is gone: the same thing.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Completes when something else is served than when the connection was made.
async fn replaced(served: &mut watch::Receiver<Served>) {
    if served.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Completes when the device of this certificate is not welcome any more.
async fn unwelcome(guests: &mut Guests, certificate: Option<Hash>) {
    let Some(certificate) = certificate else { return std::future::pending().await };
    // A certificate that nobody owns is judged at each request.
    let turned_out = |now: &Arc<Directory>| {
        now.certificate_owner(&certificate).is_some_and(|device| !now.is_welcome(device))
    };
    if guests.wait_for(turned_out).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Connection {
    served: watch::Receiver<Served>,
    guests: Guests,
    limits: ListenerLimits,
    observer: Arc<dyn ListenerObserver>,
    stopped: watch::Receiver<bool>,
}

/// Reports the end of a connection also when its task is cut off.
struct Counted<'a>(&'a dyn ListenerObserver);

impl<'a> Counted<'a> {
    fn new(observer: &'a dyn ListenerObserver) -> Self {
        observer.connected();
        Self(observer)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        // Answers are small; without this each waits for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let Served { tls, router } = self.served.borrow_and_update().clone();
        let Some(acceptor) = tls.map(TlsAcceptor::from) else {
            return self.requests(stream, router, PeerIdentity { certificate: None }).await;
        };
        let mut stopped = self.stopped.clone();
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake, acceptor.accept(stream)) => handshake,
            () = asked_to_stop(&mut stopped) => return,
        };
        let reason = match handshake {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let leaf = session.peer_certificates().and_then(<[_]>::first);
                let peer = PeerIdentity { certificate: leaf.map(|c| Hash::of(c)) };
                return self.requests(stream, router, peer).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake refused");
                HandshakeRefusal::of(&error)
            }
            Err(_) => HandshakeRefusal::Timeout,
        };
        self.observer.handshake_refused(reason);
    }

    async fn requests<S>(&mut self, stream: S, router: Router, peer: PeerIdentity)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _counted = Counted::new(self.observer.as_ref());
        let inner = TowerToHyperService::new(router);
        let deadline = self.limits.body;
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request: Request = request.map(|b| Body::new(DeadlineBody::new(b, deadline)));
            request.extensions_mut().insert(peer);
            inner.call(request)
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patience::new(stream, self.limits.answer)), service);
        let mut http = pin!(http);
        let last_request = async {
            tokio::select! {
                () = asked_to_stop(&mut self.stopped) => {}
                () = replaced(&mut self.served) => {}
            }
        };
        let served = async {
            tokio::select! {
                ended = http.as_mut() => ended,
                () = last_request => {
                    http.as_mut().graceful_shutdown();
                    http.await
                }
            }
        };
        tokio::select! {
            ended = served => if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            },
            () = unwelcome(&mut self.guests, peer.certificate) => self.observer.turned_out(),
        }
    }
}

#[cfg(test)]
mod tests;
