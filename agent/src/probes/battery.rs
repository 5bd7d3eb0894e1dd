//! Batteries of this device, and the UPS that it hangs on: how full, and what is left of their design.
//!
//! Holds: `full_ratio` is what a full battery holds of what it was designed for: the number that
//! wears. A number that cannot be is none. A battery of a peripheral (a mouse, a headset) is not the
//! device's. A UPS is looked at where the configuration names a server of Network UPS Tools
//! (`[probes.battery] nut`); what it says of itself is a check.
//!
//! Does not: know what a UPS's battery holds of its design, which NUT does not tell (it tells that the
//! battery is to be replaced); read makers and serial numbers. On Windows cycles are not read.

mod nut;
mod ups;

#[cfg(target_os = "linux")]
use super::battery_linux::Source;
#[cfg(windows)]
use super::battery_windows::Source;
use super::{Reading, every_minute, names::Names};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category, config::Problems, id::Name, observation::Observation, telemetry::ErrorChain,
    unit::Unit,
};

/// Beyond this a run of all would take too long.
const SERVERS_MAX: usize = 4;
/// No device that is maintained has more.
pub const BATTERIES_MAX: usize = 16;
/// A new battery holds a little more than its design; one that claims more than this was not measured.
const FULL_RATIO_MAX: f64 = 1.5;
/// Ten times what any battery lasts; 65,535 and the like stand for "not counted".
const CYCLES_MAX: f64 = 10_000.0;

/// `[probes.battery]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatterySpec {
    /// Servers of Network UPS Tools, each as `host:port`.
    pub nut: Vec<String>,
}

impl BatterySpec {
    pub fn check(&self, problems: &mut Problems) {
        for (i, server) in self.nut.iter().enumerate() {
            let parts = server.rsplit_once(':');
            if !parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                problems.push(format!("probes.battery.nut.{i}"), "must look like host:port");
            }
            if self.nut.iter().take(i).any(|earlier| earlier == server) {
                problems.push(format!("probes.battery.nut.{i}"), format!("`{server}` is listed twice"));
            }
        }
        if self.nut.len() > SERVERS_MAX {
            problems.push("probes.battery.nut", format!("are more than {SERVERS_MAX}"));
        }
    }
}

/// See the module's head.
pub struct Battery {
    info: ProbeInfo,
    source: Source,
    servers: Vec<ups::Server>,
    names: Arc<Names>,
}

impl Battery {
    pub fn new(spec: &BatterySpec, names: Arc<Names>) -> Self {
        let info = every_minute("battery", Category::Wear);
        let servers: Vec<_> =
            spec.nut.iter().enumerate().map(|(i, address)| ups::Server::new(i, address)).collect();
        let asked: Duration = servers.iter().map(|_| nut::TIMEOUT).sum();
        let cost = if servers.is_empty() { info.cost } else { Cost::Moderate };
        let timeout = info.timeout + Source::PATIENCE + asked;
        let info = ProbeInfo { interval: Duration::from_mins(5), cost, timeout, ..info };
        Self { info, source: Source::default(), servers, names }
    }
}

impl Probe for Battery {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let (batteries, failed) = match self.source.read(cx) {
            Ok(batteries) => (batteries, None),
            Err(e) => (vec![], Some(e)),
        };
        let mut seen: Vec<_> = batteries
            .into_iter()
            .filter_map(|battery| battery.reading().about(&self.info, cx, Name::of_outside(&battery.name)))
            .collect();
        for server in &mut self.servers {
            seen.extend(server.look(&self.names, &self.info, cx));
        }
        match failed {
            Some(e) if seen.is_empty() => Err(e.into()),
            None if seen.is_empty() => Err(ProbeError::NoData),
            Some(e) => {
                tracing::debug!(reason = %ErrorChain(&e), "the device's own batteries were not read");
                Ok(seen)
            }
            None => Ok(seen),
        }
    }
}

/// A battery as its system describes it, by numbers that can be.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub name: String,
    pub charge_ratio: Option<f64>,
    pub full_ratio: Option<f64>,
    pub cycles: Option<f64>,
    pub discharging: Option<bool>,
}

impl Described {
    fn reading(&self) -> Reading {
        Reading::default()
            .with("charge_ratio", Unit::Ratio, self.charge_ratio)
            .with("full_ratio", Unit::Ratio, self.full_ratio)
            .with("cycles", Unit::Count, self.cycles)
            .with("discharging", Unit::Count, self.discharging.map(|it_is| f64::from(u8::from(it_is))))
    }
}

/// Of a charge in percent.
pub fn charge_ratio(percent: f64) -> Option<f64> {
    (0.0..=100.0).contains(&percent).then(|| percent / 100.0)
}

/// A battery that holds nothing when it is full was not measured: so says the kernel of ACPI's.
pub fn full_ratio(full: f64, design: f64) -> Option<f64> {
    let ratio = full / design;
    (full > 0.0 && design > 0.0 && ratio <= FULL_RATIO_MAX).then_some(ratio)
}

/// Zero is what drivers say that do not count.
#[cfg_attr(windows, allow(dead_code, reason = "only Linux tells them"))]
pub fn cycles(count: f64) -> Option<f64> {
    (count > 0.0 && count <= CYCLES_MAX).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn what_cannot_be_is_no_value() {
        assert_eq!([0.0, 55.0, 100.0].map(charge_ratio), [Some(0.0), Some(0.55), Some(1.0)]);
        assert_eq!([-1.0, 101.0, 255.0, f64::NAN, f64::INFINITY].map(charge_ratio), [None; 5]);
        assert_eq!([full_ratio(30.0, 60.0), full_ratio(62.0, 40.0)], [Some(0.5), None]);
        assert_eq!(full_ratio(66.0, 60.0), Some(1.1), "a new one holds more than was promised");
        for (full, design) in [(0.0, 60.0), (60.0, 0.0), (0.0, 0.0), (-1.0, -1.0), (f64::NAN, 60.0)] {
            assert_eq!(full_ratio(full, design), None, "{full} of {design}");
        }
        assert_eq!(
            [cycles(1.0), cycles(0.0), cycles(65_535.0), cycles(f64::NAN)],
            [Some(1.0), None, None, None]
        );
    }

    #[test]
    fn this_machine_has_batteries_or_none() {
        let names = Arc::new(Names::new(&[], [1; 32]));
        match run_here(&mut Battery::new(&BatterySpec::default(), names)) {
            Ok(seen) => assert!(!seen.is_empty()),
            Err(e) => assert!(matches!(e, ProbeError::NoData), "{e:?}"),
        }
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_a_problem_of_the_configuration() {
        for (nut, count) in [
            ("[]", 0),
            ("['127.0.0.1:3493', '[::1]:3493', 'ups.example.jp:3493']", 0),
            ("['127.0.0.1']", 1),
            ("[':3493']", 1),
            ("['127.0.0.1:99999']", 1),
            ("['a:1', 'a:1']", 1),
            ("['a:1', 'a:2', 'a:3', 'a:4', 'a:5']", 1),
        ] {
            let spec: BatterySpec = toml::from_str(&format!("nut = {nut}")).unwrap();
            let mut problems = Problems::default();
            spec.check(&mut problems);
            assert_eq!(problems.iter().count(), count, "{nut}: {problems:?}");
        }
    }
}
