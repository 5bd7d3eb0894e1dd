//! Rules: what is a finding, as data.
//!
//! Holds: a rule that was parsed can be judged: its numbers make sense, and its texts name only
//! placeholders that its kind of condition fills. Nothing here knows disks or sensors; the file
//! `packaging/rules/default.toml` does.

use super::text::{self, Template};
use crate::predict::{forecast::Direction, watch::Watched};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{
    config::{Check, HumanDuration, Problems, parse},
    id::Name,
    observation::CheckState,
};

use super::notice::{Bilingual, Severity};

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
    pub when: When,
    pub summary: Bilingual,
    pub action: Bilingual,
}

/// What has to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Forecast(Forecast),
    Wear(Wear),
    Threshold(Threshold),
    Check(CheckIs),
    ClockSkew(ClockSkew),
    SilentDevice(SilentDevice),
    Anomaly(AnomalyIs),
    SilentHospital(SilentHospital),
    IdentityDoubt(IdentityDoubt),
}

/// A number will reach its limit soon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    pub probe: Name,
    pub quantity: Name,
    pub direction: Direction,
    pub limit: Limit,
    pub within: HumanDuration,
    /// Makes it critical.
    #[serde(default)]
    pub critical_within: Option<HumanDuration>,
    /// How much history is looked at.
    #[serde(default = "thirty_days")]
    pub history: HumanDuration,
}

/// A wear part reaches the end of its rated life soon, in working days of its hospital.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wear {
    pub probe: Name,
    pub within_days: u32,
    /// Makes it critical.
    #[serde(default)]
    pub critical_within_days: Option<u32>,
    /// How much history is looked at.
    #[serde(default = "a_year")]
    pub history: HumanDuration,
}

/// A number is beyond its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    pub probe: Name,
    pub quantity: Name,
    pub direction: Direction,
    pub limit: Limit,
    /// Back at this it is over; the limit itself where there is none.
    #[serde(default)]
    pub clear_at: Option<Limit>,
    /// Makes it critical.
    #[serde(default)]
    pub critical_limit: Option<Limit>,
}

/// A number of the rule, or another quantity of the same probe and subject times a ratio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Value(f64),
    Of(Share),
}

/// See [`Limit::Of`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub quantity: Name,
    #[serde(default = "one")]
    pub ratio: f64,
}

/// The device's own judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIs {
    pub probe: Name,
    pub states: BTreeSet<CheckState>,
    /// Make it critical.
    #[serde(default)]
    pub critical_states: BTreeSet<CheckState>,
}

/// The device's clock is off, by more than the measurement's uncertainty explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSkew {
    pub above: HumanDuration,
}

/// Nothing is heard from the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentDevice {}

/// Numbers of the device are unlike what they usually are. What comes together is one finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnomalyIs {
    /// What is watched.
    pub watch: Vec<Watched>,
    /// What is at most so far from the one before, by the device's time, belongs to it.
    #[serde(default = "an_hour")]
    pub together: HumanDuration,
    /// It counts as over so long after the newest of them came.
    #[serde(default = "six_hours")]
    pub lasts: HumanDuration,
}

/// Nothing is heard from any device of a hospital, which is the link and not as many devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentHospital {
    /// Fewer that are late at once say nothing of the link.
    #[serde(default = "two")]
    pub devices_min: usize,
}

/// Somebody else may have the device's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDoubt {}

/// A series of which the shell has to load the history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub probe: Name,
    /// All that the probe tells where none is named.
    pub quantity: Option<Name>,
    /// Back from `as_of`.
    pub history: Duration,
}

/// An episode is named by the minute in which it began.
const TOGETHER_MIN: Duration = Duration::from_mins(1);

fn an_hour() -> HumanDuration {
    HumanDuration(Duration::from_hours(1))
}

fn six_hours() -> HumanDuration {
    HumanDuration(Duration::from_hours(6))
}

fn three_hours() -> HumanDuration {
    HumanDuration(Duration::from_hours(3))
}

fn a_year() -> HumanDuration {
    HumanDuration(Duration::from_hours(365 * 24))
}

fn thirty_days() -> HumanDuration {
    HumanDuration(Duration::from_hours(30 * 24))
}

fn critical() -> Severity {
    Severity::Critical
}

fn two() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

