//! National holidays of Japan from the rules of the law (国民の祝日に関する法律, 1948 No. 178, and
//! the one-off laws), 1955 to 2099.
//!
//! Holds: article 2 names the holidays ([`RULES`]); article 3 (2) moves one that falls on a
//! Sunday, since 2007 to the next day that is no holiday itself, before to the Monday; article
//! 3 (3) makes a day between two holidays a day off. Saturdays are not moved. The equinoxes are
//! computed; the National Astronomical Observatory announces them in February of the year before,
//! so a year after [`LAST_ANNOUNCED_YEAR`] is an estimate and says so.
//!
//! Does not: know a law that is not made yet. A one-off holiday is a new line in the table.

use super::day::{Day, Weekday};
use serde::{Deserialize, Serialize};
use tenken_common::message::Message;

/// The last year whose holidays are officially published.
pub const LAST_ANNOUNCED_YEAR: i16 = 2027;

/// Whether a year's holidays are published or computed ahead (推定).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    Announced,
    Estimated,
}

impl Certainty {
    pub fn of_year(year: i16) -> Self {
        if year <= LAST_ANNOUNCED_YEAR { Self::Announced } else { Self::Estimated }
    }

    pub fn message(self) -> Message {
        match self {
            Self::Announced => Message::SlaCalendarAnnounced,
            Self::Estimated => Message::SlaCalendarEstimated,
        }
    }
}

/// A national holiday, or a day off by article 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Holiday {
    pub day: Day,
    /// As the Cabinet Office lists it; `休日` for a day off by article 3.
    pub name: &'static str,
    pub certainty: Certainty,
}

/// What `day` is; `None` for an ordinary day.
pub fn holiday(day: Day) -> Option<Holiday> {
    let name = named(day).or_else(|| (is_substitute(day) || is_sandwiched(day)).then_some(DAY_OFF))?;
    Some(Holiday { day, name, certainty: Certainty::of_year(day.year()) })
}

/// The holidays of a year in order; none outside the calendar.
pub fn of_year(year: i16) -> Vec<Holiday> {
    let Ok(first) = Day::new(year, 1, 1) else { return Vec::new() };
    std::iter::successors(Some(first), |day| Some(day.tomorrow()))
        .take_while(|day| day.year() == year)
        .filter_map(holiday)
        .collect()
}

const DAY_OFF: &str = "休日";
const LAST: i16 = i16::MAX;

/// When in a year.
enum When {
    On(i8, i8),
    /// The n-th Monday of a month.
    Monday(i8, i8),
    VernalEquinox,
    AutumnalEquinox,
}
use When::{AutumnalEquinox, Monday, On, VernalEquinox};

