//! The small state of a spool that lives outside of its engine too.
//!
//! Holds: `generation` grows with every change. The engine gets a change first and the state file
//! after, so an engine that is *behind* the file has lost something that was durable.

use super::runs::RunSet;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tenken_common::{
    batch::RecRun,
    codec::{self, CodecError},
    id::{DeviceId, Epoch, Hash, RecId, Seq},
    time::Timestamp,
};

const VERSION: u8 = 1;
/// Generous: four links of a thousand runs each take 72 KiB.
pub const STATE_BYTES_MAX: usize = 1024 * 1024;
/// Runs of settled ids that are kept; see [`SpoolState::settle`].
const SETTLED_RUNS_MAX: usize = 256;

/// Which chain a spool belongs to, and the hash that its first link names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainStart {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub genesis: Hash,
}

/// A batch that was cut and is not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolLink {
    pub seq: Seq,
    pub prev: Hash,
    pub hash: Hash,
    pub body_bytes: u32,
    pub records: Vec<RecRun>,
    /// The gaps that went along; they stay in the spool until the batch is acknowledged.
    pub gaps: Vec<RecRun>,
}

impl SpoolLink {
    pub fn record_count(&self) -> u64 {
        self.records.iter().map(RecRun::len).sum()
    }

    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::to_vec(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::from_slice(bytes, STATE_BYTES_MAX)
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolState {
    version: u8,
    pub generation: u64,
    pub start: ChainStart,
    pub head_seq: Seq,
    pub head_hash: Hash,
    pub acked_seq: Seq,
    pub acked_hash: Hash,
    /// Every record id up to here may have been used.
    pub reserved_to: RecId,
    /// The highest id in use when this was saved.
    pub last_id: RecId,
    /// Cut and not acknowledged, in chain order. Empty in the engine's copy, which has them apart.
    pub links: Vec<SpoolLink>,
    /// Ids that the collector has or was told to be lost.
    settled: Vec<RecRun>,
    pub newest_ack: Option<ByteBuf>,
    pub evicted: u64,
    pub corrupt: u64,
    pub consent_version: u64,
    pub server_time: Option<Timestamp>,
    /// Nothing is cut before the collector has confirmed the head.
    pub awaiting_resume: bool,
}

impl SpoolState {
    pub fn new(start: ChainStart) -> Self {
        Self {
            version: VERSION,
            generation: 0,
            start,
            head_seq: Seq(0),
            head_hash: start.genesis,
            acked_seq: Seq(0),
            acked_hash: start.genesis,
            reserved_to: RecId(0),
            last_id: RecId(0),
            links: Vec::new(),
            settled: Vec::new(),
            newest_ack: None,
            evicted: 0,
            corrupt: 0,
            consent_version: 0,
            server_time: None,
            awaiting_resume: false,
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::to_vec(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let state: Self = codec::from_slice(bytes, STATE_BYTES_MAX)?;
        if state.version == VERSION { Ok(state) } else { Err(CodecError::Value("version")) }
    }

    /// As it stands in the engine, where links have a place of their own.
    pub fn without_links(&self) -> Self {
        Self { links: Vec::new(), ..self.clone() }
    }

    pub fn settled(&self) -> RunSet {
        self.settled.iter().copied().collect()
    }

    /// Notes ids as done with. Beyond 256 runs the lowest are joined: a loss between them is then
    /// not noticed at the next open, but still by the collector's missing runs at resume.
    pub fn settle<'a>(&mut self, runs: impl IntoIterator<Item = &'a RecRun>) {
        let mut set = self.settled();
        runs.into_iter().for_each(|run| set.insert(*run));
        set.coarsen(SETTLED_RUNS_MAX);
        self.settled = set.runs();
    }

    pub fn link(&self, seq: Seq) -> Option<&SpoolLink> {
        self.links.iter().find(|link| link.seq == seq)
    }

    /// The hash of a link that is acknowledged last or not yet; `None` where it is not known.
    pub fn hash_at(&self, seq: Seq) -> Option<Hash> {
        if seq == self.acked_seq { Some(self.acked_hash) } else { self.link(seq).map(|link| link.hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_its_encoding_and_another_version_is_refused() {
        let start = ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([2; 32]) };
        let mut state = SpoolState::new(start);
        state.newest_ack = Some(ByteBuf::from(vec![1, 2, 3]));
        state.server_time = Some(Timestamp::from_secs(5));
        state.settle(&[RecRun { from: RecId(1), to: RecId(9) }]);
        state.links.push(SpoolLink {
            seq: Seq(1),
            prev: start.genesis,
            hash: Hash([3; 32]),
            body_bytes: 10,
            records: vec![RecRun::one(RecId(10))],
            gaps: vec![],
        });
        let bytes = state.encode().unwrap();
        assert_eq!(SpoolState::decode(&bytes).unwrap(), state);
        state.version = 2;
        assert!(SpoolState::decode(&state.encode().unwrap()).is_err());
    }
}
