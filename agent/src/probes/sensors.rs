//! Temperatures, through sysinfo (on Linux `/sys/class/hwmon`, else thermal zones).
//!
//! Holds: `celsius` is what the sensor says now, `critical_celsius` the threshold of its chip,
//! `highest_celsius` the highest that chip or agent has seen. A machine without sensors (most
//! virtual ones) has no data, which is not a failure.
//!
//! Does not: work on Windows, where the numbers come through WMI: heavy, and mostly not there.

use super::{Reading, every_minute};
use std::collections::BTreeMap;
use sysinfo::Components;
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

/// What a sensor that is not connected reads as lies outside.
const PLAUSIBLE_CELSIUS: std::ops::RangeInclusive<f32> = -60.0..=250.0;

/// See the module's head.
pub struct Sensors {
    info: ProbeInfo,
    components: Option<Components>,
}

impl Sensors {
    pub fn new() -> Self {
        Self { info: every_minute("sensors", Category::Sensor), components: None }
    }

    fn refreshed(&mut self) -> Result<&Components, ProbeError> {
        let components = match self.components.take() {
            Some(mut components) => {
                components.refresh(true);
                components
            }
            None => Components::new_with_refreshed_list().map_err(|e| match e {
                sysinfo::Error::Unsupported => ProbeError::Unsupported,
                sysinfo::Error::Io(_) | sysinfo::Error::Other(_) => ProbeError::Failed(Box::new(e)),
            })?,
        };
        Ok(self.components.insert(components))
    }
}

impl Probe for Sensors {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if cfg!(not(target_os = "linux")) {
            return Err(ProbeError::Unsupported);
        }
        let readings: Vec<_> = self
            .refreshed()?
            .iter()
            .map(|c| {
                let label = if c.label().is_empty() { c.id().unwrap_or("sensor") } else { c.label() };
                (label.to_owned(), reading(c.temperature(), c.max(), c.critical()))
            })
            .collect();
        let named = names(readings);
        let seen: Vec<_> = named.into_iter().filter_map(|(name, r)| r.of(&self.info, cx, &name)).collect();
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }
}

/// Thresholds alone are no measurement.
fn reading(now: Option<f32>, highest: Option<f32>, critical: Option<f32>) -> Reading {
    let plausible = |celsius: Option<f32>| celsius.filter(|c| PLAUSIBLE_CELSIUS.contains(c)).map(f64::from);
    let Some(now) = plausible(now) else { return Reading::default() };
    Reading::default()
        .with("celsius", Unit::Celsius, now)
        .with("highest_celsius", Unit::Celsius, plausible(highest))
        .with("critical_celsius", Unit::Celsius, plausible(critical))
}

/// Labels without blanks; the second of the same name is `name:2`, in the system's order.
fn names<T>(labelled: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut seen = BTreeMap::<String, usize>::new();
    let named = labelled.into_iter().map(|(label, value)| {
        let label = label.split_whitespace().collect::<Vec<_>>().join("_");
        let count = seen.entry(label.clone()).or_default();
        *count += 1;
        (if *count == 1 { label } else { format!("{label}:{count}") }, value)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn what_is_not_plausible_is_left_out() {
        let count = |now, highest, critical| reading(now, highest, critical).0.len();
        assert_eq!(count(Some(41.5), Some(60.0), Some(100.0)), 3);
        assert_eq!(count(Some(41.5), Some(f32::NAN), Some(65_261.8)), 1);
        assert_eq!(count(Some(-128.0), None, Some(100.0)), 0);
        assert_eq!(count(None, Some(60.0), Some(100.0)), 0);
    }

    #[test]
    fn names_are_told_apart() {
        let labelled = ["k10temp Tctl", "nvme  Composite", "k10temp Tctl"].map(|l| (l.to_owned(), ()));
        let got: Vec<_> = names(labelled.into()).into_iter().map(|(name, ())| name).collect();
        assert_eq!(got, ["k10temp_Tctl", "nvme_Composite", "k10temp_Tctl:2"]);
    }

    #[test]
    fn this_machine_has_sensors_or_says_that_it_has_none() {
        let mut sensors = Sensors::new();
        for _ in 0..2 {
            match run_here(&mut sensors) {
                Ok(seen) => assert!(!seen.is_empty()),
                Err(e) => assert!(matches!(e, ProbeError::NoData | ProbeError::Unsupported), "{e}"),
            }
        }
    }
}
