//! What the desk's predictions cost a fleet, and what the careful date is worth.
//!
//! Holds: the series are drawn from the seed; nothing of them was used to choose a constant.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a campaign fails by panicking")]

use super::sla::cpu;
use proptest::{
    prelude::RngExt,
    test_runner::{RngAlgorithm, TestRng},
};
use std::{collections::BTreeSet, time::Duration};
use tenken_collector_core::{
    desk::prospect::foresee,
    predict::{
        forecast::{Direction, Outcome, Question, ahead::ahead, forecast},
        series::Point,
        watch::{Watch, Watched},
    },
};
use tenken_common::{
    batch::Batch,
    category::Category,
    codec,
    id::{BootId, DeviceId, Epoch, Hash, Name, RecId, Seq},
    observation::{Body, Class, Observation, Record, Sample},
    time::{ClockQuality, Moment, Monotonic, Timestamp},
    unit::{Quantity, Unit},
};

const SERIES: usize = 50;
const MINUTES: u64 = 4;
const DAY: Duration = Duration::from_secs(86_400);
/// One core has so long for a minute of the whole fleet.
const MINUTE_S: f64 = 60.0;

/// Prints the table; gives how many goals are missed.
pub fn run(devices: u32, seed: u64) -> u64 {
    accuracy(seed);
    history();
    watch(devices)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000).plus(Duration::from_secs(seconds))
}

/// The numbers of a seed.
fn drawn(seed: u64) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4))
}

/// From 0 to 1.
fn unit(rng: &mut TestRng) -> f64 {
    rng.random_range(0.0..1.0)
}

/// What one device sends in a minute: one sample of 50 quantities.
fn batch(device: u32, minute: u64, names: &[Name], rng: &mut TestRng) -> Batch {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&device.to_be_bytes());
    let at = Moment { boot: BootId([1; 16]), mono: Monotonic(0), wall: at(60 * minute) };
    let quantities = names.iter().map(|name| Quantity {
        name: name.clone(),
        unit: Unit::Ratio,
        value: 0.3 + 0.1 * unit(rng),
    });
    let body = Body::Sample(Sample { probe: names[0].clone(), quantities: quantities.collect() });
    let observation = Observation { at, category: Category::Performance, subject: names[0].clone(), body };
    Batch {
        device: DeviceId(id),
        epoch: Epoch(1),
        seq: Seq(minute),
        prev: Hash([0; 32]),
        at,
        clock: ClockQuality::UNKNOWN,
        agent_version: "0.1.0".to_owned(),
        class: Class::Ordinary,
        records: vec![Record { id: RecId(minute), observation }],
        gaps: vec![],
    }
}

