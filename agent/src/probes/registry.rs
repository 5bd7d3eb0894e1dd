//! Which probes there are, and the part of the configuration that speaks of them.
//!
//! Holds: a name that no probe has is a problem of the configuration, never passed over.
//!
//! Does not: apply the intervals; the app gives them to the schedule (see [`ProbeOptions::interval`]).

use super::{
    battery::{Battery, BatterySpec},
    clock::Clock,
    counters::{CounterSpec, Counters},
    cpu::Cpu,
    disk::Disk,
    events::Events,
    inventory::{Inventory, InventorySpec},
    memory::Memory,
    names::Names,
    neighbours::{NEIGHBOURS_MAX, NeighbourSpec, Neighbours},
    network::Network,
    patches::{PatchSpec, Patches},
    pattern_files::{PatternFileSpec, PatternFiles},
    plugins::{PluginSpec, Plugins},
    pressure::Pressure,
    raid::Raid,
    revisions::{RevisionSpec, Revisions},
    scrapes::{ScrapeSpec, Scrapes},
    sensors::Sensors,
    services::Services,
    smart::Smart,
    textfiles::{TextfileSpec, Textfiles},
    time_source::TimeSource,
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
    probe::{Cost, Probe, ProbeInfo},
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
    /// `[[probes.neighbours]]`: devices beside this one.
    pub neighbours: Vec<NeighbourSpec>,
    /// `[probes.battery]`.
    pub battery: BatterySpec,
    /// `[probes.inventory]`.
    pub inventory: InventorySpec,
    /// `[[probes.plugins]]`: Nagios plugins.
    pub plugins: Vec<PluginSpec>,
    /// `[[probes.textfiles]]`: Prometheus text files.
    pub textfiles: Vec<TextfileSpec>,
    /// `[[probes.scrapes]]`: exporters on this device.
    pub scrapes: Vec<ScrapeSpec>,
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
    /// Every probe that costs next to nothing this often.
    pub fn every(interval: HumanDuration) -> Self {
        let cheap = infos().into_iter().filter(|info| info.cost == Cost::Cheap);
        let intervals = cheap.map(|info| (info.name.to_owned(), interval)).collect();
        Self { intervals, ..Self::default() }
    }

    /// How often a probe is to run, as far as the configuration goes.
    pub fn interval(&self, info: &ProbeInfo) -> Duration {
        self.intervals.get(info.name).map_or(info.interval, |interval| interval.0)
    }
}

impl Check for ProbeOptions {
    fn check(&self, problems: &mut Problems) {
        let known: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
        let unknown = |name: &str| {
            let known = known.join(", ");
            (!TABLE.iter().any(|(n, ..)| *n == name))
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
            } else if interval.0 < least(name) {
                let min = HumanDuration(least(name));
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
        once("plugins", self.plugins.iter().map(|spec| &spec.name), problems);
        once("textfiles", self.textfiles.iter().map(|spec| &spec.name), problems);
        once("scrapes", self.scrapes.iter().map(|spec| &spec.name), problems);
        self.battery.check(problems);
        for (i, spec) in self.pattern_files.iter().enumerate() {
            spec.check(&format!("probes.pattern_files.{i}"), problems);
        }
        for (i, spec) in self.revisions.iter().enumerate() {
            spec.extract.check(&format!("probes.revisions.{i}"), problems);
        }
        once("neighbours", self.neighbours.iter().map(|spec| &spec.name), problems);
        for (i, spec) in self.neighbours.iter().enumerate() {
            spec.check(&format!("probes.neighbours.{i}"), problems);
        }
        if self.neighbours.len() > NEIGHBOURS_MAX {
            problems.push("probes.neighbours", format!("are more than {NEIGHBOURS_MAX}"));
        }
        for (i, spec) in self.counters.iter().enumerate() {
            spec.check(&format!("probes.counters.{i}"), problems);
        }
        for (i, spec) in self.plugins.iter().enumerate() {
            spec.check(&format!("probes.plugins.{i}"), problems);
        }
        for (i, spec) in self.textfiles.iter().enumerate() {
            spec.check(&format!("probes.textfiles.{i}"), problems);
        }
        for (i, spec) in self.scrapes.iter().enumerate() {
            spec.check(&format!("probes.scrapes.{i}"), problems);
        }
    }
}

/// What has to lie between two runs, by what a run costs the device.
fn least(name: &str) -> Duration {
    match infos().iter().find(|info| info.name == name).map(|info| info.cost) {
        Some(Cost::Expensive) => EXPENSIVE_INTERVAL_MIN,
        Some(Cost::Cheap | Cost::Moderate) | None => INTERVAL_MIN,
    }
}

/// A device is not there to be asked the same costly question again and again.
const EXPENSIVE_INTERVAL_MIN: Duration = Duration::from_hours(1);

fn once<'a>(list: &str, names: impl Iterator<Item = &'a Name>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, name) in names.enumerate() {
        if !seen.insert(name) {
            problems.push(format!("probes.{list}.{i}.name"), format!("`{name}` is listed twice"));
        }
    }
}

type Make = fn(&ProbeOptions, &Surroundings) -> Box<dyn Probe>;

