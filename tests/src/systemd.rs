//! The agent's unit under a real systemd: a copy of this machine boots in namespaces of its own, the
//! agent is installed there as a hospital would, and is looked at.
//!
//! Holds: the machine itself is not written to, as the copy lies in memory over it; its network is the
//! machine's loopback, so that the agent finds its collector. What one part saw is printed.
//!
//! Needs: root, overlayfs, cgroup v2, systemd and util-linux on the machine.

use crate::{Bed, BedPlan, Process, wait_until, workspace_bin};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use tenken_common::category::Category;

const BOUND: Duration = Duration::from_secs(60);
const UNIT: &str = "tenken-agent.service";
/// Becomes the first process of a system whose root is this machine's with a layer in memory over it.
const BOOT: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1"/upper "$1"/work "$1"/root
mount -t overlay overlay -o lowerdir=/,upperdir="$1"/upper,workdir="$1"/work "$1"/root
cd "$1"/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir tmp/old
# Not chroot: in one no user namespace can be made, and the unit asks for one.
pivot_root . tmp/old
umount -l /tmp/old
cd /
rm -rf /var/lib/tenken-agent /etc/systemd/system/tenken-agent.service*
export container=other
exec /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=0
"#;

/// What one probe said inside of the unit.
#[derive(Debug)]
pub struct Said {
    pub probe: String,
    pub values: usize,
    pub state: String,
    pub reason: String,
}

/// See the module's head.
#[derive(Debug)]
pub struct UnitReport {
    /// Under the base unit, and with what SMART needs.
    pub base: Vec<Said>,
    pub smart: Vec<Said>,
    /// What did not hold.
    pub faults: Vec<String>,
}

/// The system in its namespaces; ends when dropped.
struct System {
    _process: Process,
    first: u32,
}

impl System {
    fn boot(dir: &Path) -> Self {
        let layer = dir.join("layer");
        fs::create_dir(&layer).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--fork", "--kill-child", "--pid", "--mount", "--cgroup", "--ipc", "--uts"]);
        command.args(["bash", "-c", BOOT, "boot"]).arg(&layer);
        let process = Process::start(dir, "systemd", &mut command);
        let children = format!("/proc/{0}/task/{0}/children", process.id());
        let first = wait_until(BOUND, "the first process", |_| {
            fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()
        });
        let system = Self { _process: process, first };
        wait_until(BOUND, "systemd to run", |state| {
            *state = stdout(&system.run(&["systemctl", "is-system-running"]));
            matches!(state.as_str(), "running" | "degraded").then_some(())
        });
        system
    }

    fn run(&self, command: &[&str]) -> Output {
        let first = self.first.to_string();
        let inside = ["--target", &first, "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd"];
        Command::new("nsenter").args(inside).args(command).output().unwrap()
    }

    /// A path of the system, as this machine sees it.
    fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    fn must(&self, command: &[&str]) -> String {
        let output = self.run(command);
        let said = || {
            let status = self.run(&["systemctl", "status", "--no-pager", "--full", UNIT]);
            let journal = self.run(&["journalctl", "--no-pager", "--lines=20", "--output=cat"]);
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            [err, stdout(&status), stdout(&journal)].join("\n")
        };
        assert!(output.status.success(), "{command:?}: {}", said());
        stdout(&output)
    }

    fn show(&self, property: &str) -> String {
        stdout(&self.run(&["systemctl", "show", "--value", "--property", property, UNIT]))
    }

    /// What every probe says when it runs as the unit runs.
    fn probes(&self) -> Vec<Said> {
        let folder = self.path("/run/systemd/system/tenken-agent.service.d");
        fs::create_dir_all(&folder).unwrap();
        let once = "[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecStart=\n\
            ExecStart=/usr/bin/tenken-agent --config /etc/tenken/agent.toml probe --json\n\
            StandardOutput=truncate:/run/probes.json\n";
        fs::write(folder.join("once.conf"), once).unwrap();
        self.must(&["systemctl", "daemon-reload"]);
        self.must(&["systemctl", "start", UNIT]);
        fs::remove_file(folder.join("once.conf")).unwrap();
        self.must(&["systemctl", "daemon-reload"]);
        let text = fs::read_to_string(self.path("/run/probes.json")).unwrap();
        let shown: Vec<Value> = serde_json::from_str(&text).unwrap();
        let said = |one: &Value| Said {
            probe: one["name"].as_str().unwrap_or_default().to_owned(),
            values: one["values"].as_array().map_or(0, Vec::len),
            state: one["state"].as_str().unwrap_or_default().to_owned(),
            reason: one["error"].as_str().unwrap_or_default().to_owned(),
        };
        shown.iter().map(said).collect()
    }
}

