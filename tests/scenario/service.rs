//! The agent as a service of Linux: the unit that it writes, judged by what will run it, and what
//! it tells its supervisor.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;
use tenken_tests::{Bed, BedPlan, Process, stdout, wait_until, workspace_bin};

const BOUND: Duration = Duration::from_secs(30);
const UNIT: &str = include_str!("../../packaging/systemd/tenken-agent.service");
const SMART: &str = include_str!("../../packaging/systemd/tenken-agent-smart.conf");
const UNITS: &str = "etc/systemd/system";

/// A tree with systemd's own units and the agent's program where the unit expects it.
fn tree() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["usr/bin", "usr/lib/systemd", "etc"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::copy(workspace_bin("tenken-agent"), root.path().join("usr/bin/tenken-agent")).unwrap();
    let own = ["/usr/lib/systemd/system", "/lib/systemd/system"].map(Path::new);
    let own = own.iter().find(|folder| folder.join("sysinit.target").exists()).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(own).arg(root.path().join("usr/lib/systemd/system"));
    assert!(copy.status().unwrap().success());
    root
}

fn service(args: &[&str]) -> Output {
    let mut command = Command::new(workspace_bin("tenken-agent"));
    command.args(["--language", "en", "service"]).args(args).output().unwrap()
}

fn install(root: &Path, more: &[&str]) {
    let root = root.to_str().unwrap();
    let said = stdout(&service(&[&["install", "--root", root], more].concat()));
    assert!(said.contains(root) && said.contains("nothing was started"), "{said}");
}

fn analyze(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command
        .args(args)
        .arg("--root")
        .arg(root)
        .arg("tenken-agent.service")
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

/// What `systemd-analyze security` gives: 0 is closed, 10 open.
fn exposure(root: &Path) -> f64 {
    let said = stdout(&analyze(root, &["security", "--offline=yes", "--no-pager"]));
    let level = said.split("Overall exposure level for tenken-agent.service: ").nth(1);
    level.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// The score that a file states of itself: the first number of the form `1.2` after `mark`.
fn stated(text: &str, mark: &str) -> f64 {
    let (_, rest) = text.split_once(mark).unwrap();
    let number = |word: &str| word.trim_end_matches([',', ';', '.']).parse::<f64>().ok();
    rest.split_whitespace().find_map(number).unwrap()
}

#[test]
fn the_unit_is_the_packaged_one_and_its_judge_says_what_it_states() {
    let root = tree();
    let units = root.path().join(UNITS);
    let drop_in = units.join("tenken-agent.service.d/smart.conf");

    install(root.path(), &[]);
    assert_eq!(fs::read_to_string(units.join("tenken-agent.service")).unwrap(), UNIT);
    assert!(fs::symlink_metadata(units.join("multi-user.target.wants/tenken-agent.service")).is_ok());
    assert!(!drop_in.exists());
    let verified = analyze(root.path(), &["verify", "--man=no"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    let base = exposure(root.path());
    assert!(base <= 1.5 && base <= stated(UNIT, "(systemd 252):"), "{base}");

    install(root.path(), &["--smart"]);
    assert_eq!(fs::read_to_string(&drop_in).unwrap(), SMART);
    let verified = analyze(root.path(), &["verify", "--man=no"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    let smart = exposure(root.path());
    assert!(base < smart && smart <= stated(SMART, "of the unit with it:"), "{smart}");
    let nvme = SMART.replace("=CAP_SYS_RAWIO", "=CAP_SYS_RAWIO CAP_SYS_ADMIN");
    fs::write(&drop_in, nvme).unwrap();
    let nvme = exposure(root.path());
    assert!(smart < nvme && nvme <= stated(SMART, "in both lines below it is"), "{nvme}");

    install(root.path(), &[]);
    assert!(!drop_in.exists(), "installing changes what is there");
}

#[test]
fn another_configuration_than_the_units_is_refused() {
    let root = tree();
    let config = root.path().join("agent.toml");
    fs::write(&config, "").unwrap();
    let mut command = Command::new(workspace_bin("tenken-agent"));
    command.arg("--config").arg(&config).args(["service", "install", "--root"]).arg(root.path());
    let refused = command.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("/etc/tenken/agent.toml"), "{said}");
    assert!(!root.path().join(UNITS).join("tenken-agent.service").exists());
}

#[test]
fn its_supervisor_hears_that_it_is_up_alive_and_ending_and_it_steps_back() {
    let bed = Bed::new(BedPlan::default());
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    collector.terminate();
    collector.wait(BOUND);

    let path = bed.dir().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(BOUND)).unwrap();
    let mut command = Command::new(workspace_bin("tenken-agent"));
    command.arg("--config").arg(&home.config).arg("run");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "4000000").env_remove("WATCHDOG_PID");
    let mut agent = Process::start(bed.dir(), "supervised", &mut command);
    let hear = || {
        let mut buffer = [0; 64];
        let len = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert_eq!(hear(), "READY=1", "without a collector too");
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    let tasks = format!("/proc/{}/task", agent.id());
    let nice = |folder: fs::DirEntry| {
        let stat = fs::read_to_string(folder.path().join("stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // proc_pid_stat(5): the nineteenth, of which two stand before the bracket.
        fields.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
    };
    let all: Vec<i32> = fs::read_dir(tasks).unwrap().map(|task| nice(task.unwrap())).collect();
    assert!(all.len() >= 3 && all.iter().all(|nice| *nice >= 10), "{all:?}");

    agent.terminate();
    wait_until(BOUND, "its word that it ends", |state| {
        *state = hear();
        (state == "STOPPING=1").then_some(())
    });
    assert!(agent.wait(BOUND).success());
}

#[test]
fn a_device_that_is_not_enrolled_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agent.toml");
    fs::write(&config, format!("state_dir = \"{}\"", dir.path().display())).unwrap();
    let mut command = Command::new(workspace_bin("tenken-agent"));
    let ended = command.arg("--config").arg(&config).arg("run").output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "systemd starts it again after this");
}

#[test]
fn a_start_waits_for_the_agent_that_is_just_ending() {
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let mut first = bed.start_agent(&home);
    first.wait_for_text(BOUND, "agent started");
    let mut second = bed.start_agent(&home);
    first.terminate();
    assert!(first.wait(BOUND).success());
    second.wait_for_text(BOUND, "agent started");

    // One that stays is not waited for without end.
    let mut third = bed.start_agent(&home);
    assert_eq!(third.wait(BOUND).code(), Some(2));
    assert!(second.is_running() && third.stderr_text().contains("has the spool"), "{}", third.stderr_text());
}
