//! Failing system calls: one fixed run, whose n-th file call fails in one of four ways.
//!
//! Holds: the calls are those that the C library passes on for the folder of the spool or of the
//! store; that the preloaded library sees the ones that change something is checked against strace
//! ([`compare_with_strace`]). The victim goes on as the agent does (a spool that halted is opened
//! again), and as devices do (what the store refused comes again). In the end its disk is opened
//! without faults and accounted for. A panic that ends a thread or the process is a failure; one
//! that the ladder or a guard catches is none.

use super::{
    Tally,
    power_cut::Subject,
    recording::{Change, record},
    said, scratch,
    spool::{self, load::Shape},
    spread, store,
};
use crate::binary::workspace_bin;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};
use tempfile::TempDir;

/// How a call can fail, as `fault.c` names it.
pub const KINDS: [&str; 4] = ["ENOSPC", "EIO", "EINTR", "SHORT"];
/// Seconds after which a run hangs.
const BOUND: &str = "60";
/// Threads on which a panic is caught: the ladder's, and the one that asks the spool.
const GUARDED: [&str; 2] = ["main", "tenken-spool-open"];

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub subject: Subject,
    /// Of each kind; spread evenly over the run where it has more calls.
    pub points: usize,
    pub seed: u64,
    pub only: Option<usize>,
}

/// The compiled library.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, library) = (folder.path().join("fault.c"), folder.path().join("fault.so"));
        fs::write(&source, include_str!("fault.c")).expect("a temporary folder takes a file");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let output = cc.output().expect("cc is installed");
        assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        (folder, library)
    });
    library
}

/// One run on a disk of its own.
struct Run {
    scratch: TempDir,
    output: Output,
}

impl Run {
    fn new(subject: Subject, seed: u64, kind: &str, at: usize) -> Self {
        let scratch = scratch();
        let mut victim = Command::new(workspace_bin("victim"));
        let paths = prepare(&mut victim, &scratch, subject, seed);
        let mut bounded = Command::new("timeout");
        bounded.args([BOUND, "env"]).args(preload(&paths, kind, at));
        let output = bounded.arg(victim.get_program()).args(victim.get_args()).output();
        Self { scratch, output: output.expect("coreutils' timeout is installed") }
    }

