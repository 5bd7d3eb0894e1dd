//! Version 1 of the batch:
//!
//! ```text
//! [ device:bin16, epoch:u32, seq:u64, prev:bin32, boot:bin16, mono_ms:u64, wall_us:i64,
//!   clock:[offset_ms, uncertainty_ms, source], agent_version:str, class:u8,
//!   records:[[rec_id:u64, kind:u16, boot:bin16, mono_ms, wall_us, data:bin]..],
//!   gaps:[[from, to, reason:u8]..] ]
//! ```
//!
//! and of a record's data, by kind: 1 sample `[category, subject, probe, [[name, unit, value]..]]`,
//! 2 check result `[category, subject, probe, state]`, 3 self report `[category, subject,
//! [[name, unit, value]..], [[probe, state, duration_ms]..]]`, and the facts: 4 patch status
//! `[category, subject, probe, source, state, pending?, security?, oldest_us?, index_us?,
//! applied_us?, reboot_needed?, system, build?]`, 5 pattern-file status `[category, subject, probe,
//! source, state, engine?, version?, defined_us?]`, 6 revision `[category, subject, probe,
//! version]`, 7 wear counter `[category, subject, probe, [name, unit, value], rated_life?,
//! direction]`, 8 inventory `[category, subject, probe, [[item, value]..]]`; what is not known is
//! nil.
//!
//! Holds: bytes are pinned by a golden test. A record of an unknown kind, or with a code that
//! this version does not know, does not spoil its batch: it comes out as [`Decoded::Unknown`].

