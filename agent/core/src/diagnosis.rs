//! The device's own diagnosis: thresholds over what its probes measured, so that it finds its faults
//! while nobody can be reached (SLA A2.1(2)).
//!
//! Holds: a judgement changes only after a value has been beyond the threshold for as long as the
//! rule holds it, and goes back only once the value is better by the rule's margin, so that a value
//! at the threshold does not flap. A judgement is told when it changes, at first, and once an hour;
//! its check result stands beside the numbers and is durable like them. No value, no judgement:
//! what was judged before is not repeated.
//!
//! Does not: forecast, or look at more than one number at a time; the collector does.

use crate::probe::ProbeInfo;
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    id::Name,
    observation::{Body, CheckResult, CheckState, Observation},
    time::Monotonic,
};

/// An unchanged judgement is told again after this.
pub const REPEAT: Duration = Duration::from_hours(1);
/// Subjects that are judged at once, over all rules; more is no device.
const SUBJECTS_MAX: usize = 1_024;

/// From which value on it is bad, in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Above,
    Below,
}

/// One threshold rule; see the module's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub probe: Name,
    pub quantity: Name,
    /// Only these subjects; none: all.
    pub subjects: Vec<Name>,
    pub bound: Bound,
    pub warning: Option<f64>,
    pub critical: Option<f64>,
    /// In the quantity's unit.
    pub margin: f64,
    pub hold: Duration,
}

impl Rule {
    /// What the value alone says; at the threshold is beyond it.
    pub fn level(&self, value: f64) -> CheckState {
        self.level_with(value, 0.0)
    }

    /// `eased`: how much better than the threshold still counts as beyond it.
    fn level_with(&self, value: f64, eased: f64) -> CheckState {
        let beyond = |threshold: Option<f64>| {
            threshold.is_some_and(|threshold| match self.bound {
                Bound::Above => value >= threshold - eased,
                Bound::Below => value <= threshold + eased,
            })
        };
        if beyond(self.critical) {
            CheckState::Critical
        } else if beyond(self.warning) {
            CheckState::Warning
        } else {
            CheckState::Ok
        }
    }

    fn is_about(&self, probe: &Name, subject: &Name) -> bool {
        self.probe == *probe && (self.subjects.is_empty() || self.subjects.contains(subject))
    }
}

/// What is judged of one subject by one rule.
#[derive(Debug, Clone, Copy)]
struct Judged {
    state: CheckState,
    /// The level that differs from the state, and since when without a break.
    other: Option<(CheckState, Monotonic)>,
    told: Option<Monotonic>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Diagnosis {
    rules: Vec<Rule>,
    judged: BTreeMap<(usize, Name), Judged>,
}

impl Diagnosis {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, judged: BTreeMap::new() }
    }

    /// What the values of one run say on their own, worst first where several rules look at one.
    pub fn level(&self, probe: &Name, subject: &Name, quantity: &Name, value: f64) -> Option<CheckState> {
        let rules =
            self.rules.iter().filter(|rule| rule.is_about(probe, subject) && rule.quantity == *quantity);
        rules.map(|rule| rule.level(value)).max()
    }

    /// The check results that one run of a probe leads to.
    pub fn judge(&mut self, info: &ProbeInfo, seen: &[Observation]) -> Vec<Observation> {
        let mut told = Vec::new();
        for observation in seen {
            let Body::Sample(sample) = &observation.body else { continue };
            for (index, rule) in self.rules.iter().enumerate() {
                if !rule.is_about(&sample.probe, &observation.subject) {
                    continue;
                }
                let Some(quantity) = sample.quantities.iter().find(|q| q.name == rule.quantity) else {
                    continue;
                };
                let key = (index, observation.subject.clone());
                if self.judged.len() >= SUBJECTS_MAX && !self.judged.contains_key(&key) {
                    continue;
                }
                let start = Judged { state: CheckState::Ok, other: None, told: None };
                let judged = self.judged.entry(key).or_insert(start);
                if judged.take(rule, quantity.value, observation.at.mono) {
                    let probe = Name::of_outside(&format!("{}.{}", info.name, rule.quantity));
                    let check = CheckResult { probe, state: judged.state };
                    told.push(Observation { body: Body::CheckResult(check), ..observation.clone() });
                }
            }
        }
        told
    }
}

