//! A device's side of the wire, spoken by hand so that it can be spoken wrongly: the identity that
//! a real enrollment gave, and connections that carry many requests.

use super::{content, draw::Draw};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io::{Error, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tenken_agent::identity::{self, Enrolled};
use tenken_common::{
    ack::{Ack, NONCE_HEADER, Reject, ResumeRequest},
    batch::Batch,
    category::Category,
    enrollment::HostFacts,
    envelope::{Envelope, Payload, Verified},
    id::{Hash, Name, Nonce, Seq},
    key::PublicKey,
    observation::Class,
    time::{Clock as _, ClockQuality, SystemClock},
    tls,
    wire::v1::ReceivedBatch,
};

/// No peer on loopback takes longer than this, except one that is told to.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Reply {
    /// A message in it that this key signed.
    pub fn signed<T: Payload>(&self, key: &PublicKey) -> Option<T> {
        let envelope = Envelope::from_bytes(&self.body).ok()?;
        envelope.open::<T>(key).ok().map(Verified::into_inner)
    }
}

/// A door of the collector, and what is shown at it; one connection for as long as it holds.
pub struct Door {
    port: u16,
    config: Arc<rustls::ClientConfig>,
    open: Option<TlsStream>,
}

impl Door {
    pub fn new(port: u16, config: rustls::ClientConfig) -> Self {
        Self { port, config: Arc::new(config), open: None }
    }

    pub fn connect(&self) -> Result<TlsStream, Error> {
        let server = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::clone(&self.config), server).map_err(Error::other)?;
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(StreamOwned::new(session, stream))
    }

    /// One request and its answer; on a new connection where the old one has ended meanwhile.
    pub fn post(&mut self, path: &str, nonce: &Nonce, body: &[u8]) -> Result<Reply, Error> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{NONCE_HEADER}: {nonce}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        if let Some(mut stream) = self.open.take()
            && let Ok((reply, more)) = exchange(&mut stream, &request)
        {
            self.open = more.then_some(stream);
            return Ok(reply);
        }
        let mut stream = self.connect()?;
        let (reply, more) = exchange(&mut stream, &request)?;
        self.open = more.then_some(stream);
        Ok(reply)
    }
}

/// Sends a request; the answer, and whether the connection takes another.
pub fn exchange(stream: &mut TlsStream, request: &[u8]) -> Result<(Reply, bool), Error> {
    // A server that has seen enough answers and closes; what it said is what counts.
    let written = stream.write_all(request).and_then(|()| stream.flush());
    match read_reply(stream) {
        Ok(answer) => Ok(answer),
        Err(e) => written.and(Err(e)),
    }
}

