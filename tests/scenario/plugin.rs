//! What others make on a device: Debian's Nagios plugins and its node_exporter, as the agent sees them.

use crate::probe::probed;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, fs, net::TcpListener, process::Command, time::Duration};
use tenken_tests::{Process, free_port, http, wait_until};

const BOUND: Duration = Duration::from_secs(30);
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// One plugin and what it must come to: its state, and quantities that it must have.
struct Case {
    name: &'static str,
    command: String,
    state: u8,
    has: &'static [&'static str],
}

fn case(name: &'static str, command: &str, state: u8, has: &'static [&'static str]) -> Case {
    Case { name, command: format!("{PLUGINS}/{command}"), state, has }
}

fn other(name: &'static str, command: &str, state: u8, has: &'static [&'static str]) -> Case {
    Case { name, command: command.to_owned(), state, has }
}

/// Words are apart by blanks; the last one may hold some.
fn config(cases: &[Case]) -> String {
    cases.iter().fold(String::new(), |mut config, case| {
        let words: Vec<&str> = match case.command.split_once(" -c ") {
            Some(("sh", script)) => vec!["sh", "-c", script],
            _ => case.command.split(' ').collect(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            config,
            "[[probes.plugins]]\nname = '{}'\ncommand = {}\ntimeout = '3s'\n\
             metrics = ['load1', '/', 'procs', 'time', 'age', 'rta', 'pl', '/boot', '/home']",
            case.name,
            serde_json::to_string(&words).unwrap()
        );
        config
    })
}

/// Each subject's values by their names.
fn by_subject(shown: &Value) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut subjects: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for row in shown["values"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        subjects.entry(text("subject")).or_default().insert(text("name"), row["value"].as_f64().unwrap());
    }
    subjects
}

#[test]
fn real_plugins_come_to_their_states() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    fs::write(folder.path().join("file"), "a line\n").unwrap();
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (open, closed) = (silent.local_addr().unwrap().port(), free_port());
    let lines = "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\\n/ 15272 MB (77%);\\n\
        /boot 68 MB (69%); | /boot=68MB;88;93;0;98\\n/home=69357MB;253404;253409;0;253414\\n";
    let cases = [
        case("dummy-ok", "check_dummy 0", 0, &[]),
        case("dummy-warning", "check_dummy 1", 1, &[]),
        case("dummy-critical", "check_dummy 2 YAMADA^TARO", 2, &[]),
        case("dummy-unknown", "check_dummy 3", 3, &[]),
        case("negated", &format!("negate {PLUGINS}/check_dummy 2"), 0, &[]),
        case("load", "check_load -w 1000,1000,1000 -c 2000,2000,2000", 0, &["load1"]),
        case("load-critical", "check_load -w 0,0,0 -c 0,0,0", 2, &["load1"]),
        case("disk", "check_disk -u MB -w 1 -c 1 -p /", 0, &["/"]),
        case("disk-bytes", "check_disk -u bytes -w 1 -c 1 -p /", 0, &["/"]),
        case("disk-missing", "check_disk -w 1 -c 1 -p /no/such", 2, &[]),
        case("procs", "check_procs -w 1:100000", 0, &["procs"]),
        case("procs-none", "check_procs -C nobody-runs-this -c 1:", 2, &["procs"]),
        case("tcp", &format!("check_tcp -H 127.0.0.1 -p {open}"), 0, &["time"]),
        case("tcp-closed", &format!("check_tcp -H 127.0.0.1 -p {closed}"), 2, &[]),
        case("ssh-closed", &format!("check_ssh -p {closed} 127.0.0.1"), 2, &[]),
        case("ftp-closed", &format!("check_ftp -H 127.0.0.1 -p {closed}"), 2, &[]),
        case("http-closed", &format!("check_http -H 127.0.0.1 -p {closed}"), 2, &[]),
        case("clamd-closed", &format!("check_clamd -H 127.0.0.1 -p {closed}"), 2, &[]),
        case("time-closed", &format!("check_time -H 127.0.0.1 -p {closed}"), 3, &[]),
        case("age", &format!("check_file_age -f {at}/file"), 0, &["age"]),
        case("age-missing", &format!("check_file_age -f {at}/none"), 2, &[]),
        case("log", &format!("check_log -F {at}/file -O {at}/old -q ERROR"), 0, &[]),
        case("cluster", "check_cluster -s -d 0,0 -c 1", 0, &[]),
        case("wrong-arguments", "check_load", 3, &[]),
        case("hangs", &format!("check_tcp -H 127.0.0.1 -p {open} -e never -t 600"), 3, &["timed_out"]),
        case("not-there", "check_nothing", 3, &["missing"]),
        other("huge", "head -c 300000000 /dev/zero", 3, &["too_large"]),
        other("killed", "sh -c kill -9 $$", 3, &["signalled"]),
        other("no-state", "sh -c exit 77", 3, &["bad_status"]),
        other("lines", &format!("sh -c printf %b '{lines}'"), 0, &["/", "/boot", "/home"]),
    ];
    let shown = probed(&config(&cases), "plugins");
    assert!(shown["duration_ms"].as_f64().unwrap() < 60_000.0, "what hangs is not waited for: {shown}");
    assert_eq!(shown["state"], "ok", "{shown}");
    let subjects = by_subject(&shown);
    for case in &cases {
        let values = &subjects[case.name];
        assert!((values["state"] - f64::from(case.state)).abs() < 0.1, "{}: {values:?}", case.name);
        let found = case.has.iter().filter(|name| values.contains_key(**name)).count();
        assert_eq!(found, case.has.len(), "{}: {values:?}", case.name);
        // A plugin that gave no state gives no number either, but the reason.
        assert!(case.state != 3 || values.len() <= 2, "{}: {values:?}", case.name);
    }
    // The same plugin in two units says the same: its MB are those of 1,048,576 bytes.
    let [megabytes, bytes] = ["disk", "disk-bytes"].map(|name| subjects[name]["/"]);
    assert!((megabytes / bytes - 1.0).abs() < 0.02, "{megabytes} and {bytes}");
    assert!((subjects["lines"]["/home"] - 69_357.0 * 1_048_576.0).abs() < 1.0);
    assert!(!shown.to_string().contains("YAMADA"));
}

#[test]
fn a_node_exporter_is_scraped_as_a_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _exporter = Process::start(folder.path(), "node_exporter", &mut command);
    wait_until(BOUND, "node_exporter to answer", |_| http::get(port, "/metrics").ok());
    let config = format!(
        "[probes]\nnames = ['mode', 'idle', 'mountpoint', '/']\n[[probes.scrapes]]\nname = 'node'\n\
         url = 'http://127.0.0.1:{port}/metrics'\nmetrics = ['node_memory_MemTotal_bytes', \
         'node_cpu_seconds_total', 'node_boot_time_seconds']\n"
    );
    let values = by_subject(&probed(&config, "scrapes"))["node"].clone();
    assert!((values["state"] - 0.0).abs() < 0.1, "{values:?}");
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total_kb: f64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((values["node_memory_MemTotal_bytes"] - total_kb * 1_024.0).abs() < 1.0, "{values:?}");
    assert!(values["node_boot_time_seconds"] > 1.5e9);
    let idle = values.keys().filter(|name| name.starts_with("node_cpu_seconds_total:mode:idle:h:"));
    assert_eq!(idle.count(), std::thread::available_parallelism().unwrap().get(), "{values:?}");
    let others = values.keys().filter(|name| name.starts_with("node_cpu_seconds_total:h:"));
    assert!(others.count() > 3, "{values:?}");
    let gone = config.replace(&format!(":{port}/"), &format!(":{}/", free_port()));
    assert!(by_subject(&probed(&gone, "scrapes"))["node"].contains_key("unreachable"));
}
