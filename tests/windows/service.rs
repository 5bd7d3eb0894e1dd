//! The service's life, with its collector there, away and back.

use crate::wine::{Wine, named};
use std::{fs, time::Duration};
use tenken_common::{batch::RecRun, id::RecId};
use tenken_tests::{Account, Bed, BedPlan, Home, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const CONFIG: &str = "C:/tenken/agent.toml";

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

    fn configure(&self, more: &str) {
        let text = format!("state_dir = \"C:/tenken/state\"\nlanguage = \"en\"\n{more}");
        fs::write(self.wine.drive("tenken/agent.toml"), text).unwrap();
    }

    /// One command of the agent: whether it succeeded, and what it said.
    fn agent(&self, args: &[&str]) -> (bool, String) {
        let all = [&["--config", CONFIG], args].concat();
        let output = self.wine.run("C:/tenken/tenken-agent.exe", &all);
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
    let agent = BedPlan::default().agent;

    // A device is enrolled as everywhere.
    let applicant = bed.applicant("ct-1");
    stage.configure(&agent);
    let slot = wine.drive("tenken/ct-1.slot");
    fs::copy(bed.path("ct-1.slot"), slot).unwrap();
    let said = stage.done(&["enroll", "--slot", "C:/tenken/ct-1.slot"], "");
    let home = Home { device: bed.approve("ct-1", &said), ..applicant };

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
