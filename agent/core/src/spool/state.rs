//! The small state of a spool that lives outside of its engine too.
//!
//! Holds: `generation` grows with every change. The engine gets a change first and the state file
//! after, so an engine that is *behind* the file has lost something that was durable.

use super::runs::RunSet;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tenken_common::{
    batch::{GapReason, RecRun},
    codec::{self, CodecError},
    id::{DeviceId, Epoch, Hash, RecId, Seq},
    stub::Stub,
};

const VERSION: u8 = 2;
/// The worst there can be: 64 links of an export, each with a thousand records and 512 gaps none
/// of which touch, take 1.8 MiB.
pub const STATE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Runs of settled ids that are kept; see [`SpoolState::settle`].
const SETTLED_RUNS_MAX: usize = 512;

/// Which chain a spool belongs to, and the hash that its first link names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainStart {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub genesis: Hash,
}

/// A link that was cut and is not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolLink {
    pub seq: Seq,
    pub prev: Hash,
    pub hash: Hash,
    pub body_bytes: u32,
    pub records: Vec<RecRun>,
    /// The gaps that went along; they stay in the spool until the batch is acknowledged.
    pub gaps: Vec<RecRun>,
    /// Where the body can no longer be sent, why. Once a stub, it stays one.
    pub stub: Option<GapReason>,
}

impl SpoolLink {
    pub fn record_count(&self) -> u64 {
        self.records.iter().map(RecRun::len).sum()
    }

    /// Whether its own place in the chain is known; else nothing can be sent for it.
    pub fn is_placed(&self) -> bool {
        self.hash != Hash::ZERO && self.prev != Hash::ZERO
    }

    /// What is sent in the place of the body.
    pub fn to_stub(&self, start: &ChainStart, reason: GapReason) -> Stub {
        Stub {
            device: start.device,
            epoch: start.epoch,
            seq: self.seq,
            prev: self.prev,
            body_hash: self.hash,
            records: self.records.clone(),
            reason,
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::to_vec(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::from_slice(bytes, STATE_BYTES_MAX)
    }
}

/// The highest id in use, noted at each append after it is durable: what tells ids whose records
/// vanished since the last state from ids that were never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastId {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub id: RecId,
}

impl LastId {
    const BYTES: usize = 16 + 4 + 8;

    /// Always of the same length.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = self.device.0.iter().copied().chain(self.epoch.0.to_be_bytes());
        bytes.iter_mut().zip(parts.chain(self.id.0.to_be_bytes())).for_each(|(to, from)| *to = from);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (device, rest) = bytes.split_first_chunk::<16>()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let id = u64::from_be_bytes(rest.try_into().ok()?);
        let (device, epoch) = (DeviceId(*device), Epoch(u32::from_be_bytes(*epoch)));
        Some(Self { device, epoch, id: RecId(id) })
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
    /// Ids that the collector has or was told to be lost; above `blurred_to` all of them.
    settled: Vec<RecRun>,
    /// Up to here nobody remembers each settled id; see [`SpoolState::settle`].
    pub blurred_to: RecId,
    pub newest_ack: Option<ByteBuf>,
    pub evicted: u64,
    pub corrupt: u64,
    pub consent_version: u64,
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
            blurred_to: RecId(0),
            newest_ack: None,
            evicted: 0,
            corrupt: 0,
            consent_version: 0,
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

    /// Notes ids as done with. Beyond 512 runs the lowest are forgotten and `blurred_to` moves up
    /// over them: below it an id that is nowhere counts as settled (a loss there is not noticed
    /// at the next open, but still by the collector's missing runs at resume), and one that is
    /// somewhere is there.
    pub fn settle<'a>(&mut self, runs: impl IntoIterator<Item = &'a RecRun>) {
        let mut set = self.settled();
        set.extend(runs.into_iter().copied());
        while set.len() > SETTLED_RUNS_MAX {
            let Some(lowest) = set.pop_first() else { break };
            self.blurred_to = self.blurred_to.max(lowest.to);
        }
        self.settled = set.runs();
    }

    pub fn link(&self, seq: Seq) -> Option<&SpoolLink> {
        self.links.iter().find(|link| link.seq == seq)
    }

    /// Ids that are to be declared after all.
    pub fn unsettle(&mut self, runs: &RunSet) {
        self.settled = self.settled().without(runs).runs();
    }

    /// Puts a link in the place of the one with its number.
    pub fn replace(&mut self, link: SpoolLink) {
        if let Some(old) = self.links.iter_mut().find(|old| old.seq == link.seq) {
            *old = link;
        }
    }

    /// The hash of a link that is acknowledged last or not yet; `None` where it is not known.
    pub fn hash_at(&self, seq: Seq) -> Option<Hash> {
        if seq == self.acked_seq { Some(self.acked_hash) } else { self.link(seq).map(|link| link.hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::limit;

    #[test]
    fn it_survives_its_encoding_and_another_version_is_refused() {
        let start = ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([2; 32]) };
        let mut state = SpoolState::new(start);
        state.newest_ack = Some(ByteBuf::from(vec![1, 2, 3]));
        state.settle(&[RecRun { from: RecId(1), to: RecId(9) }]);
        state.links.push(SpoolLink {
            seq: Seq(1),
            prev: start.genesis,
            hash: Hash([3; 32]),
            body_bytes: 10,
            records: vec![RecRun::one(RecId(10))],
            gaps: vec![],
            stub: Some(GapReason::Refused),
        });
        let bytes = state.encode().unwrap();
        assert_eq!(SpoolState::decode(&bytes).unwrap(), state);
        state.version += 1;
        assert!(SpoolState::decode(&state.encode().unwrap()).is_err());
    }
    #[test]
    fn the_largest_state_fits_its_limit() {
        let start = ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([2; 32]) };
        let mut state = SpoolState::new(start);
        let far = |n: u64| RecRun::one(RecId(u64::MAX - 2 * n - 1));
        let runs = |count: usize| (0..count as u64).map(far).collect::<Vec<_>>();
        state.newest_ack = Some(ByteBuf::from(vec![0xff; limit::MESSAGE_BYTES_MAX]));
        state.settle(&runs(SETTLED_RUNS_MAX));
        for n in 0..limit::EXPORT_LINKS_MAX {
            state.links.push(SpoolLink {
                seq: Seq(u64::MAX - n as u64),
                prev: Hash([0xff; 32]),
                hash: Hash([0xff; 32]),
                body_bytes: u32::MAX,
                records: runs(limit::BATCH_RECORDS_MAX),
                gaps: runs(limit::BATCH_GAPS_MAX),
                stub: Some(GapReason::NotConsented),
            });
        }
        assert!(SpoolState::decode(&state.encode().unwrap()).is_ok());
    }

    #[test]
    fn what_waits_between_settled_ids_never_counts_as_settled() {
        let start = ChainStart { device: DeviceId([1; 16]), epoch: Epoch(1), genesis: Hash([2; 32]) };
        let mut state = SpoolState::new(start);
        let every_other: Vec<RecRun> = (0..2_000).map(|n| RecRun::one(RecId(2 * n + 1))).collect();
        for run in &every_other {
            state.settle([run]);
        }
        let settled = state.settled();
        assert!((0..2_000).all(|n| !settled.contains(RecId(2 * n + 2))));
        assert_eq!((settled.len(), state.blurred_to), (SETTLED_RUNS_MAX, RecId(2 * 1_487 + 1)));
    }
}
