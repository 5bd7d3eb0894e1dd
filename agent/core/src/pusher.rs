//! What is sent next, and what an answer means: delivery as a state machine without I/O.
//!
//! The shell asks [`Pusher::poll`] what to do, does it, and tells [`Pusher::on_outcome`] how it
//! went. The first thing after a start is a resume; then the lowest batch in flight is sent until
//! it is acknowledged, and a new one is cut when there is something urgent, enough, or old enough.
//!
//! Holds: only a signed acknowledgement makes the spool let go. Only a signed reject makes it
//! give a body up (as a stub, where the collector can never read it) or stops the delivery;
//! anything else that comes back (a bare status, a timeout, nonsense) means the same batch again,
//! later, with full jitter. The device never drops what it was not told to drop. While an alarm is
//! not delivered and nobody asked for patience, the next try is never far: after days without a
//! network an alarm arrives seconds after it is back.
//!
//! Does not: open envelopes, know nonces or touch the spool; the shell does, with types that only
//! verification can make.

use crate::{
    planted::{Planted, Soil},
    spool::Standing,
};
use std::time::Duration;
use tenken_common::{
    ack::{Ack, Reject, RejectReason},
    batch::GapReason,
    envelope::Verified,
    id::Seq,
    limit,
    retry::Backoff,
    time::Monotonic,
};

/// For [`PushPolicy::alarm_retry_max`]: seconds after a network is back its device's alarm is known.
pub const ALARM_RETRY_MAX: Duration = Duration::from_secs(3);

/// How often and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushPolicy {
    /// Ordinary records wait at most this long before a batch is cut.
    pub interval: Duration,
    pub retry_first: Duration,
    pub retry_max: Duration,
    /// To the next try while an alarm waits and nobody asked for patience.
    pub alarm_retry_max: Duration,
}

/// What the spool holds at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushView {
    pub waiting: u64,
    pub urgent: u64,
    pub in_flight: u64,
    pub acked_seq: Seq,
    /// Nothing is cut before a resume.
    pub awaiting_resume: bool,
}

/// What the shell is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStep {
    /// Ask the collector how far it is.
    Resume,
    /// Cut a batch, then poll again.
    Cut,
    /// Send the lowest batch in flight.
    Send,
    /// Nothing to do for so long, unless something urgent comes.
    Wait(Duration),
}

/// How it went.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The collector said how far it is, and the spool found this in it.
    Resumed(Standing),
    /// The collector knows this device under another epoch.
    OtherEpoch,
    Acked(&'a Verified<Ack>),
    /// A signed reject, of a batch that was just sent, or of anything else (a stub, a resume).
    Rejected {
        reject: &'a Verified<Reject>,
        batch: bool,
    },
    /// No answer that could be believed.
    Failed {
        retry_after: Option<Duration>,
    },
    /// Nothing was there to be cut after all.
    NothingCut,
    Cut,
}

/// What the shell is to do with the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushEffect {
    None,
    /// Release what the acknowledgement covers.
    Release,
    /// Make a stub of the batch that was rejected.
    Stub(GapReason),
}

/// A time without a believable answer that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// From the first push that failed, as far as this start of the agent saw it.
    pub lasted: Duration,
    pub failures: u64,
}

/// Why delivery stands still although the collector answers. Everything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    #[error("the collector refused a batch for good: {}", .0.as_str())]
    Rejected(RejectReason),
    #[error("the collector refused a batch for a reason this version does not know (code {0})")]
    RejectedUnknown(u8),
    #[error("the collector holds newer data of this device: was this disk restored or copied?")]
    DeviceBehind,
    #[error("the collector lost data that it had acknowledged: was it restored from a backup?")]
    CollectorBehind,
    #[error("the collector knows this device under another epoch")]
    OtherEpoch,
}

/// See the module's head.
#[derive(Debug)]
pub struct Pusher {
    policy: PushPolicy,
    backoff: Backoff,
    resumed: bool,
    not_before: Monotonic,
    /// The same for an alarm, where the last try had no answer that asks for patience.
    alarm_not_before: Option<Monotonic>,
    /// What is in flight may hold an alarm.
    alarm_in_flight: bool,
    last_cut: Option<Monotonic>,
    halt: Option<Halt>,
    failing_since: Option<Monotonic>,
    failures: u64,
    /// `failures` when the outage under way began.
    failures_before: u64,
    outage: Option<Outage>,
    soil: Soil,
}

