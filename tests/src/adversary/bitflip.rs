//! One bit of a real envelope, all of them in turn; and envelopes of another structure around
//! what was signed.
//!
//! Holds: nothing of it is opened, whether by the code itself or by a running collector.

use super::{content, device::Device, draw::Draw, tally::Tally};
use crate::{Bed, BedPlan};
use tenken_common::{
    ack::{Ack, Reject, ResumeRequest},
    batch::Batch,
    codec,
    envelope::{Envelope, EnvelopeError, Payload},
    key::{PublicKey, SecretKey},
    wire::v1::ReceivedBatch,
};

/// The envelope's size.
pub const BYTES: usize = 4 * 1024;
/// As many bits as it has.
pub const FLIPS: usize = BYTES * 8;

/// The batch with as many records as make its envelope exactly [`BYTES`] long.
pub fn of_4_kib(draw: &mut Draw, key: &SecretKey, batch: Batch) -> Vec<u8> {
    let seal = |batch: &Batch| {
        let received = ReceivedBatch { batch: batch.clone(), unknown: vec![] };
        Envelope::seal(&received, key).expect("a small batch").to_bytes()
    };
    let mut batch = batch;
    let first = batch.records.first().map_or(1, |record| record.id.0);
    batch.records.clear();
    loop {
        let mut more = batch.clone();
        more.records.push(content::record(draw, first + batch.records.len() as u64));
        let bytes = seal(&more);
        if bytes.len() == BYTES {
            return bytes;
        }
        // What is left takes another record; where it came too close, begin again.
        if bytes.len() < BYTES - 200 {
            batch = more;
        } else if bytes.len() > BYTES && draw.once_in(50) {
            batch.records.pop();
        }
    }
}

pub fn opens(bytes: &[u8], key: &PublicKey) -> Result<(), EnvelopeError> {
    Envelope::from_bytes(bytes).and_then(|envelope| envelope.open::<ReceivedBatch>(key)).map(|_| ())
}

/// Every single bit of `good`, by its number.
pub fn flips(good: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..good.len() * 8).map(|bit| {
        let mut altered = good.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        (bit, altered)
    })
}

/// All of them against the code itself.
pub fn all_flips(good: &[u8], key: &PublicKey) -> Tally {
    let mut tally = Tally::default();
    assert!(opens(good, key).is_ok(), "the envelope is good before it is damaged");
    for (bit, altered) in flips(good) {
        let effect = opens(&altered, key).is_ok().then(|| format!("bit {bit} flipped"));
        tally.count("one bit flipped", effect);
    }
    tally
}