/// The detectors of a whole fleet for a minute: fed, and a fifteenth of the states made ready.
fn watch(devices: u32) -> u64 {
    let names: Vec<Name> = (0..SERIES).map(|i| Name::new(&format!("quantity_{i}")).unwrap()).collect();
    let watched: BTreeSet<Watched> = [Watched { probe: names[0].clone(), quantity: None }].into();
    let (mut watch, mut rng) = (Watch::default(), drawn(1));
    let (mut fed, mut kept, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for minute in 0..MINUTES {
        let sent: Vec<Batch> = (0..devices).map(|device| batch(device, minute, &names, &mut rng)).collect();
        let before = cpu();
        for message in &sent {
            watch.take(&watched, message, at(60 * minute));
        }
        // The first minute makes them.
        if minute > 0 {
            fed += cpu().saturating_sub(before);
        }
        let before = cpu();
        let states = watch.states(|device| u64::from(device.0[3] % 15) == minute % 15, false);
        bytes += states.iter().map(|(_, _, d)| codec::to_vec(d).unwrap().len()).sum::<usize>();
        kept += cpu().saturating_sub(before);
    }
    let series = watch.series();
    let a_minute = fed.as_secs_f64() / 3.0 + kept.as_secs_f64() / 4.0;
    println!(
        "desk: {devices} devices x {SERIES} series ({series} detectors): {a_minute:.2} CPU-s a minute, {:.2} to feed and {:.2} to encode a fifteenth of the states ({:.1} MiB)",
        fed.as_secs_f64() / 3.0,
        kept.as_secs_f64() / 4.0,
        mebibytes(bytes / 4),
    );
    u64::from(a_minute > MINUTE_S)
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a few states")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// What a question costs, quickly and with care, over a month of minutes.
fn history() {
    let mut rng = drawn(2);
    let points: Vec<Point> =
        (0..43_200_u32).map(|m| (at(60 * u64::from(m)), f64::from(m) + 500.0 * unit(&mut rng))).collect();
    let as_of = points.last().map_or(Timestamp::EPOCH, |(t, _)| *t);
    let question =
        Question { limit: 60_000.0, direction: Direction::Up, as_of, horizon: DAY * 365, age_max: DAY };
    let cost = |ask: &dyn Fn() -> Outcome| {
        let before = cpu();
        for _ in 0..20 {
            std::hint::black_box(ask());
        }
        cpu().saturating_sub(before).as_secs_f64() / 20.0 * 1e3
    };
    println!(
        "desk: a question over 43,200 points: quick {:.2} ms, careful {:.2} ms",
        cost(&|| forecast(&points, &question)),
        cost(&|| ahead(&points, &question).outcome)
    );
}

/// How far the date is off, as a part of what was left, over seeded degradations of 100 days.
fn accuracy(seed: u64) {
    for (shape, power) in [("steady", 1.0), ("quickening (t^1.5)", 1.5), ("slowing (t^0.7)", 0.7)] {
        for (noise, part) in [(0.01, 0.7), (0.05, 0.7), (0.01, 0.85), (0.05, 0.85)] {
            let mut rng = drawn(seed);
            let (mut quick, mut careful, mut held, mut dates) = (Vec::new(), Vec::new(), 0_u32, 0_u32);
            for _ in 0..100 {
                let life: f64 = 100.0;
                let until = (life * part * 24.0).round();
                let mut points = Vec::new();
                let mut hour = 0.0;
                while hour <= until {
                    // Normal enough: the mean of four.
                    let draw = (0..4).map(|_| unit(&mut rng) - 0.5).sum::<f64>() * 1.7;
                    let value = (hour / 24.0 / life).powf(power) + noise * draw;
                    points.push((at(0).plus(Duration::from_secs_f64(hour * 3_600.0)), value));
                    hour += 1.0;
                }
                let as_of = points.last().map_or(Timestamp::EPOCH, |(t, _)| *t);
                let question = Question {
                    limit: 1.0,
                    direction: Direction::Up,
                    as_of,
                    horizon: DAY * 3_650,
                    age_max: DAY,
                };
                let left = life * (1.0 - part);
                let days = |t: Timestamp| t.saturating_since(as_of).as_secs_f64() / 86_400.0;
                if let Outcome::Crossing(c) = forecast(&points, &question) {
                    quick.push((days(c.at) - left).abs() / left);
                }
                if let Outcome::Crossing(c) = foresee(&points, &question, DAY * 3_650) {
                    careful.push((days(c.at) - left).abs() / left);
                    dates += 1;
                    held += u32::from(days(c.low) <= left && left <= days(c.high));
                }
            }
            let middle = |errors: &mut Vec<f64>| {
                100.0 * tenken_collector_core::predict::robust::median(errors).unwrap_or(f64::NAN)
            };
            println!(
                "desk: {shape}, noise {:.0} % of the limit, at {:.0} % of life: off by {:.1} % of what is left (quick, {} dates), {:.1} % (careful, {dates} dates; {held} intervals hold the truth)",
                100.0 * noise,
                100.0 * part,
                middle(&mut quick),
                quick.len(),
                middle(&mut careful),
            );
        }
    }
}
