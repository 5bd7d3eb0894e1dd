//! Disks of Backblaze, 40 days of 2013 in raw SMART values, and which of them failed.
//!
//! The protocol, for every score alike: on each day of a [`Question`] every disk that was read on that
//! day, and that does not fail on it, is asked with its readings up to that day and no later ones; the
//! answer is right if the disk fails within the question's horizon from the next day on. Alarm rate,
//! recall and precision are of these answers. A disk's lead is from its first alarm on any day of its
//! record to the day on which it failed, so that an alarm that stood when the record began counts for
//! less than it was.
//!
//! Holds: failed disks and healthy ones with a counter that moved are all there. Of the healthy ones
//! whose counters stood still the data have a sample, so each of these counts for as many as it stands
//! for. What was chosen was chosen on [`Half::First`]; a disk's half is in its serial number's hash.

use super::unpacked;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::Path,
};
use tenken_collector_core::predict::{
    risk::{Age, Counter, risk},
    series::Point,
};
use tenken_common::{id::Name, time::Timestamp};

const DAY_S: i64 = 86_400;

/// Drawn by the serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    First,
    Second,
}

/// What is asked; days count from the record's first.
#[derive(Debug, Clone)]
pub struct Question {
    pub days: RangeInclusive<i64>,
    pub horizon: i64,
}

impl Question {
    /// Every day that has a week before it and two after it: the figure.
    pub fn two_weeks() -> Self {
        Self { days: 7..=25, horizon: 14 }
    }

    /// The one that the data's notes have figures of: on one day, all that fail until the end.
    pub fn day_15() -> Self {
        Self { days: 15..=15, horizon: 25 }
    }
}

/// One disk's record.
pub struct Disk {
    pub half: Half,
    /// How many it stands for.
    weight: f64,
    failed: bool,
    /// Of each day: the reading.
    readings: BTreeMap<i64, Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    remapped: f64,
    pending: f64,
    hours: f64,
    celsius: f64,
}

/// What is known of a disk on a day.
pub struct Known {
    remapped: Vec<Point>,
    pending: Vec<Point>,
    hours: Vec<Point>,
    celsius: Vec<Point>,
}

impl Known {
    fn newest(&self) -> (f64, f64) {
        let newest = |points: &[Point]| points.last().map_or(0.0, |(_, value)| *value);
        (newest(&self.remapped), newest(&self.pending))
    }

    /// Whether SMART 5 or 197 is above zero: one or zero.
    pub fn is_any(&self) -> f64 {
        let (remapped, pending) = self.newest();
        f64::from(u8::from(remapped > 0.0 || pending > 0.0))
    }

    /// SMART 5 and 197 together, for a threshold on them.
    pub fn sum(&self) -> f64 {
        let (remapped, pending) = self.newest();
        remapped + pending
    }

    /// What the product says.
    pub fn risk(&self) -> f64 {
        let Some((as_of, _)) = self.hours.last() else { return 0.0 };
        let (remapped, pending) =
            (Name::of_outside("reallocated_sectors"), Name::of_outside("pending_sectors"));
        let kinds = [
            vec![Counter { name: &remapped, points: &self.remapped }],
            vec![Counter { name: &pending, points: &self.pending }],
        ];
        // A data centre's disks run without a break.
        let signs = [self.celsius.as_slice()];
        let age = Age { points: &self.hours, life_signs: &signs, runs_since: Some(Timestamp::MIN) };
        risk(&kinds, &age, *as_of).map_or(0.0, |risk| risk.score)
    }
}

/// A score, by what is known.
pub type Score = fn(&Known) -> f64;

/// All disks.
pub fn disks(folder: &Path) -> Vec<Disk> {
    let read = |name: &str| records(&unpacked(&folder.join(name)));
    let all: BTreeSet<String> = read("all_drives_last_row_even.csv.gz").into_keys().collect();
    let failed = read("failed_drives_full_history_even.csv.gz");
    let moving = read("healthy_growing_full_history_even.csv.gz");
    let mut still = read("healthy_random3000_full_history_even.csv.gz");
    still.retain(|serial, _| !moving.contains_key(serial));
    let mut disks = Vec::new();
    for half in [Half::First, Half::Second] {
        let own = |serial: &String| half_of(serial) == half;
        let left =
            |serial: &&String| own(serial) && !failed.contains_key(*serial) && !moving.contains_key(*serial);
        let (stand, sampled) = (all.iter().filter(left).count(), still.keys().filter(|s| own(s)).count());
        let parts = [(&failed, 1.0), (&moving, 1.0), (&still, count(stand) / count(sampled))];
        for (part, weight) in parts {
            for (_, (is_failed, readings)) in part.iter().filter(|(serial, _)| own(serial)) {
                disks.push(Disk { half, weight, failed: *is_failed, readings: readings.clone() });
            }
        }
    }
    disks
}

type Record = (bool, BTreeMap<i64, Reading>);

/// By serial number.
fn records(text: &str) -> BTreeMap<String, Record> {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let [date, serial, _, _, failure, _, remapped, hours, celsius, pending] =
            line.split(',').collect::<Vec<_>>()[..]
        else {
            panic!("a line of another shape: {line}");
        };
        let number = |text: &str| text.parse::<f64>().unwrap();
        let reading = Reading {
            remapped: number(remapped),
            pending: number(pending),
            hours: number(hours),
            celsius: number(celsius),
        };
        let record = records.entry(serial.to_owned()).or_default();
        record.0 |= failure == "1";
        record.1.insert(day(date), reading);
    }
    records
}

