//! Cutting: waiting records and gaps become one body, the next link of the chain; and stubs, for
//! bodies that can no longer be sent.
//!
//! Holds: body, link and the removal of the records are one atomic write, so a cut record exists
//! exactly once; then the state is saved; then the caller may send. The stored bytes are the ones
//! that are hashed and sent; they are checked against their hash each time they are read. A stub
//! is durable before it is sent, too; its bytes follow from the link, so they are not stored.

use super::{
    BatchLimit, Cut, CutContext, SpoolError,
    durable::{DurableSpool, Waiting},
    engine::{Engine, Op, StateStore},
    frame::{self, Space},
    state::SpoolLink,
};
use crate::{invariant, planted::Planted};
use tenken_common::{
    batch::{Batch, Gap, GapReason, RecRun, runs_of},
    codec,
    envelope::Payload,
    id::{Hash, Name, RecId, Seq},
    limit,
    observation::Class,
    wire::v1::{RecordV1, encode_batch},
};

/// Of a batch, while more waits than it holds: this part is for the newest records.
const LIVE_PART: usize = 4;
/// How far below the newest id live data is looked for.
const LIVE_IDS: u64 = 2 * limit::BATCH_RECORDS_MAX as u64;

/// What is left of a body.
pub(super) enum Stored {
    /// The very bytes that the link's hash is of.
    Whole(Vec<u8>),
    Damaged,
    Absent,
}

