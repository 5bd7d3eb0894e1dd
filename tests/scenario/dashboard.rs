//! The Grafana dashboards, query by query, against a real Prometheus that scrapes a real collector and
//! takes its remote write.

use crate::{
    device_state::{patches, pattern},
    prometheus::{asks_for_what_exists, packaged},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, time::Duration};
use tenken_common::{
    category::Category,
    fact::PatchState,
    time::{Clock, SystemClock},
    unit::Unit,
};
use tenken_tests::{
    Bed, BedPlan, Member, Prometheus, WebhookReceiver,
    bed::ROUND_THE_CLOCK,
    free_port, grafana,
    http::{self, percent_encoded},
    wait_until,
};

/// What is told for the first time is forecast within a minute.
const BOUND: Duration = Duration::from_secs(120);
const GIB: f64 = 1_073_741_824.0;

/// A value for each variable of a dashboard.
type Choice = BTreeMap<String, String>;

fn parsed(port: u16, path: &str) -> Value {
    let answer = http::get(port, path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// With the values of a choice, and Grafana's own in the place of its.
fn substituted(query: &str, choice: &Choice) -> String {
    let mut query = query.replace("$__rate_interval", "1m");
    for (name, value) in choice {
        query = query.replace(&format!("${name}"), value);
    }
    assert!(!query.contains('$'), "an unknown variable in {query}");
    query
}

/// What Grafana offers for a variable.
fn offered(prometheus: &Prometheus, variable: &Value, choice: &Choice) -> Vec<String> {
    let query = substituted(&text(&variable["query"]["query"]), choice);
    asks_for_what_exists(prometheus, &query);
    let inner = |of: &str| query.strip_prefix(of).and_then(|rest| rest.strip_suffix(')')).map(str::to_owned);
    if let Some(inner) = inner("label_values(") {
        let (metric, label) = inner.rsplit_once(", ").unwrap();
        let path = format!("/api/v1/label/{label}/values?match[]={}", percent_encoded(metric));
        return parsed(prometheus.port(), &path)["data"].as_array().unwrap().iter().map(text).collect();
    }
    let expr = inner("query_result(").unwrap_or_else(|| panic!("{query} is of no kind that is known here"));
    let regex = text(&variable["regex"]);
    let regex = regex_lite::Regex::new(regex.trim_matches('/')).unwrap();
    let shown = prometheus.query(&expr).into_iter().map(|sample| {
        let labels: Vec<String> = sample.labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        format!("{{{}}} {} 0", labels.join(","), sample.value)
    });
    shown
        .filter_map(|shown| {
            let found = regex.captures(&shown)?;
            assert!(!found.name("text")?.as_str().is_empty());
            Some(found.name("value")?.as_str().to_owned())
        })
        .collect()
}

/// Every choice that a viewer has.
fn choices(prometheus: &Prometheus, dashboard: &Value) -> Vec<Choice> {
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let mut choices = vec![Choice::new()];
    for variable in variables.iter().filter(|v| v["type"] == "query") {
        let name = text(&variable["name"]);
        let more = |choice: &Choice| {
            let with = |value| choice.clone().into_iter().chain([(name.clone(), value)]).collect();
            offered(prometheus, variable, choice).into_iter().map(with).collect::<Vec<Choice>>()
        };
        choices = choices.iter().flat_map(more).collect();
        assert!(!choices.is_empty(), "variable {name} has no value");
    }
    choices
}

/// Whether any point of the answer is a number.
fn has_data(prometheus: &Prometheus, query: &str, is_range: bool) -> bool {
    let query = percent_encoded(query);
    let path = if is_range {
        let now = SystemClock::new().wall().as_secs();
        format!("/api/v1/query_range?query={query}&start={}&end={now}&step=1", now - 60)
    } else {
        format!("/api/v1/query?query={query}")
    };
    let answer = parsed(prometheus.port(), &path);
    let is_number = |point: &Value| point[1].as_str().is_some_and(|value| value != "NaN");
    answer["data"]["result"].as_array().unwrap().iter().any(|series| {
        let points = series["values"].as_array().cloned().unwrap_or_default();
        points.iter().chain(series.get("value")).any(is_number)
    })
}

/// What a dashboard asks for: where, the query, whether over a range.
fn asked(dashboard: &Value) -> Vec<(String, String, bool)> {
    let title = text(&dashboard["title"]);
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let place = format!("{title}: {}", text(&panel["title"]));
            asked.push((place, text(&target["expr"]), target["range"] == true));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        asked.push((format!("{title}: {}", text(&annotation["name"])), text(&annotation["expr"]), true));
    }
    asked
}

#[test]
fn every_query_of_every_dashboard_has_data() {
    let (port, hook, plan) = (free_port(), WebhookReceiver::start(), BedPlan::default());
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "a secret of both ends").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let outlets = format!(
        "[[notify.webhook]]\nname = 'chat'\nurl = '{}'\nsecret_file = '{}'\n\
         [remote_write]\nurl = 'http://127.0.0.1:{port}/api/v1/write'\nretry_max = '1s'\n",
        hook.url("/hook"),
        secret.display()
    );
    let dead = "[[probes.services]]\nname = 'pacs'\nprocess = 'nobody-runs-this'\n";
    let bed = Bed::new(BedPlan {
        collector: plan.collector.clone() + &outlets,
        agent: plan.agent.clone() + dead,
        hours: Some(ROUND_THE_CLOCK),
        ..plan
    });
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let _agent = bed.start_agent(&home);
    let target = format!("127.0.0.1:{}", bed.metrics_port);
    let (recording, alerts) = (packaged("recording.rules.yml"), packaged("alerts.rules.yml"));
    let prometheus = Prometheus::start_at(port, bed.dir(), &[target], &[&recording, &alerts]);

    // A device that tells of its upkeep, and of a disk that has been filling for three days.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut filling = runtime.block_on(Member::of_bed(&bed, "ct-2"));
    let now = SystemClock::new().wall();
    let ago = |minutes: u32| now.minus(Duration::from_secs(60 * u64::from(minutes)));
    let free = (0..=432_u32).rev().map(|step| (ago(10 * step), GIB * (20.0 + f64::from(step) / 30.0)));
    filling.record_line((Category::Disk, "disk", "/data"), ("available_bytes", Unit::Bytes), free);
    let days = |n: u64| now.minus(Duration::from_hours(24 * n));
    let seen =
        vec![("system", patches(PatchState::Known, Some(2), Some(days(3)))), ("clamav", pattern(days(1)))];
    filling.record_seen(Category::Inventory, seen);
    runtime.block_on(filling.deliver()).unwrap();

    // A sample of tomorrow is not handed on, which is counted and raises an alert.
    wait_until(BOUND, "the count to be scraped", |_| {
        prometheus.query("tenken_remote_write_dropped_total{reason=\"ahead\"} == 0").pop()
    });
    let tomorrow = now.plus(Duration::from_hours(24));
    filling.record_line((Category::Disk, "disk", "/ahead"), ("used_ratio", Unit::Ratio), [(tomorrow, 0.5)]);
    runtime.block_on(filling.deliver()).unwrap();

    let dashboards = grafana::shipped();
    let mut count = 0;
    for (_, dashboard) in &dashboards {
        wait_until(BOUND, "both devices", |_| {
            (prometheus.query("tenken_device_state{state=\"fresh\"} == 1").len() == 2).then_some(())
        });
        let choices = choices(&prometheus, dashboard);
        for (place, query, is_range) in asked(dashboard) {
            wait_until(BOUND, &place, |state| {
                state.clone_from(&query);
                let of = |choice: &Choice| has_data(&prometheus, &substituted(&query, choice), is_range);
                choices.iter().any(of).then_some(())
            });
            asks_for_what_exists(&prometheus, &substituted(&query, &choices[0]));
            count += 1;
        }
    }
    assert!(dashboards.len() == 3 && count > 60, "{count} queries");
    println!("{count} queries of {} dashboards have data", dashboards.len());
}
