//! A backlog gives what an undisturbed run gives; a clock that is wrong spoils nothing.

use super::*;
use proptest::prelude::*;
use tenken_common::{
    batch::Batch,
    category::Category,
    id::{BootId, Epoch, Hash, RecId, Seq},
    observation::{Class, Record, Sample},
    time::{ClockQuality, Moment, Monotonic},
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + minute * 60)
}

fn watched() -> BTreeSet<Watched> {
    [("cpu", Some("load1")), ("sensors", None)]
        .map(|(probe, quantity)| Watched { probe: name(probe), quantity: quantity.map(name) })
        .into()
}

/// What a device measured: minute, probe, quantity, value.
type Measured = (i64, &'static str, &'static str, f64);

fn batch(measured: &[Measured]) -> Batch {
    let boot = BootId([1; 16]);
    let moment = |minute| Moment { boot, mono: Monotonic(0), wall: at(minute) };
    let record = |(i, (minute, probe, quantity, value)): (usize, &Measured)| {
        let quantities = vec![Quantity::new(name(quantity), Unit::Ratio, *value).unwrap()];
        let body = Body::Sample(Sample { probe: name(probe), quantities });
        let category = Category::Performance;
        let observation = Observation { at: moment(*minute), category, subject: name("device"), body };
        Record { id: RecId(u64::try_from(i).unwrap()), observation }
    };
    Batch {
        device: DeviceId([1; 16]),
        epoch: Epoch(1),
        seq: Seq(1),
        prev: Hash([0; 32]),
        at: moment(0),
        clock: ClockQuality::UNKNOWN,
        agent_version: "0.1.0".into(),
        class: Class::Ordinary,
        records: measured.iter().enumerate().map(record).collect(),
        gaps: vec![],
    }
}

/// Something between 0 and 2 that repeats late.
fn value(minute: i64) -> f64 {
    let scattered = u32::try_from(minute * 7_919 % 1_009).unwrap();
    f64::from(scattered) / 504.5
}

/// Four days, with a jump on the last one in two series.
fn days() -> Vec<Measured> {
    let jumped = |minute| if (5_000..5_030).contains(&minute) { 90.0 } else { 0.0 };
    (0..5_760)
        .flat_map(|minute| {
            let v = value(minute) + jumped(minute);
            [
                (minute, "cpu", "load1", v),
                (minute, "sensors", "celsius", 40.0 + v),
                (minute, "cpu", "load5", v),
            ]
        })
        .collect()
}

/// Everything in messages of so many minutes, each committed when its last minute is over.
fn run(minutes: usize) -> (Vec<Anomaly>, Watch) {
    let (mut watch, mut found) = (Watch::default(), Vec::new());
    for part in days().chunks(3 * minutes) {
        let committed = at(part.last().unwrap().0);
        found.extend(watch.take(&watched(), &batch(part), committed));
    }
    (found, watch)
}

#[test]
fn nine_hours_at_once_give_the_same_anomalies_and_states() {
    let (minutely, mut one) = run(1);
    let (late, mut other) = run(540);
    let told: Vec<&str> = minutely.iter().map(|a| a.key.probe.as_str()).collect();
    assert!(told.contains(&"cpu") && told.contains(&"sensors"), "{minutely:#?}");
    let as_if = |found: &[Anomaly]| -> Vec<Anomaly> {
        let mut found: Vec<Anomaly> =
            found.iter().map(|a| Anomaly { committed: a.at, ..a.clone() }).collect();
        found.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        found
    };
    assert_eq!(as_if(&minutely), as_if(&late));
    assert!(minutely.iter().all(|a| a.committed == a.at) && late.iter().all(|a| a.committed > a.at));
    assert_eq!(one.states(|_| true, true), other.states(|_| true, true));
    assert_eq!(one.series(), 2, "load5 is not watched");
}

#[test]
fn a_clock_far_ahead_is_not_believed() {
    let (_, mut watch) = run(60);
    let before = watch.states(|_| true, true).into_iter().map(|(_, _, d)| d.clone()).collect::<Vec<_>>();
    watch.take(&watched(), &batch(&[(900_000, "cpu", "load1", 5.0)]), at(5_761));
    let after = watch.states(|_| true, true).into_iter().map(|(_, _, d)| d.clone()).collect::<Vec<_>>();
    assert_eq!(before, after);
}

#[test]
fn what_is_kept_is_what_changed_and_goes_on_the_same() {
    let (found, mut watch) = run(60);
    assert_eq!(watch.states(|_| true, false).len(), 2);
    assert!(watch.states(|_| true, false).is_empty(), "nothing came since");
    let mut again = Watch::default();
    for (key, unit, detector) in watch.states(|_| true, true) {
        again.put(key, unit, detector.clone());
    }
    let next = batch(&[(5_800, "cpu", "load1", 500.0)]);
    assert_eq!(again.take(&watched(), &next, at(5_801)), watch.take(&watched(), &next, at(5_801)));
    watch.keep(&[Watched { probe: name("sensors"), quantity: None }].into());
    assert_eq!((watch.series(), found.is_empty()), (1, false));
}

#[test]
fn a_device_of_endless_names_takes_bounded_memory() {
    let mut watch = Watch::default();
    for i in 0..WATCHED_SERIES_MAX + 9 {
        let mut message = batch(&[(0, "sensors", "celsius", 1.0)]);
        message.records[0].observation.subject = name(&format!("s{i}"));
        watch.take(&watched(), &message, at(0));
    }
    assert_eq!(watch.series(), WATCHED_SERIES_MAX);
}

proptest! {
    #[test]
    fn episodes_are_no_closer_than_they_may_be(minutes in prop::collection::vec(0i64..500, 1..40)) {
        let mut sorted = minutes.clone();
        sorted.sort_unstable();
        let reason = Reason {
            aspect: crate::predict::anomaly::aspect::Aspect::Value,
            side: crate::predict::anomaly::reason::Side::Above,
            seen: 1.0,
            bound: 0.0,
        };
        let key = SeriesKey {
            device: DeviceId([1; 16]), subject: name("s"), probe: name("p"), quantity: name("q"),
        };
        let mut before: Option<(Timestamp, Timestamp)> = None;
        for minute in sorted {
            let (at, committed, value, score) = (at(minute), at(minute), 1.0, 13.0);
            let a = Anomaly { key: key.clone(), unit: Unit::Count, at, committed, value, score, reason };
            let noted = Noted::after(before, &name("r"), Duration::from_mins(30), a);
            if let Some((began, latest)) = before {
                let close = at.saturating_since(latest) <= Duration::from_mins(30);
                prop_assert_eq!(noted.began == began, close || at == began);
            }
            before = Some((noted.began, at));
        }
    }
}
