//! Links that came before the one they follow: held in memory until that comes, and what it means
//! where it never does.
//!
//! Holds: at most [`limit::HELD_LINKS_MAX`] links of a device and [`limit::HELD_BYTES_MAX`] of all
//! devices are held. Nothing here is promised to a device: what is dropped is sent again. A held
//! link is judged against the ledger as if it came when its turn has come.
//!
//! A *strike* is a link that is sent again although the one before it was asked for. The
//! [`limit::HOLE_STRIKES_MAX`]th strike of one link makes the hole unexplained. Strikes are
//! forgotten when the chain goes on, when the device resumes, and when the collector had to put
//! anybody off. A restored collector counts none until a device that has the link resumes and shows
//! its newest acknowledgement: before that the hole may be the collector's own, also where a link
//! or a resume that was under way for long comes in.

use super::{
    ledger::{DeviceLedger, IngestDecision, judge},
    planted::{Planted, Rules},
};
use std::collections::BTreeMap;
use tenken_common::{
    batch::Link,
    id::{DeviceId, Hash, Seq},
    limit,
};

/// See the module's head. `T` is whatever the caller needs for storing the link later.
#[derive(Debug)]
pub struct Held<T> {
    devices: BTreeMap<DeviceId, BTreeMap<(Seq, Hash), Early<T>>>,
    /// Devices that resumed since this was made, and the last link that they had then.
    resumed: BTreeMap<DeviceId, Seq>,
    bytes: usize,
}

#[derive(Debug)]
struct Early<T> {
    link: Link,
    strikes: u8,
    /// What is held of it, and its size; `None` where there was no room.
    item: Option<(T, usize)>,
}

/// What became of a link beyond a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    Held,
    /// No room for it; it is sent again.
    Dropped,
    /// It was seen before, so often.
    Again {
        strikes: u8,
    },
    /// Once too often: the hole is unexplained.
    Unexplained,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { devices: BTreeMap::new(), resumed: BTreeMap::new(), bytes: 0 }
    }
}

impl<T> Held<T> {
    /// Notes a link for which [`super::ledger::accept`] said `Hole`, and holds its `item` of so
    /// many `bytes` where there is room.
    pub fn hold(&mut self, ledger: &DeviceLedger, link: &Link, item: T, bytes: usize) -> Holding {
        let room = self.bytes.saturating_add(bytes) <= limit::HELD_BYTES_MAX;
        let early = self.devices.entry(link.device).or_default();
        if let Some(known) = early.get_mut(&(link.seq, link.hash)) {
            if known.item.is_none() && room {
                known.item = Some((item, bytes));
                self.bytes += bytes;
            }
            let asked = self.resumed.get(&link.device).is_some_and(|last| *last >= link.seq);
            if !ledger.restored || asked {
                known.strikes = known.strikes.saturating_add(1);
            }
            let strikes = known.strikes;
            let unexplained = strikes >= limit::HOLE_STRIKES_MAX;
            return if unexplained { Holding::Unexplained } else { Holding::Again { strikes } };
        }
        if early.len() >= limit::HELD_LINKS_MAX {
            return Holding::Dropped;
        }
        let item = room.then_some((item, bytes));
        let holding = if room { Holding::Held } else { Holding::Dropped };
        self.bytes += item.as_ref().map_or(0, |(_, bytes)| *bytes);
        early.insert((link.seq, link.hash), Early { link: *link, strikes: 0, item });
        holding
    }

    /// The held link whose turn has come by the ledger, and what it means. What the ledger has
    /// passed is forgotten, with all strikes. Call again with the ledger after it.
    pub fn follow(&mut self, ledger: &DeviceLedger) -> Option<(IngestDecision, Link, T)> {
        self.follow_by(ledger, Rules::default())
    }

    /// [`Self::follow`] with one of its rules broken.
    #[cfg(feature = "planted")]
    pub fn follow_with(
        &mut self,
        ledger: &DeviceLedger,
        planted: Option<Planted>,
    ) -> Option<(IngestDecision, Link, T)> {
        self.follow_by(ledger, Rules::with(planted))
    }

