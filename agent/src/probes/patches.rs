//! Security patches: what is offered and not installed (SLA A7.1(1)①).
//!
//! Holds: nothing is refreshed, downloaded or installed; what the system's own index says is read.
//! An index that is older than configured makes the state `stale_index` whatever the counts say,
//! and where nobody can tell how old it is the state is unknown: no count of an old index is ever
//! called up to date. A reboot that is needed is said where the system says so.
//!
//! How long a patch has been pending: since it was published, where the source tells; apt does not, so
//! the device remembers since when it has seen that version offered, which counts where it is the
//! earlier of the two, and a patch that it sees for the first time counts from the index's date.

#[cfg(target_os = "linux")]
mod apt;
#[cfg(target_os = "linux")]
mod dnf;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
#[cfg(windows)]
mod windows;
#[cfg(any(windows, test))]
pub mod wua;
#[cfg(target_os = "linux")]
mod zypper;

#[cfg(target_os = "linux")]
use linux::look;
#[cfg(windows)]
use windows::look;

#[cfg(target_os = "linux")]
pub use apt::read as apt_counts;

use super::{every_day, fact};
use memory::Memory;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::HumanDuration,
    fact::{Fact, PatchSource, PatchState, PatchStatus},
    id::Name,
    observation::Observation,
    time::Timestamp,
};

/// `[probes.patches]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchSpec {
    /// An index that is older says nothing about today.
    pub index_max_age: HumanDuration,
}

impl Default for PatchSpec {
    fn default() -> Self {
        Self { index_max_age: HumanDuration(Duration::from_hours(7 * 24)) }
    }
}

/// See the module's head.
pub struct Patches {
    info: ProbeInfo,
    spec: PatchSpec,
    memory: Memory,
}

/// What a package manager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub source: PatchSource,
    pub system: Name,
    pub build: Option<Name>,
    /// `None`: it could not be told.
    pub pending: Option<Vec<Pending>>,
    /// Other than by the age of the index.
    pub state: PatchState,
    /// What it is called where the index is too old: `stale_index`, or why nobody renews it.
    pub stale_as: PatchState,
    pub index_at: Option<Timestamp>,
    pub applied_at: Option<Timestamp>,
    pub reboot_needed: Option<bool>,
}

/// An update that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Name and version, as the source writes them; they do not leave the device.
    pub update: String,
    pub security: bool,
    pub published_at: Option<Timestamp>,
}

impl Patches {
    pub fn new(spec: PatchSpec, memory_dir: Option<PathBuf>) -> Self {
        let info = every_day("patches", Category::Patch);
        Self { info, spec, memory: Memory::open(memory_dir.map(|folder| folder.join("patches.json"))) }
    }

    fn status(&mut self, seen: Seen, now: Timestamp) -> PatchStatus {
        let stale = seen.index_at.is_none_or(|at| now.saturating_since(at) > self.spec.index_max_age.0);
        let worth = match seen.state {
            PatchState::Known if seen.pending.is_none() => PatchState::Unknown,
            PatchState::Known if stale && seen.stale_as != PatchState::StaleIndex => seen.stale_as,
            PatchState::Known if seen.index_at.is_none() => PatchState::Unknown,
            PatchState::Known if stale => PatchState::StaleIndex,
            other @ (PatchState::Known
            | PatchState::StaleIndex
            | PatchState::Disabled
            | PatchState::Managed
            | PatchState::Unreachable
            | PatchState::Unknown) => other,
        };
        let first_seen = seen.index_at.map_or(now, |at| at.min(now));
        let told =
            seen.pending.as_ref().filter(|_| !matches!(worth, PatchState::Unknown | PatchState::Disabled));
        let security = |pending: &[Pending]| count(pending.iter().filter(|one| one.security).count());
        // What could not be read is remembered as it was.
        let oldest_at = seen.pending.as_ref().and_then(|pending| {
            let security: Vec<&Pending> = pending.iter().filter(|one| one.security).collect();
            self.memory.oldest(&security, first_seen)
        });
        PatchStatus {
            probe: Name::of_outside(self.info.name),
            source: seen.source,
            state: worth,
            pending: told.map(|pending| count(pending.len())),
            security: told.map(|pending| security(pending)),
            oldest_at,
            index_at: seen.index_at,
            applied_at: seen.applied_at,
            reboot_needed: seen.reboot_needed,
            system: seen.system,
            build: seen.build,
        }
    }
}

