//! `GetSystemPowerStatus`, and a few times a day what each battery holds, through WMI
//! (`BatteryFullChargedCapacity` and `BatteryStaticData` of `ROOT\WMI`).
//!
//! Holds: Windows tells the charge of all batteries together, as the subject `battery`, and the wear of
//! each by the name of its instance. 255 stands for unknown. A battery counts for its wear where both
//! classes have it. Where WMI refuses or is late there is no wear, and the charge is told all the same.

#[cfg(windows)]
use super::{ReadError, aside::Aside, battery::BATTERIES_MAX, com::ComError, win32};
use super::{
    battery::{Described, charge_ratio, full_ratio},
    com::{Row, Variant},
};
#[cfg(windows)]
use std::time::Duration;
#[cfg(windows)]
use tenken_agent_core::probe::ProbeContext;
#[cfg(windows)]
use tenken_common::{telemetry::ErrorChain, time::Moment};

/// Of all batteries together.
const TOGETHER: &str = "battery";
const UNKNOWN: u8 = 255;
/// Bit of [`PowerStatus::flags`].
const NO_BATTERY: u8 = 128;
#[cfg_attr(not(windows), allow(dead_code, reason = "only Windows has the classes"))]
const DESIGNED: (&str, [&str; 2]) = ("BatteryStaticData", ["InstanceName", "DesignedCapacity"]);
#[cfg_attr(not(windows), allow(dead_code, reason = "only Windows has the classes"))]
const FULL: (&str, [&str; 2]) = ("BatteryFullChargedCapacity", ["InstanceName", "FullChargedCapacity"]);

/// `SYSTEM_POWER_STATUS`, as far as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerStatus {
    /// 1 where the device is on mains, 0 where not.
    pub line: u8,
    pub flags: u8,
    pub percent: u8,
}

impl PowerStatus {
    /// `None` without a battery, or where nothing is known of one.
    fn battery(self) -> Option<Described> {
        let there = self.flags != UNKNOWN && self.flags & NO_BATTERY == 0;
        there.then(|| Described {
            name: TOGETHER.to_owned(),
            charge_ratio: charge_ratio(self.percent.into()),
            full_ratio: None,
            cycles: None,
            discharging: match self.line {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            },
        })
    }
}

/// Each battery that both classes have.
fn wear(designed: &[Row], full: &[Row]) -> Vec<Described> {
    let name = |row: &Row| row.get("InstanceName").and_then(Variant::text).map(str::to_owned);
    let capacity = |row: &Row, property| {
        let held = row.get(property).and_then(Variant::integer)?;
        u32::try_from(held).ok().map(f64::from)
    };
    let worn = full.iter().filter_map(|row| {
        let instance = name(row)?;
        let of = designed.iter().find(|other| name(other).as_ref() == Some(&instance))?;
        let ratio = full_ratio(capacity(row, "FullChargedCapacity")?, capacity(of, "DesignedCapacity")?)?;
        // No identifier holds a backslash: `ACPI\PNP0C0A\1_0`.
        let name = instance.replace('\\', "/");
        let (charge_ratio, cycles, discharging) = (None, None, None);
        Some(Described { name, charge_ratio, full_ratio: Some(ratio), cycles, discharging })
    });
    worn.collect()
}

#[cfg(windows)]
const NAMESPACE: &str = r"ROOT\WMI";
/// WMI wakes other processes, and a battery wears over months.
#[cfg(windows)]
const WEAR_INTERVAL: Duration = Duration::from_hours(6);
/// Of one class.
#[cfg(windows)]
const WAIT: Duration = Duration::from_secs(10);

/// See the module's head.
#[cfg(windows)]
pub struct Source {
    aside: Aside<Result<[Vec<Row>; 2], ComError>>,
    /// When the wear was asked for last.
    asked: Option<Moment>,
}

#[cfg(windows)]
impl Default for Source {
    fn default() -> Self {
        Self { aside: Aside::new("battery"), asked: None }
    }
}

#[cfg(windows)]
impl Source {
    /// Of both classes together; more than a cheap probe has.
    pub const PATIENCE: Duration = Duration::from_secs(25);