/// A body, and what went into it.
type Fitted = (Vec<u8>, Vec<Waiting>, Vec<Gap>);

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    pub(super) fn cut_next(
        &mut self,
        limit: BatchLimit,
        cx: &CutContext<'_>,
    ) -> Result<Option<Cut>, SpoolError> {
        self.check_running()?;
        self.save_owed()?;
        if cx.device != self.state.start.device {
            return Err(SpoolError::OtherChain);
        }
        if self.state.awaiting_resume
            || self.state.links.len() >= limit.in_flight.min(limit::EXPORT_LINKS_MAX)
        {
            return Ok(None);
        }
        let records = self.next_records(limit)?;
        let gaps = self.gaps.waiting(limit::BATCH_GAPS_MAX);
        if records.is_empty() && gaps.is_empty() {
            return Ok(None);
        }
        let (body, records, gaps) = self.fit(records, gaps, cx)?;
        self.store_cut(body, &records, &gaps).map(Some)
    }

    /// Urgent ones first; then the newest, where more waits than fits; then by id. Damaged ones are
    /// declared on the way.
    fn next_records(&mut self, limit: BatchLimit) -> Result<Vec<Waiting>, SpoolError> {
        let max = limit.records.min(limit::BATCH_RECORDS_MAX);
        let bytes_max = limit.bytes.min(limit::PLAIN_BYTES_MAX) as u64;
        loop {
            let mut records = self.page(Class::Urgent, None, max)?;
            let room = max - records.len().min(max);
            if room > 0 {
                let more = self.waiting.saturating_sub(self.urgent) > room as u64;
                let mut live = if more { self.newest((max / LIVE_PART).min(room))? } else { Vec::new() };
                // Large ones take no more than their part either.
                let mut live_bytes: u64 = live.iter().map(|record| record.bytes).sum();
                let large = live.iter().take_while(|record| {
                    let over = live_bytes > bytes_max / LIVE_PART as u64;
                    live_bytes = live_bytes.saturating_sub(record.bytes);
                    over
                });
                live.drain(..large.count());
                let oldest = self.oldest_of(room - live.len().min(room))?;
                let first_live = live.first().map(|record| record.id);
                let oldest = oldest.into_iter().filter(|w| first_live.is_none_or(|first| w.id < first));
                let oldest: Vec<Waiting> = oldest.collect();
                records.append(&mut live);
                records.extend(oldest);
            }
            let (damaged, mut records): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|w| w.record.is_none());
            if !damaged.is_empty() {
                self.condemn(&damaged)?;
                continue;
            }
            let mut bytes = 0;
            let fitting = records.iter().take_while(|w| {
                bytes += w.bytes;
                bytes <= bytes_max
            });
            // One record always fits a batch, whatever the caller's limit says.
            let fitting = fitting.count().max(1);
            records.truncate(fitting);
            return Ok(records);
        }
    }

    /// The newest ordinary records, in order, as far as they are among the last [`LIVE_IDS`].
    fn newest(&self, wanted: usize) -> Result<Vec<Waiting>, SpoolError> {
        let mut window = wanted as u64;
        loop {
            let from = RecId(self.next_id.0.saturating_sub(window));
            let max = usize::try_from(window).unwrap_or(usize::MAX);
            let mut found =
                self.page(Class::Ordinary, Some(frame::record_key(Class::Ordinary, from)), max)?;
            if found.len() >= wanted || window >= LIVE_IDS {
                return Ok(found.split_off(found.len().saturating_sub(wanted)));
            }
            window = (window.max(1) * 2).min(LIVE_IDS);
        }
    }

    /// Makes the body, with fewer records as long as it is too large.
    fn fit(
        &self,
        mut records: Vec<Waiting>,
        mut gaps: Vec<Gap>,
        cx: &CutContext<'_>,
    ) -> Result<Fitted, SpoolError> {
        loop {
            let urgent = records.iter().any(|w| w.class == Class::Urgent);
            let batch = Batch {
                device: self.state.start.device,
                epoch: self.state.start.epoch,
                seq: self.state.head_seq.next(),
                prev: self.state.head_hash,
                at: cx.at,
                clock: cx.clock,
                // The collector refuses a version that is no name.
                agent_version: Name::of_outside(cx.agent_version).as_str().to_owned(),
                class: if urgent { Class::Urgent } else { Class::Ordinary },
                records: Vec::new(),
                gaps: gaps.clone(),
            };
            let encoded: Vec<RecordV1> = records.iter().filter_map(|w| w.record.clone()).collect();
            let plain = encode_batch(&batch, encoded).map_err(SpoolError::Encode)?;
            if plain.len() <= limit::PLAIN_BYTES_MAX {
                let body = codec::compress(&plain).map_err(SpoolError::Encode)?;
                if body.len() <= limit::BODY_BYTES_MAX {
                    return Ok((body, records, gaps));
                }
            }
            if records.len() > 1 {
                records.truncate(records.len() * 3 / 4);
            } else if gaps.len() > 1 {
                gaps.truncate(gaps.len() / 2);
            } else {
                return Err(SpoolError::TooLarge { got: plain.len(), max: limit::BODY_BYTES_MAX });
            }
        }
    }

    fn store_cut(&mut self, body: Vec<u8>, records: &[Waiting], gaps: &[Gap]) -> Result<Cut, SpoolError> {
        let mut ids: Vec<RecId> = records.iter().map(|w| w.id).collect();
        ids.sort_unstable();
        let mut link = SpoolLink {
            seq: self.state.head_seq.next(),
            prev: self.state.head_hash,
            hash: Hash::of(&body),
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            records: runs_of(ids),
            gaps: gaps.iter().map(|g| g.run).collect::<Vec<RecRun>>(),
            stub: None,
        };
        let mut done = self.state.settled();
        done.extend(self.gaps.ids().runs());
        self.check(invariant::records_are_cut_once(&link, &self.state.links, &done));
        let mut ops = Vec::new();
        if self.soil.grows(Planted::GapDroppedAtCut) {
            for run in std::mem::take(&mut link.gaps) {
                self.gaps.remove(&run, &mut ops);
            }
        }
        frame::put_long(Space::Body, link.seq.0, &body, &mut ops);
        frame::put_long(Space::Link, link.seq.0, &link.encode().map_err(SpoolError::Encode)?, &mut ops);
        self.take_out(records, &mut ops)?;
        self.gaps.pin(&link.gaps, true);
        self.state.head_seq = link.seq;
        self.state.head_hash = link.hash;
        self.state.links.push(link.clone());
        self.commit_with_state(ops)?;
        Ok(self.cut_of(&link, body))
    }

    fn cut_of(&self, link: &SpoolLink, body: Vec<u8>) -> Cut {
        Cut {
            epoch: self.state.start.epoch,
            seq: link.seq,
            prev: link.prev,
            hash: link.hash,
            body,
            records: link.record_count(),
            stub: link.stub,
        }
    }

    /// The lowest link beyond `seq`, as it is to be sent.
    pub(super) fn lowest_after(&mut self, seq: Seq) -> Result<Option<Cut>, SpoolError> {
        self.check_running()?;
        self.save_owed()?;
        let next = self.state.links.iter().find(|link| link.seq > seq).cloned();
        // Without its place in the chain it would look like a fork; resume tells how to go on.
        let Some(link) = next.filter(SpoolLink::is_placed) else { return Ok(None) };
        if let Some(reason) = link.stub {
            return self.stub_of(&link, reason).map(Some);
        }
        match self.body_of(&link)? {
            Stored::Whole(body) => Ok(Some(self.cut_of(&link, body))),
            Stored::Damaged => self.make_stub(link.seq, GapReason::Corrupt).map(Some),
            Stored::Absent => self.make_stub(link.seq, GapReason::SpoolLost).map(Some),
        }
    }

    pub(super) fn make_stub(&mut self, seq: Seq, reason: GapReason) -> Result<Cut, SpoolError> {
        self.check_running()?;
        self.save_owed()?;
        let link = self.state.link(seq).cloned().ok_or(SpoolError::NotInFlight(seq))?;
        if let Some(reason) = link.stub {
            return self.stub_of(&link, reason);
        }
        let stub = SpoolLink { body_bytes: 0, gaps: Vec::new(), stub: Some(reason), ..link.clone() };
        self.check(invariant::a_link_stays_itself(&link, &stub));
        let mut ops = Vec::new();
        #[cfg(feature = "planted")]
        self.put_back(&link, &mut ops)?;
        delete_link(&link, &mut ops);
        frame::put_long(Space::Link, seq.0, &stub.encode().map_err(SpoolError::Encode)?, &mut ops);
        self.gaps.pin(&link.gaps, false);
        for run in &link.gaps {
            // Only where its own entry was lost, and its reason with it.
            self.gaps.add(*run, GapReason::SpoolLost, &mut ops);
        }
        if reason == GapReason::Corrupt {
            self.state.corrupt += link.record_count();
        }
        self.state.replace(stub.clone());
        self.commit_with_state(ops)?;
        self.stub_of(&stub, reason)
    }

    fn stub_of(&self, link: &SpoolLink, reason: GapReason) -> Result<Cut, SpoolError> {
        let body = link.to_stub(&self.state.start, reason).encode().map_err(SpoolError::Encode)?;
        Ok(self.cut_of(link, body))
    }

    /// What is stored of a body; whole only if it still has the link's hash.
    pub(super) fn body_of(&self, link: &SpoolLink) -> Result<Stored, SpoolError> {
        let (from, to) = frame::long_range(Space::Body, link.seq.0);
        let max = usize::try_from(frame::chunks_of(limit::BODY_BYTES_MAX)).unwrap_or(usize::MAX);
        let pairs = self.scan(&from, &to, max.saturating_add(1))?;
        if pairs.is_empty() {
            return Ok(Stored::Absent);
        }
        let whole = frame::join(&pairs).filter(|body| Hash::of(body) == link.hash);
        Ok(whole.map_or(Stored::Damaged, Stored::Whole))
    }

    /// The bug that [`Planted::StubKeepsRecords`] is.
    #[cfg(feature = "planted")]
    fn put_back(&mut self, link: &SpoolLink, ops: &mut Vec<Op>) -> Result<(), SpoolError> {
        use tenken_common::wire::v1::ReceivedBatch;
        let Stored::Whole(body) = self.body_of(link)? else { return Ok(()) };
        let Ok(received) = ReceivedBatch::decode(&body) else { return Ok(()) };
        for record in received.batch.records.iter().filter(|_| self.soil.grows(Planted::StubKeepsRecords)) {
            let class = record.observation.class();
            let payload = RecordV1::of(record).and_then(|r| codec::to_vec(&r)).map_err(SpoolError::Encode)?;
            ops.push(frame::put(frame::record_key(class, record.id), &payload));
            self.waiting += 1;
            self.urgent += u64::from(class == Class::Urgent);
        }
        Ok(())
    }
}

pub(super) fn delete_link(link: &SpoolLink, ops: &mut Vec<Op>) {
    let body = usize::try_from(link.body_bytes).unwrap_or(usize::MAX);
    frame::delete_long(Space::Body, link.seq.0, frame::chunks_of(body), ops);
    let head = link.encode().map_or(0, |bytes| bytes.len());
    frame::delete_long(Space::Link, link.seq.0, frame::chunks_of(head), ops);
}