impl Probe for Patches {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let seen = look(self.info.timeout, cx.at.wall)?;
        let status = self.status(seen, cx.at.wall);
        Ok(vec![fact(&self.info, cx, Name::of_outside("os"), Fact::PatchStatus(status))])
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn pending(update: &str, security: bool) -> Pending {
        Pending { update: update.to_owned(), security, published_at: None }
    }

    fn seen(pending: Option<Vec<Pending>>, index_at: Option<Timestamp>) -> Seen {
        Seen {
            source: PatchSource::Apt,
            system: Name::of_outside("debian"),
            build: None,
            pending,
            state: PatchState::Known,
            stale_as: PatchState::StaleIndex,
            index_at,
            applied_at: None,
            reboot_needed: None,
        }
    }

    fn patches() -> Patches {
        Patches::new(PatchSpec::default(), None)
    }

    #[test]
    fn a_stale_index_is_never_up_to_date() {
        let old = patches().status(seen(Some(vec![]), Some(NOW.minus(DAY * 8))), NOW);
        assert_eq!((old.state, old.security), (PatchState::StaleIndex, Some(0)));
        let unknown_age = patches().status(seen(Some(vec![]), None), NOW);
        assert_eq!((unknown_age.state, unknown_age.security), (PatchState::Unknown, None));
        let unread = patches().status(seen(None, Some(NOW)), NOW);
        assert_eq!((unread.state, unread.pending), (PatchState::Unknown, None));
        let fresh = patches().status(seen(Some(vec![pending("a", false)]), Some(NOW.minus(DAY * 7))), NOW);
        assert_eq!((fresh.state, fresh.pending, fresh.security), (PatchState::Known, Some(1), Some(0)));
        assert_eq!(fresh.oldest_at, None);
    }

    #[test]
    fn what_is_pending_counts_from_when_it_was_first_offered() {
        let mut patches = patches();
        let day = |n: u32| NOW.plus(DAY * n);
        let oldest = |patches: &mut Patches, offered: &[&str], n: u32| {
            let offered = offered.iter().map(|update| pending(update, true)).collect();
            patches.status(seen(Some(offered), Some(day(n))), day(n)).oldest_at
        };
        assert_eq!(oldest(&mut patches, &["openssl 3.1"], 0), Some(day(0)));
        assert_eq!(oldest(&mut patches, &["openssl 3.1", "bash 5.3"], 2), Some(day(0)));
        assert_eq!(oldest(&mut patches, &["bash 5.3"], 4), Some(day(2)), "openssl was installed");
        assert_eq!(oldest(&mut patches, &["bash 5.4"], 6), Some(day(6)), "another version is another patch");
        assert_eq!(patches.status(seen(None, Some(day(7))), day(7)).oldest_at, None);
        assert_eq!(
            oldest(&mut patches, &["bash 5.4"], 8),
            Some(day(6)),
            "what was not read is not forgotten"
        );
        assert_eq!(oldest(&mut patches, &[], 9), None);
        let published = Pending { published_at: Some(day(1)), ..pending("KB5", true) };
        let status = patches.status(seen(Some(vec![published]), Some(day(9))), day(9));
        assert_eq!(status.oldest_at, Some(day(1)), "the source knows better");
    }

    #[test]
    fn this_machine_says_what_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let mut patches = Patches::new(PatchSpec::default(), Some(folder.path().to_owned()));
        match crate::probes::testing::run_here(&mut patches) {
            Ok(seen) => assert_eq!(seen.len(), 1),
            Err(ProbeError::Unsupported | ProbeError::Lacks(_) | ProbeError::NoData) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
}
