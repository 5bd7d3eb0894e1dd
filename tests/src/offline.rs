//! Thirty days without a network, and the drain after them: real agent and collector processes,
//! the product's own spool, real TLS.
//!
//! Holds: the spool is filled through the product's own `open` and `append`, minute by minute,
//! with what this machine's probes really give (see [`crate::month`]); an alarm comes last. Then
//! the agent runs, finds nobody, and the collector comes back. What is told is read from outside:
//! the agent's status and the collector's stream with its commit times.

use crate::{Bed, BedPlan, Home, month::Month, wait_until};
use std::{fmt, path::Path, sync::Arc, time::Duration};
use tenken_agent::{
    config::AgentConfig,
    identity,
    spool::{ChainStart, EngineKind, SpoolConfig},
};
use tenken_agent_core::spool::runs::RunSet;
use tenken_collector::store::Store;
use tenken_collector_core::stream::Entry;
use tenken_common::{
    batch::{GapReason, RecRun},
    codec,
    envelope::Envelope,
    id::{DeviceId, RecId},
    key::PublicKey,
    limit,
    observation::{Class, Record},
    time::{Clock, Moment, Monotonic, SystemClock, Timestamp},
    wire::v1::{ReceivedBatch, RecordV1},
};

/// For the drain of a month; a machine that is busy with other things needs patience.
const BOUND: Duration = Duration::from_secs(1_800);
/// How soon the newest alarm is to be delivered.
pub const ALARM_WITHIN: Duration = Duration::from_secs(5);
/// How fast the drain is to be.
pub const DRAIN_RATE: f64 = 2_000.0;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct OfflinePlan {
    pub hours: u32,
    pub seed: u64,
    pub engine: EngineKind,
}

/// What came out.
#[derive(Debug, Default)]
pub struct OfflineResult {
    pub engine: &'static str,
    pub records: u64,
    /// Of the records as they are encoded.
    pub payload_bytes: u64,
    pub disk_bytes: u64,
    pub evicted: u64,
    pub filled_in: Duration,
    /// From the start of the agent until it had the spool open.
    pub opened_in: Duration,
    /// Waiting records that were delivered, by id, and what was declared instead.
    pub delivered: u64,
    pub missing: Vec<RecRun>,
    pub doubled: u64,
    pub batches: u64,
    /// From the moment that the collector served.
    pub alarm_after: Option<Duration>,
    pub drained_in: Duration,
    /// How many were delivered, and when, as less than one batch was left.
    full_batches: (u64, Duration),
}

impl OfflineResult {
    /// Records a second from the moment that the collector served until less than one batch was
    /// left, which may wait for its interval.
    pub fn rate(&self) -> f64 {
        let (records, after) = self.full_batches;
        #[expect(clippy::cast_precision_loss, reason = "records of a month")]
        let records = records as f64;
        records / after.as_secs_f64().max(0.001)
    }

    /// Goals that were missed.
    pub fn failed(&self, with_rate: bool) -> u64 {
        let goals = [
            self.evicted == 0,
            self.missing.is_empty() && self.doubled == 0,
            self.alarm_after.is_some_and(|after| after <= ALARM_WITHIN),
            !with_rate || self.rate() >= DRAIN_RATE,
        ];
        goals.iter().filter(|met| !**met).count() as u64
    }
}

impl fmt::Display for OfflineResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing: u64 = self.missing.iter().map(RecRun::len).sum();
        write!(
            f,
            "{}: {} records of {} bytes on average, appended in {:.1} s; {} bytes on disk, {} a record, {} evicted; \
             agent up in {:.2} s; {} delivered in {} batches in {:.1} s, {:.0} records/s, {missing} missing, \
             {} doubled; newest alarm after {:.2} s",
            self.engine,
            self.records,
            self.payload_bytes / self.records.max(1),
            self.filled_in.as_secs_f64(),
            self.disk_bytes,
            self.disk_bytes / self.records.max(1),
            self.evicted,
            self.opened_in.as_secs_f64(),
            self.delivered,
            self.batches,
            self.drained_in.as_secs_f64(),
            self.rate(),
            self.doubled,
            self.alarm_after.map_or(f64::NAN, |after| after.as_secs_f64()),
        )
    }
}

/// Fills a spool and drains it.
pub fn offline_campaign(plan: OfflinePlan) -> OfflineResult {
    let engine = plan.engine.as_str();
    let text = format!("[spool]\nengine = \"{engine}\"\n");
    let bed = Bed::new(BedPlan { agent: text, ..BedPlan::default() });
    let collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    drop(collector);

    let mut result = OfflineResult { engine, ..OfflineResult::default() };
    fill(plan, &home, &mut result);
    drain(&bed, &home, &mut result);
    result
}

