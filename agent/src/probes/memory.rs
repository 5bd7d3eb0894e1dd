//! Memory and swap, through sysinfo (on Linux one read of `/proc/meminfo`).
//!
//! Holds: "used" is what is not available to a new program, so file cache does not count. Swap
//! quantities are left out where there is no swap.

use super::{DEVICE_SUBJECT, ReadError, Reading, every_minute, ratio};
use sysinfo::System;
use tenken_agent_core::{
    probe::{Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

/// See the module's head.
pub struct Memory {
    info: ProbeInfo,
}

impl Memory {
    pub fn new() -> Self {
        Self { info: every_minute("memory", Category::Performance) }
    }
}

impl Probe for Memory {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        // A new one each time: sysinfo keeps the old numbers where it cannot read new ones.
        let mut system = System::new().map_err(|e| ProbeError::Failed(Box::new(e)))?;
        system.refresh_memory();
        let reading = Amounts::of(&system).reading().ok_or(ReadError::Form("the system's memory"))?;
        Ok(reading.of(&self.info, cx, DEVICE_SUBJECT).into_iter().collect())
    }
}

/// All in bytes.
struct Amounts {
    total: u64,
    available: u64,
    swap_total: u64,
    swap_used: u64,
}

impl Amounts {
    fn of(system: &System) -> Self {
        Self {
            total: system.total_memory(),
            available: system.available_memory(),
            swap_total: system.total_swap(),
            swap_used: system.used_swap(),
        }
    }

    /// `None` for what cannot be: no memory, or more available than there is.
    fn reading(&self) -> Option<Reading> {
        let used = self.total.checked_sub(self.available)?;
        let used_ratio = ratio(to_f64(used), to_f64(self.total))?;
        let swap = (self.swap_total > 0 && self.swap_used <= self.swap_total).then_some(self);
        Some(
            Reading::default()
                .with("total_bytes", Unit::Bytes, to_f64(self.total))
                .with("available_bytes", Unit::Bytes, to_f64(self.available))
                .with("used_bytes", Unit::Bytes, to_f64(used))
                .with("used_ratio", Unit::Ratio, used_ratio)
                .with("swap_total_bytes", Unit::Bytes, swap.map(|s| to_f64(s.swap_total)))
                .with("swap_used_bytes", Unit::Bytes, swap.map(|s| to_f64(s.swap_used))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{run_here, value};

    #[test]
    fn this_machine_has_memory() {
        let seen = run_here(&mut Memory::new()).unwrap();
        assert!(value(&seen[0], "total_bytes").unwrap() > 1e6);
        assert!((0.0..=1.0).contains(&value(&seen[0], "used_ratio").unwrap()));
    }

    #[test]
    fn what_cannot_be_is_not_said() {
        let amounts = |total, available| Amounts { total, available, swap_total: 0, swap_used: 0 };
        assert!(amounts(0, 0).reading().is_none());
        assert!(amounts(10, 11).reading().is_none());
        assert_eq!(amounts(10, 5).reading().unwrap().0.len(), 4, "no swap, no quantity");
    }
}
