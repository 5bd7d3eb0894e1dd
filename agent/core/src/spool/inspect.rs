//! What a spool holds and whether all of it can still be read, without changing anything.
//!
//! Holds: everything is looked at through the same checks as at an open; what an open would
//! declare lost is a [`Fault`] here.
//!
//! Does not: repair, or say which chain the spool should belong to.

use super::{
    SpoolError,
    engine::Engine,
    frame::{self, Space},
    open::Survey,
    state::{SpoolLink, SpoolState},
};
use serde::Serialize;
use std::collections::BTreeMap;
use tenken_common::{
    batch::{Gap, GapReason, RecRun},
    category::Category,
    codec,
    id::{DeviceId, Epoch, Hash, RecId, Seq},
    limit,
    observation::Class,
    time::Timestamp,
    wire::v1::{Decoded, RecordV1},
};

const PAGE: usize = 256;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// `None` where no state is left.
    pub chain: Option<Chain>,
    pub waiting: Vec<Waiting>,
    pub in_flight: Vec<InFlight>,
    pub gaps: Vec<Gap>,
    pub faults: Vec<Fault>,
}

/// Where the chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub head_seq: Seq,
    pub acked_seq: Seq,
    pub last_id: RecId,
    pub consent_version: u64,
    pub evicted: u64,
    pub corrupt: u64,
}

/// Records of one kind that are not cut yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub urgent: bool,
    /// `None` for records of a later version.
    pub category: Option<Category>,
    pub records: u64,
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
}

/// A link that is cut and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFlight {
    pub seq: Seq,
    pub hash: Hash,
    pub records: u64,
    pub gaps: u64,
    pub body_bytes: u32,
    pub stub: Option<GapReason>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Record(RecId),
    /// Ids that are nowhere: neither waiting, cut, declared nor acknowledged.
    Missing(RecRun),
    /// Values that are damaged or that no version of this program wrote.
    Values(u64),
    /// The body of a link in flight.
    Body(Seq),
    /// The place of a link in the chain.
    Link(Seq),
    /// The engine's copy of the state.
    InnerState,
    /// This many copies of the state file.
    StateFile(u64),
    /// The store knows less than the state file.
    Behind,
}

/// Reads all of it. `file` is the newest good copy of the state file, `bad_copies` how many are
/// none.
pub fn inspect<E: Engine>(
    engine: &E,
    file: Option<&SpoolState>,
    bad_copies: u64,
) -> Result<Inspection, SpoolError> {
    let survey = Survey::of(engine)?;
    let mut faults: Vec<Fault> = survey.corrupt.iter().map(|id| Fault::Record(*id)).collect();
    let values = survey.garbage.len().saturating_sub(survey.corrupt.len()) as u64;
    faults.extend((values > 0).then_some(Fault::Values(values)));
    faults.extend((survey.state.is_none()).then_some(Fault::InnerState));
    faults.extend((bad_copies > 0).then_some(Fault::StateFile(bad_copies)));
    faults.extend(survey.is_behind(file).then_some(Fault::Behind));
    let newest = file.into_iter().chain(&survey.state).max_by_key(|s| (s.start.epoch, s.generation));
    let mut held = survey.records.clone();
    held.extend(survey.gaps.iter().map(|gap| gap.run));
    let mut in_flight = Vec::new();
    if let Some(state) = newest {
        let mut links: BTreeMap<Seq, SpoolLink> = survey.links.clone();
        for link in file.into_iter().flat_map(|file| &file.links) {
            links.entry(link.seq).or_insert_with(|| link.clone());
        }
        for seq in (state.acked_seq.0 + 1..=state.head_seq.0).map(Seq) {
            if !survey.links.contains_key(&seq) {
                faults.push(Fault::Link(seq));
            }
            let Some(link) = links.get(&seq) else { continue };
            held.extend(link.records.iter().chain(&link.gaps).copied());
            if link.stub.is_none() && !is_whole(engine, link)? {
                faults.push(Fault::Body(seq));
            }
            in_flight.push(InFlight {
                seq,
                hash: link.hash,
                records: link.record_count(),
                gaps: link.gaps.len() as u64,
                body_bytes: link.body_bytes,
                stub: link.stub,
            });
        }
        held.extend(state.settled().runs());
        held.extend(survey.corrupt.iter().map(|id| RecRun::one(*id)));
        // What was appended after the last state is not known by it; holes below it are.
        let highest = held.last().unwrap_or_default().max(state.last_id);
        let used = RecRun { from: state.blurred_to.next(), to: highest };
        if !used.is_empty() {
            faults.extend(held.missing_in(used).into_iter().map(Fault::Missing));
        }
    }
    let chain = newest.map(|state| Chain {
        device: state.start.device,
        epoch: state.start.epoch,
        head_seq: state.head_seq,
        acked_seq: state.acked_seq,
        last_id: state.last_id.max(survey.records.last().unwrap_or_default()),
        consent_version: state.consent_version,
        evicted: state.evicted,
        corrupt: state.corrupt,
    });
    Ok(Inspection { chain, waiting: waiting(engine, &survey)?, in_flight, gaps: survey.gaps, faults })
}

fn is_whole<E: Engine>(engine: &E, link: &SpoolLink) -> Result<bool, SpoolError> {
    let (from, to) = frame::long_range(Space::Body, link.seq.0);
    let max = usize::try_from(frame::chunks_of(limit::BODY_BYTES_MAX)).unwrap_or(usize::MAX);
    let pairs = engine.scan(&from, &to, max.saturating_add(1))?;
    Ok(frame::join(&pairs).is_some_and(|body| Hash::of(&body) == link.hash))
}

type Kinds = BTreeMap<(bool, Option<u8>), Waiting>;

fn waiting<E: Engine>(engine: &E, survey: &Survey) -> Result<Vec<Waiting>, SpoolError> {
    let mut kinds = Kinds::new();
    for pack in survey.packs.values() {
        let records = engine.get(&pack.key)?.and_then(|value| pack.unpack(&value)).unwrap_or_default();
        for record in &records {
            count(record, Class::Ordinary, &mut kinds);
        }
    }
    for class in Class::ALL {
        let (mut from, to) = frame::records_of(class);
        loop {
            let page = engine.scan(&from, &to, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = frame::after(last);
            for (key, value) in &page {
                let record = frame::unseal(key, value)
                    .and_then(|p| codec::from_slice::<RecordV1>(p, limit::SPOOL_VALUE_BYTES_MAX).ok());
                if let Some(record) = record {
                    count(&record, class, &mut kinds);
                }
            }
        }
    }
    Ok(kinds.into_values().collect())
}

fn count(record: &RecordV1, class: Class, kinds: &mut Kinds) {
    let (category, at) = match record.decode() {
        Decoded::Known(r) => (Some(r.observation.category), Some(r.observation.at.wall)),
        Decoded::Unknown { .. } => (None, None),
    };
    let urgent = class == Class::Urgent;
    let kind = kinds.entry((!urgent, category.map(Category::code)));
    let kind = kind.or_insert(Waiting { urgent, category, records: 0, oldest: at, newest: at });
    kind.records += 1;
    kind.oldest = kind.oldest.into_iter().chain(at).min();
    kind.newest = kind.newest.into_iter().chain(at).max();
}
