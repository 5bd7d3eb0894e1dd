//! Durations that count open hours only (通常業務時間): how much of a span is open, and when a
//! budget is used up.
//!
//! Holds: [`ServiceCalendar::measure`] is additive over adjacent spans, to the microsecond.
//! [`ServiceCalendar::deadline`] is the earliest instant whose measure from the start is the
//! budget (Friday 16:00 and one hour is Friday 17:00). A start outside hours begins at the next
//! opening.

use super::service_calendar::ServiceCalendar;
use crate::sla::span::Span;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
    time::Duration,
};
use tenken_common::time::Timestamp;

/// How far ahead a deadline is looked for.
pub const DEADLINE_HORIZON_DAYS: i64 = 5 * 366;

/// Open time in microseconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BusinessDuration(i64);

impl BusinessDuration {
    pub const ZERO: Self = Self(0);

    /// A negative number counts as zero.
    pub const fn from_micros(us: i64) -> Self {
        Self(if us < 0 { 0 } else { us })
    }

    pub const fn from_secs(s: i64) -> Self {
        Self::from_micros(s.saturating_mul(1_000_000))
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Exact up to 285 years.
    #[expect(clippy::cast_precision_loss, reason = "a double holds 2^53 microseconds exactly")]
    pub fn as_micros_f64(self) -> f64 {
        self.0 as f64
    }

    pub fn as_secs_f64(self) -> f64 {
        self.as_micros_f64() / 1e6
    }
}

impl From<Duration> for BusinessDuration {
    fn from(d: Duration) -> Self {
        Self(i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Add for BusinessDuration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for BusinessDuration {
    type Output = Self;
    /// Zero where `other` is longer.
    fn sub(self, other: Self) -> Self {
        Self::from_micros(self.0.saturating_sub(other.0))
    }
}

impl Sum for BusinessDuration {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for BusinessDuration {
    /// `2:30:00`, hours open-ended; fractions of a second are cut off.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.div_euclid(1_000_000);
        write!(f, "{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }
}

/// A budget that the calendar never gives.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the calendar has less than {budget} of open hours in the 5 years after {start}")]
pub struct DeadlineError {
    pub start: Timestamp,
    pub budget: BusinessDuration,
}

impl ServiceCalendar {
    /// How much of `span` is open.
    pub fn measure(&self, span: Span) -> BusinessDuration {
        self.open_spans(span).map(|open| BusinessDuration::from_micros(open.len_us())).sum()
    }

    /// The earliest instant `t` with `measure(start, t) = budget`. So a budget of zero is used up
    /// at `start` itself, even outside hours.
    pub fn deadline(&self, start: Timestamp, budget: BusinessDuration) -> Result<Timestamp, DeadlineError> {
        if budget.is_zero() {
            return Ok(start);
        }
        let horizon = Span::new(start, start.plus_micros(DEADLINE_HORIZON_DAYS * 86_400_000_000));
        let mut left_us = budget.as_micros();
        for open in self.open_spans(horizon) {
            if left_us <= open.len_us() {
                return Ok(open.from.plus_micros(left_us));
            }
            left_us -= open.len_us();
        }
        Err(DeadlineError { start, budget })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::calendar::Weekly;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}+09:00").parse().unwrap()
    }

    fn hours(h: i64) -> BusinessDuration {
        BusinessDuration::from_secs(h * 3600)
    }

    #[test]
    fn deadlines_of_the_requirements() {
        let calendar = ServiceCalendar::default();
        for (start, budget_h, expected) in [
            ("2026-05-01T16:30:00", 4, "2026-05-07T12:30:00"),
            ("2026-09-18T16:59:30", 1, "2026-09-24T09:59:30"),
            ("2026-09-19T03:00:00", 2, "2026-09-24T11:00:00"),
            ("2026-07-17T17:00:00", 1, "2026-07-21T10:00:00"),
            ("2026-07-17T16:59:59", 1, "2026-07-21T09:59:59"),
            ("2027-03-19T16:00:00", 2, "2027-03-23T10:00:00"),
            ("2025-12-26T16:00:00", 8, "2025-12-29T16:00:00"),
            ("2026-07-17T16:00:00", 1, "2026-07-17T17:00:00"),
            ("2026-07-17T16:00:00.000001", 1, "2026-07-21T09:00:00.000001"),
        ] {
            assert_eq!(
                calendar.deadline(at(start), hours(budget_h)),
                Ok(at(expected)),
                "{start} + {budget_h} h"
            );
        }
    }

    #[test]
    fn measures_of_the_requirements() {
        let calendar = ServiceCalendar::default();
        let outage = Span::new(at("2026-09-18T16:00:00"), at("2026-09-24T10:30:00"));
        assert_eq!(calendar.measure(outage), BusinessDuration::from_secs(9_000));
        assert_eq!(ServiceCalendar::always().measure(outage), BusinessDuration::from_secs(138 * 3600 + 1800));
        let fiscal_2026 = Span::new(at("2026-04-01T00:00:00"), at("2027-04-01T00:00:00"));
        assert_eq!(calendar.measure(fiscal_2026), hours(1_952));
    }

    #[test]
    fn no_budget_is_used_up_at_once_and_a_closed_calendar_gives_none() {
        let night = at("2026-07-18T03:00:00");
        assert_eq!(ServiceCalendar::default().deadline(night, BusinessDuration::ZERO), Ok(night));
        let closed = ServiceCalendar { weekly: Weekly::default(), ..ServiceCalendar::default() };
        let error = closed.deadline(night, hours(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the calendar has less than 1:00:00 of open hours in the 5 years after 2026-07-17T18:00:00Z"
        );
        assert!(ServiceCalendar::default().deadline(Timestamp::MAX, hours(1)).is_err());
    }

    fn calendars() -> impl Strategy<Value = ServiceCalendar> {
        prop_oneof![
            Just(ServiceCalendar::default()),
            Just(ServiceCalendar::always()),
            Just(
                toml::from_str(
                    "extra_closed = ['2026-05-07']\nextra_open = { '2026-05-03' = ['22:00-24:00'] }\n\
                     [weekly]\nmon = ['09:00-12:00', '13:00-17:30']\nthu = ['00:00-24:00']\nfri = ['00:00-02:00']"
                )
                .unwrap()
            ),
        ]
    }

    /// From late April 2026 to mid May, where the holidays are.
    fn instants() -> impl Strategy<Value = Timestamp> {
        (0i64..20 * 86_400_000_000).prop_map(|us| Timestamp::from_secs(1_776_900_000).plus_micros(us))
    }

    proptest! {
        #[test]
        fn measure_is_additive(calendar in calendars(), mut t in prop::array::uniform3(instants())) {
            t.sort_unstable();
            let [a, b, c] = t;
            let parts = calendar.measure(Span::new(a, b)) + calendar.measure(Span::new(b, c));
            prop_assert_eq!(parts, calendar.measure(Span::new(a, c)));
        }

        #[test]
        fn a_deadline_is_the_earliest_instant_with_its_measure(
            calendar in calendars(), start in instants(), budget_us in 1i64..200_000_000_000,
        ) {
            let budget = BusinessDuration::from_micros(budget_us);
            let end = calendar.deadline(start, budget).unwrap();
            prop_assert_eq!(calendar.measure(Span::new(start, end)), budget);
            let before = Span::new(start, end.plus_micros(-1));
            prop_assert_eq!(calendar.measure(before), BusinessDuration::from_micros(budget_us - 1));
        }

        #[test]
        fn what_is_open_is_what_is_measured(calendar in calendars(), at in instants()) {
            let one = calendar.measure(Span::new(at, at.plus_micros(1)));
            prop_assert_eq!(one.as_micros(), i64::from(calendar.is_open(at)));
        }
    }
}
