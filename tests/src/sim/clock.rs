//! The clocks of a simulated device: a boot clock that counts, and a wall clock that may be
//! anything.
//!
//! Holds: true time is the world's, in milliseconds from its beginning; the collector's wall clock
//! is right.

use std::time::Duration;
use tenken_common::{
    id::BootId,
    time::{Moment, Monotonic, Timestamp},
};

/// When a world begins, on the collector's wall clock: 2026-11-01.
pub const BEGIN: Timestamp = Timestamp::from_secs(1_793_491_200);

/// See the module's head.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    pub boot: BootId,
    /// True time at which the boot clock was zero.
    pub booted_at: u64,
    /// Wall clock minus true time.
    pub wall_offset_us: i64,
}

impl SimClock {
    pub fn at(&self, now: u64) -> Moment {
        Moment {
            boot: self.boot,
            mono: Monotonic(now.saturating_sub(self.booted_at)),
            wall: server_at(now).plus_micros(self.wall_offset_us),
        }
    }
}

/// The collector's wall clock.
pub fn server_at(now: u64) -> Timestamp {
    BEGIN.plus(Duration::from_millis(now))
}
