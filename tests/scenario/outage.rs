//! A collector that is away, silent, or not itself: the agent keeps everything, tries again at growing
//! distances, says since when and why, and delivers all of it once when the collector is back.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tenken_collector::pki::Pki;
use tenken_common::{
    ack::Ack,
    envelope::Envelope,
    id::{Epoch, Hash, Nonce, Seq},
    key::SecretKey,
    time::{Clock, SystemClock},
};
use tenken_tests::{Bed, BedPlan, Home, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(40);
const EVERY_SECOND: &str = "cpu = \"1s\"\ndisk = \"1s\"\nmemory = \"1s\"\nnetwork = \"1s\"\n\
    clock = \"1s\"\nuptime = \"1s\"\nsensors = \"1s\"\nservices = \"1s\"\n";

fn plan() -> BedPlan {
    let push = "[push]\ninterval = \"1s\"\nreport = \"1s\"\nretry_first = \"100ms\"\nretry_max = \"1s\"\ntimeout = \"1s\"\n";
    BedPlan { agent: format!("{push}[probes.intervals]\n{EVERY_SECOND}"), ..BedPlan::default() }
}

/// What `tenken-agent status --json` says, once `good` says so of it.
pub fn status_when(
    bed: &Bed,
    home: &Home,
    what: &str,
    good: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    wait_until(BOUND, what, |state| {
        let output = bed.agent(home, &["status", "--json"]);
        // There is none before the first cycle.
        let text = output.status.success().then(|| stdout(&output))?;
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        state.clone_from(&text);
        good(&status).then_some(status)
    })
}

/// Something that is not the collector, on its port; gone when dropped.
struct Impostor {
    port: u16,
    stopped: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn start(port: u16, mut answer: impl FnMut(TcpStream, &mut Vec<TcpStream>) + Send + 'static) -> Self {
        // A program that another test starts just now may hold the last one's socket until it runs.
        let listener = wait_until(BOUND, "the port", |_| TcpListener::bind(("127.0.0.1", port)).ok());
        let (stopped, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stopped), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if until.load(Ordering::SeqCst) {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                answer(stream.unwrap(), &mut held);
            }
        });
        Self { port, stopped, asked, thread: Some(thread) }
    }

    /// Over TLS with the collector's own certificate: this to every request.
    fn over_tls(port: u16, config: Arc<ServerConfig>, status: u16, body: Vec<u8>) -> Self {
        Self::start(port, move |stream, _| {
            // An agent that hangs up sees for itself.
            let _ = answer_once(stream, &config, status, &body);
        })
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|e| e.is_ok()) || std::thread::panicking());
    }
}

fn answer_once(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    status: u16,
    body: &[u8],
) -> Result<(), std::io::Error> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let session = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(session, stream));
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// An acknowledgement of everything, by a key that is not the collector's.
fn forged_ack(home: &Home) -> Vec<u8> {
    let ack = Ack {
        device: home.device.parse().unwrap(),
        epoch: Epoch(1),
        acked_seq: Seq(1_000_000),
        hash: Hash::ZERO,
        server: SystemClock::new().wall(),
        echo_nonce: Nonce([0; 16]),
        position: 1,
        log_root: Hash::ZERO,
        retry_after_s: 0,
        need_seq: None,
    };
    Envelope::seal(&ack, &SecretKey::generate().unwrap()).unwrap().to_bytes()
}

fn text<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or("")
}

