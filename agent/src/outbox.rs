//! `tenken-agent outbox`: every field that left this device or will leave it, for the hospital's
//! administrator, as a page or as JSON (one object a line).
//!
//! Holds: what left is read from the sent journal, from the very bytes that were signed. Every
//! value is shown as it stands on the wire, unrounded; types are taken apart field by field, so
//! that a new field does not compile before it is shown here. What cannot be read is said.
//!
//! Does not: send, delete, or need the network. What waits can be read only while no agent runs.

use crate::sent::{self, Found, SentEntry, SentError};
use serde::Serialize;
use std::{collections::BTreeSet, io, path::Path};
use tenken_agent_core::spool::{Spool, SpoolError, WaitingRecord};
use tenken_common::{
    batch::{Batch, Gap, RecRun},
    column,
    envelope::Payload,
    id::{BootId, DeviceId, Epoch, Hash, RecId, Seq},
    message::{Language, Message},
    observation::{Body, CheckResult, Class, Observation, ProbeRun, Record, Sample, SelfReport},
    stub::Stub,
    time::{ClockQuality, ClockSource, Moment, Timestamp},
    unit::Quantity,
    wire::v1::{Decoded, ReceivedBatch},
};

/// A page's width.
const COLUMNS: usize = 100;
/// Waiting records that are read at once.
const PAGE: usize = 256;

/// What cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Sent(#[from] SentError),
    #[error("the spool cannot be read")]
    Spool(#[from] SpoolError),
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    #[error("an entry cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// One thing that left or will leave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Item {
    Batch {
        /// When it was first sent; nothing for one that was not yet.
        sent: Option<Timestamp>,
        bytes: usize,
        #[serde(flatten)]
        batch: BatchFields,
    },
    Stub {
        sent: Option<Timestamp>,
        bytes: usize,
        #[serde(flatten)]
        stub: StubFields,
    },
    Record {
        #[serde(flatten)]
        record: RecordFields,
    },
    /// A declared loss that is in no batch yet.
    Gap {
        #[serde(flatten)]
        gap: Gap,
    },
    /// A record of a kind that this version does not know, or damaged on this disk.
    UnreadableRecord { id: RecId, kind: Option<u16> },
    /// Bytes that left and that this version cannot read.
    UnreadableBody { sent: Option<Timestamp>, seq: Seq, bytes: usize, payload_type: String, why: String },
    /// A part of the journal that cannot be read.
    UnreadableJournal { segment: u64, bytes: u64 },
}

/// A batch, field by field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchFields {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    pub at: Moment,
    pub clock: ClockQuality,
    pub agent_version: String,
    pub class: Class,
    pub records: Vec<RecordFields>,
    /// Ids and kinds of records that this version cannot read.
    pub unknown: Vec<(RecId, u16)>,
    pub gaps: Vec<Gap>,
}

/// A record, field by field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordFields {
    pub id: RecId,
    #[serde(flatten)]
    pub observation: Observation,
}

/// A stub, field by field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StubFields {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    pub body_hash: Hash,
    pub records: Vec<RecRun>,
    pub reason: &'static str,
}

impl From<Record> for RecordFields {
    fn from(Record { id, observation }: Record) -> Self {
        Self { id, observation }
    }
}

impl Item {
    /// What the bytes say; `sent` is when they left.
    fn of_body(sent: Option<Timestamp>, seq: Seq, payload_type: &str, body: &[u8]) -> Self {
        let bytes = body.len();
        let read = if payload_type == Stub::TYPE {
            Stub::decode(body).map(|stub| Self::Stub { sent, bytes, stub: stub_fields(stub) })
        } else {
            ReceivedBatch::decode(body).map(|batch| Self::Batch { sent, bytes, batch: batch_fields(batch) })
        };
        read.unwrap_or_else(|e| Self::UnreadableBody {
            sent,
            seq,
            bytes,
            payload_type: payload_type.to_owned(),
            why: e.to_string(),
        })
    }
}

