//! Devices' numbers at a receiver of remote write that takes, defers, refuses and is cut off.

use crate::support::{Device, Rig, START};
use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tenken_collector::{
    metrics::Metrics,
    remote_write::{RemoteWriteConfig, encode::NAME_PREFIX},
    worker::remote_write::RemoteWriter,
};
use tenken_common::time::Timestamp;

/// The public schema again, as a receiver has it.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Labels and milliseconds.
type Key = (Vec<(String, String)>, i64);

fn read(body: &[u8]) -> Vec<(Key, f64)> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = <WriteRequest as prost::Message>::decode(plain.as_slice()).unwrap();
    let of = |series: TimeSeries| {
        let labels: Vec<_> = series.labels.into_iter().map(|l| (l.name, l.value)).collect();
        series.samples.into_iter().map(move |point| ((labels.clone(), point.timestamp), point.value))
    };
    request.timeseries.into_iter().flat_map(of).collect()
}

type Judge = Box<dyn FnMut(&[(Key, f64)]) -> u16 + Send>;

/// What it took, request by request, and all that it was sent.
#[derive(Default)]
struct Taken {
    taken: Vec<Vec<(Key, f64)>>,
    bodies: Vec<Vec<u8>>,
}

impl Taken {
    fn all(&self) -> Vec<(Key, f64)> {
        self.taken.concat()
    }
}

/// A receiver whose answers `judge` decides: its URL, and what it took. 0 is no answer at all.
async fn receiver(judge: impl FnMut(&[(Key, f64)]) -> u16 + Send + 'static) -> (String, Arc<Mutex<Taken>>) {
    let taken = Arc::new(Mutex::new(Taken::default()));
    let (keep, judge) = (taken.clone(), Arc::new(Mutex::new(Box::new(judge) as Judge)));
    let write = move |headers: axum::http::HeaderMap, body: Bytes| async move {
        assert_eq!(headers["content-encoding"], "snappy");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
        assert_eq!(headers["x-scope-orgid"], "tenken");
        let samples = read(&body);
        let status = judge.lock().unwrap()(&samples);
        {
            let mut keep = keep.lock().unwrap();
            keep.bodies.push(body.to_vec());
            if status == 200 {
                keep.taken.push(samples);
            }
        }
        if status == 0 {
            std::future::pending::<()>().await;
        }
        (StatusCode::from_u16(status).unwrap(), [("retry-after", "0")], "as the test wants it")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/write", post(write));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, taken)
}

fn writer(rig: &Rig, url: &str, more: &str) -> (RemoteWriter, Metrics) {
    let text = format!(
        "url = '{url}'\nretry_first = '1ms'\nretry_max = '5ms'\n{more}\n[headers]\nX-Scope-OrgID = 'tenken'"
    );
    let config: RemoteWriteConfig = toml::from_str(&text).unwrap();
    let metrics = Metrics::new(START, 10);
    (RemoteWriter::new(rig.store.clone(), &config, metrics.remote_write(), 1).unwrap(), metrics)
}

fn counts(metrics: &Metrics, line: &str, n: u32) -> bool {
    let text = metrics.encode().unwrap();
    let is_there = text.lines().any(|l| l == format!("{line} {n}"));
    assert!(is_there, "{line} {n} in {text}");
    is_there
}

async fn rig_with(batches: usize) -> (Rig, Device) {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    push(&rig, &mut device, batches).await;
    (rig, device)
}

/// Six records each, two of three samples.
async fn push(rig: &Rig, device: &mut Device, batches: usize) {
    for _ in 0..batches {
        let batch = device.cut(6);
        rig.push(device, &batch).await;
    }
}

/// What the store has, as a receiver names it.
async fn stored(rig: &Rig) -> BTreeMap<Key, f64> {
    rig.store.project_all().await.unwrap();
    let mut all = BTreeMap::new();
    for device in rig.store.devices().await.unwrap() {
        for series in rig.store.series(device.id).await.unwrap() {
            let labels = [
                ("__name__", format!("{NAME_PREFIX}{}", series.name)),
                ("device", device.id.to_string()),
                ("hospital", device.hospital.as_str().to_owned()),
                ("probe", series.probe.to_string()),
                ("subject", series.subject.to_string()),
                ("unit", series.unit.as_str().to_owned()),
            ];
            let labels: Vec<_> = labels.map(|(name, value)| (name.to_owned(), value)).into();
            for (at, value) in rig.store.samples(series.id, Timestamp::MIN..Timestamp::MAX).await.unwrap() {
                all.insert((labels.clone(), at.as_micros().div_euclid(1_000)), value);
            }
        }
    }
    all
}

async fn all_there_once(rig: &Rig, taken: &Mutex<Taken>) {
    let got = taken.lock().unwrap().all();
    let expected = stored(rig).await;
    assert_eq!(got.len(), expected.len());
    assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

#[tokio::test]
async fn everything_goes_once_with_its_own_time_also_over_restarts_and_a_rebuild() {
    let (rig, mut device) = rig_with(3).await;
    let (url, taken) = receiver(|_| 200).await;
    let (mut first, metrics) = writer(&rig, &url, "samples_max = 5");
    first.catch_up().await.unwrap();
    all_there_once(&rig, &taken).await;
    assert_eq!(stored(&rig).await.len(), 12);
    counts(&metrics, "tenken_remote_write_samples_total", 12);
    assert!(!metrics.encode().unwrap().contains("tenken_remote_write_oldest_timestamp_seconds "));

    push(&rig, &mut device, 1).await;
    first.catch_up().await.unwrap();
    first.catch_up().await.unwrap();
    all_there_once(&rig, &taken).await;
    drop(first);
    let (mut second, metrics) = writer(&rig, &url, "");
    second.catch_up().await.unwrap();
    counts(&metrics, "tenken_remote_write_requests_total{result=\"taken\"}", 0);
    push(&rig, &mut device, 2).await;
    rig.store.reset_derived().await.unwrap();
    let (mut third, _metrics) = writer(&rig, &url, "");
    third.catch_up().await.unwrap();
    all_there_once(&rig, &taken).await;

    // Another receiver gets everything.
    let (url, taken) = receiver(|_| 200).await;
    writer(&rig, &url, "").0.catch_up().await.unwrap();
    all_there_once(&rig, &taken).await;
}

#[tokio::test]
async fn a_receiver_that_is_away_is_waited_for() {
    let (rig, _device) = rig_with(3).await;
    let mut answers = [503, 429, 500, 401, 404].into_iter();
    let (url, taken) = receiver(move |_| answers.next().unwrap_or(200)).await;
    let (mut writer, metrics) = writer(&rig, &url, "");
    writer.catch_up().await.unwrap();
    all_there_once(&rig, &taken).await;
    counts(&metrics, "tenken_remote_write_requests_total{result=\"deferred\"}", 5);
    counts(&metrics, "tenken_remote_write_dropped_total{reason=\"refused\"}", 0);
}

#[tokio::test]
async fn one_bad_sample_takes_no_good_one_with_it() {
    let (rig, _device) = rig_with(4).await;
    let bad = *stored(&rig).await.keys().map(|(_, at)| at).nth(6).unwrap();
    let (url, taken) =
        receiver(move |samples| if samples.iter().any(|((_, at), _)| *at == bad) { 400 } else { 200 }).await;
    let (mut writer, metrics) = writer(&rig, &url, "");
    writer.catch_up().await.unwrap();
    let mut expected = stored(&rig).await;
    expected.retain(|(_, at), _| *at != bad);
    let got = taken.lock().unwrap().all();
    assert_eq!(got.len(), 15);
    assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), expected);
    counts(&metrics, "tenken_remote_write_dropped_total{reason=\"refused\"}", 1);
    counts(&metrics, "tenken_remote_write_samples_total", 15);
    // It is not tried again for ever.
    let before = taken.lock().unwrap().bodies.len();
    writer.catch_up().await.unwrap();
    assert_eq!(taken.lock().unwrap().bodies.len(), before);
}

