//! Where things stand in an engine, and how each value is protected.
//!
//! ```text
//! key    records [1, class, rec_id:u64]   gaps [4, from:u64]           all integers big-endian
//!        packs of records [6, first id:u64, last id:u64]
//!        chunks of a long value [space, number:u64, chunk:u32], space 2 link, 3 body, 5 state
//! value  [len:u32, crc:u32, payload]      crc = CRC32C(key, payload); at most 8 KiB in all
//! chunk  payload = [chunks:u32, bytes]
//! ```
//!
//! Holds: the CRC covers the key, so a value that turns up under another id is refused like a
//! flipped bit is. A long value with a chunk missing reads as none at all.

use super::engine::{Op, Pair};
use std::collections::BTreeMap;
use tenken_common::{batch::RecRun, id::RecId, limit, observation::Class};

const RECORD: u8 = 1;
const GAP: u8 = 4;
const PACK: u8 = 6;
const FRAME_BYTES: usize = 8;
/// Payload of one chunk, so that it fits a value with its frame and its count.
const CHUNK_BYTES: usize = limit::SPOOL_VALUE_BYTES_MAX - 64;

/// Kinds of long values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    Link = 2,
    Body = 3,
    State = 5,
}

/// What a key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Record(Class, RecId),
    Gap(RecId),
    /// From its first to its last id; not all of those between need be in it.
    Pack(RecRun),
    Chunk {
        space: Space,
        number: u64,
        chunk: u32,
    },
}

pub fn record_key(class: Class, id: RecId) -> Vec<u8> {
    let mut key = vec![RECORD, class.code()];
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

pub fn gap_key(from: RecId) -> Vec<u8> {
    let mut key = vec![GAP];
    key.extend_from_slice(&from.0.to_be_bytes());
    key
}

pub fn pack_key(ids: RecRun) -> Vec<u8> {
    let mut key = vec![PACK];
    key.extend_from_slice(&ids.from.0.to_be_bytes());
    key.extend_from_slice(&ids.to.0.to_be_bytes());
    key
}

pub fn chunk_key(space: Space, number: u64, chunk: u32) -> Vec<u8> {
    let mut key = vec![space as u8];
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// From and to of all records of a class.
pub fn records_of(class: Class) -> (Vec<u8>, Vec<u8>) {
    (vec![RECORD, class.code()], vec![RECORD, class.code() + 1])
}

/// From and to of everything.
pub fn all() -> (Vec<u8>, Vec<u8>) {
    (Vec::new(), vec![0xff; 16])
}

/// The smallest key after `key`.
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// `None` for a key that this program never wrote.
pub fn place(key: &[u8]) -> Option<Place> {
    let (first, rest) = key.split_first()?;
    let u64_of = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    let chunk = |space| {
        let (number, chunk) = rest.split_at_checked(8)?;
        let chunk = u32::from_be_bytes(chunk.try_into().ok()?);
        Some(Place::Chunk { space, number: u64_of(number)?, chunk })
    };
    match *first {
        RECORD => {
            let (class, id) = rest.split_first()?;
            Some(Place::Record(Class::from_code(*class)?, RecId(u64_of(id)?)))
        }
        GAP => Some(Place::Gap(RecId(u64_of(rest)?))),
        PACK => {
            let (from, to) = rest.split_at_checked(8)?;
            Some(Place::Pack(RecRun { from: RecId(u64_of(from)?), to: RecId(u64_of(to)?) }))
        }
        2 => chunk(Space::Link),
        3 => chunk(Space::Body),
        5 => chunk(Space::State),
        _ => None,
    }
}

pub fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(FRAME_BYTES + payload.len());
    value.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    value.extend_from_slice(&crc(key, payload).to_be_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload, if length and CRC are right.
pub fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = value.split_at_checked(4)?;
    let (sum, payload) = rest.split_at_checked(4)?;
    let len = u32::from_be_bytes(len.try_into().ok()?);
    let sum = u32::from_be_bytes(sum.try_into().ok()?);
    let good = usize::try_from(len).is_ok_and(|len| len == payload.len()) && sum == crc(key, payload);
    good.then_some(payload)
}

pub fn put(key: Vec<u8>, payload: &[u8]) -> Op {
    let value = seal(&key, payload);
    Op::Put(key, value)
}

/// What an operation writes is still what was sealed, and fits a value.
pub fn is_sound(op: &Op) -> bool {
    match op {
        Op::Put(key, value) => {
            value.len() <= limit::SPOOL_VALUE_BYTES_MAX
                && place(key).is_some()
                && unseal(key, value).is_some()
        }
        Op::Delete(_) => true,
    }
}

fn crc(key: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), payload)
}

