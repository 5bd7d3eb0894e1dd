//! What is sent next, and what an answer means: delivery as a state machine without I/O.
//!
//! The shell asks [`Pusher::poll`] what to do, does it, and tells [`Pusher::on_outcome`] how it
//! went. The first thing after a start is a resume; then the lowest batch in flight is sent until
//! it is acknowledged, and a new one is cut when there is something urgent, enough, or old enough.
//!
//! Holds: only a signed acknowledgement makes the spool let go, and only a signed reject stops
//! the delivery; anything else that comes back (a bare status, a timeout, nonsense) means the same
//! batch again, later, with full jitter. The device never drops what it was not told to drop.
//!
//! Does not: open envelopes, know nonces or touch the spool; the shell does, with types that only
//! verification can make.

use crate::spool::Standing;
use std::time::Duration;
use tenken_common::{
    ack::{Ack, Reject, RejectReason},
    envelope::Verified,
    id::Seq,
    limit,
    retry::Backoff,
    time::Monotonic,
};

/// How often and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushPolicy {
    /// Ordinary records wait at most this long before a batch is cut.
    pub interval: Duration,
    pub retry_first: Duration,
    pub retry_max: Duration,
}

/// What the spool holds at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushView {
    pub waiting: u64,
    pub urgent: u64,
    pub in_flight: u64,
    pub acked_seq: Seq,
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
    Rejected(&'a Verified<Reject>),
    /// No answer that could be believed.
    Failed {
        retry_after: Option<Duration>,
    },
    /// What is in flight lost its body on this device's disk: only a resume tells how to go on.
    BodyLost,
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
    last_cut: Option<Monotonic>,
    halt: Option<Halt>,
    failing_since: Option<Monotonic>,
    failures: u64,
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
            last_cut: None,
            halt: None,
            failing_since: None,
            failures: 0,
        }
    }

    /// What to do at `now`.
    pub fn poll(&self, now: Monotonic, view: &PushView) -> PushStep {
        if now < self.not_before {
            return PushStep::Wait(self.not_before.saturating_since(now));
        }
        if !self.resumed {
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
            Outcome::Rejected(reject) => {
                let halt = RejectReason::from_code(reject.reason)
                    .map_or(Halt::RejectedUnknown(reject.reason), Halt::Rejected);
                self.halt(now, halt);
                PushEffect::None
            }
            Outcome::Failed { retry_after } => {
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(now);
                self.wait(now, *retry_after);
                PushEffect::None
            }
            Outcome::BodyLost => {
                self.resumed = false;
                self.wait(now, None);
                PushEffect::None
            }
            Outcome::Cut | Outcome::NothingCut => {
                self.last_cut = Some(now);
                PushEffect::None
            }
        }
    }

    fn on_resumed(&mut self, now: Monotonic, standing: Standing) {
        match standing {
            Standing::InStep => {
                self.succeed();
                self.resumed = true;
            }
            Standing::DeviceBehind => self.halt(now, Halt::DeviceBehind),
            Standing::CollectorBehind => self.halt(now, Halt::CollectorBehind),
        }
    }

    fn on_ack(&mut self, now: Monotonic, view: &PushView, ack: &Ack) -> PushEffect {
        self.succeed();
        if ack.retry_after_s > 0 {
            self.not_before = now.plus(capped(Duration::from_secs(ack.retry_after_s.into())));
        }
        if ack.need_seq.is_some() && ack.acked_seq < view.acked_seq {
            // The collector wants what we have let go on its own word: find out what happened.
            self.resumed = false;
        } else if ack.need_seq.is_some() {
            // It lacks an earlier link, which is the lowest in flight: send again, not at once.
            self.wait(now, None);
        }
        PushEffect::Release
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

    pub fn halted(&self) -> Option<Halt> {
        self.halt
    }

    fn halt(&mut self, now: Monotonic, halt: Halt) {
        // The collector may change its mind (a device is released from quarantine): ask hourly,
        // beginning with a resume.
        self.halt = Some(halt);
        self.resumed = false;
        self.not_before = now.plus(limit::RETRY_AFTER_MAX);
    }

    fn succeed(&mut self) {
        self.halt = None;
        self.failing_since = None;
        self.backoff.reset();
        self.not_before = Monotonic(0);
    }

    fn wait(&mut self, now: Monotonic, at_least: Option<Duration>) {
        let jitter = self.backoff.next().unwrap_or(self.policy.retry_max);
        self.not_before = now.plus(capped(at_least.unwrap_or_default()) + jitter);
    }
}

