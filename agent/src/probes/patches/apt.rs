//! Debian and its children: `apt-get --simulate dist-upgrade`, which reads the index that is there
//! and changes nothing (apt-get(8)).

use super::{
    Pending, Seen,
    linux::{Release, answer, modified, newest},
};
use crate::probes::command::Command;
use std::{path::Path, time::Duration};
use tenken_agent_core::probe::ProbeError;
use tenken_common::{fact::PatchSource, time::Timestamp};

const LISTS: &str = "/var/lib/apt/lists";
/// Written by `apt-get update` where APT::Periodic is set up.
const UPDATED: &str = "/var/lib/apt/periodic/update-success-stamp";

pub fn look(release: &Release, timeout: Duration) -> Result<Seen, ProbeError> {
    // Without the lock another apt-get is neither waited for nor disturbed.
    let command = Command::new("apt-get").args(["-s", "-q", "-o", "Debug::NoLocking=true", "dist-upgrade"]);
    let (_, printed) = answer(command, timeout, &[0])?;
    let mut seen = Seen::of(PatchSource::Apt, release).pending(pending(&printed));
    // A list keeps the date of its server; the folder's own, that of the last update.
    let lists = newest(LISTS, |name| name.ends_with("Release")).and_then(|_| modified(LISTS));
    seen.index_at = lists.max(modified(UPDATED));
    seen.applied_at = newest("/var/log/apt", |name| name.starts_with("history.log"))
        .and_then(|_| std::fs::read_to_string("/var/log/apt/history.log").ok())
        .and_then(|text| last_end(&text));
    seen.reboot_needed =
        Some(["/run/reboot-required", "/var/run/reboot-required"].iter().any(|p| Path::new(p).exists()));
    Ok(seen)
}

/// `Inst bash [5.2] (5.3 Debian:12.15/stable, Debian-Security:12/stable-security [amd64]) []`;
/// `None` for what is no answer of apt-get.
fn pending(printed: &str) -> Option<Vec<Pending>> {
    let line = |line: &str| {
        let (head, offer) = line.strip_prefix("Inst ")?.split_once('(')?;
        let name = head.split(' ').next().filter(|name| !name.is_empty())?;
        // Without the version that is installed it is something new that an update needs.
        let offer = offer.split_once(')').map_or(offer, |(offer, _)| offer);
        let (version, origins) = offer.split_once(' ')?;
        let security = origins.split(", ").any(is_security);
        Some(Pending { update: format!("{name} {version}"), security, published_at: None })
    };
    printed.starts_with("Reading package lists").then(|| printed.lines().filter_map(line).collect())
}

/// `Debian-Security:12/stable-security`, `Ubuntu:22.04/jammy-security`
fn is_security(origin: &str) -> bool {
    let (source, suite) = origin.split_once('/').unwrap_or((origin, ""));
    let suite = suite.split(' ').next().unwrap_or_default();
    source.starts_with("Debian-Security:")
        || suite.ends_with("-security")
        || suite.ends_with("-apps-security")
}

/// `End-Date: 2026-11-23  09:00:00`, in the device's own zone, which is Japan's.
fn last_end(text: &str) -> Option<Timestamp> {
    let last = text.lines().filter_map(|line| line.strip_prefix("End-Date: ")).next_back()?;
    tenken_common::time::instant_of(last.trim(), "%Y-%m-%d  %H:%M:%S")
}

/// What a conformance run needs: pending updates and those of security.
pub fn read(printed: &str) -> Option<(usize, usize)> {
    let pending = pending(printed)?;
    let security = pending.iter().filter(|one| one.security).count();
    Some((pending.len(), security))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Reading package lists...
Building dependency tree...
The following packages will be upgraded:
  bash libssl3 tzdata
Inst bash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
Inst libssl3 [3.0.1] (3.0.2 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []
Inst linux-image-6.1.0-40 (6.1.150-1 Debian-Security:12/oldstable-security [amd64])
Inst tzdata [1] (2 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [all])
Conf bash (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
";

    #[test]
    fn offers_with_and_without_security() {
        let all = pending(PRINTED).unwrap();
        let shown: Vec<_> = all.iter().map(|p| (p.update.as_str(), p.security)).collect();
        let expected = [
            ("bash 5.2.15-2+b13", false),
            ("libssl3 3.0.2", true),
            ("linux-image-6.1.0-40 6.1.150-1", true),
            ("tzdata 2", true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(pending("Reading package lists...\n0 upgraded"), Some(vec![]));
        assert_eq!(pending("E: Could not open file"), None, "an error is not nothing pending");
        assert_eq!(pending(""), None);
    }

    #[test]
    fn the_last_time_that_something_was_installed() {
        let log = "Start-Date: x\nEnd-Date: 2026-11-20  09:00:00\n\nEnd-Date: 2026-11-23  09:00:01\n";
        assert_eq!(last_end(log).unwrap().to_string(), "2026-11-23T00:00:01Z");
        assert_eq!(last_end("End-Date: yesterday\n"), None);
    }
}
