//! What stands between a device and its collector besides records: whom it trusts, what time it
//! is, its certificate, its place in its chain. As a state machine without I/O.
//!
//! The shell asks [`Session::poll`] what is next, does it, and tells [`Session::on`] how it went and
//! what else it met. The order after an absence is trust, time, renew, then resume and push, which
//! the [`crate::pusher::Pusher`] decides; a device that fell behind its own chain asks to rejoin.
//!
//! Holds: a step that fails is tried again later, with full jitter, and holds up nothing that can do
//! without it. Whatever asks for a step (a refused certificate, an unknown signer) leads to no more
//! than one try at a time, so nobody makes the device busy. Renewal and rejoin come only after a
//! fresh challenge.
//!
//! Does not: believe anything. A bare refusal leads to a renewal at most, which is harmless.

use std::time::Duration;
use tenken_common::{
    limit,
    retry::Backoff,
    time::{Monotonic, Timestamp},
};

/// How often the trust documents are asked for without a reason.
const TRUST_EVERY: Duration = Duration::from_hours(24);
/// The least between two askings whether the hospital approved a rejoin; jitter of the same length
/// comes on top, which makes it a minute or so.
const REJOIN_EVERY: Duration = Duration::from_secs(40);
/// A challenge older than this is asked for anew: it must still be fresh when it arrives.
const CHALLENGE_USED_WITHIN: Duration = Duration::from_secs(limit::CHALLENGE_LIFE.as_secs() / 2);

/// What the shell is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStep {
    /// Fetch the trust documents after the one that is held.
    Trust,
    /// Ask for signed time, which is a challenge too.
    Time,
    Renew,
    Rejoin,
    /// Nothing here: go on with resume and push.
    Deliver,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Validity {
    /// At two thirds of the life, give or take a tenth of that: a fleet that was enrolled in one
    /// hour does not renew in one.
    pub fn renew_at(&self, seed: u64) -> Timestamp {
        let life = self.not_after.saturating_since(self.not_before);
        let thousandths = 600 + u32::try_from(seed % 134).unwrap_or(0);
        self.not_before.plus(life / 1_000 * thousandths)
    }
}

/// What the shell knows when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionView {
    pub now: Monotonic,
    /// The time by which certificates are judged.
    pub authority: Timestamp,
    /// When the certificate is to be renewed; `None` where none is shown.
    pub renew_at: Option<Timestamp>,
    /// The device must begin a new epoch.
    pub rejoin: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// Trust documents came; whether there was a newer one.
    Trusted {
        newer: bool,
    },
    /// Signed time came for a request of that moment.
    Told {
        asked: Monotonic,
    },
    Renewed,
    /// The hospital has not approved the rejoin yet.
    NotApproved,
    /// The step had no believable answer.
    Failed {
        step: SessionStep,
        retry_after: Option<Duration>,
    },
    /// The server's certificate was refused, perhaps for its dates.
    ServerRefused {
        dates: bool,
    },
    /// The collector does not take this device's certificate.
    ClientRefused,
    /// An answer was signed with a key that is not known here.
    UnknownSigner,
    /// Something hangs on the date, and nobody signed one in this boot.
    Undated,
    /// A believable answer came over the way that delivery takes.
    Answered,
}

/// One thing to be done, and when next.
#[derive(Debug)]
struct Task {
    due: bool,
    not_before: Monotonic,
    backoff: Backoff,
}

impl Task {
    fn new(policy: &SessionPolicy, seed: u64) -> Self {
        let backoff = Backoff::new(policy.retry_first, policy.retry_max, seed);
        Self { due: false, not_before: Monotonic(0), backoff }
    }

    fn may(&self, now: Monotonic) -> bool {
        now >= self.not_before
    }

    fn is_due(&self, now: Monotonic) -> bool {
        self.due && self.may(now)
    }

    /// It was tried; what asks for it again at once waits.
    fn tried(&mut self, now: Monotonic, done: bool, at_least: Option<Duration>) {
        self.due &= !done;
        let least = at_least.unwrap_or_default().min(limit::RETRY_AFTER_MAX);
        self.not_before = now.plus(least + self.backoff.next().unwrap_or_default());
    }

    fn reset(&mut self) {
        self.backoff.reset();
        self.not_before = Monotonic(0);
    }
}

/// How long between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPolicy {
    pub retry_first: Duration,
    pub retry_max: Duration,
}

/// See the module's head.
#[derive(Debug)]
pub struct Session {
    trust: Task,
    time: Task,
    renew: Task,
    rejoin: Task,
    trusted: Option<Monotonic>,
    challenged: Option<Monotonic>,
}

impl Session {
    /// `seed` makes the jitter; every device has its own.
    pub fn new(policy: SessionPolicy, seed: u64) -> Self {
        let task = |n| Task::new(&policy, seed.wrapping_add(n));
        let mut trust = task(1);
        trust.due = true;
        let steady = SessionPolicy { retry_first: REJOIN_EVERY, retry_max: REJOIN_EVERY };
        let rejoin = Task::new(&steady, seed.wrapping_add(4));
        Self { trust, time: task(2), renew: task(3), rejoin, trusted: None, challenged: None }
    }

