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
//! | waiting | one value under its class and id, or with others in a pack |
//! | cut | in one link: inside its body, or named by its stub; taken out of the waiting ones by the same atomic write |
//! | lost | in a gap, with its reason |
//! | settled | acknowledged: nowhere but in the state's runs |
//!
//! A link is a place in the chain. What is sent for it is its body, or, once the body can no
//! longer be sent, a stub; the link keeps its hash, so the chain is never cut anew. Once a stub,
//! a link stays one, since nobody here knows whether the stub was heard.
//!
//! **Which copy wins** where a store fell back or was damaged and an id is found twice. The body
//! of a link may be with the collector already, or under way to it, also where no acknowledgement
//! came. So a record that was ever cut belongs to that link for ever: sent under a second link it
//! would be stored twice.
//!
//! | found | wins | because |
//! |---|---|---|
//! | settled, and anywhere else | settled | it is stored, or its loss is declared |
//! | in a link, and waiting | the link, also one without its body | the body may have arrived; if it did not, its stub declares the record |
//! | in a gap, and waiting | the gap | the gap may have been declared |
//! | a link as stub and as body | the stub | the stub may have been declared, or the consent may forbid the body |
//! | waiting twice: loose and in a pack, or in two packs | the loose one, else the later pack | they are the same record |
//! | waiting, in a store that is behind the state, where the settled ids are not remembered one by one | none: it is declared lost | it may be stored |
//! | a link in the state file only | the link: it becomes a stub when its turn comes | its number and hash may be with the collector |
//! | the gaps of a link that becomes a stub | they wait again | a stub does not carry them; declaring twice is harmless |
//! | a link of which neither number's neighbour nor body is left | nothing can be sent for it: a rejoin | its hash is not known |
//!
//! Does not: sign, send or know the time.

mod cut;
mod durable;
pub mod engine;
mod evict;
pub mod frame;
mod gaps;
pub mod inspect;
mod look;
pub mod memory;
mod migrate;
mod open;
mod pack;
mod release;
pub mod runs;
pub mod state;

pub use durable::DurableSpool;
pub use engine::{Engine, EngineError, Op, StateStore};
pub use state::{ChainStart, LastId, SpoolState};

use tenken_common::{
    ack::Ack,
    batch::{Gap, GapReason, RecRun},
    envelope::{Payload, Verified},
    id::{Epoch, Hash, RecId, Seq},
    observation::{Class, Observation},
    stub::Stub,
    time::{ClockQuality, Moment, Timestamp},
    wire::v1::{Decoded, ReceivedBatch},
};

/// A link that is durable and has its place in the chain: a batch, or the stub that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    /// SHA-256 of the batch's body, also where this is a stub.
    pub hash: Hash,
    /// The exact bytes to sign and send: the batch's, made once, or the stub's.
    pub body: Vec<u8>,
    pub records: u64,
    /// Why the batch itself is not sent; `None` where it is.
    pub stub: Option<GapReason>,
}

impl Cut {
    /// Under which type `body` is signed.
    pub fn payload_type(&self) -> &'static str {
        if self.stub.is_some() { Stub::TYPE } else { ReceivedBatch::TYPE }
    }
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

/// How much a spool may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of the engine's files.
    pub cap_bytes: u64,
    /// Of ordinary records that wait loose; older ones are packed.
    pub loose_bytes: u64,
}

impl From<u64> for Room {
    fn from(cap_bytes: u64) -> Self {
        Self { cap_bytes, loose_bytes: tenken_common::limit::SPOOL_LOOSE_BYTES_MAX }
    }
}

/// How much a batch may hold; never above the protocol's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    pub records: usize,
    /// Of the plain form.
    pub bytes: usize,
    /// Links that may be in flight, this one included: [`tenken_common::limit::IN_FLIGHT_MAX`]
    /// over the network, [`tenken_common::limit::EXPORT_LINKS_MAX`] for an export.
    pub in_flight: usize,
}

