//! Which probes there are, and the part of the configuration that speaks of them.
//!
//! Holds: a name that no probe has is a problem of the configuration, never passed over.
//!
//! Does not: apply the intervals; the app gives them to the schedule (see [`ProbeOptions::interval`]).

use super::{
    clock::Clock,
    counters::{CounterSpec, Counters},
    cpu::Cpu,
    disk::Disk,
    inventory::{Inventory, InventorySpec},
    memory::Memory,
    names::Names,
    network::Network,
    patches::{PatchSpec, Patches},
    pattern_files::{PatternFileSpec, PatternFiles},
    pressure::Pressure,
    raid::Raid,
    revisions::{RevisionSpec, Revisions},
    sensors::Sensors,
    services::Services,
    smart::Smart,
    uptime::Uptime,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tenken_agent_core::{
    probe::{Probe, ProbeInfo},
    schedule::INTERVAL_MIN,
};
use tenken_common::{
    config::{Check, HumanDuration, Problems},
    id::Name,
    key,
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
    /// Names of mounts, log sources and the like that may leave the device as they are.
    pub names: Vec<Name>,
    /// `[[probes.services]]`: what must run.
    pub services: Vec<ServiceSpec>,
    /// `[probes.patches]`.
    pub patches: PatchSpec,
    /// `[[probes.pattern_files]]`: antivirus products that are not found by themselves.
    pub pattern_files: Vec<PatternFileSpec>,
    /// `[[probes.revisions]]`: versions of device software.
    pub revisions: Vec<RevisionSpec>,
    /// `[[probes.counters]]`: wear parts.
    pub counters: Vec<CounterSpec>,
    /// `[probes.inventory]`.
    pub inventory: InventorySpec,
}

/// What probes need of the place they run in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub names: Arc<Names>,
    /// Where a probe keeps what it has to remember; `None`: nowhere.
    pub memory_dir: Option<PathBuf>,
}

impl Surroundings {
    /// In the agent's state folder.
    pub fn open(options: &ProbeOptions, state_dir: &Path) -> io::Result<Self> {
        let names = Arc::new(Names::open(&options.names, state_dir)?);
        Ok(Self { names, memory_dir: Some(state_dir.join("probes")) })
    }

    /// Nothing is kept: names are hidden by a key for this one time.
    pub fn passing(options: &ProbeOptions) -> Self {
        let key = key::random().expect("the system gives random bytes");
        Self { names: Arc::new(Names::new(&options.names, key)), memory_dir: None }
    }
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
            if spec.process.is_empty() {
                let key = format!("probes.services.{i}.process");
                problems.push(key, "is empty: name the process that must run");
            }
        }
        once("services", self.services.iter().map(|spec| &spec.name), problems);
        once("pattern_files", self.pattern_files.iter().map(|spec| &spec.name), problems);
        once("revisions", self.revisions.iter().map(|spec| &spec.name), problems);
        once("counters", self.counters.iter().map(|spec| &spec.name), problems);
        for (i, spec) in self.pattern_files.iter().enumerate() {
            spec.check(&format!("probes.pattern_files.{i}"), problems);
        }
        for (i, spec) in self.revisions.iter().enumerate() {
            spec.extract.check(&format!("probes.revisions.{i}"), problems);
        }
        for (i, spec) in self.counters.iter().enumerate() {
            spec.check(&format!("probes.counters.{i}"), problems);
        }
    }
}

fn once<'a>(list: &str, names: impl Iterator<Item = &'a Name>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, name) in names.enumerate() {
        if !seen.insert(name) {
            problems.push(format!("probes.{list}.{i}.name"), format!("`{name}` is listed twice"));
        }
    }
}

type Make = fn(&ProbeOptions, &Surroundings) -> Box<dyn Probe>;

const TABLE: [(&str, Make); 16] = [
    ("clock", |_, _| Box::new(Clock::new())),
    ("counters", |options, _| Box::new(Counters::new(options.counters.clone()))),
    ("cpu", |_, _| Box::new(Cpu::new())),
    ("disk", |_, around| Box::new(Disk::new(around.names.clone()))),
    ("inventory", |options, _| Box::new(Inventory::new(options.inventory.clone()))),
    ("memory", |_, _| Box::new(Memory::new())),
    ("network", |_, around| Box::new(Network::new(around.names.clone()))),
    ("patches", |options, around| Box::new(Patches::new(options.patches.clone(), around.memory_dir.clone()))),
    ("pattern_files", |options, _| Box::new(PatternFiles::new(options.pattern_files.clone()))),
    ("pressure", |_, _| Box::new(Pressure::new())),
    ("raid", |_, _| Box::new(Raid::new())),
    ("revisions", |options, _| Box::new(Revisions::new(options.revisions.clone()))),
    ("sensors", |_, _| Box::new(Sensors::new())),
    ("services", |options, _| Box::new(Services::new(options.services.clone()))),
    ("smart", |_, _| Box::new(Smart::new())),
    ("uptime", |_, _| Box::new(Uptime::new())),
];

/// The probes that are not disabled, in the order of their names.
pub fn all(options: &ProbeOptions, around: &Surroundings) -> Vec<Factory> {
    let (options, around) = (Arc::new(options.clone()), Arc::new(around.clone()));
    let enabled = TABLE.iter().filter(|(name, _)| !options.disabled.iter().any(|d| d.as_str() == *name));
    let factories = enabled.map(|(_, make)| {
        let (make, options, around) = (*make, options.clone(), around.clone());
        Arc::new(move || make(&options, &around)) as Factory
    });
    factories.collect()
}

/// What every probe declares.
pub fn infos() -> Vec<ProbeInfo> {
    let options = ProbeOptions::default();
    all(&options, &Surroundings::passing(&options)).iter().map(|make| make().info().clone()).collect()
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

    fn every(options: &ProbeOptions) -> Vec<Factory> {
        all(options, &Surroundings::passing(options))
    }

    fn parse(text: &str) -> Result<ProbeOptions, Problems> {
        tenken_common::config::parse::<File>(text).map(|file| file.probes)
    }

    #[test]
    fn each_is_registered_under_its_own_name() {
        let probes = every(&ProbeOptions::default());
        let names: Vec<_> = probes.iter().map(|make| make().info().name).collect();
        assert_eq!(names, TABLE.map(|(name, _)| name));
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_good_section() {
        let text = "[probes]\ndisabled = ['sensors']\n[probes.intervals]\ncpu = '30s'\n\
            [[probes.services]]\nname = 'pacs'\nprocess = 'pacsd'";
        let options = parse(text).unwrap();
        let infos: Vec<_> = every(&options).iter().map(|make| make().info().clone()).collect();
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
        let mut runner = Runner::new(every(&ProbeOptions::default()));
        runtime.block_on(async {
            let names: Vec<_> = runner.infos().map(|info| info.name).collect();
            for cycle in 0..2 {
                for (index, name) in names.iter().enumerate() {
                    let outcome = runner.run(index, at_ms(cycle * 60_000)).await;
                    let e = outcome.result.err();
                    let fine = |e: &tenken_agent_core::probe::ProbeError| {
                        use tenken_agent_core::probe::ProbeError::{Lacks, NoData, Unsupported};
                        matches!(e, NoData | Unsupported | Lacks(_))
                    };
                    assert!(e.as_ref().is_none_or(fine), "{name}: {e:?}");
                }
            }
        });
    }
}
