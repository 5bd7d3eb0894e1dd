//! Cutting: waiting records and gaps become one body, the next link of the chain.
//!
//! Holds: body, link and the removal of the records are one atomic write, so a cut record exists
//! exactly once; then the state is saved; then the caller may send. The stored bytes are the ones
//! that are hashed and sent; they are checked against their hash each time they are read.

use super::{
    BatchLimit, Cut, CutContext, SpoolError,
    durable::{DurableSpool, Waiting},
    engine::{Engine, Op, StateStore},
    frame::{self, Space},
    state::SpoolLink,
};
use tenken_common::{
    batch::{Batch, Gap, RecRun, runs_of},
    codec,
    id::{Hash, Name, RecId},
    limit,
    observation::Class,
    wire::v1::{RecordV1, encode_batch},
};

/// A body, and what went into it.
type Fitted = (Vec<u8>, Vec<Waiting>, Vec<Gap>);

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    pub(super) fn cut_next(
        &mut self,
        limit: BatchLimit,
        cx: &CutContext<'_>,
    ) -> Result<Option<Cut>, SpoolError> {
        self.check_running()?;
        self.save()?;
        if cx.device != self.state.start.device {
            return Err(SpoolError::OtherChain);
        }
        if self.state.awaiting_resume || self.state.links.len() >= limit::IN_FLIGHT_MAX {
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

    /// Urgent ones first, then by id, within the limit; damaged ones are declared on the way.
    fn next_records(&mut self, limit: BatchLimit) -> Result<Vec<Waiting>, SpoolError> {
        let max = limit.records.min(limit::BATCH_RECORDS_MAX);
        let bytes_max = limit.bytes.min(limit::PLAIN_BYTES_MAX) as u64;
        loop {
            let mut records = Vec::new();
            for class in Class::ALL {
                let room = max - records.len().min(max);
                if room > 0 {
                    records.append(&mut self.page(class, None, room)?);
                }
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
        let link = SpoolLink {
            seq: self.state.head_seq.next(),
            prev: self.state.head_hash,
            hash: Hash::of(&body),
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            records: runs_of(ids),
            gaps: gaps.iter().map(|g| g.run).collect::<Vec<RecRun>>(),
        };
        let mut ops = Vec::new();
        frame::put_long(Space::Body, link.seq.0, &body, &mut ops);
        frame::put_long(Space::Link, link.seq.0, &link.encode().map_err(SpoolError::Encode)?, &mut ops);
        ops.extend(records.iter().map(|w| Op::Delete(w.key.clone())));
        for record in records {
            self.forget(record);
        }
        self.gaps.pin(&link.gaps, true);
        self.state.head_seq = link.seq;
        self.state.head_hash = link.hash;
        self.state.links.push(link.clone());
        self.commit_with_state(ops)?;
        Ok(self.cut_of(&link, body))
    }

    fn cut_of(&self, link: &SpoolLink, body: Vec<u8>) -> Cut {
        let records = link.record_count();
        Cut { epoch: self.state.start.epoch, seq: link.seq, prev: link.prev, hash: link.hash, body, records }
    }

    pub(super) fn lowest_in_flight(&mut self) -> Result<Option<Cut>, SpoolError> {
        self.check_running()?;
        self.save()?;
        let Some(link) = self.state.links.first().cloned() else { return Ok(None) };
        if self.lost.contains(&link.seq) {
            return Ok(None);
        }
        if let Some(body) = self.body_of(&link)? {
            return Ok(Some(self.cut_of(&link, body)));
        }
        self.lost.insert(link.seq);
        self.state.awaiting_resume = true;
        self.commit_with_state(Vec::new())?;
        Ok(None)
    }

    /// The stored bytes, if they still have the link's hash.
    pub(super) fn body_of(&self, link: &SpoolLink) -> Result<Option<Vec<u8>>, SpoolError> {
        let (from, to) = frame::long_range(Space::Body, link.seq.0);
        let max = usize::try_from(frame::chunks_of(limit::BODY_BYTES_MAX)).unwrap_or(usize::MAX);
        let pairs = self.engine.scan(&from, &to, max.saturating_add(1))?;
        Ok(frame::join(&pairs).filter(|body| Hash::of(body) == link.hash))
    }
}
