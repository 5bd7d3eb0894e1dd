//! Rows as readers see them.
//!
//! Holds: times are the collector's commit times unless a field says otherwise.

use serde::{Deserialize, Serialize};
use tenken_collector_core::{
    desk::{
        notice::{IncidentId, Notice},
        scorecard::Prediction,
    },
    intake::ledger::QuarantineReason,
    predict::{anomaly::Detector, series::SeriesKey, watch::Noted},
};
use tenken_common::{
    batch::Gap,
    category::Category,
    enrollment::HostFacts,
    fact::Fact,
    id::{BootId, ContractId, DeviceId, Epoch, Hash, HospitalId, Name, SlotId},
    key::PublicKey,
    observation::{CheckState, ProbeState},
    statement::Agreement,
    time::{ClockQuality, Timestamp},
    unit::Unit,
};

#[derive(Debug, Clone, PartialEq)]
pub struct HospitalRow {
    pub id: HospitalId,
    pub key: PublicKey,
    /// SHA-256 of the statement that named this key; `None` for the contract's.
    pub succession: Option<Hash>,
}

/// A contract's file as it was loaded; the newest per contract counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractRow {
    pub position: u64,
    pub loaded: Timestamp,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    pub id: SlotId,
    pub hospital: HospitalId,
    pub label: Name,
    pub group: Option<Name>,
    pub proof_key: Hash,
    pub expires: Timestamp,
    pub filed: Timestamp,
    pub device: Option<DeviceId>,
    /// The device that goes on with a new key.
    pub replaces: Option<DeviceId>,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// Enrolled; its batches are stored, the hospital has not yet approved it.
    Pending,
    Approved,
    Revoked,
}

impl DeviceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Revoked => "revoked",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRow {
    pub id: DeviceId,
    pub hospital: HospitalId,
    pub slot: SlotId,
    pub label: Name,
    pub group: Option<Name>,
    pub key: PublicKey,
    pub facts: HostFacts,
    /// The grant of the newest slot that was redeemed for it.
    pub granted: Vec<u8>,
    /// The newest rejoin grant after that, an envelope.
    pub rejoined: Option<Vec<u8>>,
    /// When it last said that it runs on another host.
    pub facts_changed: Option<Timestamp>,
    pub enrolled: Timestamp,
    pub approved: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
}

impl DeviceRow {
    pub fn status(&self) -> DeviceStatus {
        match (self.revoked, self.approved) {
            (Some(_), _) => DeviceStatus::Revoked,
            (None, Some(_)) => DeviceStatus::Approved,
            (None, None) => DeviceStatus::Pending,
        }
    }
}

/// A consent on file, the envelope as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentRow {
    pub hospital: HospitalId,
    pub version: u64,
    pub filed: Timestamp,
    pub envelope: Vec<u8>,
}

/// What somebody entered about a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlaRecordRow {
    pub position: u64,
    pub entered: Timestamp,
    pub contract: ContractId,
    pub text: String,
}

/// What a hospital agreed to, as it was filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementRow {
    pub filed: Timestamp,
    pub agreement: Agreement,
}

/// What was taken from a device so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceCounts {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub batches: u64,
    /// Distinct record ids that are stored.
    pub records: u64,
    /// Gap declarations.
    pub gaps: u64,
    /// Runs of the present epoch that were never sent nor declared missing.
    pub missing_runs: u64,
    /// Links that the collector acknowledged and lost.
    pub collector_lost: u64,
    pub quarantine: Option<QuarantineReason>,
    pub clone_suspected: Option<Timestamp>,
}

/// A declared gap and where it stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapRow {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub gap: Gap,
    pub position: u64,
}

/// When a device was last heard of, and how its clock stood.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSeen {
    pub device: DeviceId,
    pub received: Timestamp,
    /// The newest record's time, corrected where the device knows its clock's error.
    pub recorded: Option<Timestamp>,
    pub clock: ClockQuality,
    pub boot: BootId,
    pub agent_version: String,
    /// Records of kinds that this version does not know.
    pub unknown: u64,
}

