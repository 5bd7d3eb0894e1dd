//! The process's own processor time, memory and open files, from `/proc/self`, under the names
//! that every Prometheus client uses.
//!
//! Holds: what cannot be read is absent. On systems without `/proc` there is nothing.

use prometheus::{Counter, Gauge, Opts, Registry, proto::MetricFamily};
use std::fs;

/// Clock ticks a second in `/proc`: 100 on every architecture that this runs on, whatever the
/// kernel's own tick is (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    open_fds: Option<f64>,
    start_seconds: Option<f64>,
}

impl Process {
    fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_seconds: cpu_seconds(&stat),
            resident_bytes: keyed(&status, "VmRSS:").map(|kib| kib * 1024.0),
            // The folder's own descriptor is among them.
            open_fds: open.and_then(|n| u32::try_from(n.saturating_sub(1)).ok()).map(f64::from),
            start_seconds: start_seconds(&stat, &system),
        }
    }
}

/// Field `n` of `/proc/self/stat`, counted as in proc(5); the second, a name in parentheses, may
/// hold anything.
fn field(stat: &str, n: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(n.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    Some(keyed(system, "btime")? + field(stat, 22)? / TICKS_PER_SECOND)
}

fn keyed(text: &str, key: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

pub fn families() -> Vec<MetricFamily> {
    let process = Process::read();
    let registry = Registry::new();
    if let Some(seconds) = process.cpu_seconds {
        let opts =
            Opts::new("process_cpu_seconds_total", "Processor time spent, user and system, in seconds.");
        let counter = Counter::with_opts(opts).expect("a fixed, well-formed name");
        counter.inc_by(seconds);
        registry.register(Box::new(counter)).expect("a new registry");
    }
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory in bytes.", process.resident_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        (
            "process_start_time_seconds",
            "When the process started, seconds since 1970.",
            process.start_seconds,
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            let gauge = Gauge::with_opts(Opts::new(name, help)).expect("a fixed, well-formed name");
            gauge.set(value);
            registry.register(Box::new(gauge)).expect("a new registry");
        }
    }
    registry.gather()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_process_name_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1000 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(start_seconds(stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_010.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_them_all() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 1e6);
        assert!(process.open_fds.unwrap() >= 3.0);
        assert!(process.start_seconds.unwrap() > 1.7e9);
        assert_eq!(families().len(), 4);
    }
}