/// `(name, first year, last year, when)`.
const RULES: &[(&str, i16, i16, When)] = &[
    ("元日", 1949, LAST, On(1, 1)),
    ("成人の日", 1949, 1999, On(1, 15)),
    ("成人の日", 2000, LAST, Monday(1, 2)),
    ("建国記念の日", 1967, LAST, On(2, 11)),
    ("天皇誕生日", 2020, LAST, On(2, 23)),
    ("春分の日", 1949, LAST, VernalEquinox),
    ("天皇誕生日", 1949, 1988, On(4, 29)),
    ("みどりの日", 1989, 2006, On(4, 29)),
    ("昭和の日", 2007, LAST, On(4, 29)),
    ("憲法記念日", 1949, LAST, On(5, 3)),
    ("みどりの日", 2007, LAST, On(5, 4)),
    ("こどもの日", 1949, LAST, On(5, 5)),
    ("海の日", 1996, 2002, On(7, 20)),
    ("海の日", 2003, 2019, Monday(7, 3)),
    ("海の日", 2020, 2020, On(7, 23)),
    ("海の日", 2021, 2021, On(7, 22)),
    ("海の日", 2022, LAST, Monday(7, 3)),
    ("山の日", 2016, 2019, On(8, 11)),
    ("山の日", 2020, 2020, On(8, 10)),
    ("山の日", 2021, 2021, On(8, 8)),
    ("山の日", 2022, LAST, On(8, 11)),
    ("敬老の日", 1966, 2002, On(9, 15)),
    ("敬老の日", 2003, LAST, Monday(9, 3)),
    ("秋分の日", 1948, LAST, AutumnalEquinox),
    ("体育の日", 1966, 1999, On(10, 10)),
    ("体育の日", 2000, 2018, Monday(10, 2)),
    ("体育の日（スポーツの日）", 2019, 2019, Monday(10, 2)),
    ("スポーツの日", 2020, 2020, On(7, 24)),
    ("スポーツの日", 2021, 2021, On(7, 23)),
    ("スポーツの日", 2022, LAST, Monday(10, 2)),
    ("文化の日", 1948, LAST, On(11, 3)),
    ("勤労感謝の日", 1948, LAST, On(11, 23)),
    ("天皇誕生日", 1989, 2018, On(12, 23)),
    // One-off laws of the imperial house.
    ("結婚の儀", 1959, 1959, On(4, 10)),
    ("大喪の礼", 1989, 1989, On(2, 24)),
    ("即位礼正殿の儀", 1990, 1990, On(11, 12)),
    ("結婚の儀", 1993, 1993, On(6, 9)),
    ("休日（祝日扱い）", 2019, 2019, On(5, 1)),
    ("休日（祝日扱い）", 2019, 2019, On(10, 22)),
];

/// The first day on which a Sunday's holiday was made up for (law 1973 No. 10).
const SUBSTITUTES_FROM: (i16, i8, i8) = (1973, 4, 12);
/// The first day from which a day between two holidays was off (law 1985 No. 103).
const SANDWICHED_FROM: (i16, i8, i8) = (1985, 12, 27);
/// Since this year a substitute skips further holidays, and a day between may be a Sunday.
const REFORM_YEAR: i16 = 2007;

/// Article 2 and the one-off laws.
fn named(day: Day) -> Option<&'static str> {
    RULES
        .iter()
        .find(|(_, first, last, when)| (*first..=*last).contains(&day.year()) && falls_on(when, day))
        .map(|(name, ..)| *name)
}

fn falls_on(when: &When, day: Day) -> bool {
    let date = (day.month(), day.day_of_month());
    match *when {
        On(month, of_month) => date == (month, of_month),
        Monday(month, nth) => {
            day.weekday() == Weekday::Mon && date.0 == month && (date.1 - 1).div_euclid(7) + 1 == nth
        }
        VernalEquinox => date.0 == 3 && i32::from(date.1) == equinox(day.year(), 20_835_700, 20_843_100),
        AutumnalEquinox => date.0 == 9 && i32::from(date.1) == equinox(day.year(), 23_258_800, 23_248_800),
    }
}

/// The day of the month on which an equinox falls, by the customary formula. The constants are in
/// millionths of a day, for years before 1980 and from it; integers, and division that rounds
/// down, or the years before 1980 go wrong.
fn equinox(year: i16, before_1980: i32, from_1980: i32) -> i32 {
    let years = i32::from(year) - 1980;
    let constant = if years < 0 { before_1980 } else { from_1980 };
    (constant + 242_194 * years).div_euclid(1_000_000) - years.div_euclid(4)
}

/// Article 3 (2), for a day that is not [`named`].
fn is_substitute(day: Day) -> bool {
    if date_of(day) < SUBSTITUTES_FROM {
        return false;
    }
    if day.year() < REFORM_YEAR {
        return day.weekday() == Weekday::Mon && named(day.yesterday()).is_some();
    }
    std::iter::successors(Some(day.yesterday()), |d| Some(d.yesterday()))
        .take_while(|d| named(*d).is_some())
        .any(|d| d.weekday() == Weekday::Sun)
}

/// Article 3 (3), for a day that is not [`named`].
fn is_sandwiched(day: Day) -> bool {
    let may_be =
        date_of(day) >= SANDWICHED_FROM && (day.year() >= REFORM_YEAR || day.weekday() != Weekday::Sun);
    may_be && named(day.yesterday()).is_some() && named(day.tomorrow()).is_some()
}

