//! Devices' numbers in real stores of time series: all that the collector has, once, with the times at
//! which devices saw them, whatever came late and whoever was killed.

use crate::{
    office::{metrics, metrics_line},
    outage::status_when,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tenken_collector::store::Store;
use tenken_common::{
    category::Category,
    time::{Clock, SystemClock, Timestamp},
    unit::Unit,
};
use tenken_tests::{
    Bed, BedPlan, HOSPITAL, Member, Prometheus, StoredSample, VictoriaMetrics, free_port, wait_until,
};

const BOUND: Duration = Duration::from_secs(60);
const READINGS: &str = "{__name__=~\"tenken_device_reading_.+\"}";
/// Of the device that was away, one a second; more than one batch takes.
const LATE: u32 = 1_500;
/// How long ago it saw the first.
const AGO: Duration = Duration::from_hours(5);

/// A store of time series under test.
trait Receiver {
    fn stored(&self) -> Vec<StoredSample>;
}

impl Receiver for Prometheus {
    fn stored(&self) -> Vec<StoredSample> {
        Self::stored(self, READINGS)
    }
}

impl Receiver for VictoriaMetrics {
    fn stored(&self) -> Vec<StoredSample> {
        Self::stored(self, READINGS)
    }
}

/// Labels and milliseconds.
type Key = (BTreeMap<String, String>, i64);

/// What the collector's store has, as a receiver names it.
fn expected(bed: &Bed) -> BTreeMap<Key, f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&bed.database(), Arc::new(SystemClock::new())).await.unwrap();
        store.project_all().await.unwrap();
        let mut all = BTreeMap::new();
        for device in store.devices().await.unwrap() {
            for series in store.series(device.id).await.unwrap() {
                let labels = BTreeMap::from([
                    ("__name__".to_owned(), format!("tenken_device_reading_{}", series.name)),
                    ("device".to_owned(), device.id.to_string()),
                    ("hospital".to_owned(), HOSPITAL.to_owned()),
                    ("probe".to_owned(), series.probe.to_string()),
                    ("subject".to_owned(), series.subject.to_string()),
                    ("unit".to_owned(), series.unit.as_str().to_owned()),
                ]);
                let span = Timestamp::MIN..Timestamp::MAX;
                for (at, value) in store.samples(series.id, span).await.unwrap() {
                    all.entry((labels.clone(), at.as_micros().div_euclid(1_000))).or_insert(value);
                }
            }
        }
        store.close().await;
        all
    })
}

/// The value of a metric without labels.
fn number(bed: &Bed, family: &str) -> Option<f64> {
    metrics_line(&metrics(bed), &format!("{family} ")).rsplit(' ').next().and_then(|n| n.parse().ok())
}

