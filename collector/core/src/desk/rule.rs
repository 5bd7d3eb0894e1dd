//! Rules: what is a finding, as data.
//!
//! Holds: a rule that was parsed can be judged: its numbers make sense, and its texts name only
//! placeholders that its kind of condition fills. Nothing here knows disks or sensors; the file
//! `packaging/rules/default.toml` does.

mod when;

use super::{
    notice::{Bilingual, Severity},
    text::{self, Template},
};
use crate::predict::{risk::WINDOWS, watch::Watched};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{
    config::{Check, HumanDuration, Problems, parse},
    id::Name,
};

pub use when::{
    AnomalyIs, CheckIs, ClockSkew, DeviceUptime, FailureRisk, Forecast, Limit, OtherCheck, PatchesOverdue,
    PatternFileOld, Share, Threshold, Wear, When,
};

/// All rules of a collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// A problem that comes back within this time continues its incident; from then on it counts
    /// as gone only after being away as long.
    #[serde(default = "an_hour")]
    pub flap_window: HumanDuration,
    /// When what nobody takes on is told again; without it never.
    #[serde(default)]
    pub unacknowledged: Option<Unacknowledged>,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// See [`RuleSet::unacknowledged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unacknowledged {
    pub within: HumanDuration,
    #[serde(default)]
    pub hours: AckHours,
    /// From this severity on.
    #[serde(default = "critical")]
    pub severity: Severity,
}

/// Which time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckHours {
    #[default]
    All,
    /// The contract's normal hours only (A4.4(2)).
    Normal,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: Name,
    pub severity: Severity,
    /// How long it must be true before it is a finding.
    pub hold: HumanDuration,
    /// How long it must be gone before it is recovered.
    pub resolve_hold: HumanDuration,
    /// Older numbers and checks say nothing of today.
    #[serde(default = "three_hours")]
    pub age_max: HumanDuration,
    /// Rules that may find the same problem of the same subject: one incident for all of them.
    #[serde(default)]
    pub covers: BTreeSet<Name>,
    /// Only for devices of these groups; for all where none is named.
    #[serde(default)]
    pub groups: BTreeSet<Name>,
    /// Not for devices of these groups.
    #[serde(default)]
    pub except_groups: BTreeSet<Name>,
    pub when: When,
    pub summary: Bilingual,
    pub action: Bilingual,
}

/// A series of which the shell has to load the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub probe: Name,
    /// All that the probe tells where none is named.
    pub quantity: Option<Name>,
    /// Back from `as_of`.
    pub history: Duration,
}

fn an_hour() -> HumanDuration {
    HumanDuration(Duration::from_hours(1))
}

fn three_hours() -> HumanDuration {
    HumanDuration(Duration::from_hours(3))
}

fn critical() -> Severity {
    Severity::Critical
}

impl RuleSet {
    /// All problems of a rules file at once, with their key paths.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        parse(text)
    }

    /// Those for devices of a group, in which a rule of kind `other_check` leaves out what rules of kind
    /// `check` name.
    #[must_use]
    pub fn for_group(&self, group: Option<&Name>) -> Self {
        let own = self.rules.iter().filter(|rule| rule.is_for(group)).cloned();
        let mut rules = Self { rules: own.collect(), ..self.clone() };
        let named = |rule: &Rule| {
            if let When::Check(check) = &rule.when { Some(check.probe.clone()) } else { None }
        };
        let named: Vec<Name> = rules.rules.iter().filter_map(named).collect();
        for rule in &mut rules.rules {
            if let When::OtherCheck(other) = &mut rule.when {
                other.except.extend(named.iter().cloned());
            }
        }
        rules
    }

    /// The histories that [`crate::evaluation::evaluate`] wants to see of a device whose forecasts are
    /// due, each once.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: BTreeMap<(Name, Option<Name>), Duration> = BTreeMap::new();
        for need in self.rules.iter().flat_map(Rule::needs) {
            let history = needs.entry((need.probe, need.quantity)).or_default();
            *history = need.history.max(*history);
        }
        needs.into_iter().map(|((probe, quantity), history)| Need { probe, quantity, history }).collect()
    }

    /// The numbers of which it wants to see the newest of every device: probe and quantity.
    pub fn numbers(&self) -> BTreeSet<(Name, Name)> {
        self.rules.iter().flat_map(Rule::numbers).collect()
    }

    /// Whether it wants to see what devices last said of themselves.
    pub fn wants_facts(&self) -> bool {
        let wants = |when: &When| matches!(when, When::Wear(_) | When::PatternFile(_) | When::Patches(_));
        self.rules.iter().any(|rule| wants(&rule.when))
    }

    /// What detectors are to be fed with, each once.
    pub fn watched(&self) -> BTreeSet<Watched> {
        self.anomalies().flat_map(|(_, when)| when.watch.iter().cloned()).collect()
    }

    /// The rules of that kind.
    pub fn anomalies(&self) -> impl Iterator<Item = (&Rule, &AnomalyIs)> {
        self.rules.iter().filter_map(|rule| rule.when.anomaly().map(|when| (rule, when)))
    }
}