/// What the spool holds, for `status`, the self report and `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpoolStats {
    /// Records not yet cut.
    pub waiting: u64,
    /// Of these, urgent ones.
    pub urgent: u64,
    /// Of those waiting, how many are in packs.
    pub packed: u64,
    /// Declared losses that are in no batch yet.
    pub gaps_waiting: u64,
    /// Links cut and not yet acknowledged.
    pub in_flight: u64,
    /// Of these, stubs.
    pub stubs: u64,
    pub disk_bytes: u64,
    /// Wall time of the oldest record not yet cut.
    pub oldest: Option<Timestamp>,
    /// Since the spool was made.
    pub evicted: u64,
    pub corrupt: u64,
    /// Invariants that did not hold, since it was opened; see [`crate::invariant`].
    pub violations: u64,
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
    /// The collector has links that this spool never cut, or others: a restored image; or this
    /// spool lost a place of its own chain. Nothing was changed; only a rejoin helps.
    DeviceBehind,
    /// The collector is behind what it had acknowledged, although it was shown its newest
    /// acknowledgement. Nothing was changed.
    CollectorBehind,
}

/// See the module's head; the rules are in the project's protocol.
pub trait Spool: Send {
    /// Durable when it returns.
    fn append(&mut self, observations: &[Observation]) -> Result<Option<RecRun>, SpoolError>;
    /// Urgent records first; then, where more waits than fits, some of the newest; then the
    /// oldest. Durable, chained and pinned when it returns. `None`: nothing to send, or as many
    /// links are in flight as may be.
    fn cut(&mut self, limit: BatchLimit, cx: &CutContext<'_>) -> Result<Option<Cut>, SpoolError>;
    /// The lowest link not yet acknowledged. One whose body is damaged or gone becomes a stub.
    fn next_in_flight(&mut self) -> Result<Option<Cut>, SpoolError> {
        self.in_flight_after(Seq(0))
    }
    /// The lowest such link beyond `seq`, in the same way.
    fn in_flight_after(&mut self, seq: Seq) -> Result<Option<Cut>, SpoolError>;
    /// Makes a stub of a link in flight, durably: its body goes, its records are declared lost by
    /// the stub, its gaps wait again. One that is a stub already keeps its reason.
    fn stub(&mut self, seq: Seq, reason: GapReason) -> Result<Cut, SpoolError>;
    /// Deletes what the acknowledgement covers, whose hash must be the spool's own; otherwise
    /// nothing. Keeps the acknowledgement's envelope. Returns how many batches went.
    fn release(&mut self, ack: &Verified<Ack>, envelope: &[u8]) -> Result<u64, SpoolError>;
    /// Compares what a signed resume answer said with the own chain. Nothing is deleted: links
    /// that the collector has are let go by the acknowledgement of the next one sent.
    fn adopt_head(&mut self, committed: Seq, hash: Hash) -> Result<Standing, SpoolError>;
    /// Declares what the collector misses and this spool does not hold:
    /// [`GapReason::CollectorLost`] what was acknowledged, else [`GapReason::SpoolLost`]. Returns
    /// how many ids.
    fn answer_missing(&mut self, missing: &[RecRun]) -> Result<u64, SpoolError>;
    /// Sets aside the records of categories for which `allowed` says no, as declared gaps.
    fn withdraw(
        &mut self,
        allowed: &dyn Fn(tenken_common::category::Category) -> bool,
    ) -> Result<u64, SpoolError>;
    fn stats(&self) -> SpoolStats;
    /// Last link cut: its number and hash; the chain's start before the first.
    fn head(&self) -> (Epoch, Seq, Hash);
    /// The newest acknowledgement's envelope, as it came.
    fn newest_ack(&self) -> Option<Vec<u8>>;
    /// The highest consent version seen.
    fn consent_version(&self) -> u64;
    /// A lower version than the stored one changes nothing.
    fn set_consent_version(&mut self, version: u64) -> Result<(), SpoolError>;
    /// A write failed and its outcome is unknown, or the store cannot be read: drop this value
    /// and open the spool again.
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
    #[error("link {0} is not in flight")]
    NotInFlight(Seq),
    #[error("an earlier write or read failed or the spool was closed; it has to be opened again")]
    Halted,
}
