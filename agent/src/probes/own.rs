//! What the agent itself costs: the numbers that the shell puts into the self report.
//!
//! Holds: a number that this system does not give is left out.

use super::Reading;
use tenken_agent_core::{budget::Spent, record::to_f64};
use tenken_common::unit::{Quantity, Unit};

/// `rss_bytes`, `cpu_seconds`, `children_cpu_seconds` (since the start), `threads`, `open_files` of this process.
#[cfg(target_os = "linux")]
pub fn read() -> Vec<Quantity> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu_ms = u64::try_from(cpu.tv_sec.saturating_mul(1_000).saturating_add(cpu.tv_nsec / 1_000_000)).ok();
    // One of them is the folder that is being counted.
    let files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
    let rss_kib = field(&status, "VmRSS");
    Reading::default()
        .with("rss_bytes", Unit::Bytes, rss_kib.map(|kib| to_f64(kib.saturating_mul(1_024))))
        .with("cpu_seconds", Unit::Seconds, cpu_ms.map(|ms| to_f64(ms) / 1_000.0))
        .with("children_cpu_seconds", Unit::Seconds, children_s(&stat))
        .with("threads", Unit::Count, field(&status, "Threads").map(to_f64))
        .with("open_files", Unit::Count, files.and_then(|n| u64::try_from(n).ok()).map(to_f64))
        .0
}

/// What this process and its children have cost, for the budget, of what was read; `None` where the
/// system does not tell.
pub fn spent(own: &[Quantity]) -> Option<Spent> {
    let value = |name: &str| own.iter().find(|q| q.name.as_str() == name).map(|q| q.value);
    let children_s = value("children_cpu_seconds").unwrap_or(0.0);
    Some(Spent { cpu_s: value("cpu_seconds")? + children_s, memory_bytes: value("rss_bytes")? })
}

/// `rss_bytes` and `cpu_seconds` (since the start) of this process.
#[cfg(windows)]
pub fn read() -> Vec<Quantity> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let pid = Pid::from_u32(std::process::id());
    let kind = ProcessRefreshKind::nothing().with_memory().with_cpu();
    let mut system = System::new().ok();
    let process = system.as_mut().and_then(|system| {
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
        system.process(pid)
    });
    Reading::default()
        .with("rss_bytes", Unit::Bytes, process.map(|p| to_f64(p.memory())))
        .with("cpu_seconds", Unit::Seconds, process.map(|p| to_f64(p.accumulated_cpu_time()) / 1_000.0))
        .0
}

/// Fields 16 and 17 of proc_pid_stat(5), in hundredths of a second (USER_HZ): of the children that
/// were waited for. The name before them may hold brackets and blanks.
#[cfg(target_os = "linux")]
fn children_s(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(f64::from(ticks()?.saturating_add(ticks()?)) / 100.0)
}

/// A number of proc_pid_status(5): `VmRSS:      5124 kB`.
#[cfg(target_os = "linux")]
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let own = read();
        let value = |name: &str| own.iter().find(|q| q.name.as_str() == name).map(|q| q.value);
        assert!(value("rss_bytes").unwrap() > 100_000.0);
        assert!(value("cpu_seconds").unwrap() >= 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn fields_of_a_captured_status() {
        let status = "Name:\ttenken-agent\nVmRSSx:\t1 kB\nVmRSS:\t    5124 kB\nThreads:\t4\nVmLck:\n";
        assert_eq!((field(status, "VmRSS"), field(status, "Threads")), (Some(5_124), Some(4)));
        assert_eq!([field(status, "VmLck"), field(status, "Name"), field("", "Threads")], [None; 3]);
        assert_eq!(read().len(), 5);
        let stat = "1 (a) b) S 1 1 1 0 -1 4 1 1 0 0 10 20 30 45 20 0 1";
        assert_eq!((children_s(stat), children_s("1 (a) S")), (Some(0.75), None));
    }
}
