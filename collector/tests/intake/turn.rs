//! Forecasts are asked in turn, of a history that is thin: what they said stands in between, and comes
//! out the same when it is derived again.

use crate::{
    fact::message,
    support::{Device, Rig, START, name},
};
use std::{ops::Range, sync::Arc, time::Duration};
use tenken_collector::{notify::Outlets, worker::evaluate::advance};
use tenken_collector_core::{
    desk::incident::Incident,
    evaluation::ForecastResult,
    predict::forecast::{HISTORY_POINTS, NEWEST_POINTS, Outcome},
    stream::Entry,
};
use tenken_common::{
    observation::{Body, Sample},
    time::Timestamp,
    unit::{Quantity, Unit},
};

const RULES: &str = include_str!("../../../packaging/rules/default.toml");
const HOURS: u64 = 110;
const GIB: f64 = 1_073_741_824.0;

/// What is free, which becomes less by a GiB an hour.
fn free(hour: u64) -> (u64, &'static str, Body) {
    let left = GIB * (160.0 - Duration::from_secs(hour).as_secs_f64());
    let quantities = vec![Quantity::new(name("available_bytes"), Unit::Bytes, left).unwrap()];
    (hour * 3_600, "/data", Body::Sample(Sample { probe: name("disk"), quantities }))
}

async fn forecasts(rig: &Rig) -> Vec<ForecastResult> {
    let rows = rig.store.forecasts().await.unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.json).unwrap()).collect()
}

/// Three ticks an hour, so that a turn comes every twenty hours, and a message after them; what was not
/// sent in the hours of `down` comes after them. What is told of the disk in the end, and whether its
/// forecast stood at every hour.
async fn run(down: Range<u64>) -> (Rig, Vec<(String, String)>, bool) {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    rig.store.file_statement(&rig.approval(&device)).await.unwrap();
    rig.store.append(vec![Entry::Rules { text: RULES.to_owned() }]).await.unwrap();
    let (mut waiting, mut stood) = (Vec::new(), true);
    for hour in 0..HOURS {
        for _ in 0..3 {
            rig.clock.advance(Duration::from_mins(20));
            rig.store.append(vec![Entry::Heartbeat]).await.unwrap();
        }
        advance(&rig.store, &Outlets::default(), &Arc::default()).await.unwrap();
        stood &= hour < 2 || forecasts(&rig).await.len() == 1;
        waiting.push(free(hour));
        if !down.contains(&hour) {
            let bytes = message(&mut device, std::mem::take(&mut waiting));
            rig.push(&device, &bytes).await;
        }
    }
    let rows = rig.store.incidents().await.unwrap();
    let incidents = rows.iter().map(|row| serde_json::from_str::<Incident>(&row.json).unwrap());
    let of_disk = incidents.filter(|incident| incident.subject.as_str() == "/data");
    let told = of_disk.map(|i| (i.rule.to_string(), i.subject.to_string())).collect();
    (rig, told, stood)
}

#[tokio::test]
async fn a_forecast_stands_until_the_next_turn_and_is_the_same_when_derived_again() {
    let (rig, told, stood) = run(0..0).await;
    assert!(stood);
    assert_eq!(told, [("disk-filling".to_owned(), "/data".to_owned())]);
    let before = rig.store.digest().await.unwrap();
    rig.store.reset_derived().await.unwrap();
    advance(&rig.store, &Outlets::default(), &Arc::default()).await.unwrap();
    assert_eq!(rig.store.digest().await.unwrap(), before);

    // Nine hours late, and with turns of its own, it foresees the same.
    let (late, late_told, _) = run(60..69).await;
    assert_eq!(late_told, told);
    let crossing = async |rig: &Rig| {
        let all = forecasts(rig).await;
        let [ForecastResult { outcome: Outcome::Crossing(crossing), .. }] = all.as_slice() else {
            panic!("{all:?}")
        };
        crossing.at.micros_since(START) / 3_600_000_000
    };
    let (at, late_at) = (crossing(&rig).await, crossing(&late).await);
    assert!(at.abs_diff(160) <= 2 && late_at.abs_diff(160) <= 2, "{at} {late_at}");
}

/// Of a device that told so many points, a minute apart: all of them, and those for a forecast.
async fn points(n: u64) -> (Vec<(Timestamp, f64)>, Vec<(Timestamp, f64)>) {
    let rig = Rig::new().await;
    let mut device: Device = rig.device(1).await;
    let seen: Vec<_> = (0..n).map(|minute| (minute * 60, "/data", free(minute % 100).2)).collect();
    for part in seen.chunks(200) {
        let bytes = message(&mut device, part.to_vec());
        rig.push(&device, &bytes).await;
    }
    rig.store.project_all().await.unwrap();
    let series = rig.store.series(device.id).await.unwrap();
    let id = series.iter().find(|row| row.name.as_str() == "available_bytes").unwrap().id;
    let span = Timestamp::EPOCH..Timestamp::MAX;
    let mut histories = rig.store.histories(device.id, &[(id, span.clone())].into()).await.unwrap();
    (rig.store.samples(id, span).await.unwrap(), histories.remove(&id).unwrap())
}

#[tokio::test]
async fn a_long_history_is_thin_but_for_its_newest_points_and_a_short_one_is_whole() {
    let (all, thin) = points(4_000).await;
    assert_eq!(all.len(), 4_000);
    assert!((HISTORY_POINTS - 200..=HISTORY_POINTS + NEWEST_POINTS).contains(&thin.len()), "{}", thin.len());
    assert_eq!(thin.first(), all.first());
    assert!(thin.ends_with(&all[all.len() - NEWEST_POINTS..]));
    assert!(thin.is_sorted_by(|a, b| a.0 < b.0) && thin.iter().all(|point| all.contains(point)));
    let (all, whole) = points(600).await;
    assert_eq!((whole.len(), &whole), (600, &all));
}