fn fill(plan: OfflinePlan, home: &Home, result: &mut OfflineResult) {
    let clock = SystemClock::new();
    let enrolled = identity::load(&home.state).unwrap();
    let start = ChainStart { device: enrolled.device, epoch: enrolled.epoch, genesis: enrolled.genesis };
    let config = SpoolConfig {
        dir: home.state.join("spool"),
        engine: plan.engine,
        room: AgentConfig::default().spool.cap.0.into(),
    };
    let began = clock.now();
    let offline = Duration::from_secs(3_600 * u64::from(plan.hours));
    let first = Moment { boot: began.boot, mono: Monotonic(0), wall: began.wall.minus(offline) };
    let mut month = Month::of_this_machine(plan.seed, first);
    let mut spool = tenken_agent::spool::open(&config, start).unwrap();
    for _ in 0..60 * plan.hours {
        let minute = month.minute();
        result.payload_bytes += minute.iter().map(encoded_len).sum::<u64>();
        spool.append(&minute).unwrap();
    }
    spool.append(&[month.alarm()]).unwrap();
    let stats = spool.stats();
    result.records = spool.last_id().0;
    result.disk_bytes = stats.disk_bytes;
    result.evicted = stats.evicted;
    result.filled_in = clock.mono().saturating_since(began.mono);
    spool.close().unwrap();
}

fn encoded_len(observation: &tenken_common::observation::Observation) -> u64 {
    let record = Record { id: RecId(1), observation: observation.clone() };
    let record = RecordV1::of(&record).expect("the recorder leaves nothing that does not fit");
    codec::to_vec(&record).expect("a record encodes").len() as u64
}

fn drain(bed: &Bed, home: &Home, result: &mut OfflineResult) {
    let clock = SystemClock::new();
    let started = clock.mono();
    let mut agent = bed.start_agent(home);
    agent.wait_for_text(BOUND, "agent started");
    result.opened_in = clock.mono().saturating_since(started);
    agent.wait_for_text(BOUND, "push failed");

    let mut collector = bed.start_collector();
    let back = clock.wall();
    wait_until(BOUND, "the month to be delivered", |state| {
        let status = tenken_agent::status::load(&home.state).ok()?;
        *state = format!("{:?} {:?}", status.spool, status.delivery);
        // What waits now is what the agent saw since its start; it sends that when it stops.
        let of_now = status.spool.oldest.is_none_or(|oldest| oldest >= status.started);
        (status.written > back && status.spool.acked_batches > 0 && of_now).then_some(())
    });
    agent.terminate();
    assert!(agent.wait(BOUND).success(), "{}", agent.stderr_text());
    collector.terminate();
    assert!(collector.wait(BOUND).success(), "{}", collector.stderr_text());
    let device: DeviceId = home.device.parse().expect("an enrolled device has an identity");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read(&bed.database(), device, back, result));
}

/// What the collector's stream says about the records that were filled in.
async fn read(database: &Path, device: DeviceId, back: Timestamp, result: &mut OfflineResult) {
    let store = Store::open(database, Arc::new(SystemClock::new())).await.unwrap();
    let key = store.device(device).await.unwrap().expect("the device is enrolled").key;
    let mut known = RunSet::default();
    let mut position = 0;
    loop {
        let page = store.entries_after(position, 200).await.unwrap();
        let Some(last) = page.last() else { break };
        position = last.position;
        for stored in &page {
            let Entry::Envelope { bytes, .. } = &stored.entry else { continue };
            let batch = opened(bytes, &key).batch;
            let after = stored.committed.saturating_since(back);
            let old = batch.records.iter().filter(|record| record.id.0 <= result.records);
            let mut any = false;
            for record in old {
                any = true;
                result.doubled += u64::from(known.contains(record.id));
                known.insert(RecRun::one(record.id));
                result.delivered += 1;
                if record.observation.class() == Class::Urgent {
                    result.alarm_after.get_or_insert(after);
                }
            }
            if any {
                result.batches += 1;
                result.drained_in = after;
                let left = result.records.saturating_sub(result.delivered);
                if left <= limit::BATCH_RECORDS_MAX as u64 && result.full_batches.0 == 0 {
                    result.full_batches = (result.delivered, after);
                }
            }
            for gap in batch.gaps.iter().filter(|gap| gap.reason != GapReason::NeverIssued) {
                result.evicted = result.evicted.max(gap.run.len());
            }
        }
    }
    result.missing = known.missing_in(RecRun { from: RecId(1), to: RecId(result.records) });
    store.close().await;
}

fn opened(bytes: &[u8], key: &PublicKey) -> ReceivedBatch {
    let envelope = Envelope::from_bytes(bytes).and_then(|envelope| envelope.open::<ReceivedBatch>(key));
    envelope.expect("only a verified envelope is in the log").into_inner()
}
