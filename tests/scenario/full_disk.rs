//! Full disks, on small file systems of their own: the agent and the collector say so, live on, lose
//! nothing that was acknowledged, and go on when there is space again.
//!
//! Mounting needs root, as tests/run has it; where it cannot be done these tests fail.

use crate::outage::status_when;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tenken_tests::{Bed, BedPlan, Home, Process, wait_until};

const BOUND: Duration = Duration::from_secs(40);

/// A small file system; gone when dropped, before the folder it stands on.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path, size: &str) -> Self {
        fs::create_dir_all(place).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(place));
        Self(place.to_owned())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// To the last byte.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still looks at it may finish.
        let ended = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn plan(engine: &str) -> BedPlan {
    let plan = BedPlan::default();
    BedPlan {
        agent: format!("log_format = \"json\"\n{}[spool]\nengine = \"{engine}\"\n", plan.agent),
        ..plan
    }
}

/// Records whose append returned, by the agent's log.
fn appended(agent: &Process) -> u64 {
    let text = agent.stderr_text();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let appends = entries.map(|e| e["fields"].clone()).filter(|f| f["message"] == "appended");
    appends.map(|f| f["last"].as_u64().unwrap() - f["first"].as_u64().unwrap() + 1).sum()
}

/// Starts the agent anew with long intervals, and waits until all that was ever appended is stored.
fn all_arrives(bed: &Bed, home: &Home, before: u64, gaps_max: u64) {
    let config = fs::read_to_string(&home.config).unwrap();
    let (head, tail) = config.split_once("[probes.intervals]").unwrap();
    let slow = format!("{head}[probes.intervals]{}", tail.replace("\"1s\"", "\"1h\""));
    fs::write(&home.config, slow.replace("report = \"1s\"", "report = \"1h\"")).unwrap();
    let agent = bed.start_agent(home);
    bed.device_when(home, "every appended record, once", |row| {
        let all = before + appended(&agent);
        // The first look of every probe is in.
        appended(&agent) > 5
            && row["records"] == all
            && row["missing_runs"] == 0
            && row["gaps"].as_u64() <= Some(gaps_max)
    });
}

fn an_agent_on_a_full_disk(engine: &str) {
    let bed = Bed::new(plan(engine));
    let disk = SmallDisk::mount(&bed.dir().join("ct-1"), "8m");
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    status_when(&bed, &home, "acknowledged batches", |s| s["spool"]["acked_batches"].as_u64() >= Some(2));

    disk.fill();
    agent.wait_for_text(BOUND, "spool failed");
    let full = appended(&agent);
    assert!(agent.is_running());
    disk.free();
    wait_until(BOUND, "records again", |state| {
        *state = agent.stderr_text();
        assert!(agent.is_running(), "the agent ended: {state}");
        (appended(&agent) > full + 20).then_some(())
    });
    status_when(&bed, &home, "a sound spool", |s| {
        s["spool"]["failing"].is_null() && s["delivery"]["state"] == "ok"
    });
    agent.terminate();
    assert!(agent.wait(BOUND).success(), "{}", agent.stderr_text());
    let quarantined = fs::read_dir(home.state.join("spool")).unwrap();
    let names: Vec<_> = quarantined.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|n| n.contains("quarantine")), "a full disk is no damage: {names:?}");
    // Ids that were reserved and not used are declared, in one run each time.
    all_arrives(&bed, &home, appended(&agent), 4);
    drop(disk);
}

#[test]
fn an_agent_on_a_full_disk_sled() {
    an_agent_on_a_full_disk("sled");
}

#[test]
fn an_agent_on_a_full_disk_redb() {
    an_agent_on_a_full_disk("redb");
}

#[test]
fn a_collector_on_a_full_disk() {
    let bed = Bed::new(plan("sled"));
    let (place, aside) = (bed.dir().join("collector"), bed.dir().join("collector.aside"));
    fs::rename(&place, &aside).unwrap();
    let disk = SmallDisk::mount(&place, "8m");
    run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(&place));
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut agent = bed.start_agent(&home);
    status_when(&bed, &home, "acknowledged batches", |s| s["spool"]["acked_batches"].as_u64() >= Some(2));

    disk.fill();
    // It is told to come again in half a minute.
    status_when(&bed, &home, "the full disk to be felt", |s| {
        s["delivery"]["state"] == "failing"
            && s["delivery"]["why"].as_str().is_some_and(|why| why.contains("HTTP 429"))
    });
    assert!(collector.is_running());
    disk.free();
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    all_arrives(&bed, &home, appended(&agent), 0);
    collector.terminate();
    assert!(collector.wait(BOUND).success(), "{}", collector.stderr_text());
    drop(disk);
}
