//! `[diagnosis]` of the configuration: the thresholds that ship, and a device's own.
//!
//! Holds: a rule of the configuration for the same probe and quantity takes the place of those that
//! ship. A rule that can judge nothing is a problem of the configuration.

use crate::probes::registry;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_agent_core::diagnosis::{Bound, Diagnosis, Rule};
use tenken_common::{
    config::{HumanDuration, Problems},
    id::Name,
};

/// `[diagnosis]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosisSection {
    /// Whether the rules that ship apply.
    pub defaults: bool,
    /// `[[diagnosis.rules]]`
    pub rules: Vec<RuleSpec>,
}

impl Default for DiagnosisSection {
    fn default() -> Self {
        Self { defaults: true, rules: Vec::new() }
    }
}

/// A threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    pub probe: Name,
    pub quantity: Name,
    /// Only these mounts, sensors, interfaces, ..; without it all.
    #[serde(default)]
    pub subjects: Vec<Name>,
    #[serde(default)]
    pub direction: Direction,
    pub warning: Option<f64>,
    pub critical: Option<f64>,
    /// How much better than the threshold a value has to be to be good again.
    #[serde(default)]
    pub margin: f64,
    /// How long a value has to stay beyond the threshold.
    #[serde(default = "ten_minutes")]
    pub hold: HumanDuration,
}

/// On which side of the threshold it is bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Above,
    Below,
}

fn ten_minutes() -> HumanDuration {
    HumanDuration(Duration::from_mins(10))
}

const DAY_S: f64 = 86_400.0;

/// Probe, quantity, subjects, side, warning, critical, margin, hold in minutes. The hold spares what
/// passes by itself (a large job, a backup); what a disk or a certificate says holds at once.
type Shipped =
    (&'static str, &'static str, &'static [&'static str], Bound, Option<f64>, Option<f64>, f64, u64);

const SHIPPED: [Shipped; 12] = [
    ("disk", "used_ratio", &[], Bound::Above, Some(0.85), Some(0.95), 0.02, 10),
    ("disk", "inodes_used_ratio", &[], Bound::Above, Some(0.85), Some(0.95), 0.02, 10),
    // A root that became read-only is how Linux answers a failing disk.
    ("disk", "read_only", &["/", "/var"], Bound::Above, None, Some(1.0), 0.0, 1),
    ("memory", "used_ratio", &[], Bound::Above, Some(0.92), Some(0.98), 0.03, 10),
    ("pressure", "memory_full_ratio", &[], Bound::Above, Some(0.2), Some(0.5), 0.05, 10),
    ("pressure", "io_full_ratio", &[], Bound::Above, Some(0.5), Some(0.9), 0.1, 30),
    ("network", "errors_per_second", &[], Bound::Above, Some(1.0), None, 0.5, 10),
    ("smart", "wear_used_ratio", &[], Bound::Above, Some(0.9), Some(1.0), 0.0, 0),
    ("smart", "pending_sectors", &[], Bound::Above, Some(1.0), Some(100.0), 0.0, 0),
    ("smart", "media_errors", &[], Bound::Above, Some(1.0), Some(100.0), 0.0, 0),
    ("neighbours", "certificate_seconds", &[], Bound::Below, Some(14.0 * DAY_S), Some(3.0 * DAY_S), 0.0, 10),
    ("time_source", "stratum", &[], Bound::Above, Some(16.0), None, 0.0, 0),
];

impl DiagnosisSection {
    pub fn check(&self, problems: &mut Problems) {
        let known: Vec<&str> = registry::names().collect();
        for (i, spec) in self.rules.iter().enumerate() {
            let key = format!("diagnosis.rules.{i}");
            if !known.contains(&spec.probe.as_str()) {
                let known = known.join(", ");
                problems.push(
                    format!("{key}.probe"),
                    format!("there is no probe `{}` (there are {known})", spec.probe),
                );
            }
            let numbers = [spec.warning, spec.critical, Some(spec.margin)];
            if numbers.iter().flatten().any(|number| !number.is_finite()) || spec.margin < 0.0 {
                problems.push(
                    key.clone(),
                    "warning and critical are numbers, and margin is one that is not below zero",
                );
            }
            match (spec.warning, spec.critical) {
                (None, None) => problems.push(key, "has neither warning nor critical, so it judges nothing"),
                (Some(warning), Some(critical)) if !spec.worse(critical, warning) => {
                    problems.push(format!("{key}.critical"), "is reached before warning");
                }
                (Some(_), _) | (_, Some(_)) => {}
            }
        }
    }

