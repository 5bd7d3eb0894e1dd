//! What the Windows Update Agent's answers mean.
//!
//! Holds: the search is offline, so its counts are worth what the last successful search of Windows
//! itself is worth; how old that may be is the same for every system. Where it is too old, or the
//! search is refused, who decides about updates is the state: `managed` where a server of the
//! hospital (WSUS) does, `disabled` where they are switched off by policy or service. Under WSUS, what
//! counts is what that server offers. An update that another offered one supersedes is not pending.
//! A title is never read: Microsoft renames them.
//!
//! An update whose categories cannot be read makes all of it unknown, since it may be the one of
//! security, and so does a search that came to its end with errors, since its list may be short.
//! Antivirus definitions are updates too; they count as offered, and not as applied.
//!
//! Limit: Windows does not offer every cumulative update to a search that does not ask for it by name
//! (seen on Windows 11 24H2); the build tells then what is missing.

use super::{Pending, Seen};
use crate::probes::com::{ComError, Variant, of_ole};
use std::{collections::BTreeSet, time::Duration};
use tenken_agent_core::probe::ProbeError;
use tenken_common::{
    fact::{PatchSource, PatchState},
    id::Name,
    time::Timestamp,
};

/// Of an update's categories, as their ids (Microsoft's documentation of WSUS classifications).
const SECURITY_UPDATES: &str = "0fa1201d-4330-4fa8-8ae9-b877473b6441";
const DEFINITION_UPDATES: &str = "e0789628-ce08-4437-be74-2495b842f43b";
/// The product of Defender's own updates, which come several times a day.
const DEFENDER: &str = "8c3fcc84-7410-4a95-8b89-a166a0190486";
/// `uoInstallation`
const INSTALLATION: i32 = 1;
/// `orcSucceeded`, of a search.
const WHOLE: i32 = 2;
/// `orcSucceeded`, `orcSucceededWithErrors`
const SUCCEEDED: [i32; 2] = [2, 3];
/// A clock that is a little behind its server's is no fault of the dates.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// Updates are switched off: ERROR_SERVICE_DISABLED, WU_E_WU_DISABLED, WU_E_AU_NOSERVICE.
const DISABLED: [u32; 3] = [0x8007_0422, 0x8024_002E, 0x8024_A000];
/// Nobody could be asked: WU_E_NO_CONNECTION, WU_E_PT_WINHTTP_NAME_NOT_RESOLVED,
/// WU_E_PT_ENDPOINT_UNREACHABLE, WU_E_PT_HTTP_STATUS_REQUEST_TIMEOUT, WU_E_PT_HTTP_STATUS_SERVER_ERROR,
/// WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL, and WinINet's timed out, name not resolved, cannot connect,
/// connection aborted.
const UNREACHABLE: [u32; 10] = [
    0x8024_001F,
    0x8024_402C,
    0x8024_0438,
    0x8024_401C,
    0x8024_401F,
    0x8024_4022,
    0x8007_2EE2,
    0x8007_2EE7,
    0x8007_2EFD,
    0x8007_2EFE,
];

/// What WUA says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub found: Result<Found, ComError>,
    pub applied: Vec<Applied>,
    /// `LastSearchSuccessDate`
    pub searched_at: Variant,
    pub reboot_needed: Option<bool>,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// `ISearchResult::ResultCode`
    pub result: Option<i32>,
    pub offers: Vec<Offer>,
}

/// An update that is offered; what could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    pub id: Option<String>,
    pub revision: Option<i32>,
    /// Their ids.
    pub categories: Option<Vec<String>>,
    /// Microsoft's severity, which only updates of security have.
    pub severity: Option<String>,
    /// When it was last offered anew: an OLE date.
    pub changed_at: Option<f64>,
    /// The ids of updates that it replaces.
    pub supersedes: Vec<String>,
}

/// An entry of the history of installations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    pub operation: Option<i32>,
    pub result: Option<i32>,
    pub at: Option<f64>,
    pub categories: Option<Vec<String>>,
}

/// Who decides about updates here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// A server of the hospital is to be asked.
    pub wsus: bool,
    /// Automatic updates are switched off by policy, or their service is.
    pub off: bool,
}

/// What the registry says of the system's version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Since Windows 10.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// `6.1` on Windows 7; frozen at `6.3` since Windows 8.1.
    pub before: Option<String>,
    pub build: Option<String>,
    pub revision: Option<u32>,
}

