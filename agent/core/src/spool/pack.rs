//! Packs: the oldest records of a long wait, many in one value.
//!
//! A device that is online never packs. Where more ordinary records wait loose, each under its
//! own key, than [`Room::loose_bytes`] allows, the oldest of them are put into one value by one
//! atomic write: about a tenth of the bytes. Their ids stay the same, and so does what may happen
//! to them: a pack of which some records are cut or lost is written anew without them by the same
//! write.
//!
//! ```text
//! payload = [id runs, categories, wall time of the first, zstd(MessagePack [record ..])]
//! ```
//!
//! Holds: a pack fits one value and is smaller than what it holds took; its ids, in its key and
//! in front of its records, are known without unpacking it, so a consent that covers all of its
//! categories does not unpack it and one whose records are damaged is declared lost to the id.
//! Made from the oldest loose records, packs lie in the order of their ids, below what is loose.
//!
//! Does not: hold urgent records, or records that no pack is large enough for; those stay loose.

use super::{
    SpoolError,
    durable::{DurableSpool, Waiting},
    engine::{Engine, Op, StateStore},
    frame,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    batch::{GapReason, RecRun, runs_of},
    category::Category,
    codec,
    id::RecId,
    limit,
    observation::Class,
    time::Timestamp,
    wire::v1::{Decoded, RecordV1},
};

/// Of the plain form of one pack, before it is compressed.
const PLAIN_BYTES: u64 = 64 * 1024;
/// Records that are looked at for one pack.
const PAGE: usize = 512;
/// Of a loose record beyond its observation's own bytes: key, frame, id, kind, boot and both times.
const RECORD_OVERHEAD: usize = 64;
/// In the place of a category, for records that this version cannot read.
const NO_CATEGORY: u8 = u8::MAX;

#[derive(Serialize, Deserialize)]
struct PackV1(Vec<RecRun>, Vec<u8>, Option<Timestamp>, ByteBuf);

/// What is known of a pack without unpacking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    pub key: Vec<u8>,
    pub runs: Vec<RecRun>,
    /// Wall time of its first record, where this version can read that.
    pub oldest: Option<Timestamp>,
    /// Of key and value.
    pub bytes: u64,
    categories: Vec<u8>,
}

/// By their keys, which go by ids.
pub type Packs = BTreeMap<Vec<u8>, Pack>;

impl Pack {
    /// A pack of all of `records`, which are in the order of their ids; `None` if they do not fit.
    fn of(records: &[RecordV1]) -> Result<Option<(Self, Op)>, SpoolError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(None) };
        let plain = codec::to_vec(&records).map_err(SpoolError::Encode)?;
        if plain.len() > limit::PLAIN_BYTES_MAX {
            return Ok(None);
        }
        let seen: Vec<_> = records.iter().map(seen).collect();
        let categories: BTreeSet<u8> = seen.iter().map(|(category, _)| *category).collect();
        let oldest = seen.first().and_then(|(_, at)| *at);
        let runs = runs_of(records.iter().map(RecordV1::id));
        let body = codec::compress(&plain).map_err(SpoolError::Encode)?;
        let stored = PackV1(runs, categories.into_iter().collect(), oldest, ByteBuf::from(body));
        let payload = codec::to_vec(&stored).map_err(SpoolError::Encode)?;
        let key = frame::pack_key(RecRun { from: first.id(), to: last.id() });
        let value = frame::seal(&key, &payload);
        if value.len() > limit::SPOOL_VALUE_BYTES_MAX {
            return Ok(None);
        }
        let PackV1(runs, categories, oldest, _) = stored;
        let bytes = (key.len() + value.len()) as u64;
        Ok(Some((Self { key: key.clone(), runs, oldest, bytes, categories }, Op::Put(key, value))))
    }

    /// What stands in front of a pack's records; `None` if its bytes are damaged.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let PackV1(runs, categories, oldest, _) = stored(key, value)?;
        let bytes = (key.len() + value.len()) as u64;
        Some(Self { key: key.to_vec(), runs, oldest, bytes, categories })
    }

    /// The records, as the value holds them; `None` if they are damaged or not the pack's own.
    pub(super) fn unpack(&self, value: &[u8]) -> Option<Vec<RecordV1>> {
        let PackV1(runs, _, _, body) = stored(&self.key, value)?;
        let plain = codec::decompress(&body).ok()?;
        let records: Vec<RecordV1> = codec::from_slice(&plain, limit::PLAIN_BYTES_MAX).ok()?;
        let same = runs == self.runs && runs_of(records.iter().map(RecordV1::id)) == runs;
        same.then_some(records)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = RecId> + '_ {
        self.runs.iter().flat_map(|run| run.from.0..=run.to.0).map(RecId)
    }

    pub(super) fn count(&self) -> u64 {
        self.runs.iter().map(RecRun::len).sum()
    }

    fn last(&self) -> RecId {
        self.runs.last().map_or(RecId(0), |run| run.to)
    }

    /// Whether it holds what `allowed` refuses; what cannot be read is under no category.
    pub(super) fn holds_refused(&self, allowed: &dyn Fn(Category) -> bool) -> bool {
        self.categories.iter().any(|code| Category::from_code(*code).is_none_or(|c| !allowed(c)))
    }

    /// Its ids as waiting records whose bytes were not read.
    pub(super) fn unread(&self) -> Vec<Waiting> {
        let waiting = |id| Waiting {
            key: self.key.clone(),
            class: Class::Ordinary,
            id,
            bytes: 0,
            record: None,
            packed: true,
        };
        self.ids().map(waiting).collect()
    }
}

