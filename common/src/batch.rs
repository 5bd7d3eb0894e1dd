//! What travels: a [`Batch`] of records and declared gaps, one link of a device's chain.
//!
//! Holds: `prev` is the hash of the body before (or of the enrollment reply for the first), so
//! two writers with one identity cannot stay unseen. A loss is a [`Gap`] with its reason.

use crate::{
    envelope::Verified,
    id::{BootId, DeviceId, Epoch, Hash, RecId, Seq},
    observation::{Class, Observation, Record},
    stub::Stub,
    time::{ClockQuality, Moment, Timestamp},
    wire::v1::ReceivedBatch,
};
use serde::{Deserialize, Serialize};

/// The plain form, before compression and signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    /// When it was cut.
    pub at: Moment,
    pub clock: ClockQuality,
    pub agent_version: String,
    pub class: Class,
    pub records: Vec<Record>,
    pub gaps: Vec<Gap>,
}

impl Batch {
    /// An observation's time as the collector's clock would have shown it, where the batch knows the
    /// error of the clock that stamped it; else the device's own.
    pub fn corrected(&self, o: &Observation) -> Timestamp {
        let same_boot = o.at.boot == self.at.boot;
        same_boot.then(|| self.clock.correct(o.at.wall)).flatten().unwrap_or(o.at.wall)
    }
}

/// Records that will never come, from and to inclusive, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub run: RecRun,
    pub reason: GapReason,
}

/// An unbroken run of record ids, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecRun {
    pub from: RecId,
    pub to: RecId,
}

/// Why a record is missing. The codes are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The id was reserved and a crash came before it was used.
    NeverIssued = 1,
    /// The spool was full.
    Evicted = 2,
    /// The stored bytes failed their check.
    Corrupt = 3,
    /// The hospital's consent does not cover it any more.
    NotConsented = 4,
    /// The spool's files were lost or set aside.
    SpoolLost = 5,
    /// The collector refused the batch for good, with a signed reject.
    Refused = 6,
    /// What the device held beyond its last known link when its epoch was closed by a rejoin.
    Unknown = 7,
    /// The device holds an acknowledgement for it; the collector lost it.
    CollectorLost = 8,
}

impl GapReason {
    pub const ALL: [Self; 8] = [
        Self::NeverIssued,
        Self::Evicted,
        Self::Corrupt,
        Self::NotConsented,
        Self::SpoolLost,
        Self::Refused,
        Self::Unknown,
        Self::CollectorLost,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverIssued => "never_issued",
            Self::Evicted => "evicted",
            Self::Corrupt => "corrupt",
            Self::NotConsented => "not_consented",
            Self::SpoolLost => "spool_lost",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::CollectorLost => "collector_lost",
        }
    }
}

impl RecRun {
    pub fn one(id: RecId) -> Self {
        Self { from: id, to: id }
    }

    pub fn len(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).saturating_add(1)
    }

    /// A run is never empty unless its ends are crossed.
    pub fn is_empty(&self) -> bool {
        self.to < self.from
    }
}

/// Sorted ids as runs.
pub fn runs_of(ids: impl IntoIterator<Item = RecId>) -> Vec<RecRun> {
    let mut runs: Vec<RecRun> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some(run) if run.to.next() == id => run.to = id,
            _ => runs.push(RecRun::one(id)),
        }
    }
    runs
}

/// One link of a chain as the ledger sees it, whatever it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    pub hash: Hash,
    /// The boot in the header; a stub has none.
    pub boot: Option<BootId>,
}

impl Link {
    /// The link of a batch whose signature was checked.
    pub fn of(received: &Verified<ReceivedBatch>) -> Self {
        Self::of_batch(&received.batch, received.body_hash())
    }

    /// The link of a batch whose body has this hash.
    pub fn of_batch(batch: &Batch, hash: Hash) -> Self {
        Self {
            device: batch.device,
            epoch: batch.epoch,
            seq: batch.seq,
            prev: batch.prev,
            hash,
            boot: Some(batch.at.boot),
        }
    }

    /// The link that a stub stands for: the same as its body's.
    pub fn of_stub(stub: &Stub) -> Self {
        Self {
            device: stub.device,
            epoch: stub.epoch,
            seq: stub.seq,
            prev: stub.prev,
            hash: stub.body_hash,
            boot: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_runs() {
        let runs = runs_of([1, 2, 3, 7, 9, 10].map(RecId));
        let ends: Vec<_> = runs.iter().map(|r| (r.from.0, r.to.0, r.len())).collect();
        assert_eq!(ends, [(1, 3, 3), (7, 7, 1), (9, 10, 2)]);
    }
}
