//! Public suites of vectors: Wycheproof's for Ed25519, and the MessagePack suite.
//!
//! Holds: verification here is `verify_strict`. It is stricter than RFC 8032 asks in one thing: a
//! key or an R of small order is refused, with which one signature may hold for many messages. A
//! valid vector of the suite that is refused for it is named. MessagePack here is narrower than its
//! specification: of the encodings of a value only the shortest is read, and there are no
//! extension types.

use super::{plan::unhex, tally::Tally};
use serde_bytes::ByteBuf;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tenken_common::{
    codec::{self, CodecError},
    key::PublicKey,
};

/// Beside the repository, as it is laid out where the suites were fetched.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/suites")
}

/// A suite's file; where it is not there, the line that says so.
fn read(name: &str) -> Result<Value, String> {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).map_err(|_| format!("{} is not there", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// All vectors of both.
pub fn suites() -> Result<Tally, String> {
    let mut tally = Tally::default();
    wycheproof(&read("wycheproof/ed25519_test.json")?, &mut tally);
    msgpack(&read("msgpack-test-suite/dist/msgpack-test-suite.json")?, &mut tally);
    Ok(tally)
}

fn wycheproof(suite: &Value, tally: &mut Tally) {
    for group in suite["testGroups"].as_array().into_iter().flatten() {
        let key = unhex(group["publicKey"]["pk"].as_str().unwrap());
        let key = PublicKey::from_bytes(&key.try_into().unwrap());
        for test in group["tests"].as_array().into_iter().flatten() {
            let bytes = |name: &str| unhex(test[name].as_str().unwrap());
            let signature: Result<[u8; 64], _> = bytes("sig").try_into();
            let holds = match (&key, signature) {
                (Ok(key), Ok(signature)) => key.verify(&bytes("msg"), &signature),
                _ => false,
            };
            let valid = test["result"] == "valid";
            let class = if valid { "Ed25519, valid" } else { "Ed25519, invalid" };
            let what = || {
                format!(
                    "test {} ({}): {}",
                    test["tcId"],
                    test["comment"],
                    if valid { "refused" } else { "accepted" }
                )
            };
            tally.count(class, (holds != valid).then(what));
        }
    }
}

fn msgpack(suite: &Value, tally: &mut Tally) {
    let files = suite.as_object().into_iter().flat_map(|files| files.values());
    for case in files.flat_map(|file| file.as_array().into_iter().flatten()) {
        let texts = case["msgpack"].as_array().into_iter().flatten();
        let encodings: Vec<Vec<u8>> =
            texts.map(|text| unhex(&text.as_str().unwrap().replace('-', ""))).collect();
        let named = case
            .as_object()
            .unwrap()
            .iter()
            .find(|(name, _)| !["msgpack", "bignum"].contains(&name.as_str()));
        let (kind, value) = named.map_or(("bignum", &case["bignum"]), |(name, value)| (name.as_str(), value));
        // A float is another value; of two of the same length the one without a sign counts.
        let numbers = encodings.iter().filter(|bytes| ![0xca, 0xcb].contains(&bytes[0]));
        let signed = |bytes: &[u8]| (0xd0..=0xd3).contains(&bytes[0]);
        let shortest = numbers.min_by_key(|bytes| (bytes.len(), signed(bytes)));
        for bytes in &encodings {
            let (class, wrong) = match kind {
                "timestamp" | "ext" => ("MessagePack, extension types", reads(kind, bytes, value).is_ok()),
                // Always 64 bits long.
                _ if bytes[0] == 0xca => ("MessagePack, 32-bit floats", reads(kind, bytes, value).is_ok()),
                _ if bytes[0] == 0xcb => {
                    ("MessagePack, floats", !reads(kind, bytes, value).is_ok_and(|same| same))
                }
                _ if Some(bytes) == shortest => {
                    ("MessagePack, shortest", !reads(kind, bytes, value).is_ok_and(|same| same))
                }
                _ => {
                    ("MessagePack, longer", !matches!(reads(kind, bytes, value), Err(CodecError::OtherForm)))
                }
            };
            tally.count(class, wrong.then(|| format!("{bytes:x?} of {value}")));
        }
    }
}

/// Whether the bytes are read, and as this value.
fn reads(kind: &str, bytes: &[u8], value: &Value) -> Result<bool, CodecError> {
    const MAX: usize = 1 << 20;
    if kind == "binary" {
        let read: ByteBuf = codec::from_slice(bytes, MAX)?;
        return Ok(*read == unhex(&value.as_str().unwrap().replace('-', "")));
    }
    let read: Value = codec::from_slice(bytes, MAX)?;
    let number = |value: &Value| value.as_u64().map(i128::from).or(value.as_i64().map(i128::from));
    let big = value.as_str().filter(|_| kind == "bignum").and_then(|text| text.parse::<i128>().ok());
    let meant = big.or(number(value));
    let float = |n: i128| n.to_string().parse::<f64>().ok();
    Ok(read == *value
        || meant.is_some() && (meant == number(&read) || meant.and_then(float) == read.as_f64())
        || read.is_f64() && read.as_f64() == value.as_f64())
}
