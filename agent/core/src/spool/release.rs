//! What the collector said it has: acknowledgements, and its answer to a resume.
//!
//! Holds (I2): a link is let go only if it is covered by a signed acknowledgement *and* the hash
//! that it names is our own. Settled ids, the removal of body and gaps, and the new state are one
//! write, and the acknowledgement is kept along with them: so this spool never lets go of what it
//! could not prove to a collector that was restored from a backup.

use super::{
    Spool, SpoolError, Standing,
    cut::delete_link,
    durable::DurableSpool,
    engine::{Engine, Op, StateStore},
};
use crate::{invariant, planted::Planted};
use serde_bytes::ByteBuf;
use tenken_common::{
    ack::Ack,
    batch::{GapReason, RecRun},
    envelope::Verified,
    id::{Hash, RecId, Seq},
    limit,
};

/// Below this a store is not worth renewing.
const RENEW_BYTES_MIN: u64 = 4 * 1024 * 1024;

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    pub(super) fn release_acked(&mut self, ack: &Verified<Ack>, envelope: &[u8]) -> Result<u64, SpoolError> {
        self.check_running()?;
        let own = ack.device == self.state.start.device && ack.epoch == self.state.start.epoch;
        let checked = self.state.link(ack.acked_seq).is_some_and(|link| own && link.hash == ack.hash);
        let covered = checked || self.soil.grows(Planted::ReleaseUnchecked);
        if !covered || envelope.len() > limit::MESSAGE_BYTES_MAX {
            return Ok(0);
        }
        let before = self.state.links.clone();
        let mut ops = Vec::new();
        let count = self.settle_up_to(ack.acked_seq, &mut ops);
        self.check(invariant::only_covered_is_deleted(&before, ack, &self.state.links));
        self.state.newest_ack = Some(ByteBuf::from(envelope));
        self.commit_settled(ops)?;
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
        let unplaced = self.state.links.iter().rfind(|link| !link.is_placed()).map(|link| link.seq);
        match unplaced {
            Some(seq) if seq > committed => return Ok(Standing::DeviceBehind),
            // Nothing can be sent for it and nothing of it is left; the collector has it.
            Some(seq) => drop(self.settle_up_to(seq, &mut ops)),
            None => {}
        }
        if unplaced.is_some() || self.state.awaiting_resume {
            self.state.awaiting_resume = false;
            self.commit_with_state(ops)?;
        }
        Ok(Standing::InStep)
    }

    pub(super) fn declare_missing(&mut self, missing: &[RecRun]) -> Result<u64, SpoolError> {
        self.check_running()?;
        let held = self.held()?;
        let settled = self.state.settled();
        let last = self.last_id();
        let mut ops = Vec::new();
        let mut declared = 0;
        for run in missing {
            let issued = RecRun { from: run.from.max(RecId(1)), to: run.to.min(last) };
            if issued.is_empty() {
                continue;
            }
            for gone in held.missing_in(issued) {
                // Without a memory of its acknowledgement the loss is this device's own.
                for lost in settled.missing_in(gone) {
                    declared += self.gaps.add(lost, GapReason::SpoolLost, &mut ops);
                }
                declared += self.gaps.add(gone, GapReason::CollectorLost, &mut ops);
            }
        }
        if declared > 0 {
            self.state.unsettle(&self.gaps.ids());
            self.commit_with_state(ops)?;
        }
        Ok(declared)
    }

    fn settle_up_to(&mut self, seq: Seq, ops: &mut Vec<Op>) -> u64 {
        let (done, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.state.links).into_iter().partition(|link| link.seq <= seq);
        self.state.links = left;
        for link in &done {
            delete_link(link, ops);
            self.state.settle(link.records.iter().chain(&link.gaps));
            link.gaps.iter().for_each(|run| self.gaps.remove(run, ops));
        }
        if let Some(last) = done.last() {
            self.state.acked_seq = last.seq;
            self.state.acked_hash = last.hash;
        }
        done.len() as u64
    }

    /// An engine's files do not shrink: an empty spool whose directory is large gets a new one.
    fn shrink(&mut self) -> Result<(), SpoolError> {
        let empty = self.waiting == 0 && self.state.links.is_empty() && self.gaps.is_empty();
        if !empty || self.engine.disk_bytes() <= (self.room.cap_bytes / 4).max(RENEW_BYTES_MIN) {
            return Ok(());
        }
        let mut ops = Vec::new();
        self.push_state(&mut ops)?;
        ops.retain(|op| matches!(op, Op::Put(..)));
        let renewed = self.engine.renew(&ops);
        self.halted.set(renewed.is_err());
        Ok(renewed?)
    }
}
