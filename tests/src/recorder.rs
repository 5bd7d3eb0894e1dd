//! Somebody in the middle who sees everything: ends the agent's TLS with the collector's own
//! certificate, writes down what came, and hands it on with the device's own identity.
//!
//! Holds: what the agent said is written down before it goes any further, also where the recorder
//! then answers "later" in the collector's place.

use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{BufRead, BufReader, Error, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tenken_agent::identity;
use tenken_collector::pki::Pki;
use tenken_common::{
    time::{Clock, SystemClock, Timestamp},
    tls,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// One request as the agent made it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: Timestamp,
    pub path: String,
    pub body: Vec<u8>,
}

/// See the module's head; gone when dropped.
pub struct Recorder {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    heard: Mutex<Vec<Heard>>,
    holding: AtomicBool,
    stopped: AtomicBool,
    tls: Arc<ServerConfig>,
    collector_port: u16,
    state: PathBuf,
}

impl Recorder {
    /// In front of the device listener of a collector with these keys, for the device with this
    /// state folder.
    pub fn start(port: u16, collector_port: u16, pki: &Path, state: &Path) -> Self {
        let tls = Pki::load(pki).unwrap().device_tls(SystemClock::new()).unwrap();
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            holding: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            tls: Arc::new(tls),
            collector_port,
            state: state.to_owned(),
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let accepting = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                // One that hangs up sees for itself.
                std::thread::spawn(move || drop(shared.serve(stream.unwrap())));
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    /// Everything so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Whether batches are answered "later" instead of being handed on.
    pub fn hold(&self, holding: bool) {
        self.shared.holding.store(holding, Ordering::SeqCst);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|e| e.is_ok()) || std::thread::panicking());
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Result<(), Error> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let session = ServerConnection::new(Arc::clone(&self.tls)).map_err(Error::other)?;
        let mut reader = BufReader::new(StreamOwned::new(session, stream));
        let (mut first, mut headers, mut length) = (String::new(), Vec::new(), 0);
        reader.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_owned();
            let lower = line.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(Error::other)?;
            }
            if !lower.starts_with("connection:") {
                headers.push(line);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let heard = Heard { at: SystemClock::new().wall(), path: path.clone(), body: body.clone() };
        self.heard.lock().unwrap().push(heard);
        let answer = if path == "/v1/batch" && self.holding.load(Ordering::SeqCst) {
            b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        } else {
            self.hand_on(&first, &headers, &body)?
        };
        let mut stream = reader.into_inner();
        stream.write_all(&answer)?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    /// The collector's whole answer.
    fn hand_on(&self, first: &str, headers: &[String], body: &[u8]) -> Result<Vec<u8>, Error> {
        let enrolled = identity::load(&self.state).map_err(Error::other)?;
        let config = tls::client(&enrolled.roots(), Some(enrolled.tls.clone()), SystemClock::new())
            .map_err(Error::other)?;
        let server = ServerName::try_from("localhost").map_err(Error::other)?;
        let session = ClientConnection::new(Arc::new(config), server).map_err(Error::other)?;
        let stream = TcpStream::connect(("127.0.0.1", self.collector_port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(session, stream);
        let headers: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        write!(stream, "{}\r\n{headers}Connection: close\r\n\r\n", first.trim_end())?;
        stream.write_all(body)?;
        stream.flush()?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // A server that answered and closed need not say goodbye.
            Err(e) if answer.is_empty() => Err(e),
            Ok(_) | Err(_) => Ok(answer),
        }
    }
}
