//! Tests of a year's grade (SLA A7.1(1)②): what is counted, and why there is none.

use super::*;
use crate::sla::{
    contract::{Contract, EXAMPLE},
    history::{History, Version},
    indicator::IndicatorName,
};
use tenken_common::time::Timestamp;

fn rules() -> YearRules {
    let rules = Contract::parse(EXAMPLE).unwrap().rules;
    YearRules { counting: rules.counting, grades: rules.grades, has_contract: true }
}

/// Months with these certain and open misses; `None`: under a contract that does not count.
fn months(misses: &[Option<(u32, u32)>]) -> Vec<SlaMonth> {
    let history = History::default();
    let known = history.known(Timestamp::MAX);
    let of = |(misses, number): (&Option<(u32, u32)>, i8)| {
        let mut month = known.month(Month::new(2026, number).unwrap());
        let item = IndicatorName::Response;
        month.misses = misses.map(|(count, open)| vec![Miss { item, count, open, evidence: vec![] }]);
        month
    };
    misses.iter().zip(1..).map(of).collect()
}

fn year(misses: &[Option<(u32, u32)>], rules: YearRules) -> SlaYear {
    evaluate("2026-01-01".parse().unwrap(), "2026-12-31".parse().unwrap(), true, &months(misses), rules)
}

#[test]
fn what_is_open_widens_the_grade() {
    let counted = [Some((1, 2)), Some((1, 2))];
    let found = year(&counted, rules());
    assert_eq!((found.misses, found.misses_min, found.misses_max), (Some(2), Some(2), Some(6)));
    assert_eq!((found.grade, found.best, found.worst), (Some(Grade::B), Some(Grade::B), Some(Grade::D)));
    assert_eq!(found.reason_for_null, None);
    let mut strict = rules();
    strict.counting = strict.counting.map(|c| Counting { unknown: UnknownCount::Counted, ..c });
    let found = year(&counted, strict);
    assert_eq!((found.misses, found.grade), (Some(6), Some(Grade::D)));
}

#[test]
fn without_rules_there_is_no_grade_and_the_reason_is_said() {
    let one = [Some((1, 0))];
    let reason = |misses: &[Option<(u32, u32)>], rules| {
        let year = year(misses, rules);
        (year.misses, year.grade, year.reason_for_null)
    };
    let without = |f: fn(&mut YearRules)| {
        let mut rules = rules();
        f(&mut rules);
        rules
    };
    let no_contract = without(|r| r.has_contract = false);
    assert_eq!(reason(&one, no_contract).2, Some(NoGrade::NoContract));
    assert_eq!(reason(&[], rules()), (None, None, Some(NoGrade::NoContract)));
    assert_eq!(reason(&one, without(|r| r.counting = None)), (None, None, Some(NoGrade::NoCounting)));
    assert_eq!(reason(&one, without(|r| r.grades = None)), (Some(1), None, Some(NoGrade::NoThresholds)));
    // One month under a version that does not count leaves the whole year open.
    assert_eq!(reason(&[Some((1, 0)), None], rules()), (None, None, Some(NoGrade::NoCounting)));
}

#[test]
fn a_year_ends_with_its_last_second() {
    let agreed = Some(Timestamp::MIN);
    let version = Version { contract: Contract::parse(EXAMPLE).unwrap(), vendor: agreed, hospital: agreed };
    let history = History { versions: vec![version], ..History::default() };
    let end: Timestamp = "2027-04-01T00:00:00+09:00".parse().unwrap();
    let ended = |as_of| {
        let evaluation = history.known(as_of).evaluate();
        let year = evaluation.years.into_iter().next().unwrap();
        (year.first.to_string(), year.last.to_string(), year.ended, year.months.len())
    };
    let year = |ended| ("2026-04-01".to_owned(), "2027-03-31".to_owned(), ended, 12);
    assert_eq!(ended(end), year(true));
    assert_eq!(ended(end.plus_micros(-1)), year(false));
}