fn number(value: &serde_json::Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// The agent fails for this reason, by its own status, while it records on and hardly tries.
fn fails(bed: &Bed, home: &Home, why: &str, impostor: Option<&Impostor>) -> serde_json::Value {
    let failing = |s: &serde_json::Value| {
        text(s, "/delivery/state") == "failing" && text(s, "/delivery/why").contains(why)
    };
    let first = status_when(bed, home, &format!("{why:?} in the status"), failing);
    let (records, asked) = (number(&first, "/spool/last_record"), impostor.map_or(0, Impostor::asked));
    let later = status_when(bed, home, "two more seconds of records", |s| {
        failing(s) && number(s, "/spool/last_record") >= records + 14
    });
    let tries = impostor.map_or(0, Impostor::asked) - asked;
    assert!(tries < 40, "{why}: {tries} tries in about two seconds");
    assert!(number(&later, "/delivery/failures") > 0);
    assert_ne!(text(&later, "/delivery/since"), "");
    later
}

/// All that may stand in the collector's place, one after the other.
fn endure(bed: &Bed, home: &Home) {
    let pki = Pki::load(&bed.dir().join("collector/pki")).unwrap();
    let config = Arc::new(pki.device_tls(SystemClock::new()).unwrap());
    let port = bed.device_port;
    let away = fails(bed, home, "cannot be reached", None);
    let (since, acked) = (text(&away, "/delivery/since").to_owned(), number(&away, "/spool/acked_batches"));

    let silent = Impostor::start(port, |stream, held| held.push(stream));
    fails(bed, home, "no answer in time", Some(&silent));
    drop(silent);
    let garbage = Impostor::start(port, |mut stream, _| {
        // It may have hung up already.
        let _ = stream.write_all(&[0x5a; 4096]);
    });
    fails(bed, home, "cannot be reached: ", Some(&garbage));
    drop(garbage);
    for (status, body, why) in [
        (200, b"ok".to_vec(), "not signed"),
        (200, forged_ack(home), "not signed"),
        (200, vec![0x91; 100_000], "larger than"),
        (403, vec![], "HTTP 403"),
        (410, b"<html>gone</html>".to_vec(), "HTTP 410"),
        (302, vec![], "HTTP 302"),
    ] {
        let impostor = Impostor::over_tls(port, Arc::clone(&config), status, body);
        let status = fails(bed, home, why, Some(&impostor));
        assert_eq!(text(&status, "/delivery/since"), since, "one outage, whatever the reasons");
        assert_eq!(number(&status, "/spool/acked_batches"), acked, "{why}: nothing was let go");
    }
}

/// With the collector back: all there, once. The agent is started anew with long intervals, so
/// that there is an end to what is to be delivered.
fn all_arrives(bed: &Bed, home: &Home) {
    let slow = fs::read_to_string(&home.config).unwrap();
    let slow = slow.replace(EVERY_SECOND, &EVERY_SECOND.replace("\"1s\"", "\"1h\""));
    fs::write(&home.config, slow.replace("report = \"1s\"", "report = \"1h\"")).unwrap();
    let agent = bed.start_agent(home);
    bed.device_when(home, "every record once", |row| {
        let output = bed.agent(home, &["status", "--json"]);
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { return false };
        let last = number(&status, "/spool/last_record");
        last > 0
            && row["records"] == last
            && row["gaps"] == 0
            && row["missing_runs"] == 0
            && number(&status, "/spool/waiting") == 0
            && number(&status, "/spool/in_flight") == 0
            && text(&status, "/delivery/state") == "ok"
    });
    drop(agent);
}

#[test]
fn a_collector_that_was_not_there_yet() {
    let bed = Bed::new(plan());
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    collector.terminate();
    assert!(collector.wait(BOUND).success());

    let mut agent = bed.start_agent(&home);
    endure(&bed, &home);
    let collector = bed.start_collector();
    status_when(&bed, &home, "delivery again", |s| text(s, "/delivery/state") == "ok");
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    all_arrives(&bed, &home);
    drop(collector);
}

#[test]
fn a_collector_that_went_away() {
    let bed = Bed::new(plan());
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    status_when(&bed, &home, "acknowledged batches", |s| number(s, "/spool/acked_batches") >= 2);
    collector.kill();

    endure(&bed, &home);
    // The agent is stopped while the collector is away: what it holds survives that too.
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    let collector = bed.start_collector();
    all_arrives(&bed, &home);
    drop(collector);
}
