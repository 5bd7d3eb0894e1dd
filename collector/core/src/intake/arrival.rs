//! What arrives as one link of a chain: a batch, or a stub in the place of one.
//!
//! Holds: to the ledger both are the same [`Link`]. A stub's records are declared losses with its
//! reason; it carries nothing that could be evaluated.

use tenken_common::{
    batch::{Gap, Link},
    id::{Epoch, Hash},
    observation::Class,
    stub::Stub,
    wire::v1::ReceivedBatch,
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    Batch(Box<ReceivedBatch>),
    Stub(Box<Stub>),
}

impl Arrival {
    /// Its link. `body_hash` is the hash of the signed bytes, which a stub's link does not need.
    pub fn link(&self, body_hash: Hash) -> Link {
        match self {
            Self::Batch(received) => Link::of_batch(&received.batch, body_hash),
            Self::Stub(stub) => Link::of_stub(stub),
        }
    }

    pub fn batch(&self) -> Option<&ReceivedBatch> {
        match self {
            Self::Batch(received) => Some(received),
            Self::Stub(_) => None,
        }
    }

    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Batch(received) => received.batch.epoch,
            Self::Stub(stub) => stub.epoch,
        }
    }

    /// Every loss that it declares.
    pub fn gaps(&self) -> Vec<Gap> {
        match self {
            Self::Batch(received) => received.batch.gaps.clone(),
            Self::Stub(stub) => stub.gaps().collect(),
        }
    }

    /// How many records it carries.
    pub fn records(&self) -> usize {
        self.batch().map_or(0, |received| received.batch.records.len() + received.unknown.len())
    }

    pub fn is_urgent(&self) -> bool {
        self.batch().is_some_and(|received| received.batch.class == Class::Urgent)
    }
}
