//! Tests of the metrics as Prometheus reads them.

use super::*;
use crate::overview::Upkeep;
use http_body_util::BodyExt;
use tenken_collector_core::{
    desk::notice::Severity,
    intake::device_state::Liveness,
    sla::{
        contract::Grade,
        indicator::{Estimate, Indicator, IndicatorName, Verdict as IndicatorVerdict},
        span::Span,
    },
};
use tenken_common::{id::DeviceId, unit::Unit};

fn at(s: i64) -> Timestamp {
    Timestamp::from_secs(s)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn device(n: u8, condition: Liveness) -> DeviceFacts {
    DeviceFacts {
        hospital: "minato".parse().unwrap(),
        device: DeviceId([n; 16]),
        name: name(&format!("CT-{n}")),
        condition,
        last_seen: Some(at(1_795_000_000)),
        records_stored: 7,
        gaps: 1,
        clock_offset_seconds: Some(-0.25),
        upkeep: Upkeep {
            patches_pending: Some(12),
            security_pending: None,
            pattern_file_age_seconds: Some(3_600.0),
        },
    }
}

fn forecast(n: u8) -> ForecastFacts {
    ForecastFacts {
        device: DeviceId([n; 16]),
        subject: name("/var"),
        quantity: name("available_bytes"),
        left_seconds: Some(9.5 * 86_400.0),
        left_low_seconds: Some(7.0 * 86_400.0),
        left_high_seconds: None,
    }
}

/// The same mount, another limit.
fn inodes(n: u8) -> ForecastFacts {
    ForecastFacts { quantity: name("inodes_used"), left_seconds: Some(86_400.0), ..forecast(n) }
}

fn indicator(
    name: IndicatorName,
    [value, min, max]: [Option<f64>; 3],
    verdict: IndicatorVerdict,
) -> Indicator {
    let estimate = Estimate { value, min, max, reason_for_null: None };
    Indicator { name, estimate, target: Some(1.0), verdict, coverage: value, unit: Unit::Ratio }
}

fn snapshot() -> Snapshot {
    Snapshot {
        devices: vec![device(1, Liveness::Fresh), device(2, Liveness::Silent)],
        incidents: vec![IncidentCount {
            hospital: "minato".parse().unwrap(),
            severity: Severity::Critical,
            rule: name("disk_full_soon"),
            open: 2,
        }],
        forecasts: vec![forecast(1), inodes(1), forecast(2)],
        silences: 2,
        collector_lost_batches: 3,
        contracts: vec![ContractFacts {
            hospital: "minato".parse().unwrap(),
            contract: "minato-2026".parse().unwrap(),
            uptime: None,
            uptime_min: Some(0.997),
            uptime_max: Some(f64::NAN),
            target: Some(0.995),
            coverage: Some(0.98),
            verdict: Verdict::Unknown,
            response: None,
            responses_running: 1,
            responses_breached: 0,
            indicators: vec![
                indicator(
                    IndicatorName::CurrencyProvider,
                    [None, Some(0.5), Some(1.0)],
                    IndicatorVerdict::Unknown,
                ),
                indicator(IndicatorName::Checklist, [Some(0.5); 3], IndicatorVerdict::Missed),
                indicator(IndicatorName::Response, [None; 3], IndicatorVerdict::NotApplicable),
            ],
            misses: Some(vec![
                MissCount { item: IndicatorName::CurrencyProvider, certain: 0, open: 1 },
                MissCount { item: IndicatorName::Checklist, certain: 1, open: 0 },
            ]),
            year: Some(YearFacts {
                misses: Some(3),
                misses_min: Some(3),
                misses_max: Some(7),
                grade: Some(Grade::C),
                best: Some(Grade::C),
                worst: Some(Grade::D),
            }),
            grounds: Some([("no_improvement", 1)].into()),
            planned_stop: PlannedStop {
                span: Some(Span::new(at(1_795_000_000), at(1_795_007_200))),
                goes_on: true,
            },
        }],
    }
}

fn filled() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new(at(1_794_000_000), DEVICE_SERIES_DEFAULT));
    metrics.batch_accepted(60, 4_096);
    metrics.duplicate();
    metrics.refused(RejectReason::Fork);
    metrics.group_committed(Duration::from_millis(4));
    metrics.acknowledged(Duration::from_millis(30));
    metrics.set_stream_position(12);
    metrics.set_outbox(3, Some(at(1_794_999_000)));
    metrics.evaluated(Duration::from_millis(80), at(1_795_000_010));
    metrics.attempted(&name("desk"), DeliveryResult::Delivered);
    let remote_write = metrics.remote_write();
    remote_write.sent(2_000);
    remote_write.dropped(remote_write::Dropped::Refused, 1);
    remote_write.requested(remote_write::RequestResult::Taken);
    remote_write.set_position(11);
    remote_write.set_oldest(Some(at(1_794_999_500)));
    let listener = metrics.listener("devices");
    listener.connected();
    listener.connected();
    listener.closed();
    listener.over_limit();
    listener.turned_out();
    listener.handshake_refused(HandshakeRefusal::UnknownCa);
    metrics.update(&snapshot());
    metrics
}

