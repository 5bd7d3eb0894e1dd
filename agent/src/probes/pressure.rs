//! How long tasks waited for processor, memory and disk (Linux PSI,
//! Documentation/accounting/psi.rst).
//!
//! Holds: `some` is the share of the last minute in which at least one task waited, `full` that in
//! which all did. A kernel without PSI has none, which is not a failure.

use super::{DEVICE_SUBJECT, Reading, every_minute};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

/// See the module's head.
pub struct Pressure {
    info: ProbeInfo,
}

impl Pressure {
    pub fn new() -> Self {
        Self { info: every_minute("pressure", Category::Performance) }
    }
}

impl Probe for Pressure {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if cfg!(not(target_os = "linux")) {
            return Err(ProbeError::Unsupported);
        }
        let mut reading = Reading::default();
        for (resource, some, full) in [
            ("cpu", "cpu_some_ratio", "cpu_full_ratio"),
            ("io", "io_some_ratio", "io_full_ratio"),
            ("memory", "memory_some_ratio", "memory_full_ratio"),
        ] {
            let Ok(text) = std::fs::read_to_string(format!("/proc/pressure/{resource}")) else { continue };
            reading = reading.with(some, Unit::Ratio, share(&text, "some")).with(
                full,
                Unit::Ratio,
                share(&text, "full"),
            );
        }
        reading.of(&self.info, cx, DEVICE_SUBJECT).map(|o| vec![o]).ok_or(ProbeError::NoData)
    }
}

/// `some avg10=0.00 avg60=12.50 avg300=3.00 total=1`
fn share(text: &str, kind: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
    let percent = line.split(' ').find_map(|field| field.strip_prefix("avg60="))?.parse::<f64>().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn the_last_minute_counts() {
        let text = "some avg10=1.00 avg60=12.50 avg300=3.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!((share(text, "some"), share(text, "full")), (Some(0.125), Some(0.0)));
        for bad in [
            "",
            "some",
            "some avg60=",
            "some avg60=101",
            "some avg60=-1",
            "some avg60=nan",
            "somewhat avg60=1",
        ] {
            assert_eq!(share(bad, "some"), None, "{bad}");
        }
    }

    #[test]
    fn this_machine_answers_in_its_own_name() {
        assert!(!matches!(run_here(&mut Pressure::new()), Err(ProbeError::Failed(_) | ProbeError::TimedOut)));
    }
}
