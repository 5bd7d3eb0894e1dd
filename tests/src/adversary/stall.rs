//! Slowloris, at every step of a connection to the real listeners: peers that say nothing, or a
//! byte now and then, or do not take what they asked for.
//!
//! Holds: each is closed within [`CLOSED_WITHIN`] of the step that it stalls, however many there
//! are, and meanwhile an honest device is served.

use super::{
    device::{Device, Door, TlsStream},
    draw::Draw,
    tally::Tally,
};
use crate::{Bed, BedPlan, wait::let_pass};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};
use tenken_common::{
    time::{Clock as _, Monotonic, SystemClock},
    tls,
};

pub const CLOSED_WITHIN: Duration = Duration::from_secs(15);
/// Between two bytes of one that drips.
const DRIP: Duration = Duration::from_millis(700);
/// An honest device is answered within this, whatever else goes on.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(20);

/// Before TLS, or inside it.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// How it stalls.
enum Manner {
    /// Says nothing more.
    Silent,
    /// Says a byte now and then.
    Drip(VecDeque<u8>, Monotonic),
    /// Asks this again and again, from the place where it is, and never reads.
    Deaf(Vec<u8>, usize),
}

struct Staller {
    what: &'static str,
    wire: Wire,
    manner: Manner,
    /// When the step began that it stalls.
    since: Monotonic,
    closed_after: Option<Duration>,
}

/// `n` peers of each kind at once.
pub fn stalls(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let clock = SystemClock::new();
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut honest = Device::of(&home.state, bed.device_port);
    honest.push(&mut draw);
    let mut tally = Tally::default();

    let open = tls::client(&honest.enrolled.roots(), None, clock.clone()).unwrap();
    let open = Door::new(bed.enroll_port, open);
    let mut stallers: Vec<Staller> = (0..n).flat_map(|_| kinds(&bed, &honest, &open, &clock)).collect();
    let started = clock.mono();
    let mut last_push = started;
    while stallers.iter().any(|s| s.closed_after.is_none())
        && clock.mono().saturating_since(started) < CLOSED_WITHIN * 3
    {
        for staller in stallers.iter_mut().filter(|s| s.closed_after.is_none()) {
            staller.go_on(clock.mono());
        }
        if clock.mono().saturating_since(last_push) > Duration::from_millis(500) {
            last_push = clock.mono();
            // On a new connection, as a device that comes just now.
            honest.door = Device::of(&home.state, bed.device_port).door;
            honest.push(&mut draw);
            let took = clock.mono().saturating_since(last_push);
            tally.count(
                "an honest device meanwhile",
                (took > SERVED_WITHIN).then(|| format!("waited {took:?}")),
            );
        }
        let_pass(PACE);
    }
    for staller in stallers {
        let effect = match staller.closed_after {
            Some(after) if after <= CLOSED_WITHIN => None,
            other => Some(format!("closed after {other:?}")),
        };
        tally.count(staller.what, effect);
    }
    tally.hold("an honest device meanwhile", collector.is_running(), || "the collector ended".into());
    tally
}