    /// What is next.
    pub fn poll(&self, view: &SessionView) -> SessionStep {
        let now = view.now;
        let daily = self.trusted.is_some_and(|at| now.saturating_since(at) >= TRUST_EVERY);
        if self.trust.is_due(now) || (daily && self.trust.may(now)) {
            return SessionStep::Trust;
        }
        if self.time.is_due(now) {
            return SessionStep::Time;
        }
        let renew = self.renew.due || view.renew_at.is_some_and(|at| view.authority >= at);
        let tasks = [
            (renew && self.renew.may(now), SessionStep::Renew),
            (view.rejoin && self.rejoin.may(now), SessionStep::Rejoin),
        ];
        for (_, step) in tasks.into_iter().filter(|(due, _)| *due) {
            if self.is_challenged(now) {
                return step;
            }
            if self.time.may(now) {
                return SessionStep::Time;
            }
        }
        SessionStep::Deliver
    }

    /// How long delivery may wait before this is to be asked again.
    pub fn wait(&self, view: &SessionView) -> Duration {
        let renew = self.renew.due || view.renew_at.is_some_and(|at| view.authority >= at);
        // Without a challenge, time comes first.
        let before = if self.is_challenged(view.now) { Monotonic(0) } else { self.time.not_before };
        let open = [
            (self.trust.due, self.trust.not_before),
            (self.time.due, self.time.not_before),
            (renew, self.renew.not_before.max(before)),
            (view.rejoin, self.rejoin.not_before.max(before)),
        ];
        let waits = open.into_iter().filter(|(due, _)| *due).map(|(_, at)| at.saturating_since(view.now));
        waits.min().unwrap_or(TRUST_EVERY)
    }

    pub fn on(&mut self, now: Monotonic, event: SessionEvent) {
        match event {
            SessionEvent::Trusted { newer } => {
                self.trusted = Some(now);
                self.trust.tried(now, true, None);
                if newer {
                    // What failed by the old documents may work by the new ones.
                    [&mut self.time, &mut self.renew].into_iter().for_each(Task::reset);
                }
            }
            SessionEvent::Told { asked } => {
                self.challenged = Some(asked);
                // For a challenge only, the step that needs it says when next.
                if self.time.due {
                    self.time.tried(now, true, None);
                }
            }
            SessionEvent::Renewed => self.renew.tried(now, true, None),
            SessionEvent::NotApproved => self.rejoin.tried(now, true, Some(REJOIN_EVERY)),
            SessionEvent::Failed { step, retry_after } => self.failed(now, step, retry_after),
            SessionEvent::ServerRefused { dates } => {
                self.trust.due = true;
                self.time.due |= dates;
            }
            SessionEvent::ClientRefused => self.renew.due = true,
            SessionEvent::UnknownSigner => self.trust.due = true,
            SessionEvent::Undated => self.time.due = true,
            SessionEvent::Answered => {
                // Not the renewal: a new certificate that is refused as well must not lead to another.
                [&mut self.trust, &mut self.time].into_iter().for_each(Task::reset);
            }
        }
    }

    fn failed(&mut self, now: Monotonic, step: SessionStep, retry_after: Option<Duration>) {
        match step {
            SessionStep::Trust => self.trust.tried(now, false, retry_after),
            SessionStep::Time => self.time.tried(now, false, retry_after),
            SessionStep::Renew => self.renew.tried(now, false, retry_after),
            SessionStep::Rejoin => self.rejoin.tried(now, false, retry_after.max(Some(REJOIN_EVERY))),
            SessionStep::Deliver => {}
        }
        if matches!(step, SessionStep::Renew | SessionStep::Rejoin) {
            // Perhaps it was the challenge.
            self.challenged = None;
        }
    }

