//! The spool: where an observation is safe before anything else happens to it.
//!
//! Holds (I1, I2): a record whose `append` returned is either acknowledged by the collector or
//! named in a declared gap; only a signed acknowledgement that covers it deletes it.
//!
//! [`DurableSpool`] is the one implementation. It stands on two small traits, an [`Engine`] of
//! ordered keys and a [`StateStore`]; the shell has them on files, [`memory`] has them for tests.
//!
//! | id of a record | where it is |
//! |---|---|
//! | waiting | one value under its class and id |
//! | cut | inside one body; taken out of the waiting ones by the same atomic write |
//! | lost | in a gap, with its reason |
//! | settled | acknowledged: nowhere but in the state's runs |
//!
//! Does not: sign, send or know the time. Stubs are not made yet: a body that was lost on this
//! device's disk waits for `adopt_head`, whose limits are written there.

mod cut;
mod durable;
pub mod engine;
mod evict;
pub mod frame;
mod gaps;
mod look;
pub mod memory;
mod open;
mod release;
pub mod runs;
pub mod state;

pub use durable::DurableSpool;
pub use engine::{Engine, EngineError, Op, StateStore};
pub use state::{ChainStart, SpoolState};

use tenken_common::{
    ack::Ack,
    batch::{Gap, GapReason, RecRun},
    envelope::Verified,
    id::{Epoch, Hash, RecId, Seq},
    observation::{Class, Observation},
    time::{ClockQuality, Moment, Timestamp},
    wire::v1::Decoded,
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

/// A record that is not cut yet; `None` where its bytes are damaged.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingRecord {
    pub id: RecId,
    pub record: Option<Decoded>,
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
    /// Declared losses that are in no batch yet.
    pub gaps_waiting: u64,
    /// Batches cut and not yet acknowledged.
    pub in_flight: u64,
    pub disk_bytes: u64,
    /// Wall time of the oldest record not yet cut.
    pub oldest: Option<Timestamp>,
    /// Since the spool was made.
    pub evicted: u64,
    pub corrupt: u64,
    pub acked_seq: Seq,
    /// Nothing is cut before `adopt_head` was told how far the collector is.
    pub awaiting_resume: bool,
    /// Where the rules of durability cannot be kept, why.
    pub degraded: Option<String>,
}

/// What a resume answer means for this spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The same chain; go on.
    InStep,
    /// The collector has links that this spool never cut, or others: a restored image. Nothing
    /// was changed; only a rejoin helps.
    DeviceBehind,
    /// The collector lost what it had acknowledged. Nothing was changed; it moves on once it has
    /// seen the newest acknowledgement.
    CollectorBehind,
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
    /// nothing. Keeps the acknowledgement's envelope. Returns how many batches went.
    fn release(&mut self, ack: &Verified<Ack>, envelope: &[u8]) -> Result<u64, SpoolError>;
    /// Takes in what a signed resume answer said: links up to `committed` are stored. Batches
    /// beyond it are sent again, except where a body was lost on this device: from the first lost
    /// one on the chain is given up and cut anew, intact bodies go back to being records, and
    /// what was only in a lost one is declared [`GapReason::SpoolLost`].
    ///
    /// Limit, until there are stubs: if a lost body was sent before and is still under way (in a
    /// proxy, on a medium), its late arrival beside the new link of that number is a fork.
    fn adopt_head(&mut self, committed: Seq, hash: Hash) -> Result<Standing, SpoolError>;
    /// Declares what the collector misses and this spool does not have; returns how many ids.
    fn answer_missing(&mut self, missing: &[RecRun]) -> Result<u64, SpoolError>;
    /// Sets aside the records of categories for which `allowed` says no, as declared gaps.
    fn withdraw(
        &mut self,
        allowed: &dyn Fn(tenken_common::category::Category) -> bool,
    ) -> Result<u64, SpoolError>;
    /// Declares a loss that is not declared yet.
    fn declare(&mut self, run: RecRun, reason: GapReason) -> Result<(), SpoolError>;
    fn stats(&self) -> SpoolStats;
    /// Last link cut: its number and hash; the chain's start before the first.
    fn head(&self) -> (Epoch, Seq, Hash);
    /// The newest acknowledgement's envelope, as it came.
    fn newest_ack(&self) -> Option<Vec<u8>>;
    /// The highest consent version seen.
    fn consent_version(&self) -> u64;
    /// A lower version than the stored one changes nothing.
    fn set_consent_version(&mut self, version: u64) -> Result<(), SpoolError>;
    /// The last signed server time.
    fn server_time(&self) -> Option<Timestamp>;
    fn set_server_time(&mut self, at: Timestamp) -> Result<(), SpoolError>;
    /// A write failed and its outcome is unknown: drop this value and open the spool again.
    fn is_halted(&self) -> bool;
    /// Clean end: ids reserved and not used are given back.
    fn close(&mut self) -> Result<(), SpoolError>;
    /// The highest record id in use, zero before the first.
    fn last_id(&self) -> RecId;
    /// At most `max` records of a class that are not cut yet, by id, from this one on.
    fn waiting(&self, class: Class, from: RecId, max: usize) -> Result<Vec<WaitingRecord>, SpoolError>;
    /// Declared losses that are in no batch yet.
    fn waiting_gaps(&self) -> Vec<Gap>;
}

/// Why the spool could not do what it was asked; nothing acknowledged is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the record has {got} bytes, at most {max} fit")]
    TooLarge { got: usize, max: usize },
    #[error("a batch could not be encoded")]
    Encode(#[source] tenken_common::codec::CodecError),
    #[error("the store knows less than the state that was saved after it")]
    Behind,
    #[error("the spool belongs to another chain")]
    OtherChain,
    #[error("the spool is full of what may not be evicted and has no room for more")]
    Full,
    #[error("an earlier write failed or the spool was closed; it has to be opened again")]
    Halted,
}
