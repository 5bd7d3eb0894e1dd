//! What Prometheus sees of a serving collector, through its own scrapes and queries.

use crate::office::metrics;
use std::{fs, path::PathBuf, time::Duration};
use tenken_collector::metrics::family::Family;
use tenken_tests::{
    PromSample, Prometheus,
    bed::{Bed, BedPlan, ROUND_THE_CLOCK, stdout},
    http, promtool, wait_until,
};

const BOUND: Duration = Duration::from_secs(30);

fn packaged(name: &str) -> PathBuf {
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
    let rules = packaged("tenken.rules.yml");
    let target = format!("127.0.0.1:{}", bed.metrics_port);
    let prometheus = Prometheus::start(bed.dir(), &[target], &[&rules]);

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
    every_alert_asks_for_what_exists(&prometheus);
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

/// As Prometheus itself read the packaged rules.
fn every_alert_asks_for_what_exists(prometheus: &Prometheus) {
    let answer = http::get(prometheus.port(), "/api/v1/rules").unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let groups = parsed["data"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups.iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
    assert!(rules.len() >= 10, "{parsed}");
    for rule in rules {
        let expr = rule["query"].as_str().unwrap();
        // Panics where Prometheus refuses it.
        prometheus.query(expr);
        assert_ne!(rule["health"], "err", "{rule}");
        let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '"');
        for word in words.filter(|w| w.starts_with("tenken_")) {
            assert!(Family::ALL.iter().any(|f| f.as_str() == word), "{word} in {expr}");
        }
    }
}

#[test]
fn the_packaged_files_are_clean() {
    for (command, file) in
        [("config", "prometheus.yml"), ("rules", "tenken.rules.yml"), ("test", "tenken.rules.test.yml")]
    {
        let path = packaged(file).display().to_string();
        let args = if command == "test" { ["test", "rules", &path] } else { ["check", command, &path] };
        let output = promtool(&args, "");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
