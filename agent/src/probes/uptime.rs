//! How long the system has been up; suspended time counts on Linux.
//!
//! Does not: tell that there was a reboot; every observation carries its boot's identity.

use super::{DEVICE_SUBJECT, Reading, every_minute};
use sysinfo::System;
use tenken_agent_core::{
    probe::{Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

/// See the module's head.
pub struct Uptime {
    info: ProbeInfo,
}

impl Uptime {
    pub fn new() -> Self {
        Self { info: every_minute("uptime", Category::Performance) }
    }
}

impl Probe for Uptime {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let uptime_s = System::uptime().map_err(|e| ProbeError::Failed(Box::new(e)))?;
        let reading = Reading::default().with("uptime_seconds", Unit::Seconds, to_f64(uptime_s));
        Ok(reading.of(&self.info, cx, DEVICE_SUBJECT).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, value};

    #[test]
    fn this_machine_is_up() {
        let seen = run_here(&mut Uptime::new()).unwrap();
        assert!(value(&seen[0], "uptime_seconds").unwrap() >= 1.0);
    }
}
