//! `/proc/stat` and `/proc/loadavg` (proc_stat(5), proc_loadavg(5)).
//!
//! Holds: counters of another boot, or ones that went back, begin anew without ratios.

use super::{ReadError, Reading, ratio, read};
use tenken_agent_core::{probe::ProbeContext, record::to_f64};
use tenken_common::{id::BootId, unit::Unit};

/// Remembers the last counters.
#[derive(Debug, Default)]
pub struct Source {
    last: Option<(BootId, Times)>,
}

/// Clock ticks of all processors together since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// user, nice, system, irq, softirq; a guest's time is part of user's.
    busy: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

impl Source {
    pub fn read(&mut self, cx: &ProbeContext) -> Result<Reading, ReadError> {
        let (times, processors) = parse_stat(&read("/proc/stat")?).ok_or(ReadError::Form("/proc/stat"))?;
        let loads = parse_loads(&read("/proc/loadavg")?).ok_or(ReadError::Form("/proc/loadavg"))?;
        let [one, five, fifteen] = loads;
        let last = self.last.replace((cx.at.boot, times));
        let ratios = last.filter(|(boot, _)| *boot == cx.at.boot).and_then(|(_, last)| ratios(last, times));
        Ok(Reading::default()
            .with("used_ratio", Unit::Ratio, ratios.map(|r| r.used))
            .with("iowait_ratio", Unit::Ratio, ratios.map(|r| r.iowait))
            .with("steal_ratio", Unit::Ratio, ratios.map(|r| r.steal))
            .with("load1", Unit::Count, one)
            .with("load5", Unit::Count, five)
            .with("load15", Unit::Count, fifteen)
            .with("processors", Unit::Count, to_f64(processors)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratios {
    /// All but idle and waiting for I/O; what the hypervisor stole counts as used.
    used: f64,
    iowait: f64,
    steal: f64,
}

fn ratios(from: Times, to: Times) -> Option<Ratios> {
    let busy = to.busy.checked_sub(from.busy)?;
    let steal = to.steal.checked_sub(from.steal)?;
    // The kernel's documentation says that these two may go back a little.
    let idle = to.idle.saturating_sub(from.idle);
    let iowait = to.iowait.saturating_sub(from.iowait);
    let all = to_f64(busy.checked_add(steal)?.checked_add(idle)?.checked_add(iowait)?);
    Some(Ratios {
        used: ratio(to_f64(busy + steal), all)?,
        iowait: ratio(to_f64(iowait), all)?,
        steal: ratio(to_f64(steal), all)?,
    })
}

/// The sum over all processors, and how many are online.
fn parse_stat(text: &str) -> Option<(Times, u64)> {
    let mut lines = text.lines();
    let mut sum = lines.next()?.split_ascii_whitespace();
    if sum.next()? != "cpu" {
        return None;
    }
    let fields = sum.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = fields[..] else { return None };
    let busy = [user, nice, system, irq, softirq].into_iter().try_fold(0u64, u64::checked_add)?;
    let processors = lines.take_while(|line| line.starts_with("cpu")).fold(0, |n, _| n + 1);
    (processors > 0).then_some((Times { busy, idle, iowait, steal }, processors))
}

fn parse_loads(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_ascii_whitespace();
    let mut next = || fields.next()?.parse::<f64>().ok().filter(|load| load.is_finite() && *load >= 0.0);
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  69993 0 11446 316728 895 0 79 25 0 0\n\
        cpu0 34193 0 5176 160017 153 0 17 13 0 0\n\
        cpu1 35799 0 6270 156711 741 0 62 12 0 0\n\
        intr 4208317 0 0 0\nctxt 9063467\nbtime 1795400000\n";

    fn times(busy: u64, idle: u64, iowait: u64, steal: u64) -> Times {
        Times { busy, idle, iowait, steal }
    }

    #[test]
    fn a_captured_stat() {
        assert_eq!(parse_stat(STAT), Some((times(81_518, 316_728, 895, 25), 2)));
    }

    #[test]
    fn broken_stats_give_nothing() {
        let cut = STAT.find("895").unwrap();
        for text in ["", "cpu", "cpu 1 2 3", "intr 1", "cpu  1 2 3 4 5 6 7 x\ncpu0", &STAT[..cut]] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
        let large = u64::MAX;
        assert_eq!(parse_stat(&format!("cpu {large} {large} 1 1 1 1 1 1\ncpu0")), None);
    }

    #[test]
    fn ratios_are_of_the_time_between() {
        let got = ratios(times(100, 1_000, 50, 0), times(130, 1_050, 60, 10)).unwrap();
        assert_eq!(got, Ratios { used: 0.4, iowait: 0.1, steal: 0.1 });
    }

    #[test]
    fn counters_that_stand_still_or_go_back_have_no_ratio() {
        let t = times(100, 1_000, 50, 0);
        assert_eq!(ratios(t, t), None);
        assert_eq!(ratios(t, times(99, 1_100, 50, 0)), None);
        let iowait_back = Ratios { used: 0.1, iowait: 0.0, steal: 0.0 };
        assert_eq!(ratios(t, times(110, 1_090, 49, 0)), Some(iowait_back), "iowait may");
        assert_eq!(ratios(times(0, 0, 0, 0), times(u64::MAX, 1, 0, 0)), None);
    }

    #[test]
    fn loads() {
        assert_eq!(parse_loads("0.37 0.24 0.29 1/92 21160\n"), Some([0.37, 0.24, 0.29]));
        for text in ["", "0.37 0.24", "a b c", "nan 1 1", "-1 0 0"] {
            assert_eq!(parse_loads(text), None, "{text}");
        }
    }

    #[test]
    fn the_second_run_has_ratios_and_another_boot_has_not() {
        use crate::probes::testing::at_ms;
        let mut source = Source { last: Some((BootId([1; 16]), times(0, 0, 0, 0))) };
        let names = |r: Reading| r.0.iter().map(|q| q.name.to_string()).collect::<Vec<_>>();
        assert!(names(source.read(&at_ms(0)).unwrap()).contains(&"used_ratio".to_owned()));
        source.last = Some((BootId([9; 16]), times(0, 0, 0, 0)));
        assert!(!names(source.read(&at_ms(0)).unwrap()).contains(&"used_ratio".to_owned()));
    }
}
