//! A real Prometheus (Debian's package) that scrapes every second and takes remote write, and promtool
//! beside it.

use crate::{
    http::{self, percent_encoded},
    process::Process,
    wait::{free_port, wait_until},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

const START_BOUND: Duration = Duration::from_secs(30);

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct PromSample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// One sample as a store of time series keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSample {
    pub labels: BTreeMap<String, String>,
    pub at_ms: i64,
    pub value: f64,
}

#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts with its data in `dir`, and returns when it is ready. Each target is `host:port`,
    /// scraped at `/metrics` as job `tenken`; rules are evaluated every second too.
    pub fn start(dir: &Path, targets: &[String], rule_files: &[&Path]) -> Self {
        Self::start_at(free_port(), dir, targets, rule_files)
    }

    /// The same, at a port that somebody knows already.
    pub fn start_at(port: u16, dir: &Path, targets: &[String], rule_files: &[&Path]) -> Self {
        let config = dir.join("prometheus.yml");
        fs::write(&config, config_text(targets, rule_files)).expect("the test's folder is writable");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--log.level=warn");
        let mut process = Process::start(dir, "prometheus", &mut command);
        wait_until(START_BOUND, "prometheus to be ready", |state| {
            *state = process.stderr_text();
            assert!(process.is_running(), "prometheus ended:\n{state}");
            http::get(port, "/-/ready").ok().filter(|answer| answer.status == 200)
        });
        Self { port, process }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The instant vector that `promql` gives now.
    ///
    /// # Panics
    /// When Prometheus refuses the query, or its result is no instant vector.
    pub fn query(&self, promql: &str) -> Vec<PromSample> {
        let parsed: Reply<Element> = self.ask(promql);
        let sample = |element: Element| PromSample {
            labels: element.metric,
            value: element.value.1.parse().expect("Prometheus writes values as numbers"),
        };
        parsed.data.result.into_iter().map(sample).collect()
    }

    /// Every sample that it keeps of what `selector` names, of the last day.
    pub fn stored(&self, selector: &str) -> Vec<StoredSample> {
        let parsed: Reply<Row> = self.ask(&format!("{selector}[1d]"));
        let rows = parsed.data.result.into_iter();
        rows.flat_map(|row| {
            let of = move |(at, value): (f64, String)| StoredSample {
                labels: row.metric.clone(),
                #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
                at_ms: (at * 1_000.0).round() as i64,
                value: value.parse().expect("Prometheus writes values as numbers"),
            };
            row.values.into_iter().map(of)
        })
        .collect()
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, promql: &str) -> Reply<T> {
        let path = format!("/api/v1/query?query={}", percent_encoded(promql));
        let answer =
            http::get(self.port, &path).unwrap_or_else(|e| panic!("{e}: {}", self.process.stderr_text()));
        assert_eq!(answer.status, 200, "{promql}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{promql}: {e}: {}", answer.body))
    }
}

#[derive(serde::Deserialize)]
struct Reply<T> {
    data: Answered<T>,
}

#[derive(serde::Deserialize)]
struct Answered<T> {
    result: Vec<T>,
}

#[derive(serde::Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(serde::Deserialize)]
struct Element {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// JSON strings are YAML strings, so a path with any character is safe.
fn config_text(targets: &[String], rule_files: &[&Path]) -> String {
    let mut text = String::from(
        "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n\
         storage: { tsdb: { out_of_order_time_window: 7d } }\n",
    );
    let json = |list: Vec<String>| serde_json::to_string(&list).expect("strings are JSON");
    let rules = json(rule_files.iter().map(|path| path.display().to_string()).collect());
    let targets = json(targets.to_vec());
    write!(text, "rule_files: {rules}\nscrape_configs:\n- job_name: tenken\n  static_configs:\n  - targets: {targets}\n")
        .expect("a String takes everything");
    text
}

/// Runs `promtool` with `stdin`, for example `promtool(&["check", "metrics"], metrics_text)`.
pub fn promtool(args: &[&str], stdin: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("promtool does not start: {e}"));
    let mut input = child.stdin.take().expect("stdin is piped");
    let text = stdin.to_owned();
    // A thread of its own: promtool may answer before it has read everything.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("promtool ends");
    // It may close its input early; its status says what it thought.
    let _ = writer.join().expect("writing does not panic");
    output
}