impl Judged {
    /// Whether it is to be told.
    fn take(&mut self, rule: &Rule, value: f64, now: Monotonic) -> bool {
        // Better by the margin than the level it has, or not better at all.
        let plain = rule.level(value);
        let eased = rule.level_with(value, rule.margin);
        let level = if plain >= self.state { plain } else { eased.min(self.state) };
        self.other = match self.other {
            _ if level == self.state => None,
            Some((other, since)) if other == level && since <= now => Some((other, since)),
            Some(_) | None => Some((level, now)),
        };
        let held = self.other.filter(|(_, since)| now.saturating_since(*since) >= rule.hold);
        if let Some((level, _)) = held {
            self.state = level;
            self.other = None;
        }
        // A clock that went back is another boot's: told anew.
        let due = self.told.is_none_or(|told| now < told || now.saturating_since(told) >= REPEAT);
        // Whether it is good is not known before the first hold is over.
        let settling = self.told.is_none() && self.other.is_some();
        let tell = !settling && (held.is_some() || due);
        if tell {
            self.told = Some(now);
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Cost;
    use proptest::prelude::*;
    use tenken_common::{
        category::Category,
        id::BootId,
        observation::Sample,
        time::{Moment, Timestamp},
        unit::{Quantity, Unit},
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn rule() -> Rule {
        Rule {
            probe: name("disk"),
            quantity: name("used_ratio"),
            subjects: vec![],
            bound: Bound::Above,
            warning: Some(0.8),
            critical: Some(0.9),
            margin: 0.05,
            hold: Duration::from_mins(10),
        }
    }

    fn info() -> ProbeInfo {
        let (interval, timeout) = (Duration::from_mins(1), Duration::from_secs(5));
        ProbeInfo { name: "disk", category: Category::Disk, interval, cost: Cost::Cheap, timeout }
    }

    fn seen(subject: &str, value: f64, minute: u64) -> Vec<Observation> {
        let quantities = vec![Quantity::new(name("used_ratio"), Unit::Ratio, value).unwrap()];
        let body = Body::Sample(Sample { probe: name("disk"), quantities });
        let at = Moment { boot: BootId([1; 16]), mono: Monotonic(minute * 60_000), wall: Timestamp::EPOCH };
        vec![Observation { at, category: Category::Disk, subject: name(subject), body }]
    }

    /// Minutes at which something was told, and what.
    fn told(rule: Rule, values: &[(u64, f64)]) -> Vec<(u64, CheckState)> {
        let mut diagnosis = Diagnosis::new(vec![rule]);
        let mut all = Vec::new();
        for (minute, value) in values {
            for o in diagnosis.judge(&info(), &seen("/", *value, *minute)) {
                let Body::CheckResult(check) = o.body else { panic!("a check result") };
                assert_eq!((check.probe.as_str(), o.category), ("disk.used_ratio", Category::Disk));
                all.push((*minute, check.state));
            }
        }
        all
    }

    #[test]
    fn what_lasts_is_told_and_what_passes_is_not() {
        use CheckState::{Critical, Ok, Warning};
        let steady = |from: u64, to: u64, value: f64| (from..to).map(move |minute| (minute, value));
        let burst: Vec<_> = steady(0, 5, 0.5).chain(steady(5, 14, 0.95)).chain(steady(14, 30, 0.5)).collect();
        assert_eq!(told(rule(), &burst), [(0, Ok)]);
        let full: Vec<_> = steady(0, 5, 0.5).chain(steady(5, 40, 0.85)).chain(steady(40, 55, 0.95)).collect();
        assert_eq!(told(rule(), &full), [(0, Ok), (15, Warning), (50, Critical)]);
    }

    #[test]
    fn at_the_threshold_it_does_not_flap() {
        let values: Vec<_> =
            (0..60).map(|minute| (minute, if minute % 2 == 0 { 0.81 } else { 0.79 })).collect();
        let none = Rule { hold: Duration::ZERO, ..rule() };
        assert_eq!(
            told(none.clone(), &values),
            [(0, CheckState::Warning)],
            "0.79 is not better by the margin"
        );
        let back = [(0, 0.81), (1, 0.76), (2, 0.74), (3, 0.81)];
        let states: Vec<_> = told(none, &back).into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [CheckState::Warning, CheckState::Ok, CheckState::Warning]);
    }

    #[test]
    fn a_fault_at_the_start_is_not_called_good_before() {
        let values: Vec<_> = (0..20).map(|minute| (minute, 0.95)).collect();
        assert_eq!(told(rule(), &values), [(10, CheckState::Critical)]);
    }

    #[test]
    fn it_is_told_again_every_hour() {
        let values: Vec<_> = (0..=130).map(|minute| (minute, 0.5)).collect();
        assert_eq!(told(rule(), &values), [0, 60, 120].map(|minute| (minute, CheckState::Ok)));
    }

    #[test]
    fn below_a_bound_and_only_one_subject() {
        let rule = Rule {
            bound: Bound::Below,
            warning: Some(0.3),
            critical: None,
            subjects: vec![name("/")],
            hold: Duration::ZERO,
            ..rule()
        };
        let mut diagnosis = Diagnosis::new(vec![rule.clone()]);
        assert!(diagnosis.judge(&info(), &seen("/var", 0.1, 0)).is_empty());
        assert_eq!(diagnosis.judge(&info(), &seen("/", 0.3, 0)).len(), 1);
        assert_eq!((rule.level(0.31), rule.level(0.3)), (CheckState::Ok, CheckState::Warning));
        let level = diagnosis.level(&name("disk"), &name("/"), &name("used_ratio"), 0.2);
        assert_eq!(level, Some(CheckState::Warning));
        assert_eq!(diagnosis.level(&name("disk"), &name("/"), &name("other"), 0.2), None);
    }

    proptest! {
        /// A state that is told was the level (with the margin) of every value in the hold before it.
        #[test]
        fn no_judgement_without_its_hold(values in prop::collection::vec(0.6..1.0f64, 1..120)) {
            let rule = rule();
            let timed: Vec<_> = (0..).zip(values.iter().copied()).collect();
            for (minute, state) in told(rule.clone(), &timed) {
                if state == CheckState::Ok {
                    continue;
                }
                let held = timed.iter().filter(|(m, _)| *m + 10 >= minute && *m <= minute);
                for (_, value) in held {
                    prop_assert!(rule.level_with(*value, rule.margin) >= state, "{value} at {minute}");
                }
            }
        }
    }
}