fn read_reply(stream: &mut TlsStream) -> Result<(Reply, bool), Error> {
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    let head_end = loop {
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut part)? {
            0 => return Err(Error::other("no answer")),
            n => answer.extend_from_slice(&part[..n]),
        }
    };
    let head = String::from_utf8_lossy(&answer[..head_end]).to_ascii_lowercase();
    let malformed = || Error::other(format!("no answer of HTTP: {head}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(malformed)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or("0").parse().map_err(|_| malformed())?;
    let mut body = answer.split_off(head_end + 4);
    while body.len() < length {
        match stream.read(&mut part)? {
            0 => return Err(Error::other("half an answer")),
            n => body.extend_from_slice(&part[..n]),
        }
    }
    Ok((Reply { status, body }, !head.contains("connection: close")))
}

/// An enrolled device that no agent runs for.
pub struct Device {
    pub enrolled: Enrolled,
    pub door: Door,
    /// The chain as far as the collector acknowledged it.
    pub seq: Seq,
    pub prev: Hash,
    next_record: u64,
}

impl Device {
    pub fn of(state: &Path, port: u16) -> Self {
        let enrolled = identity::load(state).unwrap();
        let config = tls::client(&enrolled.roots(), Some(enrolled.tls.clone()), SystemClock::new()).unwrap();
        let (door, prev) = (Door::new(port, config), enrolled.genesis);
        Self { enrolled, door, seq: Seq(0), prev, next_record: 1 }
    }

    /// The next batch of this device's chain, with one to three records that the consent allows.
    pub fn next(&self, draw: &mut Draw) -> Batch {
        self.after(draw, self.seq, self.prev, self.next_record)
    }

    /// The next links of its chain, in order, sealed.
    pub fn chain(&self, draw: &mut Draw, n: usize) -> Vec<Vec<u8>> {
        let (mut seq, mut prev, mut record) = (self.seq, self.prev, self.next_record);
        let mut links = Vec::with_capacity(n);
        for _ in 0..n {
            let batch = self.after(draw, seq, prev, record);
            record += batch.records.len() as u64;
            let bytes = self.sealed(batch);
            (seq, prev) = (seq.next(), body_hash(&bytes));
            links.push(bytes);
        }
        links
    }

    fn after(&self, draw: &mut Draw, seq: Seq, prev: Hash, record: u64) -> Batch {
        let now = SystemClock::new().now();
        let records = (record..=record + draw.below(3) as u64).map(|id| {
            let mut record = content::record(draw, id);
            record.observation.at = now;
            record.observation.category = Category::Disk;
            record
        });
        let records = records.collect();
        Batch {
            device: self.enrolled.device,
            epoch: self.enrolled.epoch,
            seq: seq.next(),
            prev,
            at: now,
            clock: ClockQuality::UNKNOWN,
            agent_version: "0.1.0".into(),
            class: Class::Ordinary,
            records,
            gaps: vec![],
        }
    }

    pub fn sealed(&self, batch: Batch) -> Vec<u8> {
        let received = ReceivedBatch { batch, unknown: vec![] };
        Envelope::seal(&received, &self.enrolled.device_key).unwrap().to_bytes()
    }

    pub fn ack_key(&self) -> PublicKey {
        self.enrolled.trust.ack_key().unwrap()
    }

    /// Sends bytes as a batch with this device's own certificate.
    pub fn post(&mut self, bytes: &[u8]) -> Result<Reply, Error> {
        self.door.post("/v1/batch", &Nonce([1; 16]), bytes)
    }

    /// Sends a good batch, which must be acknowledged; gives what was sent.
    pub fn push(&mut self, draw: &mut Draw) -> Vec<u8> {
        let bytes = self.sealed(self.next(draw));
        self.deliver(&bytes);
        bytes
    }

    /// Sends the next link, which must be acknowledged.
    pub fn deliver(&mut self, bytes: &[u8]) {
        let reply = self.post(bytes).unwrap();
        let ack = reply.signed::<Ack>(&self.ack_key());
        let ack = ack.unwrap_or_else(|| panic!("{:?} {:?}", reply.status, self.reject(&reply)));
        assert_eq!(ack.need_seq, None, "{ack:?}");
        (self.seq, self.prev) = (ack.acked_seq, ack.hash);
        let sent = ReceivedBatch::decode(Envelope::from_bytes(bytes).unwrap().body()).unwrap();
        self.next_record = sent.record_ids().last().map_or(self.next_record, |id| id.0 + 1);
    }

    pub fn reject(&self, reply: &Reply) -> Option<Reject> {
        reply.signed::<Reject>(&self.ack_key())
    }

    pub fn resume(&self, nonce: Nonce) -> ResumeRequest {
        let word = |text| Name::new(text).unwrap();
        let facts = HostFacts {
            os: word("linux"),
            arch: word("x86_64"),
            agent_version: word("0.1.0"),
            machine: Hash::ZERO,
        };
        ResumeRequest {
            device: self.enrolled.device,
            epoch: self.enrolled.epoch,
            last_seq: self.seq,
            last_hash: self.prev,
            newest_ack: None,
            consent_version: 1,
            facts,
            challenge: None,
            nonce,
        }
    }
}

/// The link's hash.
pub fn body_hash(envelope: &[u8]) -> Hash {
    Hash::of(Envelope::from_bytes(envelope).unwrap().body())
}