/// Writes a long value; returns how many chunks it has.
pub fn put_long(space: Space, number: u64, bytes: &[u8], ops: &mut Vec<Op>) -> u32 {
    let parts: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(CHUNK_BYTES).collect() };
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    for (chunk, part) in (0u32..).zip(parts) {
        let mut payload = count.to_be_bytes().to_vec();
        payload.extend_from_slice(part);
        ops.push(put(chunk_key(space, number, chunk), &payload));
    }
    count
}

pub fn delete_long(space: Space, number: u64, chunks: u32, ops: &mut Vec<Op>) {
    ops.extend((0..chunks).map(|chunk| Op::Delete(chunk_key(space, number, chunk))));
}

/// How many chunks a long value of this length has.
pub fn chunks_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(CHUNK_BYTES).max(1)).unwrap_or(u32::MAX)
}

/// From and to of one long value's chunks.
pub fn long_range(space: Space, number: u64) -> (Vec<u8>, Vec<u8>) {
    (chunk_key(space, number, 0), chunk_key(space, number, u32::MAX))
}

/// A long value out of its pairs; `None` if a chunk is missing or damaged.
pub fn join(pairs: &[Pair]) -> Option<Vec<u8>> {
    let mut chunks = BTreeMap::new();
    let mut count = 0;
    for (key, value) in pairs {
        let Some(Place::Chunk { chunk, .. }) = place(key) else { return None };
        let (total, bytes) = unseal(key, value)?.split_at_checked(4)?;
        count = u32::from_be_bytes(total.try_into().ok()?);
        chunks.insert(chunk, bytes);
    }
    let whole = count > 0 && (0..count).eq(chunks.keys().copied());
    whole.then(|| chunks.into_values().flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_key_is_refused() {
        let key = record_key(Class::Urgent, RecId(7));
        let value = seal(&key, b"payload");
        assert_eq!(unseal(&key, &value), Some(&b"payload"[..]));
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&key, &bad), None, "bit {bit}");
        }
        assert_eq!(unseal(&record_key(Class::Ordinary, RecId(7)), &value), None);
        assert_eq!(unseal(&key, &value[..value.len() - 1]), None);
    }

    #[test]
    fn places_come_back_from_keys_and_sort_as_numbers() {
        assert_eq!(
            place(&record_key(Class::Ordinary, RecId(9))),
            Some(Place::Record(Class::Ordinary, RecId(9)))
        );
        assert_eq!(place(&gap_key(RecId(300))), Some(Place::Gap(RecId(300))));
        let run = RecRun { from: RecId(2), to: RecId(900) };
        assert_eq!(place(&pack_key(run)), Some(Place::Pack(run)));
        let chunk = Place::Chunk { space: Space::Body, number: 5, chunk: 2 };
        assert_eq!(place(&chunk_key(Space::Body, 5, 2)), Some(chunk));
        assert!(record_key(Class::Ordinary, RecId(255)) < record_key(Class::Ordinary, RecId(256)));
        assert_eq!((place(&[]), place(&[9, 9]), place(&[RECORD, 7, 0])), (None, None, None));
    }

    #[test]
    fn a_long_value_is_whole_or_nothing() {
        for len in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 3] {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut ops = Vec::new();
            let count = put_long(Space::Body, 1, &bytes, &mut ops);
            assert!(ops.iter().all(is_sound));
            assert_eq!(count, chunks_of(len));
            let mut pairs: Vec<Pair> = ops
                .into_iter()
                .map(|op| match op {
                    Op::Put(k, v) => (k, v),
                    Op::Delete(_) => unreachable!("only puts"),
                })
                .collect();
            assert_eq!(join(&pairs), Some(bytes));
            pairs.pop();
            assert_eq!(join(&pairs), None);
        }
    }
}
