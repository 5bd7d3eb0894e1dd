//! Windows: the Windows Update Agent, and the registry for policy and build.

use super::{
    Seen,
    wua::{self, Policy, Version},
};
use crate::probes::win32::update_agent;
use std::time::Duration;
use tenken_agent_core::probe::ProbeError;
use tenken_common::{id::Name, time::Timestamp};
use windows_registry::{Key, LOCAL_MACHINE};

const POLICY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";
const SERVICE: &str = r"SYSTEM\CurrentControlSet\Services\wuauserv";
const VERSION: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
/// Of a service's `Start`.
const DISABLED: u32 = 4;

/// The runner bounds it: a search that hangs costs this probe only.
pub fn look(_: Duration, now: Timestamp) -> Result<Seen, ProbeError> {
    wua::read(update_agent::ask()?, policy(), build(), now)
}

fn policy() -> Policy {
    let (all, automatic) = (key(POLICY), key(&format!(r"{POLICY}\AU")));
    let set = |key: &Option<Key>, name: &str| number(key.as_ref(), name) == Some(1);
    let server = all.as_ref().and_then(|all| all.get_string("WUServer").ok());
    let service = key(SERVICE);
    Policy {
        wsus: set(&automatic, "UseWUServer") && server.is_some_and(|server| !server.trim().is_empty()),
        off: set(&automatic, "NoAutoUpdate")
            || set(&all, "DisableWindowsUpdateAccess")
            || number(service.as_ref(), "Start") == Some(DISABLED),
    }
}

fn build() -> Option<Name> {
    let version = key(VERSION)?;
    let (number, text) = (|name| number(Some(&version), name), |name| version.get_string(name).ok());
    let version = Version {
        major: number("CurrentMajorVersionNumber"),
        minor: number("CurrentMinorVersionNumber"),
        before: text("CurrentVersion"),
        build: text("CurrentBuildNumber"),
        revision: number("UBR"),
    };
    version.name()
}

fn key(path: &str) -> Option<Key> {
    LOCAL_MACHINE.open(path).ok()
}

fn number(key: Option<&Key>, name: &str) -> Option<u32> {
    key?.get_u32(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_build() {
        let build = build().unwrap();
        assert!(build.as_str().split('.').count() >= 3, "{build}");
        assert!(!policy().wsus);
    }
}
