//! Points in columns read as they were told: in any order, late, twice, ahead of the clock, and however
//! much of them is packed.

use crate::{
    fact::message,
    support::{Device, Rig, START, name, path},
};
use proptest::prelude::*;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_collector_core::{
    predict::{
        column::{history, history_start, thinned},
        forecast::{HISTORY_POINTS, NEWEST_POINTS},
        series::Point,
    },
    stream::Entry,
};
use tenken_common::{
    id::DeviceId,
    observation::{Body, Sample},
    time::{Clock, Timestamp},
    unit::{Quantity, Unit},
};

const NUMBERS: [&str; 3] = ["celsius", "used_ratio", "load1"];
/// So long before the steps begin the devices were enrolled.
const BEFORE: Duration = Duration::from_hours(24 * 100);

#[derive(Debug, Clone)]
enum Step {
    /// Of a device: numbers, how many minutes ago (or ahead), how much.
    Tell {
        device: usize,
        seen: Vec<(usize, i64, u32)>,
    },
    Wait {
        minutes: u64,
    },
    /// All but the last entries.
    Project {
        but: u64,
    },
    Rebuild,
    Look {
        ago: i64,
        minutes: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let ago = prop_oneof![8 => -3i64..90, 3 => 0i64..3_000, 2 => 0i64..120_000, 1 => -3_000i64..0];
    let seen = prop::collection::vec((0..NUMBERS.len(), ago, 0u32..50), 1..12);
    prop_oneof![
        12 => (0usize..2, seen).prop_map(|(device, seen)| Step::Tell { device, seen }),
        5 => (1u64..50).prop_map(|minutes| Step::Wait { minutes }),
        2 => (50u64..4_000).prop_map(|minutes| Step::Wait { minutes }),
        2 => (0u64..4).prop_map(|but| Step::Project { but }),
        1 => Just(Step::Rebuild),
        2 => (-100i64..130_000, 1i64..130_000).prop_map(|(ago, minutes)| Step::Look { ago, minutes }),
    ]
}

/// What was told, by device and number: the first of one time.
type Model = BTreeMap<(DeviceId, String), BTreeMap<Timestamp, f64>>;

fn ago(now: Timestamp, minutes: i64) -> Timestamp {
    now.plus_micros(-minutes * 60_000_000)
}

async fn tell(rig: &Rig, device: &mut Device, seen: Vec<(&'static str, Timestamp, f64)>) {
    let body = |number, value| {
        let quantities = vec![Quantity::new(name(number), Unit::Count, value).unwrap()];
        Body::Sample(Sample { probe: name("probe"), quantities })
    };
    let seen = seen
        .into_iter()
        .map(|(number, at, value)| (at.saturating_since(START).as_secs(), "device", body(number, value)));
    let bytes = message(device, seen.collect());
    rig.store.append(vec![Entry::Envelope { device: device.id, bytes }]).await.unwrap();
}

async fn look(rig: &Rig, devices: &[Device], model: &Model, (start, end): (Timestamp, Timestamp)) {
    let store = &rig.store;
    let of =
        |device: DeviceId, number: &str| model.get(&(device, number.to_owned())).cloned().unwrap_or_default();
    for device in devices.iter().map(|device| device.id) {
        let series = store.series(device).await.unwrap();
        assert_eq!(series.len(), model.keys().filter(|(of, _)| *of == device).count());
        let spans: BTreeMap<_, _> = series.iter().map(|row| (row.id, start..end)).collect();
        let points = store.points(device, &spans).await.unwrap();
        let histories = store.histories(device, &spans).await.unwrap();
        let latest: BTreeMap<i64, Point> =
            store.latest(device).await.unwrap().into_iter().map(|(row, point)| (row.id, point)).collect();
        for row in series {
            let told = of(device, row.name.as_str());
            let from =
                |start| told.range(start..end).map(|(at, value)| (*at, *value)).collect::<Vec<Point>>();
            let of_id = |points: &BTreeMap<i64, Vec<Point>>| points.get(&row.id).cloned().unwrap_or_default();
            assert_eq!(of_id(&points), from(start), "all of {}", row.name);
            assert_eq!(store.samples(row.id, start..end).await.unwrap(), from(start));
            let whole = from(history_start(start).min(end));
            let expected = history(&thinned(whole.clone()), &whole, HISTORY_POINTS, NEWEST_POINTS);
            assert_eq!(of_id(&histories), expected, "history of {}", row.name);
            assert_eq!(latest.get(&row.id).copied(), told.last_key_value().map(|(at, value)| (*at, *value)));
        }
    }
    let numbers: BTreeSet<_> = NUMBERS[1..].iter().map(|number| (name("probe"), name(number))).collect();
    for until in [start, end, Timestamp::MAX] {
        let newest = store.newest(&numbers, until).await.unwrap();
        let got = newest.into_iter().map(|(row, point)| ((row.device, row.name.to_string()), point));
        let mut expected: BTreeMap<(DeviceId, String), Point> = BTreeMap::new();
        for ((device, number), told) in model.iter().filter(|((_, number), _)| number != NUMBERS[0]) {
            let newest = told.range(..=until).next_back().map(|(at, value)| (*at, *value));
            expected.extend(newest.map(|point| ((*device, number.clone()), point)));
        }
        assert_eq!(got.collect::<BTreeMap<_, _>>(), expected, "the newest until {until:?}");
    }
}

async fn database(rig: &Rig) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path(&rig.dir));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// How many rows there are of each grain.
async fn pieces(rig: &Rig) -> (i64, i64) {
    let mut c = database(rig).await;
    let counted =
        sqlx::query_as("SELECT coalesce(sum(grain = 0), 0), coalesce(sum(grain = 1), 0) FROM packed");
    let counted = counted.fetch_one(&mut c).await.unwrap();
    c.close().await.unwrap();
    counted
}

async fn play(steps: Vec<Step>) {
    let rig = Rig::new().await;
    let mut devices = vec![rig.device(1).await, rig.device(2).await];
    rig.clock.advance(BEFORE);
    let mut model = Model::new();
    for step in steps.into_iter().chain([Step::Look { ago: 130_000, minutes: 140_000 }]) {
        let now = rig.clock.wall();
        match step {
            Step::Tell { device, seen } => {
                let device = &mut devices[device];
                let seen = seen.iter().map(|(number, minutes, value)| {
                    (NUMBERS[*number], ago(now, *minutes), f64::from(*value) / 4.0)
                });
                let seen: Vec<_> = seen.collect();
                for (number, at, value) in &seen {
                    let line = model.entry((device.id, (*number).to_owned())).or_default();
                    line.entry(*at).or_insert(*value);
                }
                tell(&rig, device, seen).await;
            }
            Step::Wait { minutes } => rig.clock.advance(Duration::from_mins(minutes)),
            Step::Project { but } => {
                let position = rig.store.position().await.unwrap();
                rig.store.project_until(position.saturating_sub(but)).await.unwrap();
            }
            Step::Rebuild => {
                rig.store.project_all().await.unwrap();
                let before = rig.store.digest().await.unwrap();
                rig.store.reset_derived().await.unwrap();
                assert_eq!(pieces(&rig).await, (0, 0));
                rig.store.project_all().await.unwrap();
                assert_eq!(rig.store.digest().await.unwrap(), before);
            }
            Step::Look { ago: before, minutes } => {
                rig.store.project_all().await.unwrap();
                let start = ago(now, before);
                look(&rig, &devices, &model, (start, ago(start, -minutes))).await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_is_read_is_what_was_told(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}

/// A minute's points from here on, so many; a message has ten of them.
async fn minutes(rig: &Rig, device: &mut Device, model: &mut Model, n: u64) {
    for tens in 0..n / 10 {
        let now = rig.clock.wall();
        let seen: Vec<_> = (0..10)
            .map(|i| (NUMBERS[1], ago(now, -i), f64::from(u32::try_from(tens % 50).unwrap())))
            .collect();
        let line = model.entry((device.id, NUMBERS[1].to_owned())).or_default();
        line.extend(seen.iter().map(|(_, at, value)| (*at, *value)));
        tell(rig, device, seen).await;
        rig.clock.advance(Duration::from_mins(10));
    }
}

#[tokio::test]
async fn days_are_packed_and_become_thin_when_they_are_over() {
    let rig = Rig::new().await;
    let mut devices = vec![rig.device(1).await, rig.device(2).await];
    let mut model = Model::new();
    minutes(&rig, &mut devices[0], &mut model, 31 * 1_440).await;
    rig.store.project_all().await.unwrap();
    let (whole, thin) = pieces(&rig).await;
    assert!((31..=32).contains(&whole) && (1..=2).contains(&thin), "{whole} {thin}");
    let all = (START, rig.clock.wall());
    look(&rig, &devices, &model, all).await;

    // A point from the third day, before all of its half hour, by a message of now; it is packed with the next.
    let late = START.plus(Duration::from_hours(70)).plus_micros(-60_000_000 * 7 + 1_000_000);
    model.get_mut(&(devices[0].id, NUMBERS[1].to_owned())).unwrap().insert(late, 7.5);
    tell(&rig, &mut devices[0], vec![(NUMBERS[1], late, 7.5)]).await;
    rig.store.project_all().await.unwrap();
    look(&rig, &devices, &model, all).await;
    rig.clock.advance(Duration::from_hours(1));
    minutes(&rig, &mut devices[0], &mut model, 10).await;
    rig.store.project_all().await.unwrap();
    assert_eq!(pieces(&rig).await.1, thin);
    look(&rig, &devices, &model, all).await;
    look(&rig, &devices, &model, (late, late.plus_micros(1))).await;
}

#[tokio::test]
async fn a_device_that_tells_much_is_packed_before_its_hour_is_over() {
    let rig = Rig::new().await;
    let mut devices = vec![rig.device(1).await];
    let mut model = Model::new();
    let now = rig.clock.wall();
    for i in 0..300_i64 {
        let (at, value) = (now.plus_micros(i * 1_000_000), f64::from(i32::try_from(i).unwrap()));
        model.entry((devices[0].id, NUMBERS[2].to_owned())).or_default().insert(at, value);
        tell(&rig, &mut devices[0], vec![(NUMBERS[2], at, value)]).await;
    }
    rig.store.project_all().await.unwrap();
    assert_eq!(pieces(&rig).await.0, 1);
    look(&rig, &devices, &model, (now, now.plus_micros(299_000_000))).await;
}

#[tokio::test]
async fn a_day_of_very_many_points_is_in_pieces_and_a_point_that_came_twice_is_still_one() {
    let rig = Rig::new().await;
    let mut device = rig.device(1).await;
    let now = rig.clock.wall();
    let names: Vec<_> = (0..64).map(|n| name(&format!("n{n}"))).collect();
    let mut moment = 0_u32;
    // 290,000 points in messages of 12,800; of the last ones each came at the very first, with another value.
    for part in 0..24_u32 {
        let seen = (0..200).map(|i| {
            let at = u64::from(if part == 23 { i } else { moment + i });
            let quantity = |name: &tenken_common::id::Name| {
                Quantity::new(name.clone(), Unit::Count, f64::from(part)).unwrap()
            };
            let quantities = names.iter().map(quantity).collect();
            (at, "device", Body::Sample(Sample { probe: name("probe"), quantities }))
        });
        let bytes = message(&mut device, seen.collect());
        rig.store.append(vec![Entry::Envelope { device: device.id, bytes }]).await.unwrap();
        rig.clock.advance(Duration::from_hours(1));
        moment += 200;
    }
    rig.store.project_all().await.unwrap();
    assert!(pieces(&rig).await.0 >= 2);
    let series = rig.store.series(device.id).await.unwrap();
    let points = rig.store.samples(series[9].id, now..now.plus(Duration::from_hours(24))).await.unwrap();
    assert_eq!(points.len(), 23 * 200);
    assert!(points.is_sorted_by(|a, b| a.0 < b.0) && points.iter().all(|(_, value)| *value < 23.0));
}

#[tokio::test]
async fn a_store_with_a_row_a_point_is_brought_into_columns() {
    let rig = Rig::new().await;
    let mut devices = vec![rig.device(1).await];
    let mut model = Model::new();
    minutes(&rig, &mut devices[0], &mut model, 1_500).await;
    rig.store.project_all().await.unwrap();
    let digest = rig.store.digest().await.unwrap();
    rig.store.close().await;
    let mut c = database(&rig).await;
    let before = "DROP TABLE fresh; DROP TABLE packed; DROP INDEX series_number;
        CREATE TABLE sample (series INTEGER NOT NULL, at_us INTEGER NOT NULL, value REAL NOT NULL,
                             PRIMARY KEY (series, at_us)) WITHOUT ROWID;
        INSERT INTO sample SELECT id, 7, 7.5 FROM series;
        DELETE FROM schema_version WHERE version > 7;";
    sqlx::raw_sql(before).execute(&mut c).await.unwrap();
    c.close().await.unwrap();
    let upgraded = rig.again().await;
    upgraded.store.project_all().await.unwrap();
    assert_eq!(upgraded.store.digest().await.unwrap(), digest);
    look(&upgraded, &devices, &model, (START, rig.clock.wall())).await;
}
