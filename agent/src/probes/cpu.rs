//! Processor: how busy, how long the queue.
//!
//! Holds: ratios are of the time since the last run, over all processors; so the first run has
//! no ratios, only load averages and the number of processors.

#[cfg(target_os = "linux")]
use super::cpu_linux::Source;
#[cfg(windows)]
use super::cpu_windows::Source;
use super::{DEVICE_SUBJECT, every_minute};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{category::Category, observation::Observation};

/// See the module's head.
pub struct Cpu {
    info: ProbeInfo,
    source: Source,
}

impl Cpu {
    pub fn new() -> Self {
        Self { info: every_minute("cpu", Category::Performance), source: Source::default() }
    }
}

impl Probe for Cpu {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let reading = self.source.read(cx)?;
        Ok(reading.of(&self.info, cx, DEVICE_SUBJECT).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, value};

    #[test]
    fn this_machine_has_a_processor() {
        let seen = run_here(&mut Cpu::new()).unwrap();
        assert!(value(&seen[0], "processors").unwrap() >= 1.0);
        assert_eq!(value(&seen[0], "used_ratio"), None, "nothing to compare with yet");
    }
}
