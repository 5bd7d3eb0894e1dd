//! A day in Japan, from 00:00 to 24:00 JST.
//!
//! Holds: a [`Day`] lies in 1955 to 2099 (or is 2100-01-01, the end of the last one): an instant
//! outside counts to the nearest. Japan has been 9 hours ahead of UTC without summer time since
//! 1952, so a day has 24 hours.

use crate::sla::span::Span;
use jiff::{
    civil::{Date, Time, date},
    tz::{Offset, offset},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};
use tenken_common::time::Timestamp;

const JST: Offset = offset(9);

/// A text or numbers that are no day of the calendar.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no date between 1955-01-01 and 2099-12-31 (write it like \"2026-04-01\")")]
pub struct BadDay(String);

/// See the module's head.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

impl Day {
    pub const FIRST: Self = Self(date(1955, 1, 1));
    /// The first day that is not covered any more.
    pub const END: Self = Self(date(2100, 1, 1));

    pub fn new(year: i16, month: i8, day: i8) -> Result<Self, BadDay> {
        let bad = || BadDay(format!("{year:04}-{month:02}-{day:02}"));
        let day = Date::new(year, month, day).map(Self).map_err(|_| bad())?;
        if (Self::FIRST..Self::END).contains(&day) { Ok(day) } else { Err(bad()) }
    }

    /// The day to which an instant belongs.
    pub fn of(at: Timestamp) -> Self {
        let at = at.clamp(Self::FIRST.start(), Self::END.start());
        let at = jiff::Timestamp::from_microsecond(at.as_micros())
            .expect("an instant between 1955 and 2100 is one of jiff's");
        Self(JST.to_datetime(at).date())
    }

    /// 00:00 JST.
    pub fn start(self) -> Timestamp {
        let start = JST
            .to_timestamp(self.0.to_datetime(Time::midnight()))
            .expect("a day between 1955 and 2100 is one of jiff's");
        Timestamp::from_micros(start.as_microsecond())
    }

    /// The 24 hours of the day.
    pub fn span(self) -> Span {
        Span::new(self.start(), self.tomorrow().start())
    }

    pub fn year(self) -> i16 {
        self.0.year()
    }

    /// 1 to 12.
    pub fn month(self) -> i8 {
        self.0.month()
    }

    /// 1 to 31.
    pub fn day_of_month(self) -> i8 {
        self.0.day()
    }

    pub fn weekday(self) -> Weekday {
        use jiff::civil::Weekday as W;
        match self.0.weekday() {
            W::Monday => Weekday::Mon,
            W::Tuesday => Weekday::Tue,
            W::Wednesday => Weekday::Wed,
            W::Thursday => Weekday::Thu,
            W::Friday => Weekday::Fri,
            W::Saturday => Weekday::Sat,
            W::Sunday => Weekday::Sun,
        }
    }

    pub fn tomorrow(self) -> Self {
        Self(self.0.tomorrow().expect("the calendar ends long before jiff's")).min(Self::END)
    }

    pub fn yesterday(self) -> Self {
        Self(self.0.yesterday().expect("the calendar begins long after jiff's")).max(Self::FIRST)
    }

    /// The days of which `span` has a part, in order.
    pub fn in_span(span: Span) -> impl Iterator<Item = Self> {
        let last = (!span.is_empty()).then(|| Self::of(span.to.plus_micros(-1)));
        let mut next = (!span.is_empty()).then(|| Self::of(span.from));
        std::iter::from_fn(move || {
            let day = next.filter(|day| Some(*day) <= last && *day < Self::END)?;
            next = Some(day.tomorrow());
            Some(day)
        })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = BadDay;
    fn from_str(text: &str) -> Result<Self, BadDay> {
        let bad = || BadDay(text.to_owned());
        // jiff alone would also take a date with a time behind it.
        let date = Date::strptime("%Y-%m-%d", text).map_err(|_| bad())?;
        Self::new(date.year(), date.month(), date.day()).map_err(|_| bad())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_hours_are_what_the_zone_database_says() {
        let tokyo = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
        for year in 1955..2100 {
            for month in [1, 4, 7, 10] {
                let day = Day::new(year, month, 1).unwrap();
                let zoned = date(year, month, 1).to_zoned(tokyo.clone()).unwrap();
                assert_eq!(day.start().as_micros(), zoned.timestamp().as_microsecond(), "{day}");
            }
        }
    }

    #[test]
    fn midnight_begins_the_day() {
        let day: Day = "2026-04-01".parse().unwrap();
        assert_eq!(day.start().to_string(), "2026-03-31T15:00:00Z");
        assert_eq!(Day::of(day.start()), day);
        assert_eq!(Day::of(day.start().plus_micros(-1)), day.yesterday());
        assert_eq!((day.weekday(), day.span().len_us()), (Weekday::Wed, 86_400_000_000));
    }

    #[test]
    fn days_of_a_span_and_the_calendars_ends() {
        let day: Day = "2026-12-31".parse().unwrap();
        let days = |from, to| Day::in_span(Span::new(from, to)).map(|d| d.to_string()).collect::<Vec<_>>();
        assert_eq!(days(day.start(), day.tomorrow().start()), ["2026-12-31"]);
        assert_eq!(days(day.start(), day.tomorrow().start().plus_micros(1)), ["2026-12-31", "2027-01-01"]);
        assert!(days(day.start(), day.start()).is_empty());
        assert_eq!(Day::in_span(Span::new(Timestamp::MIN, Timestamp::MAX)).count(), 52_961);
        for bad in ["2026-02-30", "1954-12-31", "2100-01-01", "2026-4-1x", "2026-04-01T00:00", ""] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }
}
