//! Hands devices' numbers on to the receiver of `[remote_write]`, in the order of the stream.
//!
//! Holds: the position in the stream moves, and is durable, only after the receiver took what was
//! before it; a crash between the two means that the same samples go again, with the same names and
//! times, which a receiver keeps once. While it is away nothing is lost and nothing piles up here:
//! the stream waits. What it refuses for good is found by halving the request, so that one bad
//! sample takes no good one with it; it is dropped, counted and told.

use crate::{
    metrics::remote_write::{Dropped, RemoteWriteMetrics, RequestResult},
    notify::DeliveryError,
    remote_write::{
        Receiver, ReceiverError, RemoteWriteConfig,
        encode::{self, Labels, Sample},
    },
    store::{
        Store, StoreError,
        model::{Reading, Readings},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tenken_common::{
    id::{DeviceId, HospitalId},
    retry::Backoff,
    telemetry::ErrorChain,
};

/// Between two looks at a stream in which nothing was left.
const POLL: Duration = Duration::from_secs(2);
/// After a store that could not be read or written.
const PAUSE: Duration = Duration::from_secs(5);
/// How far a device's clock may be ahead. Prometheus takes what is ahead, and from then on takes
/// nothing that is older than its window before that.
const AHEAD_MAX: Duration = Duration::from_mins(10);
/// Entries that may pass without numbers before their position is made durable too.
const SILENT_ENTRIES: u64 = 1_000;

/// See the module's head.
pub struct RemoteWriter {
    store: Store,
    receiver: Receiver,
    metrics: RemoteWriteMetrics,
    without: BTreeSet<HospitalId>,
    age_max: Option<Duration>,
    samples_max: usize,
    retry: Backoff,
    hospitals: BTreeMap<DeviceId, HospitalId>,
    /// How far the stream was handed over, and how much of that is durable; `None` before the first look.
    position: Option<(u64, u64)>,
}

impl RemoteWriter {
    /// Reads secrets; connects to nothing.
    pub fn new(
        store: Store,
        config: &RemoteWriteConfig,
        metrics: RemoteWriteMetrics,
        seed: u64,
    ) -> Result<Self, ReceiverError> {
        Ok(Self {
            store,
            receiver: Receiver::new(config)?,
            metrics,
            without: config.without.iter().cloned().collect(),
            age_max: config.age_max.map(|age| age.0),
            samples_max: config.samples_max,
            retry: Backoff::new(config.retry_first.0, config.retry_max.0, seed),
            hospitals: BTreeMap::new(),
            position: None,
        })
    }

    /// Hands over whatever comes, until `shutdown`. What is under way then is cut off, and goes again
    /// after the next start.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let round = async {
                let wait = match self.catch_up().await {
                    Ok(()) => POLL,
                    Err(error) => {
                        tracing::error!(reason = %ErrorChain(&error), "remote write cannot use the store");
                        PAUSE
                    }
                };
                tokio::time::sleep(wait).await;
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = round => {}
            }
        }
    }

    /// Hands over everything that is there; waits for the receiver as long as it takes.
    pub async fn catch_up(&mut self) -> Result<(), StoreError> {
        let (mut position, mut saved) = if let Some(known) = self.position {
            known
        } else {
            let saved = self.store.handed_over(self.receiver.url()).await?;
            (saved, saved)
        };
        loop {
            let page = self.store.readings_after(position, self.samples_max).await?;
            self.metrics.set_oldest(page.oldest);
            if page.until == position {
                return Ok(());
            }
            position = page.until;
            let any = page.oldest.is_some();
            let samples = self.samples(page).await?;
            for part in samples.chunks(self.samples_max) {
                self.hand_over(part.to_vec()).await;
            }
            if any || position.saturating_sub(saved) >= SILENT_ENTRIES {
                self.store.set_handed_over(self.receiver.url(), position).await?;
                saved = position;
            }
            self.position = Some((position, saved));
            self.metrics.set_position(position);
        }
    }

    /// Those of hospitals that are not left out.
    async fn samples(&mut self, page: Readings) -> Result<Vec<Sample>, StoreError> {
        let mut names: BTreeMap<Labels, Arc<Labels>> = BTreeMap::new();
        let mut samples = Vec::with_capacity(page.readings.len());
        for reading in &page.readings {
            let hospital = self.hospital(reading).await?;
            if self.without.contains(&hospital) {
                self.metrics.dropped(Dropped::OptedOut, 1);
                continue;
            }
            let labels = Labels::of(reading, &hospital);
            let labels = names.entry(labels).or_insert_with_key(|labels| Arc::new(labels.clone())).clone();
            samples.push(Sample { labels, at_ms: encode::millis(reading.at), value: reading.value });
        }
        Ok(encode::ordered(samples))
    }

    async fn hospital(&mut self, reading: &Reading) -> Result<HospitalId, StoreError> {
        if !self.hospitals.contains_key(&reading.device) {
            let devices = self.store.devices().await?;
            self.hospitals = devices.into_iter().map(|row| (row.id, row.hospital)).collect();
        }
        self.hospitals.get(&reading.device).cloned().ok_or(StoreError::NoLedger(reading.device))
    }

    /// Ready when the receiver took each of them or will never take it.
    async fn hand_over(&mut self, samples: Vec<Sample>) {
        let mut parts = vec![samples];
        let mut refused = 0_usize;
        let mut reason = None;
        while let Some(part) = parts.pop() {
            let Err((mut part, error)) = self.deliver(part).await else { continue };
            if part.len() > 1 {
                let later = part.split_off(part.len() / 2);
                parts.extend([later, part]);
            } else {
                refused += part.len();
                reason = Some(error);
            }
        }
        self.metrics.dropped(Dropped::Refused, refused);
        if let Some(error) = reason {
            tracing::warn!(
                samples = refused,
                last = error.describe(),
                "the receiver of remote write refused"
            );
        }
    }

    /// Sends until it is taken or refused for good; the latter gives back what was sent.
    async fn deliver(&mut self, mut part: Vec<Sample>) -> Result<(), (Vec<Sample>, DeliveryError)> {
        loop {
            self.leave_out(&mut part);
            if part.is_empty() {
                return Ok(());
            }
            let Err(error) = self.receiver.send(encode::body(&part)).await else {
                self.retry.reset();
                self.metrics.requested(RequestResult::Taken);
                self.metrics.sent(part.len());
                return Ok(());
            };
            if !error.is_retryable() {
                self.metrics.requested(RequestResult::Refused);
                return Err((part, error));
            }
            self.metrics.requested(RequestResult::Deferred);
            let wait = self.retry.next().unwrap_or(PAUSE);
            let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
            tracing::warn!(error = error.describe(), ?wait, "remote write waits for its receiver");
            tokio::time::sleep(wait).await;
        }
    }

    /// At every attempt: what waited may be too old by now, and a receiver that answers 500 to such
    /// a sample would never be passed.
    fn leave_out(&self, part: &mut Vec<Sample>) {
        let now = self.store.clock().wall();
        let newest = encode::millis(now.plus(AHEAD_MAX));
        let oldest = self.age_max.map_or(i64::MIN, |age| encode::millis(now.minus(age)));
        for (reason, span) in [(Dropped::TooOld, oldest..=i64::MAX), (Dropped::Ahead, i64::MIN..=newest)] {
            let before = part.len();
            part.retain(|sample| span.contains(&sample.at_ms));
            self.metrics.dropped(reason, before - part.len());
        }
    }
}