impl Version {
    /// `10.0.20348.2113`, as far as it is there.
    pub fn name(&self) -> Option<Name> {
        let version = match self.major {
            Some(major) => format!("{major}.{}", self.minor.unwrap_or(0)),
            None => self.before.clone()?,
        };
        let revision = self.revision.map(|revision| format!(".{revision}")).unwrap_or_default();
        crate::probes::version(&format!("{version}.{}{revision}", self.build.as_ref()?))
    }
}

/// See the module's head.
pub fn read(answer: Answer, policy: Policy, build: Option<Name>, now: Timestamp) -> Result<Seen, ProbeError> {
    let known = |at: &Timestamp| *at <= now.plus(AHEAD_MAX);
    let stale_as = match policy {
        Policy { wsus: true, .. } => PatchState::Managed,
        Policy { off: true, .. } => PatchState::Disabled,
        Policy { wsus: false, off: false } => PatchState::StaleIndex,
    };
    let (pending, state) = match answer.found {
        Ok(Found { result: Some(WHOLE), offers }) => (pending(&offers, now), PatchState::Known),
        Ok(Found { .. }) => (None, PatchState::Unknown),
        Err(e) if DISABLED.contains(&e.code) => (None, PatchState::Disabled),
        Err(e) if UNREACHABLE.contains(&e.code) && policy.wsus => (None, PatchState::Managed),
        Err(e) if UNREACHABLE.contains(&e.code) => (None, PatchState::Unreachable),
        Err(e) => return Err(e.into()),
    };
    let applied = answer.applied.iter().filter(|entry| counts(entry)).filter_map(|entry| of_ole(entry.at?));
    Ok(Seen {
        source: PatchSource::Wua,
        system: Name::of_outside("windows"),
        build,
        pending,
        state,
        stale_as,
        index_at: answer.searched_at.date().filter(known),
        applied_at: applied.filter(known).max(),
        reboot_needed: answer.reboot_needed,
    })
}

fn pending(offers: &[Offer], now: Timestamp) -> Option<Vec<Pending>> {
    let superseded: BTreeSet<String> =
        offers.iter().flat_map(|offer| &offer.supersedes).map(|id| id.to_ascii_lowercase()).collect();
    let stands =
        |offer: &&Offer| offer.id.as_ref().is_none_or(|id| !superseded.contains(&id.to_ascii_lowercase()));
    let one = |offer: &Offer| {
        let severe = offer.severity.as_ref().is_some_and(|severity| !severity.is_empty());
        let published_at = offer.changed_at.and_then(of_ole).filter(|at| *at <= now.plus(AHEAD_MAX));
        Some(Pending {
            update: format!("{} {}", offer.id.as_ref()?, offer.revision.unwrap_or(0)),
            security: severe || has(offer.categories.as_ref()?, SECURITY_UPDATES),
            published_at,
        })
    };
    offers.iter().filter(stands).map(one).collect()
}

/// Whether something was installed that is no antivirus definition.
fn counts(entry: &Applied) -> bool {
    let (operation, result) = (entry.operation, entry.result);
    operation == Some(INSTALLATION)
        && result.is_some_and(|result| SUCCEEDED.contains(&result))
        && entry
            .categories
            .as_ref()
            .is_some_and(|all| !all.is_empty() && !has(all, DEFINITION_UPDATES) && !has(all, DEFENDER))
}