fn date_of(day: Day) -> (i16, i8, i8) {
    (day.year(), day.month(), day.day_of_month())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_holiday(day: &str) -> bool {
        holiday(day.parse().unwrap()).is_some()
    }

    /// As published by the Cabinet Office.
    const PUBLISHED: [(i16, &str); 9] = [
        (
            2019,
            "1/1 1/14 2/11 3/21 4/29 4/30 5/1 5/2 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/23 10/14 10/22 11/3 11/4 11/23",
        ),
        (2020, "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/23 7/24 8/10 9/21 9/22 11/3 11/23"),
        (2021, "1/1 1/11 2/11 2/23 3/20 4/29 5/3 5/4 5/5 7/22 7/23 8/8 8/9 9/20 9/23 11/3 11/23"),
        (2022, "1/1 1/10 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/18 8/11 9/19 9/23 10/10 11/3 11/23"),
        (2023, "1/1 1/2 1/9 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/17 8/11 9/18 9/23 10/9 11/3 11/23"),
        (
            2024,
            "1/1 1/8 2/11 2/12 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/22 9/23 10/14 11/3 11/4 11/23",
        ),
        (
            2025,
            "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/21 8/11 9/15 9/23 10/13 11/3 11/23 11/24",
        ),
        (2026, "1/1 1/12 2/11 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/20 8/11 9/21 9/22 9/23 10/12 11/3 11/23"),
        (2027, "1/1 1/11 2/11 2/23 3/21 3/22 4/29 5/3 5/4 5/5 7/19 8/11 9/20 9/23 10/11 11/3 11/23"),
    ];

    #[test]
    fn whole_years_are_as_published() {
        for (year, expected) in PUBLISHED {
            let days: Vec<String> =
                of_year(year).iter().map(|h| format!("{}/{}", h.day.month(), h.day.day_of_month())).collect();
            assert_eq!(days.join(" "), expected, "{year}");
        }
    }

    #[test]
    fn the_days_that_others_get_wrong() {
        for day in [
            "2026-05-06", // a Sunday's holiday that moves over two more
            "2026-09-22", // between two holidays
            "2027-03-22",
            "2032-09-21",
            "2025-02-24",
            "2025-11-24",
            "2009-09-22",
            "2015-09-22",
            "1988-05-04", // between two holidays under the law of 1985
            "1973-04-30", // the first substitute
            "2019-04-30",
            "2019-05-02",
        ] {
            assert!(is_holiday(day), "{day}");
        }
        for day in [
            "2018-05-07", // Saturdays are not carried over
            "2026-12-29",
            "2026-12-31",
            "2027-01-04",
            "1986-05-04", // a Sunday, before 2007
            "1956-01-16", // Sunday the 15th, before there were substitutes
            "1973-02-12",
            "1985-05-04",
        ] {
            assert!(!is_holiday(day), "{day}");
        }
    }

    #[test]
    fn equinoxes_before_1980_divide_downwards() {
        for (year, vernal, autumnal) in
            [(1955, 21, 24), (1959, 21, 24), (1960, 20, 23), (1979, 21, 24), (1980, 20, 23), (2099, 20, 23)]
        {
            let found: Vec<_> = of_year(year)
                .iter()
                .filter(|h| h.name.ends_with("分の日"))
                .map(|h| h.day.day_of_month())
                .collect();
            assert_eq!(found, [vernal, autumnal], "{year}");
        }
    }

    #[test]
    fn years_that_are_not_announced_are_estimates() {
        assert!(of_year(2027).iter().all(|h| h.certainty == Certainty::Announced));
        assert!(of_year(2028).iter().all(|h| h.certainty == Certainty::Estimated));
        assert_eq!(of_year(2026).first().map(|h| h.name), Some("元日"));
        assert!(of_year(1954).is_empty() && of_year(2100).is_empty());
    }
}
