//! A man in the middle: a TLS server in the collector's place, with a certificate that the device
//! trusts (here: under the collector's own root), that reads every request and answers what it
//! likes.
//!
//! Holds: one port, a thread for each connection; every request goes to one answerer, in turn.

use crate::wait::wait_until;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{Error, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tenken_common::{ack::NONCE_HEADER, id::Nonce};

/// How long a connection may be silent before its thread looks whether to end.
const PACE: Duration = Duration::from_millis(100);
const BIND_WITHIN: Duration = Duration::from_secs(10);

/// What a device asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST /v1/batch`.
    pub line: String,
    pub nonce: Nonce,
    pub body: Vec<u8>,
}

/// What it is told.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

type Answerer = dyn FnMut(&Request) -> Answer + Send;

/// See the module's head.
pub struct Mitm {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    ended: AtomicU64,
    requests: AtomicU64,
}

impl Mitm {
    pub fn start(
        port: u16,
        config: ServerConfig,
        answer: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> Self {
        let listener = wait_until(BIND_WITHIN, "the collector's port to be free", |state| {
            TcpListener::bind(("127.0.0.1", port)).map_err(|e| *state = e.to_string()).ok()
        });
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let answer: Arc<Mutex<Answerer>> = Arc::new(Mutex::new(answer));
        let (stopped, counted, config) = (Arc::clone(&stop), Arc::clone(&counts), Arc::new(config));
        let thread = std::thread::spawn(move || {
            let mut open: Vec<std::thread::JoinHandle<()>> = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                // One that ended keeps its stack until it is joined.
                let (ended, going): (Vec<_>, Vec<_>) =
                    open.into_iter().partition(std::thread::JoinHandle::is_finished);
                open = going;
                for thread in ended {
                    thread.join().expect("no connection panics");
                }
                let (answer, config) = (Arc::clone(&answer), Arc::clone(&config));
                let (stop, counts) = (Arc::clone(&stopped), Arc::clone(&counted));
                open.push(std::thread::spawn(move || {
                    // A connection that breaks has broken: the device comes again.
                    let _ = serve(stream, config, &answer, &stop, &counts);
                    counts.ended.fetch_add(1, Ordering::SeqCst);
                }));
            }
            for thread in open {
                thread.join().expect("no connection panics");
            }
        });
        Self { stop, counts, port, thread: Some(thread) }
    }

    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Connections that have ended, mostly by the device's refusal of a certificate.
    pub fn ended(&self) -> u64 {
        self.counts.ended.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Mitm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept; whether it succeeds does not matter.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the man in the middle ended with a panic");
        }
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &Mutex<Answerer>,
    stop: &AtomicBool,
    counts: &Counts,
) -> Result<(), Error> {
    counts.connections.fetch_add(1, Ordering::SeqCst);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PACE))?;
    let session = ServerConnection::new(config).map_err(Error::other)?;
    let mut tls = StreamOwned::new(session, stream);
    let mut pending = Vec::new();
    loop {
        match read_request(&mut tls, &mut pending, stop) {
            Ok(Some(request)) => {
                counts.requests.fetch_add(1, Ordering::SeqCst);
                let said = answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)(&request);
                let head =
                    format!("HTTP/1.1 {} Said\r\ncontent-length: {}\r\n\r\n", said.status, said.body.len());
                tls.write_all(&[head.as_bytes(), &said.body].concat())?;
                tls.flush()?;
                // A device that asks without a pause does not keep it open.
                if stop.load(Ordering::SeqCst) {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// The next request; `pending` keeps what came after it. None at the end.
fn read_request(tls: &mut Tls, pending: &mut Vec<u8>, stop: &AtomicBool) -> Result<Option<Request>, Error> {
    let head_end = loop {
        if let Some(end) = pending.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if !read_some(tls, pending, stop)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&pending[..head_end]).into_owned();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let length: usize = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    while pending.len() < head_end + 4 + length {
        if !read_some(tls, pending, stop)? {
            return Ok(None);
        }
    }
    let body = pending[head_end + 4..head_end + 4 + length].to_vec();
    pending.drain(..head_end + 4 + length);
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let nonce = header(NONCE_HEADER).and_then(|v| v.parse().ok()).unwrap_or(Nonce([0; 16]));
    Ok(Some(Request { line, nonce, body }))
}

/// False at the end of the connection, or where the server is to stop.
fn read_some(tls: &mut Tls, pending: &mut Vec<u8>, stop: &AtomicBool) -> Result<bool, Error> {
    let mut part = [0; 16 * 1024];
    loop {
        match tls.read(&mut part) {
            Ok(n) => {
                pending.extend_from_slice(&part[..n]);
                return Ok(n > 0);
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                if stop.load(Ordering::SeqCst) {
                    return Ok(false);
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}