fn capped(wait: Duration) -> Duration {
    wait.min(limit::RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{
        envelope::{Envelope, Payload},
        id::{DeviceId, Epoch, Hash, Nonce},
        key::SecretKey,
        time::Timestamp,
    };

    const DEVICE: DeviceId = DeviceId([1; 16]);

    fn verified<T: Payload>(value: &T) -> Verified<T> {
        let key = SecretKey::from_seed(&[1; 32]);
        Envelope::seal(value, &key).unwrap().open(&key.public()).unwrap()
    }

    fn pusher() -> Pusher {
        let policy = PushPolicy {
            interval: Duration::from_secs(60),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        };
        Pusher::new(policy, 7)
    }

    fn view(waiting: u64, urgent: u64, in_flight: u64) -> PushView {
        PushView { waiting, urgent, in_flight, acked_seq: Seq(3) }
    }

    fn ack(seq: u64, need: Option<u64>) -> Verified<Ack> {
        verified(&Ack {
            device: DEVICE,
            epoch: Epoch(1),
            acked_seq: Seq(seq),
            hash: Hash::ZERO,
            server: Timestamp::EPOCH,
            echo_nonce: Nonce([0; 16]),
            position: 1,
            log_root: Hash::ZERO,
            retry_after_s: 0,
            need_seq: need.map(Seq),
        })
    }

    const NOW: Monotonic = Monotonic(1_000_000);

    fn ready() -> Pusher {
        let mut p = pusher();
        p.on_outcome(NOW, &view(0, 0, 0), &Outcome::Resumed(Standing::InStep));
        p
    }

    #[test]
    fn a_start_begins_with_resume() {
        assert_eq!(pusher().poll(NOW, &view(9, 9, 1)), PushStep::Resume);
    }

    #[test]
    fn what_is_in_flight_goes_before_a_new_cut_and_urgent_does_not_wait() {
        let mut p = ready();
        assert_eq!(p.poll(NOW, &view(9, 0, 1)), PushStep::Send);
        assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Cut);
        p.on_outcome(NOW, &view(9, 0, 0), &Outcome::Cut);
        assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Wait(Duration::from_secs(60)));
        assert_eq!(p.poll(NOW, &view(9, 1, 0)), PushStep::Cut);
        p.hurry();
        assert_eq!(p.poll(NOW, &view(9, 0, 0)), PushStep::Cut);
        p.on_outcome(NOW, &view(9, 0, 0), &Outcome::Cut);
        assert_eq!(p.poll(NOW, &view(1_000, 0, 0)), PushStep::Cut);
        assert_eq!(p.poll(NOW, &view(0, 0, 0)), PushStep::Wait(Duration::from_secs(60)));
    }

    #[test]
    fn failures_back_off_with_jitter_and_honour_retry_after_up_to_an_hour() {
        let mut p = ready();
        for _ in 0..20 {
            p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Failed { retry_after: None });
            let PushStep::Wait(wait) = p.poll(NOW, &view(1, 0, 1)) else { panic!("must wait") };
            assert!(wait <= Duration::from_secs(61));
        }
        assert_eq!((p.failures(), p.failing_since()), (20, Some(NOW)));
        let day = Some(Duration::from_secs(86_400));
        p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Failed { retry_after: day });
        let PushStep::Wait(wait) = p.poll(NOW, &view(1, 0, 1)) else { panic!("must wait") };
        assert!(wait >= Duration::from_secs(3_600) && wait <= Duration::from_secs(3_661));
        p.on_outcome(NOW, &view(1, 0, 1), &Outcome::Acked(&ack(4, None)));
        assert_eq!((p.poll(NOW, &view(1, 0, 1)), p.failing_since()), (PushStep::Send, None));
    }

    #[test]
    fn a_collector_that_is_ahead_or_behind_stops_delivery_and_nothing_is_dropped() {
        for (outcome, halt) in [
            (Outcome::Resumed(Standing::DeviceBehind), Halt::DeviceBehind),
            (Outcome::Resumed(Standing::CollectorBehind), Halt::CollectorBehind),
            (Outcome::OtherEpoch, Halt::OtherEpoch),
        ] {
            let mut p = pusher();
            let effect = p.on_outcome(NOW, &view(1, 0, 2), &outcome);
            assert_eq!((effect, p.halted()), (PushEffect::None, Some(halt)));
            let later = NOW.plus(Duration::from_secs(3_600));
            assert_eq!(p.poll(later, &view(1, 0, 2)), PushStep::Resume, "asks again after an hour");
        }
    }

    #[test]
    fn a_lost_body_leads_to_a_resume_and_not_to_a_busy_loop() {
        let mut p = ready();
        p.on_outcome(NOW, &view(0, 0, 1), &Outcome::BodyLost);
        let PushStep::Wait(wait) = p.poll(NOW, &view(0, 0, 1)) else { panic!("must wait") };
        assert_eq!(p.poll(NOW.plus(wait), &view(0, 0, 1)), PushStep::Resume);
    }

    #[test]
    fn a_hole_is_sent_again_and_a_deeper_one_asks_for_resume() {
        let mut p = ready();
        p.on_outcome(NOW, &view(0, 0, 2), &Outcome::Acked(&ack(3, Some(4))));
        assert!(matches!(p.poll(NOW, &view(0, 0, 2)), PushStep::Wait(_)));
        let mut p = ready();
        p.on_outcome(NOW, &view(0, 0, 2), &Outcome::Acked(&ack(1, Some(2))));
        assert_eq!(p.poll(NOW, &view(0, 0, 2)), PushStep::Resume);
    }
}
