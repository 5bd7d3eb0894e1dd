//! The measurements of the predictions; see `tenken_tests::predict`.
//!
//! Holds: nothing is drawn, so that the seed changes nothing; what counts as failed is a floor that
//! is missed, or a goal that was reached once.

use super::sla::cpu;
use std::path::Path;
use tenken_collector_core::predict::anomaly::{ALERT, Detector, NOTICE};
use tenken_tests::predict::{
    battery::{self, Cell},
    data, m4,
    nab::{self, File, LOW_FALSE, STANDARD},
};

/// Series a device, for the rate of false alarms.
const SERIES: f64 = 20.0;
const DAYS_A_MONTH: f64 = 30.44;
/// Floors and goals.
const NAB_MIN: f64 = 70.0;
const FALSE_MAX: f64 = 1.0;
const POINTS_A_SECOND_MIN: f64 = 1e6;
const STATE_MAX: usize = 2_048;
const MASE_MAX: f64 = 2.4;

/// Prints the table; gives how many rows are worse than they have to be.
pub fn run(rounds: u32) -> u64 {
    let Some(data) = data() else {
        println!("predict: skipped, ../shared/data is not there");
        return 1;
    };
    (0..rounds).map(|_| anomalies(&data.join("nab")) + forecasts(&data)).sum()
}

fn missed(is_met: bool, what: &str) -> u64 {
    if !is_met {
        println!("predict: MISSED: {what}");
    }
    u64::from(!is_met)
}

/// News and alerts of every row of a file.
struct Judged {
    /// The score where it is news, else zero.
    news: Vec<f64>,
    alerts: Vec<bool>,
}

fn judged(file: &File, alert_from: f64) -> Judged {
    let mut detector = Detector::new(alert_from);
    let (mut news, mut alerts) = (Vec::new(), Vec::new());
    for (at, value) in &file.points {
        // Some files repeat a time; such a row is not judged.
        let verdict = detector.see(*at, *value).ok();
        news.push(verdict.filter(|v| v.is_news).map_or(0.0, |v| v.score));
        alerts.push(verdict.is_some_and(|v| v.alert));
    }
    Judged { news, alerts }
}

fn anomalies(folder: &Path) -> u64 {
    let files = nab::corpus(folder);
    let raw = nab::reproduced(&files);
    println!("predict: nab scorer: windowedGaussian raw {raw:.6}, published {:.6}", nab::WINDOWED_GAUSSIAN);
    let mut failed = missed((raw - nab::WINDOWED_GAUSSIAN).abs() < 1e-6, "the published score comes out");

    let tuned = scored(&files, "", NOTICE, STANDARD, None);
    failed += missed(tuned >= NAB_MIN, "NAB standard profile >= 70");
    scored(&files, "", NOTICE, LOW_FALSE, None);
    scored(&files, "", NOTICE, STANDARD, Some(NOTICE));
    scored(&files, "AWS,KnownCause", NOTICE, STANDARD, None);
    for part in ["AWS", "KnownCause", "Tweets", "AdExchange", "Traffic", "artificial"] {
        scored(&files, part, NOTICE, STANDARD, None);
    }
    shipped(&files);

    let rate = false_alarms(files.iter(), ALERT);
    println!("predict: false alarms of the shipped {ALERT}: {}", rate.text());
    failed += missed(rate.per_device_month() <= FALSE_MAX, "at most one false alarm a device and month");
    let free = false_alarms(files.iter().filter(|f| f.windows.is_empty()), ALERT);
    println!("predict: on the files without a window alone: {}", free.text());
    println!("predict: at {NOTICE}: {}", false_alarms(files.iter(), NOTICE).text());
    halves(&files);
    failed + cost(&files)
}

/// The score of the parts that are named; at a threshold, or at their best one.
fn scored(files: &[File], parts: &str, alert_from: f64, cost: f64, threshold: Option<f64>) -> f64 {
    let taken: Vec<&File> =
        files.iter().filter(|f| parts.split(',').any(|part| f.name.contains(part))).collect();
    let judged: Vec<Vec<f64>> = taken.iter().map(|f| judged(f, alert_from).news).collect();
    let news: Vec<&[f64]> = judged.iter().map(Vec::as_slice).collect();
    let score = match threshold {
        Some(threshold) => nab::at(&taken, &news, threshold, cost),
        None => nab::best(&taken, &news, cost),
    };
    println!(
        "predict: nab {}, false positives cost {cost}, {} threshold {:.3}: {:.2}, {} of {} windows found",
        if parts.is_empty() { "all" } else { parts },
        if threshold.is_some() { "fixed" } else { "tuned" },
        score.threshold,
        score.normal,
        score.found,
        score.windows
    );
    score.normal
}

/// The score of the shipped alerts, learning time included.
fn shipped(files: &[File]) {
    for parts in ["", "AWS,KnownCause"] {
        let taken: Vec<&File> =
            files.iter().filter(|f| parts.split(',').any(|part| f.name.contains(part))).collect();
        let alerts: Vec<Vec<f64>> = taken
            .iter()
            .map(|f| judged(f, ALERT).alerts.into_iter().map(|a| f64::from(u8::from(a))).collect())
            .collect();
        let alerts: Vec<&[f64]> = alerts.iter().map(Vec::as_slice).collect();
        let score = nab::at(&taken, &alerts, 1.0, STANDARD);
        println!(
            "predict: nab {}, shipped alerts from {ALERT}: {:.2}, {} of {} windows found",
            if parts.is_empty() { "all" } else { parts },
            score.normal,
            score.found,
            score.windows
        );
    }
}