/// The payload, if its ids are in order and as its key says.
fn stored(key: &[u8], value: &[u8]) -> Option<PackV1> {
    let frame::Place::Pack(whole) = frame::place(key)? else { return None };
    let payload = frame::unseal(key, value)?;
    let stored: PackV1 = codec::from_slice(payload, limit::SPOOL_VALUE_BYTES_MAX).ok()?;
    let runs = &stored.0;
    let inside = runs.first()?.from == whole.from && runs.last()?.to == whole.to;
    let sound = runs.iter().all(|run| !run.is_empty());
    let ordered = runs.windows(2).all(|pair| matches!(pair, [a, b] if a.to < b.from));
    (inside && sound && ordered).then_some(stored)
}

fn seen(record: &RecordV1) -> (u8, Option<Timestamp>) {
    match record.decode() {
        Decoded::Known(record) => (record.observation.category.code(), Some(record.observation.at.wall)),
        Decoded::Unknown { .. } => (NO_CATEGORY, None),
    }
}

/// A pack of as many records, from the first on, as fit; `None` if not even one does.
pub(super) fn largest(records: &[RecordV1]) -> Result<Option<(Pack, Op, usize)>, SpoolError> {
    let mut plain = 0;
    let fitting = records.iter().take_while(|record| {
        plain += size_of(record);
        plain <= PLAIN_BYTES
    });
    let mut count = fitting.count().max(1);
    while let Some(part) = records.get(..count).filter(|part| !part.is_empty()) {
        if let Some((pack, op)) = Pack::of(part)? {
            return Ok(Some((pack, op, count)));
        }
        count = count * 3 / 4;
    }
    Ok(None)
}

