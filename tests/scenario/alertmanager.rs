//! Incidents in a real Alertmanager: one alert while it lasts, resolved at its end, nothing lost while
//! it is away.

use crate::office::{BOUND, metrics};
use std::{fs, process::Command};
use tenken_common::time::Timestamp;
use tenken_tests::{
    Alertmanager, Process,
    bed::{Bed, BedPlan, ROUND_THE_CLOCK, stdout},
    free_port, wait_until,
};

const RULES: &str = include_str!("../../packaging/rules/default.toml");

/// The process that the device watches, by this name.
fn service(bed: &Bed, name: &str) -> Process {
    let program = bed.dir().join(name);
    if !program.exists() {
        fs::copy("/usr/bin/tail", &program).unwrap();
    }
    Process::start(bed.dir(), "service", Command::new(program).args(["-f", "/dev/null"]))
}

#[test]
fn an_incident_is_an_alert_from_its_beginning_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, RULES.replace("resolve_hold = \"5m\"", "resolve_hold = \"1s\"")).unwrap();
    let name = format!("am{port}");
    let collector = format!(
        "[evaluate]\ninterval = '1s'\nrules = '{}'\n[[notify.alertmanager]]\nname = 'am'\n\
         url = 'http://127.0.0.1:{port}/'\nlanguage = 'en'\nrepeat = '1s'\n",
        rules.display()
    );
    let plan = BedPlan::default();
    let watched = format!("[[probes.services]]\nname = 'pacs'\nprocess = '{name}'\n");
    let plan = BedPlan { collector, agent: plan.agent + &watched, hours: Some(ROUND_THE_CLOCK), ..plan };
    let bed = Bed::new(plan);
    let _collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let _agent = bed.start_agent(&home);
    // Nobody runs the service, and the Alertmanager is away: it is tried again.
    wait_until(BOUND, "an attempt that failed", |state| {
        *state = metrics(&bed);
        state.contains("tenken_notice_attempts_total{outlet=\"am\",result=\"deferred\"}").then_some(())
    });
    let alertmanager = Alertmanager::start_at(dir.path(), port);
    let alert = wait_until(BOUND, "the alert", |state| {
        let alerts = alertmanager.alerts();
        *state = format!("{alerts:?}");
        (alerts.len() == 1).then(|| alerts.into_iter().next()).flatten()
    });
    let listed = bed.listing(&["incident", "list"]);
    let number = format!("INC-{}", listed[0]["id"]);
    for (label, value) in [
        ("alertname", "service-down"),
        ("severity", "critical"),
        ("hospital", "minato"),
        ("device", "ct-1"),
        ("device_id", &home.device),
        ("subject", "pacs"),
        ("incident", &number),
    ] {
        assert_eq!(alert["labels"][label], value, "{alert}");
    }
    assert_eq!(alert["status"]["state"], "active", "{alert}");
    let time = |text: &serde_json::Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    let late = time(&alert["startsAt"]).micros_since(time(&listed[0]["first_seen"]));
    // It keeps milliseconds.
    assert!(late.abs() < 1_000, "{alert} {listed}");
    assert!(alert["annotations"]["summary"].as_str().unwrap().contains("service pacs"), "{alert}");

    // One that was started anew has forgotten it, and is told again.
    drop(alertmanager);
    let alertmanager = Alertmanager::start_at(dir.path(), port);
    wait_until(BOUND, "the alert again", |state| {
        let alerts = alertmanager.alerts();
        *state = format!("{alerts:?}");
        alerts.iter().any(|a| a["labels"] == alert["labels"]).then_some(())
    });

    let _back = service(&bed, &name);
    wait_until(BOUND, "the alert to be resolved", |state| {
        let alerts = alertmanager.alerts();
        *state = format!("{alerts:?}");
        alerts.is_empty().then_some(())
    });
    let shown = stdout(&bed.collector(&["incident", "show", &number, "--language", "en"]));
    for part in ["tell: it is new", "tell: it recovered", "am: delivered"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}
