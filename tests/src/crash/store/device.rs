//! A device that cuts and signs batches for a store under test.

use super::START;
use std::time::Duration;
use tenken_common::{
    batch::{Batch, Gap, GapReason, Link, RecRun},
    category::Category,
    envelope::{Envelope, Verified},
    id::{BootId, DeviceId, Epoch, Hash, Name, RecId, Seq},
    key::SecretKey,
    observation::{Body, CheckResult, CheckState, Class, Observation, Record, Sample},
    time::{ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
    wire::v1::ReceivedBatch,
};

/// How far its clock is behind.
const OFFSET_MS: i64 = 1_500;
const OFFSET: Duration = Duration::from_millis(1_500);

/// Its key and the end of its chain.
#[derive(Clone)]
pub struct Device {
    pub key: SecretKey,
    pub id: DeviceId,
    pub seq: Seq,
    pub prev: Hash,
    next: u64,
    boot: BootId,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a plain name")
}

impl Device {
    pub fn key_of(number: u8) -> SecretKey {
        SecretKey::from_seed(&[number; 32])
    }

    pub fn new(number: u8, id: DeviceId, genesis: Hash) -> Self {
        let key = Self::key_of(number);
        Self { key, id, seq: Seq(0), prev: genesis, next: 1, boot: BootId([number; 16]) }
    }

    /// Takes the chain up where the collector is; record ids go on far from any that was used.
    #[must_use]
    pub fn at(self, seq: Seq, prev: Hash) -> Self {
        Self { seq, prev, next: 1 << 40, ..self }
    }

    /// The next batch of `n` records, some of its ids declared lost; moves the chain on.
    pub fn cut(&mut self, n: u64, skipped: u64) -> (Verified<ReceivedBatch>, Vec<u8>) {
        self.cut_seen(n, skipped, Vec::new())
    }

    /// The same, with what it saw besides, at the collector's time.
    pub fn cut_seen(
        &mut self,
        n: u64,
        skipped: u64,
        seen: Vec<(Timestamp, Name, Body)>,
    ) -> (Verified<ReceivedBatch>, Vec<u8>) {
        let gaps = if skipped > 0 {
            let run = RecRun { from: RecId(self.next), to: RecId(self.next + skipped - 1) };
            vec![Gap { run, reason: GapReason::Evicted }]
        } else {
            Vec::new()
        };
        self.next += skipped;
        let mut records: Vec<Record> = (self.next..self.next + n).map(|id| self.record(id)).collect();
        self.next += n;
        for (at, subject, body) in seen {
            let wall = at.minus(OFFSET);
            let at = Moment { wall, ..self.moment(self.seq.0) };
            let observation = Observation { at, category: Category::Patch, subject, body };
            records.push(Record { id: RecId(self.next), observation });
            self.next += 1;
        }
        let batch = Batch {
            device: self.id,
            epoch: Epoch(1),
            seq: self.seq.next(),
            prev: self.prev,
            at: self.moment(self.seq.0),
            clock: ClockQuality { offset_ms: OFFSET_MS, uncertainty_ms: 20, source: ClockSource::SignedTime },
            agent_version: "0.1.0".into(),
            class: Class::Ordinary,
            records,
            gaps,
        };
        self.seq = batch.seq;
        let sealed = Envelope::seal(&ReceivedBatch { batch, unknown: vec![] }, &self.key);
        let envelope = sealed.expect("a small batch encodes");
        self.prev = Hash::of(envelope.body());
        let received = envelope.open(&self.key.public()).expect("our own signature");
        (received, envelope.to_bytes())
    }

    fn moment(&self, n: u64) -> Moment {
        Moment { boot: self.boot, mono: Monotonic(n), wall: START.plus(Duration::from_secs(n % 86_400)) }
    }

    fn record(&self, id: u64) -> Record {
        let value = f64::from(u32::try_from(id % 1_000).expect("below a thousand"));
        let (category, body) = if id.is_multiple_of(5) {
            let state = if id.is_multiple_of(2) { CheckState::Ok } else { CheckState::Critical };
            (Category::Service, Body::CheckResult(CheckResult { probe: name("service"), state }))
        } else {
            let quantity = Quantity::new(name("used"), Unit::Count, value).expect("a finite value");
            (Category::Disk, Body::Sample(Sample { probe: name("disk"), quantities: vec![quantity] }))
        };
        let observation = Observation { at: self.moment(id), category, subject: name("/"), body };
        Record { id: RecId(id), observation }
    }
}

/// The link of an envelope in a stream, if the key signed it.
pub fn link_of(bytes: &[u8], device: &SecretKey) -> Result<Link, String> {
    let opened = Envelope::from_bytes(bytes).and_then(|envelope| envelope.open(&device.public()));
    let received: Verified<ReceivedBatch> =
        opened.map_err(|e| format!("an envelope that is not believed: {e}"))?;
    Ok(Link::of(&received))
}