/// From 10 April 2013; the record ends on 19 May.
fn day(date: &str) -> i64 {
    let [_, month, day] = date.split('-').map(|n| n.parse::<i64>().unwrap()).collect::<Vec<_>>()[..] else {
        panic!("no date: {date}");
    };
    day - 10 + if month == 5 { 30 } else { 0 }
}

/// A bit of FNV-1a.
fn half_of(serial: &str) -> Half {
    let hash = serial
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    if hash >> 32 & 1 == 0 { Half::First } else { Half::Second }
}

impl Disk {
    fn known(&self, day: i64) -> Known {
        let points = |value: fn(&Reading) -> f64| {
            self.readings
                .range(..=day)
                .map(|(day, r)| (Timestamp::from_secs(day * DAY_S), value(r)))
                .collect()
        };
        Known {
            remapped: points(|r| r.remapped),
            pending: points(|r| r.pending),
            hours: points(|r| r.hours),
            celsius: points(|r| r.celsius),
        }
    }

    /// The day on which it failed.
    fn end(&self) -> Option<i64> {
        self.readings.keys().next_back().copied().filter(|_| self.failed)
    }

    /// The days on which it may be asked.
    fn asked(&self, days: &RangeInclusive<i64>) -> impl Iterator<Item = i64> {
        let end = self.end().unwrap_or(i64::MAX);
        self.readings.range(days.clone()).map(|(day, _)| *day).filter(move |day| *day < end)
    }
}

/// An answer: the score, for how many disks, and whether they fail in time.
struct Answer {
    score: f64,
    weight: f64,
    fails: bool,
}

/// All answers to a question, the highest score first.
pub struct Answers(Vec<Answer>);

/// What a threshold gives.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub threshold: f64,
    pub rate: f64,
    pub recall: f64,
    pub precision: f64,
}

impl Answers {
    pub fn of<'a>(disks: impl Iterator<Item = &'a Disk>, question: &Question, score: Score) -> Self {
        let mut answers = Vec::new();
        for disk in disks {
            let end = disk.end().unwrap_or(i64::MAX);
            for day in disk.asked(&question.days) {
                let fails = end - day <= question.horizon;
                answers.push(Answer { score: score(&disk.known(day)), weight: disk.weight, fails });
            }
        }
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        Self(answers)
    }

    /// Alarms from a score on.
    pub fn from(&self, threshold: f64) -> Outcome {
        let (mut all, mut alarms, mut failing, mut found) = (0.0, 0.0, 0.0, 0.0);
        for answer in &self.0 {
            let fails = f64::from(u8::from(answer.fails));
            all += answer.weight;
            failing += fails;
            if answer.score >= threshold {
                alarms += answer.weight;
                found += fails;
            }
        }
        Outcome { threshold, rate: alarms / all, recall: found / failing, precision: found / alarms }
    }

    /// The lowest threshold that does not alarm more often.
    pub fn at_rate(&self, rate: f64) -> Outcome {
        let all: f64 = self.0.iter().map(|a| a.weight).sum();
        let (mut alarms, mut threshold) = (0.0, f64::INFINITY);
        for alike in self.0.chunk_by(|a, b| a.score.total_cmp(&b.score).is_eq()) {
            alarms += alike.iter().map(|a| a.weight).sum::<f64>();
            // The sum of the same numbers in another order is off by its last digits.
            if alarms > rate * all * (1.0 + 1e-9) {
                break;
            }
            threshold = alike.first().map_or(threshold, |a| a.score);
        }
        self.from(threshold)
    }

    /// How many failing disks were asked.
    pub fn failing(&self) -> usize {
        self.0.iter().filter(|a| a.fails).count()
    }
}

/// How long before they failed disks were told.
#[derive(Debug, Clone)]
pub struct Leads {
    /// Failed disks that could be asked on any day before.
    pub failed: usize,
    /// Days of each that was told, the shortest first.
    pub days: Vec<i64>,
    /// Of these, those that were told by their first reading.
    pub from_first: usize,
}

impl Leads {
    pub fn of<'a>(disks: impl Iterator<Item = &'a Disk>, score: Score, threshold: f64) -> Self {
        let mut leads = Self { failed: 0, days: Vec::new(), from_first: 0 };
        for disk in disks {
            let Some(end) = disk.end() else { continue };
            let asked: Vec<i64> = disk.asked(&(0..=i64::MAX)).collect();
            leads.failed += usize::from(!asked.is_empty());
            let told = asked.iter().position(|day| score(&disk.known(*day)) >= threshold);
            if let Some(place) = told {
                leads.days.push(end - asked[place]);
                leads.from_first += usize::from(place == 0);
            }
        }
        leads.days.sort_unstable();
        leads
    }

    pub fn middle(&self) -> Option<i64> {
        self.days.get(self.days.len() / 2).copied()
    }

    /// How many were told at least so long before.
    pub fn at_least(&self, days: i64) -> usize {
        self.days.iter().filter(|lead| **lead >= days).count()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of disks")]
fn count(n: usize) -> f64 {
    n as f64
}
