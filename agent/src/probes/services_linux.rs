//! Processes by name in `/proc` (proc_pid_comm(5), proc_pid_cmdline(5), proc_pid_stat(5)).
//!
//! Holds: a process is of a name if its `comm` is, or its program as called (`argv[0]`), or that
//! one's last part. Zombies do not run. Where `/proc` hides other users' processes (`hidepid`),
//! the first process is not visible, and nothing is called dead.
//!
//! Costs: in the steady state three small files per service, since a service is first looked for
//! where it was last; all of `/proc` only where one is not there any more.

use super::{ReadError, services::state};
use std::{collections::BTreeMap, fs, path::Path};
use tenken_common::observation::CheckState;

/// What the kernel keeps of a name in `comm`.
const COMM_BYTES: usize = 15;

/// Remembers where each process was last.
#[derive(Debug, Default)]
pub struct Source {
    last: BTreeMap<String, u32>,
}

impl Source {
    /// In the order of `wanted`.
    pub fn states(&mut self, wanted: &[&str]) -> Result<Vec<CheckState>, ReadError> {
        self.last.retain(|name, pid| Process::read(*pid).is_some_and(|p| p.runs_as(name)));
        if wanted.iter().any(|name| !self.last.contains_key(*name)) {
            self.search(wanted)?;
        }
        let complete = Path::new("/proc/1/comm").exists();
        Ok(wanted.iter().map(|name| state(self.last.contains_key(*name), complete)).collect())
    }

    fn search(&mut self, wanted: &[&str]) -> Result<(), ReadError> {
        let entries =
            fs::read_dir("/proc").map_err(|source| ReadError::File { path: "/proc".into(), source })?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for process in pids.filter_map(Process::read) {
            let missing = wanted.iter().filter(|name| !self.last.contains_key(**name));
            let found: Vec<_> = missing.filter(|name| process.runs_as(name)).collect();
            self.last.extend(found.into_iter().map(|name| ((*name).to_owned(), process.pid)));
        }
        Ok(())
    }
}

struct Process {
    pid: u32,
    comm: String,
}

impl Process {
    /// `None` where it has just ended.
    fn read(pid: u32) -> Option<Self> {
        let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
        Some(Self { pid, comm: String::from_utf8_lossy(&comm).trim_end_matches('\n').to_owned() })
    }

    fn runs_as(&self, name: &str) -> bool {
        let pid = self.pid;
        let file = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let named = self.comm == name || (may_be(&self.comm, name) && is_called(&file("cmdline"), name));
        named && !is_dead(&String::from_utf8_lossy(&file("stat")))
    }
}

/// Spares the command lines of processes that cannot be meant: `comm` is the first 15 bytes of
/// the program's own name, unless the process renamed itself or is a script.
fn may_be(comm: &str, name: &str) -> bool {
    let own = name.rsplit('/').next().unwrap_or(name);
    let start = own.as_bytes().get(..COMM_BYTES).unwrap_or(own.as_bytes());
    comm.as_bytes() == start
}

fn is_called(cmdline: &[u8], name: &str) -> bool {
    let called = cmdline.split(|byte| *byte == 0).next().unwrap_or_default();
    let last = called.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !called.is_empty() && (called == name.as_bytes() || last == name.as_bytes())
}

/// The state is the first field after the name, which may itself hold brackets and blanks.
fn is_dead(stat: &str) -> bool {
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, None | Some("Z" | "X" | "x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_longer_than_the_kernel_keeps() {
        assert!(may_be("node_exporter_l", "node_exporter_long"));
        assert!(may_be("node_exporter", "/usr/bin/node_exporter"));
        assert!(!may_be("node_exporter", "node_exporter_long"));
        assert!(!may_be("bash", "prometheus"));
    }

    #[test]
    fn the_called_program_is_compared_exactly() {
        let cmdline = b"/usr/bin/prometheus\0--config=/etc/p.yml\0";
        assert!(is_called(cmdline, "prometheus") && is_called(cmdline, "/usr/bin/prometheus"));
        for other in ["prom", "bin/prometheus", "--config=/etc/p.yml", "p.yml", ""] {
            assert!(!is_called(cmdline, other), "{other}");
        }
        assert!(!is_called(b"", "") && !is_called(b"\0", ""));
    }

    #[test]
    fn zombies_and_broken_lines_are_dead() {
        assert!(!is_dead("1234 (a) Z (b) S 1 1234 1234 0 -1"));
        assert!(is_dead("1234 (prometheus) Z 1 1234"));
        assert!(is_dead("") && is_dead("1234 (prometheus)"));
    }

    #[test]
    fn one_that_went_is_not_remembered() {
        let mut source = Source { last: [("no-such-process-here".to_owned(), std::process::id())].into() };
        assert_ne!(source.states(&["no-such-process-here"]).unwrap(), [CheckState::Ok]);
    }
}
