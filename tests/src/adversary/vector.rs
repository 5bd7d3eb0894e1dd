//! Golden vectors: envelopes, good ones and damaged ones, on which two implementations must agree,
//! this one and `tests/auditor/envelope.py`.
//!
//! Holds: a seed makes the same vectors again. A good vector's value is known from what it was
//! made of, not from reading it.
//!
//! Does not: ask about what the protocol leaves to the reader, such as text where bytes belong.

use super::{content, draw::Draw, plan};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};
use tenken_common::{
    ack::{Ack, Reject},
    codec,
    envelope::{Envelope, EnvelopeError, Payload, Verified},
    id::hex,
    key::{PublicKey, SecretKey},
    stub::Stub,
    wire::v1::ReceivedBatch,
};

const PYTHON: &str = "/usr/bin/python3";
/// The group's order, for signatures whose S is too large by it.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// What an implementation is asked.
#[derive(Debug, Clone)]
pub struct Vector {
    pub what: &'static str,
    kind: &'static str,
    key: PublicKey,
    pub envelope: Vec<u8>,
}

/// A message on its way to become a vector.
struct Message {
    kind: &'static str,
    plan: Value,
    said: Value,
}

fn message(draw: &mut Draw) -> Message {
    match draw.below(5) {
        0 => {
            let stub = content::stub(draw);
            Message { kind: Stub::TYPE, plan: plan::stub(&stub), said: content::stub_said(&stub) }
        }
        1 => {
            let ack = content::ack(draw);
            Message { kind: Ack::TYPE, plan: plan::ack(&ack), said: content::ack_said(&ack) }
        }
        2 => {
            let reject = content::reject(draw);
            Message { kind: Reject::TYPE, plan: plan::reject(&reject), said: content::reject_said(&reject) }
        }
        _ => {
            let batch = content::batch(draw);
            let received = ReceivedBatch { batch, unknown: vec![] };
            let plan = plan::batch(&received.batch);
            if plan::packed(&plan).len() > tenken_common::limit::PLAIN_BYTES_MAX {
                return message(draw);
            }
            Message { kind: ReceivedBatch::TYPE, plan, said: content::batch_said(&received) }
        }
    }
}

fn body(kind: &str, plan: &Value) -> Vec<u8> {
    let packed = plan::packed(plan);
    if kind == ReceivedBatch::TYPE { codec::compress(&packed).expect("it fits") } else { packed }
}

fn secret(draw: &mut Draw) -> SecretKey {
    SecretKey::from_seed(&draw.bytes())
}

/// The vectors of a seed.
pub fn vectors(seed: u64, n: usize) -> Vec<Vector> {
    let mut draw = Draw::new(seed);
    (0..n).map(|_| vector(&mut draw)).collect()
}

fn vector(draw: &mut Draw) -> Vector {
    let (secret, mut message) = (secret(draw), message(draw));
    let (kind, key) = (message.kind, secret.public());
    let vector = |what, envelope| Vector { what, kind, key, envelope };
    let sealed = |body: Vec<u8>| Envelope::seal_bytes(kind, body, &secret).to_bytes();
    let good = sealed(body(kind, &message.plan));
    let end = good.len();
    match draw.below(20) {
        0..=7 => vector("good", good),
        8 => vector("a byte or more altered", draw.altered(&good)),
        9 => {
            let bit = draw.below(end * 8);
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            vector("a bit flipped", bytes)
        }
        10 => vector("cut off", good[..draw.below(end)].to_vec()),
        11 => vector("with more after it", [good, draw.some_bytes(1)].concat()),
        12 => vector("frame", draw_frame(draw, &good)),
        13 => {
            let other = draw.one_of(&[
                Ack::TYPE,
                Reject::TYPE,
                Stub::TYPE,
                ReceivedBatch::TYPE,
                "application/x-other",
            ]);
            let bytes = Envelope::seal_bytes(other, body(kind, &message.plan), &secret).to_bytes();
            vector("of some type", bytes)
        }
        14 => {
            let key = SecretKey::from_seed(&draw.bytes()).public();
            Vector { what: "of another key", kind, key, envelope: good }
        }
        15 => {
            // Another key's signature under this key's id.
            let mut bytes =
                Envelope::seal_bytes(kind, body(kind, &message.plan), &self::secret(draw)).to_bytes();
            bytes[end - 64 - 2 - 8..end - 64 - 2].copy_from_slice(key.id().as_bytes());
            vector("another key's signature", bytes)
        }
        16 => {
            let mut bytes = good;
            match draw.below(3) {
                0 => add_order(&mut bytes[end - 32..]),
                1 => bytes[end - 64..].fill(0),
                _ => bytes[end - 64..end - 32].copy_from_slice(&small_order(draw)),
            }
            vector("a signature that is none", bytes)
        }
        17 => weak(draw, kind, &body(kind, &message.plan)),
        18 => {
            plan::damage(draw, &mut message.plan);
            vector("signed, one value wrong", sealed(body(kind, &message.plan)))
        }
        _ => {
            let garbage = match draw.below(5) {
                0 => vec![],
                1 => vec![0x91; 100],
                2 => [plan::packed(&message.plan), vec![0xc0]].concat(),
                3 => draw.some_bytes(40),
                _ => vec![0x50, 0x2a, 0x4d, 0x18, 200, 0, 0, 0, 1],
            };
            let plain = draw.once_in(2) && kind == ReceivedBatch::TYPE;
            vector(
                "signed, and no message",
                sealed(if plain { codec::compress(&garbage).expect("small") } else { garbage }),
            )
        }
    }
}

