//! Time that is left out of the figures (サービレベル算定除外事項, SLA A7.1(2)).
//!
//! Holds: it names a rule of the contract version in force at its beginning, whose class it has.
//! Before 甲 agreed it changes nothing. Time agreed in advance has to be announced as long ahead as
//! its rule says (A6.5(3)①); one that was not changes nothing either.
//!
//! Does not: take away time that was up; see the partition.

use super::{
    agreed::{Agreed, is_agreed},
    contract::{ContractHistory, ExclusionClass, ExclusionRule},
    partition::{Label, Labelled},
    span::Span,
};
use serde::{Deserialize, Serialize};
use tenken_common::{id::Name, message::Message, time::Timestamp};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    pub id: Name,
    /// Of the contract.
    pub rule: Name,
    pub from: Timestamp,
    pub to: Timestamp,
    /// When 甲 was told.
    #[serde(default)]
    pub announced_at: Option<Timestamp>,
    #[serde(default)]
    pub agreed: Option<Agreed>,
    /// What proves it, such as the number of a document.
    #[serde(default)]
    pub evidence: Vec<String>,
    #[serde(default)]
    pub note: String,
}

/// What an exclusion does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionState {
    /// It counts.
    InForce,
    /// 甲 has not agreed, so it changes nothing.
    NotAgreed,
    /// 甲 was told too late, or not at all, so it changes nothing.
    ShortNotice,
    /// The contract in force has no such rule, so it changes nothing.
    NoRule,
}

impl ExclusionState {
    pub fn message(self) -> Message {
        match self {
            Self::InForce => Message::SlaExclusionInForce,
            Self::NotAgreed => Message::SlaExclusionNotAgreed,
            Self::ShortNotice => Message::SlaExclusionShortNotice,
            Self::NoRule => Message::SlaExclusionNoRule,
        }
    }
}

impl Exclusion {
    pub fn span(&self) -> Span {
        Span::new(self.from, self.to)
    }

    /// The rule it stands on.
    pub fn rule<'c>(&self, contracts: &'c ContractHistory) -> Option<&'c ExclusionRule> {
        contracts.in_force(self.from)?.rules.exclusions.get(&self.rule)
    }

    pub fn state(&self, contracts: &ContractHistory, as_of: Timestamp) -> ExclusionState {
        let Some(rule) = self.rule(contracts) else { return ExclusionState::NoRule };
        let told = |at: Timestamp| at.plus(rule.notice) <= self.from;
        if rule.class == ExclusionClass::PreAgreed && !self.announced_at.is_some_and(told) {
            ExclusionState::ShortNotice
        } else if is_agreed(self.agreed.as_ref(), as_of) {
            ExclusionState::InForce
        } else {
            ExclusionState::NotAgreed
        }
    }

    /// What it says about its time, as far as it counts at `as_of`.
    pub fn claim(&self, contracts: &ContractHistory, as_of: Timestamp) -> Option<Labelled> {
        let label = match self.rule(contracts)?.class {
            ExclusionClass::PreAgreed => Label::ExcludedPreAgreed,
            ExclusionClass::Other => Label::ExcludedOther,
        };
        let counts = self.state(contracts, as_of) == ExclusionState::InForce && !self.span().is_empty();
        counts.then_some(Labelled { span: self.span(), label })
    }
}

/// The planned stop (A6.5(3)①) that goes on at `as_of`, or else the next one: agreed to, and announced
/// in time.
pub fn planned_stop(exclusions: &[Exclusion], contracts: &ContractHistory, as_of: Timestamp) -> Option<Span> {
    planned_stops(exclusions, contracts, as_of).filter(|span| as_of < span.to).min_by_key(|span| span.from)
}

