//! When the service is offered (SLA A1.3): hours of the week, national holidays, and the days that
//! a contract opens or closes on its own.
//!
//! Holds: a day's hours are sorted and do not overlap. An extra day goes before a holiday, a
//! holiday before the week.
//!
//! Does not: know of agreed stops; those are exclusions, judged second by second in the partition.

use super::{
    day::{Day, Weekday},
    holiday_list::HolidayList,
};
use crate::sla::span::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};
use tenken_common::time::Timestamp;

/// A text that is no service hours.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum BadHours {
    #[error("`{0}` is no stretch of a day (write it like \"09:00-17:00\", at latest to 24:00)")]
    Shape(String),
    #[error("`{0}` and `{1}` overlap")]
    Overlap(Hours, Hours),
}

/// A stretch of a day, `09:00-17:00`; the last minute does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// Minutes since 00:00 JST.
    from_min: u16,
    to_min: u16,
}

impl Hours {
    fn on(self, day: Day) -> Span {
        let at = |min: u16| day.start().plus_micros(i64::from(min) * 60_000_000);
        Span::new(at(self.from_min), at(self.to_min))
    }
}

impl FromStr for Hours {
    type Err = BadHours;
    fn from_str(text: &str) -> Result<Self, BadHours> {
        let minutes = |text: &str| -> Option<u16> {
            let (h, m) = text.trim().split_once(':')?;
            let two_digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
            if !two_digits(h) || !two_digits(m) {
                return None;
            }
            let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (m < 60 && h * 60 + m <= 1440).then_some(h * 60 + m)
        };
        text.split_once('-')
            .and_then(|(from, to)| Some(Self { from_min: minutes(from)?, to_min: minutes(to)? }))
            .filter(|hours| hours.from_min < hours.to_min)
            .ok_or_else(|| BadHours::Shape(text.to_owned()))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_min, self.to_min);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// The open hours of one day, sorted, without overlap; empty is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Hours>")]
pub struct OpenHours(Vec<Hours>);

impl OpenHours {
    pub fn hours(&self) -> &[Hours] {
        &self.0
    }
}

impl TryFrom<Vec<Hours>> for OpenHours {
    type Error = BadHours;
    fn try_from(mut hours: Vec<Hours>) -> Result<Self, BadHours> {
        hours.sort_unstable();
        let clash = hours.iter().zip(hours.iter().skip(1)).find(|(a, b)| b.from_min < a.to_min);
        match clash {
            Some((a, b)) => Err(BadHours::Overlap(*a, *b)),
            None => Ok(Self(hours)),
        }
    }
}

/// The hours of an ordinary week. A day that is not named is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weekly {
    pub mon: OpenHours,
    pub tue: OpenHours,
    pub wed: OpenHours,
    pub thu: OpenHours,
    pub fri: OpenHours,
    pub sat: OpenHours,
    pub sun: OpenHours,
}

impl Weekly {
    /// Monday to Friday 09:00-17:00, as in the sample of SLA A1.3.
    pub fn office() -> Self {
        let day = OpenHours(vec![Hours { from_min: 9 * 60, to_min: 17 * 60 }]);
        Self {
            mon: day.clone(),
            tue: day.clone(),
            wed: day.clone(),
            thu: day.clone(),
            fri: day,
            ..Self::default()
        }
    }

    /// Every hour of every day.
    pub fn always() -> Self {
        let d = || OpenHours(vec![Hours { from_min: 0, to_min: 1440 }]);
        Self { mon: d(), tue: d(), wed: d(), thu: d(), fri: d(), sat: d(), sun: d() }
    }

    pub fn on(&self, weekday: Weekday) -> &OpenHours {
        match weekday {
            Weekday::Mon => &self.mon,
            Weekday::Tue => &self.tue,
            Weekday::Wed => &self.wed,
            Weekday::Thu => &self.thu,
            Weekday::Fri => &self.fri,
            Weekday::Sat => &self.sat,
            Weekday::Sun => &self.sun,
        }
    }
}

/// See the module's head. The default is SLA A1.3's: weekdays 09:00-17:00, closed on Saturdays,
/// Sundays and national holidays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceCalendar {
    pub weekly: Weekly,
    pub closed_on_national_holidays: bool,
    /// Days closed besides, such as the turn of the year.
    pub extra_closed: BTreeSet<Day>,
    /// Days open besides, with their hours, even if they are holidays.
    pub extra_open: BTreeMap<Day, OpenHours>,
    /// Of the country and not of the contract, so it is no part of its text.
    #[serde(skip)]
    pub holidays: Arc<HolidayList>,
}

impl Default for ServiceCalendar {
    fn default() -> Self {
        Self {
            weekly: Weekly::office(),
            closed_on_national_holidays: true,
            extra_closed: BTreeSet::new(),
            extra_open: BTreeMap::new(),
            holidays: Arc::default(),
        }
    }
}

impl ServiceCalendar {
    /// Open at every hour of every day, holidays too.
    pub fn always() -> Self {
        Self { weekly: Weekly::always(), closed_on_national_holidays: false, ..Self::default() }
    }