/// A line of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRow {
    pub id: i64,
    pub device: DeviceId,
    pub subject: Name,
    pub probe: Name,
    pub name: Name,
    pub unit: Unit,
}

/// One number as a device reported it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub device: DeviceId,
    pub subject: Name,
    pub probe: Name,
    pub name: Name,
    pub unit: Unit,
    /// The device's time, corrected.
    pub at: Timestamp,
    pub value: f64,
}

/// The numbers of a stretch of the stream, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Readings {
    /// The last entry that was looked at.
    pub until: u64,
    /// When the first of them was committed.
    pub oldest: Option<Timestamp>,
    pub readings: Vec<Reading>,
}

/// The newest result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRow {
    pub device: DeviceId,
    pub probe: Name,
    pub subject: Name,
    pub category: Category,
    pub state: CheckState,
    pub at: Timestamp,
    /// When it was first seen in this state without another between.
    pub since: Timestamp,
    /// It came from a device in quarantine.
    pub in_doubt: bool,
}

/// The newest run of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRunRow {
    pub device: DeviceId,
    pub probe: Name,
    pub state: ProbeState,
    pub duration_ms: u32,
    pub at: Timestamp,
}

/// What a device last said of itself, of one kind and subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FactRow {
    pub device: DeviceId,
    pub subject: Name,
    /// The device's time, corrected, and not after the commit.
    pub at: Timestamp,
    pub fact: Fact,
}

/// A version that a device reports changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevisionChange {
    pub device: DeviceId,
    pub subject: Name,
    /// When the new one was first reported.
    pub at: Timestamp,
    pub old: Name,
    pub new: Name,
}

/// The collector was alive from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeartbeatRun {
    pub first: Timestamp,
    pub last: Timestamp,
}

/// An incident as the evaluation keeps it; the JSON is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    pub id: IncidentId,
    pub open: bool,
    pub updated: Timestamp,
    pub json: String,
}

/// A named JSON text (a forecast by its key, a part of the evaluation's state).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedJson {
    pub name: String,
    pub json: String,
}

/// A notice for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub notice: Notice,
    pub channel: Name,
    /// Whether it may go in one message with others of its hospital.
    pub grouped: bool,
    /// Not before then, unless in the company of one that is due.
    pub due: Timestamp,
}

/// What goes through a channel at once: a notice, or several of one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// The same on every repeat.
    pub id: Hash,
    pub channel: Name,
    pub attempts: u32,
    /// Oldest first.
    pub notices: Vec<Notice>,
}

/// A detector of a series as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorRow {
    pub key: SeriesKey,
    pub unit: Unit,
    pub detector: Detector,
}

/// What one evaluation wants kept, all or nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvaluationRows {
    /// Where in the stream it began.
    pub after: u64,
    /// The stream position up to which it looked.
    pub position: u64,
    /// Parts of its state, replaced by name.
    pub state: Vec<NamedJson>,
    pub incidents: Vec<IncidentRow>,
    pub forecasts: Vec<NamedJson>,
    /// Names of forecasts that hold no more.
    pub forecasts_gone: Vec<String>,
    pub outbox: Vec<Outgoing>,
    pub predictions: Vec<Prediction>,
    pub anomalies: Vec<Noted>,
    pub detectors: Vec<DetectorRow>,
    /// The states that were kept before go.
    pub forget_detectors: bool,
}

/// Where a notice stands on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutboxState {
    Waiting = 0,
    Delivered = 1,
    /// Given up after the last attempt.
    Failed = 2,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub id: i64,
    pub notice: Notice,
    pub channel: Name,
    /// The message that it became part of.
    pub message: Option<Hash>,
    pub state: OutboxState,
    pub attempts: u32,
    pub next_attempt: Timestamp,
    pub delivered: Option<Timestamp>,
    pub last_error: Option<String>,
}