use crate::{
    batch::{Batch, Gap, GapReason, RecRun},
    category::Category,
    codec::{self, CodecError},
    envelope::Payload,
    fact::{
        Fact, Inventory, InventoryItem, PatchSource, PatchState, PatchStatus, PatternFileStatus,
        PatternSource, PatternState, Revision, WearCounter, WearDirection,
    },
    id::{BootId, DeviceId, Epoch, Hash, Name, RecId, Seq},
    limit,
    observation::{
        Body, CheckResult, CheckState, Class, Observation, ProbeRun, ProbeState, Record, Sample, SelfReport,
    },
    time::{ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

const KIND_SAMPLE: u16 = 1;
const KIND_CHECK_RESULT: u16 = 2;
const KIND_SELF_REPORT: u16 = 3;
const KIND_PATCH_STATUS: u16 = 4;
const KIND_PATTERN_FILE_STATUS: u16 = 5;
const KIND_REVISION: u16 = 6;
const KIND_WEAR_COUNTER: u16 = 7;
const KIND_INVENTORY: u16 = 8;

#[derive(Serialize, Deserialize)]
struct BatchV1(
    DeviceId,
    Epoch,
    Seq,
    Hash,
    BootId,
    Monotonic,
    Timestamp,
    (i64, u32, u8),
    String,
    u8,
    Vec<RecordV1>,
    Vec<(RecId, RecId, u8)>,
);

/// A record as it stands in a batch and in the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordV1(RecId, u16, BootId, Monotonic, Timestamp, ByteBuf);

type QuantityV1 = (Name, u8, f64);
type SampleV1 = (u8, Name, Name, Vec<QuantityV1>);
type CheckResultV1 = (u8, Name, Name, u8);
type SelfReportV1 = (u8, Name, Vec<QuantityV1>, Vec<(Name, u8, u32)>);
type PatchStatusV1 = (
    u8,
    Name,
    Name,
    u8,
    u8,
    Option<u32>,
    Option<u32>,
    Option<Timestamp>,
    Option<Timestamp>,
    Option<Timestamp>,
    Option<bool>,
    Name,
    Option<Name>,
);
type PatternFileStatusV1 = (u8, Name, Name, u8, u8, Option<Name>, Option<Name>, Option<Timestamp>);
type RevisionV1 = (u8, Name, Name, Name);
type WearCounterV1 = (u8, Name, Name, QuantityV1, Option<f64>, u8);
type InventoryV1 = (u8, Name, Name, Vec<(u8, Name)>);

/// A record that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Known(Record),
    /// Of a later version: kept in the log, counted, not interpreted.
    Unknown {
        id: RecId,
        kind: u16,
    },
}

impl RecordV1 {
    pub fn of(record: &Record) -> Result<Self, CodecError> {
        let o = &record.observation;
        let category = o.category.code();
        let subject = o.subject.clone();
        let (kind, data) = match &o.body {
            Body::Sample(s) => {
                let data: SampleV1 = (category, subject, s.probe.clone(), quantities_out(&s.quantities));
                (KIND_SAMPLE, codec::to_vec(&data)?)
            }
            Body::CheckResult(c) => {
                let data: CheckResultV1 = (category, subject, c.probe.clone(), c.state.code());
                (KIND_CHECK_RESULT, codec::to_vec(&data)?)
            }
            Body::SelfReport(r) => {
                let runs = r.runs.iter().map(|run| (run.probe.clone(), run.state.code(), run.duration_ms));
                let data: SelfReportV1 = (category, subject, quantities_out(&r.quantities), runs.collect());
                (KIND_SELF_REPORT, codec::to_vec(&data)?)
            }
            Body::Fact(fact) => fact_out(category, subject, fact)?,
        };
        if data.len() > limit::RECORD_BYTES_MAX {
            return Err(CodecError::TooLarge { got: data.len(), max: limit::RECORD_BYTES_MAX });
        }
        Ok(Self(record.id, kind, o.at.boot, o.at.mono, o.at.wall, ByteBuf::from(data)))
    }

    pub fn id(&self) -> RecId {
        self.0
    }

    /// The same record under another id.
    pub fn with_id(self, id: RecId) -> Self {
        Self(id, self.1, self.2, self.3, self.4, self.5)
    }

    /// Length of the observation's own bytes.
    pub fn data_len(&self) -> usize {
        self.5.len()
    }

    pub fn decode(&self) -> Decoded {
        match self.try_decode() {
            Ok(record) => Decoded::Known(record),
            Err(_) => Decoded::Unknown { id: self.0, kind: self.1 },
        }
    }

    fn try_decode(&self) -> Result<Record, CodecError> {
        let Self(id, kind, boot, mono, wall, data) = self;
        let max = limit::RECORD_BYTES_MAX;
        let (category, subject, body) = match *kind {
            KIND_SAMPLE => {
                let (category, subject, probe, quantities): SampleV1 = codec::from_slice(data, max)?;
                let quantities = quantities_in(quantities)?;
                (category, subject, Body::Sample(Sample { probe, quantities }))
            }
            KIND_CHECK_RESULT => {
                let (category, subject, probe, state): CheckResultV1 = codec::from_slice(data, max)?;
                let state = CheckState::from_code(state).ok_or(CodecError::Value("state"))?;
                (category, subject, Body::CheckResult(CheckResult { probe, state }))
            }
            KIND_SELF_REPORT => {
                let (category, subject, quantities, runs): SelfReportV1 = codec::from_slice(data, max)?;
                let runs = runs
                    .into_iter()
                    .map(|(probe, state, duration_ms)| {
                        let state = ProbeState::from_code(state).ok_or(CodecError::Value("run state"))?;
                        Ok(ProbeRun { probe, state, duration_ms })
                    })
                    .collect::<Result<_, CodecError>>()?;
                let quantities = quantities_in(quantities)?;
                (category, subject, Body::SelfReport(SelfReport { quantities, runs }))
            }
            kind => {
                let (category, subject, fact) = fact_in(kind, data)?;
                (category, subject, Body::Fact(fact))
            }
        };
        let category = Category::from_code(category).ok_or(CodecError::Value("category"))?;
        let at = Moment { boot: *boot, mono: *mono, wall: *wall };
        Ok(Record { id: *id, observation: Observation { at, category, subject, body } })
    }
}

fn fact_out(category: u8, subject: Name, fact: &Fact) -> Result<(u16, Vec<u8>), CodecError> {
    let probe = fact.probe().clone();
    match fact {
        Fact::PatchStatus(p) => {
            let data: PatchStatusV1 = (
                category,
                subject,
                probe,
                p.source.code(),
                p.state.code(),
                p.pending,
                p.security,
                p.oldest_at,
                p.index_at,
                p.applied_at,
                p.reboot_needed,
                p.system.clone(),
                p.build.clone(),
            );
            Ok((KIND_PATCH_STATUS, codec::to_vec(&data)?))
        }
        Fact::PatternFileStatus(p) => {
            let (source, state) = (p.source.code(), p.state.code());
            let data: PatternFileStatusV1 =
                (category, subject, probe, source, state, p.engine.clone(), p.version.clone(), p.defined_at);
            Ok((KIND_PATTERN_FILE_STATUS, codec::to_vec(&data)?))
        }
        Fact::Revision(r) => {
            let data: RevisionV1 = (category, subject, probe, r.version.clone());
            Ok((KIND_REVISION, codec::to_vec(&data)?))
        }
        Fact::WearCounter(w) => {
            let value = quantity_out(&w.value);
            let data: WearCounterV1 = (category, subject, probe, value, w.rated_life, w.direction.code());
            Ok((KIND_WEAR_COUNTER, codec::to_vec(&data)?))
        }
        Fact::Inventory(i) => {
            let items = i.items.iter().map(|(item, value)| (item.code(), value.clone())).collect();
            let data: InventoryV1 = (category, subject, probe, items);
            Ok((KIND_INVENTORY, codec::to_vec(&data)?))
        }
    }
}

fn fact_in(kind: u16, data: &[u8]) -> Result<(u8, Name, Fact), CodecError> {
    let max = limit::RECORD_BYTES_MAX;
    let read = match kind {
        KIND_PATCH_STATUS => {
            let data: PatchStatusV1 = codec::from_slice(data, max)?;
            let (category, subject, probe, source, state, pending, security, oldest_at, index_at, ..) = data;
            let (.., applied_at, reboot_needed, system, build) = data;
            let source = PatchSource::from_code(source).ok_or(CodecError::Value("patch source"))?;
            let state = PatchState::from_code(state).ok_or(CodecError::Value("patch state"))?;
            let fact = PatchStatus {
                probe,
                source,
                state,
                pending,
                security,
                oldest_at,
                index_at,
                applied_at,
                reboot_needed,
                system,
                build,
            };
            (category, subject, Fact::PatchStatus(fact))
        }
        KIND_PATTERN_FILE_STATUS => {
            let (category, subject, probe, source, state, engine, version, defined_at): PatternFileStatusV1 =
                codec::from_slice(data, max)?;
            let source = PatternSource::from_code(source).ok_or(CodecError::Value("pattern source"))?;
            let state = PatternState::from_code(state).ok_or(CodecError::Value("pattern state"))?;
            let fact = PatternFileStatus { probe, source, state, engine, version, defined_at };
            (category, subject, Fact::PatternFileStatus(fact))
        }
        KIND_REVISION => {
            let (category, subject, probe, version): RevisionV1 = codec::from_slice(data, max)?;
            (category, subject, Fact::Revision(Revision { probe, version }))
        }
        KIND_WEAR_COUNTER => {
            let (category, subject, probe, value, rated_life, direction): WearCounterV1 =
                codec::from_slice(data, max)?;
            let direction = WearDirection::from_code(direction).ok_or(CodecError::Value("direction"))?;
            if rated_life.is_some_and(|life| !life.is_finite()) {
                return Err(CodecError::Value("rated life"));
            }
            let value = quantity_in(value)?;
            (category, subject, Fact::WearCounter(WearCounter { probe, value, rated_life, direction }))
        }
        KIND_INVENTORY => {
            let (category, subject, probe, items): InventoryV1 = codec::from_slice(data, max)?;
            let item = |(item, value)| {
                let item = InventoryItem::from_code(item).ok_or(CodecError::Value("inventory item"))?;
                Ok((item, value))
            };
            let items = items.into_iter().map(item).collect::<Result<_, CodecError>>()?;
            (category, subject, Fact::Inventory(Inventory { probe, items }))
        }
        _ => return Err(CodecError::Value("kind")),
    };
    Ok(read)
}

fn quantities_out(quantities: &[Quantity]) -> Vec<QuantityV1> {
    quantities.iter().map(quantity_out).collect()
}

fn quantity_out(q: &Quantity) -> QuantityV1 {
    (q.name.clone(), q.unit.code(), q.value)
}

fn quantities_in(quantities: Vec<QuantityV1>) -> Result<Vec<Quantity>, CodecError> {
    if quantities.len() > limit::QUANTITIES_MAX {
        return Err(CodecError::Value("quantities"));
    }
    quantities.into_iter().map(quantity_in).collect()
}

fn quantity_in((name, unit, value): QuantityV1) -> Result<Quantity, CodecError> {
    let unit = Unit::from_code(unit).ok_or(CodecError::Value("unit"))?;
    Quantity::new(name, unit, value).ok_or(CodecError::Value("value"))
}

/// A batch as received: its records still as they came, so that one that this version does not
/// know does not spoil the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedBatch {
    pub batch: Batch,
    /// Ids and kinds of records that this version cannot read.
    pub unknown: Vec<(RecId, u16)>,
}