fn batch_fields(received: ReceivedBatch) -> BatchFields {
    let ReceivedBatch { batch, unknown } = received;
    let Batch { device, epoch, seq, prev, at, clock, agent_version, class, records, gaps } = batch;
    let records = records.into_iter().map(RecordFields::from).collect();
    BatchFields { device, epoch, seq, prev, at, clock, agent_version, class, records, unknown, gaps }
}

fn stub_fields(stub: Stub) -> StubFields {
    let Stub { device, epoch, seq, prev, body_hash, records, reason } = stub;
    StubFields { device, epoch, seq, prev, body_hash, records, reason: reason.as_str() }
}

/// Where it goes, and how.
pub struct Printer<'a> {
    pub out: &'a mut dyn io::Write,
    pub json: bool,
    pub language: Language,
}

impl Printer<'_> {
    /// What left since then; gives the hashes of these bodies.
    pub fn sent(&mut self, state_dir: &Path, since: Timestamp) -> Result<BTreeSet<Hash>, OutboxError> {
        self.heading(Message::OutboxSent)?;
        let mut hashes = BTreeSet::new();
        let mut any = false;
        for found in sent::journal(state_dir)? {
            let item = match found? {
                Found::Entry(SentEntry { at, seq, payload_type, body }) => {
                    hashes.insert(Hash::of(&body));
                    if at < since {
                        continue;
                    }
                    Item::of_body(Some(at), seq, &payload_type, &body)
                }
                Found::Unreadable { segment, bytes } => Item::UnreadableJournal { segment, bytes },
            };
            any = true;
            self.item(&item)?;
        }
        self.nothing_unless(any)?;
        Ok(hashes)
    }

    /// What waits in a spool that no agent uses. Bodies in `shown` left before and are only not
    /// acknowledged yet.
    pub fn waiting(&mut self, spool: &mut dyn Spool, shown: &BTreeSet<Hash>) -> Result<(), OutboxError> {
        self.heading(Message::OutboxWaiting)?;
        let mut any = false;
        let mut after = Seq(0);
        while let Some(cut) = spool.in_flight_after(after)? {
            after = cut.seq;
            if !shown.contains(&Hash::of(&cut.body)) {
                any = true;
                self.item(&Item::of_body(None, cut.seq, cut.payload_type(), &cut.body))?;
            }
        }
        for class in Class::ALL {
            let mut from = RecId(0);
            loop {
                let page = spool.waiting(class, from, PAGE)?;
                let Some(last) = page.last() else { break };
                from = last.id.next();
                any = true;
                for WaitingRecord { id, record } in page {
                    self.item(&match record {
                        Some(Decoded::Known(record)) => Item::Record { record: record.into() },
                        Some(Decoded::Unknown { id, kind }) => {
                            Item::UnreadableRecord { id, kind: Some(kind) }
                        }
                        None => Item::UnreadableRecord { id, kind: None },
                    })?;
                }
            }
        }
        for gap in spool.waiting_gaps() {
            any = true;
            self.item(&Item::Gap { gap })?;
        }
        self.nothing_unless(any)
    }

    /// Lines for people only.
    pub fn say(&mut self, message: Message) -> Result<(), OutboxError> {
        if self.json { Ok(()) } else { self.text(message.text(self.language)) }
    }

    fn heading(&mut self, message: Message) -> Result<(), OutboxError> {
        self.say(message)
    }

    fn nothing_unless(&mut self, any: bool) -> Result<(), OutboxError> {
        if any { Ok(()) } else { self.say(Message::ScreenNothing) }
    }

    fn item(&mut self, item: &Item) -> Result<(), OutboxError> {
        if self.json {
            let line = serde_json::to_string(item).map_err(OutboxError::Json)?;
            return self.text(&line);
        }
        self.text(page(item, self.language).trim_end())
    }

    fn text(&mut self, text: &str) -> Result<(), OutboxError> {
        writeln!(self.out, "{text}").map_err(OutboxError::Output)
    }
}

