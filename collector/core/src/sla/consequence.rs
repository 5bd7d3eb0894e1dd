//! When 甲 may ask for the contract's end (SLA A7.2).
//!
//! Holds: only what is certain fires: months and years that have ended. Four things do: an item
//! missed in twelve months in a row; a year graded C whose next year is not better; a year graded
//! D; an item of the contract's end that was not corrected in the time that 甲 gave.
//!
//! Does not: end a contract.

use super::{
    calendar::Day,
    checklist::{ChecklistRecord, CorrectionRequest},
    contract::Grade,
    indicator::IndicatorName,
    month::Month,
};
use serde::Serialize;
use std::collections::BTreeMap;
use tenken_common::{
    id::Name,
    message::{Language, Message},
    time::{Timestamp, jst_minute},
};

/// Months in a row without improvement.
pub const MONTHS_WITHOUT_IMPROVEMENT: usize = 12;

/// Why 甲 may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trigger", rename_all = "snake_case")]
pub enum Trigger {
    /// The same item was missed in every month of a year, the last of which is named.
    NoImprovement { item: IndicatorName, last: Month },
    /// Graded C, and not better in the next year, which began on this day.
    CNotImproved { year: Day, grade: Grade },
    /// Graded D.
    GradeD { year: Day },
    /// Not corrected by the end of the time.
    NotCorrected { item: Name, until: Timestamp },
}

impl Trigger {
    /// The words for its kinds.
    pub const KINDS: [&'static str; 4] = ["no_improvement", "c_not_improved", "grade_d", "not_corrected"];

    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoImprovement { .. } => "no_improvement",
            Self::CNotImproved { .. } => "c_not_improved",
            Self::GradeD { .. } => "grade_d",
            Self::NotCorrected { .. } => "not_corrected",
        }
    }

    pub fn sentence(&self, language: Language) -> String {
        match self {
            Self::NoImprovement { item, last } => {
                let values = [("item", item.message().text(language)), ("last", &last.to_string())];
                Message::SlaTriggerNoImprovement.fill(language, &values)
            }
            Self::CNotImproved { year, grade } => {
                Message::SlaTriggerC.fill(language, &[("year", &year.to_string()), ("grade", grade.as_str())])
            }
            Self::GradeD { year } => Message::SlaTriggerD.fill(language, &[("year", &year.to_string())]),
            Self::NotCorrected { item, until } => Message::SlaTriggerNotCorrected
                .fill(language, &[("item", item.as_str()), ("until", &jst_minute(*until))]),
        }
    }
}

/// Months that have ended, in order without a hole, with the items that were missed for certain.
pub fn no_improvement(months: &[(Month, Vec<IndicatorName>)]) -> Vec<Trigger> {
    let mut runs: BTreeMap<IndicatorName, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for (month, missed) in months {
        runs.retain(|item, _| missed.contains(item));
        for item in missed {
            let run = runs.entry(*item).or_default();
            *run += 1;
            if *run == MONTHS_WITHOUT_IMPROVEMENT {
                out.push(Trigger::NoImprovement { item: *item, last: *month });
            }
        }
    }
    out
}

/// Evaluation years that have ended, in order, by their first day; `None`: not graded.
pub fn of_grades(years: &[(Day, Option<Grade>)]) -> Vec<Trigger> {
    let mut out = Vec::new();
    let mut before = None;
    for (year, grade) in years {
        if let (Some(Grade::C), Some(grade @ (Grade::C | Grade::D))) = (before, *grade) {
            out.push(Trigger::CNotImproved { year: *year, grade });
        }
        if *grade == Some(Grade::D) {
            out.push(Trigger::GradeD { year: *year });
        }
        before = *grade;
    }
    out
}

/// Corrections that did not come in time.
pub fn not_corrected(
    requests: &[CorrectionRequest],
    records: &[ChecklistRecord],
    as_of: Timestamp,
) -> Vec<Trigger> {
    let overdue = requests.iter().filter(|request| request.is_overdue(records, as_of));
    overdue.map(|r| Trigger::NotCorrected { item: r.item.clone(), until: r.until }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn years(grades: &[Option<Grade>]) -> Vec<Trigger> {
        let years = (2020..).map(|year| Day::new(year, 4, 1).unwrap());
        of_grades(&years.zip(grades.iter().copied()).collect::<Vec<_>>())
    }

    #[test]
    fn c_then_c_fires_and_c_then_b_does_not() {
        use Grade::{A, B, C, D};
        let year = Day::new(2021, 4, 1).unwrap();
        assert_eq!(years(&[Some(C), Some(C)]), [Trigger::CNotImproved { year, grade: C }]);
        assert_eq!(years(&[Some(C), Some(B), Some(C)]), []);
        assert_eq!(years(&[Some(C), Some(A)]), []);
        assert_eq!(years(&[Some(B), Some(D)]), [Trigger::GradeD { year }]);
        assert_eq!(
            years(&[Some(C), Some(D)]),
            [Trigger::CNotImproved { year, grade: D }, Trigger::GradeD { year }]
        );
        assert_eq!(years(&[Some(C), None, Some(C)]), [], "a year that was not graded shows nothing");
        assert_eq!(years(&[Some(C), Some(C), Some(C)]).len(), 2, "again in the third year");
    }

    fn months(missed: impl Iterator<Item = Vec<IndicatorName>>) -> Vec<Trigger> {
        let all = (0i16..).map(|i| Month::new(2026 + i / 12, i8::try_from(i % 12).unwrap() + 1).unwrap());
        no_improvement(&all.zip(missed).collect::<Vec<_>>())
    }

    #[test]
    fn twelve_months_of_one_item_fire_once() {
        use IndicatorName::{Response, Uptime};
        let fired = Trigger::NoImprovement { item: Uptime, last: "2026-12".parse().unwrap() };
        assert_eq!(months((0..11).map(|_| vec![Uptime])), []);
        assert_eq!(months((0..12).map(|_| vec![Uptime])), std::slice::from_ref(&fired));
        assert_eq!(months((0..23).map(|_| vec![Uptime])), [fired]);
        assert_eq!(
            months((0..24).map(|i| if i == 6 { vec![] } else { vec![Uptime] })).len(),
            1,
            "after the good one"
        );
        assert_eq!(
            months((0..12).map(|i| vec![if i % 2 == 0 { Uptime } else { Response }])),
            [],
            "not one item"
        );
        assert_eq!(months((0..12).map(|_| vec![Uptime, Response])).len(), 2);
    }
}
