//! A rejoin, as the spool sees it: its records move to the next epoch of the device.
//!
//! Holds: what is moved is every record that can still be read, waiting or in a body that is in
//! flight; each gets a new id, from 1 and in the old order. Gaps, links, settled ids and the
//! acknowledgement stay behind with the old epoch, which the collector closed. The new content is
//! put in the place of the old one in one step ([`Engine::renew`]), the state file follows; a
//! crash in between is healed at the next open by the same comparison.
//!
//! Does not: declare ids of the old epoch. The collector did, when it closed it. Whether a body
//! in flight was stored under the old epoch nobody here knows: its records are moved, so what a
//! copied disk sends again under the new epoch is there twice.

use super::{
    SpoolError,
    engine::{Engine, Op},
    frame::{self, Place, Space},
    open::Survey,
    pack,
    runs::RunSet,
    state::{ChainStart, SpoolState},
};
use std::collections::{BTreeMap, btree_map::Entry};
use tenken_common::{
    codec,
    envelope::Payload,
    id::{Hash, RecId},
    limit,
    observation::Class,
    wire::v1::{ReceivedBatch, RecordV1},
};

const PAGE: usize = 256;

/// How a stored chain stands to the one that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinship {
    Same,
    /// An epoch of this device that was closed.
    Earlier,
    Other,
}

impl Kinship {
    pub(super) fn of(stored: &ChainStart, wanted: &ChainStart) -> Self {
        if stored == wanted {
            Self::Same
        } else if stored.device == wanted.device && stored.epoch < wanted.epoch {
            Self::Earlier
        } else {
            Self::Other
        }
    }
}

/// Puts the records of the old epoch in the engine anew, with the new chain's state beside them.
pub(super) fn migrate<E: Engine>(
    engine: &mut E,
    file: Option<SpoolState>,
    survey: &Survey,
    start: ChainStart,
    loose_bytes: u64,
) -> Result<(), SpoolError> {
    let newest = file.into_iter().chain(survey.state.clone()).max_by_key(|state| state.generation);
    let Some(old) = newest else { return Ok(()) };
    let mut ops = Vec::new();
    let mut id = RecId(0);
    let mut ordinary = Vec::new();
    for (class, record) in held(engine, survey, &old)?.into_values() {
        id = id.next();
        let record = record.with_id(id);
        match class {
            Class::Urgent => ops.push(loose(class, &record)?),
            Class::Ordinary => ordinary.push(record),
        }
    }
    put_ordinary(&ordinary, loose_bytes, &mut ops)?;
    let mut state = SpoolState::new(start);
    state.generation = old.generation + 1;
    (state.reserved_to, state.last_id) = (id, id);
    (state.evicted, state.corrupt) = (old.evicted, old.corrupt);
    state.consent_version = old.consent_version;
    frame::put_long(Space::State, 0, &state.encode().map_err(SpoolError::Encode)?, &mut ops);
    Ok(engine.renew(&ops)?)
}

fn loose(class: Class, record: &RecordV1) -> Result<Op, SpoolError> {
    let payload = codec::to_vec(record).map_err(SpoolError::Encode)?;
    Ok(frame::put(frame::record_key(class, record.id()), &payload))
}

/// The newest loose, as many as may be; those before them in packs.
fn put_ordinary(mut records: &[RecordV1], loose_bytes: u64, ops: &mut Vec<Op>) -> Result<(), SpoolError> {
    let mut left: u64 = records.iter().map(pack::size_of).sum();
    while let Some(first) = records.first() {
        let packed = if left > loose_bytes { pack::largest(records)? } else { None };
        let (op, count) = match packed {
            Some((_, op, count)) => (op, count),
            None => (loose(Class::Ordinary, first)?, 1),
        };
        ops.push(op);
        let (done, more) = records.split_at_checked(count).unwrap_or((records, &[]));
        left = left.saturating_sub(done.iter().map(pack::size_of).sum());
        records = more;
    }
    Ok(())
}

type Held = BTreeMap<RecId, (Class, RecordV1)>;

/// What the old epoch still holds, by its old ids.
fn held<E: Engine>(engine: &E, survey: &Survey, old: &SpoolState) -> Result<Held, SpoolError> {
    let mut held = Held::new();
    let mut done: RunSet = old.settled();
    done.extend(survey.gaps.iter().map(|gap| gap.run));
    for link in survey.links.values().chain(&old.links).filter(|link| link.seq > old.acked_seq) {
        done.extend(link.records.iter().copied());
        let (from, to) = frame::long_range(Space::Body, link.seq.0);
        let max = usize::try_from(frame::chunks_of(limit::BODY_BYTES_MAX)).unwrap_or(usize::MAX);
        let body = frame::join(&engine.scan(&from, &to, max.saturating_add(1))?);
        let body = body.filter(|body| link.stub.is_none() && Hash::of(body) == link.hash);
        let Some(Ok(received)) = body.map(|body| ReceivedBatch::decode(&body)) else { continue };
        for record in &received.batch.records {
            if let Entry::Vacant(place) = held.entry(record.id) {
                place.insert((record.observation.class(), RecordV1::of(record).map_err(SpoolError::Encode)?));
            }
        }
    }
    for class in Class::ALL {
        let (mut from, to) = frame::records_of(class);
        loop {
            let page = engine.scan(&from, &to, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = frame::after(last);
            for (key, value) in page {
                let Some(Place::Record(class, id)) = frame::place(&key) else { continue };
                let record = frame::unseal(&key, &value)
                    .and_then(|p| codec::from_slice::<RecordV1>(p, limit::SPOOL_VALUE_BYTES_MAX).ok())
                    .filter(|record| record.id() == id && !done.contains(id));
                if let Some(record) = record {
                    held.entry(id).or_insert((class, record));
                }
            }
        }
    }
    for pack in survey.packs.values() {
        let records = engine.get(&pack.key)?.and_then(|value| pack.unpack(&value)).unwrap_or_default();
        for record in records.into_iter().filter(|record| !done.contains(record.id())) {
            held.entry(record.id()).or_insert((Class::Ordinary, record));
        }
    }
    Ok(held)
}
