//! The service's life, with its collector there, away and back.

use crate::wine::{Wine, named};
use std::{fs, time::Duration};
use tenken_agent::{
    identity,
    spool::{ChainStart, EngineKind, SpoolConfig},
};
use tenken_common::{
    batch::RecRun,
    id::RecId,
    time::{Clock, Moment, Monotonic, SystemClock},
};
use tenken_tests::{Account, Bed, BedPlan, Home, month::Month, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const CONFIG: &str = "C:/tenken/agent.toml";
const PROGRAM: &str = "C:/tenken/tenken-agent.exe";
/// In the test of a full spool; a device has 64 MiB.
const CAP: u64 = 4 * 1024 * 1024;
/// More hours than fit it.
const HOURS_MAX: u32 = 24 * 60;
/// The manager itself waits for 30 s, and then says 1053.
const RUNNING_WITHIN: Duration = Duration::from_secs(8);

/// A bed, a Windows in it, and the agent there.
struct Stage {
    wine: Wine,
    bed: Bed,
}

impl Stage {
    fn new() -> Self {
        let bed = Bed::new(BedPlan::default());
        let wine = Wine::start(bed.dir());
        let program = wine.drive("tenken");
        fs::create_dir(&program).unwrap();
        fs::copy(named("TENKEN_WINDOWS_AGENT"), program.join("tenken-agent.exe")).unwrap();
        Self { wine, bed }
    }

    /// A device is enrolled as everywhere; needs a running collector.
    fn enroll(&self, agent: &str) -> Home {
        let applicant = self.bed.applicant("ct-1");
        self.configure(agent);
        let slot = self.wine.drive("tenken/ct-1.slot");
        fs::copy(self.bed.path("ct-1.slot"), slot).unwrap();
        let said = self.done(&["enroll", "--slot", "C:/tenken/ct-1.slot"], "");
        Home { device: self.bed.approve("ct-1", &said), ..applicant }
    }

    fn configure(&self, more: &str) {
        let text = format!("state_dir = \"C:/tenken/state\"\nlanguage = \"en\"\n{more}");
        fs::write(self.wine.drive("tenken/agent.toml"), text).unwrap();
    }

    /// One command of the agent: whether it succeeded, and what it said.
    fn agent(&self, args: &[&str]) -> (bool, String) {
        let all = [&["--config", CONFIG], args].concat();
        let output = self.wine.run(PROGRAM, &all);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).replace('\r', ""))
    }

    /// A command that must succeed.
    fn done(&self, args: &[&str], says: &str) -> String {
        let (success, said) = self.agent(args);
        assert!(success && said.contains(says), "{args:?}: {said}");
        said
    }

    fn service_is(&self, says: &str) {
        wait_until(BOUND, says, |state| {
            (_, *state) = self.agent(&["service", "status"]);
            state.contains(says).then_some(())
        });
    }

    /// The agent's own status, once `good` says so of it.
    fn status_when(&self, what: &str, good: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let file = self.wine.drive("tenken/state/status.json");
        wait_until(BOUND, what, |state| {
            *state = fs::read_to_string(&file).unwrap_or_default();
            serde_json::from_str(state).ok().filter(&good)
        })
    }
}

fn number(status: &serde_json::Value, key: &str) -> u64 {
    status["spool"][key].as_u64().unwrap()
}

#[test]
fn a_service_keeps_every_record_through_kill_and_absence() {
    let stage = Stage::new();
    let Stage { wine, bed } = &stage;
    let mut collector = bed.start_collector();
    let home = stage.enroll(&BedPlan::default().agent);

    let (success, said) = stage.agent(&["service", "status"]);
    assert!(!success && said.contains("not installed"), "{said}");
    let (success, said) = stage.agent(&["service", "start"]);
    assert!(!success && said.contains("tenken-agent service install"), "{said}");

    // Installed twice: the second time changes nothing.
    for _ in 0..2 {
        stage.done(&["service", "install"], "is installed");
    }
    let (success, said) = stage.agent(&["service", "status"]);
    assert!(!success && said.contains("stopped"), "{said}");
    stage.done(&["service", "start"], "is started");
    stage.done(&["service", "start"], "runs already");
    stage.done(&["service", "status"], "running (process ");
    let row = bed.device_when(&home, "batches of the service", |row| row["batches"].as_u64() > Some(2));
    assert!(row["records"].as_u64() > Some(10), "{row}");
    stage.status_when("the system's own probes with values", |status| {
        let runs = status["probes"].as_array().cloned().unwrap_or_default();
        let well = |name: &&str| runs.iter().any(|run| run["probe"] == *name && run["state"] == "ok");
        ["clock", "cpu", "disk", "memory", "network", "uptime"].iter().all(well)
    });

    // The collector goes, records wait; then the agent is killed, as by a power cut.
    collector.terminate();
    collector.wait(BOUND);
    let before = stage.status_when("records that wait", |status| number(status, "waiting") > 30);
    let (_, said) = stage.agent(&["service", "status"]);
    let pid = said.split("process ").nth(1).and_then(|rest| rest.split(')').next()).unwrap().to_owned();
    let killed = wine.run("taskkill", &["/F", "/PID", &pid]);
    assert!(killed.status.success(), "{killed:?}");
    // wine's manager shows the state of a killed process until somebody starts it again.
    stage.done(&["spool", "verify"], "");
    let listed: serde_json::Value =
        serde_json::from_str(&stage.done(&["spool", "ls", "--json"], "")).unwrap();
    assert_eq!(listed["faults"], serde_json::json!([]), "{listed}");

    // Started without any network: it runs at once, keeps what it had, and records on.
    stage.done(&["service", "start"], "is started");
    let after = stage.status_when("more records than before the kill", |status| {
        status["started"] != before["started"] && number(status, "waiting") > number(&before, "waiting")
    });
    assert_eq!([number(&after, "evicted"), number(&after, "corrupt")], [0, 0]);

    // The collector is back: everything is delivered, and the service ends in order.
    let mut collector = bed.start_collector();
    stage.status_when("an empty spool", |status| {
        number(status, "last_record") > number(&after, "last_record") && number(status, "waiting") < 20
    });
    stage.done(&["service", "stop"], "is stopped");
    stage.done(&["service", "stop"], "was not running");
    let stopped = stage.status_when("an orderly end", |status| !status["stopped"].is_null());
    collector.terminate();
    collector.wait(BOUND);
    let mut account = Account::of(bed.dir(), &bed.database(), &home.device);
    let kept = number(&before, "last_record");
    account.say(RecRun { from: RecId(1), to: RecId(kept) });
    assert_eq!(account.faults(), 0, "{account}; {stopped}");

    stage.done(&["service", "uninstall"], "is removed");
    let (success, said) = stage.agent(&["service", "status"]);
    assert!(!success && said.contains("not installed"), "{said}");
    assert!(wine.drive("tenken/state").is_dir(), "records and keys stay");
    println!("{account}; {kept} records before the kill");
}

