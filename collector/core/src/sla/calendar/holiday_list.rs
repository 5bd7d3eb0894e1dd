//! An official list of national holidays (the Cabinet Office's 国民の祝日について), which wins over
//! the rules of the law for the years that it covers.
//!
//! Holds: a year is covered if the list names any day of it, and then the list names all of its
//! holidays. Every other year goes by the law.

use super::{
    day::Day,
    holiday_jp::{self, Certainty},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// See the module's head. Empty: the law's rules alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HolidayList {
    days: BTreeMap<Day, String>,
    #[serde(skip)]
    years: BTreeSet<i16>,
}

/// A line that names no holiday.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum BadHolidayList {
    #[error(
        "line {0} is `{1}`, which is no date and name (write it like \"2026-05-06,NAME\" or \"2026/5/6,NAME\")"
    )]
    Line(usize, String),
    #[error("line {0} names {1} a second time")]
    Twice(usize, Day),
    #[error("there is no holiday in the list")]
    Empty,
}

impl HolidayList {
    /// Lines of `YYYY-MM-DD,name` or `YYYY/M/D,name` in UTF-8; a first line without a date is the
    /// head of the table.
    pub fn parse(text: &str) -> Result<Self, BadHolidayList> {
        let mut days = BTreeMap::new();
        let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
        for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
            match entry(line) {
                Some((day, name)) => {
                    if days.insert(day, name).is_some() {
                        return Err(BadHolidayList::Twice(number, day));
                    }
                }
                None if number == 1 && !line.starts_with(|c: char| c.is_ascii_digit()) => {}
                None => return Err(BadHolidayList::Line(number, line.to_owned())),
            }
        }
        if days.is_empty() { Err(BadHolidayList::Empty) } else { Ok(Self::of_days(days)) }
    }

    pub fn of_days(days: BTreeMap<Day, String>) -> Self {
        let years = days.keys().map(|day| day.year()).collect();
        Self { days, years }
    }

    pub fn days(&self) -> &BTreeMap<Day, String> {
        &self.days
    }

    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The name of a holiday; `None` for an ordinary day.
    pub fn name(&self, day: Day) -> Option<&str> {
        if self.years.contains(&day.year()) {
            self.days.get(&day).map(String::as_str)
        } else {
            holiday_jp::holiday(day).map(|holiday| holiday.name)
        }
    }

    pub fn certainty(&self, year: i16) -> Certainty {
        if self.years.contains(&year) { Certainty::Announced } else { Certainty::of_year(year) }
    }

    /// All holidays of a year in order.
    pub fn of_year(&self, year: i16) -> Vec<(Day, &str)> {
        let Ok(first) = Day::new(year, 1, 1) else { return Vec::new() };
        std::iter::successors(Some(first), |day| Some(day.tomorrow()))
            .take_while(|day| day.year() == year && *day < Day::END)
            .filter_map(|day| Some((day, self.name(day)?)))
            .collect()
    }
}

fn entry(line: &str) -> Option<(Day, String)> {
    let (date, name) = line.split_once(',')?;
    let mut parts = date.trim().split(['-', '/']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let name = name.trim().trim_matches('"');
    let day = Day::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    (parts.next().is_none() && !name.is_empty()).then(|| (day, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn the_list_wins_for_its_years_and_the_law_holds_for_the_others() {
        let text = "国民の祝日・休日月日,国民の祝日・休日名称\n2026/1/1,元日\r\n2026-05-07,臨時の休日\n";
        let list = HolidayList::parse(text).unwrap();
        assert_eq!(list.name(day("2026-05-07")), Some("臨時の休日"));
        assert_eq!(list.name(day("2026-05-06")), None, "the list says so");
        assert_eq!(list.name(day("2027-03-22")), Some("休日"), "the law");
        assert_eq!(list.of_year(2026).len(), 2);
        let later = HolidayList::parse("2031-01-01,元日").unwrap();
        assert_eq!(
            (later.certainty(2031), later.certainty(2032)),
            (Certainty::Announced, Certainty::Estimated)
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = |text: &str| HolidayList::parse(text).unwrap_err();
        assert_eq!(error("2026-01-01,元日\n2026-13-01,x"), BadHolidayList::Line(2, "2026-13-01,x".into()));
        assert_eq!(error("2026-01-01"), BadHolidayList::Line(1, "2026-01-01".into()));
        assert_eq!(error("2026-01-01,a\n2026/1/1,b"), BadHolidayList::Twice(2, day("2026-01-01")));
        assert_eq!((error(""), error("date,name")), (BadHolidayList::Empty, BadHolidayList::Empty));
    }

    #[test]
    fn a_line_is_a_date_and_a_name_and_nothing_else() {
        let error = |text: &str| HolidayList::parse(text).unwrap_err();
        for line in ["2026-01-02,", "2026-01-02-03,x", "2026-01,x", "date,name"] {
            let text = format!("2026-01-01,a\n{line}");
            assert_eq!(error(&text), BadHolidayList::Line(2, line.into()));
        }
        assert_eq!(error("2026-01-02,\n2026-01-01,a"), BadHolidayList::Line(1, "2026-01-02,".into()));
    }
}