    fn follow_by(&mut self, ledger: &DeviceLedger, rules: Rules) -> Option<(IngestDecision, Link, T)> {
        let early = self.devices.remove(&ledger.device)?;
        let due = |link: &Link| link.epoch == ledger.epoch && link.seq == ledger.committed_seq.next();
        let mut next = None;
        let mut left = BTreeMap::new();
        for (key, mut early) in early {
            let passed = early.link.epoch != ledger.epoch || early.link.seq <= ledger.committed_seq;
            if passed || (due(&early.link) && next.is_some()) {
                self.bytes -= early.item.map_or(0, |(_, bytes)| bytes);
            } else if due(&early.link) {
                next = early.item.map(|(item, bytes)| {
                    self.bytes -= bytes;
                    (early.link, item)
                });
            } else {
                early.strikes = 0;
                left.insert(key, early);
            }
        }
        if !left.is_empty() {
            self.devices.insert(ledger.device, left);
        }
        let (link, item) = next?;
        let mut judged = link;
        if rules.breaks(Planted::HeldUnchecked) {
            judged.prev = ledger.committed_hash;
        }
        Some((judge(ledger, &judged, rules), link, item))
    }

    /// Forgets the strikes of a device that asked where it stands, with its last link.
    pub fn forgive(&mut self, device: DeviceId, last: Seq) {
        let known = self.resumed.entry(device).or_insert(last);
        *known = last.max(*known);
        for early in self.devices.get_mut(&device).into_iter().flat_map(BTreeMap::values_mut) {
            early.strikes = 0;
        }
    }

    /// Forgets all strikes: the collector put somebody off, maybe the link that is asked for.
    pub fn forgive_all(&mut self) {
        for early in self.devices.values_mut().flat_map(BTreeMap::values_mut) {
            early.strikes = 0;
        }
    }

    /// Drops what is held of a device.
    pub fn drop_device(&mut self, device: DeviceId) {
        let early = self.devices.remove(&device).unwrap_or_default();
        self.bytes -= early.into_values().filter_map(|e| e.item).map(|(_, bytes)| bytes).sum::<usize>();
    }

