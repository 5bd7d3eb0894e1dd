//! Which package manager this Linux has, and what is the same for all of them.

use super::{Pending, Seen, apt, dnf, zypper};
use crate::probes::{
    command::{Command, CommandError},
    extract::timestamp,
    version,
};
use std::{path::Path, time::Duration};
use tenken_agent_core::probe::ProbeError;
use tenken_common::{
    fact::{PatchSource, PatchState},
    id::Name,
    time::Timestamp,
};

/// Asks the first package manager that is there.
pub fn look(timeout: Duration, _: Timestamp) -> Result<Seen, ProbeError> {
    let release = Release::read();
    let there = |program: &str| {
        ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
    };
    if there("apt-get") {
        return apt::look(&release, timeout);
    }
    if there("zypper") {
        return zypper::look(&release, timeout);
    }
    for program in ["dnf", "yum"] {
        if there(program) {
            return dnf::look(&release, program, timeout);
        }
    }
    Err(ProbeError::Unsupported)
}

/// `/etc/os-release` (os-release(5)).
#[derive(Debug, Clone)]
pub struct Release {
    pub system: Name,
    pub build: Option<Name>,
}

impl Release {
    pub fn read() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        Self::parse(&text.unwrap_or_default())
    }

    pub fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        };
        // Debian's own point release stands elsewhere only.
        let point = || std::fs::read_to_string("/etc/debian_version").ok();
        let system = field("ID").unwrap_or_else(|| "linux".to_owned());
        let build = match system.as_str() {
            "debian" => point().as_deref().and_then(version),
            _ => None,
        };
        Self { build: build.or_else(|| version(&field("VERSION_ID")?)), system: Name::of_outside(&system) }
    }
}

impl Seen {
    pub fn of(source: PatchSource, release: &Release) -> Self {
        Self {
            source,
            system: release.system.clone(),
            build: release.build.clone(),
            pending: None,
            state: PatchState::Known,
            stale_as: PatchState::StaleIndex,
            index_at: None,
            applied_at: None,
            reboot_needed: None,
        }
    }

    pub fn pending(self, pending: Option<Vec<Pending>>) -> Self {
        Self { pending, ..self }
    }
}

/// A package manager that ended in a way that its manual does not name is not believed.
pub fn answer(command: Command, timeout: Duration, good: &[i32]) -> Result<(i32, String), ProbeError> {
    let ended = command.run(timeout)?;
    if good.contains(&ended.code) { Ok((ended.code, ended.stdout)) } else { Err(Refused(ended.code).into()) }
}

#[derive(Debug, thiserror::Error)]
#[error("the package manager ended with code {0}")]
struct Refused(i32);

impl From<Refused> for ProbeError {
    fn from(e: Refused) -> Self {
        Self::Failed(Box::new(e))
    }
}

/// The newest of the files of a folder whose names fit.
pub fn newest(folder: &str, fits: impl Fn(&str) -> bool) -> Option<Timestamp> {
    let entries = std::fs::read_dir(folder).ok()?;
    let times = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let named = fits(entry.file_name().to_str()?);
        named.then(|| entry.metadata().ok()?.modified().ok()).flatten()
    });
    times.max().map(timestamp)
}

pub fn modified(path: &str) -> Option<Timestamp> {
    std::fs::metadata(path).ok()?.modified().ok().map(timestamp)
}

/// Whether a command that is not everywhere said yes or no by its exit code.
pub fn yes_or_no(command: Command, yes: i32, no: i32) -> Option<bool> {
    match command.run(Duration::from_secs(20)) {
        Ok(ended) if ended.code == yes => Some(true),
        Ok(ended) if ended.code == no => Some(false),
        Ok(_)
        | Err(
            CommandError::Missing(_)
            | CommandError::Start { .. }
            | CommandError::Read { .. }
            | CommandError::TooMuch { .. }
            | CommandError::TimedOut { .. }
            | CommandError::Signalled(_)
            | CommandError::Empty,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_a_system() {
        let alma = Release::parse("NAME=\"AlmaLinux\"\nID=\"almalinux\"\nVERSION_ID=\"9.4\"\n");
        assert_eq!((alma.system.as_str(), alma.build.unwrap().as_str()), ("almalinux", "9.4"));
        let none = Release::parse("");
        assert_eq!((none.system.as_str(), none.build), ("linux", None));
    }
}