    /// Whether the challenge that is held will still be fresh when it arrives.
    pub fn is_challenged(&self, now: Monotonic) -> bool {
        self.challenged.is_some_and(|asked| now.saturating_since(asked) < CHALLENGE_USED_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(2);
    const POLICY: SessionPolicy = SessionPolicy { retry_first: FIRST, retry_max: Duration::from_mins(15) };

    fn at(now_s: u64) -> SessionView {
        SessionView {
            now: Monotonic(now_s * 1_000),
            authority: Timestamp::from_secs(1_000),
            renew_at: Some(Timestamp::from_secs(2_000)),
            rejoin: false,
        }
    }

    /// A session that asked for trust at its start, at zero.
    fn begun() -> Session {
        let mut session = Session::new(POLICY, 1);
        assert_eq!(session.poll(&at(0)), SessionStep::Trust);
        session.on(at(0).now, SessionEvent::Trusted { newer: false });
        session
    }

    #[test]
    fn after_a_long_absence_the_order_is_trust_time_renew_and_only_then_delivery() {
        let away = SessionView { authority: Timestamp::from_secs(9_000), ..at(0) };
        let mut session = begun();
        assert_eq!(session.poll(&away), SessionStep::Time, "a renewal needs a challenge");
        session.on(away.now, SessionEvent::Told { asked: away.now });
        assert_eq!(session.poll(&away), SessionStep::Renew);
        session.on(away.now, SessionEvent::Renewed);
        assert_eq!(session.poll(&at(0)), SessionStep::Deliver);
    }

    #[test]
    fn the_time_that_comes_may_show_that_no_renewal_is_needed() {
        let fast = SessionView { authority: Timestamp::from_secs(9_000_000), ..at(0) };
        let mut session = begun();
        assert_eq!(session.poll(&fast), SessionStep::Time);
        session.on(fast.now, SessionEvent::Told { asked: fast.now });
        assert_eq!(session.poll(&at(0)), SessionStep::Deliver);
    }

    #[test]
    fn what_fails_holds_up_nothing_and_comes_again_later_and_later() {
        let mut session = Session::new(POLICY, 1);
        let failed = |step| SessionEvent::Failed { step, retry_after: None };
        let mut now = at(0);
        for tries in 0..20 {
            assert_eq!(session.poll(&now), SessionStep::Trust, "try {tries}");
            session.on(now.now, failed(SessionStep::Trust));
            assert_eq!(session.poll(&now), SessionStep::Deliver);
            let wait = session.wait(&now);
            assert!(!wait.is_zero() && wait <= POLICY.retry_max);
            now.now = now.now.plus(wait);
        }
    }

    #[test]
    fn what_waits_for_a_challenge_waits_and_does_not_spin() {
        let mut session = begun();
        let due = SessionView { authority: Timestamp::from_secs(9_000), rejoin: true, ..at(0) };
        assert_eq!(session.poll(&due), SessionStep::Time);
        session.on(due.now, SessionEvent::Failed { step: SessionStep::Time, retry_after: None });
        assert_eq!(session.poll(&due), SessionStep::Deliver);
        assert!(!session.wait(&due).is_zero());
    }

    #[test]
    fn a_refused_certificate_and_an_unknown_signer_ask_once_each() {
        let later = at(60);
        let mut session = begun();
        session.on(later.now, SessionEvent::ServerRefused { dates: true });
        assert_eq!(session.poll(&later), SessionStep::Trust);
        session.on(later.now, SessionEvent::Trusted { newer: false });
        assert_eq!(session.poll(&later), SessionStep::Time);
        session.on(later.now, SessionEvent::Told { asked: later.now });
        // It is refused again at once: nothing is asked before a wait.
        session.on(later.now, SessionEvent::ServerRefused { dates: true });
        session.on(later.now, SessionEvent::UnknownSigner);
        assert_eq!(session.poll(&later), SessionStep::Deliver);
        assert!(session.wait(&later) > Duration::ZERO);

        session.on(later.now, SessionEvent::Answered);
        session.on(later.now, SessionEvent::ClientRefused);
        session.on(later.now, SessionEvent::Trusted { newer: true });
        session.on(later.now, SessionEvent::Told { asked: later.now });
        assert_eq!(session.poll(&later), SessionStep::Renew);
    }

    #[test]
    fn trust_is_asked_for_once_a_day() {
        let session = begun();
        assert_eq!(session.poll(&at(86_399)), SessionStep::Deliver);
        assert_eq!(session.poll(&at(86_400)), SessionStep::Trust);
    }

    #[test]
    fn a_rejoin_is_asked_about_once_a_minute_with_a_fresh_challenge_each() {
        let behind = |s| SessionView { rejoin: true, ..at(s) };
        let mut session = begun();
        let (mut asked, mut now) = (0, behind(0));
        while now.now.0 < 3_600_000 {
            match session.poll(&now) {
                SessionStep::Time => session.on(now.now, SessionEvent::Told { asked: now.now }),
                SessionStep::Rejoin => {
                    asked += 1;
                    session.on(now.now, SessionEvent::NotApproved);
                }
                SessionStep::Deliver => now.now = now.now.plus(Duration::from_secs(1)),
                SessionStep::Trust | SessionStep::Renew => panic!("not asked for"),
            }
        }
        assert!((50..=90).contains(&asked), "{asked} times in an hour");
    }

    #[test]
    fn renewal_is_due_at_two_thirds_give_or_take_a_tenth() {
        let life = Validity { not_before: Timestamp::EPOCH, not_after: Timestamp::from_secs(30_000) };
        let dues: Vec<i64> = (0..1_000).map(|seed| life.renew_at(seed).as_secs()).collect();
        assert_eq!((dues.iter().min(), dues.iter().max()), (Some(&18_000), Some(&21_990)));
        assert_eq!(life.renew_at(7), life.renew_at(7));
    }
}