/// The plain form of a batch around records that are encoded already.
pub fn encode_batch(batch: &Batch, records: Vec<RecordV1>) -> Result<Vec<u8>, CodecError> {
    let c = &batch.clock;
    codec::to_vec(&BatchV1(
        batch.device,
        batch.epoch,
        batch.seq,
        batch.prev,
        batch.at.boot,
        batch.at.mono,
        batch.at.wall,
        (c.offset_ms, c.uncertainty_ms, c.source as u8),
        batch.agent_version.clone(),
        batch.class.code(),
        records,
        batch.gaps.iter().map(|g| (g.run.from, g.run.to, g.reason.code())).collect(),
    ))
}

fn decode_batch(plain: &[u8]) -> Result<ReceivedBatch, CodecError> {
    let BatchV1(device, epoch, seq, prev, boot, mono, wall, clock, agent_version, class, records, gaps) =
        codec::from_slice(plain, limit::PLAIN_BYTES_MAX)?;
    if records.len() > limit::BATCH_RECORDS_MAX {
        return Err(CodecError::Value("records"));
    }
    if gaps.len() > limit::BATCH_GAPS_MAX {
        return Err(CodecError::Value("gaps"));
    }
    if Name::new(&agent_version).is_err() {
        return Err(CodecError::Value("agent_version"));
    }
    let (offset_ms, uncertainty_ms, source) = clock;
    let source = match source {
        0 => ClockSource::Unknown,
        1 => ClockSource::SignedTime,
        _ => return Err(CodecError::Value("clock source")),
    };
    let gaps = gaps
        .into_iter()
        .map(|(from, to, reason)| {
            let reason = GapReason::from_code(reason).ok_or(CodecError::Value("gap reason"))?;
            let run = RecRun { from, to };
            if run.is_empty() { Err(CodecError::Value("gap")) } else { Ok(Gap { run, reason }) }
        })
        .collect::<Result<_, _>>()?;
    let mut known = Vec::with_capacity(records.len());
    let mut unknown = Vec::new();
    for record in &records {
        match record.decode() {
            Decoded::Known(record) => known.push(record),
            Decoded::Unknown { id, kind } => unknown.push((id, kind)),
        }
    }
    let batch = Batch {
        device,
        epoch,
        seq,
        prev,
        at: Moment { boot, mono, wall },
        clock: ClockQuality { offset_ms, uncertainty_ms, source },
        agent_version,
        class: Class::from_code(class).ok_or(CodecError::Value("class"))?,
        records: known,
        gaps,
    };
    Ok(ReceivedBatch { batch, unknown })
}

impl ReceivedBatch {
    /// Every record id that came, readable or not, sorted.
    pub fn record_ids(&self) -> Vec<RecId> {
        let known = self.batch.records.iter().map(|r| r.id);
        let mut ids: Vec<RecId> = known.chain(self.unknown.iter().map(|(id, _)| *id)).collect();
        ids.sort_unstable();
        ids
    }
}

impl Payload for ReceivedBatch {
    const TYPE: &'static str = "application/vnd.tenken.batch.v1+msgpack+zstd";

    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let records = self.batch.records.iter().map(RecordV1::of).collect::<Result<_, _>>()?;
        codec::compress(&encode_batch(&self.batch, records)?)
    }

    fn decode(body: &[u8]) -> Result<Self, CodecError> {
        if body.len() > limit::BODY_BYTES_MAX {
            return Err(CodecError::TooLarge { got: body.len(), max: limit::BODY_BYTES_MAX });
        }
        decode_batch(&codec::decompress(body)?)
    }
}
