//! The device's wall clock against its own monotonic clock, and whether a time service keeps it.
//!
//! Holds: `jump_seconds` is how much further the wall clock went than time did since the last
//! run of the same boot, rounded to milliseconds; slewing shows as a little, setting the clock
//! as all of it. `synchronised` is 1 where systemd-timesyncd has reached a server in this boot,
//! 0 where it runs and has not. Other time services leave no such marker (chrony and ntpd tell
//! the kernel alone, which no safe library asks), so there the quantity is left out.
//!
//! Does not: judge. The offset to signed time is measured where acknowledgements come in.

use super::{DEVICE_SUBJECT, Reading, every_minute};
use std::path::Path;
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    observation::Observation,
    time::{Moment, Timestamp},
    unit::Unit,
};

/// Made by systemd-timesyncd; see systemd-timesyncd.service(8).
const TIMESYNC: &str = "/run/systemd/timesync";

/// See the module's head.
pub struct Clock {
    info: ProbeInfo,
    last: Option<Moment>,
}

impl Clock {
    pub fn new() -> Self {
        Self { info: every_minute("clock", Category::Clock), last: None }
    }
}

impl Probe for Clock {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let jump = self.last.replace(cx.at).and_then(|last| jump_s(last, cx.at));
        let synchronised = is_synchronised(Path::new(TIMESYNC)).map(|yes| f64::from(u8::from(yes)));
        let reading = Reading::default().with("jump_seconds", Unit::Seconds, jump).with(
            "synchronised",
            Unit::Count,
            synchronised,
        );
        reading.of(&self.info, cx, DEVICE_SUBJECT).map(|o| vec![o]).ok_or(ProbeError::NoData)
    }
}

fn jump_s(from: Moment, to: Moment) -> Option<f64> {
    if from.boot != to.boot || to.mono < from.mono {
        return None;
    }
    let real = to.mono.saturating_since(from.mono);
    let jump_us = to.wall.micros_since(from.wall.plus(real));
    let rounded_us = jump_us.saturating_add(500).div_euclid(1_000).saturating_mul(1_000);
    Some(Timestamp::from_micros(rounded_us).as_secs_f64())
}

/// `None` where systemd-timesyncd does not run.
fn is_synchronised(timesync: &Path) -> Option<bool> {
    timesync.is_dir().then(|| timesync.join("synchronized").exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{at_ms, value};
    use tenken_common::id::BootId;

    #[test]
    fn a_jump_shows_and_passing_time_does_not() {
        let mut clock = Clock::new();
        let _ = clock.run(&at_ms(0));
        let same = clock.run(&at_ms(60_000)).unwrap();
        assert_eq!(value(&same[0], "jump_seconds"), Some(0.0));
        let mut cx = at_ms(120_000);
        cx.at.wall = cx.at.wall.plus_micros(-3_600_000_400);
        let back = clock.run(&cx).unwrap();
        assert_eq!(value(&back[0], "jump_seconds"), Some(-3_600.0));
    }

    #[test]
    fn another_boot_is_no_jump() {
        let (from, mut to) = (at_ms(50_000).at, at_ms(60_000).at);
        to.boot = BootId([2; 16]);
        assert_eq!(jump_s(from, to), None);
        assert_eq!(jump_s(at_ms(5).at, at_ms(4).at), None);
    }

    #[test]
    fn the_marker_decides() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(is_synchronised(&folder.path().join("none")), None);
        assert_eq!(is_synchronised(folder.path()), Some(false));
        std::fs::write(folder.path().join("synchronized"), "").unwrap();
        assert_eq!(is_synchronised(folder.path()), Some(true));
    }
}