    pub fn read(&mut self, cx: &ProbeContext) -> Result<Vec<Described>, ReadError> {
        let call = |source| ReadError::Call { call: "GetSystemPowerStatus", source };
        let Some(battery) = win32::power_status().map_err(call)?.battery() else { return Ok(vec![]) };
        let worn = self.worn(cx);
        Ok([battery].into_iter().chain(worn).take(BATTERIES_MAX).collect())
    }

    /// Nothing where it was asked for a short while ago.
    fn worn(&mut self, cx: &ProbeContext) -> Vec<Described> {
        let recent = |asked: Moment| {
            asked.boot == cx.at.boot && cx.at.mono.saturating_since(asked.mono) < WEAR_INTERVAL
        };
        if self.asked.is_some_and(recent) {
            return vec![];
        }
        self.asked = Some(cx.at);
        let answer = self.aside.ask(Self::PATIENCE, || {
            let objects = |class: &str, properties: &[&'static str]| {
                win32::wmi::objects(NAMESPACE, class, properties, WAIT)
            };
            Ok([objects(DESIGNED.0, &DESIGNED.1)?, objects(FULL.0, &FULL.1)?])
        });
        match answer {
            Ok(Ok([designed, full])) => wear(&designed, &full),
            Ok(Err(e)) => {
                tracing::debug!(reason = %e, "WMI tells no wear of batteries");
                vec![]
            }
            Err(e) => {
                tracing::debug!(reason = %ErrorChain(&e), "WMI gave no answer");
                vec![]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: u8, flags: u8, percent: u8) -> Option<(Option<f64>, Option<bool>)> {
        let battery = PowerStatus { line, flags, percent }.battery()?;
        Some((battery.charge_ratio, battery.discharging))
    }

    #[test]
    fn a_system_with_a_battery_without_one_and_one_that_does_not_know() {
        assert_eq!(status(0, 0, 55), Some((Some(0.55), Some(true))));
        assert_eq!(status(1, 8 | 1, 100), Some((Some(1.0), Some(false))));
        assert_eq!(status(255, 2, 255), Some((None, None)));
        assert_eq!(status(1, 8, 101), Some((None, Some(false))));
        assert_eq!(status(1, NO_BATTERY, 255), None);
        assert_eq!(status(1, UNKNOWN, 50), None, "the flag of a battery that could not be read");
    }

    fn row(instance: &str, property: &'static str, capacity: Variant) -> Row {
        Row::from([("InstanceName", Variant::Text(instance.to_owned())), (property, capacity)])
    }

    #[test]
    fn wear_is_told_of_batteries_that_both_classes_have() {
        let designed = |instance, capacity| row(instance, DESIGNED.1[1], Variant::Integer(capacity));
        let full = |instance, capacity| row(instance, FULL.1[1], Variant::Integer(capacity));
        let all = wear(
            &[designed(r"ACPI\PNP0C0A\2_0", 50_000), designed(r"ACPI\PNP0C0A\1_0", 40_000)],
            &[full(r"ACPI\PNP0C0A\1_0", 30_000), full(r"ACPI\PNP0C0A\3_0", 30_000)],
        );
        let shown: Vec<_> = all.iter().map(|b| (b.name.as_str(), b.full_ratio)).collect();
        assert_eq!(shown, [("ACPI/PNP0C0A/1_0", Some(0.75))]);
        // BATTERY_UNKNOWN_CAPACITY, as either sign of an integer gives it, and what cannot be.
        for (held, of) in [(-1, 40_000), (u32::MAX.into(), 40_000), (30_000, 0), (30_000, -1), (0, 40_000)] {
            assert!(wear(&[designed("a", of)], &[full("a", held)]).is_empty(), "{held} of {of}");
        }
        let text = row("a", FULL.1[1], Variant::Text("30000".to_owned()));
        assert!(wear(&[designed("a", 40_000)], &[text, Row::new()]).is_empty());
    }

    /// wine has no such classes.
    #[cfg(windows)]
    #[test]
    fn this_machine_answers() {
        use crate::probes::testing::at_ms;

        let mut source = Source::default();
        assert!(source.read(&at_ms(0)).is_ok());
        let again = source.read(&at_ms(300_000)).unwrap();
        assert!(again.iter().all(|battery| battery.full_ratio.is_none()), "{again:?}");
    }
}
