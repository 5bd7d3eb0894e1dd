//! A clock that runs on working days only and stands still on closed ones, for what wears by work.
//!
//! Holds: a working day is one with any service hours, and takes 24 hours of this clock. It never
//! goes back; an instant on a closed day shows the midnight after the last working one.
//!
//! Does not: count hours within a day; that is [`super::business_time`].

use super::{day::Day, service_calendar::ServiceCalendar};
use crate::sla::span::Span;
use std::time::Duration;
use tenken_common::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingClock {
    /// Starts of the working days, in order.
    days: Vec<Timestamp>,
}

impl ServiceCalendar {
    /// Whether there is any service on a day.
    pub fn is_working(&self, day: Day) -> bool {
        !self.hours_on(day).is_empty()
    }

    /// The working days of which `span` has a part.
    pub fn working_days(&self, span: Span) -> usize {
        Day::in_span(span).filter(|day| self.is_working(*day)).count()
    }
}

impl WorkingClock {
    /// For instants of `from..to`; before and after it stands still.
    pub fn new(calendar: &ServiceCalendar, from: Timestamp, to: Timestamp) -> Self {
        let days = Day::in_span(Span::new(from, to)).filter(|day| calendar.is_working(*day));
        Self { days: days.map(Day::start).collect() }
    }

    /// What it shows at an instant.
    pub fn shown(&self, at: Timestamp) -> Timestamp {
        let begun = self.days.partition_point(|start| *start <= at);
        let Some(start) = begun.checked_sub(1).and_then(|i| self.days.get(i)) else {
            return Timestamp::EPOCH;
        };
        let whole = DAY.saturating_mul(u32::try_from(begun - 1).unwrap_or(u32::MAX));
        Timestamp::EPOCH.plus(whole + at.saturating_since(*start).min(DAY))
    }

    /// The first instant at which it shows that; the end of its last day where it never does.
    pub fn at(&self, shown: Timestamp) -> Timestamp {
        let run = shown.saturating_since(Timestamp::EPOCH);
        let whole = usize::try_from(run.as_secs() / DAY.as_secs()).unwrap_or(usize::MAX);
        let within = run.saturating_sub(DAY.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX)));
        match self.days.get(whole) {
            Some(_) if whole > 0 && within.is_zero() => self.end_of(whole - 1),
            Some(start) => start.plus(within),
            None => self.days.len().checked_sub(1).map_or(Timestamp::EPOCH, |last| self.end_of(last)),
        }
    }

    fn end_of(&self, day: usize) -> Timestamp {
        self.days.get(day).map_or(Timestamp::EPOCH, |start| start.plus(DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}+09:00").parse().unwrap()
    }

    fn clock() -> WorkingClock {
        WorkingClock::new(&ServiceCalendar::default(), at("2026-09-14T00:00:00"), at("2026-10-31T00:00:00"))
    }

    #[test]
    fn five_closed_days_in_a_row_take_no_time() {
        let clock = clock();
        let friday = clock.shown(at("2026-09-18T18:00:00"));
        let thursday = clock.shown(at("2026-09-24T06:00:00"));
        assert_eq!(thursday.saturating_since(friday), Duration::from_hours(12));
        for closed in ["2026-09-19T00:00:00", "2026-09-21T12:00:00", "2026-09-24T00:00:00"] {
            assert_eq!(clock.shown(at(closed)), friday.plus(Duration::from_hours(6)), "{closed}");
        }
        assert_eq!(clock.at(thursday), at("2026-09-24T06:00:00"));
        let week = Span::new(at("2026-09-18T12:00:00"), at("2026-09-25T00:00:00"));
        assert_eq!(ServiceCalendar::default().working_days(week), 2);
    }

    #[test]
    fn a_calendar_that_is_never_open_stands_still() {
        let closed =
            ServiceCalendar { weekly: crate::sla::calendar::Weekly::default(), ..Default::default() };
        let clock = WorkingClock::new(&closed, at("2026-09-14T00:00:00"), at("2026-10-31T00:00:00"));
        assert_eq!(clock.shown(at("2026-09-30T00:00:00")), Timestamp::EPOCH);
        assert_eq!(clock.at(at("2026-09-30T00:00:00")), Timestamp::EPOCH);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_is_read_back(minutes in prop::array::uniform2(0i64..46 * 1_440)) {
            let clock = clock();
            let [a, b] = minutes.map(|m| at("2026-09-14T00:00:00").plus_micros(m * 60_000_000));
            prop_assert_eq!(a <= b && clock.shown(a) > clock.shown(b), false);
            let again = clock.at(clock.shown(a));
            prop_assert!(again <= a && clock.shown(again) == clock.shown(a), "{} {}", again, a);
        }
    }
}
