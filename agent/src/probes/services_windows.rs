//! Processes by name where there is no `/proc`, through sysinfo.

use super::{ReadError, services::state};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tenken_common::observation::CheckState;

/// Keeps nothing between runs.
#[derive(Debug, Default)]
pub struct Source;

impl Source {
    /// In the order of `wanted`; names are compared without regard to case, as Windows does.
    #[expect(clippy::unused_self, reason = "the Linux source remembers")]
    pub fn states(&mut self, wanted: &[&str]) -> Result<Vec<CheckState>, ReadError> {
        let mut system = System::new().map_err(|_| ReadError::Form("the list of processes"))?;
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
        // Only asked whether any is of a name: their order does not matter.
        let runs = |name: &str| {
            system.processes_by_exact_name(name.as_ref()).next().is_some()
                || system
                    .processes_by_name(name.as_ref())
                    .any(|p| p.name().to_string_lossy().eq_ignore_ascii_case(name))
        };
        let complete = system.processes_by_name("".as_ref()).next().is_some();
        Ok(wanted.iter().map(|name| state(runs(name), complete)).collect())
    }
}
