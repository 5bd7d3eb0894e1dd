//! What a device knows of the true time: its own clocks, and signed time from the collector.
//!
//! Holds (I7): wall time is data, never authority. Signed time counts only if it echoes the nonce
//! of the request (the caller checks that), and only for the boot in which it came; between two
//! answers the boot clock carries it on. Before there is one, no time from before this program
//! was built is believed.

use std::time::Duration;
use tenken_common::{
    id::BootId,
    time::{BUILT, ClockQuality, ClockSource, Moment, Monotonic, Timestamp},
};

/// A crystal that is off by more than this is broken (parts per million).
const DRIFT_PPM: u64 = 200;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct DeviceClock {
    anchor: Option<Anchor>,
    /// The latest signed time ever seen, also before a restart.
    last_signed: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    boot: BootId,
    /// The middle between request and answer.
    mono: Monotonic,
    server: Timestamp,
    half_trip: Duration,
}

impl DeviceClock {
    /// `last_signed` is what was stored before the restart.
    pub fn new(last_signed: Timestamp) -> Self {
        Self { anchor: None, last_signed }
    }

    /// An answer with signed time came: asked at `sent`, answered at `received`.
    pub fn on_signed_time(&mut self, sent: Moment, received: Moment, server: Timestamp) {
        self.last_signed = self.last_signed.max(server);
        if sent.boot != received.boot {
            return;
        }
        let half_trip = received.mono.saturating_since(sent.mono) / 2;
        let candidate = Anchor { boot: received.boot, mono: sent.mono.plus(half_trip), server, half_trip };
        let better = match &self.anchor {
            Some(old) if old.boot == candidate.boot => {
                candidate.uncertainty(received.mono) <= old.uncertainty(received.mono)
            }
            Some(_) | None => true,
        };
        if better {
            self.anchor = Some(candidate);
        }
    }

    /// Server time minus wall time, as far as it is known.
    pub fn quality(&self, now: Moment) -> ClockQuality {
        match self.anchor_of(now) {
            None => ClockQuality::UNKNOWN,
            Some(anchor) => ClockQuality {
                offset_ms: anchor.server_at(now.mono).micros_since(now.wall).div_euclid(1_000),
                uncertainty_ms: u32::try_from(anchor.uncertainty(now.mono).as_millis()).unwrap_or(u32::MAX),
                source: ClockSource::SignedTime,
            },
        }
    }

    /// The time by which consent and certificates are judged: signed time of this boot carried
    /// on, else the latest of wall, last signed time and the program's own date, so that turning
    /// the clock back gains nothing.
    pub fn authority(&self, now: Moment) -> Timestamp {
        match self.anchor_of(now) {
            Some(anchor) => anchor.server_at(now.mono),
            None => now.wall.max(self.last_signed).max(BUILT),
        }
    }

    pub fn last_signed(&self) -> Timestamp {
        self.last_signed
    }

    fn anchor_of(&self, now: Moment) -> Option<&Anchor> {
        self.anchor.as_ref().filter(|a| a.boot == now.boot)
    }
}

impl Anchor {
    fn server_at(&self, mono: Monotonic) -> Timestamp {
        self.server.plus(mono.saturating_since(self.mono))
    }

    fn uncertainty(&self, mono: Monotonic) -> Duration {
        let age_us = mono.saturating_since(self.mono).as_micros();
        let drift_us = age_us.saturating_mul(u128::from(DRIFT_PPM)) / 1_000_000;
        self.half_trip + Duration::from_micros(u64::try_from(drift_us).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: u8, mono_ms: u64, wall_s: i64) -> Moment {
        Moment { boot: BootId([boot; 16]), mono: Monotonic(mono_ms), wall: Timestamp::from_secs(wall_s) }
    }

    /// After the build date by so many seconds.
    fn built(s: i64) -> Timestamp {
        Timestamp::from_secs(BUILT.as_secs() + s)
    }

    #[test]
    fn without_signed_time_the_offset_is_unknown_and_the_past_is_no_authority() {
        let clock = DeviceClock::new(built(1_000));
        assert_eq!(clock.quality(moment(1, 5, 0)), ClockQuality::UNKNOWN);
        assert_eq!(clock.authority(moment(1, 5, 0)), built(1_000));
        assert_eq!(clock.authority(moment(1, 5, BUILT.as_secs() + 2_000)), built(2_000));
        assert_eq!(DeviceClock::new(Timestamp::MIN).authority(moment(1, 5, 0)), BUILT);
    }

    #[test]
    fn signed_time_gives_the_offset_within_half_the_trip() {
        let mut clock = DeviceClock::new(Timestamp::EPOCH);
        clock.on_signed_time(moment(1, 1_000, 0), moment(1, 1_200, 0), Timestamp::from_secs(5_000));
        let quality = clock.quality(moment(1, 1_100, 0));
        assert_eq!((quality.offset_ms, quality.uncertainty_ms), (5_000_000, 100));
        // The wall clock jumps; authority does not.
        assert_eq!(clock.authority(moment(1, 11_100, 9_999_999)), Timestamp::from_secs(5_010));
    }

    #[test]
    fn another_boot_knows_only_the_last_signed_time() {
        let mut clock = DeviceClock::new(Timestamp::EPOCH);
        clock.on_signed_time(moment(1, 0, 0), moment(1, 2, 0), built(5_000));
        assert_eq!(clock.quality(moment(2, 0, 0)), ClockQuality::UNKNOWN);
        assert_eq!(clock.authority(moment(2, 0, 0)), built(5_000));
    }

    #[test]
    fn a_slow_answer_does_not_replace_a_quick_one() {
        let mut clock = DeviceClock::new(Timestamp::EPOCH);
        clock.on_signed_time(moment(1, 0, 0), moment(1, 10, 0), Timestamp::from_secs(100));
        clock.on_signed_time(moment(1, 20, 0), moment(1, 60_020, 0), Timestamp::from_secs(999));
        assert!(clock.quality(moment(1, 60_020, 0)).uncertainty_ms < 100);
    }
}
