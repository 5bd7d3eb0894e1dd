//! Bad input at the collector's door: each is refused for its own reason, counted, without effect,
//! and the next good batch is taken.

use crate::peer::{Peer, Reply, counters, epoch, hang_up, nobody, request};
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use tenken_collector::pki::Pki;
use tenken_common::{
    ack::RejectReason,
    codec,
    envelope::{Envelope, Payload},
    id::{Hash, Seq},
    key::SecretKey,
    limit,
    time::{Clock, SystemClock, Timestamp},
    tls::Identity,
    wire::v1::ReceivedBatch,
};
use tenken_tests::{Bed, BedPlan, Home, Process, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(10);
const REFUSED: &str = "tenken_ingest_refused_total{reason=\"";

/// A serving collector and two enrolled devices that no agent runs for.
struct Stage {
    bed: Bed,
    collector: Process,
    homes: [Home; 2],
}

impl Stage {
    fn new() -> Self {
        let bed = Bed::new(BedPlan::default());
        let collector = bed.start_collector();
        let homes = ["ct-1", "ct-2"].map(|label| bed.enroll(label));
        Self { bed, collector, homes }
    }

    fn peer(&self, index: usize) -> Peer {
        Peer::of(&self.homes[index].state, self.bed.device_port)
    }

    fn refusals(&self, reason: &str) -> u64 {
        let name = format!("{REFUSED}{reason}\"}}");
        counters(self.bed.metrics_port, &name).get(&name).copied().unwrap_or(0)
    }

    fn all_refusals(&self) -> u64 {
        counters(self.bed.metrics_port, REFUSED).values().sum()
    }

    fn handshakes(&self, reason: &str) -> u64 {
        let name = format!("tenken_handshakes_refused_total{{listener=\"device\",reason=\"{reason}\"}}");
        counters(self.bed.metrics_port, &name).get(&name).copied().unwrap_or(0)
    }

    /// Batches and records stored, by device.
    fn stored(&self) -> Vec<(String, u64, u64)> {
        let list = self.bed.listing(&["device", "list"]);
        let count = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap();
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| (row["device"].to_string(), count(row, "batches"), count(row, "records"))).collect()
    }

    /// One bad request: answered so, counted once under its reason and under no other, nothing
    /// stored; and a good batch after it is taken.
    fn refuses(
        &mut self,
        good: &mut Peer,
        what: &str,
        reason: RejectReason,
        send: impl FnOnce(&Peer) -> Reply,
    ) {
        let (stored, count, all) = (self.stored(), self.refusals(reason.as_str()), self.all_refusals());
        let reply = send(good);
        assert_eq!(reply.status, status_of(reason), "{what}");
        assert_eq!(self.refusals(reason.as_str()), count + 1, "{what}: {}", reason.as_str());
        assert_eq!(self.all_refusals(), all + 1, "{what}: counted under one reason only");
        assert_eq!(self.stored(), stored, "{what}: nothing stored");
        if let Some(reject) = good.reject(&reply) {
            assert_eq!(reject.reason, reason.code(), "{what}");
        }
        good.push();
        assert!(self.collector.is_running(), "{what}");
    }
}

/// What the router documents.
fn status_of(reason: RejectReason) -> u16 {
    match reason {
        RejectReason::Malformed => 400,
        RejectReason::UnknownKey | RejectReason::BadSignature => 401,
        RejectReason::WrongDevice
        | RejectReason::WrongIdentity
        | RejectReason::Revoked
        | RejectReason::Unenrolled => 403,
        RejectReason::StaleEpoch | RejectReason::Fork | RejectReason::Quarantined => 409,
        RejectReason::TooLarge => 413,
        RejectReason::ContentEncoding => 415,
        RejectReason::BadContent => 422,
        // Answered by an acknowledgement that names what is needed.
        RejectReason::Hole => 200,
    }
}

