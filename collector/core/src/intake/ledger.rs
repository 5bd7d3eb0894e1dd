//! The ledger of one device: how far its chain is committed, and what a link that arrives means.
//!
//! For epoch `E` and contiguous high-water `S` (protocol.md, "Ledger"):
//!
//! | case | decision |
//! |---|---|
//! | the device is in quarantine | [`IngestDecision::Quarantined`] |
//! | epoch < E | [`IngestDecision::StaleEpoch`]; beyond where that epoch was closed, a clone |
//! | epoch > E | [`IngestDecision::EpochAhead`]: this collector was restored, or the device lies |
//! | seq <= S, same hash, or older than the hashes kept | [`IngestDecision::Duplicate`] |
//! | seq <= S with another hash, or seq = S+1 with another prev | [`IngestDecision::Fork`] |
//! | seq = S+1, prev matches | [`IngestDecision::New`] with the ledger after it |
//! | the same, with a record that came before | fork: [`IngestDecision::unless_repeated`] |
//! | seq > S+1 | [`IngestDecision::Hole`]: S+1 is asked for, see [`super::held`] |
//!
//! Holds: a link is `New` exactly once, in order, whatever is repeated or reordered (I4). A second
//! writer with the same identity is a fork at its first diverging link (I5). [`accept`] is pure:
//! the caller makes the next ledger durable, and only then acknowledges (I3). A batch and the stub
//! in its place are one link, since they have one hash.

use super::{
    arrival::Arrival,
    coverage::Coverage,
    planted::{Planted, Rules},
};
use std::collections::{BTreeMap, VecDeque};
use tenken_common::{
    batch::Link,
    id::{BootId, DeviceId, Epoch, Hash, Seq},
    limit,
};

/// Boots of a device that are remembered for noticing a clone.
pub const BOOTS_MAX: usize = 64;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLedger {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// Zero before the first batch.
    pub committed_seq: Seq,
    /// Hash of the committed link's body; the genesis before the first.
    pub committed_hash: Hash,
    /// Hash of the enrollment grant or rejoin document, with which the epoch begins.
    pub genesis: Hash,
    /// Newest hashes by seq.
    recent: BTreeMap<Seq, Hash>,
    /// Boots in the order in which they first cut a batch; the newest last.
    boots: VecDeque<BootId>,
    /// Epochs that a rejoin closed, each with its last link.
    closed: BTreeMap<Epoch, Seq>,
    /// The collector was restored from a backup, and this device has not shown since then that it
    /// lost anything of its chain: what it asks for may be its own loss.
    pub restored: bool,
    pub quarantine: Option<QuarantineReason>,
}

/// Why a device is not believed any more. The codes are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuarantineReason {
    /// Two chains with one identity.
    Fork = 1,
    /// Links come whose predecessor does not, whatever is asked for.
    Hole = 2,
}

impl QuarantineReason {
    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Fork),
            2 => Some(Self::Hole),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Hole => "hole",
        }
    }
}

/// What an arriving link means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestDecision {
    /// The next of the chain, and the ledger once it is durable.
    New {
        next: Box<DeviceLedger>,
        clone_suspected: bool,
    },
    /// Stored before: the current acknowledgement again, no effect.
    Duplicate,
    /// Something before it has not come yet.
    Hole {
        need: Seq,
    },
    /// Another chain with this identity.
    Fork(Divergence),
    StaleEpoch {
        current: Epoch,
        /// It goes on beyond where its epoch was closed: somebody else has the old identity.
        clone_suspected: bool,
    },
    EpochAhead {
        current: Epoch,
    },
    Quarantined(QuarantineReason),
}

/// Where two chains part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    pub seq: Seq,
    /// The stored body's hash at `seq`, or what `prev` should have been for a link after it.
    pub stored: Hash,
    pub arrived: Hash,
}

impl IngestDecision {
    /// The decision once what the link carries is known: a writer gives an id once in an epoch, so
    /// a next link with a record that is stored already has another writer, also where the two met
    /// before a hole that an acknowledgement covers.
    #[must_use]
    pub fn unless_repeated(self, coverage: &Coverage, link: &Link, arrival: &Arrival) -> Self {
        if matches!(self, Self::New { .. }) && coverage.has_any_of(arrival) {
            return Self::Fork(Divergence { seq: link.seq, stored: link.prev, arrived: link.hash });
        }
        self
    }
}

impl DeviceLedger {
    /// The ledger of an epoch in which nothing has come yet.
    pub fn begin(device: DeviceId, epoch: Epoch, genesis: Hash) -> Self {
        Self {
            device,
            epoch,
            committed_seq: Seq(0),
            committed_hash: genesis,
            genesis,
            recent: BTreeMap::new(),
            boots: VecDeque::new(),
            closed: BTreeMap::new(),
            restored: false,
            quarantine: None,
        }
    }