/// The same content in a frame that is not the shortest, or not of version 1.
fn draw_frame(draw: &mut Draw, good: &[u8]) -> Vec<u8> {
    let end = good.len();
    let mut two = good.to_vec();
    two[end - 64 - 2 - 10 - 2] = 0x92;
    two.extend_from_slice(&good[end - 64 - 2 - 10 - 1..]);
    match draw.below(5) {
        0 => [&[0xdc, 0, 4], &good[1..]].concat(),
        1 => [&[0x94, 0xcc, 1], &good[2..]].concat(),
        2 => [&[0x94, 2], &good[2..]].concat(),
        3 => two,
        _ => {
            let mut none = good[..end - 64 - 2 - 10 - 1].to_vec();
            none[end - 64 - 2 - 10 - 2] = 0x90;
            none
        }
    }
}

fn add_order(s: &mut [u8]) {
    let mut carry = 0;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
}

/// A point with which a signature may hold for many messages.
fn small_order(draw: &mut Draw) -> [u8; 32] {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    draw.one_of(&[neutral, minus_one, [0; 32]])
}

/// Under a key of small order, R = B * S holds for one message in a few: here for all, with the
/// neutral point as key.
fn weak(draw: &mut Draw, kind: &'static str, body: &[u8]) -> Vector {
    let key = PublicKey::from_bytes(&small_order(draw)).expect("points on the curve");
    // A real signature of something else gives an R with a known S.
    let mut bytes = Envelope::seal_bytes(kind, body.to_vec(), &secret(draw)).to_bytes();
    let end = bytes.len();
    bytes[end - 64 - 2 - 8..end - 64 - 2].copy_from_slice(key.id().as_bytes());
    if draw.once_in(2) {
        let mut one = [0; 32];
        one[0] = 1;
        let base: Vec<u8> = std::iter::once(0x58).chain(std::iter::repeat_n(0x66, 31)).collect();
        bytes[end - 64..end - 32].copy_from_slice(&base);
        bytes[end - 32..].copy_from_slice(&one);
    }
    Vector { what: "a key of small order", kind, key, envelope: bytes }
}

impl Vector {
    /// What this implementation says.
    pub fn verdict(&self) -> Value {
        let opened = Envelope::from_bytes(&self.envelope).and_then(|envelope| {
            Ok(match self.kind {
                Ack::TYPE => content::ack_said(&*envelope.open::<Ack>(&self.key)?),
                Stub::TYPE => content::stub_said(&*envelope.open::<Stub>(&self.key)?),
                Reject::TYPE => content::reject_said(&*envelope.open::<Reject>(&self.key)?),
                _ => {
                    let received: Verified<ReceivedBatch> = envelope.open(&self.key)?;
                    content::batch_said(&received)
                }
            })
        });
        match opened {
            Ok(value) => json!({ "verdict": "good", "value": value }),
            Err(why) => json!({ "verdict": word(&why) }),
        }
    }