impl RuleSet {
    /// All problems of a rules file at once, with their key paths.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        parse(text)
    }

    /// The histories that [`crate::evaluation::evaluate`] wants to see of a device whose forecasts are
    /// due, each once.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: BTreeMap<(Name, Option<Name>), Duration> = BTreeMap::new();
        for need in self.rules.iter().filter_map(Rule::need) {
            let history = needs.entry((need.probe, need.quantity)).or_default();
            *history = need.history.max(*history);
        }
        needs.into_iter().map(|((probe, quantity), history)| Need { probe, quantity, history }).collect()
    }

    /// The numbers of which it wants to see the newest of every device: probe and quantity.
    pub fn numbers(&self) -> BTreeSet<(Name, Name)> {
        self.rules.iter().flat_map(Rule::numbers).collect()
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
    fn need(&self) -> Option<Need> {
        let (probe, quantity, history) = match &self.when {
            When::Forecast(f) => (&f.probe, Some(f.quantity.clone()), f.history.0),
            When::Wear(w) => (&w.probe, None, w.history.0),
            When::Threshold(_)
            | When::Check(_)
            | When::ClockSkew(_)
            | When::SilentDevice(_)
            | When::SilentHospital(_)
            | When::IdentityDoubt(_)
            | When::Anomaly(_) => return None,
        };
        Some(Need { probe: probe.clone(), quantity, history })
    }

    fn numbers(&self) -> Vec<(Name, Name)> {
        let (probe, own, limits) = match &self.when {
            When::Forecast(f) => (&f.probe, None, vec![&f.limit]),
            When::Threshold(t) => {
                let limits = [Some(&t.limit), t.clear_at.as_ref(), t.critical_limit.as_ref()];
                (&t.probe, Some(&t.quantity), limits.into_iter().flatten().collect())
            }
            When::Wear(_)
            | When::Check(_)
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

impl When {
    fn anomaly(&self) -> Option<&AnomalyIs> {
        match self {
            Self::Anomaly(when) => Some(when),
            Self::Forecast(_)
            | Self::Wear(_)
            | Self::Threshold(_)
            | Self::Check(_)
            | Self::ClockSkew(_)
            | Self::SilentDevice(_)
            | Self::SilentHospital(_)
            | Self::IdentityDoubt(_) => None,
        }
    }

    /// The placeholders that are filled besides [`text::COMMON`].
    pub fn placeholders(&self) -> &'static [&'static str] {
        match self {
            Self::Forecast(_) => &["value", "limit", "day", "day_low", "day_high", "days_left", "per_day"],
            Self::Wear(_) => &[
                "value",
                "limit",
                "day",
                "day_low",
                "day_high",
                "days_left",
                "days_low",
                "days_high",
                "per_day",
            ],
            Self::Threshold(_) => &["value", "limit"],
            Self::Check(_) => &["probe", "state"],
            Self::ClockSkew(_) => &["offset", "limit"],
            Self::SilentDevice(_) => &["last_received", "silence", "interval"],
            Self::Anomaly(_) => &["series", "why", "score", "from", "others"],
            Self::SilentHospital(_) => &["count", "devices", "last_received", "silence"],
            Self::IdentityDoubt(_) => &["what"],
        }
    }

    fn check(&self, key: &str, problems: &mut Problems) {
        match self {
            Self::Forecast(f) => {
                f.limit.check(&format!("{key}.forecast.limit"), problems);
                if f.critical_within.is_some_and(|c| c >= f.within) {
                    problems.push(format!("{key}.forecast.critical_within"), "must be shorter than within");
                }
                if f.within.0.is_zero() {
                    problems.push(format!("{key}.forecast.within"), "must be longer than nothing");
                }
                if f.history.0 < crate::predict::forecast::HISTORY_MIN {
                    problems.push(format!("{key}.forecast.history"), "must be 1h or longer");
                }
            }
            Self::Wear(w) => {
                if w.critical_within_days.is_some_and(|c| c >= w.within_days) {
                    let key = format!("{key}.wear.critical_within_days");
                    problems.push(key, "must be less than within_days");
                }
                if w.within_days == 0 {
                    problems.push(format!("{key}.wear.within_days"), "must be above zero");
                }
                if w.history.0 < crate::predict::forecast::HISTORY_MIN {
                    problems.push(format!("{key}.wear.history"), "must be 1h or longer");
                }
            }
            Self::Threshold(t) => {
                t.limit.check(&format!("{key}.threshold.limit"), problems);
                for (name, limit, sign) in
                    [("clear_at", &t.clear_at, -1.0), ("critical_limit", &t.critical_limit, 1.0)]
                {
                    let Some(limit) = limit else { continue };
                    let key = format!("{key}.threshold.{name}");
                    limit.check(&key, problems);
                    if let (Limit::Value(a), Limit::Value(b)) = (&t.limit, limit)
                        && (b - a) * sign * t.direction.sign() < 0.0
                    {
                        problems.push(key, "lies on the wrong side of limit");
                    }
                }
            }
            Self::Check(c) if c.states.is_empty() => {
                problems.push(format!("{key}.check.states"), "names no state, so it is never true");
            }
            Self::Check(c) if !c.critical_states.is_subset(&c.states) => {
                problems.push(format!("{key}.check.critical_states"), "names a state that states does not");
            }
            Self::ClockSkew(c) if c.above.0.is_zero() => {
                problems.push(format!("{key}.clock_skew.above"), "must be longer than nothing");
            }
            Self::Anomaly(a) if a.watch.is_empty() => {
                problems.push(format!("{key}.anomaly.watch"), "names nothing, so it is never true");
            }
            Self::Anomaly(a) if a.together.0 < TOGETHER_MIN => {
                problems.push(format!("{key}.anomaly.together"), "must be 1m or longer");
            }
            Self::Anomaly(a) if a.lasts.0.is_zero() => {
                problems.push(format!("{key}.anomaly.lasts"), "must be longer than nothing");
            }
            Self::SilentHospital(s) if s.devices_min < 2 => {
                problems.push(format!("{key}.silent_hospital.devices_min"), "must be 2 or more");
            }
            Self::Check(_)
            | Self::ClockSkew(_)
            | Self::SilentDevice(_)
            | Self::SilentHospital(_)
            | Self::IdentityDoubt(_)
            | Self::Anomaly(_) => {}
        }
    }
}

impl Limit {
    fn check(&self, key: &str, problems: &mut Problems) {
        let (number, key) = match self {
            Self::Value(v) => (*v, format!("{key}.value")),
            Self::Of(share) => (share.ratio, format!("{key}.of.ratio")),
        };
        if !number.is_finite() {
            problems.push(key, "must be a finite number");
        }
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