    /// The ledger of the epoch that a rejoin begins. Quarantine ends with the epoch it was in.
    pub fn rejoined(&self, epoch: Epoch, genesis: Hash) -> Self {
        let mut closed = self.closed.clone();
        closed.insert(self.epoch, self.committed_seq);
        Self { closed, ..Self::begin(self.device, epoch, genesis) }
    }

    /// Moved to a link that the collector itself acknowledged and then lost.
    pub fn moved_to(&self, seq: Seq, hash: Hash) -> Self {
        let mut next = self.clone();
        (next.committed_seq, next.committed_hash) = (seq, hash);
        next.recent.insert(seq, hash);
        next.trim(limit::LEDGER_HASHES);
        next.restored = false;
        next
    }

    /// The ledger as it was stored; `boots` oldest first.
    #[must_use]
    pub fn loaded(
        mut self,
        committed: (Seq, Hash),
        recent: impl IntoIterator<Item = (Seq, Hash)>,
        boots: impl IntoIterator<Item = BootId>,
        closed: impl IntoIterator<Item = (Epoch, Seq)>,
    ) -> Self {
        (self.committed_seq, self.committed_hash) = committed;
        self.recent = recent.into_iter().collect();
        self.boots = boots.into_iter().collect();
        self.closed = closed.into_iter().collect();
        self
    }

    pub fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.recent.get(&seq).copied()
    }

    /// Whether the stored hashes have to be asked before a link with this seq can be judged:
    /// it is within the hashes that are kept, and not among those in memory.
    pub fn needs_recall(&self, seq: Seq) -> bool {
        let kept = u64::try_from(limit::LEDGER_HASHES).unwrap_or(u64::MAX);
        seq <= self.committed_seq
            && self.committed_seq.0.saturating_sub(seq.0) < kept
            && !self.recent.contains_key(&seq)
    }

    pub fn recall(&mut self, hashes: impl IntoIterator<Item = (Seq, Hash)>) {
        self.recent.extend(hashes);
    }

    /// Keeps only the newest hashes in memory; the rest is recalled from the store when needed.
    pub fn trim(&mut self, keep: usize) {
        while self.recent.len() > keep {
            self.recent.pop_first();
        }
    }

    pub fn boots(&self) -> impl Iterator<Item = &BootId> {
        self.boots.iter()
    }

    /// Notes the header's boot; true where an earlier boot comes back after another.
    fn note_boot(&mut self, boot: BootId) -> bool {
        if self.boots.back() == Some(&boot) {
            return false;
        }
        let seen_before = self.boots.contains(&boot);
        self.boots.retain(|b| *b != boot);
        self.boots.push_back(boot);
        if self.boots.len() > BOOTS_MAX {
            self.boots.pop_front();
        }
        seen_before
    }
}

/// Judges a link; see the module's head.
pub fn accept(ledger: &DeviceLedger, link: &Link) -> IngestDecision {
    judge(ledger, link, Rules::default())
}

/// [`accept`] with one of its rules broken.
#[cfg(feature = "planted")]
pub fn accept_with(ledger: &DeviceLedger, link: &Link, planted: Option<Planted>) -> IngestDecision {
    judge(ledger, link, Rules::with(planted))
}

pub(super) fn judge(ledger: &DeviceLedger, link: &Link, rules: Rules) -> IngestDecision {
    if let Some(reason) = ledger.quarantine {
        return IngestDecision::Quarantined(reason);
    }
    if link.epoch < ledger.epoch {
        if rules.breaks(Planted::StaleEpochTaken) {
            return take(ledger, link);
        }
        let clone_suspected = ledger.closed.get(&link.epoch).is_some_and(|last| link.seq > *last);
        return IngestDecision::StaleEpoch { current: ledger.epoch, clone_suspected };
    }
    if link.epoch > ledger.epoch {
        return IngestDecision::EpochAhead { current: ledger.epoch };
    }
    if link.seq <= ledger.committed_seq {
        return judge_old(ledger, link, rules);
    }
    let need = ledger.committed_seq.next();
    if link.seq > need && !rules.breaks(Planted::HoleSkipped) {
        return IngestDecision::Hole { need };
    }
    let unchecked = rules.breaks(Planted::PrevUnchecked) || rules.breaks(Planted::HoleSkipped);
    if link.prev != ledger.committed_hash && !unchecked {
        let (stored, arrived) = (ledger.committed_hash, link.prev);
        return IngestDecision::Fork(Divergence { seq: link.seq, stored, arrived });
    }
    take(ledger, link)
}