    /// Bytes held of all devices.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Links held or remembered of a device.
    pub fn links(&self, device: DeviceId) -> usize {
        self.devices.get(&device).map_or(0, BTreeMap::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::ledger::accept;
    use proptest::prelude::*;
    use tenken_common::id::Epoch;

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn begin() -> DeviceLedger {
        DeviceLedger::begin(DEVICE, Epoch(1), Hash::ZERO)
    }

    fn chain(n: u64) -> Vec<Link> {
        let mut prev = Hash::ZERO;
        (1..=n)
            .map(|seq| {
                let hash = Hash::of(prev.as_bytes());
                let link = Link { device: DEVICE, epoch: Epoch(1), seq: Seq(seq), prev, hash, boot: None };
                prev = hash;
                link
            })
            .collect()
    }

    fn next_of(decision: IngestDecision) -> DeviceLedger {
        let IngestDecision::New { next, .. } = decision else { panic!("{decision:?}") };
        *next
    }

    #[test]
    fn the_third_time_again_is_unexplained() {
        let links = chain(4);
        let mut held = Held::default();
        assert_eq!(held.hold(&begin(), &links[1], (), 10), Holding::Held);
        assert_eq!(held.hold(&begin(), &links[2], (), 10), Holding::Held, "another link is no strike");
        assert_eq!(held.hold(&begin(), &links[1], (), 10), Holding::Again { strikes: 1 });
        held.forgive(DEVICE, Seq(2));
        for strikes in [1, 2] {
            assert_eq!(held.hold(&begin(), &links[1], (), 10), Holding::Again { strikes });
        }
        held.forgive_all();
        for strikes in [1, 2] {
            assert_eq!(held.hold(&begin(), &links[1], (), 10), Holding::Again { strikes });
        }
        assert_eq!(held.hold(&begin(), &links[1], (), 10), Holding::Unexplained);
        assert_eq!(held.bytes(), 20, "held once");
        held.drop_device(DEVICE);
        assert_eq!((held.bytes(), held.links(DEVICE)), (0, 0));
    }

    #[test]
    fn a_restored_collector_blames_nobody() {
        let mut restored = begin();
        restored.restored = true;
        let mut held = Held::default();
        for _ in 0..10 {
            assert_ne!(held.hold(&restored, &chain(2)[1], (), 1), Holding::Unexplained);
        }
        // A link that was under way for long explains nothing.
        let links = chain(3);
        let restored = next_of(accept(&restored, &links[0]));
        for _ in 0..10 {
            assert_ne!(held.hold(&restored, &links[2], (), 1), Holding::Unexplained);
        }
        // Neither does a resume from before that link.
        held.forgive(DEVICE, Seq(2));
        for _ in 0..10 {
            assert_ne!(held.hold(&restored, &links[2], (), 1), Holding::Unexplained);
        }
        held.forgive(DEVICE, Seq(3));
        for _ in 0..2 {
            assert_ne!(held.hold(&restored, &links[2], (), 1), Holding::Unexplained);
        }
        assert_eq!(held.hold(&restored, &links[2], (), 1), Holding::Unexplained, "it has resumed");
    }

    #[test]
    fn memory_is_bounded_and_what_does_not_fit_is_sent_again() {
        let links = chain(6);
        let mut held = Held::default();
        for link in &links[1..4] {
            assert_eq!(held.hold(&begin(), link, (), 1), Holding::Held);
        }
        assert_eq!(held.hold(&begin(), &links[4], (), 1), Holding::Dropped, "three of a device");
        let mut full = Held::default();
        assert_eq!(full.hold(&begin(), &links[1], (), limit::HELD_BYTES_MAX), Holding::Held);
        assert_eq!(full.hold(&begin(), &links[2], (), 1), Holding::Dropped);
        assert_eq!(full.hold(&begin(), &links[2], (), 1), Holding::Again { strikes: 1 }, "it was seen");
        let after_first = next_of(accept(&begin(), &links[0]));
        let (decision, link, ()) = full.follow(&after_first).unwrap();
        assert_eq!((link, full.bytes()), (links[1], 0));
        assert!(full.follow(&next_of(decision)).is_none(), "the next one was not held");
    }

    #[test]
    fn a_held_link_of_another_chain_is_a_fork_when_its_turn_comes() {
        let links = chain(3);
        let mut held = Held::default();
        let other = Link { prev: Hash([9; 32]), hash: Hash([8; 32]), ..links[1] };
        held.hold(&begin(), &other, (), 1);
        let after_first = next_of(accept(&begin(), &links[0]));
        assert!(matches!(held.follow(&after_first), Some((IngestDecision::Fork(_), l, ())) if l == other));
    }

    proptest! {
        /// In any order each link is stored once and in order, held ones included.
        #[test]
        fn what_is_held_follows_in_order(
            n in 1u64..10,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let links = chain(n);
            let (mut ledger, mut held, mut stored) = (begin(), Held::default(), Vec::new());
            for link in picks.iter().map(|p| *p.get(&links)).chain(links.iter().copied()) {
                match accept(&ledger, &link) {
                    IngestDecision::New { next, .. } => {
                        ledger = *next;
                        stored.push(link.seq.0);
                        while let Some((decision, link, ())) = held.follow(&ledger) {
                            ledger = next_of(decision);
                            stored.push(link.seq.0);
                        }
                    }
                    IngestDecision::Hole { .. } => { held.hold(&ledger, &link, (), 1); }
                    IngestDecision::Duplicate => prop_assert!(stored.contains(&link.seq.0)),
                    other @ (IngestDecision::Fork(_)
                    | IngestDecision::StaleEpoch { .. }
                    | IngestDecision::EpochAhead { .. }
                    | IngestDecision::Quarantined(_)) => prop_assert!(false, "{:?}", other),
                }
                prop_assert!(held.links(DEVICE) <= limit::HELD_LINKS_MAX);
            }
            prop_assert_eq!(stored, (1..=n).collect::<Vec<_>>());
            prop_assert_eq!(held.bytes(), 0);
        }
    }
}
