//! Red Hat and its relatives: `dnf -C updateinfo list --updates`, which reads the cache that is there
//! (dnf(8)); old systems call it yum.
//!
//! Holds: a repository without update information (as CentOS Linux has) cannot tell security from
//! the rest, so there the security count would be zero for ever: where updates are pending and none
//! is described by an advisory, the state is unknown.

use super::{
    Pending, Seen,
    linux::{Release, answer, modified, newest, yes_or_no},
};
use crate::probes::command::Command;
use std::{collections::BTreeSet, time::Duration};
use tenken_agent_core::probe::ProbeError;
use tenken_common::fact::{PatchSource, PatchState};

pub fn look(release: &Release, program: &str, timeout: Duration) -> Result<Seen, ProbeError> {
    let run = |args: &[&str], good: &[i32]| {
        answer(Command::new(program).args(["-C", "-q"]).args(args), timeout, good)
    };
    // 100: updates are there.
    let (_, offered) = run(&["check-update"], &[0, 100])?;
    let (_, advisories) = run(&["updateinfo", "list", "--updates"], &[0])?;
    let offered = updates(&offered);
    let described = security(&advisories);
    let mut seen = Seen::of(PatchSource::Dnf, release);
    if !offered.is_empty() && advisories.trim().is_empty() {
        seen.state = PatchState::Unknown;
    }
    seen.pending = Some(join(offered, &described));
    seen.index_at = newest("/var/cache/dnf", |name| name == "last_makecache" || is_solv(name))
        .max(modified("/var/cache/yum/timedhosts"));
    seen.applied_at = modified("/var/lib/rpm/Packages").max(modified("/var/lib/rpm/rpmdb.sqlite"));
    // needs-restarting(1): 1 where a reboot is needed.
    seen.reboot_needed = yes_or_no(Command::new("needs-restarting").args(["-r"]), 1, 0);
    Ok(seen)
}

/// libsolv's form of a repository.
fn is_solv(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, kind)| kind == "solv")
}

/// `bash.x86_64    5.1.8-9.el9    baseos`, until the packages that would be replaced.
fn updates(printed: &str) -> Vec<String> {
    let lines = printed.lines().take_while(|line| !line.starts_with("Obsoleting"));
    let update = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version, repository) = (words.next()?, words.next()?, words.next()?);
        let (name, architecture) = name.rsplit_once('.')?;
        let whole = words.next().is_none() && !repository.is_empty();
        whole.then(|| format!("{name}-{version}.{architecture}"))
    };
    lines.filter_map(update).collect()
}

/// `RHSA-2026:123 Important/Sec. bash-5.1.8-9.el9.x86_64`
fn security(printed: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (_, severity, package) = (words.next()?, words.next()?, words.next()?);
        (severity.ends_with("Sec.") || severity == "security").then(|| without_epoch(package))
    };
    printed.lines().filter_map(line).collect()
}

/// An advisory leaves the epoch out, `check-update` does not.
fn without_epoch(package: &str) -> String {
    match package.rsplit_once('-').and_then(|(head, release)| Some((head.rsplit_once('-')?, release))) {
        Some(((name, version), release)) => {
            let version = version.split_once(':').map_or(version, |(_, version)| version);
            format!("{name}-{version}-{release}")
        }
        None => package.to_owned(),
    }
}

fn join(offered: Vec<String>, described: &BTreeSet<String>) -> Vec<Pending> {
    let mut all: Vec<Pending> = offered
        .into_iter()
        .map(|update| {
            let security = described.contains(&without_epoch(&update));
            Pending { update, security, published_at: None }
        })
        .collect();
    // An advisory whose package was replaced by a newer one that is no security fix is still pending.
    let covered: BTreeSet<String> =
        all.iter().filter(|p| p.security).map(|p| without_epoch(&p.update)).collect();
    let rest = described.iter().filter(|package| !covered.contains(*package));
    all.extend(rest.map(|package| Pending { update: package.clone(), security: true, published_at: None }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: &str = "
bash.x86_64                 5.1.8-9.el9            baseos
openssl-libs.x86_64         1:3.0.7-27.el9         baseos
Obsoleting Packages
grub2-tools.x86_64          1:2.06-80.el9          baseos
";

    #[test]
    fn security_is_what_an_advisory_says() {
        let advisories = "RHBA-2026:1 bugfix bash-5.1.8-9.el9.x86_64\nRHSA-2026:2 Important/Sec. openssl-libs-3.0.7-27.el9.x86_64\n\
            RHSA-2026:3 Moderate/Sec. kernel-5.14.0-400.el9.x86_64\n";
        let all = join(updates(OFFERED), &security(advisories));
        let shown: Vec<_> = all.iter().map(|p| (p.update.as_str(), p.security)).collect();
        let expected = [
            ("bash-5.1.8-9.el9.x86_64", false),
            ("openssl-libs-1:3.0.7-27.el9.x86_64", true),
            ("kernel-5.14.0-400.el9.x86_64", true),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn other_lines_are_no_updates() {
        for text in [
            "",
            "Last metadata expiration check: 0:12 ago\n",
            "a.b\n",
            "one two three\n",
            "Error: no cache\n",
        ] {
            assert!(updates(text).is_empty(), "{text}");
        }
    }
}