    /// The hours of a day; empty on a closed one.
    pub fn hours_on(&self, day: Day) -> &[Hours] {
        if let Some(extra) = self.extra_open.get(&day) {
            return &extra.0;
        }
        let closed = self.extra_closed.contains(&day)
            || (self.closed_on_national_holidays && self.holidays.name(day).is_some());
        if closed { &[] } else { &self.weekly.on(day.weekday()).0 }
    }

    pub fn is_open(&self, at: Timestamp) -> bool {
        let day = Day::of(at);
        self.hours_on(day).iter().any(|hours| hours.on(day).contains(at))
    }

    /// The open parts of `within`, in order. They do not overlap; two may touch at midnight.
    pub fn open_spans(&self, within: Span) -> impl Iterator<Item = Span> + '_ {
        Day::in_span(within).flat_map(move |day| {
            self.hours_on(day).iter().filter_map(move |hours| hours.on(day).intersect(within))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}+09:00").parse().unwrap()
    }

    fn service_days(calendar: &ServiceCalendar, from: &str, to: &str) -> usize {
        let span = Span::new(from.parse::<Day>().unwrap().start(), to.parse::<Day>().unwrap().start());
        calendar.open_spans(span).count()
    }

    #[test]
    fn opens_at_nine_and_the_closing_second_is_outside() {
        let calendar = ServiceCalendar::default();
        assert!(!calendar.is_open(at("2026-07-17T08:59:59.999999")));
        assert!(calendar.is_open(at("2026-07-17T09:00:00")));
        assert!(calendar.is_open(at("2026-07-17T16:59:59.999999")));
        assert!(!calendar.is_open(at("2026-07-17T17:00:00")));
        assert!(!calendar.is_open(at("2026-07-18T12:00:00")) && !calendar.is_open(at("2026-07-20T12:00:00")));
        assert!(calendar.is_open(at("2026-12-31T12:00:00")) && calendar.is_open(at("2027-01-04T12:00:00")));
    }

    #[test]
    fn service_days_of_fiscal_2026_by_month() {
        let calendar = ServiceCalendar::default();
        let starts = [
            "2026-04-01",
            "2026-05-01",
            "2026-06-01",
            "2026-07-01",
            "2026-08-01",
            "2026-09-01",
            "2026-10-01",
            "2026-11-01",
            "2026-12-01",
            "2027-01-01",
            "2027-02-01",
            "2027-03-01",
            "2027-04-01",
        ];
        let days: Vec<usize> =
            starts.iter().zip(&starts[1..]).map(|(a, b)| service_days(&calendar, a, b)).collect();
        assert_eq!(days, [21, 18, 22, 22, 20, 19, 21, 19, 23, 19, 18, 22]);
        for (year, expected) in [(2023, 246), (2024, 247), (2025, 246), (2026, 244)] {
            let days = service_days(&calendar, &format!("{year}-04-01"), &format!("{}-04-01", year + 1));
            assert_eq!(days, expected, "fiscal {year}");
        }
        assert_eq!(service_days(&calendar, "2019-04-27", "2019-05-07"), 0, "ten closed days in a row");
    }

    #[test]
    fn a_contract_opens_and_closes_days_of_its_own() {
        let text = "extra_closed = ['2026-12-29']\n[extra_open]\n'2026-05-06' = ['10:00-12:00']\n\
                    [weekly]\nmon = ['13:00-17:00', '09:00-12:00']\ntue = ['09:00-17:00']";
        let calendar: ServiceCalendar = toml::from_str(text).unwrap();
        assert!(calendar.is_open(at("2026-05-06T10:00:00")) && !calendar.is_open(at("2026-05-06T12:00:00")));
        assert!(!calendar.is_open(at("2026-12-29T10:00:00")) && !calendar.is_open(at("2026-12-30T10:00:00")));
        assert!(calendar.is_open(at("2026-12-28T11:59:59")) && !calendar.is_open(at("2026-12-28T12:30:00")));
        assert_eq!(service_days(&calendar, "2026-12-28", "2026-12-29"), 2, "morning and afternoon");
    }

    #[test]
    fn hours_that_make_no_sense_are_refused() {
        for bad in [
            "",
            "9-17",
            "9:00-17:00",
            "17:00-09:00",
            "09:00-09:00",
            "00:00-24:01",
            "09:60-17:00",
            "+9:00-17:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
        assert_eq!("00:00-24:00".parse::<Hours>().unwrap().to_string(), "00:00-24:00");
        assert_eq!("08:30-17:15".parse::<Hours>().unwrap().to_string(), "08:30-17:15");
        let overlap = vec!["09:00-12:00".parse().unwrap(), "11:59-13:00".parse().unwrap()];
        assert!(matches!(OpenHours::try_from(overlap), Err(BadHours::Overlap(..))));
        assert!(toml::from_str::<ServiceCalendar>("[weekly]\nmonday = []").is_err());
    }

    #[test]
    fn stretches_that_touch_do_not_overlap() {
        let noon = ["09:00-12:00", "12:00-13:00"].map(|text| text.parse().unwrap());
        let hours = OpenHours::try_from(noon.to_vec()).unwrap();
        assert_eq!(hours.hours(), noon);
    }
}