/// An item as a person reads it.
pub fn page(item: &Item, language: Language) -> String {
    let mut page = Page { text: String::new(), language };
    match item {
        Item::Batch { sent, bytes, batch } => page.batch(*sent, *bytes, batch),
        Item::Stub { sent, bytes, stub } => page.stub(*sent, *bytes, stub),
        Item::Record { record } => page.record(0, record, None),
        Item::Gap { gap } => page.gap(0, gap),
        Item::UnreadableRecord { id, kind } => page.unreadable_record(0, *id, *kind),
        Item::UnreadableBody { sent, seq, bytes, payload_type, why } => {
            let values = [
                ("at", page.sent(*sent)),
                ("seq", seq.to_string()),
                ("bytes", bytes.to_string()),
                ("type", payload_type.clone()),
                ("why", why.clone()),
            ];
            page.say(0, Message::OutboxUnreadableBody, &values);
        }
        Item::UnreadableJournal { segment, bytes } => {
            let values = [("segment", segment.to_string()), ("bytes", bytes.to_string())];
            page.say(0, Message::OutboxUnreadableJournal, &values);
        }
    }
    page.text
}

struct Page {
    text: String,
    language: Language,
}

impl Page {
    fn batch(&mut self, sent: Option<Timestamp>, bytes: usize, batch: &BatchFields) {
        let BatchFields { device, epoch, seq, prev, at, clock, agent_version, class, records, unknown, gaps } =
            batch;
        self.head(Message::OutboxBatch, sent, (*epoch, *seq, bytes));
        let ClockQuality { offset_ms, uncertainty_ms, source } = clock;
        let Moment { boot, mono, wall } = at;
        let source = match source {
            ClockSource::Unknown => Message::OutboxClockUnknown,
            ClockSource::SignedTime => Message::OutboxClockSigned,
        };
        let class = match class {
            Class::Urgent => Message::OutboxUrgent,
            Class::Ordinary => Message::OutboxOrdinary,
        };
        let values = [
            ("device", device.to_string()),
            ("prev", prev.to_string()),
            ("boot", boot.to_string()),
            ("mono", mono.0.to_string()),
            ("wall", wall.to_string()),
            ("offset", offset_ms.to_string()),
            ("within", uncertainty_ms.to_string()),
            ("source", source.text(self.language).to_owned()),
            ("version", agent_version.clone()),
            ("class", class.text(self.language).to_owned()),
        ];
        self.say(2, Message::OutboxBatchFields, &values);
        for record in records {
            self.record(2, record, Some(*boot));
        }
        for (id, kind) in unknown {
            self.unreadable_record(2, *id, Some(*kind));
        }
        for gap in gaps {
            self.gap(2, gap);
        }
    }

    fn stub(&mut self, sent: Option<Timestamp>, bytes: usize, stub: &StubFields) {
        let StubFields { device, epoch, seq, prev, body_hash, records, reason } = stub;
        self.head(Message::OutboxStub, sent, (*epoch, *seq, bytes));
        let values = [
            ("device", device.to_string()),
            ("prev", prev.to_string()),
            ("hash", body_hash.to_string()),
            ("reason", (*reason).to_owned()),
        ];
        self.say(2, Message::OutboxStubFields, &values);
        self.list(4, records.iter().map(run).collect());
    }

