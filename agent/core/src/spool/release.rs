//! What the collector said it has: acknowledgements, and its answer to a resume.
//!
//! Holds (I2): a link is let go only if it is covered by the collector's word *and* the hash it
//! named is our own. Settled ids, the removal of body and gaps, and the new state are one write.

use super::{
    SpoolError, Standing,
    durable::DurableSpool,
    engine::{Engine, Op, StateStore},
    frame::{self, Space},
    runs::RunSet,
    state::SpoolLink,
};
use serde_bytes::ByteBuf;
use tenken_common::{
    ack::Ack,
    batch::{GapReason, RecRun},
    codec,
    envelope::{Payload, Verified},
    id::{Hash, Seq},
    limit,
    observation::Class,
    wire::v1::{ReceivedBatch, RecordV1},
};

/// Below this a store is not worth renewing.
const RENEW_BYTES_MIN: u64 = 4 * 1024 * 1024;

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    pub(super) fn release_acked(&mut self, ack: &Verified<Ack>, envelope: &[u8]) -> Result<u64, SpoolError> {
        self.check_running()?;
        let own = ack.device == self.state.start.device && ack.epoch == self.state.start.epoch;
        let link = self.state.link(ack.acked_seq).filter(|link| own && link.hash == ack.hash);
        if link.is_none() || envelope.len() > limit::MESSAGE_BYTES_MAX {
            return Ok(0);
        }
        let mut ops = Vec::new();
        let count = self.settle_up_to(ack.acked_seq, &mut ops)?;
        self.state.newest_ack = Some(ByteBuf::from(envelope));
        self.commit_with_state(ops)?;
        self.shrink()?;
        Ok(count)
    }

    pub(super) fn adopt(&mut self, committed: Seq, hash: Hash) -> Result<Standing, SpoolError> {
        self.check_running()?;
        if committed < self.state.acked_seq {
            return Ok(Standing::CollectorBehind);
        }
        // Before its first link a collector has no hash of its own to compare.
        let same = committed == Seq(0) || self.state.hash_at(committed) == Some(hash);
        if committed > self.state.head_seq || !same {
            return Ok(Standing::DeviceBehind);
        }
        let mut ops = Vec::new();
        let settled = self.settle_up_to(committed, &mut ops)?;
        let reopened = self.reopen_from_first_lost(&mut ops)?;
        if settled > 0 || reopened || self.state.awaiting_resume {
            self.state.awaiting_resume = false;
            self.commit_with_state(ops)?;
            self.shrink()?;
        }
        Ok(Standing::InStep)
    }

    fn settle_up_to(&mut self, seq: Seq, ops: &mut Vec<Op>) -> Result<u64, SpoolError> {
        let (done, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.state.links).into_iter().partition(|link| link.seq <= seq);
        self.state.links = left;
        for link in &done {
            delete_link(link, ops);
            self.state.settle(link.records.iter().chain(&link.gaps));
            link.gaps.iter().for_each(|run| self.gaps.remove(run, ops));
            // Where the store had fallen back to before the cut, the records wait there again.
            if self.lost.remove(&link.seq) {
                self.drop_waiting(&link.records, ops)?;
            }
        }
        if let Some(last) = done.last() {
            self.state.acked_seq = last.seq;
            self.state.acked_hash = last.hash;
        }
        Ok(done.len() as u64)
    }

    fn drop_waiting(&mut self, runs: &[RecRun], ops: &mut Vec<Op>) -> Result<(), SpoolError> {
        let gone: RunSet = runs.iter().copied().collect();
        for class in Class::ALL {
            let mut from = None;
            loop {
                let page = self.page(class, from, 256)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                for record in page.into_iter().filter(|w| gone.contains(w.id)) {
                    self.forget(&record);
                    ops.push(Op::Delete(record.key));
                }
            }
        }
        Ok(())
    }

    /// Gives the chain up from its first lost body on; see [`super::Spool::adopt_head`].
    fn reopen_from_first_lost(&mut self, ops: &mut Vec<Op>) -> Result<bool, SpoolError> {
        let Some(first) = self.lost.first().copied() else { return Ok(false) };
        let (kept, given_up): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.state.links).into_iter().partition(|link| link.seq < first);
        let (head_seq, head_hash) =
            kept.last().map_or((self.state.acked_seq, self.state.acked_hash), |link| (link.seq, link.hash));
        self.state.links = kept;
        self.state.head_seq = head_seq;
        self.state.head_hash = head_hash;
        let held = self.held()?;
        for link in &given_up {
            let back =
                if self.lost.contains(&link.seq) { RunSet::default() } else { self.put_back(link, ops)? };
            delete_link(link, ops);
            self.gaps.pin(&link.gaps, false);
            for run in link.records.iter().flat_map(|run| held.missing_in(*run)) {
                for lost in back.missing_in(run) {
                    self.gaps.add(lost, GapReason::SpoolLost, ops);
                }
            }
        }
        self.lost.clear();
        Ok(true)
    }

    /// Records of an intact body wait again; returns the ids that could be taken out of it.
    fn put_back(&mut self, link: &SpoolLink, ops: &mut Vec<Op>) -> Result<RunSet, SpoolError> {
        let mut back = RunSet::default();
        let Some(Ok(received)) = self.body_of(link)?.map(|body| ReceivedBatch::decode(&body)) else {
            return Ok(back);
        };
        for record in &received.batch.records {
            let class = record.observation.class();
            let payload = RecordV1::of(record).and_then(|r| codec::to_vec(&r)).map_err(SpoolError::Encode)?;
            let key = frame::record_key(class, record.id);
            let value = frame::seal(&key, &payload);
            self.waiting += 1;
            self.urgent += u64::from(class == Class::Urgent);
            self.record_bytes += (key.len() + value.len()) as u64;
            ops.push(Op::Put(key, value));
            back.insert(RecRun::one(record.id));
        }
        Ok(back)
    }

    /// An engine's files do not shrink: an empty spool whose directory is large gets a new one.
    fn shrink(&mut self) -> Result<(), SpoolError> {
        let empty = self.waiting == 0 && self.state.links.is_empty() && self.gaps.is_empty();
        if !empty || self.engine.disk_bytes() <= (self.cap_bytes / 4).max(RENEW_BYTES_MIN) {
            return Ok(());
        }
        let mut ops = Vec::new();
        self.push_state(&mut ops)?;
        ops.retain(|op| matches!(op, Op::Put(..)));
        let renewed = self.engine.renew(&ops);
        self.halted = renewed.is_err();
        Ok(renewed?)
    }
}

fn delete_link(link: &SpoolLink, ops: &mut Vec<Op>) {
    let body = usize::try_from(link.body_bytes).unwrap_or(usize::MAX);
    frame::delete_long(Space::Body, link.seq.0, frame::chunks_of(body), ops);
    let head = link.encode().map_or(0, |bytes| bytes.len());
    frame::delete_long(Space::Link, link.seq.0, frame::chunks_of(head), ops);
}