    /// What judges.
    pub fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(self.all())
    }

    fn all(&self) -> Vec<Rule> {
        let own: Vec<Rule> = self.rules.iter().map(RuleSpec::rule).collect();
        let replaced = |rule: &Rule| own.iter().any(|o| o.probe == rule.probe && o.quantity == rule.quantity);
        let shipped = SHIPPED.iter().map(shipped).filter(|rule| self.defaults && !replaced(rule));
        shipped.collect::<Vec<_>>().into_iter().chain(own.iter().cloned()).collect()
    }
}

impl RuleSpec {
    fn worse(&self, critical: f64, warning: f64) -> bool {
        match self.direction {
            Direction::Above => critical >= warning,
            Direction::Below => critical <= warning,
        }
    }

    fn rule(&self) -> Rule {
        Rule {
            probe: self.probe.clone(),
            quantity: self.quantity.clone(),
            subjects: self.subjects.clone(),
            bound: match self.direction {
                Direction::Above => Bound::Above,
                Direction::Below => Bound::Below,
            },
            warning: self.warning,
            critical: self.critical,
            margin: self.margin,
            hold: self.hold.0,
        }
    }
}

fn shipped((probe, quantity, subjects, bound, warning, critical, margin, hold_min): &Shipped) -> Rule {
    Rule {
        probe: Name::of_outside(probe),
        quantity: Name::of_outside(quantity),
        subjects: subjects.iter().map(|subject| Name::of_outside(subject)).collect(),
        bound: *bound,
        warning: *warning,
        critical: *critical,
        margin: *margin,
        hold: Duration::from_mins(*hold_min),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rule: &str) -> Vec<String> {
        let section: DiagnosisSection = toml::from_str(&format!("[[rules]]\n{rule}")).unwrap();
        let mut problems = Problems::default();
        section.check(&mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn a_rule_that_judges_nothing_is_named() {
        let disk = "probe = 'disk'\nquantity = 'used_ratio'";
        assert!(problems(&format!("{disk}\nwarning = 0.5")).is_empty());
        assert!(problems(&format!("{disk}\ndirection = 'below'\nwarning = 0.5\ncritical = 0.1")).is_empty());
        assert_eq!(problems(disk), ["diagnosis.rules.0"]);
        assert_eq!(
            problems(&format!("{disk}\nwarning = 0.9\ncritical = 0.8")),
            ["diagnosis.rules.0.critical"]
        );
        assert_eq!(problems(&format!("{disk}\nwarning = nan")), ["diagnosis.rules.0"]);
        assert_eq!(problems("probe = 'disc'\nquantity = 'x'\nwarning = 1.0"), ["diagnosis.rules.0.probe"]);
    }

    #[test]
    fn an_own_rule_takes_the_place_of_the_shipped_one() {
        let of_disk = |section: &DiagnosisSection| -> Vec<Option<f64>> {
            let all = section.all();
            let of_disk =
                all.iter().filter(|r| r.probe.as_str() == "disk" && r.quantity.as_str() == "used_ratio");
            of_disk.map(|rule| rule.critical).collect()
        };
        let own: DiagnosisSection =
            toml::from_str("[[rules]]\nprobe = 'disk'\nquantity = 'used_ratio'\ncritical = 0.99").unwrap();
        assert_eq!(of_disk(&DiagnosisSection::default()), [Some(0.95)]);
        assert_eq!(of_disk(&own), [Some(0.99)]);
        let none = DiagnosisSection { defaults: false, rules: vec![] };
        assert!(none.all().is_empty());
        let names: Vec<_> = registry::names().collect();
        assert!(SHIPPED.iter().all(|rule| names.contains(&rule.0)), "each is about a probe that there is");
    }
}
