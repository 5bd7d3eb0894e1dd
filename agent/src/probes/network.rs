//! Network interfaces: traffic, errors, drops, link.
//!
//! Holds: rates are of the time since the last run of the same boot; a counter that went back (a
//! driver reloaded, a card replaced) gives no rate once. Loopback and the `veth` ends that
//! container engines make and remove are left out; so is what comes after [`INTERFACES_MAX`].
//! `link_up` is left out where the driver does not know.
//!
//! Does not: work on Windows yet, where it says so.

#[cfg(target_os = "linux")]
use super::network_linux::Source;
use super::{every_minute, names::Names};
use std::sync::Arc;
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{category::Category, observation::Observation};

/// No device that is maintained has as many; a host of virtual machines may.
#[cfg(target_os = "linux")]
pub const INTERFACES_MAX: usize = 64;

/// See the module's head.
pub struct Network {
    info: ProbeInfo,
    names: Arc<Names>,
    #[cfg(target_os = "linux")]
    source: Source,
}

impl Network {
    pub fn new(names: Arc<Names>) -> Self {
        Self {
            info: every_minute("network", Category::Network),
            names,
            #[cfg(target_os = "linux")]
            source: Source::default(),
        }
    }
}

impl Probe for Network {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    #[cfg(target_os = "linux")]
    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let readings = self.source.read(cx)?.into_iter();
        let seen: Vec<_> =
            readings.filter_map(|(name, r)| r.about(&self.info, cx, self.names.interface(&name))).collect();
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }

    #[cfg(not(target_os = "linux"))]
    fn run(&mut self, _: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        Err(ProbeError::Unsupported)
    }
}
