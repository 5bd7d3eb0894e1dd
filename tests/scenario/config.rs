//! What people get wrong before anything runs: every problem is said at once with its place, the exit
//! code is 2, and nothing was started, written or bound.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};
use tempfile::{TempDir, tempdir};
use tenken_tests::{Bed, BedPlan, free_port, stdout, workspace_bin};

/// Runs a program to its end.
fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(workspace_bin(program));
    command.env_remove("TENKEN_LANG").args(args).output().unwrap()
}

/// It ended with status 2 and says all of this on standard error, and no more lines than `lines`.
fn refused(output: &Output, lines: usize, words: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in: {said}");
    }
    assert!(said.lines().count() <= lines, "at most {lines} lines: {said}");
    assert!(!said.contains("panicked") && output.stdout.is_empty(), "{said}");
    said
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        fs::write(self.0.path().join(name), text).unwrap();
        self.path(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("packaging/config").join(name).display().to_string()
}

#[test]
fn an_agent_s_configuration() {
    let files = Files::new();
    let state = files.path("state");
    let bad = format!(
        "state_dir = \"{state}\"\nspeed = \"fast\"\nlanguage = \"fr\"\n[spool]\nengine = \"paper\"\ncap = \"1KiB\"\n\
         [push]\ninterval = \"0s\"\nretry_first = \"1h\"\ntimeout = \"soon\"\nreport = 5\nwhat = 1\n\
         [probes.intervals]\nflux = \"1s\"\n[[probes.services]]\nname = \"pacs\"\n[[probes.services]]\nname = \"his\"\nport = 1\n[sections]\n"
    );
    let config = files.write("agent.toml", bad);
    let keys = [
        "speed",
        "language",
        "spool.engine",
        "spool.cap",
        "push.interval",
        "push.retry_max",
        "push.timeout",
        "push.report",
        "push.what",
        "probes.intervals",
        "probes.services.0",
        "probes.services.1.port",
        "sections",
    ];
    let lines: Vec<String> = keys.iter().map(|key| format!("\n  {key}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for command in
        [&["check-config"][..], &["run"], &["doctor"], &["status"], &["probe"], &["enroll", "--slot", "x"]]
    {
        let said = refused(&run("tenken-agent", &[&["--config", &config], command].concat()), 20, &lines);
        assert!(said.contains("agent.toml"), "{said}");
    }
    assert_eq!(files.names(), ["agent.toml"], "nothing was made");

    assert!(
        run("tenken-agent", &["--config", &example("agent.example.toml"), "check-config"]).status.success()
    );
    let good = files.write("good.toml", format!("state_dir = \"{state}\"\n"));
    assert!(run("tenken-agent", &["--config", &good, "check-config"]).status.success());
    refused(
        &run("tenken-agent", &["--config", &good, "run"]),
        1,
        &["not enrolled yet", "tenken-agent enroll"],
    );
    refused(&run("tenken-agent", &["--config", &good, "status"]), 1, &["no status in", &state]);
    assert!(!Path::new(&state).exists());
    common("tenken-agent", &files);

    // A state folder where nothing can be written.
    let bed = Bed::new(BedPlan::default());
    let _collector = bed.start_collector();
    let home = bed.applicant("ct-1");
    fs::write(&home.config, "state_dir = \"/proc/x\"\n").unwrap();
    refused(
        &bed.agent(&home, &["enroll", "--slot", &bed.path("ct-1.slot")]),
        1,
        &["cannot write /proc/x/identity"],
    );
    assert_eq!(bed.listing(&["device", "list"]), serde_json::json!([]), "the slot was not used up");
}

#[test]
fn a_collector_s_configuration() {
    let files = Files::new();
    let (data, rules) = (files.path("data"), files.path("rules.toml"));
    let (device, metrics) = (free_port(), free_port());
    let bad = format!(
        "data_dir = \"{data}\"\nport = 1\nnames = [\"rsc example\"]\npush_url = \"http://x\"\nlog_format = \"xml\"\n\
         [listen]\ndevice = \"127.0.0.1:{device}\"\nenroll = \"127.0.0.1:{device}\"\nmetrics = \"here\"\n\
         [evaluate]\ninterval = \"10ms\"\nrules = 5\n[[notify.email]]\nname = \"desk\"\nserver = \"\"\nfrom = \"x\"\nto = []\n\
         [[notify.webhook]]\nname = \"hook\"\nurl = \"gopher://x\"\nsecret_file = \"x\"\nspeed = 1\n"
    );
    let config = files.write("collector.toml", bad);
    let keys = [
        "port",
        "names.0",
        "push_url",
        "log_format",
        "listen.enroll",
        "listen.metrics",
        "evaluate.interval",
        "evaluate.rules",
        "notify.email.0.server",
        "notify.email.0.from",
        "notify.email.0.to",
        "notify.webhook.0.url",
        "notify.webhook.0.speed",
    ];
    let lines: Vec<String> = keys.iter().map(|key| format!("\n  {key}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for command in [&["check-config"][..], &["serve"], &["init"], &["device", "list"], &["rebuild"], &["sla"]]
    {
        refused(&run("tenken-collector", &[&["--config", &config], command].concat()), 24, &lines);
    }
    assert_eq!(files.names(), ["collector.toml"], "nothing was made");
    drop(TcpListener::bind(("127.0.0.1", device)).unwrap());

    assert!(
        run("tenken-collector", &["--config", &example("collector.example.toml"), "check-config"])
            .status
            .success()
    );
    // The rules are a file of their own, with problems of its own.
    let listen = format!(
        "[listen]\ndevice = \"127.0.0.1:{device}\"\nenroll = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:{metrics}\"\n"
    );
    let config = files
        .write("rules-bad.toml", format!("data_dir = \"{data}\"\n{listen}[evaluate]\nrules = \"{rules}\"\n"));
    refused(&run("tenken-collector", &["--config", &config, "check-config"]), 2, &["rules.toml"]);
    files.write(
        "rules.toml",
        "flap_window = \"soon\"\ncolour = 1\n[[rule]]\nid = \"x\"\nseverity = \"grave\"\n",
    );
    for command in ["check-config", "serve"] {
        let words = ["rules.toml", "\n  flap_window", "\n  colour", "\n  rule.0"];
        refused(&run("tenken-collector", &["--config", &config, command]), 20, &words);
    }
    // Without keys nothing is served, and commands make no store.
    let config = files.write("good.toml", format!("data_dir = \"{data}\"\n{listen}"));
    refused(&run("tenken-collector", &["--config", &config, "serve"]), 1, &["tenken-collector init"]);
    refused(
        &run("tenken-collector", &["--config", &config, "device", "list"]),
        1,
        &["tenken-collector init"],
    );
    assert!(!Path::new(&data).exists());
    common("tenken-collector", &files);

    let config = files.write("proc.toml", format!("data_dir = \"/proc/x\"\n{listen}"));
    refused(&run("tenken-collector", &["--config", &config, "init"]), 1, &["cannot make the folder /proc/x"]);
    // A port that somebody has.
    let config = files.write("port.toml", format!("data_dir = \"{data}\"\n{listen}"));
    stdout(&run("tenken-collector", &["--config", &config, "init"]));
    refused(&run("tenken-collector", &["--config", &config, "init"]), 1, &["exists already"]);
    for (port, key) in [(device, "listen.device"), (metrics, "listen.metrics")] {
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let in_use = format!("port {port} on 127.0.0.1 is in use");
        let words = [in_use.as_str(), key];
        let output = run("tenken-collector", &["--config", &config, "serve"]);
        let said = refused(&output, 1, &words);
        assert!(said.starts_with("tenken-collector: "), "{said}");
    }
    assert!(!Path::new(&data).join("collector.sqlite").exists(), "no store was made");
}

#[test]
fn a_hospital_s_manifest() {
    let files = Files::new();
    let keys = files.path("keys");
    stdout(&run("tenken-hospital", &["keygen", &keys]));
    refused(&run("tenken-hospital", &["keygen", &keys]), 1, &["never overwritten"]);
    let bad = "hospital = \"\"\nversion = 0\ncategories = [\"disk\", \"patients\"]\ninterval_floor = \"often\"\n\
               device = \"7\"\nvalid_from = \"now\"\nvalid_to = \"2026-13-01\"\nheartbeat = \"yes\"\nwho = 1\n";
    let manifest = files.write("consent.toml", bad);
    let (key, out) = (files.path("keys/hospital.key"), files.path("consent.statement"));
    let places = [
        "hospital",
        "version",
        "categories",
        "interval_floor",
        "device",
        "valid_from",
        "valid_to",
        "heartbeat",
        "who",
    ];
    let lines: Vec<String> = places.iter().map(|place| format!("\n  {place}: ")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let sign = |manifest: &str, key: &str| {
        run("tenken-hospital", &["consent", "sign", "--key", key, manifest, "--out", &out])
    };
    refused(&sign(&manifest, &key), 20, &lines);
    refused(&sign(&files.path("none.toml"), &key), 1, &["cannot read", "none.toml"]);
    refused(&sign(&manifest, &files.path("keys/hospital.pub")), 1, &["hospital.pub"]);
    refused(&sign(&manifest, &files.path("no.key")), 1, &["cannot read", "no.key"]);
    assert!(!Path::new(&out).exists());

    // As the program itself writes it, it can be signed.
    stdout(&run("tenken-hospital", &["consent", "new", "--hospital", "minato", "--out", &manifest]));
    stdout(&sign(&manifest, &key));
    let shown =
        run("tenken-hospital", &["consent", "show", "--public", &files.path("keys/hospital.pub"), &out]);
    assert!(stdout(&shown).contains("minato"));
    // Altered after it was signed.
    let text = fs::read_to_string(&out).unwrap();
    let line = text.lines().nth(2).unwrap();
    let swapped: String = line.chars().rev().collect();
    fs::write(&out, text.replacen(line, &swapped, 1)).unwrap();
    let shown =
        run("tenken-hospital", &["consent", "show", "--public", &files.path("keys/hospital.pub"), &out]);
    refused(&shown, 1, &["consent.statement"]);
    refused(&run("tenken-hospital", &["keygen", "/proc/x"]), 1, &["cannot write /proc/x/hospital.key"]);
}

#[test]
fn quickstart_says_what_is_in_its_way() {
    let files = Files::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(
        &run("quickstart", &["--for", "1s", "--port", &port]),
        1,
        &[&format!("port {port} on 127.0.0.1 is in use"), "--port"],
    );
    assert!(said.starts_with("quickstart: "), "{said}");
    let free = free_port().to_string();
    let quickstart = |args: &[&str]| run("quickstart", &[&["--for", "1s", "--port", &free], args].concat());
    refused(&quickstart(&["--dir", "/proc/x"]), 1, &["cannot begin in /proc/x"]);
    let file = files.write("plain", "");
    refused(&quickstart(&["--dir", &file]), 1, &["plain"]);
    // Said before it runs for as long as it was asked to, not after.
    refused(&quickstart(&["--json", "/proc/x/summary.json"]), 1, &["cannot write /proc/x/summary.json"]);
    refused(&quickstart(&["--json", &files.path("no/folder.json")]), 1, &["cannot write", "folder.json"]);
    refused(&run("quickstart", &["--for", "soon"]), 10, &["soon", "--for"]);
    refused(&quickstart(&["--language", "fr"]), 10, &["fr", "--language"]);
    assert_eq!(files.names(), ["plain"]);
}

/// What goes wrong in the same way with every configuration file.
fn common(program: &str, files: &Files) {
    let check = |config: &str| run(program, &["--config", config, "check-config"]);
    refused(&check(&files.path("none.toml")), 1, &["cannot read", "none.toml"]);
    refused(&check(&files.path("")), 1, &["cannot read"]);
    refused(&check(&files.write("broken.toml", "[push\ninterval = 1")), 12, &["broken.toml", "line 1"]);
    refused(
        &check(&files.write("twice.toml", "language = \"ja\"\nlanguage = \"en\"\n")),
        12,
        &["twice.toml", "line 2"],
    );
    refused(&check(&files.write("latin.toml", b"# caf\xe9\n")), 2, &["latin.toml"]);
    refused(&run(program, &["--what"]), 10, &["--what"]);
    refused(&run(program, &["dance"]), 10, &["dance"]);
}