/// Name, what it looks at, how it is made; in the order of names.
const TABLE: [(&str, &str, Make); 23] = [
    (
        "battery",
        "charge and wear of batteries (Linux, Windows), and UPSes of Network UPS Tools as configured",
        |options, around| Box::new(Battery::new(&options.battery, around.names.clone())),
    ),
    ("clock", "jumps of the wall clock, and whether systemd-timesyncd keeps it", |_, _| {
        Box::new(Clock::new())
    }),
    ("counters", "counters of wear parts, as configured", |options, _| {
        Box::new(Counters::new(options.counters.clone()))
    }),
    ("cpu", "load of the processors", |_, _| Box::new(Cpu::new())),
    ("disk", "space and inodes of each mount, and whether it is read-only", |_, around| {
        Box::new(Disk::new(around.names.clone()))
    }),
    ("events", "errors in the system's log, counted by source (journald, Windows event log)", |_, around| {
        Box::new(Events::new(around.names.clone()))
    }),
    ("inventory", "what the device is: model, serial, system", |options, _| {
        Box::new(Inventory::new(options.inventory.clone()))
    }),
    ("memory", "memory in use", |_, _| Box::new(Memory::new())),
    (
        "neighbours",
        "devices beside this one: TCP, HTTP(S), DICOM C-ECHO, ping, as configured",
        |options, _| Box::new(Neighbours::new(options.neighbours.clone())),
    ),
    ("network", "traffic, errors and link of each interface", |_, around| {
        Box::new(Network::new(around.names.clone()))
    }),
    ("patches", "security patches that are pending (apt, dnf, zypper, Windows Update)", |options, around| {
        Box::new(Patches::new(options.patches.clone(), around.memory_dir.clone()))
    }),
    (
        "pattern_files",
        "antivirus definitions: ClamAV, Windows Defender, and other products as configured",
        |options, around| Box::new(PatternFiles::new(options.pattern_files.clone(), &around.names)),
    ),
    ("plugins", "whatever a Nagios plugin looks at, as configured", |options, around| {
        Box::new(Plugins::new(options.plugins.clone(), around.names.clone()))
    }),
    ("pressure", "how long tasks waited for processor, memory, disk (Linux PSI)", |_, _| {
        Box::new(Pressure::new())
    }),
    ("raid", "software RAID (Linux md)", |_, _| Box::new(Raid::new())),
    ("revisions", "versions of device software, as configured", |options, _| {
        Box::new(Revisions::new(options.revisions.clone()))
    }),
    ("scrapes", "metrics of exporters on this device, as configured", |options, around| {
        Box::new(Scrapes::new(options.scrapes.clone(), around.names.clone()))
    }),
    ("sensors", "temperatures", |_, _| Box::new(Sensors::new())),
    ("services", "what must run, as configured", |options, _| {
        Box::new(Services::new(options.services.clone()))
    }),
    ("smart", "health of disks (needs smartmontools)", |_, _| Box::new(Smart::new())),
    ("textfiles", "Prometheus text files of other programs, as configured", |options, around| {
        Box::new(Textfiles::new(options.textfiles.clone(), around.names.clone()))
    }),
    ("time_source", "the error of the clock by its own service (chrony, ntpd)", |_, _| {
        Box::new(TimeSource::new())
    }),
    ("uptime", "how long the system has been up", |_, _| Box::new(Uptime::new())),
];

/// The probes that are not disabled, in the order of their names.
pub fn all(options: &ProbeOptions, around: &Surroundings) -> Vec<Factory> {
    let (options, around) = (Arc::new(options.clone()), Arc::new(around.clone()));
    let enabled = TABLE.iter().filter(|(name, ..)| !options.disabled.iter().any(|d| d.as_str() == *name));
    let factories = enabled.map(|(.., make)| {
        let (make, options, around) = (*make, options.clone(), around.clone());
        Arc::new(move || make(&options, &around)) as Factory
    });
    factories.collect()
}

/// The names of all probes.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, ..)| *name)
}

/// What a probe looks at, in a line.
pub fn about(name: &str) -> &'static str {
    TABLE.iter().find(|(known, ..)| *known == name).map_or("", |(_, about, _)| about)
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
        assert_eq!(names, TABLE.map(|(name, ..)| name));
        assert!(names.is_sorted(), "{names:?}");
    }

    /// `TENKEN_BLESS=1` writes the table anew.
    #[test]
    fn the_table_in_the_documents_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config/probes.md");
        let table = crate::probes::print::print_list(&infos());
        if std::env::var_os("TENKEN_BLESS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table, "bless it: TENKEN_BLESS=1");
    }

    #[test]
    fn a_good_section() {
        let text = "[probes]\ndisabled = ['sensors']\n[probes.battery]\nnut = ['127.0.0.1:3493']\n[probes.intervals]\ncpu = '30s'\n\
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
        let text = "[probes]\ndisabled = ['cpus']\n[probes.battery]\nnut = ['upsd']\n[probes.intervals]\ncpu = '10ms'\ndisc = '5m'\npatches = '10m'\n\
            [[probes.services]]\nname = 'a'\nprocess = ''\n[[probes.services]]\nname = 'a'\nprocess = 'a'";
        let problems = parse(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "probes.disabled.0",
            "probes.intervals.cpu",
            "probes.intervals.disc",
            "probes.intervals.patches",
            "probes.services.0.process",
            "probes.services.1.name",
            "probes.battery.nut.0",
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