/// All planned stops that 甲 agreed to and was told of in time, as far as is known at `as_of`.
pub fn planned_stops(
    exclusions: &[Exclusion],
    contracts: &ContractHistory,
    as_of: Timestamp,
) -> impl Iterator<Item = Span> {
    let planned = exclusions.iter().filter(move |x| {
        x.rule(contracts).is_some_and(|rule| rule.class == ExclusionClass::PreAgreed)
            && x.state(contracts, as_of) == ExclusionState::InForce
    });
    planned.map(Exclusion::span).filter(|span| !span.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::contract::{Contract, EXAMPLE};

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}:00+09:00").parse().unwrap()
    }

    fn contracts() -> ContractHistory {
        ContractHistory::new([Contract::parse(EXAMPLE).unwrap()]).unwrap()
    }

    fn exclusion(rule: &str, announced: Option<&str>, agreed: Option<&str>) -> Exclusion {
        Exclusion {
            id: Name::new("x-1").unwrap(),
            rule: Name::new(rule).unwrap(),
            from: at("09-24T09:00"),
            to: at("09-24T10:00"),
            announced_at: announced.map(at),
            agreed: agreed.map(|t| Agreed { at: at(t), by: "甲".into() }),
            evidence: vec![],
            note: String::new(),
        }
    }

    #[test]
    fn a_week_ahead_to_the_minute() {
        let state = |announced| {
            exclusion("planned", announced, Some("09-25T09:00")).state(&contracts(), at("09-30T00:00"))
        };
        assert_eq!(state(Some("09-17T09:00")), ExclusionState::InForce, "seven days");
        assert_eq!(state(Some("09-17T09:01")), ExclusionState::ShortNotice);
        assert_eq!(state(Some("09-17T10:00")), ExclusionState::ShortNotice, "six days and 23 hours");
        assert_eq!(state(None), ExclusionState::ShortNotice);
    }

    #[test]
    fn a_planned_stop_is_one_that_was_agreed_and_announced_a_week_ahead() {
        let stop = |exclusions: &[Exclusion], as_of| planned_stop(exclusions, &contracts(), at(as_of));
        let good = exclusion("planned", Some("09-17T09:00"), Some("09-18T09:00"));
        let span = Some(good.span());
        for (as_of, expected) in [
            ("09-18T08:59", None),
            ("09-18T09:00", span),
            ("09-24T09:00", span),
            ("09-24T09:59", span),
            ("09-24T10:00", None),
        ] {
            assert_eq!(stop(std::slice::from_ref(&good), as_of), expected, "{as_of}");
        }
        let late = exclusion("planned", Some("09-17T10:00"), Some("09-18T09:00"));
        let other = exclusion("disaster", Some("09-17T09:00"), Some("09-18T09:00"));
        let unagreed = exclusion("planned", Some("09-17T09:00"), None);
        assert_eq!(stop(&[late, other, unagreed], "09-24T09:30"), None);
        let later = Exclusion { from: at("09-25T09:00"), to: at("09-25T10:00"), ..good.clone() };
        assert_eq!(stop(&[later.clone(), good.clone()], "09-24T09:30"), span);
        assert_eq!(stop(&[good, later.clone()], "09-24T10:00"), Some(later.span()));
    }

    #[test]
    fn nothing_changes_before_the_agreement() {
        let other = exclusion("disaster", None, Some("09-25T09:00"));
        let claim = |as_of| other.claim(&contracts(), at(as_of)).map(|c| c.label);
        assert_eq!(claim("09-25T08:59"), None);
        assert_eq!(claim("09-25T09:00"), Some(Label::ExcludedOther));
        let never = exclusion("disaster", None, None);
        assert_eq!(never.state(&contracts(), at("12-31T00:00")), ExclusionState::NotAgreed);
        let unknown = exclusion("weather", None, Some("09-25T09:00"));
        assert_eq!(unknown.state(&contracts(), at("12-31T00:00")), ExclusionState::NoRule);
        assert_eq!(unknown.claim(&contracts(), at("12-31T00:00")), None);
    }

    #[test]
    fn nothing_is_left_out_of_no_time() {
        let good = exclusion("disaster", None, Some("09-25T09:00"));
        let empty = Exclusion { to: good.from, ..good.clone() };
        assert!(good.claim(&contracts(), at("09-30T00:00")).is_some());
        assert_eq!(empty.claim(&contracts(), at("09-30T00:00")), None);
        let planned = exclusion("planned", Some("09-01T09:00"), Some("09-02T09:00"));
        let backwards = Exclusion { to: at("09-24T08:00"), ..planned };
        assert_eq!(planned_stop(&[backwards], &contracts(), at("09-03T00:00")), None);
    }
}