/// A link at or below the high-water.
fn judge_old(ledger: &DeviceLedger, link: &Link, rules: Rules) -> IngestDecision {
    match ledger.hash_at(link.seq) {
        Some(stored) if stored != link.hash && !rules.breaks(Planted::OldHashUnchecked) => {
            IngestDecision::Fork(Divergence { seq: link.seq, stored, arrived: link.hash })
        }
        Some(_) | None if rules.breaks(Planted::DuplicateIsNew) => {
            IngestDecision::New { next: Box::new(ledger.clone()), clone_suspected: false }
        }
        Some(_) | None => IngestDecision::Duplicate,
    }
}

fn take(ledger: &DeviceLedger, link: &Link) -> IngestDecision {
    let mut next = ledger.clone();
    next.committed_seq = link.seq;
    next.committed_hash = link.hash;
    next.recent.insert(link.seq, link.hash);
    next.trim(limit::LEDGER_HASHES);
    let clone_suspected = link.boot.is_some_and(|boot| next.note_boot(boot));
    IngestDecision::New { next: Box::new(next), clone_suspected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::Range;
    use tenken_common::{
        batch::Batch,
        id::RecId,
        observation::Class,
        time::{ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
        wire::v1::ReceivedBatch,
    };

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn genesis() -> Hash {
        Hash::of(b"grant")
    }

    /// `n` links by one writer, from `start` on.
    fn chain(start: (Seq, Hash), writer: u8, n: u64) -> Vec<Link> {
        let (mut seq, mut prev) = start;
        (0..n)
            .map(|_| {
                seq = seq.next();
                let hash = Hash::of(&[&[writer], prev.as_bytes()].concat());
                let boot = BootId([writer; 16]);
                let link = Link { device: DEVICE, epoch: Epoch(1), seq, prev, hash, boot: Some(boot) };
                prev = hash;
                link
            })
            .collect()
    }

    fn begin() -> DeviceLedger {
        DeviceLedger::begin(DEVICE, Epoch(1), genesis())
    }

    fn take(ledger: &mut DeviceLedger, link: &Link) -> IngestDecision {
        let decision = accept(ledger, link);
        if let IngestDecision::New { next, .. } = &decision {
            *ledger = (**next).clone();
        }
        decision
    }

    #[test]
    fn a_hole_is_asked_for_and_changes_nothing() {
        let links = chain((Seq(0), genesis()), 1, 3);
        assert_eq!(accept(&begin(), &links[2]), IngestDecision::Hole { need: Seq(1) });
    }

    /// A batch with records of a kind that only a later version knows.
    fn batch(link: &Link, ids: Range<u64>) -> Arrival {
        let at = Moment { boot: BootId([1; 16]), mono: Monotonic(0), wall: Timestamp::from_secs(0) };
        let clock = ClockQuality { offset_ms: 0, uncertainty_ms: 0, source: ClockSource::Unknown };
        let (class, agent_version) = (Class::Urgent, "0.1.0".to_owned());
        let Link { device, epoch, seq, prev, .. } = *link;
        let (records, gaps) = (Vec::new(), Vec::new());
        let batch = Batch { device, epoch, seq, prev, at, clock, agent_version, class, records, gaps };
        Arrival::Batch(Box::new(ReceivedBatch { batch, unknown: ids.map(|id| (RecId(id), 9)).collect() }))
    }

    #[test]
    fn a_next_link_with_a_record_that_came_before_is_a_fork() {
        let link = chain((Seq(0), genesis()), 1, 1)[0];
        let arrival = |from: u64| batch(&link, from..from + 3);
        let mut coverage = Coverage::default();
        coverage.add(&arrival(1));
        let judge = |from| accept(&begin(), &link).unless_repeated(&coverage, &link, &arrival(from));
        assert!(matches!(judge(4), IngestDecision::New { .. }));
        assert!(matches!(judge(3), IngestDecision::Fork(d) if d.arrived == link.hash));
        let stale = IngestDecision::EpochAhead { current: Epoch(1) };
        assert_eq!(stale.clone().unless_repeated(&coverage, &link, &arrival(3)), stale);
    }

    #[test]
    fn other_epochs_are_told_apart() {
        let mut ledger = begin();
        ledger.epoch = Epoch(2);
        let mut link = chain((Seq(0), genesis()), 1, 1)[0];
        let stale = IngestDecision::StaleEpoch { current: Epoch(2), clone_suspected: false };
        assert_eq!(accept(&ledger, &link), stale);
        link.epoch = Epoch(3);
        assert_eq!(accept(&ledger, &link), IngestDecision::EpochAhead { current: Epoch(2) });
    }

    #[test]
    fn a_closed_epoch_that_goes_on_is_a_clone_and_its_replay_is_not() {
        let links = chain((Seq(0), genesis()), 1, 3);
        let mut ledger = begin();
        for link in &links[..2] {
            take(&mut ledger, link);
        }
        ledger.quarantine = Some(QuarantineReason::Fork);
        let ledger = ledger.rejoined(Epoch(2), Hash::of(b"rejoin"));
        let suspected = |link: &Link| {
            let decision = accept(&ledger, link);
            let IngestDecision::StaleEpoch { clone_suspected, .. } = decision else { panic!("{decision:?}") };
            clone_suspected
        };
        assert_eq!(links.iter().map(suspected).collect::<Vec<_>>(), [false, false, true]);
        let mut first = chain((Seq(0), Hash::of(b"rejoin")), 1, 1)[0];
        first.epoch = Epoch(2);
        assert!(matches!(accept(&ledger, &first), IngestDecision::New { .. }));
    }

    #[test]
    fn a_stub_and_its_body_are_one_link() {
        let links = chain((Seq(0), genesis()), 1, 2);
        let stub = |link: &Link| Link { boot: None, ..*link };
        for (first, second) in [(links[0], stub(&links[0])), (stub(&links[0]), links[0])] {
            let mut ledger = begin();
            assert!(matches!(take(&mut ledger, &first), IngestDecision::New { .. }));
            assert_eq!(accept(&ledger, &second), IngestDecision::Duplicate);
            assert!(matches!(accept(&ledger, &links[1]), IngestDecision::New { .. }));
        }
    }

    #[test]
    fn quarantine_answers_before_everything_else() {
        let links = chain((Seq(0), genesis()), 1, 1);
        let ledger = DeviceLedger { quarantine: Some(QuarantineReason::Fork), ..begin() };
        assert_eq!(accept(&ledger, &links[0]), IngestDecision::Quarantined(QuarantineReason::Fork));
    }

    #[test]
    fn what_is_older_than_the_kept_hashes_is_a_duplicate() {
        let n = limit::LEDGER_HASHES as u64 + 2;
        let links = chain((Seq(0), genesis()), 1, n);
        let mut ledger = begin();
        for link in &links {
            assert!(matches!(take(&mut ledger, link), IngestDecision::New { .. }));
        }
        let stranger = Link { hash: Hash([9; 32]), ..links[1] };
        assert_eq!(accept(&ledger, &stranger), IngestDecision::Duplicate);
        let known = Link { hash: Hash([9; 32]), ..links[2] };
        assert!(matches!(accept(&ledger, &known), IngestDecision::Fork(_)));
        ledger.trim(8);
        assert!(ledger.needs_recall(Seq(3)) && !ledger.needs_recall(Seq(2)) && !ledger.needs_recall(Seq(n)));
    }

    #[test]
    fn a_boot_that_comes_back_after_another_is_a_clone() {
        let mut ledger = begin();
        let mut seen = Vec::new();
        let mut start = (Seq(0), genesis());
        for writer in [1, 1, 2, 1] {
            let link = chain(start, writer, 1)[0];
            start = (link.seq, link.hash);
            if let IngestDecision::New { clone_suspected, .. } = take(&mut ledger, &link) {
                seen.push(clone_suspected);
            }
        }
        assert_eq!(seen, [false, false, false, true]);
    }

    proptest! {
        /// Any order, any repetition: each link is new exactly once, in order.
        #[test]
        fn each_link_is_accepted_once_and_in_order(
            n in 1u64..12,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let links = chain((Seq(0), genesis()), 1, n);
            let mut ledger = begin();
            let mut accepted = Vec::new();
            for link in picks.iter().map(|p| *p.get(&links)).chain(links.iter().copied()) {
                match take(&mut ledger, &link) {
                    IngestDecision::New { .. } => accepted.push(link.seq.0),
                    IngestDecision::Duplicate => prop_assert!(accepted.contains(&link.seq.0)),
                    IngestDecision::Hole { need } => prop_assert!(need < link.seq),
                    other @ (IngestDecision::Fork(_)
                    | IngestDecision::StaleEpoch { .. }
                    | IngestDecision::EpochAhead { .. }
                    | IngestDecision::Quarantined(_)) => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(accepted, (1..=n).collect::<Vec<_>>());
        }

        /// A second writer is a fork at the first of its links that is judged against its place.
        #[test]
        fn a_diverging_writer_is_a_fork_at_its_first_batch(n in 0u64..10, shared in 0u64..10, more in 0u64..5) {
            let shared = shared.min(n);
            let links = chain((Seq(0), genesis()), 1, n + more + 1);
            let mut ledger = begin();
            for link in links.iter().take(usize::try_from(n).unwrap() + 1) {
                take(&mut ledger, link);
            }
            let start = match shared {
                0 => (Seq(0), genesis()),
                s => (Seq(s), links[usize::try_from(s).unwrap() - 1].hash),
            };
            let second = chain(start, 2, 1)[0];
            prop_assert!(matches!(accept(&ledger, &second), IngestDecision::Fork(d) if d.seq == second.seq));
        }
    }
}
