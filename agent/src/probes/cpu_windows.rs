//! Processor usage from `GetSystemTimes`.
//!
//! Holds: counters of another boot, or ones that went back, begin anew without a ratio.
//!
//! Does not: give load averages, waiting or stolen time, which Windows does not count.

use super::{ReadError, Reading, ratio, win32, win32::SystemTimes};
use tenken_agent_core::{probe::ProbeContext, record::to_f64};
use tenken_common::{id::BootId, unit::Unit};

/// Remembers the last counters.
#[derive(Debug, Default)]
pub struct Source {
    last: Option<(BootId, SystemTimes)>,
}

impl Source {
    pub fn read(&mut self, cx: &ProbeContext) -> Result<Reading, ReadError> {
        let call = |source| ReadError::Call { call: "GetSystemTimes", source };
        let times = win32::system_times().map_err(call)?;
        let processors = std::thread::available_parallelism().ok().and_then(|n| u64::try_from(n.get()).ok());
        let last = self.last.replace((cx.at.boot, times));
        let used = last.filter(|(boot, _)| *boot == cx.at.boot).and_then(|(_, last)| used(last, times));
        Ok(Reading::default().with("used_ratio", Unit::Ratio, used).with(
            "processors",
            Unit::Count,
            processors.map(to_f64),
        ))
    }
}

/// All but idle.
fn used(from: SystemTimes, to: SystemTimes) -> Option<f64> {
    let idle = to.idle.checked_sub(from.idle)?;
    let kernel = to.kernel.checked_sub(from.kernel)?;
    let all = kernel.checked_add(to.user.checked_sub(from.user)?)?;
    ratio(to_f64(all.checked_sub(idle)?), to_f64(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::at_ms;

    fn times(idle: u64, kernel: u64, user: u64) -> SystemTimes {
        SystemTimes { idle, kernel, user }
    }

    #[test]
    fn idle_is_part_of_the_kernels_time() {
        assert_eq!(used(times(100, 150, 50), times(160, 230, 70)), Some(0.4));
        assert_eq!(used(times(100, 150, 50), times(200, 250, 50)), Some(0.0));
    }

    #[test]
    fn counters_that_stand_still_or_go_back_have_no_ratio() {
        let t = times(100, 150, 50);
        assert_eq!(used(t, t), None);
        assert_eq!(used(t, times(99, 160, 60)), None);
        assert_eq!(used(t, times(180, 160, 60)), None, "more idle than there was time");
        assert_eq!(used(times(0, 0, 0), times(1, u64::MAX, 1)), None);
    }

    #[test]
    fn the_second_run_has_a_ratio_and_another_boot_has_not() {
        let names = |r: Reading| r.0.iter().map(|q| q.name.to_string()).collect::<Vec<_>>();
        let mut source = Source { last: Some((BootId([1; 16]), times(0, 0, 0))) };
        assert_eq!(names(source.read(&at_ms(0)).unwrap()), ["used_ratio", "processors"]);
        source.last = Some((BootId([9; 16]), times(0, 0, 0)));
        assert_eq!(names(source.read(&at_ms(0)).unwrap()), ["processors"]);
    }
}
