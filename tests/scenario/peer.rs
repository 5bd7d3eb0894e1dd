//! A device's side of the wire, spoken by hand so that it can be spoken wrongly: TLS with the identity
//! that a real enrollment gave, one request a connection, batches made as an agent makes them.

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    collections::BTreeMap,
    io::{Error, Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tenken_agent::identity::{self, Enrolled};
use tenken_common::{
    ack::{Ack, Reject},
    batch::Batch,
    category::Category,
    envelope::{Envelope, Payload},
    id::{BootId, DeviceId, Epoch, Hash, Name, RecId, Seq},
    observation::{Body, Class, Observation, Record, Sample},
    time::{Clock, ClockQuality, SystemClock},
    tls,
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};
use tenken_tests::http;

const PATIENCE: Duration = Duration::from_secs(10);

/// An enrolled device that no agent runs for.
pub struct Peer {
    pub enrolled: Enrolled,
    port: u16,
    clock: SystemClock,
    boot: BootId,
    /// The chain as far as the collector acknowledged it.
    pub seq: Seq,
    pub prev: Hash,
    next_record: u64,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Peer {
    pub fn of(state: &Path, port: u16) -> Self {
        let enrolled = identity::load(state).unwrap();
        let clock = SystemClock::new();
        let (boot, prev) = (clock.now().boot, enrolled.genesis);
        Self { enrolled, port, clock, boot, seq: Seq(0), prev, next_record: 1 }
    }

    /// The next batch of this device's chain: one record.
    pub fn next(&self) -> Batch {
        let mut at = self.clock.now();
        at.boot = self.boot;
        let quantity = Quantity::new(name("used_ratio"), Unit::Ratio, 0.5).unwrap();
        let body = Body::Sample(Sample { probe: name("disk"), quantities: vec![quantity] });
        let observation = Observation { at, category: Category::Disk, subject: name("root"), body };
        Batch {
            device: self.enrolled.device,
            epoch: self.enrolled.epoch,
            seq: self.seq.next(),
            prev: self.prev,
            at,
            clock: ClockQuality::UNKNOWN,
            agent_version: "0.1.0".into(),
            class: Class::Ordinary,
            records: vec![Record { id: RecId(self.next_record), observation }],
            gaps: vec![],
        }
    }

    /// Signed by this device's key, whatever it says.
    pub fn sealed(&self, batch: Batch) -> Vec<u8> {
        let received = ReceivedBatch { batch, unknown: vec![] };
        Envelope::seal(&received, &self.enrolled.device_key).unwrap().to_bytes()
    }

    /// Any bytes as a batch's body, signed by this device's key.
    pub fn sealed_body(&self, body: Vec<u8>) -> Vec<u8> {
        Envelope::seal_bytes(ReceivedBatch::TYPE, body, &self.enrolled.device_key).to_bytes()
    }

    /// Sends a good batch, which must be acknowledged; gives what was sent.
    pub fn push(&mut self) -> Vec<u8> {
        let bytes = self.sealed(self.next());
        let reply = self.post(&[], &bytes).unwrap();
        let ack = self.ack(&reply);
        let hash = Hash::of(Envelope::from_bytes(&bytes).unwrap().body());
        assert_eq!((ack.acked_seq, ack.hash, ack.need_seq), (self.seq.next(), hash, None));
        self.go_on(&ack);
        bytes
    }

    /// Its last batch is acknowledged: the next one has another record.
    pub fn go_on(&mut self, ack: &Ack) {
        (self.seq, self.prev, self.next_record) = (ack.acked_seq, ack.hash, self.next_record + 1);
    }

    pub fn ack(&self, reply: &Reply) -> Ack {
        assert_eq!(reply.status, 200, "{reply:?}");
        let key = self.enrolled.trust.ack_key().unwrap();
        Envelope::from_bytes(&reply.body).unwrap().open::<Ack>(&key).unwrap().into_inner()
    }

    /// The signed reject in an answer, if there is one.
    pub fn reject(&self, reply: &Reply) -> Option<Reject> {
        let key = self.enrolled.trust.ack_key().unwrap();
        let envelope = Envelope::from_bytes(&reply.body).ok()?;
        if envelope.payload_type() != Reject::TYPE {
            return None;
        }
        Some(envelope.open::<Reject>(&key).unwrap().into_inner())
    }

    /// Posts a batch with this device's own certificate.
    pub fn post(&self, headers: &[&str], body: &[u8]) -> Result<Reply, Error> {
        let length = format!("Content-Length: {}", body.len());
        self.request("POST /v1/batch", &[headers, &[&length]].concat(), body)
    }

    /// A request as it is: `head` without version and line end.
    pub fn request(&self, head: &str, headers: &[&str], body: &[u8]) -> Result<Reply, Error> {
        request(self.connect(Some(self.enrolled.tls.clone()))?, head, headers, body)
    }

    /// A connection that shows this certificate. TLS 1.3 tells a client that it was refused
    /// only when it reads.
    pub fn connect(
        &self,
        identity: Option<tls::Identity>,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, Error> {
        let config = tls::client(&self.enrolled.roots(), identity, self.clock.clone()).unwrap();
        let server = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), server).map_err(Error::other)?;
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(StreamOwned::new(session, stream))
    }
}

pub fn request(
    mut stream: StreamOwned<ClientConnection, TcpStream>,
    head: &str,
    headers: &[&str],
    body: &[u8],
) -> Result<Reply, Error> {
    let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
    let head = format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    // A server that has seen enough answers and closes; what it said is what counts.
    let written =
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that answered and closed need not say goodbye.
        Err(e) if answer.is_empty() => return written.and(Err(e)),
        Ok(_) | Err(_) => {}
    }
    parse(&answer).ok_or_else(|| Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&answer))))
}

/// Sends the first part of a request and hangs up.
pub fn hang_up(mut stream: StreamOwned<ClientConnection, TcpStream>, part: &[u8]) -> Result<(), Error> {
    stream.write_all(part)?;
    stream.flush()?;
    stream.sock.shutdown(Shutdown::Both)
}

fn parse(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, body: answer[end + 4..].to_vec() })
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Some other device's id.
pub fn nobody() -> DeviceId {
    DeviceId([0xab; 16])
}

/// One epoch before or after.
pub fn epoch(number: u32) -> Epoch {
    Epoch(number)
}

/// Counters of the collector whose names begin with `prefix`, with their labels; without zeros.
pub fn counters(metrics_port: u16, prefix: &str) -> BTreeMap<String, u64> {
    let text = http::get(metrics_port, "/metrics").unwrap().body;
    let lines = text.lines().filter(|line| line.starts_with(prefix));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).filter(|(_, n)| *n > 0).collect()
}
