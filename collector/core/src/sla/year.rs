//! The yearly evaluation (年次評価, SLA A7.1(1)②): how many misses, and the grade they give.
//!
//! Holds: a year is the contract's, from its first day to the day before the next. The grade comes
//! from the thresholds in force at its end, applied to the count as the contract wants unknown
//! misses treated; beside it stand the best and the worst that what is not certain allows. Without
//! counting rules or thresholds there is no grade, and the reason is said.

use super::{
    calendar::Day,
    contract::{Counting, Grade, UnknownCount},
    miss::Miss,
    month::{Month, SlaMonth},
};
use serde::Serialize;
use tenken_common::message::Message;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlaYear {
    pub first: Day,
    /// The last day that belongs to it.
    pub last: Day,
    /// Whether it had ended at the time of evaluation; before, the grade is what it would be now.
    pub ended: bool,
    pub months: Vec<MonthMisses>,
    /// As the contract counts; `None` without rules.
    pub misses: Option<u32>,
    /// Certain ones only.
    pub misses_min: Option<u32>,
    /// With everything that is open.
    pub misses_max: Option<u32>,
    pub grade: Option<Grade>,
    /// With nothing of what is open counted.
    pub best: Option<Grade>,
    /// With all of it.
    pub worst: Option<Grade>,
    pub reason_for_null: Option<NoGrade>,
}

/// The misses of one month of the year.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonthMisses {
    pub month: Month,
    pub misses: Vec<Miss>,
}

/// Why there is no grade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoGrade {
    /// The contract does not say what counts as a miss.
    NoCounting,
    /// The contract does not say what grade a count gives.
    NoThresholds,
    /// No contract was in force.
    NoContract,
}

impl NoGrade {
    pub fn message(self) -> Message {
        match self {
            Self::NoCounting => Message::SlaNoCounting,
            Self::NoThresholds => Message::SlaNoThresholds,
            Self::NoContract => Message::SlaNoContract,
        }
    }
}

/// A year and its rules: those in force at its end, or at the time of evaluation before that.
#[derive(Debug, Clone, Copy)]
pub struct YearRules {
    pub counting: Option<Counting>,
    pub grades: Option<super::contract::Grades>,
    pub has_contract: bool,
}

/// Grades the months of one year.
pub fn evaluate(first: Day, last: Day, ended: bool, months: &[SlaMonth], rules: YearRules) -> SlaYear {
    let counted: Vec<MonthMisses> = months
        .iter()
        .map(|m| MonthMisses { month: m.month, misses: m.misses.clone().unwrap_or_default() })
        .collect();
    let all = || counted.iter().flat_map(|m| &m.misses);
    let counting = rules.counting.filter(|_| months.iter().all(|m| m.misses.is_some()) && !months.is_empty());
    let min = counting.map(|_| all().map(|m| m.count).sum::<u32>());
    let max = counting.map(|_| all().map(|m| m.count + m.open).sum::<u32>());
    let misses = counting.and_then(|c| match c.unknown {
        UnknownCount::Counted => max,
        UnknownCount::NotCounted => min,
    });
    let grade = |count: Option<u32>| Some(rules.grades?.of(count?));
    SlaYear {
        first,
        last,
        ended,
        misses,
        misses_min: min,
        misses_max: max,
        grade: grade(misses),
        best: grade(min),
        worst: grade(max),
        reason_for_null: if !rules.has_contract || months.is_empty() {
            Some(NoGrade::NoContract)
        } else if counting.is_none() {
            Some(NoGrade::NoCounting)
        } else if rules.grades.is_none() {
            Some(NoGrade::NoThresholds)
        } else {
            None
        },
        months: counted,
    }
}

#[cfg(test)]
mod tests;
