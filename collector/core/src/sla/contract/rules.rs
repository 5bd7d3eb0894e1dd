//! What a contract says about judging (SLA A7.1): which stops are left out, how old pattern files
//! and pending patches may become, what stands at the contract's end, how misses are counted and
//! what grade they give.
//!
//! Holds: every section may be left out, and then nothing of its kind is judged; a section that is
//! there is whole. Thresholds of grades cover every count exactly once.
//!
//! Does not: know a rule of its own. What the contract does not say is not assumed.

use crate::sla::calendar::Day;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};
use tenken_common::{id::Name, message::Message};

/// The rules of one contract version.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// 算定除外事項 (A7.1(2)).
    pub exclusions: BTreeMap<Name, ExclusionRule>,
    /// Pattern files and security patches (A7.1(1)①).
    pub currency: Option<CurrencyTerms>,
    /// 巻末に示す事項.
    pub checklist: BTreeMap<Name, ChecklistItem>,
    /// 未達成件数の計算 (A7.1(1)②).
    pub counting: Option<Counting>,
    /// SLAの評価 (A7.1(1)②).
    pub grades: Option<Grades>,
    /// The first day of the evaluation year.
    pub year_start: MonthDay,
}

/// A reason that may be left out of the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusionRule {
    pub class: ExclusionClass,
    pub reason: String,
    /// How long before its beginning 甲 has to be told (A6.5(3)①); zero for the other class.
    pub notice: Duration,
}

/// What an exclusion takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionClass {
    /// 事前に合意された事由: the time leaves the service time too (A1.3).
    PreAgreed,
    /// その他: the time is no stop.
    Other,
}

/// What may become old on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrencyKind {
    /// Age of the antivirus definitions.
    PatternFile,
    /// Age of the oldest security patch of the system that is not applied.
    OsPatch,
    /// The same of middleware.
    MiddlewarePatch,
}

impl CurrencyKind {
    pub fn message(self) -> Message {
        match self {
            Self::PatternFile => Message::SlaPatternFile,
            Self::OsPatch => Message::SlaOsPatch,
            Self::MiddlewarePatch => Message::SlaMiddlewarePatch,
        }
    }
}

/// Who has to see to something, or who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// 乙.
    Provider,
    /// 甲.
    Customer,
}

impl Party {
    pub const ALL: [Self; 2] = [Self::Provider, Self::Customer];
}

/// How old things may become, and who has to see to it (A4.1(2)①).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrencyTerms {
    pub limits: BTreeMap<CurrencyKind, Duration>,
    /// A report counts for this long; after it the state is not known.
    pub report_max_age: Duration,
    /// 乙's devices, such as communication equipment; all others are 甲's.
    pub provider_devices: BTreeSet<Name>,
}

impl CurrencyTerms {
    pub fn responsible(&self, device: &Name) -> Party {
        if self.provider_devices.contains(device) { Party::Provider } else { Party::Customer }
    }
}

/// One item at the contract's end, due once a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecklistItem {
    pub title: String,
    /// Done by the end of this day.
    pub due: MonthDay,
}

/// How misses are counted. Nothing is counted without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    pub uptime: UptimeCount,
    pub response: ResponseCount,
    pub currency: CurrencyCount,
    pub checklist: ChecklistCount,
    pub unknown: UnknownCount,
}

/// 稼働率.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UptimeCount {
    /// One for a month under its target.
    Month,
}

/// 障害対応時間.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseCount {
    /// One for each incident over its budget.
    Incident,
    /// One for a month with any.
    Month,
}

/// パターンファイル・セキュリティパッチ, of 乙's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrencyCount {
    /// One for a month in which any device of 乙 was over a limit.
    Month,
    /// One for each such device.
    Device,
}

/// 巻末事項.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecklistCount {
    /// One for each item not done by its day.
    Item,
}

/// What is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCount {
    Counted,
    NotCounted,
}

/// 年次評価.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    A,
    B,
    C,
    D,
}

impl Grade {
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }
}

/// The highest count of each grade but D, which has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grades {
    pub(super) a: u32,
    pub(super) b: u32,
    pub(super) c: u32,
}

impl Grades {
    /// The counts that give a grade: the first, and the last where there is one.
    pub fn range(self, grade: Grade) -> (u32, Option<u32>) {
        let after = |last: u32| last.saturating_add(1);
        match grade {
            Grade::A => (0, Some(self.a)),
            Grade::B => (after(self.a), Some(self.b)),
            Grade::C => (after(self.b), Some(self.c)),
            Grade::D => (after(self.c), None),
        }
    }

    pub fn of(self, misses: u32) -> Grade {
        match misses {
            n if n <= self.a => Grade::A,
            n if n <= self.b => Grade::B,
            n if n <= self.c => Grade::C,
            _ => Grade::D,
        }
    }
}

/// A day of every year, `04-01`; the 29th of February is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay {
    month: i8,
    day: i8,
}

impl Default for MonthDay {
    /// The Japanese fiscal year's.
    fn default() -> Self {
        Self { month: 4, day: 1 }
    }
}

impl MonthDay {
    /// That day of a year; `None` outside the calendar.
    pub fn of_year(self, year: i16) -> Option<Day> {
        Day::new(year, self.month, self.day).ok()
    }

    pub fn is_first_of_month(self) -> bool {
        self.day == 1
    }
}

/// A text that is no such day.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no day of every year (write it like \"04-01\")")]
pub struct BadMonthDay(String);

impl FromStr for MonthDay {
    type Err = BadMonthDay;
    fn from_str(text: &str) -> Result<Self, BadMonthDay> {
        // A year without a leap day decides.
        let day: Day = format!("2001-{text}").parse().map_err(|_| BadMonthDay(text.to_owned()))?;
        Ok(Self { month: day.month(), day: day.day_of_month() })
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

impl Serialize for MonthDay {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MonthDay {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}
