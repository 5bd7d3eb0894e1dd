//! What an agent costs its device, beside what peers cost the same machine at the same time.
//!
//! Holds: the program is the one that ships (the `device` profile); a real collector takes the agents'
//! batches over TLS; the agents run with the probes and intervals that ship, on either engine of the
//! spool. Processor time is that of the process and of the children that it waited for, from the
//! kernel's accounts; memory is its share (PSS), and each agent runs from a file of its own, since two of
//! one file would share the program's pages, as one on a device shares them with nobody. Peers that are
//! not installed are said to be missing.
//! The costly probes run daily; within the hour they run once before the measurement begins (the hourly
//! ones once more within it), and what a run of each costs is measured apart.

use crate::{Bed, BedPlan, Process, let_pass, shipped_bin};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tenken_common::category::Category;

/// Probes that start programs, and run at most hourly.
const COSTLY: [&str; 4] = ["events", "patches", "smart", "time_source"];

/// What one program cost.
#[derive(Debug, Clone)]
pub struct Cost {
    pub name: String,
    /// Seconds of processor time an hour.
    pub cpu_hour_s: f64,
    pub pss_mib: f64,
    pub threads: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct FootprintResult {
    pub costs: Vec<Cost>,
    pub missing: Vec<&'static str>,
    /// Processor seconds of one run of each costly probe.
    pub costly: Vec<(&'static str, f64)>,
    /// From the start of the process to the first record on the disk.
    pub first_record: Duration,
    pub binary_bytes: u64,
}

/// Measures for `minutes`, after a minute in which everything settles.
pub fn footprint(minutes: u32) -> FootprintResult {
    let categories = Category::ALL.map(Category::as_str).to_vec();
    let bed = Bed::new(BedPlan { categories, agent: agent("sled"), ..BedPlan::default() });
    let _collector = bed.start_collector();
    let sled = bed.enroll("ct-1");
    let redb = bed.enroll("ct-2");
    bed.write_agent(&redb, &agent("redb"));
    let binary = shipped_bin("tenken-agent");
    let copy = |name: &str| {
        let own = bed.dir().join(name);
        fs::copy(&binary, &own).unwrap();
        own
    };
    let run = |program: &Path, config: &Path, name: &str, log: &str| {
        let mut command = Command::new(program);
        command.arg("--config").arg(config).arg("run").env("TENKEN_LOG", log);
        Process::start(bed.dir(), name, &mut command)
    };
    let first_record =
        first_record(&bed, |name| run(&binary, &sled.config, name, "info,tenken_agent::spool=debug"));
    let mut running = vec![
        ("tenken-agent, sled", run(&copy("agent-sled"), &sled.config, "sled", "warn")),
        ("tenken-agent, redb", run(&copy("agent-redb"), &redb.config, "redb", "warn")),
    ];
    let mut missing = Vec::new();
    let monitrc = bed.path("monitrc");
    // It removes its pid file when it ends, whatever file that is.
    let pidfile = bed.path("monit.pid");
    fs::write(&monitrc, format!("set daemon 60\nset pidfile {pidfile}\ncheck system localhost\n  if loadavg (1min) > 90 then exec \"/bin/true\"\ncheck filesystem root with path /\n  if space usage > 99% then exec \"/bin/true\"\n")).unwrap();
    // monit reads no file that others may read.
    fs::set_permissions(&monitrc, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let collectd = bed.path("collectd.conf");
    let plugins = "LoadPlugin cpu\nLoadPlugin df\nLoadPlugin memory\nLoadPlugin interface\nLoadPlugin load\nLoadPlugin uptime\n\
        LoadPlugin network\n<Plugin network>\n  Server \"127.0.0.1\" \"25826\"\n</Plugin>\n";
    fs::write(&collectd, format!("Interval 60\nBaseDir \"{}\"\n{plugins}", bed.dir().display())).unwrap();
    let peers: [(&'static str, &str, Vec<String>); 3] = [
        ("node_exporter", "prometheus-node-exporter", vec!["--web.listen-address=127.0.0.1:0".to_owned()]),
        ("collectd", "collectd", vec!["-f".to_owned(), "-C".to_owned(), collectd]),
        ("monit", "monit", vec!["-I".to_owned(), "-c".to_owned(), monitrc]),
    ];
    for (name, program, args) in peers {
        if Command::new(program).arg("--help").output().is_err() {
            missing.push(name);
            continue;
        }
        running.push((name, Process::start(bed.dir(), name, Command::new(program).args(args))));
    }
    let_pass(Duration::from_mins(1));
    let before: Vec<f64> = running.iter().map(|(_, process)| cpu_s(process.id())).collect();
    let start = now();
    let_pass(Duration::from_secs(u64::from(minutes) * 60));
    let hours = start.elapsed().as_secs_f64() / 3_600.0;
    let costs = running.iter_mut().zip(before).filter_map(|((name, process), before)| {
        if !process.is_running() {
            missing.push(name);
            return None;
        }
        let id = process.id();
        let cpu_hour_s = (cpu_s(id) - before) / hours;
        Some(Cost { name: (*name).to_owned(), cpu_hour_s, pss_mib: pss_mib(id), threads: threads(id) })
    });
    let costs = costs.collect();
    let costly = COSTLY.map(|probe| (probe, cost_of_probe(&binary, &sled.config, probe))).to_vec();
    let binary_bytes = fs::metadata(&binary).unwrap().len();
    FootprintResult { costs, missing, costly, first_record, binary_bytes }
}

fn agent(engine: &str) -> String {
    format!("[spool]\nengine = \"{engine}\"\n")
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn now() -> Instant {
    Instant::now()
}

fn first_record(bed: &Bed, start: impl Fn(&str) -> Process) -> Duration {
    let begun = now();
    let mut process = start("first");
    let log = bed.dir().join("first.stderr");
    crate::wait_until(Duration::from_secs(20), "the first record", |_| {
        fs::read_to_string(&log).ok()?.contains("appended").then_some(())
    });
    let took = begun.elapsed();
    process.terminate();
    process.wait(Duration::from_secs(20));
    took
}

/// One run of a probe, less what starting the program and an idle probe cost.
fn cost_of_probe(binary: &Path, config: &Path, probe: &str) -> f64 {
    let run = |name: &str| {
        let before = children_s();
        let output = Command::new(binary)
            .arg("--config")
            .arg(config)
            .args(["probe", name, "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        children_s() - before
    };
    // `probe` looks twice.
    (run(probe) - run("uptime")).max(0.0) / 2.0
}

fn ticks(fields: &str, places: &[usize]) -> f64 {
    // The name may hold blanks; after it the state is field 3 of proc_pid_stat(5).
    let rest: Vec<&str> = fields.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let at = |place: &usize| rest.get(place - 3).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Linux gives hundredths of a second to programs (USER_HZ).
    places.iter().map(at).sum::<f64>() / 100.0
}

/// Its own time, that of threads which have ended too, and that of its children. The kernel scales its
/// ticks to what the scheduler counted, so that what is short is not missed.
fn cpu_s(pid: u32) -> f64 {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default(), &[14, 15, 16, 17])
}

fn children_s() -> f64 {
    ticks(&fs::read_to_string("/proc/self/stat").unwrap_or_default(), &[16, 17])
}

fn pss_mib(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

fn threads(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |all| all.count() as u64)
}