    fn asked(&self) -> Value {
        json!({ "type": self.kind, "key": hex(&self.key.to_bytes()), "envelope": hex(&self.envelope) })
    }
}

fn word(why: &EnvelopeError) -> &'static str {
    match why {
        EnvelopeError::Outer(_) | EnvelopeError::Version(_) | EnvelopeError::Signatures(_) => "outer",
        EnvelopeError::WrongType(_) => "type",
        EnvelopeError::WrongKey => "key",
        // A signature of another length than 64 is found while the frame is read.
        EnvelopeError::BadSignature => "signature",
        EnvelopeError::Content(_) => "content",
    }
}

/// Runs the second implementation: one answer for each line.
fn auditor(command: &str, lines: impl Iterator<Item = Value>) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("auditor/envelope.py");
    let mut python = Command::new(PYTHON);
    python.arg("-B").arg(script).arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("Debian's Python");
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let mut stdin = child.stdin.take().expect("it was asked for");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("a child of ours");
    assert!(output.status.success(), "envelope.py {command} ended with {}", output.status);
    writer.join().expect("no panic").expect("it reads all lines");
    String::from_utf8(output.stdout).expect("JSON is UTF-8").lines().map(str::to_owned).collect()
}

/// Vectors on which the two do not agree, each with both verdicts.
pub fn disagreements(vectors: &[Vector]) -> Vec<String> {
    let answers = auditor("verify", vectors.iter().map(Vector::asked));
    assert_eq!(answers.len(), vectors.len());
    let pairs = vectors.iter().zip(&answers);
    let differing = pairs.filter_map(|(vector, answer)| {
        let (ours, theirs) = (vector.verdict(), serde_json::from_str::<Value>(answer).expect("JSON"));
        (ours != theirs).then(|| format!("{}: {ours} here, {theirs} there: {}", vector.what, vector.asked()))
    });
    differing.collect()
}

/// Envelopes that the second implementation made and this one does not take for what they are.
pub fn not_accepted(seed: u64, n: usize) -> Vec<String> {
    let mut draw = Draw::new(seed);
    let made: Vec<([u8; 32], Message)> = (0..n).map(|_| (draw.bytes(), message(&mut draw))).collect();
    let plans = made.iter().map(|(seed, m)| json!({ "type": m.kind, "seed": hex(seed), "content": m.plan }));
    let envelopes = auditor("make", plans);
    assert_eq!(envelopes.len(), made.len());
    let refused = made.iter().zip(&envelopes).filter_map(|((seed, message), digits)| {
        let key = SecretKey::from_seed(seed).public();
        let vector = Vector { what: "made there", kind: message.kind, key, envelope: plan::unhex(digits) };
        let (ours, meant) = (vector.verdict(), json!({ "verdict": "good", "value": message.said }));
        (ours != meant).then(|| format!("{ours}, meant {meant}"))
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_packed_as_the_product_packs_it() {
        let mut draw = Draw::new(1);
        for _ in 0..50 {
            let batch = content::batch(&mut draw);
            let plan = plan::batch(&batch);
            let received = ReceivedBatch { batch, unknown: vec![] };
            let Ok(body) = received.encode() else { continue };
            assert_eq!(codec::decompress(&body).unwrap(), plan::packed(&plan));
            let ack = content::ack(&mut draw);
            assert_eq!(ack.encode().unwrap(), plan::packed(&plan::ack(&ack)));
        }
    }

    #[test]
    fn every_verdict_occurs() {
        let verdicts: std::collections::BTreeMap<String, usize> = vectors(20_261_125, 1_000).iter().fold(
            std::collections::BTreeMap::default(),
            |mut all, vector| {
                *all.entry(vector.verdict()["verdict"].as_str().unwrap().to_owned()).or_default() += 1;
                all
            },
        );
        for word in ["good", "outer", "type", "key", "signature", "content"] {
            assert!(verdicts.get(word).is_some_and(|n| *n >= 15), "{word}: {verdicts:?}");
        }
        assert!(verdicts["good"] >= 300, "{verdicts:?}");
    }
}
