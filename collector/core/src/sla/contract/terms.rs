//! The terms of a contract that figures are judged by: targets, budgets, and who is called when.
//!
//! Holds: a target is a ratio over 0 and up to 1; a response has a budget and at least one severity.

use crate::{desk::notice::Severity, sla::calendar::BusinessDuration};
use serde::Deserialize;
use std::collections::BTreeSet;
use tenken_common::config::{HumanDuration, Problems};

/// What was promised.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Service uptime as a ratio (SLA A6.3(2)).
    pub uptime: f64,
    pub response: ResponseTerms,
}

/// First response within a budget of business hours, for the severities that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseTerms {
    pub budget: BusinessDuration,
    pub severities: BTreeSet<Severity>,
}

/// Where 乙 is reached (SLA A4.4), as mail addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contacts {
    /// In the business hours for responses (通常業務時間).
    pub normal_hours: String,
    pub other_hours: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TargetsFile {
    uptime: Option<f64>,
    response: ResponseFile,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResponseFile {
    budget: Option<HumanDuration>,
    severities: BTreeSet<Severity>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ContactsFile {
    normal_hours: Option<String>,
    other_hours: Option<String>,
}

impl TargetsFile {
    pub(super) fn read(self, problems: &mut Problems) -> Option<Targets> {
        let uptime = required(self.uptime, "targets.uptime", problems).filter(|ratio| {
            accept(
                *ratio > 0.0 && *ratio <= 1.0,
                "targets.uptime",
                "is a ratio over 0 and up to 1, such as 0.99",
                problems,
            )
        });
        let budget = required(self.response.budget, "targets.response.budget", problems).filter(|b| {
            accept(!b.0.is_zero(), "targets.response.budget", "must be longer than nothing", problems)
        });
        let named = accept(
            !self.response.severities.is_empty(),
            "targets.response.severities",
            "names no severity (info, warning, critical)",
            problems,
        );
        let response = ResponseTerms { budget: budget?.0.into(), severities: self.response.severities };
        Some(Targets { uptime: uptime?, response: named.then_some(response)? })
    }
}

impl ContactsFile {
    pub(super) fn read(self, problems: &mut Problems) -> Option<Contacts> {
        let mut address = |text: Option<String>, key: &str| {
            required(text, key, problems).filter(|t| {
                accept(is_address(t), key, "is no mail address such as support@example.jp", problems)
            })
        };
        let normal_hours = address(self.normal_hours, "contacts.normal_hours");
        let other_hours = address(self.other_hours, "contacts.other_hours");
        Some(Contacts { normal_hours: normal_hours?, other_hours: other_hours? })
    }
}

/// A coarse look; the mail server knows better.
fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(who, at)| !who.is_empty() && at.contains('.') && !at.contains('@'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Notes what is missing.
pub(super) fn required<T>(value: Option<T>, key: &str, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.push(key, "is missing");
    }
    value
}

/// Notes what is wrong, and gives the answer back.
pub(super) fn accept(good: bool, key: &str, text: &str, problems: &mut Problems) -> bool {
    if !good {
        problems.push(key, text);
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_ratio_over_nothing_and_up_to_all() {
        let read = |uptime: f64| {
            let response =
                ResponseFile { budget: Some("4h".parse().unwrap()), severities: [Severity::Critical].into() };
            let mut problems = Problems::default();
            TargetsFile { uptime: Some(uptime), response }.read(&mut problems).map(|t| t.uptime)
        };
        assert_eq!((read(1.0), read(f64::MIN_POSITIVE)), (Some(1.0), Some(f64::MIN_POSITIVE)));
        for bad in [0.0, -0.5, 1.000_001, f64::NAN] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_person_and_a_domain() {
        assert!(is_address("support@example.jp"));
        for bad in ["", "support", "@example.jp", "support@localhost", "a@b@c.jp", "a b@c.jp", "a@c.jp\u{7}"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
