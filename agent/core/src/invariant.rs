//! The protocol's invariants as far as a device can see them, as named predicates over values.
//!
//! Holds: the same predicates are used by tests, the simulator and production. In production the
//! spool looks at them when it opens, cuts, stubs and releases; a violation is counted in its
//! statistics and in the agent's self report, and never a reason to panic.
//!
//! Does not: repair anything, or know how the spool keeps what it keeps.

use crate::spool::{Cut, runs::RunSet, state::SpoolLink};
use tenken_common::{
    ack::Ack,
    batch::RecRun,
    category::Category,
    envelope::Payload,
    id::{Hash, RecId, Seq},
    wire::v1::ReceivedBatch,
};

/// Where every record id of a spool is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    pub waiting: RunSet,
    /// In bodies, or in what a stub declares.
    pub cut: RunSet,
    /// In gaps.
    pub declared: RunSet,
    pub settled: RunSet,
    /// Up to here an id that is nowhere is settled.
    pub blurred_to: RecId,
    /// The highest id in use.
    pub last: RecId,
}

/// I1: no id is lost silently, and none is in two places.
pub fn every_id_is_in_one_place(census: &Census) -> bool {
    let places = [&census.waiting, &census.cut, &census.declared, &census.settled];
    let all: RunSet = places.iter().flat_map(|place| place.runs()).collect();
    let alone = places.iter().map(|place| place.ids()).sum::<u64>() == all.ids();
    let used = RecRun { from: census.blurred_to.next(), to: census.last };
    alone && (used.is_empty() || all.missing_in(used).is_empty())
}

/// I1: what goes into a new link was in none before, and is neither declared nor settled.
pub fn records_are_cut_once(new: &SpoolLink, before: &[SpoolLink], done: &RunSet) -> bool {
    let cut: RunSet = before.iter().flat_map(|link| link.records.iter().copied()).collect();
    new.records.iter().all(|run| !cut.meets(*run) && !done.meets(*run))
}

/// I2: only what a signed acknowledgement covers was deleted, and only if it names our own hash.
pub fn only_covered_is_deleted(before: &[SpoolLink], ack: &Ack, after: &[SpoolLink]) -> bool {
    let own = before.iter().any(|link| link.seq == ack.acked_seq && link.hash == ack.hash);
    let kept = |link: &SpoolLink| after.iter().any(|left| left.seq == link.seq && left.hash == link.hash);
    before.iter().all(|link| kept(link) || (own && link.seq <= ack.acked_seq))
}

/// I4, at the device: a number is one link for ever, whatever is sent for it.
pub fn a_link_stays_itself(before: &SpoolLink, after: &SpoolLink) -> bool {
    let place = |link: &SpoolLink| (link.seq, link.prev, link.hash);
    let same = place(before) == place(after) && before.records == after.records;
    same && (before.stub.is_none() || before.stub == after.stub)
}

/// I5, at the device: links follow each other without a hole, from the acknowledged one on.
pub fn the_chain_is_whole(acked: Hash, links: &[SpoolLink]) -> bool {
    let mut before = acked;
    let mut seqs = links.iter().map(|link| link.seq);
    let dense = seqs.next().is_none_or(|first| seqs.try_fold(first, follows).is_some());
    dense && links.iter().all(|link| std::mem::replace(&mut before, link.hash) == link.prev)
}

fn follows(before: Seq, seq: Seq) -> Option<Seq> {
    (before.next() == seq).then_some(seq)
}

/// I8: a body holds nothing that the consent does not name, and nothing that this version cannot
/// read. A stub carries ids only.
pub fn nothing_unconsented_leaves(cut: &Cut, permits: impl Fn(Category) -> bool) -> bool {
    if cut.stub.is_some() {
        return true;
    }
    let Ok(received) = ReceivedBatch::decode(&cut.body) else { return false };
    let mut categories = received.batch.records.iter().map(|record| record.observation.category);
    received.unknown.is_empty() && categories.all(permits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        batch::GapReason,
        id::{DeviceId, Epoch, Nonce},
        time::Timestamp,
    };

    fn run(from: u64, to: u64) -> RecRun {
        RecRun { from: RecId(from), to: RecId(to) }
    }

    fn set(from: u64, to: u64) -> RunSet {
        [run(from, to)].into_iter().collect()
    }

    fn link(seq: u64) -> SpoolLink {
        let hash = |n| Hash([u8::try_from(n).unwrap(); 32]);
        let (prev, hash) = (hash(seq), hash(seq + 1));
        let records = vec![run(seq * 10, seq * 10 + 4)];
        SpoolLink { seq: Seq(seq), prev, hash, body_bytes: 9, records, gaps: vec![], stub: None }
    }

    #[test]
    fn an_id_in_two_places_and_one_in_none_are_seen() {
        let whole = Census {
            waiting: set(8, 9),
            cut: set(4, 5),
            declared: set(6, 7),
            settled: set(3, 3),
            blurred_to: RecId(2),
            last: RecId(9),
        };
        assert!(every_id_is_in_one_place(&whole));
        assert!(!every_id_is_in_one_place(&Census { cut: set(4, 6), ..whole.clone() }));
        assert!(!every_id_is_in_one_place(&Census { declared: set(6, 6), ..whole.clone() }));
        assert!(!every_id_is_in_one_place(&Census { last: RecId(10), ..whole }));
    }

    #[test]
    fn a_record_that_is_cut_twice_is_seen() {
        let before = [link(1), link(2)];
        assert!(records_are_cut_once(&link(3), &before, &set(1, 5)));
        assert!(!records_are_cut_once(&link(2), &before, &RunSet::default()));
        assert!(!records_are_cut_once(&link(3), &before, &set(34, 40)));
    }

    #[test]
    fn a_deletion_that_no_ack_covers_is_seen() {
        let before = [link(1), link(2), link(3)];
        let ack = Ack {
            device: DeviceId([1; 16]),
            epoch: Epoch(1),
            acked_seq: Seq(2),
            hash: link(2).hash,
            server: Timestamp::EPOCH,
            echo_nonce: Nonce([0; 16]),
            position: 1,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        assert!(only_covered_is_deleted(&before, &ack, &[link(3)]));
        assert!(!only_covered_is_deleted(&before, &ack, &[]));
        let other = Ack { hash: Hash([7; 32]), ..ack };
        assert!(!only_covered_is_deleted(&before, &other, &[link(3)]));
        assert!(only_covered_is_deleted(&before, &other, &before));
    }

    #[test]
    fn a_link_that_changed_and_a_chain_with_a_hole_are_seen() {
        let stub = SpoolLink { stub: Some(GapReason::Corrupt), body_bytes: 0, ..link(1) };
        assert!(a_link_stays_itself(&link(1), &stub));
        assert!(!a_link_stays_itself(&stub, &link(1)), "a stub stays one");
        assert!(!a_link_stays_itself(&link(1), &SpoolLink { records: vec![], ..stub }));
        assert!(the_chain_is_whole(link(1).prev, &[link(1), link(2)]));
        assert!(!the_chain_is_whole(link(1).prev, &[link(1), link(3)]));
        assert!(!the_chain_is_whole(Hash::ZERO, &[link(1)]));
    }
}
