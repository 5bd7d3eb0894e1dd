//! Taking in what devices send: verify, decide, make durable, and only then answer.
//!
//! ```text
//! router -> verify (pure) -> commit (one task, one transaction a group) -> signed answer
//! ```
//!
//! Holds: an acknowledgement is signed after the commit that it speaks of (I3). What a device
//! may act upon is signed by the acknowledgement key; a bare status means "again later".
//!
//! Does not: know TLS. The listener says whose certificate a connection showed, as
//! [`PeerIdentity`].

pub mod challenge;
pub mod commit;
pub mod enroll;
pub mod import;
pub mod listener;
pub mod rejoin;
pub mod renewal;
pub mod resume;
pub mod router;
pub mod verify;

use crate::store::Store;
use std::{sync::Arc, time::Duration};
use tenken_collector_core::invariant::Invariant;
use tenken_common::{
    ack::RejectReason,
    id::{DeviceId, Hash},
    key::{PublicKey, SecretKey},
    time::{Clock, Timestamp},
};

/// Whose certificate the connection showed; the listener puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerIdentity {
    /// SHA-256 of the leaf; `None` where no client certificate was asked for.
    pub certificate: Option<Hash>,
}

/// Counts what comes in. Called after the fact, from async code: it must not block.
pub trait IngestObserver: Send + Sync {
    /// A new batch or stub was stored.
    fn accepted(&self, records: usize, bytes: usize);
    fn refused(&self, reason: RejectReason);
    /// A batch that was stored before came again.
    fn duplicate(&self);
    /// A batch was answered, so long after its body was whole.
    fn acknowledged(&self, _took: Duration) {}
    /// One transaction of batches or entries, disk sync included.
    fn group_committed(&self, _took: Duration) {}
    /// A defect of this program was noticed; it goes on.
    fn invariant_violated(&self, _invariant: Invariant) {}
}

/// Observes nothing, for programs without metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl IngestObserver for Unobserved {
    fn accepted(&self, _records: usize, _bytes: usize) {}
    fn refused(&self, _reason: RejectReason) {}
    fn duplicate(&self) {}
}

/// Issues TLS certificates for devices.
pub trait CertificateIssuer: Send + Sync {
    /// A certificate for the key in the request; whatever else the request asks for is ignored.
    fn issue(
        &self,
        csr_der: &[u8],
        device: DeviceId,
        now: Timestamp,
    ) -> Result<IssuedCertificate, IssueError>;
}

/// A chain for the device and the fingerprint by which its connections are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// DER, leaf first.
    pub chain_der: Vec<Vec<u8>>,
    pub leaf_sha256: Hash,
}

/// A certificate request that was refused.
#[derive(Debug, thiserror::Error)]
#[error("no certificate can be issued for this request: {0}")]
pub struct IssueError(pub String);

/// What every route needs; cheap to clone.
#[derive(Clone)]
pub struct IngestState {
    pub store: Store,
    pub committer: commit::Committer,
    pub devices: Arc<verify::DeviceDirectory>,
    pub clock: Arc<dyn Clock>,
    /// `AK`, which signs acknowledgements, rejects and time.
    pub ack_key: Arc<SecretKey>,
    /// Every acknowledgement key that a trust document ever named: what they signed still counts.
    pub ack_keys: Arc<[PublicKey]>,
    /// The trust documents, envelopes, from version 1 to the one in force.
    pub trust: Arc<[Vec<u8>]>,
    /// Where granted devices push to, `https://host:port`.
    pub push_url: Arc<str>,
    pub issuer: Arc<dyn CertificateIssuer>,
    /// What was renewed a moment ago, for those whose answer was lost.
    pub renewals: Arc<renewal::Renewals>,
    pub observer: Arc<dyn IngestObserver>,
}
