//! How the spool loses records on purpose: for room, and for consent. Always as declared gaps.
//!
//! Holds: the oldest ordinary record goes first. Urgent ones go only to make room for an urgent
//! one; an ordinary record that would displace an alarm is refused instead. Cut bodies never go.

use super::{
    SpoolError,
    durable::{DurableSpool, Waiting},
    engine::{Engine, Op, StateStore},
    frame,
};
use crate::planted::Planted;
use std::collections::BTreeSet;
use tenken_common::{
    batch::{GapReason, runs_of},
    category::Category,
    id::RecId,
    observation::Class,
    wire::v1::{Decoded, RecordV1},
};

const PAGE: usize = 256;

impl<E: Engine, S: StateStore> DurableSpool<E, S> {
    /// Adds to `ops` what makes room for `bytes`; says whether anything had to go.
    pub(super) fn make_room(
        &mut self,
        bytes: u64,
        urgent: bool,
        ops: &mut Vec<Op>,
    ) -> Result<bool, SpoolError> {
        let budget = self.budget();
        let shortage = (self.payload_bytes() + bytes).saturating_sub(budget);
        if shortage == 0 {
            return Ok(false);
        }
        if self.soil.grows(Planted::EvictsPinned)
            && let Some(link) = self.state.links.first().cloned()
        {
            for run in &link.records {
                self.gaps.add(*run, GapReason::Evicted, ops);
            }
        }
        // A little more than needed, so that a full spool does not evict at every append.
        let goal = shortage.max(budget / 64);
        let classes: &[Class] = if urgent { &[Class::Ordinary, Class::Urgent] } else { &[Class::Ordinary] };
        let (mut victims, mut freed) = (Vec::new(), 0);
        for &class in classes {
            let wanted = if class == Class::Urgent { shortage } else { goal };
            if class == Class::Ordinary {
                for pack in self.packs.values() {
                    if freed >= wanted {
                        break;
                    }
                    freed += pack.bytes;
                    victims.extend(pack.unread());
                }
            }
            let mut from = None;
            while freed < wanted {
                let page = self.page(class, from, PAGE)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                for record in page {
                    if freed >= wanted {
                        break;
                    }
                    freed += record.bytes;
                    victims.push(record);
                }
            }
        }
        if freed < shortage {
            return Err(SpoolError::Full);
        }
        self.state.evicted += victims.len() as u64;
        self.lose(&victims, GapReason::Evicted, ops)?;
        Ok(true)
    }

    /// Waiting records become gaps.
    pub(super) fn lose(
        &mut self,
        records: &[Waiting],
        reason: GapReason,
        ops: &mut Vec<Op>,
    ) -> Result<(), SpoolError> {
        self.take_out(records, ops)?;
        let ids: BTreeSet<RecId> = records.iter().map(|record| record.id).collect();
        for run in runs_of(ids) {
            self.gaps.add(run, reason, ops);
        }
        Ok(())
    }

    /// Damaged records become gaps at once, so that they never stand in the way.
    pub(super) fn condemn(&mut self, records: &[Waiting]) -> Result<(), SpoolError> {
        let mut ops = Vec::new();
        self.state.corrupt += records.len() as u64;
        self.lose(records, GapReason::Corrupt, &mut ops)?;
        self.commit_with_state(ops)
    }

    /// What `allowed` refuses becomes a gap. A record that this version cannot read has no
    /// category it could be allowed under.
    pub(super) fn set_aside(&mut self, allowed: &dyn Fn(Category) -> bool) -> Result<u64, SpoolError> {
        self.check_running()?;
        let mut count = 0;
        let refusing = self.packs.values().filter(|pack| pack.holds_refused(allowed));
        for pack in refusing.cloned().collect::<Vec<_>>() {
            let packed = self.packed(&pack)?;
            count += self.set_aside_of(packed, allowed)?;
        }
        for class in Class::ALL {
            let mut from = None;
            loop {
                let page = self.page(class, from, PAGE)?;
                let Some(last) = page.last() else { break };
                from = Some(frame::after(&last.key));
                count += self.set_aside_of(page, allowed)?;
            }
        }
        Ok(count)
    }

    fn set_aside_of(
        &mut self,
        page: Vec<Waiting>,
        allowed: &dyn Fn(Category) -> bool,
    ) -> Result<u64, SpoolError> {
        let refused = |w: &Waiting| match w.record.as_ref().map(RecordV1::decode) {
            Some(Decoded::Known(record)) => !allowed(record.observation.category),
            Some(Decoded::Unknown { .. }) => true,
            None => false,
        };
        let (damaged, read): (Vec<_>, Vec<_>) = page.into_iter().partition(|w| w.record.is_none());
        let refused: Vec<Waiting> = read.into_iter().filter(refused).collect();
        if !damaged.is_empty() {
            self.condemn(&damaged)?;
        }
        if !refused.is_empty() {
            let mut ops = Vec::new();
            self.lose(&refused, GapReason::NotConsented, &mut ops)?;
            self.commit(&ops)?;
        }
        Ok(refused.len() as u64)
    }
}
