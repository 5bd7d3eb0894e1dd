//! Services and processes by name: the service control manager and the list of processes.
//!
//! Holds: a name is that of a process (`pacs.exe`) or of a service (`PacsServer`), compared without
//! regard to case, as Windows does. A service counts where the manager says Running; one that
//! starts or stops does not run.

use super::{ReadError, services::state};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
use tenken_common::observation::CheckState;
use windows_service::{
    service::{ServiceAccess, ServiceState},
    service_manager::{ServiceManager, ServiceManagerAccess},
};

/// Keeps nothing between runs.
#[derive(Debug, Default)]
pub struct Source {}

impl Source {
    /// In the order of `wanted`.
    #[expect(clippy::unused_self, reason = "the Linux source remembers")]
    pub fn states(&mut self, wanted: &[&str]) -> Result<Vec<CheckState>, ReadError> {
        let mut system = System::new().map_err(|_| ReadError::Form("the list of processes"))?;
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, ProcessRefreshKind::nothing());
        // Every name contains the empty one.
        let names = || system.processes_by_name("".as_ref()).map(|p| p.name().to_string_lossy());
        let process = |wanted: &str| names().any(|name| name.eq_ignore_ascii_case(wanted));
        let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).ok();
        let complete = names().next().is_some() && manager.is_some();
        let runs =
            |name: &str| process(name) || manager.as_ref().is_some_and(|manager| service(manager, name));
        Ok(wanted.iter().map(|name| state(runs(name), complete)).collect())
    }
}

/// A service that is not there does not run; one whose state this account may not ask is looked
/// for by its process only.
fn service(manager: &ServiceManager, name: &str) -> bool {
    let status = manager.open_service(name, ServiceAccess::QUERY_STATUS).and_then(|s| s.query_status());
    status.is_ok_and(|status| status.current_state == ServiceState::Running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread::sleep, time::Duration};

    /// A manager that has just begun may still be starting its services.
    fn let_run(name: &str) {
        let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).unwrap();
        let mut looks = (0..300).inspect(|_| sleep(Duration::from_millis(100)));
        assert!(looks.any(|_| service(&manager, name)), "{name} does not run after 30 s");
    }

    #[test]
    fn services_are_asked_of_their_manager() {
        let_run("PlugPlay");
        let got = Source::default().states(&["PlugPlay", "no-such-service"]).unwrap();
        assert_eq!(got, [CheckState::Ok, CheckState::Critical]);
    }
}
