//! Bugs that the simulator plants to find out whether its oracle would see them.
//!
//! Holds: without the cargo feature `planted` there is no field, no branch and no way to plant
//! one; with it, nothing is planted until a test says so. No program that ships enables it.

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planted {
    /// An acknowledgement releases whatever its number covers, whatever hash it names.
    ReleaseUnchecked,
    /// The records of a stub wait again, to be sent under another link.
    StubKeepsRecords,
    /// The state is saved before the engine has what it speaks of.
    StateFirst,
    /// Ids are used without having been reserved.
    IdsUnreserved,
    /// Making room takes records that are cut.
    EvictsPinned,
    /// A declared loss is forgotten when it is cut, not when it is acknowledged.
    GapDroppedAtCut,
    /// A device that is behind its own chain goes on.
    BehindGoesOn,
}

impl Planted {
    pub const ALL: [Self; 7] = [
        Self::ReleaseUnchecked,
        Self::StubKeepsRecords,
        Self::StateFirst,
        Self::IdsUnreserved,
        Self::EvictsPinned,
        Self::GapDroppedAtCut,
        Self::BehindGoesOn,
    ];
}

/// Where a bug can be planted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Soil {
    #[cfg(feature = "planted")]
    bug: Option<Planted>,
}

impl Soil {
    #[cfg(feature = "planted")]
    pub(crate) fn plant(&mut self, bug: Planted) {
        self.bug = Some(bug);
    }

    #[cfg(feature = "planted")]
    pub(crate) fn grows(self, bug: Planted) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the same shape with and without the feature")]
    pub(crate) const fn grows(self, _: Planted) -> bool {
        false
    }
}

/// Each bug does what it says: what the simulator then has to notice from afar.
#[cfg(test)]
#[cfg(feature = "planted")]
mod tests {
    use super::*;
    use crate::{
        pusher::{Outcome, PushPolicy, PushStep, PushView, Pusher},
        spool::{
            BatchLimit, ChainStart, Cut, CutContext, DurableSpool, Spool, Standing,
            memory::{MemoryDisk, MemoryEngine, MemoryState},
        },
    };
    use std::time::Duration;
    use tenken_common::{
        ack::Ack,
        batch::{GapReason, RecRun},
        category::Category,
        envelope::{Envelope, Payload, Verified},
        id::{BootId, DeviceId, Epoch, Hash, Name, Nonce, RecId, Seq},
        key::SecretKey,
        limit,
        observation::{Body, Observation, Sample},
        time::{ClockQuality, Moment, Monotonic, Timestamp},
        unit::{Quantity, Unit},
        wire::v1::ReceivedBatch,
    };