fn kinds(bed: &Bed, device: &Device, open: &Door, clock: &SystemClock) -> Vec<Staller> {
    let hello = client_hello(device);
    let half = hello.len() / 2;
    let plain = || Wire::Plain(TcpStream::connect(("127.0.0.1", bed.device_port)).unwrap());
    let inside = || Wire::Tls(Box::new(shaken(device.door.connect().unwrap())));
    let outside = || Wire::Tls(Box::new(shaken(open.connect().unwrap())));
    let head = "POST /v1/batch HTTP/1.1\r\nhost: localhost\r\n";
    let body = format!("{head}content-length: 1000\r\n\r\n");
    let whole = format!("{head}content-length: 0\r\n\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let asked = "GET /v1/trust HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let long = "x".repeat(500);
    let staller = |what, mut wire: Wire, at_once: &[u8], manner| {
        match &mut wire {
            Wire::Plain(stream) => stream.write_all(at_once).unwrap(),
            Wire::Tls(stream) => stream.write_all(at_once).and_then(|()| stream.flush()).unwrap(),
        }
        let staller = Staller { what, wire, manner, since: clock.mono(), closed_after: None };
        staller.socket().set_nonblocking(true).unwrap();
        staller
    };
    let drip = |bytes: &[u8]| Manner::Drip(bytes.iter().copied().collect(), Monotonic(0));
    let silent = || Manner::Silent;
    let half_body = format!("{body}{long}");
    let enroll = body.replace("batch", "enroll");
    let chunks = "1\r\nx\r\n".repeat(50);
    vec![
        staller("TLS hello: silent", plain(), b"", silent()),
        staller("TLS hello: half", plain(), &hello[..half], silent()),
        staller("TLS hello: a byte now and then", plain(), b"", drip(&hello)),
        staller(
            "TLS hello: a byte now and then, from the middle",
            plain(),
            &hello[..half],
            drip(&hello[half..]),
        ),
        staller("head: none", inside(), b"", silent()),
        staller("head: half", inside(), head.as_bytes(), silent()),
        staller("head: a byte now and then", inside(), head.as_bytes(), drip(long.as_bytes())),
        staller("head: none after an answer", inside(), whole.as_bytes(), silent()),
        staller("head: half, at the open door", outside(), head.as_bytes(), silent()),
        staller("body: none", inside(), body.as_bytes(), silent()),
        staller("body: half", inside(), half_body.as_bytes(), silent()),
        staller("body: a byte now and then", inside(), body.as_bytes(), drip(long.as_bytes())),
        staller("body: a chunk now and then", inside(), chunked.as_bytes(), drip(chunks.as_bytes())),
        staller(
            "body: a byte now and then, at the open door",
            outside(),
            enroll.as_bytes(),
            drip(long.as_bytes()),
        ),
        staller("answer: not taken", outside(), b"", Manner::Deaf(asked.as_bytes().to_vec(), 0)),
    ]
}

/// What a TLS client says first.
fn client_hello(device: &Device) -> Vec<u8> {
    let config = tls::client(&device.enrolled.roots(), None, SystemClock::new()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

/// Through the handshake.
fn shaken(mut stream: TlsStream) -> TlsStream {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.flush().unwrap();
    stream
}

impl Staller {
    /// Sends what is due, and looks whether it was closed.
    fn go_on(&mut self, now: Monotonic) {
        let closed = match &mut self.manner {
            Manner::Silent => is_closed(&mut self.wire),
            Manner::Drip(left, next_at) => {
                let due = now >= *next_at;
                let byte = if due { left.pop_front() } else { None };
                if due {
                    *next_at = now.plus(DRIP);
                }
                let sent = byte.is_none_or(|byte| write(&mut self.wire, &[byte]).is_ok());
                !sent || is_closed(&mut self.wire)
            }
            Manner::Deaf(request, at) => loop {
                match write(&mut self.wire, &request[*at..]) {
                    Ok(0) => break false,
                    Ok(written) => {
                        *at = (*at + written) % request.len();
                        self.since = now;
                    }
                    Err(e) => break e.kind() != ErrorKind::WouldBlock,
                }
            },
        };
        if closed {
            self.closed_after = Some(now.saturating_since(self.since));
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }
}

/// Without waiting; what does not go out now is not taken.
fn write(wire: &mut Wire, part: &[u8]) -> Result<usize, std::io::Error> {
    match wire {
        Wire::Plain(stream) => stream.write(part),
        Wire::Tls(stream) => {
            // What waits inside the session first, so that nothing grows there.
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock)?;
            }
            let written = stream.conn.writer().write(part)?;
            match stream.conn.write_tls(&mut stream.sock) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
                Ok(_) | Err(_) => Ok(written),
            }
        }
    }
}

fn is_closed(wire: &mut Wire) -> bool {
    let stream = match wire {
        Wire::Plain(stream) => stream,
        Wire::Tls(stream) => &mut stream.sock,
    };
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}