impl RuleSet {
    /// What is covered is there, and covers nothing itself: so every rule has one head.
    fn check_covers(&self, problems: &mut Problems) {
        let mut covered = BTreeSet::new();
        for (i, rule) in self.rules.iter().enumerate() {
            for id in &rule.covers {
                let problem = match self.rules.iter().find(|other| other.id == *id) {
                    None => "is no rule of this file",
                    Some(other) if !other.covers.is_empty() => "covers rules itself",
                    Some(_) if !covered.insert(id) => "is covered by two rules",
                    Some(_) => continue,
                };
                problems.push(format!("rule.{i}.covers"), format!("`{id}` {problem}"));
            }
        }
    }
}

impl Rule {
    fn is_for(&self, group: Option<&Name>) -> bool {
        let names = |groups: &BTreeSet<Name>| group.is_some_and(|group| groups.contains(group));
        (self.groups.is_empty() || names(&self.groups)) && !names(&self.except_groups)
    }

    fn check_groups(&self, key: &str, problems: &mut Problems) {
        if !self.groups.is_empty() && !self.except_groups.is_empty() {
            problems.push(format!("{key}.except_groups"), "says nothing beside groups");
        }
        let names_any = !(self.groups.is_empty() && self.except_groups.is_empty());
        if names_any && matches!(self.when, When::SilentHospital(_)) {
            problems.push(format!("{key}.groups"), "silent_hospital is of a hospital and not of a device");
        }
    }

    fn needs(&self) -> Vec<Need> {
        let need = |probe: &Name, quantity: Option<&Name>, history| Need {
            probe: probe.clone(),
            quantity: quantity.cloned(),
            history,
        };
        match &self.when {
            When::Forecast(f) => vec![need(&f.probe, Some(&f.quantity), f.history.0)],
            When::Wear(w) => vec![need(&w.probe, None, w.history.0)],
            When::FailureRisk(r) => {
                let quantities = r.counters.iter().flatten().chain(&r.age).chain(&r.life_signs);
                // The windows end with the newest reading, which may be as old as that.
                let history = WINDOWS.into_iter().max().unwrap_or_default().saturating_add(self.age_max.0);
                quantities.map(|quantity| need(&r.probe, Some(quantity), history)).collect()
            }
            When::Threshold(_)
            | When::Check(_)
            | When::OtherCheck(_)
            | When::PatternFile(_)
            | When::Patches(_)
            | When::ClockSkew(_)
            | When::SilentDevice(_)
            | When::SilentHospital(_)
            | When::IdentityDoubt(_)
            | When::Anomaly(_) => Vec::new(),
        }
    }

    fn numbers(&self) -> Vec<(Name, Name)> {
        let (probe, own, limits) = match &self.when {
            When::Forecast(f) => (&f.probe, None, vec![&f.limit]),
            When::Threshold(t) => {
                let limits = [Some(&t.limit), t.clear_at.as_ref(), t.critical_limit.as_ref()];
                (&t.probe, Some(&t.quantity), limits.into_iter().flatten().collect())
            }
            When::FailureRisk(r) => {
                return r.uptime.iter().map(|u| (u.probe.clone(), u.quantity.clone())).collect();
            }
            When::Wear(_)
            | When::Check(_)
            | When::OtherCheck(_)
            | When::PatternFile(_)
            | When::Patches(_)
            | When::ClockSkew(_)
            | When::SilentDevice(_)
            | When::SilentHospital(_)
            | When::IdentityDoubt(_)
            | When::Anomaly(_) => return Vec::new(),
        };
        let others = limits.into_iter().filter_map(|limit| match limit {
            Limit::Of(share) => Some(&share.quantity),
            Limit::Value(_) => None,
        });
        own.into_iter().chain(others).map(|quantity| (probe.clone(), quantity.clone())).collect()
    }
}

impl Check for RuleSet {
    fn check(&self, problems: &mut Problems) {
        if self.unacknowledged.as_ref().is_some_and(|u| u.within.0.is_zero()) {
            problems.push("unacknowledged.within", "must be longer than nothing");
        }
        self.check_covers(problems);
        let mut seen = BTreeSet::new();
        for (i, rule) in self.rules.iter().enumerate() {
            if !seen.insert(&rule.id) {
                problems.push(format!("rule.{i}.id"), format!("`{}` stands twice", rule.id));
            }
            rule.check_groups(&format!("rule.{i}"), problems);
            rule.when.check(&format!("rule.{i}.when"), problems);
            let allowed: Vec<&str> = text::COMMON.iter().chain(rule.when.placeholders()).copied().collect();
            for (name, both) in [("summary", &rule.summary), ("action", &rule.action)] {
                for (language, text) in [("ja", &both.ja), ("en", &both.en)] {
                    if let Err(e) = Template::new(text).check(&allowed) {
                        problems.push(format!("rule.{i}.{name}.{language}"), e.to_string());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