    const AT: Moment = Moment { boot: BootId([2; 16]), mono: Monotonic(5), wall: Timestamp::EPOCH };
    const LIMIT: BatchLimit = BatchLimit { records: 100, bytes: limit::PLAIN_BYTES_MAX, in_flight: 4 };
    const START: ChainStart =
        ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([9; 32]) };

    fn sample() -> Observation {
        let quantity = Quantity::new(Name::new("n").unwrap(), Unit::Count, 1.0).unwrap();
        let sample = Sample { probe: Name::new("test").unwrap(), quantities: vec![quantity] };
        let subject = Name::new("device").unwrap();
        Observation { at: AT, category: Category::Disk, subject, body: Body::Sample(sample) }
    }

    fn open(disk: &MemoryDisk, bug: Planted) -> DurableSpool<MemoryEngine, MemoryState> {
        let mut spool = DurableSpool::open(disk.engine(), disk.states(), START, 64 * 1024).unwrap();
        spool.plant(bug);
        spool
    }

    fn cut(spool: &mut impl Spool) -> Cut {
        let cx =
            CutContext { device: START.device, at: AT, clock: ClockQuality::UNKNOWN, agent_version: "1" };
        spool.cut(LIMIT, &cx).unwrap().unwrap()
    }

    fn ack(seq: Seq, hash: Hash) -> (Verified<Ack>, Vec<u8>) {
        let key = SecretKey::from_seed(&[5; 32]);
        let ack = Ack {
            device: START.device,
            epoch: START.epoch,
            acked_seq: seq,
            hash,
            server: Timestamp::EPOCH,
            echo_nonce: Nonce([0; 16]),
            position: 1,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        let envelope = Envelope::seal(&ack, &key).unwrap();
        (envelope.open(&key.public()).unwrap(), envelope.to_bytes())
    }

    #[test]
    fn an_ack_of_another_hash_releases() {
        let mut spool = open(&MemoryDisk::default(), Planted::ReleaseUnchecked);
        spool.append(&[sample()]).unwrap();
        cut(&mut spool);
        let (ack, envelope) = ack(Seq(1), Hash([7; 32]));
        assert_eq!(spool.release(&ack, &envelope).unwrap(), 1);
        assert_eq!(spool.stats().violations, 1, "and production counts it");
    }

    #[test]
    fn records_of_a_stub_are_cut_again() {
        let mut spool = open(&MemoryDisk::default(), Planted::StubKeepsRecords);
        spool.append(&[sample()]).unwrap();
        let first = cut(&mut spool);
        spool.stub(first.seq, GapReason::Refused).unwrap();
        let again = ReceivedBatch::decode(&cut(&mut spool).body).unwrap();
        assert_eq!(again.record_ids(), [RecId(1)]);
        assert_eq!(spool.stats().violations, 1);
    }

    #[test]
    fn the_state_gets_ahead_of_the_engine() {
        let disk = MemoryDisk::default();
        let mut spool = open(&disk, Planted::StateFirst);
        spool.append(&[sample()]).unwrap();
        disk.fail_after(Some(0));
        assert!(spool.set_consent_version(4).is_err());
        disk.fail_after(None);
        let behind = DurableSpool::open_whole(disk.engine(), disk.states(), START, 64 * 1024);
        assert!(behind.is_err());
    }

    #[test]
    fn an_id_is_given_out_twice() {
        let disk = MemoryDisk::default();
        let mut spool = open(&disk, Planted::IdsUnreserved);
        let first = spool.append(&[sample()]).unwrap();
        disk.pairs().clear();
        // The note of the last id is never synced.
        *disk.note() = None;
        let mut spool = open(&disk, Planted::IdsUnreserved);
        assert_eq!(spool.append(&[sample()]).unwrap(), first);
    }

    #[test]
    fn a_cut_record_is_declared_evicted() {
        let mut spool = open(&MemoryDisk::default(), Planted::EvictsPinned);
        spool.append(&[sample()]).unwrap();
        cut(&mut spool);
        while spool.stats().evicted == 0 {
            spool.append(&vec![sample(); 50]).unwrap();
        }
        assert_eq!(spool.answer_missing(&[RecRun::one(RecId(1))]).unwrap(), 0);
        let batch = ReceivedBatch::decode(&cut(&mut spool).body).unwrap().batch;
        assert!(batch.gaps.iter().any(|gap| gap.run.from == RecId(1) && gap.reason == GapReason::Evicted));
    }

    #[test]
    fn a_gap_goes_with_the_body_that_is_lost() {
        let mut spool = open(&MemoryDisk::default(), Planted::GapDroppedAtCut);
        spool.append(&[sample()]).unwrap();
        spool.withdraw(&|_| false).unwrap();
        let first = cut(&mut spool);
        spool.stub(first.seq, GapReason::Refused).unwrap();
        assert_eq!(spool.stats().gaps_waiting, 0);
    }

    #[test]
    fn a_device_behind_goes_on() {
        let second = Duration::from_secs(1);
        let policy =
            PushPolicy { interval: second, retry_first: second, retry_max: second, alarm_retry_max: second };
        let mut pusher = Pusher::new(policy, 1);
        pusher.plant(Planted::BehindGoesOn);
        let view =
            PushView { waiting: 1, urgent: 0, in_flight: 0, acked_seq: Seq(0), awaiting_resume: false };
        pusher.on_outcome(Monotonic(0), &view, &Outcome::Resumed(Standing::DeviceBehind));
        assert_eq!(pusher.poll(Monotonic(0), &view), PushStep::Cut);
    }
}