fn posted(bytes: &[u8]) -> impl FnOnce(&Peer) -> Reply {
    move |peer| peer.post(&[], bytes).unwrap()
}

fn position(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|w| w == needle).unwrap()
}

#[test]
fn altered_and_malformed_batches() {
    let mut stage = Stage::new();
    let mut ct1 = stage.peer(0);
    ct1.push();

    let good = ct1.sealed(ct1.next());
    let body = Envelope::from_bytes(&good).unwrap().body().to_vec();
    let (body_at, type_at) = (position(&good, &body), position(&good, ReceivedBatch::TYPE.as_bytes()));
    let altered = [
        ("the array's length", 0, RejectReason::Malformed),
        ("the version", 1, RejectReason::Malformed),
        ("the type", type_at + 5, RejectReason::Malformed),
        ("the first byte of the body", body_at, RejectReason::BadSignature),
        ("a byte within the body", body_at + body.len() / 2, RejectReason::BadSignature),
        ("the key's id", good.len() - 70, RejectReason::UnknownKey),
        ("the first byte of the signature", good.len() - 64, RejectReason::BadSignature),
        ("the last byte of the signature", good.len() - 1, RejectReason::BadSignature),
    ];
    for (what, at, reason) in altered {
        // The same batch each time: in another one the places would be others.
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        stage.refuses(&mut ct1, what, reason, posted(&bytes));
    }

    // Another key, under its own id and under the device's.
    let stranger = SecretKey::generate().unwrap();
    let forged = |peer: &Peer| {
        let received = ReceivedBatch { batch: peer.next(), unknown: vec![] };
        Envelope::seal(&received, &stranger).unwrap().to_bytes()
    };
    let bytes = forged(&ct1);
    stage.refuses(&mut ct1, "a key that nobody knows", RejectReason::UnknownKey, posted(&bytes));
    let mut bytes = forged(&ct1);
    let at = position(&bytes, stranger.public().id().as_bytes());
    bytes[at..at + 8].copy_from_slice(ct1.enrolled.device_key.public().id().as_bytes());
    stage.refuses(&mut ct1, "another key under the device's id", RejectReason::BadSignature, posted(&bytes));

    let whole = ct1.sealed(ct1.next());
    for (what, bytes) in [
        ("nothing", vec![]),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("all but a byte", whole[..whole.len() - 1].to_vec()),
        ("a byte too much", [whole.as_slice(), &[0]].concat()),
        ("two at once", [whole.as_slice(), &whole].concat()),
        ("deep nesting", vec![0x91; 200_000]),
        ("an array that claims four billion elements", vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("text", b"hello, is this the collector?".to_vec()),
    ] {
        stage.refuses(&mut ct1, what, RejectReason::Malformed, posted(&bytes));
    }

    // Signed by the device, and still not to be read.
    let deep = codec::compress(&[0x91; 100]).unwrap();
    let trailing = [zstd_of(&ct1, &[]), zstd_of(&ct1, &[0])];
    let bomb = zstd::bulk::compress(&vec![0u8; 200_000_000], 19).unwrap();
    assert!(bomb.len() < limit::BODY_BYTES_MAX);
    for (what, body) in [
        ("a zstd bomb", bomb),
        ("a body that is no zstd", b"\x28\xb5\x2f\xfd garbage".to_vec()),
        ("deep nesting inside", deep),
        ("an empty body", vec![]),
        ("a byte too much inside", trailing[1].clone()),
        ("half of the body", trailing[0][..trailing[0].len() / 2].to_vec()),
    ] {
        let bytes = ct1.sealed_body(body);
        stage.refuses(&mut ct1, what, RejectReason::BadContent, posted(&bytes));
    }
    let mut zero = ct1.next();
    zero.seq = Seq(0);
    let bytes = ct1.sealed(zero);
    stage.refuses(&mut ct1, "seq 0, which no chain has", RejectReason::BadContent, posted(&bytes));
}

/// The next batch's plain form, with something after it, compressed.
fn zstd_of(peer: &Peer, after: &[u8]) -> Vec<u8> {
    let received = ReceivedBatch { batch: peer.next(), unknown: vec![] };
    let plain = codec::decompress(&received.encode().unwrap()).unwrap();
    codec::compress(&[plain.as_slice(), after].concat()).unwrap()
}

#[test]
fn requests_that_no_agent_makes() {
    let mut stage = Stage::new();
    let mut ct1 = stage.peer(0);
    ct1.push();
    let whole = ct1.sealed(ct1.next());

    for coding in ["gzip", "zstd", "identity"] {
        let header = format!("Content-Encoding: {coding}");
        let send = |peer: &Peer| peer.post(&[&header], &whole).unwrap();
        stage.refuses(&mut ct1, &header, RejectReason::ContentEncoding, send);
    }
    // Announced too large: refused before a byte of it is read.
    let announced = format!("Content-Length: {}", limit::ENVELOPE_BYTES_MAX + 1);
    let send = |peer: &Peer| peer.request("POST /v1/batch", &[&announced], b"").unwrap();
    stage.refuses(&mut ct1, "an announced body over the cap", RejectReason::TooLarge, send);
    // Not announced: refused at the cap.
    let mut chunk = format!("{:x}\r\n", limit::ENVELOPE_BYTES_MAX + 1).into_bytes();
    chunk.resize(chunk.len() + limit::ENVELOPE_BYTES_MAX + 1, 0x91);
    let send = |peer: &Peer| peer.request("POST /v1/batch", &["Transfer-Encoding: chunked"], &chunk).unwrap();
    stage.refuses(&mut ct1, "a chunked body over the cap", RejectReason::TooLarge, send);
    let resume = format!("Content-Length: {}", limit::MESSAGE_BYTES_MAX + 1);
    let send = |peer: &Peer| peer.request("POST /v1/resume", &[&resume], b"").unwrap();
    stage.refuses(&mut ct1, "a resume over its cap", RejectReason::TooLarge, send);
    // At the cap, and no envelope: it is read whole.
    let full = vec![0xc0; limit::ENVELOPE_BYTES_MAX];
    stage.refuses(&mut ct1, "a body of the cap's size", RejectReason::Malformed, posted(&full));

    // Hanging up in the middle leaves nothing behind.
    let stored = stage.stored();
    let before = stage.refusals("malformed");
    let part =
        format!("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", whole.len());
    let stream = ct1.connect(Some(ct1.enrolled.tls.clone())).unwrap();
    hang_up(stream, &[part.as_bytes(), &whole[..whole.len() / 2]].concat()).unwrap();
    wait_until(BOUND, "the broken request to be counted", |_| {
        (stage.refusals("malformed") == before + 1).then_some(())
    });
    assert_eq!(stage.stored(), stored);
    ct1.push();

    let large = format!("X-Large: {}", "x".repeat(40_000));
    for (what, head, headers, status) in [
        ("an unknown path", "POST /v1/command", vec![], 404),
        ("another method", "GET /v1/batch", vec![], 405),
        ("enrollment at the wrong door", "POST /v1/enroll", vec![], 404),
        ("a head over 16 KiB", "POST /v1/batch", vec![large.as_str()], 431),
    ] {
        let reply = ct1.request(head, &[headers.as_slice(), &["Content-Length: 0"]].concat(), b"").unwrap();
        assert_eq!(reply.status, status, "{what}");
        ct1.push();
    }
}

#[test]
fn identities_and_certificates() {
    let mut stage = Stage::new();
    let (mut ct1, mut ct2) = (stage.peer(0), stage.peer(1));
    ct1.push();
    ct2.push();

    let mut foreign = ct1.next();
    (foreign.device, foreign.seq, foreign.prev) = (ct2.enrolled.device, ct2.next().seq, ct2.prev);
    let bytes = ct1.sealed(foreign);
    stage.refuses(&mut ct1, "another device in the body", RejectReason::WrongDevice, posted(&bytes));
    let mut foreign = ct1.next();
    foreign.device = nobody();
    let bytes = ct1.sealed(foreign);
    stage.refuses(&mut ct1, "nobody's device in the body", RejectReason::WrongDevice, posted(&bytes));
    ct2.push();

    // The body is good, the connection is another device's.
    let bytes = ct2.sealed(ct2.next());
    stage.refuses(&mut ct1, "another device's certificate", RejectReason::WrongIdentity, posted(&bytes));
    ct2.push();
    // Of the right root, but never issued in an enrollment.
    let pki = Pki::load(&stage.bed.dir().join("collector/pki")).unwrap();
    let now = SystemClock::new().wall();
    let unrecorded = issued(&pki, &ct1, now);
    let send = |peer: &Peer| {
        let bytes = peer.sealed(peer.next());
        let length = format!("Content-Length: {}", bytes.len());
        request(peer.connect(Some(unrecorded)).unwrap(), "POST /v1/batch", &[&length], &bytes).unwrap()
    };
    stage.refuses(&mut ct1, "a certificate of no enrollment", RejectReason::WrongIdentity, send);

    let stored = stage.stored();
    let expired = issued(&pki, &ct1, now.minus(limit::DEVICE_CERTIFICATE_LIFE * 2));
    let early = issued(&pki, &ct1, now.plus(limit::DEVICE_CERTIFICATE_LIFE));
    for (what, reason, identity) in [
        ("no certificate", "no_client_certificate", None),
        ("an unknown root", "unknown_ca", Some(self_made(ct1.enrolled.device.to_string()))),
        ("a certificate of last year", "expired_certificate", Some(expired)),
        ("a certificate of next month", "expired_certificate", Some(early)),
    ] {
        let before = stage.handshakes(reason);
        let bytes = ct1.sealed(ct1.next());
        let length = format!("Content-Length: {}", bytes.len());
        let answer = request(ct1.connect(identity).unwrap(), "POST /v1/batch", &[&length], &bytes);
        assert!(answer.is_err(), "{what}: {answer:?}");
        wait_until(BOUND, what, |state| {
            *state = format!("{:?}", counters(stage.bed.metrics_port, "tenken_handshakes_refused"));
            (stage.handshakes(reason) == before + 1).then_some(())
        });
        ct1.push();
    }
    let grown: u64 = stage.stored().iter().zip(&stored).map(|(now, then)| now.1 - then.1).sum();
    assert_eq!(grown, 4, "only the good batches");

    let before = stage.handshakes("not_tls");
    let mut plain = TcpStream::connect(("127.0.0.1", stage.bed.device_port)).unwrap();
    plain.set_read_timeout(Some(BOUND)).unwrap();
    plain.write_all(b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It may be reset or closed; what counts is that nothing of HTTP comes back.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    wait_until(BOUND, "plain HTTP to be counted", |_| {
        (stage.handshakes("not_tls") == before + 1).then_some(())
    });
    ct1.push();

    // Revoked while it is sending: within a second nothing more is taken. Its connections are cut;
    // a request that comes through all the same is refused, signed.
    stdout(&stage.bed.collector(&["device", "revoke", &stage.homes[1].device]));
    wait_until(Duration::from_secs(1), "the revocation to hold", |_| {
        let bytes = ct2.sealed(ct2.next());
        let Ok(reply) = ct2.post(&[], &bytes) else { return Some(()) };
        if reply.status == 200 {
            let ack = ct2.ack(&reply);
            ct2.go_on(&ack);
            return None;
        }
        assert_eq!(reply.status, 403);
        assert_eq!(ct2.reject(&reply).unwrap().reason, RejectReason::Revoked.code());
        Some(())
    });
    let turned_out: u64 = counters(stage.bed.metrics_port, "tenken_connections_turned_out").values().sum();
    assert!(turned_out + stage.refusals("revoked") >= 1, "it is counted");
    let bytes = ct2.sealed(ct2.next());
    assert!(!ct2.post(&[], &bytes).is_ok_and(|reply| reply.status == 200), "and it stays so");
    ct1.push();
}

/// A certificate under the collector's root for this device, without an enrollment.
fn issued(pki: &Pki, peer: &Peer, at: Timestamp) -> Identity {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    let issued = pki.issue(csr.der(), peer.enrolled.device, at).unwrap();
    identity(issued.chain_der, &key)
}

/// A certificate under a root that somebody made.
fn self_made(device: String) -> Identity {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Somebody's root");
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, device);
    leaf.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    identity(vec![leaf.der().to_vec()], &key)
}

fn identity(chain: Vec<Vec<u8>>, key: &KeyPair) -> Identity {
    Identity {
        chain: chain.into_iter().map(CertificateDer::from).collect(),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    }
}

#[test]
fn the_chain_cannot_be_repeated_skipped_or_split() {
    let mut stage = Stage::new();
    let (mut ct1, mut ct2) = (stage.peer(0), stage.peer(1));
    let first = ct1.push();
    let second = ct1.push();

    // The same bytes again, also after later ones: acknowledged as far as it is, no effect.
    let stored = stage.stored();
    for bytes in [&second, &first, &first] {
        let ack = ct1.ack(&ct1.post(&[], bytes).unwrap());
        assert_eq!((ack.acked_seq, ack.hash), (Seq(2), ct1.prev));
    }
    assert_eq!(stage.stored(), stored);
    let duplicates = counters(stage.bed.metrics_port, "tenken_ingest_duplicates_total");
    assert_eq!(duplicates["tenken_ingest_duplicates_total"], 3);

    let mut skipping = ct1.next();
    skipping.seq = Seq(9);
    let bytes = ct1.sealed(skipping);
    stage.refuses(&mut ct1, "a link too far", RejectReason::Hole, |peer| {
        let reply = peer.post(&[], &bytes).unwrap();
        assert_eq!(peer.ack(&reply).need_seq, Some(Seq(3)));
        reply
    });
    let mut past = ct1.next();
    past.epoch = epoch(0);
    let bytes = ct1.sealed(past);
    stage.refuses(&mut ct1, "an epoch that is over", RejectReason::StaleEpoch, posted(&bytes));
    // An epoch to come may mean that this collector was restored: no reason to drop anything.
    let mut ahead = ct1.next();
    ahead.epoch = epoch(2);
    let bytes = ct1.sealed(ahead);
    let reply = ct1.post(&[], &bytes).unwrap();
    assert_eq!((reply.status, reply.body.len()), (409, 0));
    ct1.push();

    // Another writer with the same identity: the device is in quarantine, the others are not.
    let mut other = ct1.next();
    (other.seq, other.prev) = (Seq(2), Hash::of(b"another history"));
    let bytes = ct1.sealed(other);
    let stored = stage.stored();
    let reply = ct1.post(&[], &bytes).unwrap();
    assert_eq!((reply.status, ct1.reject(&reply).unwrap().reason), (409, RejectReason::Fork.code()));
    let good = ct1.sealed(ct1.next());
    let reply = ct1.post(&[], &good).unwrap();
    assert_eq!((reply.status, ct1.reject(&reply).unwrap().reason), (409, RejectReason::Quarantined.code()));
    assert_eq!((stage.refusals("fork"), stage.refusals("quarantined")), (1, 1));
    assert_eq!(stage.stored(), stored);
    let row =
        stage.bed.device_when(&stage.homes[0], "the quarantine to show", |row| row["quarantined"] == true);
    assert_eq!(row["records"], stored.iter().find(|s| s.0.contains(&stage.homes[0].device)).unwrap().2);
    ct2.push();
    assert!(stage.collector.is_running());
}