/// Values may be off by `precision` of themselves.
#[expect(clippy::print_stdout, reason = "the figures of the run")]
fn all_there_once_after_an_outage_and_a_kill(
    precision: f64,
    start: impl Fn(u16, &Path) -> Box<dyn Receiver>,
) {
    let port = free_port();
    let plan = BedPlan::default();
    // Small requests, so that there is a middle to be killed in.
    let remote_write = format!(
        "[remote_write]\nurl = 'http://127.0.0.1:{port}/api/v1/write'\nsamples_max = 5\nretry_first = '50ms'\nretry_max = '500ms'\n"
    );
    let bed = Bed::new(BedPlan { collector: plan.collector.clone() + &remote_write, ..plan });
    let mut collector = bed.start_collector();
    let home = bed.enroll("ct-1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut away = runtime.block_on(Member::of_bed(&bed, "ct-2"));
    let mut agent = bed.start_agent(&home);

    // The receiver comes after the first numbers.
    wait_until(BOUND, "numbers that wait", |_| number(&bed, "tenken_remote_write_oldest_timestamp_seconds"));
    let receiver = start(port, bed.dir());
    wait_until(BOUND, "numbers at the receiver", |_| (receiver.stored().len() >= 50).then_some(()));

    // The collector dies, and the agent goes on without it.
    collector.kill();
    status_when(&bed, &home, "a backlog", |status| {
        status.pointer("/spool/waiting").and_then(serde_json::Value::as_i64).is_some_and(|n| n >= 40)
    });
    let first = SystemClock::new().wall().minus(AGO);
    let points = (0..LATE).map(|n| (first.plus(Duration::from_secs(n.into())), f64::from(n) / 7.0));
    away.record_line((Category::Disk, "disk", "/data"), ("available_bytes", Unit::Bytes), points);

    // It comes back, all that is late arrives, and it is killed in the middle of handing that over.
    let mut collector = bed.start_collector();
    runtime.block_on(away.deliver()).unwrap();
    let handed_over = wait_until(BOUND, "the middle", |_| {
        number(&bed, "tenken_remote_write_samples_total").filter(|n| *n >= 200.0)
    });
    collector.kill();
    assert!(handed_over < f64::from(LATE), "{handed_over} were handed over before the kill");

    let mut collector = bed.start_collector();
    agent.terminate();
    assert!(agent.wait(BOUND).success());
    wait_until_handed_over(&bed);
    collector.terminate();
    assert!(collector.wait(BOUND).success());
    let (all, late) = compare(&expected(&bed), &*receiver, precision);
    assert!(late == LATE as usize && all > late, "{late} of {all} came late");
    println!("{late} late samples and {} others; killed after {handed_over}", all - late);
}

/// Everything that came stands before the position that the second tick from now finds.
fn wait_until_handed_over(bed: &Bed) {
    let position = || number(bed, "tenken_stream_position");
    let ended = (0..2).fold(0.0, |_, _| {
        let before = position();
        wait_until(BOUND, "a tick", |_| position().filter(|now| before != Some(*now)))
    });
    let text = wait_until(BOUND, "all to be handed over", |state| {
        *state = metrics(bed);
        let position = number(bed, "tenken_remote_write_position")?;
        let caught_up = number(bed, "tenken_remote_write_oldest_timestamp_seconds").is_none();
        (caught_up && position >= ended).then(|| state.clone())
    });
    let refused = metrics_line(&text, "tenken_remote_write_dropped_total{reason=\"refused\"}");
    assert!(refused.ends_with(" 0"), "{refused}");
}

/// All that is expected is there, once, with its time and value; answers how many there are, and how
/// many of them came late.
fn compare(expected: &BTreeMap<Key, f64>, receiver: &dyn Receiver, precision: f64) -> (usize, usize) {
    // VictoriaMetrics finds new series a few seconds after it took them.
    let stored = wait_until(BOUND, "all to be found", |state| {
        let stored = receiver.stored();
        *state = format!("{} of {}", stored.len(), expected.len());
        (stored.len() >= expected.len()).then_some(stored)
    });
    let keys: BTreeSet<Key> = stored.iter().map(|s| (s.labels.clone(), s.at_ms)).collect();
    assert_eq!(keys.len(), stored.len(), "some are there twice");
    let missing: Vec<_> = expected.keys().filter(|key| !keys.contains(*key)).take(3).collect();
    assert!(missing.is_empty(), "missing of {}: {missing:?}", expected.len());
    assert_eq!(stored.len(), expected.len());
    for sample in &stored {
        let value = expected[&(sample.labels.clone(), sample.at_ms)];
        assert!((sample.value - value).abs() <= value.abs() * precision, "{sample:?} is not {value}");
    }
    (stored.len(), stored.iter().filter(|sample| sample.labels["subject"] == "/data").count())
}

#[test]
fn prometheus_has_all_once_after_an_outage_and_a_kill() {
    all_there_once_after_an_outage_and_a_kill(0.0, |port, dir| {
        Box::new(Prometheus::start_at(port, dir, &[], &[]))
    });
}

#[test]
fn victoria_metrics_has_all_once_after_an_outage_and_a_kill() {
    // It keeps decimal digits, about twelve of them.
    all_there_once_after_an_outage_and_a_kill(1e-11, |port, dir| {
        Box::new(VictoriaMetrics::start_at(port, dir))
    });
}