/// Other structures around what was signed by `key`: each with its name.
pub fn mutants(draw: &mut Draw, good: &[u8], key: &SecretKey) -> Vec<(&'static str, Vec<u8>)> {
    let envelope = Envelope::from_bytes(good).expect("a good one");
    let body = envelope.body().to_vec();
    let end = good.len();
    // [.., [[id, sig]]]: an array of one, an array of two, bin8 of 8, bin8 of 64.
    let (list, id, signature) = (end - 78, end - 76, end - 66);
    let stranger = SecretKey::from_seed(&draw.bytes());
    let sealed =
        |kind: &str, body: &[u8], key: &SecretKey| Envelope::seal_bytes(kind, body.to_vec(), key).to_bytes();
    let with = |at: usize, bytes: &[u8]| [&good[..at], bytes, &good[at + bytes.len()..]].concat();
    let entry = &good[list + 1..];
    let other_entry = &sealed(ReceivedBatch::TYPE, &body, &stranger)[list + 1..];
    let listed = |entries: &[&[u8]]| {
        let count = u8::try_from(entries.len()).expect("few");
        [&good[..list], &[0x90 | count], &entries.concat()].concat()
    };
    let type_at = 4;
    let body_at = type_at + ReceivedBatch::TYPE.len();
    let cut = 1 + draw.below(end - 1);
    let at = draw.below(end);
    let mut all = vec![
        ("truncated", good[..end - cut].to_vec()),
        ("a byte left out", [&good[..at], &good[at + 1..]].concat()),
        ("a byte doubled", [&good[..=at], &good[at..]].concat()),
        ("twice", [good, good].concat()),
        ("more after it", [good.to_vec(), draw.some_bytes(1 + cut % 9)].concat()),
        ("more before it", [draw.some_bytes(1 + cut % 9), good.to_vec()].concat()),
        ("a long array", [&[0xdc, 0, 4], &good[1..]].concat()),
        ("a longer array", [&[0xdd, 0, 0, 0, 4], &good[1..]].concat()),
        ("a long number", [&[0x94, 0xcc, 1], &good[2..]].concat()),
        ("a longer number", [&[0x94, 0xcd, 0, 1], &good[2..]].concat()),
        ("a number as text", [&[0x94, 0xa1, 0x31], &good[2..]].concat()),
        ("an element more", [&[0x95], &good[1..], &[0xc0]].concat()),
        ("an element less", [&[0x93], &good[1..list]].concat()),
        ("a map", [&[0x82], &good[1..]].concat()),
        ("version 0", with(1, &[0])),
        ("version 2", with(1, &[2])),
        ("a long text", [&good[..2], &[0xda, 0], &good[3..]].concat()),
        ("a long binary", [&good[..body_at], &[0xc6, 0, 0], &good[body_at + 1..]].concat()),
        ("a body that is text", with(body_at, &[0xda])),
        ("no signature", listed(&[])),
        ("the signature twice", listed(&[entry, entry])),
        ("a stranger's signature beside it", listed(&[entry, other_entry])),
        ("a stranger's signature before it", listed(&[other_entry, entry])),
        ("five signatures", listed(&[entry; 5])),
        ("another key's id", with(id + 2 - 2, &[&[0xc4, 8], stranger.public().id().as_bytes()].concat())),
        ("no key's id", with(id, &[0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a short key id", [&good[..id], &[0xc4, 7], &good[id + 3..]].concat()),
        ("a short signature", [&good[..signature], &[0xc4, 63], &good[signature + 3..]].concat()),
        ("a long signature", [&good[..signature], &[0xc4, 65], &good[signature + 2..], &[0]].concat()),
        ("no signature's bytes", with(signature, &[&[0xc4, 64][..], &[0; 64]].concat())),
        ("sealed with another key", sealed(ReceivedBatch::TYPE, &body, &stranger)),
        ("an empty body", sealed(ReceivedBatch::TYPE, &[], key)),
    ];
    for kind in
        [Ack::TYPE, Reject::TYPE, ResumeRequest::TYPE, "", "application/vnd.tenken.batch.v2+msgpack+zstd"]
    {
        all.push(("of another type", sealed(kind, &body, key)));
        let renamed = [&good[..2], &codec::to_vec(&kind).expect("a text"), &good[body_at..]].concat();
        all.push(("called another type", renamed));
    }
    let mut other = sealed(ReceivedBatch::TYPE, &body, &stranger);
    other[id + 2..id + 10].copy_from_slice(key.public().id().as_bytes());
    all.push(("sealed with another key under this one's id", other));
    all
}

/// The mutants of `n` envelopes against the code itself.
pub fn all_mutants(draw: &mut Draw, n: usize) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..n {
        let key = SecretKey::from_seed(&draw.bytes());
        let batch = content::batch(draw);
        let good = of_4_kib(draw, &key, batch);
        assert!(opens(&good, &key.public()).is_ok(), "the envelope is good before it is damaged");
        for (what, bytes) in mutants(draw, &good, &key) {
            tally.count(what, opens(&bytes, &key.public()).is_ok().then(|| "was opened".to_owned()));
        }
    }
    tally
}

/// `n` of the flips, spread over all bits, and the mutants, against a running collector over TLS.
pub fn against_collector(n: usize, seed: u64) -> Tally {
    let mut draw = Draw::new(seed);
    let mut tally = Tally::default();
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let mut device = Device::of(&bed.enroll("ct-1").state, bed.device_port);
    device.push(&mut draw);
    let key = device.enrolled.device_key.clone();
    let next = device.next(&mut draw);
    let good = of_4_kib(&mut draw, &key, next);
    let every = (FLIPS / n.max(1)).max(1);
    let sample =
        flips(&good).skip(draw.below(every)).step_by(every).map(|(_, bytes)| ("one bit flipped", bytes));
    for (what, bytes) in sample.chain(mutants(&mut draw, &good, &key)) {
        let reply = device.post(&bytes).unwrap();
        let effect = reply.status == 200 || device.reject(&reply).is_some();
        tally.count(what, effect.then(|| format!("status {}", reply.status)));
    }
    let stored = |what: &str| bed.listing(&["device", "list"])[0][what].as_u64();
    tally.hold("one bit flipped", stored("batches") == Some(1), || "something was stored".into());
    // The undamaged one is taken.
    device.deliver(&good);
    tally.hold("one bit flipped", collector.is_running(), || "the collector ended".into());
    tally
}