/// Fills the spool, up to the first record that had to go, by the product's own `open` and `append`;
/// an urgent record is the oldest. Gives its id.
fn fill(stage: &Stage) -> RecId {
    let state = stage.wine.drive("tenken/state");
    let enrolled = identity::load(&state).unwrap();
    let start = ChainStart { device: enrolled.device, epoch: enrolled.epoch, genesis: enrolled.genesis };
    let config = SpoolConfig { dir: state.join("spool"), engine: EngineKind::default(), room: CAP.into() };
    let now = SystemClock::new().now();
    let first = Moment { boot: now.boot, mono: Monotonic(0), wall: now.wall.minus(BOUND * 60 * HOURS_MAX) };
    let mut month = Month::of_this_machine(1, first);
    let mut spool = tenken_agent::spool::open(&config, start).unwrap();
    let alarm = spool.append(&[month.alarm()]).unwrap().expect("one record").to;
    for _ in 0..HOURS_MAX {
        if spool.stats().evicted > 0 {
            break;
        }
        let hour: Vec<_> = (0..60).flat_map(|_| month.minute()).collect();
        spool.append(&hour).unwrap();
    }
    assert!(spool.stats().evicted > 0, "the spool is not full: {:?}", spool.stats());
    spool.close().unwrap();
    alarm
}

#[test]
fn a_full_spool_and_no_network_do_not_keep_the_manager_waiting() {
    let stage = Stage::new();
    let Stage { wine, bed } = &stage;
    let mut collector = bed.start_collector();
    let home = stage.enroll(&format!("{}[spool]\ncap = \"{}MiB\"\n", BedPlan::default().agent, CAP >> 20));
    stage.done(&["service", "install"], "is installed");
    collector.terminate();
    collector.wait(BOUND);
    let alarm = fill(&stage);

    // Somebody has the spool open, so that the service cannot have it: the manager is told Running
    // all the same, at once.
    let mut other = wine.spawn(PROGRAM, &["--config", CONFIG, "run"]);
    let before = stage.status_when("the full spool in use", |status| number(status, "waiting") > 1_000);
    let clock = SystemClock::new();
    let asked = clock.mono();
    stage.done(&["service", "start"], "is started");
    let took = clock.mono().saturating_since(asked);
    assert!(took < RUNNING_WITHIN, "{took:?}");
    let unchanged = stage.status_when("a status", |_| true);
    assert_eq!(unchanged["started"], before["started"], "the service has no spool yet");
    other.kill();
    other.wait(BOUND);
    // On a machine that is busy the service may have given up waiting for it by now.
    stage.agent(&["service", "start"]);

    // Then it has, and records on; nobody can be reached.
    let full = stage.status_when("the service with the full spool", |status| {
        status["started"] != before["started"] && number(status, "waiting") > 1_000
    });
    assert_eq!(number(&full, "corrupt"), 0, "{full}");

    // What did not have to go for lack of room is delivered, and what had is declared.
    let mut collector = bed.start_collector();
    stage.status_when("an empty spool", |status| number(status, "waiting") < 20);
    stage.done(&["service", "stop"], "is stopped");
    collector.terminate();
    collector.wait(BOUND);
    let mut account = Account::of(bed.dir(), &bed.database(), &home.device);
    account.say(RecRun::one(alarm));
    assert_eq!(account.faults(), 0, "{account}");
    assert!(account.stored() > 1_000, "{account}; {before}");
    println!("Running after {took:.1?}; {account}");
}

#[test]
fn what_is_wrong_with_the_device_is_no_failure_to_start() {
    let stage = Stage::new();
    stage.configure("");
    stage.done(&["service", "install"], "is installed");

    // Not enrolled: the manager was told Running, and hears afterwards that the agent cannot run.
    let (_, said) = stage.agent(&["service", "start"]);
    assert!(said.contains("is started") || said.contains("ended at once (code 2)"), "{said}");
    stage.service_is("failed (2)");

    // A configuration that cannot be read, the same.
    fs::write(stage.wine.drive("tenken/agent.toml"), "speed = 'fast'").unwrap();
    let started = stage.wine.run("net", &["start", "TenkenAgent"]);
    let said = String::from_utf8_lossy(&started.stdout).into_owned();
    stage.service_is("failed (2)");
    assert!(!said.contains("1053"), "{said}");
    stage.done(&["service", "uninstall"], "is removed");
}
