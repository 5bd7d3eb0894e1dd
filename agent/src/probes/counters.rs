//! Counters of wear parts, as the configuration says where they stand: tube exposures, lamp hours,
//! door cycles (SLA A2.1(2)).
//!
//! Holds: a counter comes with its unit, which way it goes and, where it is known, its rated life in
//! the same unit; what cannot be read has no value.

use super::{every_minute, extract::Extract, fact};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::Problems,
    fact::{Fact, WearCounter, WearDirection},
    id::Name,
    observation::Observation,
    unit::{Quantity, Unit},
};

/// `[[probes.counters]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterSpec {
    /// The part.
    pub name: Name,
    /// What is counted.
    #[serde(default = "used")]
    pub quantity: Name,
    #[serde(default = "count")]
    pub unit: Unit,
    /// Of one counted thing in the unit, such as 3600 for hours in seconds.
    #[serde(default = "one")]
    pub scale: f64,
    /// As the counter shows it, before the scale.
    pub rated_life: Option<f64>,
    #[serde(default = "up")]
    pub direction: WearDirection,
    #[serde(flatten)]
    pub extract: Extract,
}

fn used() -> Name {
    Name::of_outside("used")
}

fn count() -> Unit {
    Unit::Count
}

fn one() -> f64 {
    1.0
}

fn up() -> WearDirection {
    WearDirection::Up
}

// A configuration is compared with itself only, and its numbers are finite (see `check`).
impl Eq for CounterSpec {}

impl CounterSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        self.extract.check(key, problems);
        if !self.scale.is_finite() || self.scale <= 0.0 {
            problems.push(format!("{key}.scale"), "must be above zero");
        }
        if self.rated_life.is_some_and(|life| !life.is_finite() || life <= 0.0) {
            problems.push(format!("{key}.rated_life"), "must be above zero");
        }
    }

    fn read(&self, info: &ProbeInfo) -> Result<Fact, ProbeError> {
        let value = self.extract.number()? * self.scale;
        let value = Quantity::new(self.quantity.clone(), self.unit, value).ok_or(ProbeError::NoData)?;
        let rated_life = self.rated_life.map(|life| life * self.scale);
        let (probe, direction) = (Name::of_outside(info.name), self.direction);
        Ok(Fact::WearCounter(WearCounter { probe, value, rated_life, direction }))
    }
}

/// See the module's head.
pub struct Counters {
    info: ProbeInfo,
    specs: Vec<CounterSpec>,
}

impl Counters {
    pub fn new(specs: Vec<CounterSpec>) -> Self {
        let (interval, timeout) = (Duration::from_hours(1), Duration::from_mins(1));
        let info = every_minute("counters", Category::Wear);
        Self { info: ProbeInfo { interval, timeout, cost: Cost::Moderate, ..info }, specs }
    }
}

impl Probe for Counters {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    /// Where some cannot be read and others can, the others are what is seen.
    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let mut failed = None;
        let mut seen = Vec::new();
        for spec in &self.specs {
            match spec.read(&self.info) {
                Ok(read) => seen.push(fact(&self.info, cx, spec.name.clone(), read)),
                Err(e) => failed = Some(e),
            }
        }
        if seen.is_empty() { Err(failed.unwrap_or(ProbeError::NoData)) } else { Ok(seen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::probes::testing::run_here;
    #[cfg(unix)]
    use tenken_common::observation::Body;

    fn spec(fields: &str) -> CounterSpec {
        toml::from_str(&format!("name = 'tube'\n{fields}")).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn hours_become_seconds_and_the_rated_life_with_them() {
        let lamp = spec("unit = 'seconds'\nscale = 3600.0\nrated_life = 2000\ncommand = ['echo', '1500']");
        let seen = run_here(&mut Counters::new(vec![lamp, spec("command = ['echo', 'YAMADA']")])).unwrap();
        let [Observation { body: Body::Fact(Fact::WearCounter(wear)), .. }] = seen.as_slice() else {
            panic!("one counter: {seen:?}")
        };
        assert_eq!((wear.value.value, wear.value.unit), (5_400_000.0, Unit::Seconds));
        assert_eq!((wear.rated_life, wear.direction), (Some(7_200_000.0), WearDirection::Up));
    }

    #[test]
    fn impossible_lives_are_problems() {
        for (fields, count) in [
            ("file = 'a'\ndirection = 'down'", 0),
            ("file = 'a'\nscale = 0.0", 1),
            ("file = 'a'\nrated_life = -1.0", 1),
            ("file = 'a'\nrated_life = nan", 1),
        ] {
            let mut problems = Problems::default();
            spec(fields).check("probes.counters.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{fields}");
        }
    }
}
