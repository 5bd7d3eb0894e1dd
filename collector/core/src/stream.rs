//! The two append-only streams in one position order, from which everything else is derived: the
//! *log* of verified envelopes, byte for byte, and the *journal* of what is not derived.
//!
//! Holds: an entry is written once and never changed. Its position, and the time at which it was
//! committed, are part of it. Codes of [`EntryKind`] are frozen.

use crate::{desk::silence::Silence, sla::seal::MonthSealed};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tenken_common::{
    codec::{self, CodecError},
    enrollment::HostFacts,
    id::{ContractId, DeviceId, Epoch, Hash, HospitalId, Name, Seq, SlotId},
    limit,
    time::Timestamp,
};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The log: a batch or stub whose signature and chain were found good; the envelope as it came.
    Envelope {
        device: DeviceId,
        bytes: Vec<u8>,
    },
    /// The collector was alive at the commit time; also the tick at which derived state is
    /// evaluated.
    Heartbeat,
    /// A collector process began to serve.
    Started {
        version: Name,
    },
    /// 甲 and its key, from the contract's file.
    Hospital(Hospital),
    /// A contract version, the file as it was loaded.
    Contract {
        text: String,
    },
    /// A statement of the hospital (slot ticket, approval, consent), the envelope as it came.
    Statement {
        hospital: HospitalId,
        bytes: Vec<u8>,
    },
    /// A slot was redeemed.
    Enrolled(Enrolled),
    /// A device's TLS certificate, by SHA-256.
    CertificateIssued {
        device: DeviceId,
        certificate: Hash,
    },
    Revoked {
        device: DeviceId,
    },
    /// What a person did to an incident.
    IncidentAction(IncidentAction),
    /// The rules by which later ticks are evaluated, the file as it was loaded.
    Rules {
        text: String,
    },
    /// A link of a second chain with this device's identity, the envelope as it came: evidence,
    /// and the reason why nothing more is taken from the device. While it is in quarantine,
    /// whatever else comes with its signature.
    Fork {
        device: DeviceId,
        bytes: Vec<u8>,
    },
    /// The collector acknowledged these links and lost them (to 乙's account); the device's newest
    /// acknowledgement, an envelope, proves it. The chain goes on after them.
    CollectorLost(CollectorLost),
    /// Nothing more is taken from the device, for a reason that is no fork. The code is
    /// [`crate::intake::ledger::QuarantineReason`]'s.
    Quarantined {
        device: DeviceId,
        reason: u8,
    },
    /// A device's epoch was closed and the next begun, as its hospital approved.
    Rejoined(Rejoined),
    /// This store was restored from a backup that was taken at the stream's last position.
    Restored {
        taken: Timestamp,
    },
    /// A link beyond the end of a closed epoch, the envelope as it came: somebody else has the
    /// device's old identity.
    CloneSuspected {
        device: DeviceId,
        bytes: Vec<u8>,
    },
    /// The device runs on another host than the one that was enrolled, as it says.
    FactsChanged {
        device: DeviceId,
        facts: HostFacts,
    },
    /// What somebody entered about a contract, as [`crate::sla::history::Record`]'s text.
    SlaRecord {
        contract: ContractId,
        text: String,
    },
    /// A month's report was handed over, and is frozen.
    MonthSealed(Box<MonthSealed>),
    /// What somebody said that nobody is to be told of for a time; again with the same id, how long now.
    Silence(Box<Silence>),
}

/// See [`Entry::CollectorLost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorLost {
    pub device: DeviceId,
    pub epoch: Epoch,
    /// The first lost link.
    pub from: Seq,
    /// The last, which the acknowledgement names.
    pub to: Seq,
    /// Hash of the last.
    pub hash: Hash,
    #[serde(with = "serde_bytes")]
    pub ack: Vec<u8>,
}

/// See [`Entry::Rejoined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejoined {
    pub device: DeviceId,
    /// The epoch that begins.
    pub epoch: Epoch,
    #[serde(with = "serde_bytes")]
    pub device_key: Vec<u8>,
    pub facts: HostFacts,
    /// The slot that was redeemed for it; `None` where the hospital approved the new key.
    pub slot: Option<SlotId>,
    /// What the device was given, sent again on a retry: the grant of a slot, else the rejoin
    /// grant's envelope.
    #[serde(with = "serde_bytes")]
    pub document: Vec<u8>,
    /// Where the new chain begins.
    pub genesis: Hash,
}