impl Pusher {
    /// `seed` makes the jitter; every device has its own.
    pub fn new(policy: PushPolicy, seed: u64) -> Self {
        let backoff = Backoff::new(policy.retry_first, policy.retry_max, seed);
        Self {
            policy,
            backoff,
            resumed: false,
            not_before: Monotonic(0),
            alarm_not_before: None,
            // Nobody knows what was cut before the start.
            alarm_in_flight: true,
            last_cut: None,
            halt: None,
            failing_since: None,
            failures: 0,
            failures_before: 0,
            outage: None,
            soil: Soil::default(),
        }
    }

    /// Breaks a rule from now on.
    #[cfg(feature = "planted")]
    #[doc(hidden)]
    pub fn plant(&mut self, bug: Planted) {
        self.soil.plant(bug);
    }

    /// What to do at `now`.
    pub fn poll(&self, now: Monotonic, view: &PushView) -> PushStep {
        let alarm = view.urgent > 0 || (view.in_flight > 0 && self.alarm_in_flight);
        let sooner = self.alarm_not_before.filter(|_| alarm);
        let not_before = sooner.map_or(self.not_before, |at| at.min(self.not_before));
        if now < not_before {
            return PushStep::Wait(not_before.saturating_since(now));
        }
        if !self.resumed || view.awaiting_resume {
            return PushStep::Resume;
        }
        if view.in_flight > 0 {
            return PushStep::Send;
        }
        let since_cut = self.last_cut.map(|at| now.saturating_since(at));
        let due_in = match since_cut {
            _ if view.urgent > 0 || view.waiting >= limit::BATCH_RECORDS_MAX as u64 => Duration::ZERO,
            None => Duration::ZERO,
            Some(since) => self.policy.interval.saturating_sub(since),
        };
        match (view.waiting, due_in) {
            (0, _) => PushStep::Wait(self.policy.interval),
            (_, Duration::ZERO) => PushStep::Cut,
            (_, left) => PushStep::Wait(left),
        }
    }

    /// What an outcome means. `view` is the spool's state from before it.
    pub fn on_outcome(&mut self, now: Monotonic, view: &PushView, outcome: &Outcome<'_>) -> PushEffect {
        match outcome {
            Outcome::Resumed(standing) => {
                self.on_resumed(now, *standing);
                PushEffect::None
            }
            Outcome::OtherEpoch => {
                self.halt(now, Halt::OtherEpoch);
                PushEffect::None
            }
            Outcome::Acked(ack) => self.on_ack(now, view, ack),
            Outcome::Rejected { reject, batch } => self.on_reject(now, reject, *batch),
            Outcome::Failed { retry_after } => {
                if self.failing_since.is_none() {
                    self.failing_since = Some(now);
                    self.failures_before = self.failures;
                }
                self.failures = self.failures.saturating_add(1);
                self.wait(now, *retry_after);
                PushEffect::None
            }
            Outcome::Cut | Outcome::NothingCut => {
                self.last_cut = Some(now);
                self.alarm_in_flight = view.urgent > 0 || (view.in_flight > 0 && self.alarm_in_flight);
                PushEffect::None
            }
        }
    }

    fn on_resumed(&mut self, now: Monotonic, standing: Standing) {
        match standing {
            Standing::InStep => {
                self.succeed(now);
                self.resumed = true;
            }
            Standing::DeviceBehind if self.soil.grows(Planted::BehindGoesOn) => {
                self.succeed(now);
                self.resumed = true;
            }
            Standing::DeviceBehind => self.halt(now, Halt::DeviceBehind),
            Standing::CollectorBehind => self.halt(now, Halt::CollectorBehind),
        }
    }

