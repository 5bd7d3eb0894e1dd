//! A stub: what a device sends in the place of a batch body that it can no longer send, because the
//! hospital's consent was withdrawn, its own disk lost the body, or the collector refused it.
//!
//! Holds: a stub and a body with its hash are one link of the chain, so the chain goes on without
//! a break; whichever arrives first is stored. The records of a stub are declared losses, by id
//! and with one reason; where the body was stored already, stored wins.
//!
//! Does not: carry the gaps that went along with the body. They go with a later batch.

use crate::{
    batch::{Gap, GapReason, RecRun},
    codec::{self, CodecError},
    envelope::Payload,
    id::{DeviceId, Epoch, Hash, Seq},
    limit,
};
use serde::{Deserialize, Serialize};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    pub device: DeviceId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub prev: Hash,
    /// SHA-256 of the body that is not sent.
    pub body_hash: Hash,
    /// The records in that body: none are crossed, at most [`limit::BATCH_RECORDS_MAX`] runs.
    pub records: Vec<RecRun>,
    pub reason: GapReason,
}

impl Stub {
    /// Its records as declared losses.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> + '_ {
        self.records.iter().map(|run| Gap { run: *run, reason: self.reason })
    }
}

/// `[device, epoch, seq, prev, body_hash, [[from, to]..], reason]`.
#[derive(Serialize, Deserialize)]
struct StubV1(DeviceId, Epoch, Seq, Hash, Hash, Vec<RecRun>, u8);

impl Payload for Stub {
    const TYPE: &'static str = "application/vnd.tenken.stub.v1+msgpack";

    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let records = self.records.clone();
        let (prev, body) = (self.prev, self.body_hash);
        codec::to_vec(&StubV1(self.device, self.epoch, self.seq, prev, body, records, self.reason.code()))
    }

    fn decode(body: &[u8]) -> Result<Self, CodecError> {
        let StubV1(device, epoch, seq, prev, body_hash, records, reason) =
            codec::from_slice(body, limit::MESSAGE_BYTES_MAX)?;
        if records.len() > limit::BATCH_RECORDS_MAX || records.iter().any(RecRun::is_empty) {
            return Err(CodecError::Value("records"));
        }
        let reason = GapReason::from_code(reason).ok_or(CodecError::Value("reason"))?;
        Ok(Self { device, epoch, seq, prev, body_hash, records, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RecId;

    fn stub(runs: usize) -> Stub {
        let run = |i: usize| RecRun::one(RecId(u64::MAX - 2 * i as u64));
        Stub {
            device: DeviceId([1; 16]),
            epoch: Epoch(1),
            seq: Seq(7),
            prev: Hash([2; 32]),
            body_hash: Hash([3; 32]),
            records: (0..runs).map(run).collect(),
            reason: GapReason::NotConsented,
        }
    }

    #[test]
    fn it_survives_its_encoding_also_when_no_two_records_touch() {
        for runs in [0, 1, limit::BATCH_RECORDS_MAX] {
            let bytes = stub(runs).encode().unwrap();
            assert!(bytes.len() <= limit::MESSAGE_BYTES_MAX);
            assert_eq!(Stub::decode(&bytes).unwrap(), stub(runs));
        }
    }

    #[test]
    fn too_many_or_crossed_runs_are_refused() {
        assert!(Stub::decode(&stub(limit::BATCH_RECORDS_MAX + 1).encode().unwrap()).is_err());
        let crossed = Stub { records: vec![RecRun { from: RecId(5), to: RecId(4) }], ..stub(0) };
        assert!(Stub::decode(&crossed.encode().unwrap()).is_err());
    }
}