/// Without what differs from run to run and from version to version.
fn stable(text: &str) -> String {
    text.lines()
        .filter(|l| !l.contains("process_"))
        .fold(String::new(), |all, l| all + l + "\n")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// `promtool check metrics < golden.txt` is clean; the file changes with the program on purpose
/// only: `TENKEN_BLESS=1 cargo test -p tenken-collector metrics`.
#[test]
fn the_rendering_is_the_committed_one() {
    let text = stable(&filled().encode().unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metrics/golden.txt");
    if std::env::var_os("TENKEN_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(text == golden, "the metrics differ from golden.txt:\n{text}");
}

#[test]
fn a_silent_device_keeps_state_and_last_seen_only() {
    let text = filled().encode().unwrap();
    let of = |n: u8| DeviceId([n; 16]).to_string();
    let lines = |family: &str, n: u8| {
        text.lines().filter(|l| l.starts_with(&format!("{family}{{")) && l.contains(&of(n))).count()
    };
    for (family, count) in
        [("tenken_device_clock_offset_seconds", 1), ("tenken_forecast_time_left_seconds", 2)]
    {
        assert_eq!((lines(family, 1), lines(family, 2)), (count, 0), "{family}");
    }
    assert_eq!(lines("tenken_device_last_seen_timestamp_seconds", 2), 1);
    assert_eq!(lines("tenken_device_state", 2), 4);
    let silent = text.lines().find(|l| l.contains(&of(2)) && l.contains("state=\"silent\"")).unwrap();
    assert!(silent.ends_with(" 1"), "{silent}");
}

#[test]
fn what_is_unknown_is_absent() {
    let text = filled().encode().unwrap();
    assert!(!text.contains("NaN"));
    let uptime = |bound: &str| text.contains(&format!("tenken_sla_uptime_ratio{{bound=\"{bound}\""));
    assert!(uptime("min") && !uptime("value") && !uptime("max"));
    assert!(
        !text.contains("tenken_sla_response_ratio{")
            && !text.contains("tenken_forecast_time_left_high_seconds{")
    );
}

#[test]
fn what_was_never_judged_has_no_series_and_what_has_no_rule_no_grade() {
    let mut contract = snapshot().contracts.remove(0);
    contract.indicators.clear();
    (contract.misses, contract.grounds) = (None, None);
    contract.planned_stop = PlannedStop::default();
    let none =
        YearFacts { misses: None, misses_min: None, misses_max: None, grade: None, best: None, worst: None };
    contract.year = Some(none);
    let metrics = filled();
    metrics.update(&Snapshot { contracts: vec![contract], ..Snapshot::default() });
    let text = metrics.encode().unwrap();
    for absent in [
        "tenken_sla_indicator_",
        "tenken_sla_misses",
        "tenken_sla_year_misses",
        "tenken_sla_termination_grounds",
        "tenken_planned_stop_start",
    ] {
        assert!(!text.contains(absent), "{absent} is there");
    }
    let grade = |line: &str| line.starts_with("tenken_sla_year_grade{") && line.ends_with(" 1");
    let shown: Vec<&str> = text.lines().filter(|l| grade(l)).collect();
    assert!(shown.len() == 3 && shown.iter().all(|line| line.contains("grade=\"none\"")), "{shown:?}");
    assert!(text.contains("tenken_planned_stop{contract=\"minato-2026\",hospital=\"minato\"} 0\n"));
}

#[test]
fn a_snapshot_leaves_nothing_of_the_one_before() {
    let metrics = filled();
    metrics.update(&Snapshot { devices: vec![device(3, Liveness::Stale)], ..Snapshot::default() });
    metrics.set_outbox(0, None);
    let text = metrics.encode().unwrap();
    for gone in ["CT-1", "CT-2", "disk_full_soon", "minato-2026", "tenken_outbox_oldest_timestamp_seconds "] {
        assert!(!text.contains(gone), "{gone} is still there");
    }
    assert!(text.contains("CT-3"));
}

#[test]
fn per_device_series_are_bounded_and_the_rest_is_counted() {
    let metrics = Metrics::new(at(0), 2);
    let devices = (1..=5).map(|n| device(n, Liveness::Fresh)).collect();
    metrics.update(&Snapshot { devices, forecasts: vec![forecast(5)], ..Snapshot::default() });
    let text = metrics.encode().unwrap();
    assert!(text.contains("tenken_device_series_left_out 3\n"));
    assert!(text.contains("tenken_devices{hospital=\"minato\",state=\"fresh\"} 5\n"));
    let shown = text.lines().filter(|l| l.starts_with("tenken_device_records_stored_total{")).count();
    assert_eq!((shown, text.contains("CT-5")), (2, false));
}

#[tokio::test]
async fn both_routes_answer_over_http() {
    let metrics = filled();
    let (status, text) = call(&metrics, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("# TYPE tenken_ingest_batches_total counter\ntenken_ingest_batches_total 1\n"));
    assert!(text.contains("process_cpu_seconds_total"));

    assert_eq!(call(&metrics, "/healthz").await, (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()));
    metrics.set_health(Ok(()));
    assert_eq!(call(&metrics, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
}

async fn call(metrics: &Arc<Metrics>, path: &str) -> (StatusCode, String) {
    use hyper::service::Service;
    let service = hyper_util::service::TowerToHyperService::new(metrics.router());
    let request = axum::extract::Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
    let response = service.call(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
