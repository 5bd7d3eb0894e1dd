//! Processor usage where there is no `/proc`, through sysinfo.
//!
//! Does not: give load averages, waiting or stolen time, which such systems do not count.

use super::{ReadError, Reading};
use sysinfo::System;
use tenken_agent_core::{probe::ProbeContext, record::to_f64};
use tenken_common::unit::Unit;

/// Holds sysinfo's last counters.
#[derive(Default)]
pub struct Source {
    system: Option<System>,
}

impl Source {
    pub fn read(&mut self, _: &ProbeContext) -> Result<Reading, ReadError> {
        let first = self.system.is_none();
        if first {
            self.system = System::new().ok();
        }
        let system = self.system.as_mut().ok_or(ReadError::Form("the processors' usage"))?;
        system.refresh_cpu_usage();
        let used = f64::from(system.global_cpu_usage()) / 100.0;
        let processors = u64::try_from(system.cpus().len()).unwrap_or(u64::MAX);
        Ok(Reading::default().with("used_ratio", Unit::Ratio, (!first).then(|| used.clamp(0.0, 1.0))).with(
            "processors",
            Unit::Count,
            to_f64(processors),
        ))
    }
}