    /// `boot` is the one that the batch's head names already.
    fn record(&mut self, indent: usize, record: &RecordFields, boot: Option<BootId>) {
        let RecordFields { id, observation: Observation { at, category, subject, body } } = record;
        let values = [
            ("id", id.to_string()),
            ("category", category.to_string()),
            ("subject", subject.to_string()),
            ("wall", at.wall.to_string()),
            ("mono", at.mono.0.to_string()),
        ];
        self.say(indent, Message::OutboxRecord, &values);
        if boot != Some(at.boot) {
            self.say(indent + 2, Message::OutboxBoot, &[("boot", at.boot.to_string())]);
        }
        match body {
            Body::Sample(Sample { probe, quantities }) => {
                self.list(indent + 2, prefixed(&format!("{probe}: "), quantities.iter().map(quantity)));
            }
            Body::CheckResult(CheckResult { probe, state }) => {
                self.list(indent + 2, vec![format!("{probe}: {}", state.as_str())]);
            }
            Body::SelfReport(SelfReport { quantities, runs }) => {
                self.list(indent + 2, quantities.iter().map(quantity).collect());
                self.list(indent + 2, runs.iter().map(probe_run).collect());
            }
            Body::Fact(fact) => {
                let fields = fact.fields().into_iter().map(|(name, field)| format!("{name} {field}"));
                self.list(indent + 2, prefixed(&format!("{}: ", fact.probe()), fields));
            }
        }
    }

    fn gap(&mut self, indent: usize, gap: &Gap) {
        let Gap { run: ids, reason } = gap;
        let values = [("run", run(ids)), ("reason", reason.as_str().to_owned())];
        self.say(indent, Message::OutboxGap, &values);
    }

    fn unreadable_record(&mut self, indent: usize, id: RecId, kind: Option<u16>) {
        match kind {
            Some(kind) => {
                let values = [("id", id.to_string()), ("kind", kind.to_string())];
                self.say(indent, Message::OutboxUnknownRecord, &values);
            }
            None => self.say(indent, Message::OutboxDamagedRecord, &[("id", id.to_string())]),
        }
    }

    fn head(&mut self, message: Message, sent: Option<Timestamp>, (epoch, seq, bytes): (Epoch, Seq, usize)) {
        let values = [
            ("at", self.sent(sent)),
            ("seq", seq.to_string()),
            ("epoch", epoch.to_string()),
            ("bytes", bytes.to_string()),
        ];
        self.say(0, message, &values);
    }

    fn sent(&self, sent: Option<Timestamp>) -> String {
        sent.map_or_else(|| Message::OutboxNotSent.text(self.language).to_owned(), |at| at.to_string())
    }

    fn say(&mut self, indent: usize, message: Message, values: &[(&str, String)]) {
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        for line in message.fill(self.language, &values).lines() {
            self.text.extend([" ".repeat(indent).as_str(), line, "\n"]);
        }
    }

    /// Parts with commas between them, in as many lines as they need.
    fn list(&mut self, indent: usize, parts: Vec<String>) {
        let mut line = " ".repeat(indent);
        let last = parts.len().saturating_sub(1);
        for (i, part) in parts.into_iter().enumerate() {
            let part = if i < last { part + "," } else { part };
            let filled = column::width(&line);
            if filled > indent && filled + 1 + column::width(&part) > COLUMNS {
                self.text.extend([line.as_str(), "\n"]);
                line = " ".repeat(indent + 2);
            } else if filled > indent {
                line.push(' ');
            }
            line.push_str(&part);
        }
        if column::width(&line) > indent {
            self.text.extend([line.as_str(), "\n"]);
        }
    }
}

fn prefixed(prefix: &str, parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut parts: Vec<String> = parts.collect();
    match parts.first_mut() {
        Some(first) => first.insert_str(0, prefix),
        None => parts.push(prefix.trim_end().to_owned()),
    }
    parts
}

/// Unrounded: what is shown is what is on the wire.
fn quantity(quantity: &Quantity) -> String {
    let Quantity { name, unit, value } = quantity;
    format!("{name} {value} {}", unit.as_str())
}

fn probe_run(run: &ProbeRun) -> String {
    let ProbeRun { probe, state, duration_ms } = run;
    format!("{probe} {} {duration_ms} ms", state.as_str())
}

fn run(run: &RecRun) -> String {
    let RecRun { from, to } = run;
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}

#[cfg(test)]
mod tests;
