//! What Prometheus sees of a serving collector, through its own scrapes and queries.

use crate::office::metrics;
use std::{fs, path::PathBuf, time::Duration};
use tenken_collector::{metrics::family::Family, remote_write::encode::NAME_PREFIX};
use tenken_tests::{
    PromSample, Prometheus,
    bed::{Bed, BedPlan, ROUND_THE_CLOCK, stdout},
    http, promtool, wait_until,
};

const BOUND: Duration = Duration::from_secs(30);

pub fn packaged(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging/prometheus")
        .join(name)
        .canonicalize()
        .unwrap()
}

#[test]
fn prometheus_sees_devices_agreements_and_incidents() {
    let plan = BedPlan::default();
    let dead = "[[probes.services]]\nname = 'pacs'\nprocess = 'nobody-runs-this'\n";
    let bed =
        Bed::new(BedPlan { agent: plan.agent + dead, hours: Some(ROUND_THE_CLOCK), ..BedPlan::default() });
    load_closed_contract(&bed);
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let _agent = bed.start_agent(&home);
    let (recording, alerts) = (packaged("recording.rules.yml"), packaged("alerts.rules.yml"));
    let target = format!("127.0.0.1:{}", bed.metrics_port);
    let prometheus = Prometheus::start(bed.dir(), &[target], &[&recording, &alerts]);

    let ct =
        |family: &str| format!("{family}{{device=\"{}\",hospital=\"minato\",name=\"ct-1\"}}", home.device);
    let sla = |family: &str| format!("{family}{{contract=\"minato-remote\",hospital=\"minato\"}}");
    for condition in [
        ct("tenken_device_state").replace('}', ",state=\"fresh\"}") + " == 1",
        ct("tenken_device_state").replace('}', ",state=\"silent\"}") + " == 0",
        format!("time() - {} < 30", ct("tenken_device_last_seen_timestamp_seconds")),
        format!("{} > 0", ct("tenken_device_records_stored_total")),
        "tenken_devices{hospital=\"minato\",state=\"fresh\"} == 1".to_owned(),
        sla("tenken_sla_uptime_ratio").replace('}', ",bound=\"value\"}") + " == 1",
        sla("tenken_sla_uptime_ratio").replace('}', ",bound=\"max\"}") + " == 1",
        format!("{} == 0.99", sla("tenken_sla_uptime_target_ratio")),
        format!("{} > 0 < 1", sla("tenken_sla_coverage_ratio")),
        // Nothing is known of the time before the collector was there.
        sla("tenken_sla_uptime_verdict").replace('}', ",verdict=\"unknown\"}") + " == 1",
        "tenken_incidents_open{hospital=\"minato\",rule=\"service-down\",severity=\"critical\"} == 1"
            .to_owned(),
        format!("{} == 1", sla("tenken_sla_responses_running")),
        "tenken_ingest_batches_total > 1".to_owned(),
        "tenken_ingest_records_total > 1".to_owned(),
        "rate(tenken_ingest_bytes_total[10s]) > 0".to_owned(),
        "tenken_commit_duration_seconds_count > 0".to_owned(),
        "tenken_ack_latency_seconds_count > 0".to_owned(),
        "tenken_stream_position > 0".to_owned(),
        "process_resident_memory_bytes > 0".to_owned(),
        "process_cpu_seconds_total > 0".to_owned(),
        "process_open_fds > 0".to_owned(),
    ] {
        holds(&prometheus, &condition);
    }
    a_closed_contract_has_no_value(&prometheus);
    every_rule_asks_for_what_exists(&prometheus);
    let checked = promtool(&["check", "metrics"], &metrics(&bed));
    let said = [checked.stdout.as_slice(), &checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// Same hospital, hours on one day only that is long past.
fn load_closed_contract(bed: &Bed) {
    let mut document: toml::Table = toml::from_str(&bed.contract("2026-04-01")).unwrap();
    document.insert("id".into(), "minato-closed".into());
    let hours = "[weekly]\n[extra_open]\n\"2026-04-05\" = ['09:00-17:00']\n";
    document.insert("service_hours".into(), toml::from_str::<toml::Table>(hours).unwrap().into());
    fs::write(bed.path("closed.toml"), toml::to_string(&document).unwrap()).unwrap();
    stdout(&bed.collector(&["contract", "load", &bed.path("closed.toml")]));
    bed.agree(&bed.path("closed.toml"));
}

fn holds(prometheus: &Prometheus, condition: &str) -> PromSample {
    wait_until(BOUND, condition, |state| {
        let bare = condition.split([' ']).next().unwrap_or_default();
        *state = if bare.contains('(') { String::new() } else { format!("{:?}", prometheus.query(bare)) };
        prometheus.query(condition).into_iter().next()
    })
}

fn a_closed_contract_has_no_value(prometheus: &Prometheus) {
    holds(prometheus, "tenken_sla_uptime_target_ratio{contract=\"minato-closed\"} == 0.99");
    assert_eq!(prometheus.query("tenken_sla_uptime_ratio{contract=\"minato-closed\"}"), []);
    assert_eq!(prometheus.query("tenken_sla_coverage_ratio{contract=\"minato-closed\"}"), []);
    holds(prometheus, "tenken_sla_uptime_verdict{contract=\"minato-closed\",verdict=\"unknown\"} == 1");
}

/// What a rule is called and what it asks for, as Prometheus itself read it.
struct Rule {
    name: String,
    query: String,
    is_alert: bool,
}

fn rules(prometheus: &Prometheus) -> Vec<Rule> {
    let answer = http::get(prometheus.port(), "/api/v1/rules").unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let groups = parsed["data"]["groups"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let of = |rule: &serde_json::Value| {
        assert_ne!(rule["health"], "err", "{rule}");
        Rule { name: text(&rule["name"]), query: text(&rule["query"]), is_alert: rule["type"] == "alerting" }
    };
    groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).map(of).collect()
}

/// Panics where a query names something that is neither a metric of the collector nor recorded.
pub fn asks_for_what_exists(prometheus: &Prometheus, query: &str) {
    let recorded = rules(prometheus).into_iter().filter(|rule| !rule.is_alert);
    let recorded: Vec<String> = recorded.map(|rule| rule.name).collect();
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '"' && c != ':');
    for word in words {
        let of_histogram = word.strip_suffix("_bucket").unwrap_or(word);
        let exists = if word.contains(':') {
            recorded.iter().any(|name| name == word)
        } else if word.starts_with("tenken_") && !word.starts_with(NAME_PREFIX) {
            Family::ALL.iter().any(|f| f.as_str() == of_histogram)
        } else {
            true
        };
        assert!(exists, "{word} in {query}");
    }
}

fn every_rule_asks_for_what_exists(prometheus: &Prometheus) {
    let rules = rules(prometheus);
    let alerts = rules.iter().filter(|rule| rule.is_alert).count();
    assert!(alerts >= 25 && rules.len() - alerts >= 10, "{alerts} of {}", rules.len());
    for rule in rules {
        // Panics where Prometheus refuses it.
        prometheus.query(&rule.query);
        asks_for_what_exists(prometheus, &rule.query);
        if rule.is_alert {
            has_cases_for_and_against(&rule.name);
        } else {
            assert!(rule.name.split(':').count() == 3, "{} is no level:metric:operations", rule.name);
        }
    }
}

/// In the tests that promtool runs.
fn has_cases_for_and_against(alert: &str) {
    let texts = ["alerts.rules.test.yml", "alerts.days.rules.test.yml"]
        .map(|file| fs::read_to_string(packaged(file)).unwrap());
    let texts = texts.concat();
    let blocks = texts.split("  - name: ").filter(|block| block.lines().next() == Some(alert));
    let block = blocks.collect::<String>();
    let expected: Vec<&str> = block.lines().filter(|line| line.trim().starts_with("exp_samples: ")).collect();
    let none = expected.iter().filter(|line| line.ends_with(" []")).count();
    assert!(
        none > 0 && expected.len() > none,
        "{alert} has {} cases, {none} of them against",
        expected.len()
    );
}

#[test]
fn the_packaged_files_are_clean() {
    let runs = [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "recording.rules.yml"],
        ["check", "rules", "alerts.rules.yml"],
        ["test", "rules", "recording.rules.test.yml"],
        ["test", "rules", "alerts.rules.test.yml"],
        ["test", "rules", "alerts.days.rules.test.yml"],
    ];
    for [command, what, file] in runs {
        let output = promtool(&[command, what, &packaged(file).display().to_string()], "");
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(output.status.success(), "{command} {file}: {}", String::from_utf8_lossy(&said));
    }
}