/// Boots, installs, and looks; see the module's head.
pub fn unit() -> UnitReport {
    let categories = Category::ALL.map(Category::as_str).to_vec();
    let bed = Bed::new(BedPlan { categories, ..BedPlan::default() });
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let system = System::boot(bed.dir());
    let mut faults = Vec::new();
    fs::copy(workspace_bin("tenken-agent"), system.path("/usr/bin/tenken-agent")).unwrap();
    fs::create_dir_all(system.path("/etc/tenken")).unwrap();
    let config = fs::read_to_string(&home.config).unwrap();
    let config = config.replace(&home.state.display().to_string(), "/var/lib/tenken-agent");
    fs::write(system.path("/etc/tenken/agent.toml"), config).unwrap();
    let kept = system.path("/var/lib/private/tenken-agent");
    assert!(Command::new("cp").arg("-a").arg(&home.state).arg(kept).status().unwrap().success());

    system.must(&["/usr/bin/tenken-agent", "service", "install", "--smart"]);
    let smart = system.probes();
    system.must(&["/usr/bin/tenken-agent", "service", "install"]);
    let base = system.probes();
    let mut judge = |good: bool, what: String| {
        if !good {
            faults.push(what);
        }
    };
    for said in base.iter().chain(&smart) {
        judge(said.state != "failed", format!("{said:?}"));
        judge(said.values > 0 || !said.reason.is_empty(), format!("neither values nor a reason: {said:?}"));
    }

    system.must(&["/usr/bin/tenken-agent", "service", "start"]);
    judge(system.show("ActiveState") == "active", format!("after its start: {}", system.show("ActiveState")));
    let acked = |more_than: u64| {
        wait_until(BOUND, "acknowledged batches", |state| {
            let status = fs::read_to_string(system.path("/var/lib/private/tenken-agent/status.json")).ok()?;
            let status: Value = serde_json::from_str(&status).ok()?;
            let acked = status["spool"]["acked_batches"].as_u64()?;
            *state = format!("{acked}");
            (acked > more_than).then_some(acked)
        })
    };
    let before = acked(0);
    let pid = system.show("MainPID");
    system.must(&["kill", "-KILL", &pid]);
    wait_until(BOUND, "systemd to start it again", |state| {
        *state = system.show("MainPID");
        (*state != "0" && *state != pid && system.show("ActiveState") == "active").then_some(())
    });
    acked(before);
    // One that stands still is no agent any more: with a short watchdog, to see it here.
    let folder = system.path("/run/systemd/system/tenken-agent.service.d");
    fs::write(folder.join("watchdog.conf"), "[Service]\nWatchdogSec=20s\n").unwrap();
    system.must(&["systemctl", "daemon-reload"]);
    system.must(&["systemctl", "restart", UNIT]);
    let pid = system.show("MainPID");
    system.must(&["kill", "-STOP", &pid]);
    wait_until(BOUND * 2, "the watchdog to end it", |state| {
        *state = system.show("MainPID");
        (*state != "0" && *state != pid && system.show("ActiveState") == "active").then_some(())
    });
    system.must(&["/usr/bin/tenken-agent", "service", "stop"]);
    judge(system.show("Result") == "success", format!("stopped with {}", system.show("Result")));
    system.must(&["/usr/bin/tenken-agent", "service", "uninstall"]);
    let left = system.show("LoadState");
    judge(left == "not-found", format!("after it was uninstalled: {left}"));
    UnitReport { base, smart, faults }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
