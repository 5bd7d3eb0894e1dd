//! Tests of a year's grade (SLA A7.1(1)②): what is counted, and why there is none.

use super::*;
use crate::sla::{
    consequence::Trigger,
    contract::{Contract, EXAMPLE},
    history::{History, Version},
    indicator::IndicatorName,
    outage::{Attribution, Cause, Extent, Outage, OutageSource},
    report::{Standing, annual::AnnualReport},
    span::Span,
};
use tenken_common::{id::Name, time::Timestamp};

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

/// Of these versions, with nothing known of the service or its devices.
fn history(texts: &[&str]) -> History {
    let agreed = Some(Timestamp::MIN);
    let of =
        |text: &&str| Version { contract: Contract::parse(text).unwrap(), vendor: agreed, hospital: agreed };
    History { versions: texts.iter().map(of).collect(), ..History::default() }
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
    let history = history(&[EXAMPLE]);
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

#[test]
fn the_thresholds_at_the_end_of_the_year_give_its_grade() {
    let generous = EXAMPLE
        .replace("version = 1", "version = 2")
        .replace("2026-04-01", "2027-04-01")
        .replace("A = \"0\"", "A = \"0-90\"")
        .replace("B = \"1-2\"", "B = \"91\"")
        .replace("C = \"3-5\"", "C = \"92\"")
        .replace("D = \"6-\"", "D = \"93-\"");
    let history = history(&[EXAMPLE, &generous]);
    for as_of in ["2027-06-01T00:00:00+09:00", "2027-03-01T00:00:00+09:00"] {
        let evaluation = history.known(as_of.parse().unwrap()).evaluate();
        let first = &evaluation.years[0];
        assert_eq!((first.worst, first.reason_for_null), (Some(Grade::D), None), "{as_of}");
        assert!(evaluation.years.iter().skip(1).all(|year| year.worst == Some(Grade::A)));
    }
}

#[test]
fn what_is_not_certain_gives_no_ground_for_the_end() {
    let known = "2027-04-01T00:00:00+09:00".parse().unwrap();
    let history = history(&[EXAMPLE]);
    let evaluation = history.known(known).evaluate();
    let open = |item| {
        let misses =
            evaluation.months.iter().map(|m| m.misses.iter().flatten().find(|miss| miss.item == item));
        misses.flatten().filter(|miss| (miss.count, miss.open) == (0, 1)).count()
    };
    assert_eq!((open(IndicatorName::Uptime), open(IndicatorName::CurrencyProvider)), (12, 12));
    assert_eq!(evaluation.triggers, []);
}

#[test]
fn a_year_report_looks_at_no_later_month() {
    let stop = |number: usize| {
        let (year, month) = (2026 + (number + 4) / 12, (number + 4) % 12 + 1);
        let at = |day: u32| format!("{year}-{month:02}-{day:02}T00:00:00+09:00").parse().unwrap();
        let by = Name::new("w-1").unwrap();
        let blame = Attribution { at: at(28), cause: Cause::Provider, by, agreed: None };
        Outage {
            id: Name::new(&format!("o-{number}")).unwrap(),
            from: at(5),
            to: Some(at(20)),
            source: OutageSource::Manual,
            extent: Extent::Full,
            attributions: vec![blame],
            note: String::new(),
        }
    };
    // From May 2026 to April 2027.
    let watched = Some(vec![Span::new(Timestamp::MIN, Timestamp::MAX)]);
    let history = History { outages: (0..12).map(stop).collect(), watched, ..history(&[EXAMPLE]) };
    let known = history.known("2027-06-01T00:00:00+09:00".parse().unwrap());
    let fired = |year| {
        let report = AnnualReport::of(&known, year, Standing::Draft).unwrap();
        report.triggers.iter().filter(|t| matches!(t, Trigger::NoImprovement { .. })).count()
    };
    assert_eq!((fired(2026), fired(2027)), (0, 1));
}