/// About what a record takes loose.
pub(super) fn size_of(record: &RecordV1) -> u64 {
    (record.data_len() + RECORD_OVERHEAD) as u64
}

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// Packs the oldest loose records until, with `coming` bytes more, no more are loose than may
    /// be, or no pack would be worth it.
    pub(super) fn pack_oldest(&mut self, coming: u64) -> Result<(), SpoolError> {
        while self.loose_bytes + coming > self.room.loose_bytes && self.pack_one()? {}
        Ok(())
    }

    fn pack_one(&mut self) -> Result<bool, SpoolError> {
        let page = self.page(Class::Ordinary, None, PAGE)?;
        let (damaged, page): (Vec<_>, Vec<_>) = page.into_iter().partition(|w| w.record.is_none());
        if !damaged.is_empty() {
            self.condemn(&damaged)?;
        }
        let records: Vec<RecordV1> = page.iter().filter_map(|w| w.record.clone()).collect();
        for from in 0..records.len() {
            let Some(rest) = records.get(from..) else { break };
            // One that fits no pack stays where it is.
            let fits = rest.get(..1).map(Pack::of).transpose()?.flatten().is_some();
            let Some((pack, put, count)) = (if fits { largest(rest)? } else { None }) else { continue };
            let packed: Vec<&Waiting> = page.iter().skip(from).take(count).collect();
            let before: u64 = packed.iter().map(|w| w.bytes).sum();
            if pack.bytes >= before {
                return Ok(false);
            }
            let deletes = packed.iter().map(|w| Op::Delete(w.key.clone()));
            let ops: Vec<Op> = deletes.chain([put]).collect();
            self.loose_bytes = self.loose_bytes.saturating_sub(before);
            self.record_bytes = self.record_bytes.saturating_sub(before) + pack.bytes;
            self.insert_pack(pack);
            self.commit(&ops)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn insert_pack(&mut self, pack: Pack) {
        self.packs.insert(pack.key.clone(), pack);
    }

    /// The records of a pack; all of them without their bytes if those are damaged.
    pub(super) fn packed(&self, pack: &Pack) -> Result<Vec<Waiting>, SpoolError> {
        let Some(records) = self.records_of(pack)? else { return Ok(pack.unread()) };
        let waiting = |record: RecordV1| Waiting {
            key: pack.key.clone(),
            class: Class::Ordinary,
            id: record.id(),
            bytes: size_of(&record),
            record: Some(record),
            packed: true,
        };
        Ok(records.into_iter().map(waiting).collect())
    }

    fn records_of(&self, pack: &Pack) -> Result<Option<Vec<RecordV1>>, SpoolError> {
        let value = self.engine.get(&pack.key);
        self.halted.set(self.halted.get() || value.is_err());
        Ok(value?.and_then(|value| pack.unpack(&value)))
    }

    /// At most `max` of the oldest ordinary records: whole packs, where at least one fits.
    pub(super) fn oldest_of(&self, max: usize) -> Result<Vec<Waiting>, SpoolError> {
        let mut oldest: Vec<Waiting> = Vec::new();
        if max == 0 {
            return Ok(oldest);
        }
        for pack in self.packs.values() {
            let more = usize::try_from(pack.count()).unwrap_or(usize::MAX);
            if !oldest.is_empty() && oldest.len().saturating_add(more) > max {
                return Ok(oldest);
            }
            oldest.extend(self.packed(pack)?);
            if oldest.len() >= max {
                oldest.truncate(max);
                return Ok(oldest);
            }
        }
        oldest.extend(self.page(Class::Ordinary, None, max - oldest.len())?);
        Ok(oldest)
    }

    /// Packed records from an id on, in order, of as many packs as it takes for `max` of them.
    pub(super) fn packed_from(&self, from: RecId, max: usize) -> Result<Vec<Waiting>, SpoolError> {
        let mut found: Vec<Waiting> = Vec::new();
        for pack in self.packs.values().filter(|pack| pack.last() >= from) {
            let first = pack.ids().next().unwrap_or_default();
            if found.len() >= max && found.iter().all(|w| w.id < first) {
                break;
            }
            found.extend(self.packed(pack)?.into_iter().filter(|w| w.id >= from));
        }
        Ok(found)
    }

    /// Takes records out of the waiting ones, along with `ops`. What a pack holds besides is
    /// packed anew; what is left of a damaged one is declared.
    pub(super) fn take_out(&mut self, records: &[Waiting], ops: &mut Vec<Op>) -> Result<(), SpoolError> {
        let mut from_packs: BTreeMap<&[u8], BTreeSet<RecId>> = BTreeMap::new();
        for record in records {
            if record.packed {
                from_packs.entry(&record.key).or_default().insert(record.id);
            } else {
                self.forget(record);
                ops.push(Op::Delete(record.key.clone()));
            }
        }
        for (key, taken) in from_packs {
            self.take_from_pack(key, &taken, ops)?;
        }
        Ok(())
    }

    pub(super) fn take_from_pack(
        &mut self,
        key: &[u8],
        taken: &BTreeSet<RecId>,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        let Some(pack) = self.packs.remove(key) else { return Ok(()) };
        ops.push(Op::Delete(pack.key.clone()));
        self.record_bytes = self.record_bytes.saturating_sub(pack.bytes);
        let left: Vec<RecId> = pack.ids().filter(|id| !taken.contains(id)).collect();
        self.waiting = self.waiting.saturating_sub(pack.count() - left.len() as u64);
        if left.is_empty() {
            return Ok(());
        }
        if let Some(mut records) = self.records_of(&pack)? {
            records.retain(|record| !taken.contains(&record.id()));
            self.put_packed(&records, ops)
        } else {
            self.waiting = self.waiting.saturating_sub(left.len() as u64);
            self.state.corrupt += left.len() as u64;
            for run in runs_of(left) {
                self.gaps.add(run, GapReason::Corrupt, ops);
            }
            Ok(())
        }
    }

    /// Puts records that waited in a pack into packs again.
    fn put_packed(&mut self, mut records: &[RecordV1], ops: &mut Vec<Op>) -> Result<(), SpoolError> {
        while let Some((next, behind)) = records.split_first() {
            if let Some((pack, put, count)) = largest(records)? {
                self.record_bytes += pack.bytes;
                self.insert_pack(pack);
                ops.push(put);
                records = records.get(count..).unwrap_or_default();
            } else {
                let payload = codec::to_vec(next).map_err(SpoolError::Encode)?;
                let key = frame::record_key(Class::Ordinary, next.id());
                let value = frame::seal(&key, &payload);
                let bytes = (key.len() + value.len()) as u64;
                self.record_bytes += bytes;
                self.loose_bytes += bytes;
                ops.push(Op::Put(key, value));
                records = behind;
            }
        }
        Ok(())
    }
}