/// See [`Entry::Hospital`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hospital {
    pub id: HospitalId,
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
}

/// See [`Entry::Enrolled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    pub slot: SlotId,
    pub hospital: HospitalId,
    pub device: DeviceId,
    pub label: Name,
    pub group: Option<Name>,
    #[serde(with = "serde_bytes")]
    pub device_key: Vec<u8>,
    /// The host's facts, as [`tenken_common::enrollment::HostFacts`].
    pub facts: HostFacts,
    /// The grant's bytes: sent again on a retry, and the start of the device's chain.
    #[serde(with = "serde_bytes")]
    pub grant: Vec<u8>,
}

/// See [`Entry::IncidentAction`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentAction {
    pub incident: crate::desk::notice::IncidentId,
    pub step: IncidentStep,
    /// Who did it, as an identifier of the hospital's register.
    pub worker: Name,
    /// When it happened, which may be before it was entered.
    pub at: Timestamp,
}

/// What people do to an incident (SLA A4.1(2)②: the first response is the report of the
/// investigated cause; an acknowledgement is not).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStep {
    Acknowledged,
    FirstResponseReported,
    Closed,
}

/// Codes of the entries in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    Envelope = 1,
    Heartbeat = 2,
    Started = 3,
    Hospital = 4,
    Contract = 5,
    Statement = 6,
    Enrolled = 7,
    CertificateIssued = 8,
    Revoked = 9,
    IncidentAction = 10,
    Fork = 11,
    Rules = 12,
    CollectorLost = 13,
    Quarantined = 14,
    Rejoined = 15,
    Restored = 16,
    CloneSuspected = 17,
    FactsChanged = 18,
    SlaRecord = 19,
    MonthSealed = 20,
    Silence = 21,
}

