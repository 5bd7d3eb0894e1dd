//! A real VictoriaMetrics (Debian's package `victoria-metrics`) that takes remote write.
//!
//! Holds: it runs with `-dedup.minScrapeInterval=1ms`, without which it would count a sample that is
//! sent twice as two.

use crate::{
    http::{self, percent_encoded},
    process::Process,
    prometheus::StoredSample,
    wait::wait_until,
};
use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

const START_BOUND: Duration = Duration::from_secs(30);

/// See the module's head.
#[derive(Debug)]
pub struct VictoriaMetrics {
    port: u16,
    process: Process,
}

#[derive(serde::Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<f64>,
    timestamps: Vec<i64>,
}

impl VictoriaMetrics {
    /// Starts with its data in `dir`, and returns when it is ready.
    pub fn start_at(port: u16, dir: &Path) -> Self {
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", dir.join("victoria").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-dedup.minScrapeInterval=1ms", "-loggerLevel=WARN"]);
        let mut process = Process::start(dir, "victoria", &mut command);
        wait_until(START_BOUND, "victoria-metrics to be ready", |state| {
            *state = process.stderr_text();
            assert!(process.is_running(), "victoria-metrics ended:\n{state}");
            http::get(port, "/health").ok().filter(|answer| answer.status == 200)
        });
        Self { port, process }
    }

    /// Every sample that it keeps of what `selector` names.
    pub fn stored(&self, selector: &str) -> Vec<StoredSample> {
        self.get("/internal/force_flush");
        let text = self.get(&format!("/api/v1/export?match[]={}", percent_encoded(selector)));
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Line>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
        lines
            .flat_map(|line| {
                let labels = line.metric;
                let samples = line.timestamps.into_iter().zip(line.values);
                samples.map(move |(at_ms, value)| StoredSample { labels: labels.clone(), at_ms, value })
            })
            .collect()
    }

    fn get(&self, path: &str) -> String {
        let answer =
            http::get(self.port, path).unwrap_or_else(|e| panic!("{e}: {}", self.process.stderr_text()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}
