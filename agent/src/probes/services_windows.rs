//! Processes by name where there is no `/proc`, through sysinfo.

use super::{ReadError, services::state};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tenken_common::observation::CheckState;

/// Keeps nothing between runs.
#[derive(Debug, Default)]
pub struct Source {}

impl Source {
    /// In the order of `wanted`; names are compared without regard to case, as Windows does, and
    /// with their `.exe`.
    #[expect(clippy::unused_self, reason = "the Linux source remembers")]
    pub fn states(&mut self, wanted: &[&str]) -> Result<Vec<CheckState>, ReadError> {
        let mut system = System::new().map_err(|_| ReadError::Form("the list of processes"))?;
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
        // Every name contains the empty one.
        let names = || system.processes_by_name("".as_ref()).map(|p| p.name().to_string_lossy());
        let runs = |wanted: &str| names().any(|name| name.eq_ignore_ascii_case(wanted));
        let complete = names().next().is_some();
        Ok(wanted.iter().map(|name| state(runs(name), complete)).collect())
    }
}