fn has(categories: &[String], wanted: &str) -> bool {
    categories.iter().any(|id| id.trim_matches(['{', '}']).eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::patches::{PatchSpec, Patches};
    use tenken_common::fact::PatchStatus;

    /// 24 November 2026, 08:30:12 UTC.
    const TODAY: f64 = 46_350.354_305_555_56;
    const UPDATES: &str = "28bc880e-0592-4cbf-8f95-c79b17911d5f";

    fn now() -> Timestamp {
        of_ole(TODAY).unwrap()
    }

    fn offer(id: &str, category: &str) -> Offer {
        Offer {
            id: Some(id.to_owned()),
            revision: Some(200),
            categories: Some(vec!["a4bedb1d-a809-4f63-9b49-3fe31967b6d0".to_owned(), category.to_owned()]),
            severity: Some(String::new()),
            changed_at: Some(TODAY - 14.0),
            supersedes: vec![],
        }
    }

    fn applied(days_ago: f64, category: &str) -> Applied {
        let categories = Some(vec![category.to_owned()]);
        Applied { operation: Some(1), result: Some(2), at: Some(TODAY - days_ago), categories }
    }

    fn answer(offers: Vec<Offer>) -> Answer {
        let (applied, reboot_needed) = (vec![applied(20.0, SECURITY_UPDATES)], Some(true));
        let found = Ok(Found { result: Some(WHOLE), offers });
        Answer { found, applied, searched_at: Variant::Date(TODAY - 0.5), reboot_needed }
    }

    fn refused(code: u32) -> Answer {
        Answer { found: Err(ComError { call: "the search", code }), ..answer(vec![]) }
    }

    fn said(answer: Answer, policy: Policy) -> PatchStatus {
        let seen = read(answer, policy, server().name(), now()).unwrap();
        Patches::new(PatchSpec::default(), None).status(seen, now())
    }

    const WSUS: Policy = Policy { wsus: true, off: false };
    const OFF: Policy = Policy { wsus: false, off: true };

    #[test]
    fn a_server_with_one_update_of_security() {
        let cumulative = offer("7a1b", SECURITY_UPDATES);
        let severe = Offer {
            severity: Some("Important".to_owned()),
            changed_at: Some(TODAY - 40.0),
            ..offer("9c2d", UPDATES)
        };
        let definitions = offer("11ee", DEFINITION_UPDATES);
        let status = said(answer(vec![cumulative, severe, definitions]), Policy::default());
        assert_eq!((status.source, status.state), (PatchSource::Wua, PatchState::Known));
        assert_eq!((status.pending, status.security), (Some(3), Some(2)));
        assert_eq!(status.oldest_at, of_ole(TODAY - 40.0));
        assert_eq!(status.index_at, of_ole(TODAY - 0.5));
        assert_eq!((status.applied_at, status.reboot_needed), (of_ole(TODAY - 20.0), Some(true)));
        assert_eq!((status.system.as_str(), status.build.unwrap().as_str()), ("windows", "10.0.20348.2113"));
        let none = said(answer(vec![]), Policy::default());
        assert_eq!((none.state, none.pending, none.oldest_at), (PatchState::Known, Some(0), None));
    }

    #[test]
    fn what_is_superseded_is_not_pending() {
        let supersedes = vec!["OLD-1".to_owned(), "old-2".to_owned(), "gone".to_owned()];
        let newest = Offer { supersedes, ..offer("new", SECURITY_UPDATES) };
        let offers = vec![offer("old-1", SECURITY_UPDATES), offer("old-2", SECURITY_UPDATES), newest];
        let status = said(answer(offers), Policy::default());
        assert_eq!((status.pending, status.security), (Some(1), Some(1)));
    }

    #[test]
    fn an_old_index_is_called_by_who_decides_about_it() {
        let old =
            |policy| said(Answer { searched_at: Variant::Date(TODAY - 8.0), ..answer(vec![]) }, policy).state;
        assert_eq!(
            [Policy::default(), WSUS, OFF].map(old),
            [PatchState::StaleIndex, PatchState::Managed, PatchState::Disabled]
        );
        let never = |policy| said(Answer { searched_at: Variant::Empty, ..answer(vec![]) }, policy);
        assert_eq!(
            [Policy::default(), WSUS, OFF].map(|p| never(p).state),
            [PatchState::Unknown, PatchState::Managed, PatchState::Disabled]
        );
        assert_eq!(never(Policy::default()).pending, None);
        // Whoever decides: an index of today is known.
        let fresh = |policy| said(answer(vec![]), policy).state;
        assert_eq!([WSUS, OFF].map(fresh), [PatchState::Known; 2]);
    }

    #[test]
    fn a_search_that_is_refused_has_its_own_state_or_fails() {
        for (code, policy, state) in [
            (0x8007_0422, Policy::default(), PatchState::Disabled),
            (0x8024_002E, WSUS, PatchState::Disabled),
            (0x8024_402C, Policy::default(), PatchState::Unreachable),
            (0x8024_402C, WSUS, PatchState::Managed),
        ] {
            let status = said(refused(code), policy);
            assert_eq!((status.state, status.security), (state, None), "{code:x}");
            assert!(status.build.is_some());
        }
        let e = read(refused(0x8024_0007), WSUS, None, now()).unwrap_err();
        assert!(tenken_common::telemetry::ErrorChain(&e).to_string().contains("0x80240007"), "{e:?}");
        let none = read(refused(0x8000_4001), Policy::default(), None, now());
        assert!(matches!(none, Err(ProbeError::Unsupported)));
    }

    #[test]
    fn a_search_that_is_not_whole_is_not_known() {
        // Not begun, in progress, succeeded with errors, failed, aborted; it did not say.
        for result in [Some(0), Some(1), Some(3), Some(4), Some(5), None] {
            let found = Ok(Found { result, offers: vec![offer("7a1b", UPDATES)] });
            let status = said(Answer { found, ..answer(vec![]) }, Policy::default());
            assert_eq!((status.state, status.pending), (PatchState::Unknown, None), "{result:?}");
        }
    }

    #[test]
    fn what_an_update_does_not_say_is_never_good() {
        let without = |change: fn(&mut Offer)| {
            let mut one = offer("7a1b", SECURITY_UPDATES);
            change(&mut one);
            said(answer(vec![one]), Policy::default())
        };
        assert_eq!(without(|o| o.id = None).state, PatchState::Unknown);
        assert_eq!(without(|o| o.categories = None).state, PatchState::Unknown);
        let severe = without(|o| (o.categories, o.severity) = (None, Some("Critical".to_owned())));
        assert_eq!((severe.state, severe.security), (PatchState::Known, Some(1)));
        for changed_at in [None, Some(0.0), Some(-3.5), Some(f64::NAN), Some(TODAY + 400.0), Some(1e12)] {
            let one = Offer { changed_at, ..offer("7a1b", SECURITY_UPDATES) };
            let undated = said(answer(vec![one]), Policy::default());
            assert_eq!(undated.oldest_at, of_ole(TODAY - 0.5), "first seen in this index");
        }
    }

    #[test]
    fn dates_of_searches_and_installations_that_cannot_be_are_none() {
        for searched_at in [
            Variant::Date(TODAY + 30.0),
            Variant::Date(0.0),
            Variant::Date(-1.0),
            Variant::Text("yesterday".to_owned()),
            Variant::Integer(46_350),
            Variant::Other(9),
        ] {
            let status = said(Answer { searched_at, ..answer(vec![]) }, Policy::default());
            assert_eq!((status.state, status.index_at, status.pending), (PatchState::Unknown, None, None));
        }
        let history = vec![
            applied(-30.0, SECURITY_UPDATES),
            applied(1.0, DEFINITION_UPDATES),
            applied(1.5, DEFENDER),
            Applied { categories: Some(vec![]), ..applied(1.6, UPDATES) },
            Applied { categories: None, ..applied(2.0, UPDATES) },
            Applied { result: Some(4), ..applied(3.0, UPDATES) },
            Applied { operation: Some(2), ..applied(4.0, UPDATES) },
            Applied { at: None, ..applied(5.0, UPDATES) },
            Applied { result: Some(3), ..applied(6.0, &format!("{{{}}}", UPDATES.to_uppercase())) },
            applied(7.0, UPDATES),
        ];
        let status = said(Answer { applied: history, ..answer(vec![]) }, Policy::default());
        assert_eq!(status.applied_at, of_ole(TODAY - 6.0));
        let none = said(Answer { applied: vec![], ..answer(vec![]) }, Policy::default());
        assert_eq!(none.applied_at, None);
    }

    /// Windows Server 2022.
    fn server() -> Version {
        let text = |text: &str| Some(text.to_owned());
        Version {
            major: Some(10),
            minor: Some(0),
            before: text("6.3"),
            build: text("20348"),
            revision: Some(2_113),
        }
    }

    #[test]
    fn a_build_is_as_whole_as_the_registry() {
        let shown = |version: Version| version.name().map(|name| name.to_string());
        assert_eq!(shown(server()).unwrap(), "10.0.20348.2113");
        assert_eq!(shown(Version { revision: None, minor: None, ..server() }).unwrap(), "10.0.20348");
        let seven =
            Version { before: Some("6.1".to_owned()), build: Some("7601".to_owned()), ..Version::default() };
        assert_eq!(shown(seven.clone()).unwrap(), "6.1.7601");
        for version in [
            Version::default(),
            Version { build: None, ..server() },
            Version { build: Some("YAMADA TARO".to_owned()), ..server() },
            Version { before: Some("Seven".to_owned()), ..seven.clone() },
            Version { before: None, ..seven },
        ] {
            assert_eq!(version.name(), None, "{version:?}");
        }
    }
}
