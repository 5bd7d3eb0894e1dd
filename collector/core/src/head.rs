//! The heads of the stream, as each hospital has them: by them the hospital and its devices can
//! tell later that nothing before was changed, dropped or put in.
//!
//! ```text
//! part   shared: what is of the collector itself      journal, log: what is of one hospital
//! head   h(0) = 0      h(n) = SHA-256("tenken.head.v1" || h(n-1) || leaf(n))
//! leaf   SHA-256("tenken.leaf.v1" || position || kind || committed_us || device or 16 zeros || SHA-256(body))
//! root   SHA-256("tenken.root.v1" || shared || journal || log)          numbers big-endian
//! ```
//!
//! Holds: a root speaks of every entry of the hospital, and of the collector itself, up to a
//! position. Each acknowledgement carries it (protocol.md, "Ack"), so that devices are witnesses.
//! Other hospitals' entries are in no part of it. The body stands in a leaf by its hash, so that an
//! entry whose content is somebody else's can be shown without it.
//!
//! Does not: hinder anybody from writing another stream; it makes it seen. What no witness has
//! seen yet can still be changed.

use crate::stream::{Entry, EntryKind};
use serde::{Deserialize, Serialize};
use tenken_common::{
    id::{ContractId, DeviceId, Hash, HospitalId},
    time::Timestamp,
};

/// Which chain an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Of the collector itself: heartbeats, starts, rules, restores; what people do to incidents.
    Shared,
    /// Of one hospital, but its devices' messages.
    Journal,
    /// Its devices' messages.
    Log,
}

/// Whose an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    Collector,
    Hospital(&'a HospitalId),
    Device(DeviceId),
    Contract(&'a ContractId),
    /// The hospital that this contract's text names.
    ContractText(&'a str),
}

/// An entry as it stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    pub position: u64,
    pub kind: u8,
    pub committed: Timestamp,
    pub device: Option<DeviceId>,
    pub body: Hash,
}

impl Leaf {
    pub fn hash(&self) -> Hash {
        let device = self.device.map_or([0; 16], |device| device.0);
        Hash::of(
            &[
                b"tenken.leaf.v1".as_slice(),
                &self.position.to_be_bytes(),
                &[self.kind],
                &self.committed.as_micros().to_be_bytes(),
                &device,
                self.body.as_bytes(),
            ]
            .concat(),
        )
    }
}

/// The head after one more leaf.
pub fn follow(head: Hash, leaf: &Leaf) -> Hash {
    Hash::of(&[b"tenken.head.v1".as_slice(), head.as_bytes(), leaf.hash().as_bytes()].concat())
}

/// The three heads of a hospital at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    pub shared: Hash,
    pub journal: Hash,
    pub log: Hash,
}

impl Heads {
    /// Before the first entry.
    pub const BEGIN: Self = Self { shared: Hash::ZERO, journal: Hash::ZERO, log: Hash::ZERO };

    pub fn root(&self) -> Hash {
        let parts = [self.shared.as_bytes(), self.journal.as_bytes(), self.log.as_bytes()];
        Hash::of(&[b"tenken.root.v1".as_slice(), parts[0], parts[1], parts[2]].concat())
    }

    pub fn of(&self, part: Part) -> Hash {
        match part {
            Part::Shared => self.shared,
            Part::Journal => self.journal,
            Part::Log => self.log,
        }
    }

    /// Takes in one more leaf of a part.
    pub fn follow(&mut self, part: Part, leaf: &Leaf) {
        self.go_on_from(part, follow(self.of(part), leaf));
    }

    pub fn go_on_from(&mut self, part: Part, head: Hash) {
        *match part {
            Part::Shared => &mut self.shared,
            Part::Journal => &mut self.journal,
            Part::Log => &mut self.log,
        } = head;
    }
}

impl EntryKind {
    /// The chain of entries of this kind.
    pub fn part(self) -> Part {
        match self {
            Self::Envelope | Self::Fork | Self::CloneSuspected => Part::Log,
            Self::Heartbeat
            | Self::Started
            | Self::Rules
            | Self::Restored
            | Self::IncidentAction
            | Self::Silence => Part::Shared,
            Self::Hospital
            | Self::Contract
            | Self::Statement
            | Self::Enrolled
            | Self::CertificateIssued
            | Self::Revoked
            | Self::CollectorLost
            | Self::Quarantined
            | Self::Rejoined
            | Self::FactsChanged
            | Self::SlaRecord
            | Self::MonthSealed => Part::Journal,
        }
    }
}

impl Entry {
    pub fn owner(&self) -> Owner<'_> {
        match self {
            Self::Heartbeat
            | Self::Started { .. }
            | Self::Rules { .. }
            | Self::Restored { .. }
            | Self::IncidentAction(_)
            | Self::Silence(_) => Owner::Collector,
            Self::Hospital(hospital) => Owner::Hospital(&hospital.id),
            Self::Statement { hospital, .. } => Owner::Hospital(hospital),
            Self::Enrolled(enrolled) => Owner::Hospital(&enrolled.hospital),
            Self::Contract { text } => Owner::ContractText(text),
            Self::SlaRecord { contract, .. } => Owner::Contract(contract),
            Self::MonthSealed(sealed) => Owner::Contract(&sealed.contract),
            Self::Envelope { device, .. }
            | Self::Fork { device, .. }
            | Self::CloneSuspected { device, .. }
            | Self::CertificateIssued { device, .. }
            | Self::Revoked { device }
            | Self::Quarantined { device, .. }
            | Self::FactsChanged { device, .. } => Owner::Device(*device),
            Self::CollectorLost(lost) => Owner::Device(lost.device),
            Self::Rejoined(rejoined) => Owner::Device(rejoined.device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(position: u64) -> Leaf {
        let committed = Timestamp::from_secs(1_790_000_000);
        Leaf { position, kind: 2, committed, device: None, body: Hash::of(b"") }
    }

    #[test]
    fn every_field_of_a_leaf_is_in_the_head() {
        let base = leaf(7);
        let others = [
            Leaf { position: 8, ..base },
            Leaf { kind: 3, ..base },
            Leaf { committed: base.committed.plus_micros(1), ..base },
            Leaf { device: Some(DeviceId([1; 16])), ..base },
            Leaf { body: Hash::of(b"x"), ..base },
        ];
        for other in others {
            assert_ne!(follow(Hash::ZERO, &base), follow(Hash::ZERO, &other), "{other:?}");
        }
    }

    #[test]
    fn the_order_and_the_part_count() {
        let (a, b) = (leaf(1), leaf(2));
        let chain = |leaves: &[Leaf]| leaves.iter().fold(Hash::ZERO, follow);
        assert_ne!(chain(&[a, b]), chain(&[b, a]));
        let roots = [Part::Shared, Part::Journal, Part::Log].map(|part| {
            let mut heads = Heads::BEGIN;
            heads.follow(part, &a);
            assert_eq!(heads.of(part), follow(Hash::ZERO, &a));
            heads.root()
        });
        assert!(roots[0] != roots[1] && roots[1] != roots[2] && roots[0] != roots[2]);
    }
}
