//! The spool: where an observation is safe before anything else happens to it.
//!
//! Holds (I1, I2): a record whose `append` returned is either acknowledged by the collector or
//! named in a declared gap; only a signed acknowledgement that covers it deletes it.

use tenken_common::{
    ack::Ack,
    batch::{GapReason, RecRun},
    envelope::Verified,
    id::{Epoch, Hash, RecId, Seq},
    observation::Observation,
    time::{ClockQuality, Moment, Timestamp},
};

/// A batch body that is durable and has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    /// SHA-256 of `body`.
    pub hash: Hash,
    /// The exact bytes to sign and send, made once.
    pub body: Vec<u8>,
    pub records: u64,
}

/// What a cut is made of besides records.
#[derive(Debug, Clone)]
pub struct CutContext<'a> {
    pub device: tenken_common::id::DeviceId,
    pub at: Moment,
    pub clock: ClockQuality,
    pub agent_version: &'a str,
}

/// How much a batch may hold; never above the protocol's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    pub records: usize,
    /// Of the plain form.
    pub bytes: usize,
}

/// What the spool holds, for `status`, the self report and `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpoolStats {
    /// Records not yet cut.
    pub waiting: u64,
    /// Of these, urgent ones.
    pub urgent: u64,
    /// Batches cut and not yet acknowledged.
    pub in_flight: u64,
    pub disk_bytes: u64,
    /// Wall time of the oldest record not yet cut.
    pub oldest: Option<Timestamp>,
    /// Since the spool was made.
    pub evicted: u64,
    pub corrupt: u64,
    pub acked_seq: Seq,
    /// Where the rules of durability cannot be kept, why.
    pub degraded: Option<String>,
}

/// See the module's head; the rules are in the project's protocol.
pub trait Spool: Send {
    /// Durable when it returns.
    fn append(&mut self, observations: &[Observation]) -> Result<Option<RecRun>, SpoolError>;
    /// Urgent records first; durable, chained and pinned when it returns. `None`: nothing to
    /// send, or [`tenken_common::limit::IN_FLIGHT_MAX`] batches are in flight.
    fn cut(&mut self, limit: BatchLimit, cx: &CutContext<'_>) -> Result<Option<Cut>, SpoolError>;
    /// The lowest batch not yet acknowledged.
    fn next_in_flight(&mut self) -> Result<Option<Cut>, SpoolError>;
    /// Deletes what the acknowledgement covers, whose hash must be the spool's own; otherwise
    /// nothing. Returns how many batches went.
    fn release(&mut self, ack: &Verified<Ack>) -> Result<u64, SpoolError>;
    /// Sets aside the records of categories for which `allowed` says no, as declared gaps.
    fn withdraw(
        &mut self,
        allowed: &dyn Fn(tenken_common::category::Category) -> bool,
    ) -> Result<u64, SpoolError>;
    /// Declares a loss.
    fn declare(&mut self, run: RecRun, reason: GapReason) -> Result<(), SpoolError>;
    fn stats(&self) -> SpoolStats;
    /// Last link cut: its number and hash; the chain's start before the first.
    fn head(&self) -> (Epoch, Seq, Hash);
    /// The newest acknowledgement's envelope, as it came.
    fn newest_ack(&self) -> Option<Vec<u8>>;
    /// Clean end: ids reserved and not used are given back.
    fn close(&mut self) -> Result<(), SpoolError>;
    /// The highest record id in use, zero before the first.
    fn last_id(&self) -> RecId;
}

/// Why the spool could not do what it was asked; nothing acknowledged is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("spool storage failed in `{operation}`")]
    Engine { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the record has {got} bytes, at most {max} fit")]
    TooLarge { got: usize, max: usize },
    #[error("a batch could not be encoded")]
    Encode(#[source] tenken_common::codec::CodecError),
    #[error("the spool belongs to another chain")]
    OtherChain,
    #[error("the spool is full of pinned batches and has no room for more")]
    Full,
}
