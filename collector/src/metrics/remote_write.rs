//! How remote write goes, as `/metrics` shows it; there only where it is configured.

use super::{NO_LABELS, family::Family};
use prometheus::{GaugeVec, IntCounterVec, Registry};
use tenken_common::time::Timestamp;

/// Why a sample was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// The receiver will never take it.
    Refused,
    /// Older than the configuration lets through.
    TooOld,
    /// Later than the collector's own clock: the device's is wrong, and nobody knew by how much.
    Ahead,
    /// Its hospital is left out by the configuration.
    OptedOut,
}

impl Dropped {
    pub const ALL: [Self; 4] = [Self::Refused, Self::TooOld, Self::Ahead, Self::OptedOut];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooOld => "too_old",
            Self::Ahead => "ahead",
            Self::OptedOut => "opted_out",
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestResult {
    Taken,
    /// It goes again.
    Deferred,
    Refused,
}

impl RequestResult {
    pub const ALL: [Self; 3] = [Self::Taken, Self::Deferred, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// See the module's head.
#[derive(Clone)]
pub struct RemoteWriteMetrics {
    samples: IntCounterVec,
    dropped: IntCounterVec,
    requests: IntCounterVec,
    position: GaugeVec,
    oldest: GaugeVec,
}

impl RemoteWriteMetrics {
    /// Counters begin at zero, so that a first event is seen as a rise.
    pub(super) fn register(registry: &Registry) -> Self {
        let metrics = Self {
            samples: Family::RemoteWriteSamples.counter(registry),
            dropped: Family::RemoteWriteDropped.counter(registry),
            requests: Family::RemoteWriteRequests.counter(registry),
            position: Family::RemoteWritePosition.gauge(registry),
            oldest: Family::RemoteWriteOldest.gauge(registry),
        };
        metrics.sent(0);
        for reason in Dropped::ALL {
            metrics.dropped(reason, 0);
        }
        for result in RequestResult::ALL {
            metrics.requests.with_label_values(&[result.as_str()]).inc_by(0);
        }
        metrics
    }

    pub fn sent(&self, samples: usize) {
        self.samples.with_label_values(&NO_LABELS).inc_by(count(samples));
    }

    pub fn dropped(&self, reason: Dropped, samples: usize) {
        self.dropped.with_label_values(&[reason.as_str()]).inc_by(count(samples));
    }

    pub fn requested(&self, result: RequestResult) {
        self.requests.with_label_values(&[result.as_str()]).inc();
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 entries")]
    pub fn set_position(&self, position: u64) {
        self.position.with_label_values(&NO_LABELS).set(position as f64);
    }

    /// When the oldest numbers that wait were committed.
    pub fn set_oldest(&self, oldest: Option<Timestamp>) {
        match oldest {
            Some(at) => self.oldest.with_label_values(&NO_LABELS).set(at.as_secs_f64()),
            None => self.oldest.reset(),
        }
    }
}

fn count(samples: usize) -> u64 {
    u64::try_from(samples).unwrap_or(u64::MAX)
}
