//! What has to be true for a rule, by its kind: a [`When`] of a rules file.
//!
//! Holds: what passes [`When::check`] can be judged. Which placeholders a kind fills is said here too.

use crate::predict::{forecast::Direction, watch::Watched};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};
use tenken_common::{
    config::{HumanDuration, Problems},
    id::Name,
    observation::CheckState,
};

/// What has to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Forecast(Forecast),
    Wear(Wear),
    Threshold(Threshold),
    Check(CheckIs),
    OtherCheck(OtherCheck),
    PatternFile(PatternFileOld),
    Patches(PatchesOverdue),
    ClockSkew(ClockSkew),
    SilentDevice(SilentDevice),
    Anomaly(AnomalyIs),
    FailureRisk(FailureRisk),
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

/// A judgement of the device itself that no rule of kind `check` names, so that none goes unheard. Its
/// subject is probe and subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherCheck {
    /// Of which rules of other kinds tell better. What rules of kind `check` name, for the device's group, is
    /// added to it.
    #[serde(default)]
    pub except: BTreeSet<Name>,
    pub states: BTreeSet<CheckState>,
    /// Make it critical.
    #[serde(default)]
    pub critical_states: BTreeSet<CheckState>,
}

/// An antivirus product's definitions are old, or it is switched off. Its subject is the product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternFileOld {
    pub older_than: HumanDuration,
    /// Makes it critical, as being switched off does then.
    #[serde(default)]
    pub critical_older_than: Option<HumanDuration>,
}

/// A security patch is offered for long and not installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchesOverdue {
    pub pending_for: HumanDuration,
    /// Makes it critical.
    #[serde(default)]
    pub critical_pending_for: Option<HumanDuration>,
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

/// A part has taken damage as parts do that fail soon; see [`crate::predict::risk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRisk {
    pub probe: Name,
    /// Quantities that count damage. Those that tell of the same damage stand together.
    pub counters: Vec<Vec<Name>>,
    /// A quantity that only grows with the part's age: where it falls, it is another part.
    #[serde(default)]
    pub age: Option<Name>,
    /// Quantities that move while the part works, whether or not its age does.
    #[serde(default)]
    pub life_signs: Vec<Name>,
    /// For how many seconds the device has run without a break; meanwhile the age of a part that is read
    /// has to grow.
    #[serde(default)]
    pub uptime: Option<DeviceUptime>,
    /// From this score on.
    pub score: f64,
    /// Makes it critical.
    #[serde(default)]
    pub critical_score: Option<f64>,
}

/// Which number tells for how many seconds the device runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceUptime {
    pub probe: Name,
    pub quantity: Name,
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

/// An episode is named by the minute in which it began.
const TOGETHER_MIN: Duration = Duration::from_mins(1);

fn an_hour() -> HumanDuration {
    HumanDuration(Duration::from_hours(1))
}

fn six_hours() -> HumanDuration {
    HumanDuration(Duration::from_hours(6))
}

fn a_year() -> HumanDuration {
    HumanDuration(Duration::from_hours(365 * 24))
}

fn thirty_days() -> HumanDuration {
    HumanDuration(Duration::from_hours(30 * 24))
}

fn two() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

impl When {
    pub(super) fn anomaly(&self) -> Option<&AnomalyIs> {
        match self {
            Self::Anomaly(when) => Some(when),
            Self::Forecast(_)
            | Self::Wear(_)
            | Self::Threshold(_)
            | Self::Check(_)
            | Self::OtherCheck(_)
            | Self::PatternFile(_)
            | Self::Patches(_)
            | Self::ClockSkew(_)
            | Self::SilentDevice(_)
            | Self::FailureRisk(_)
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
            Self::Check(_) | Self::OtherCheck(_) => &["probe", "state"],
            Self::PatternFile(_) => &["what", "version"],
            Self::Patches(_) => &["count", "day", "age"],
            Self::ClockSkew(_) => &["offset", "limit"],
            Self::SilentDevice(_) => &["last_received", "silence", "interval"],
            Self::Anomaly(_) => &["series", "why", "score", "from", "others"],
            Self::FailureRisk(_) => &["why", "score", "from"],
            Self::SilentHospital(_) => &["count", "devices", "last_received", "silence"],
            Self::IdentityDoubt(_) => &["what"],
        }
    }

    pub(super) fn check(&self, key: &str, problems: &mut Problems) {
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
            Self::Check(c) => {
                check_states(&format!("{key}.check"), (&c.states, &c.critical_states), problems);
            }
            Self::OtherCheck(c) => {
                check_states(&format!("{key}.other_check"), (&c.states, &c.critical_states), problems);
            }
            Self::PatternFile(p) if p.critical_older_than.is_some_and(|c| c <= p.older_than) => {
                let key = format!("{key}.pattern_file.critical_older_than");
                problems.push(key, "must be longer than older_than");
            }
            Self::Patches(p) if p.critical_pending_for.is_some_and(|c| c <= p.pending_for) => {
                let key = format!("{key}.patches.critical_pending_for");
                problems.push(key, "must be longer than pending_for");
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
            Self::FailureRisk(r) => r.check(&format!("{key}.failure_risk"), problems),
            Self::SilentHospital(s) if s.devices_min < 2 => {
                problems.push(format!("{key}.silent_hospital.devices_min"), "must be 2 or more");
            }
            Self::PatternFile(_)
            | Self::Patches(_)
            | Self::ClockSkew(_)
            | Self::SilentDevice(_)
            | Self::SilentHospital(_)
            | Self::IdentityDoubt(_)
            | Self::Anomaly(_) => {}
        }
    }
}

fn check_states(
    key: &str,
    (states, critical): (&BTreeSet<CheckState>, &BTreeSet<CheckState>),
    problems: &mut Problems,
) {
    if states.is_empty() {
        problems.push(format!("{key}.states"), "names no state, so it is never true");
    } else if !critical.is_subset(states) {
        problems.push(format!("{key}.critical_states"), "names a state that states does not");
    }
}

impl FailureRisk {
    fn check(&self, key: &str, problems: &mut Problems) {
        if !self.counters.iter().any(|kind| !kind.is_empty()) {
            problems.push(format!("{key}.counters"), "names nothing, so it is never true");
        }
        let others = self.age.iter().chain(&self.life_signs);
        let named: Vec<&Name> = self.counters.iter().flatten().chain(others).collect();
        if named.iter().collect::<BTreeSet<_>>().len() < named.len() {
            problems.push(format!("{key}.counters"), "names a quantity twice");
        }
        if self.uptime.is_some() && self.age.is_none() {
            problems.push(format!("{key}.uptime"), "says nothing without age");
        }
        // What has no damage scores nothing, and is to be no finding.
        if !(self.score.is_finite() && self.score > 0.0) {
            problems.push(format!("{key}.score"), "must be above zero");
        }
        if self.critical_score.is_some_and(|c| !(c.is_finite() && c > self.score)) {
            problems.push(format!("{key}.critical_score"), "must be more than score");
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