    fn on_reject(&mut self, now: Monotonic, reject: &Reject, batch: bool) -> PushEffect {
        let reason = RejectReason::from_code(reject.reason);
        // No collector will ever read these; what is behind them must not wait for it.
        let poison = matches!(
            reason,
            Some(RejectReason::BadContent | RejectReason::TooLarge | RejectReason::Malformed)
        );
        if batch && poison {
            self.succeed(now);
            return PushEffect::Stub(GapReason::Refused);
        }
        self.halt(now, reason.map_or(Halt::RejectedUnknown(reject.reason), Halt::Rejected));
        PushEffect::None
    }

    fn on_ack(&mut self, now: Monotonic, view: &PushView, ack: &Ack) -> PushEffect {
        // The collector wants what we have let go on its own word: find out what happened.
        let lost = ack.need_seq.is_some_and(|need| need <= view.acked_seq);
        // It has links that this device never cut: a second one has the same identity, or this disk
        // was restored. Sending again would be answered in the same way, without end.
        let beyond = ack.acked_seq.0 > view.acked_seq.0.saturating_add(view.in_flight);
        self.resumed &= !(lost || beyond);
        if lost || beyond || (ack.acked_seq <= view.acked_seq && view.in_flight > 0) {
            // Nothing new in it: an old answer, or a link is missing there. Again, not at once.
            self.wait(now, Some(Duration::from_secs(ack.retry_after_s.into())));
        } else {
            self.succeed(now);
            if ack.retry_after_s > 0 {
                self.not_before = now.plus(capped(Duration::from_secs(ack.retry_after_s.into())));
            }
        }
        PushEffect::Release
    }

    /// What came of [`PushEffect::Release`]: how many links the spool let go. None for an
    /// acknowledgement of links in flight says that they are others' there: a second device has the
    /// same identity. Sending again would be answered in the same way, without end.
    pub fn on_released(&mut self, now: Monotonic, view: &PushView, ack: &Ack, links: u64) {
        if links == 0 && ack.acked_seq > view.acked_seq {
            self.resumed = false;
            self.wait(now, Some(Duration::from_secs(ack.retry_after_s.into())));
        }
    }

    /// The network or the collector may have changed (a new address, a local command).
    pub fn retry_now(&mut self) {
        self.not_before = Monotonic(0);
    }

    /// What waits is cut now, not at its interval; what the collector asked for still holds.
    pub fn hurry(&mut self) {
        self.last_cut = None;
    }

    /// Pushes that had no believable answer, since the start.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Since when none had, if the last one had none.
    pub fn failing_since(&self) -> Option<Monotonic> {
        self.failing_since
    }

    /// The outage that ended since this was asked last.
    pub fn take_outage(&mut self) -> Option<Outage> {
        self.outage.take()
    }

    pub fn halted(&self) -> Option<Halt> {
        self.halt
    }

    fn halt(&mut self, now: Monotonic, halt: Halt) {
        // The collector may change its mind (a device is released from quarantine): ask hourly,
        // beginning with a resume.
        self.halt = Some(halt);
        self.resumed = false;
        self.alarm_not_before = None;
        self.not_before = now.plus(limit::RETRY_AFTER_MAX);
    }

    fn succeed(&mut self, now: Monotonic) {
        if let Some(since) = self.failing_since.take() {
            let failures = self.failures - self.failures_before;
            self.outage = Some(Outage { lasted: now.saturating_since(since), failures });
        }
        self.halt = None;
        self.backoff.reset();
        self.alarm_not_before = None;
        self.not_before = Monotonic(0);
    }

    fn wait(&mut self, now: Monotonic, at_least: Option<Duration>) {
        let jitter = self.backoff.next().unwrap_or(self.policy.retry_max);
        self.not_before = now.plus(capped(at_least.unwrap_or_default()) + jitter);
        self.alarm_not_before =
            at_least.is_none().then(|| now.plus(within(jitter, self.policy.alarm_retry_max)));
    }
}

/// As random as `jitter`, and at most `max`.
fn within(jitter: Duration, max: Duration) -> Duration {
    let ms = jitter.as_millis() % max.as_millis().max(1);
    if jitter <= max { jitter } else { Duration::from_millis(1 + u64::try_from(ms).unwrap_or_default()) }
}

fn capped(wait: Duration) -> Duration {
    wait.min(limit::RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests;