/// Alerts where nothing is labelled.
struct Rate {
    alerts: u32,
    days: f64,
}

impl Rate {
    fn per_device_month(&self) -> f64 {
        f64::from(self.alerts) / (self.days / DAYS_A_MONTH) * SERIES
    }

    fn text(&self) -> String {
        format!(
            "{} in {:.0} days of series without a label, {:.2} a month at {SERIES} series a device",
            self.alerts,
            self.days,
            self.per_device_month()
        )
    }
}

fn false_alarms<'a>(files: impl Iterator<Item = &'a File>, alert_from: f64) -> Rate {
    let mut rate = Rate { alerts: 0, days: 0.0 };
    for file in files {
        let judged = judged(file, alert_from);
        // What is learnt from is no time without alarms.
        let rows = file.points.windows(2).zip(judged.alerts.iter().skip(1)).enumerate().skip(749);
        for (i, (pair, alert)) in rows {
            if let [before, now] = pair
                && !file.is_labelled(i + 1)
            {
                let step = now.0.saturating_since(before.0);
                rate.days += step.as_secs_f64().min(86_400.0) / 86_400.0;
                rate.alerts += u32::from(*alert);
            }
        }
    }
    rate
}

/// Every other file chooses the threshold, the others show what it gives there.
fn halves(files: &[File]) {
    for first in [0, 1] {
        let half =
            |which: usize| files.iter().enumerate().filter(move |(i, _)| i % 2 == which).map(|(_, f)| f);
        let thresholds = (16..80).map(|t| f64::from(t) / 2.0);
        let good = |t: &f64| false_alarms(half(first), *t).per_device_month() <= FALSE_MAX;
        let Some(threshold) = thresholds.into_iter().find(good) else { continue };
        let rate = false_alarms(half(1 - first), threshold);
        println!("predict: threshold {threshold} from half {first} on the other half: {}", rate.text());
    }
}

fn cost(files: &[File]) -> u64 {
    let before = cpu();
    let mut points = 0_u32;
    for file in files {
        let mut detector = Detector::default();
        for (at, value) in &file.points {
            points += u32::from(detector.see(*at, *value).is_ok());
        }
    }
    let took = cpu().saturating_sub(before).as_secs_f64();
    let (a_second, bytes) = (f64::from(points) / took, size_of::<Detector>());
    println!("predict: {a_second:.0} points a CPU-second, {bytes} bytes a series");
    // An unoptimised build says nothing about speed.
    let is_fast = cfg!(debug_assertions) || a_second >= POINTS_A_SECOND_MIN;
    missed(is_fast, "a million points a second") + missed(bytes <= STATE_MAX, "2 KiB a series")
}

fn forecasts(data: &Path) -> u64 {
    let before = cpu();
    let weekly = m4::weekly(&data.join("m4"));
    let got = m4::accuracy(&weekly);
    let took = cpu().saturating_sub(before).as_secs_f64();
    println!(
        "predict: M4 weekly, {} series: MASE {:.3} (last value {:.3}), sMAPE {:.3}, 80 % band covers {:.1} %, {took:.1} CPU-s",
        weekly.len(),
        got.mase,
        got.mase_of_last,
        got.smape,
        100.0 * got.covered
    );
    let failed = missed(got.mase <= MASE_MAX, "M4 weekly MASE <= 2.40")
        + missed((0.75..=0.85).contains(&got.covered), "the 80 % band covers 75 to 85 %");
    failed + batteries(&battery::cells(&data.join("battery")))
}

fn batteries(cells: &[Cell]) -> u64 {
    let (mut dates, mut held, mut refused) = (0_u32, 0_u32, 0_u32);
    for cell in cells {
        let Some(end) = cell.end() else {
            lasting(cell);
            continue;
        };
        let truth = f64::from(u32::try_from(end).unwrap_or(u32::MAX));
        for part in (30..=90).step_by(5) {
            let Some(date) = cell.forecast(end * part / 100) else {
                refused += 1;
                continue;
            };
            dates += 1;
            held += u32::from((date.low..=date.high).contains(&truth));
            if [50, 70].contains(&part) {
                println!(
                    "predict: {} at {part} % of its life: cycle {:.0} ({:.0} to {:.0}), true {truth:.0}, off by {:.0}; plain line off by {:.0}",
                    cell.name,
                    date.at,
                    date.low,
                    date.high,
                    (date.at - truth).abs(),
                    (cell.plain_line(end * part / 100) - truth).abs()
                );
            }
        }
    }
    println!(
        "predict: B0005, B0006 at 30 to 90 %: {held} of {dates} intervals hold the truth, {refused} refusals"
    );
    missed(held * 10 >= dates * 8 && dates > 0, "80 % of the intervals hold the truth")
}

/// A cell that does not reach its end within the record: every date before that was untrue.
fn lasting(cell: &Cell) {
    let n = cell.capacities.len();
    let cycles = f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let (mut asked, mut dates, mut untrue, mut excluded) = (0, 0, 0, 0);
    for part in (30..=100).step_by(5) {
        asked += 1;
        if let Some(date) = cell.forecast(n * part / 100) {
            dates += 1;
            untrue += u32::from(date.at <= cycles);
            excluded += u32::from(date.high <= cycles);
        }
    }
    println!(
        "predict: {} (never at {} Ah in {n} cycles) asked {asked} times: {dates} dates, {untrue} of them within the record, {excluded} with all of the interval",
        cell.name,
        battery::END_AH
    );
}
