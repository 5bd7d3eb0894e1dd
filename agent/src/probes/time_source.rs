//! What keeps the device's clock: chrony (`chronyc -c tracking`) or ntpd (`ntpq -c rv`), with their
//! own measure of the error.
//!
//! Holds: `offset_seconds` is the system clock against the source, positive where the system is
//! ahead; `stratum` as the service has it, 16 where it is not synchronised, with which goes
//! `synchronised` 0. What systemd-timesyncd knows is in the probe `clock`.

use super::{
    DEVICE_SUBJECT, Reading,
    command::{Command, CommandError},
    every_minute,
};
use std::time::Duration;
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

const TIMEOUT: Duration = Duration::from_secs(10);
/// NTP: from here on a clock has no source (RFC 5905).
const UNSYNCHRONISED: f64 = 16.0;

/// See the module's head.
pub struct TimeSource {
    info: ProbeInfo,
}

impl TimeSource {
    pub fn new() -> Self {
        let info = every_minute("time_source", Category::Clock);
        let (interval, timeout) = (Duration::from_hours(1), Duration::from_secs(30));
        Self { info: ProbeInfo { interval, timeout, cost: Cost::Expensive, ..info } }
    }
}

/// A program, what it is asked, and how its answer is read.
type Asked = (&'static str, &'static [&'static str], fn(&str) -> Option<Tracking>);

/// What a time service says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tracking {
    offset_s: f64,
    stratum: f64,
}

impl Tracking {
    fn reading(self) -> Reading {
        let synchronised = self.stratum > 0.0 && self.stratum < UNSYNCHRONISED;
        Reading::default()
            .with("offset_seconds", Unit::Seconds, synchronised.then_some(self.offset_s))
            .with("stratum", Unit::Count, self.stratum)
            .with("synchronised", Unit::Count, f64::from(u8::from(synchronised)))
    }
}

impl Probe for TimeSource {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let asked: [Asked; 2] = [
            ("chronyc", &["-c", "-n", "tracking"], chrony),
            ("ntpq", &["-n", "-c", "rv 0 stratum,offset"], ntpd),
        ];
        for (program, args, parse) in asked {
            match Command::new(program).args(args).run(TIMEOUT) {
                Ok(ended) => {
                    if let Some(tracking) = parse(&ended.stdout).filter(|_| ended.code == 0) {
                        return Ok(tracking
                            .reading()
                            .of(&self.info, cx, DEVICE_SUBJECT)
                            .into_iter()
                            .collect());
                    }
                }
                Err(CommandError::Missing(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        // Neither is there, or the one that is there does not run.
        Err(ProbeError::NoData)
    }
}

/// Fourteen fields with commas between them: reference id, name, stratum, time, the system's offset
/// (chronyc(1): how far the system clock is *slow*, so the sign is turned), and more.
fn chrony(printed: &str) -> Option<Tracking> {
    let fields: Vec<&str> = printed.lines().next()?.split(',').collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok().filter(|n| n.is_finite());
    let whole = fields.len() == 14;
    // An unset reference is stratum 0.
    let stratum = number(2).map(|stratum| if stratum == 0.0 { UNSYNCHRONISED } else { stratum })?;
    whole.then_some(Tracking { offset_s: -number(4)?, stratum })
}

/// `stratum=2, offset=-0.006675`, in milliseconds.
fn ntpd(printed: &str) -> Option<Tracking> {
    let field = |name: &str| {
        let value =
            printed.split([',', '\n']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
        value.parse::<f64>().ok().filter(|n| n.is_finite())
    };
    Some(Tracking { offset_s: field("offset")? / 1_000.0, stratum: field("stratum")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn what_each_service_prints() {
        let line = "D2D5B9A6,ntp1.example.jp,2,1790000000.123,-0.000123,0.0001,0.0002,1.5,0.01,0.02,0.03,0.004,64.5,Normal\n";
        assert_eq!(chrony(line), Some(Tracking { offset_s: 0.000_123, stratum: 2.0 }));
        let unset = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        let reading = chrony(unset).unwrap().reading().0;
        let values: Vec<_> = reading.iter().map(|q| (q.name.as_str(), q.value)).collect();
        assert_eq!(values, [("stratum", 16.0), ("synchronised", 0.0)], "no offset to nothing");
        assert_eq!(ntpd("stratum=2, offset=-6.5\n"), Some(Tracking { offset_s: -0.006_5, stratum: 2.0 }));
        for bad in [
            "",
            "506 Cannot talk to daemon",
            "a,b,c",
            "stratum=2",
            "stratum=x, offset=1",
            "stratum=2, offset=nan",
        ] {
            assert_eq!((chrony(bad), ntpd(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn this_machine_answers_or_has_no_service() {
        assert!(!matches!(run_here(&mut TimeSource::new()), Err(ProbeError::Failed(_))));
    }
}