#[tokio::test]
async fn what_was_cut_off_before_the_position_moved_goes_again_the_same() {
    let (rig, mut device) = rig_with(2).await;
    // The first request arrives, and its answer never does.
    let mut silent = true;
    let (url, taken) = receiver(move |_| if std::mem::take(&mut silent) { 0 } else { 200 }).await;
    let (mut first, _metrics) = writer(&rig, &url, "samples_max = 4");
    let arrived = async {
        while taken.lock().unwrap().bodies.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = first.catch_up() => panic!("nobody answered"),
        () = arrived => {}
    }
    drop(first);
    push(&rig, &mut device, 1).await;
    let (mut second, _metrics) = writer(&rig, &url, "samples_max = 4");
    second.catch_up().await.unwrap();
    let bodies = taken.lock().unwrap().bodies.clone();
    assert_eq!(bodies[0], bodies[1], "the same samples, names and times");
    all_there_once(&rig, &taken).await;
}

#[tokio::test]
async fn a_hospital_that_is_left_out_and_what_is_too_old_stay_here_and_are_counted() {
    let (rig, _device) = rig_with(3).await;
    let (url, taken) = receiver(|_| 200).await;
    let (mut none, metrics) = writer(&rig, &url, "without = ['minato']");
    none.catch_up().await.unwrap();
    assert!(taken.lock().unwrap().bodies.is_empty());
    counts(&metrics, "tenken_remote_write_dropped_total{reason=\"opted_out\"}", 12);
    // The position moved all the same.
    writer(&rig, &url, "").0.catch_up().await.unwrap();
    assert!(taken.lock().unwrap().bodies.is_empty());

    let (url, taken) = receiver(|_| 200).await;
    // Records are of START, a minute later for each batch.
    rig.clock.advance(Duration::from_secs(3_600 + 61));
    let (mut late, metrics) = writer(&rig, &url, "age_max = '1h'");
    late.catch_up().await.unwrap();
    let got = taken.lock().unwrap().all().len();
    let old = 12 - u32::try_from(got).unwrap();
    assert!(got > 0 && old > 0, "{got}");
    counts(&metrics, "tenken_remote_write_dropped_total{reason=\"too_old\"}", old);
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_close_the_receiver_to_everybody_else() {
    let (rig, mut device) = rig_with(1).await;
    let mut batch = device.plain(3, &[]);
    for record in &mut batch.records {
        record.observation.at.wall = record.observation.at.wall.plus(Duration::from_hours(24 * 365));
    }
    let envelope = device.seal(batch);
    rig.push(&device, &envelope.to_bytes()).await;
    let (url, taken) = receiver(|_| 200).await;
    let (mut writer, metrics) = writer(&rig, &url, "");
    writer.catch_up().await.unwrap();
    assert_eq!(taken.lock().unwrap().all().len(), 4);
    counts(&metrics, "tenken_remote_write_dropped_total{reason=\"ahead\"}", 2);
}
