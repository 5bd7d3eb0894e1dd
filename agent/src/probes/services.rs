//! Services that must run, as the configuration lists them: a check result for each.
//!
//! Holds: a service runs if a process of exactly its name does. Ok where one was seen, critical
//! where all processes were seen and it is not among them, unknown where they cannot be seen.
//! No child process is started and no service manager is asked.

use super::every_minute;
use super::registry::ServiceSpec;
#[cfg(target_os = "linux")]
use super::services_linux::Source;
#[cfg(windows)]
use super::services_windows::Source;
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    id::Name,
    observation::{Body, CheckResult, CheckState, Observation},
};

/// See the module's head.
pub struct Services {
    info: ProbeInfo,
    specs: Vec<ServiceSpec>,
    source: Source,
}

impl Services {
    pub fn new(specs: Vec<ServiceSpec>) -> Self {
        Self { info: every_minute("services", Category::Service), specs, source: Source::default() }
    }
}

impl Probe for Services {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if self.specs.is_empty() {
            return Err(ProbeError::NoData);
        }
        let wanted: Vec<&str> = self.specs.iter().map(|spec| spec.process.as_str()).collect();
        let states = self.source.states(&wanted)?;
        let seen = self.specs.iter().zip(states).map(|(spec, state)| Observation {
            at: cx.at,
            category: self.info.category,
            subject: spec.name.clone(),
            body: Body::CheckResult(CheckResult { probe: Name::of_outside(self.info.name), state }),
        });
        Ok(seen.collect())
    }
}

/// `complete`: whether every process could be seen.
pub fn state(found: bool, complete: bool) -> CheckState {
    match (found, complete) {
        (true, _) => CheckState::Ok,
        (false, true) => CheckState::Critical,
        (false, false) => CheckState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn none_configured_is_no_data() {
        assert!(matches!(run_here(&mut Services::new(vec![])), Err(ProbeError::NoData)));
    }

    #[test]
    fn this_program_runs_and_another_does_not() {
        let own = std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let spec =
            |name, process: &str| ServiceSpec { name: Name::new(name).unwrap(), process: process.to_owned() };
        let mut services = Services::new(vec![spec("own", &own), spec("pacs", "no-such-process-here")]);
        for _ in 0..2 {
            let seen = run_here(&mut services).unwrap();
            let states: Vec<_> = seen.iter().map(|o| (o.subject.as_str(), &o.body)).collect();
            let check = |state| Body::CheckResult(CheckResult { probe: Name::of_outside("services"), state });
            assert_eq!(states, [("own", &check(CheckState::Ok)), ("pacs", &check(CheckState::Critical))]);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_dead() {
        assert_eq!(state(false, false), CheckState::Unknown);
        assert_eq!(state(false, true), CheckState::Critical);
        assert_eq!(state(true, false), CheckState::Ok);
    }
}
