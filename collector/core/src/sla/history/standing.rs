//! Where each version of a contract stands at an instant (SLA A2.3, A2.4): draft, approved, in
//! force, ended.
//!
//! Holds: at most one version is in force, the one by which that instant is judged. A version that
//! 甲 has not agreed to ends no other.

use super::{History, Version};
use crate::sla::calendar::Day;
use serde::Serialize;
use tenken_common::{message::ContractText, time::Timestamp};

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// 乙 has not approved it.
    Draft,
    /// 乙 approved it and 甲 has not.
    AwaitsHospital,
    /// Both approved it and its day has not come.
    Ahead,
    InForce,
    /// In force beyond the end of its term, since none followed.
    Continued,
    /// Another took its place.
    Ended,
}

impl VersionState {
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::InForce | Self::Continued)
    }

    /// With `{from}` or `{ends}` where the date says more.
    pub fn message(self) -> ContractText {
        match self {
            Self::Draft => ContractText::StateDraft,
            Self::AwaitsHospital => ContractText::StateAwaitsHospital,
            Self::Ahead => ContractText::StateAhead,
            Self::InForce => ContractText::StateInForce,
            Self::Continued => ContractText::StateContinued,
            Self::Ended => ContractText::StateEnded,
        }
    }
}

impl History {
    /// The last day of a version that both approved; `None` where none that both approved follows.
    pub fn last_day(&self, version: &Version, as_of: Timestamp) -> Option<Day> {
        let agreed = self.versions.iter().filter(|other| other.is_agreed(as_of));
        let starts = agreed.map(|other| other.contract.effective_from);
        let next = starts.filter(|from| *from > version.contract.effective_from).min()?;
        version.is_agreed(as_of).then(|| next.yesterday())
    }

    pub fn state(&self, version: &Version, as_of: Timestamp) -> VersionState {
        let contract = &version.contract;
        if version.vendor.is_none_or(|at| at > as_of) {
            return VersionState::Draft;
        }
        if !version.is_agreed(as_of) {
            return VersionState::AwaitsHospital;
        }
        if as_of < contract.starts() {
            return VersionState::Ahead;
        }
        if self.last_day(version, as_of).is_some_and(|last| last.span().to <= as_of) {
            return VersionState::Ended;
        }
        match contract.term_ends {
            Some(ends) if ends.span().to <= as_of => VersionState::Continued,
            Some(_) | None => VersionState::InForce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{VersionState as S, *};
    use crate::sla::contract::{Contract, EXAMPLE};

    fn at(text: &str) -> Timestamp {
        format!("{text}T00:00:00+09:00").parse().unwrap()
    }

    fn version(from: &str, approved: [Option<&str>; 2]) -> Version {
        let text =
            EXAMPLE.replace("effective_from = \"2026-04-01\"", &format!("effective_from = \"{from}\""));
        let [vendor, hospital] = approved.map(|day| day.map(at));
        Version { contract: Contract::parse(&text).unwrap(), vendor, hospital }
    }

    #[test]
    fn a_version_goes_its_way() {
        let mut first = version("2026-04-01", [Some("2026-03-01"), Some("2026-03-05")]);
        first.contract.term_ends = Some("2027-03-31".parse().unwrap());
        let mut second = version("2027-10-01", [Some("2027-09-01"), Some("2027-09-20")]);
        second.contract.version = 2;
        let history = History { versions: vec![first, second], ..History::default() };
        let states = |day| [0, 1].map(|i| history.state(&history.versions[i], at(day)));
        for (day, expected) in [
            ("2026-02-28", [S::Draft, S::Draft]),
            ("2026-03-01", [S::AwaitsHospital, S::Draft]),
            ("2026-03-05", [S::Ahead, S::Draft]),
            ("2026-04-01", [S::InForce, S::Draft]),
            ("2027-03-31", [S::InForce, S::Draft]),
            ("2027-04-01", [S::Continued, S::Draft]),
            ("2027-09-01", [S::Continued, S::AwaitsHospital]),
            ("2027-09-30", [S::Continued, S::Ahead]),
            ("2027-10-01", [S::Ended, S::InForce]),
        ] {
            assert_eq!(states(day), expected, "{day}");
            let in_force = history.known(at(day)).contracts.in_force(at(day)).map(|c| c.effective_from);
            let said = history.versions.iter().find(|v| history.state(v, at(day)).is_in_force());
            assert_eq!(
                in_force,
                said.map(|v| v.contract.effective_from),
                "{day}: what figures are judged by"
            );
        }
    }

    #[test]
    fn a_draft_ends_no_version() {
        let first = version("2026-04-01", [Some("2026-03-01"), Some("2026-03-05")]);
        let draft = version("2026-10-01", [Some("2026-09-01"), None]);
        let history = History { versions: vec![first, draft], ..History::default() };
        assert_eq!(history.state(&history.versions[0], at("2027-01-01")), VersionState::InForce);
        assert_eq!(history.last_day(&history.versions[0], at("2027-01-01")), None);
        assert_eq!(history.last_day(&history.versions[1], at("2027-01-01")), None);
    }

    #[test]
    fn the_next_version_of_several_ends_it_and_nobody_approves_ahead_of_time() {
        let of = |version_number, from: &str| {
            let mut version = version(from, [Some("2026-01-01"), Some("2026-01-02")]);
            version.contract.version = version_number;
            version
        };
        let versions = vec![of(1, "2026-04-01"), of(2, "2026-10-01"), of(3, "2027-04-01")];
        let history = History { versions, ..History::default() };
        let last =
            |i: usize| history.last_day(&history.versions[i], at("2026-05-01")).map(|day| day.to_string());
        assert_eq!([0, 1, 2].map(last), [Some("2026-09-30".into()), Some("2027-03-31".into()), None]);
        let unapproved = version("2026-04-01", [None, Some("2026-01-02")]);
        assert_eq!(history.state(&unapproved, at("2026-05-01")), S::Draft);
    }
}
