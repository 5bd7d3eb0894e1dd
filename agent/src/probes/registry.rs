//! Which probes there are, and the part of the configuration that speaks of them.
//!
//! Holds: a name that no probe has is a problem of the configuration, never passed over.
//!
//! Does not: apply the intervals; the app gives them to the schedule (see [`ProbeOptions::interval`]).

use super::{
    clock::Clock, cpu::Cpu, disk::Disk, memory::Memory, network::Network, sensors::Sensors,
    services::Services, uptime::Uptime,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenken_agent_core::{
    probe::{Probe, ProbeInfo},
    schedule::INTERVAL_MIN,
};
use tenken_common::{
    config::{Check, HumanDuration, Problems},
    id::Name,
};

/// Makes a probe, and makes it anew after it panicked.
pub type Factory = Arc<dyn Fn() -> Box<dyn Probe> + Send + Sync>;

/// The configuration's `[probes]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeOptions {
    /// Names of probes that are not to run.
    pub disabled: Vec<Name>,
    /// `[probes.intervals]`: how often, by probe, where not once a minute.
    pub intervals: BTreeMap<String, HumanDuration>,
    /// `[[probes.services]]`: what must run.
    pub services: Vec<ServiceSpec>,
}

/// A service that must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// How it is reported.
    pub name: Name,
    /// Its process, by exact name (`prometheus`) or as it is called (`/usr/bin/prometheus`).
    pub process: String,
}

impl ProbeOptions {
    /// Every probe this often.
    pub fn every(interval: HumanDuration) -> Self {
        let intervals = TABLE.iter().map(|(name, _)| ((*name).to_owned(), interval)).collect();
        Self { intervals, ..Self::default() }
    }

    /// How often a probe is to run, as far as the configuration goes.
    pub fn interval(&self, info: &ProbeInfo) -> Duration {
        self.intervals.get(info.name).map_or(info.interval, |interval| interval.0)
    }
}

impl Check for ProbeOptions {
    fn check(&self, problems: &mut Problems) {
        let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
        let unknown = |name: &str| {
            let known = known.join(", ");
            (!TABLE.iter().any(|(n, _)| *n == name))
                .then(|| format!("there is no probe `{name}` (there are {known})"))
        };
        for (i, name) in self.disabled.iter().enumerate() {
            if let Some(text) = unknown(name.as_str()) {
                problems.push(format!("probes.disabled.{i}"), text);
            }
        }
        for (name, interval) in &self.intervals {
            let key = format!("probes.intervals.{name}");
            if let Some(text) = unknown(name) {
                problems.push(key, text);
            } else if interval.0 < INTERVAL_MIN {
                let min = HumanDuration(INTERVAL_MIN);
                problems.push(key, format!("{interval} is too often, at least {min} lies between two runs"));
            }
        }
        for (i, spec) in self.services.iter().enumerate() {
            let key = format!("probes.services.{i}");
            if spec.process.is_empty() {
                problems.push(format!("{key}.process"), "is empty: name the process that must run");
            }
            if self.services.iter().take(i).any(|earlier| earlier.name == spec.name) {
                problems.push(format!("{key}.name"), format!("`{}` is listed twice", spec.name));
            }
        }
    }
}

type Make = fn(&ProbeOptions) -> Box<dyn Probe>;

const TABLE: [(&str, Make); 8] = [
    ("clock", |_| Box::new(Clock::new())),
    ("cpu", |_| Box::new(Cpu::new())),
    ("disk", |_| Box::new(Disk::new())),
    ("memory", |_| Box::new(Memory::new())),
    ("network", |_| Box::new(Network::new())),
    ("sensors", |_| Box::new(Sensors::new())),
    ("services", |options| Box::new(Services::new(options.services.clone()))),
    ("uptime", |_| Box::new(Uptime::new())),
];

/// The probes that are not disabled, in the order of their names.
pub fn all(options: &ProbeOptions) -> Vec<Factory> {
    let options = Arc::new(options.clone());
    let enabled = TABLE.iter().filter(|(name, _)| !options.disabled.iter().any(|d| d.as_str() == *name));
    let factories = enabled.map(|(_, make)| {
        let (make, options) = (*make, options.clone());
        Arc::new(move || make(&options)) as Factory
    });
    factories.collect()
}

/// What every probe declares.
pub fn infos() -> Vec<ProbeInfo> {
    all(&ProbeOptions::default()).iter().map(|make| make().info().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{probes::testing::at_ms, runner::Runner};

    /// As the agent's configuration holds it.
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct File {
        probes: ProbeOptions,
    }
    impl Check for File {
        fn check(&self, problems: &mut Problems) {
            self.probes.check(problems);
        }
    }

    fn parse(text: &str) -> Result<ProbeOptions, Problems> {
        tenken_common::config::parse::<File>(text).map(|file| file.probes)
    }

    #[test]
    fn each_is_registered_under_its_own_name() {
        let probes = all(&ProbeOptions::default());
        let names: Vec<_> = probes.iter().map(|make| make().info().name).collect();
        assert_eq!(names, TABLE.map(|(name, _)| name));
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_good_section() {
        let text = "[probes]\ndisabled = ['sensors']\n[probes.intervals]\ncpu = '30s'\n\
            [[probes.services]]\nname = 'pacs'\nprocess = 'pacsd'";
        let options = parse(text).unwrap();
        let infos: Vec<_> = all(&options).iter().map(|make| make().info().clone()).collect();
        assert_eq!(infos.len(), TABLE.len() - 1);
        assert!(infos.iter().all(|info| info.name != "sensors"));
        let cpu = infos.iter().find(|info| info.name == "cpu").unwrap();
        let disk = infos.iter().find(|info| info.name == "disk").unwrap();
        assert_eq!(options.interval(cpu), Duration::from_secs(30));
        assert_eq!(options.interval(disk), Duration::from_mins(1));
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let text = "[probes]\ndisabled = ['cpus']\n[probes.intervals]\ncpu = '10ms'\ndisc = '5m'\n\
            [[probes.services]]\nname = 'a'\nprocess = ''\n[[probes.services]]\nname = 'a'\nprocess = 'a'";
        let problems = parse(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "probes.disabled.0",
            "probes.intervals.cpu",
            "probes.intervals.disc",
            "probes.services.0.process",
            "probes.services.1.name",
        ];
        assert_eq!(keys, expected, "{problems:?}");
    }

    #[test]
    fn all_of_them_run_on_this_machine() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut runner = Runner::new(all(&ProbeOptions::default()));
        runtime.block_on(async {
            let names: Vec<_> = runner.infos().map(|info| info.name).collect();
            for cycle in 0..2 {
                for (index, name) in names.iter().enumerate() {
                    let outcome = runner.run(index, at_ms(cycle * 60_000)).await;
                    let e = outcome.result.err();
                    let fine = |e: &tenken_agent_core::probe::ProbeError| {
                        use tenken_agent_core::probe::ProbeError::{NoData, Unsupported};
                        matches!(e, NoData | Unsupported)
                    };
                    assert!(e.as_ref().is_none_or(fine), "{name}: {e:?}");
                }
            }
        });
    }
}
