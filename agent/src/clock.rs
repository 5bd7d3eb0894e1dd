//! The device's clocks with what signed time says of them, for everything that judges by time: the
//! loops, the consent, TLS.
//!
//! Holds (I7): the wall clock is data. As a [`Clock`] this gives the time by which consent and
//! certificates are judged in the wall clock's place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tenken_agent_core::device_clock::DeviceClock;
use tenken_common::time::{Clock, ClockQuality, Moment, Timestamp};

/// See the module's head; clones share what they know.
#[derive(Clone)]
pub struct AuthorityClock {
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<DeviceClock>>,
}

impl AuthorityClock {
    /// `last_signed` is the latest time that is known to have passed already.
    pub fn new(clock: Arc<dyn Clock>, last_signed: Timestamp) -> Self {
        Self { clock, known: Arc::new(Mutex::new(DeviceClock::new(last_signed))) }
    }

    fn known(&self) -> MutexGuard<'_, DeviceClock> {
        // A plain value: it is whole even where a holder panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which consent and certificates are judged.
    pub fn authority(&self) -> Timestamp {
        self.known().authority(self.clock.now())
    }

    /// Server time minus wall time, as far as it is known.
    pub fn quality(&self, now: Moment) -> ClockQuality {
        self.known().quality(now)
    }

    /// An answer with signed time came: asked at `sent`, answered at `received`.
    pub fn on_signed_time(&self, sent: Moment, received: Moment, server: Timestamp) {
        self.known().on_signed_time(sent, received, server);
    }
}

impl Clock for AuthorityClock {
    fn now(&self) -> Moment {
        Moment { wall: self.authority(), ..self.clock.now() }
    }
}