impl EntryKind {
    pub const ALL: [Self; 21] = [
        Self::Envelope,
        Self::Heartbeat,
        Self::Started,
        Self::Hospital,
        Self::Contract,
        Self::Statement,
        Self::Enrolled,
        Self::CertificateIssued,
        Self::Revoked,
        Self::IncidentAction,
        Self::Fork,
        Self::Rules,
        Self::CollectorLost,
        Self::Quarantined,
        Self::Rejoined,
        Self::Restored,
        Self::CloneSuspected,
        Self::FactsChanged,
        Self::SlaRecord,
        Self::MonthSealed,
        Self::Silence,
    ];

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// A stored entry that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("entry kind {0} is not known to this version")]
    Kind(u8),
    #[error("the entry's content cannot be read")]
    Content(#[source] CodecError),
}

impl Entry {
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Envelope { .. } => EntryKind::Envelope,
            Self::Heartbeat => EntryKind::Heartbeat,
            Self::Started { .. } => EntryKind::Started,
            Self::Hospital(_) => EntryKind::Hospital,
            Self::Contract { .. } => EntryKind::Contract,
            Self::Statement { .. } => EntryKind::Statement,
            Self::Enrolled(_) => EntryKind::Enrolled,
            Self::CertificateIssued { .. } => EntryKind::CertificateIssued,
            Self::Revoked { .. } => EntryKind::Revoked,
            Self::IncidentAction(_) => EntryKind::IncidentAction,
            Self::Rules { .. } => EntryKind::Rules,
            Self::Fork { .. } => EntryKind::Fork,
            Self::CollectorLost(_) => EntryKind::CollectorLost,
            Self::Quarantined { .. } => EntryKind::Quarantined,
            Self::Rejoined(_) => EntryKind::Rejoined,
            Self::Restored { .. } => EntryKind::Restored,
            Self::CloneSuspected { .. } => EntryKind::CloneSuspected,
            Self::FactsChanged { .. } => EntryKind::FactsChanged,
            Self::SlaRecord { .. } => EntryKind::SlaRecord,
            Self::MonthSealed(_) => EntryKind::MonthSealed,
            Self::Silence(_) => EntryKind::Silence,
        }
    }

    /// `(kind, device, body)` as the store keeps them; an envelope's bytes stand as they came.
    pub fn encode(&self) -> Result<(u8, Option<DeviceId>, Vec<u8>), CodecError> {
        let kind = self.kind() as u8;
        Ok(match self {
            Self::Envelope { device, bytes }
            | Self::Fork { device, bytes }
            | Self::CloneSuspected { device, bytes } => (kind, Some(*device), bytes.clone()),
            Self::Heartbeat => (kind, None, Vec::new()),
            Self::Started { version } => (kind, None, codec::to_vec(version)?),
            Self::Hospital(h) => (kind, None, codec::to_vec(h)?),
            Self::Contract { text } | Self::Rules { text } => (kind, None, codec::to_vec(text)?),
            Self::Statement { hospital, bytes } => {
                (kind, None, codec::to_vec(&(hospital, ByteBuf::from(bytes.clone())))?)
            }
            Self::Enrolled(e) => (kind, Some(e.device), codec::to_vec(e)?),
            Self::CertificateIssued { device, certificate } => {
                (kind, Some(*device), codec::to_vec(certificate)?)
            }
            Self::Revoked { device } => (kind, Some(*device), Vec::new()),
            Self::IncidentAction(a) => (kind, None, codec::to_vec(a)?),
            Self::CollectorLost(lost) => (kind, Some(lost.device), codec::to_vec(lost)?),
            Self::Quarantined { device, reason } => (kind, Some(*device), codec::to_vec(reason)?),
            Self::Rejoined(r) => (kind, Some(r.device), codec::to_vec(r)?),
            Self::Restored { taken } => (kind, None, codec::to_vec(taken)?),
            Self::FactsChanged { device, facts } => (kind, Some(*device), codec::to_vec(facts)?),
            Self::SlaRecord { contract, text } => (kind, None, codec::to_vec(&(contract, text))?),
            Self::MonthSealed(sealed) => (kind, None, codec::to_vec(sealed)?),
            Self::Silence(silence) => (kind, None, codec::to_vec(silence)?),
        })
    }

    pub fn decode(kind: u8, device: Option<DeviceId>, body: &[u8]) -> Result<Self, EntryError> {
        fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, EntryError> {
            codec::from_slice(body, limit::ENVELOPE_BYTES_MAX).map_err(EntryError::Content)
        }
        let owner = device.ok_or(EntryError::Content(CodecError::Value("device")));
        Ok(match kind {
            1 => Self::Envelope { device: owner?, bytes: body.to_vec() },
            2 => Self::Heartbeat,
            3 => Self::Started { version: read(body)? },
            4 => Self::Hospital(read(body)?),
            5 => Self::Contract { text: read(body)? },
            6 => {
                let (hospital, bytes): (HospitalId, ByteBuf) = read(body)?;
                Self::Statement { hospital, bytes: bytes.into_vec() }
            }
            7 => Self::Enrolled(read(body)?),
            8 => Self::CertificateIssued { device: owner?, certificate: read(body)? },
            9 => Self::Revoked { device: owner? },
            10 => Self::IncidentAction(read(body)?),
            11 => Self::Fork { device: owner?, bytes: body.to_vec() },
            12 => Self::Rules { text: read(body)? },
            13 => Self::CollectorLost(read(body)?),
            14 => Self::Quarantined { device: owner?, reason: read(body)? },
            15 => Self::Rejoined(read(body)?),
            16 => Self::Restored { taken: read(body)? },
            17 => Self::CloneSuspected { device: owner?, bytes: body.to_vec() },
            18 => Self::FactsChanged { device: owner?, facts: read(body)? },
            19 => {
                let (contract, text) = read(body)?;
                Self::SlaRecord { contract, text }
            }
            20 => {
                let sealed = codec::from_slice(body, limit::SEALED_BYTES_MAX);
                Self::MonthSealed(sealed.map_err(EntryError::Content)?)
            }
            21 => Self::Silence(read(body)?),
            other => return Err(EntryError::Kind(other)),
        })
    }
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Dense, from 1.
    pub position: u64,
    pub committed: Timestamp,
    pub entry: Entry,
}