    fn counts(&self) -> BTreeMap<String, usize> {
        let text = fs::read_to_string(self.scratch.path().join("count")).unwrap_or_default();
        let line = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// Gives what is not as it must be.
    fn faults(&self, subject: Subject) -> Vec<String> {
        let stderr = String::from_utf8_lossy(&self.output.stderr);
        let mut faults: Vec<String> = panics(&stderr).map(|line| format!("panic: {line}")).collect();
        if !self.output.status.success() {
            let said: Vec<&str> =
                stderr.lines().filter(|line| !line.starts_with("fault: ")).take(2).collect();
            faults.push(format!("the program ended with {}: {}", self.output.status, said.join(" ")));
        }
        let said = fs::read(self.scratch.path().join("said")).unwrap_or_default();
        let disk = self.scratch.path().join("disk");
        faults.extend(match subject {
            Subject::Spool(engine) => {
                let room = Shape::Fixed.room();
                spool::check::faults(&disk, engine, room, &said::words(&said), false)
            }
            Subject::Store => store::check::faults(&disk, &said),
        });
        if !faults.is_empty() {
            faults.extend(stderr.lines().filter(|line| line.starts_with("fault: ")).map(str::to_owned));
        }
        faults
    }
}

struct Paths {
    disk: PathBuf,
    said: PathBuf,
    count: PathBuf,
}

fn prepare(victim: &mut Command, scratch: &TempDir, subject: Subject, seed: u64) -> Paths {
    let at = |name| scratch.path().join(name);
    let paths = Paths { disk: at("disk"), said: at("said"), count: at("count") };
    fs::create_dir(&paths.disk).expect("a temporary folder takes a folder");
    victim.arg(subject.as_str()).args(["--fixed", "--seed", &seed.to_string()]);
    victim.arg("--disk").arg(&paths.disk).arg("--said").arg(&paths.said);
    paths
}

/// For `env`, so that nothing but the victim is preloaded.
fn preload(paths: &Paths, kind: &str, at: usize) -> [String; 5] {
    let set = |name: &str, path: &Path| format!("{name}={}", path.display());
    [
        set("LD_PRELOAD", library()),
        set("TENKEN_FAULT_DISK", &paths.disk),
        set("TENKEN_FAULT_COUNT", &paths.count),
        format!("TENKEN_FAULT_KIND={kind}"),
        format!("TENKEN_FAULT_AT={at}"),
    ]
}

/// Panics that ended a thread: `thread 'name' panicked at ..`, with or without a number after it.
fn panics(stderr: &str) -> impl Iterator<Item = &str> {
    stderr.lines().filter(|line| {
        let thread = line.strip_prefix("thread '").and_then(|rest| rest.split('\'').next());
        line.contains(" panicked at ") && thread.is_some_and(|name| !GUARDED.contains(&name))
    })
}

pub fn syscalls(plan: Plan) -> Tally {
    let mut jobs: Vec<(&str, usize)> = Vec::new();
    let mut notes = Vec::new();
    for kind in KINDS {
        // A kind that never strikes counts the calls that it could strike.
        let calls =
            Run::new(plan.subject, plan.seed, kind, 0).counts().get("calls").copied().unwrap_or_default();
        notes.push(format!("{kind}: {calls} calls"));
        assert!(calls > 100, "the library sees hardly any call: {calls}");
        let points = plan.points.min(calls);
        jobs.extend((0..points).map(|point| (kind, 1 + point * calls / points.max(1))));
    }
    if let Some(only) = plan.only {
        jobs = jobs.get(only..=only).unwrap_or_default().to_vec();
    }
    let mut tally = spread(jobs.len(), |job| {
        let (kind, at) = jobs.get(job).copied().expect("a job of the list");
        let run = Run::new(plan.subject, plan.seed, kind, at);
        let faults = run.faults(plan.subject);
        let mut tally = Tally { tried: 1, ..Tally::default() };
        if !faults.is_empty() {
            let number = plan.only.unwrap_or(job);
            tally.fail(format!("run {number}: call {at} gives {kind}"), faults);
        }
        tally
    });
    tally.notes = notes;
    tally
}

/// Runs once under both recorders; gives where they differ.
pub fn compare_with_strace(subject: Subject, seed: u64) -> Vec<String> {
    let scratch = scratch();
    let mut victim = Command::new(workspace_bin("victim"));
    let paths = prepare(&mut victim, &scratch, subject, seed);
    let mut preloaded = Command::new("env");
    preloaded.args(preload(&paths, "none", 0)).arg(victim.get_program()).args(victim.get_args());
    let recording = match record(&mut preloaded, &paths.disk, &paths.said) {
        Ok(recording) => recording,
        Err(fault) => return vec![fault],
    };
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &recording.changes {
        let kind = match change {
            Change::Write { .. } => "write",
            Change::Sync { .. } => "sync",
            Change::SyncRange { .. } => "range",
            Change::Move { .. } => "rename",
            Change::Remove { .. } => "remove",
            Change::Make { folder: true, .. } => "mkdir",
            Change::Make { .. } | Change::Resize { .. } | Change::Said(_) => continue,
        };
        *counted.entry(kind).or_default() += 1;
    }
    let output = Run { scratch, output: Command::new("true").output().expect("coreutils are installed") };
    let counts = output.counts();
    let differ = counted.iter().filter(|(kind, count)| counts.get(**kind) != Some(count));
    let mut faults: Vec<String> = differ
        .map(|(kind, count)| format!("{kind}: strace saw {count}, the library {:?}", counts.get(*kind)))
        .collect();
    if counted.get("write").is_none_or(|writes| *writes < 20) {
        faults.push(format!("hardly anything was recorded: {counted:?}"));
    }
    faults
}
