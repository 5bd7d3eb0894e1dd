//! The collector on the other side of a crash test: the product's own ledger and coverage, in
//! memory, over envelopes that are really sealed, opened and judged.
//!
//! Holds: it never loses anything, so what it has when the device's power is cut is what the
//! device finds it with afterwards. It notes what must not happen and goes on.

use super::{number_of, start};
use std::collections::BTreeMap;
use tenken_agent_core::spool::Cut;
use tenken_collector::ingest::verify::VerifiedLink;
use tenken_collector_core::intake::{
    arrival::Arrival,
    coverage::Coverage,
    ledger::{DeviceLedger, IngestDecision, accept},
};
use tenken_common::{
    ack::Ack,
    batch::{GapReason, RecRun},
    envelope::{Envelope, Payload, Verified},
    id::{Hash, Nonce, RecId, Seq},
    key::SecretKey,
    stub::Stub,
    time::Timestamp,
    wire::v1::ReceivedBatch,
};

/// See the module's head.
pub struct Reference {
    device_key: SecretKey,
    ack_key: SecretKey,
    ledger: DeviceLedger,
    coverage: Coverage,
    /// Numbers of the observations by record.
    pub records: BTreeMap<RecId, u64>,
    ids: BTreeMap<u64, RecId>,
    /// By id, as declared first.
    pub gaps: BTreeMap<RecId, GapReason>,
    pub faults: Vec<String>,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            device_key: SecretKey::from_seed(&[4; 32]),
            ack_key: SecretKey::from_seed(&[5; 32]),
            ledger: DeviceLedger::begin(start().device, start().epoch, start().genesis),
            coverage: Coverage::default(),
            records: BTreeMap::new(),
            ids: BTreeMap::new(),
            gaps: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

impl Reference {
    /// How far it is, as a resume answer says it.
    pub fn committed(&self) -> (Seq, Hash) {
        (self.ledger.committed_seq, self.ledger.committed_hash)
    }

    /// What it asks for at a resume.
    pub fn missing(&self) -> Vec<RecRun> {
        self.coverage.missing()
    }

    /// Takes what a device sends; says whether it was new.
    pub fn take(&mut self, cut: &Cut) -> bool {
        if cut.stub.is_none() && Hash::of(&cut.body) != cut.hash {
            self.faults.push(format!("link {} has another body than it was hashed with", cut.seq));
        }
        self.take_body(&cut.body)
    }

    /// A batch's body or a stub, which is no zstd frame.
    pub fn take_body(&mut self, body: &[u8]) -> bool {
        let kind = if Stub::decode(body).is_ok() { Stub::TYPE } else { ReceivedBatch::TYPE };
        let sealed = Envelope::seal_bytes(kind, body.to_vec(), &self.device_key).to_bytes();
        let key = self.device_key.public();
        let opened = Envelope::from_bytes(&sealed).and_then(|e| {
            if kind == Stub::TYPE {
                e.open::<Stub>(&key).map(|stub| VerifiedLink::Stub(Box::new(stub)))
            } else {
                e.open::<ReceivedBatch>(&key).map(|batch| VerifiedLink::Batch(Box::new(batch)))
            }
        });
        let received = match opened {
            Ok(received) => received,
            Err(e) => {
                self.faults.push(format!("a body that the collector refuses: {e}"));
                return false;
            }
        };
        let link = received.link();
        match accept(&self.ledger, &link) {
            IngestDecision::New { next, clone_suspected: false } => {
                self.ledger = *next;
                self.enter(&received.into_arrival());
                true
            }
            IngestDecision::Duplicate => false,
            other @ (IngestDecision::New { .. }
            | IngestDecision::Hole { .. }
            | IngestDecision::Fork(_)
            | IngestDecision::StaleEpoch { .. }
            | IngestDecision::EpochAhead { .. }
            | IngestDecision::Quarantined(_)) => {
                self.faults.push(format!("link {} is judged {other:?}", link.seq));
                false
            }
        }
    }

    fn enter(&mut self, arrival: &Arrival) {
        self.coverage.add(arrival);
        for gap in arrival.gaps() {
            for id in (gap.run.from.0..=gap.run.to.0).map(RecId) {
                self.gaps.entry(id).or_insert(gap.reason);
            }
        }
        let Some(received) = arrival.batch() else { return };
        for (id, kind) in &received.unknown {
            self.faults.push(format!("record {id} came as unknown kind {kind}"));
        }
        for record in &received.batch.records {
            let Some(n) = number_of(&record.observation) else {
                self.faults.push(format!("record {} came altered: {:?}", record.id, record.observation));
                continue;
            };
            if let Some(first) = self.records.insert(record.id, n) {
                self.faults.push(format!("doubled: record {} came twice, as {first} and {n}", record.id));
            }
            if let Some(first) = self.ids.insert(n, record.id) {
                self.faults.push(format!("doubled: observation {n} came as {first} and as {}", record.id));
            }
        }
    }

    /// Signed, over all that it has.
    pub fn ack(&self) -> (Verified<Ack>, Vec<u8>) {
        let (acked_seq, hash) = self.committed();
        let ack = Ack {
            device: start().device,
            epoch: start().epoch,
            acked_seq,
            hash,
            server: Timestamp::from_secs(7),
            echo_nonce: Nonce([0; 16]),
            position: acked_seq.0,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: None,
        };
        let envelope = Envelope::seal(&ack, &self.ack_key).expect("an acknowledgement encodes");
        (envelope.open(&self.ack_key.public()).expect("our own signature"), envelope.to_bytes())
    }
}
