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
const MERGE_BOUND: Duration = Duration::from_secs(120);

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
            .args(["-dedup.minScrapeInterval=1ms", "-loggerLevel=WARN", "-retentionPeriod=100y"]);
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

    /// Takes samples in its own form, a line a series.
    pub fn import(&self, lines: &str) {
        let answer = http::post(self.port, "/api/v1/import", lines).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    /// What so many samples take of its disk, once they are all there and merged.
    pub fn settled_bytes(&self, samples: u64) -> u64 {
        self.get("/internal/force_flush");
        self.get("/internal/force_merge");
        wait_until(MERGE_BOUND, "victoria-metrics to have merged", |state| {
            let text = self.get("/metrics");
            let sum = |name: &str| -> u64 {
                let of = text.lines().filter(|line| line.starts_with(name) && line.contains("\"storage/"));
                of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
            };
            let (rows, parts, bytes) = (sum("vm_rows{"), sum("vm_parts{"), sum("vm_data_size_bytes{"));
            *state = format!("{rows} rows in {parts} parts, {bytes} bytes");
            (rows == samples && parts == 1).then_some(bytes)
        })
    }

    fn get(&self, path: &str) -> String {
        let answer =
            http::get(self.port, path).unwrap_or_else(|e| panic!("{e}: {}", self.process.stderr_text()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}
