//! When a number reaches its limit, as rules ask it: of a series in days, of a wear part in working
//! days of its hospital.
//!
//! Holds: the quick line of [`forecast`] is asked of every series; where it says that the limit is
//! near, the date is that of the models that were tried on the series' own past ([`ahead`]), if
//! they have one. A part wears when there is work: its points are laid on a clock that stands still
//! on closed days, so that a holiday neither ends a trend nor is counted in what is left.
//!
//! Does not: give a date where there is none; a part whose rated life nobody told is not judged.

use super::{
    finding::Verdict,
    judgement::{Bench, Judgement},
    notice::Severity,
    rule::{Forecast, Wear},
};
use crate::{
    evaluation::{FactInput, ForecastResult},
    predict::{
        forecast::{Crossing, Direction, Outcome, Question, Refusal, ahead::ahead, forecast},
        series::{Point, Series, ordered},
    },
    sla::calendar::WorkingClock,
};
use std::time::Duration;
use tenken_common::{
    fact::{Fact, WearDirection},
    id::Name,
    time::Timestamp,
    unit::Unit,
};

/// Crossings beyond this are of no interest.
const HORIZON: Duration = Duration::from_hours(365 * 24);
/// A forecast that began to matter ends to only this much farther away.
const CLEAR_FACTOR: f64 = 1.25;
const DAY: Duration = Duration::from_hours(24);

/// The answer to a question: quickly, and with more care where it matters.
pub fn foresee(points: &[Point], question: &Question, near: Duration) -> Outcome {
    let quick = forecast(points, question);
    match quick {
        Outcome::Crossing(c) if c.at.saturating_since(question.as_of) <= near => {
            match ahead(points, question).outcome {
                // The trend is told as it has been.
                Outcome::Crossing(careful) => Outcome::Crossing(Crossing { per_day: c.per_day, ..careful }),
                Outcome::AlreadyReached | Outcome::Refused(_) => quick,
            }
        }
        Outcome::Crossing(_) | Outcome::AlreadyReached | Outcome::Refused(_) => quick,
    }
}

/// What is near, in the time of the question.
#[derive(Debug, Clone, Copy)]
struct Near {
    within: Duration,
    critical_within: Option<Duration>,
}

impl Near {
    fn clear(self) -> Duration {
        self.within.mul_f64(CLEAR_FACTOR)
    }

    fn verdict(self, outcome: Outcome, as_of: Timestamp) -> (Verdict, Duration) {
        let left = match outcome {
            Outcome::Crossing(c) => c.at.saturating_since(as_of),
            Outcome::AlreadyReached | Outcome::Refused(_) => Duration::ZERO,
        };
        let verdict = match outcome {
            Outcome::AlreadyReached => Verdict::True { seen: as_of },
            Outcome::Crossing(_) if left <= self.within => Verdict::True { seen: as_of },
            Outcome::Crossing(_) if left <= self.clear() => Verdict::Between,
            Outcome::Refused(refusal) if !refusal.is_all_clear() => Verdict::Unknown,
            Outcome::Crossing(_) | Outcome::Refused(_) => Verdict::False,
        };
        (verdict, left)
    }
}

impl Bench<'_> {
    /// Nothing where its limit is not known (a sensor without one).
    pub(super) fn forecast(&self, when: &Forecast, series: &Series) -> Option<(ForecastResult, Judgement)> {
        let limit = self.limit(&when.limit, series)?;
        let (_, value) = series.latest(self.as_of)?;
        let question = Question {
            limit,
            direction: when.direction,
            as_of: self.as_of,
            horizon: HORIZON,
            age_max: self.rule.age_max.0,
        };
        let near = Near { within: when.within.0, critical_within: when.critical_within.map(|c| c.0) };
        let points = series.between(self.as_of.minus(when.history.0), self.as_of);
        let outcome = foresee(points, &question, near.clear());
        let (verdict, left) = near.verdict(outcome, self.as_of);
        let mut j = self.prospect(&series.key.subject, (series.unit, value, limit), outcome);
        j.verdict = verdict;
        if near.critical_within.is_some_and(|c| left <= c) {
            j.severity = Severity::Critical;
        }
        if let Outcome::Crossing(c) = outcome {
            j.number("per_day", c.per_day);
            j.values.amount("per_day", series.unit, c.per_day);
        }
        j.number("days_left", left.as_secs_f64() / 86_400.0);
        j.values.time_span("days_left", left.as_secs_f64());
        let result = self.result(&series.key.subject, &when.quantity, (value, limit), outcome);
        Some((result, j))
    }

    /// Nothing where nobody told how long it lasts, or its line of numbers is not there.
    pub(super) fn wear(&self, when: &Wear, part: &FactInput) -> Option<(ForecastResult, Judgement)> {
        let Fact::WearCounter(counter) = &part.fact else { return None };
        let (limit, direction) = match counter.direction {
            WearDirection::Up => (counter.rated_life?, Direction::Up),
            WearDirection::Down => (0.0, Direction::Down),
        };
        let quantity = &counter.value.name;
        let series = self
            .series(&counter.probe, quantity)
            .find(|s| s.key.subject == part.subject && s.unit == counter.value.unit)?;
        let (seen, value) = series.latest(self.as_of)?;
        let from = self.as_of.minus(when.history.0);
        let clock = WorkingClock::new(&self.device.calendar, from, self.as_of.plus(HORIZON));
        let shown = |at| clock.shown(at);
        let points = ordered(series.between(from, self.as_of).iter().map(|(at, v)| (shown(*at), *v)));
        let now = shown(self.as_of);
        let question = Question { limit, direction, as_of: now, horizon: HORIZON, age_max: Duration::MAX };
        let days = |n: u32| DAY.saturating_mul(n);
        let near =
            Near { within: days(when.within_days), critical_within: when.critical_within_days.map(days) };
        let worked = if self.as_of.saturating_since(seen) > self.rule.age_max.0 {
            Outcome::Refused(Refusal::Stale { last: seen })
        } else {
            foresee(&points, &question, near.clear())
        };
        let (verdict, left) = near.verdict(worked, now);
        let outcome = worn(&clock, worked);
        let mut j = self.prospect(&part.subject, (series.unit, value, limit), outcome);
        j.verdict = verdict;
        if near.critical_within.is_some_and(|c| left <= c) && verdict != Verdict::Unknown {
            j.severity = Severity::Critical;
        }
        let worked_days = |at: Timestamp| at.saturating_since(now).as_secs_f64() / 86_400.0;
        let (low, high, per_day) = match worked {
            Outcome::Crossing(c) => (worked_days(c.low), worked_days(c.high), c.per_day),
            Outcome::AlreadyReached | Outcome::Refused(_) => (0.0, 0.0, 0.0),
        };
        j.number("per_day", per_day);
        j.values.amount("per_day", series.unit, per_day);
        let left = left.as_secs_f64() / 86_400.0;
        j.number("days_left", left);
        // Half a working day is told, as the last one is the one that counts.
        for (name, days) in [("days_left", left), ("days_low", low), ("days_high", high)] {
            j.values.same(name, format!("{days:.0}"));
        }
        let result = self.result(&part.subject, quantity, (value, limit), outcome);
        Some((result, j))
    }

    fn prospect(
        &self,
        subject: &Name,
        (unit, value, limit): (Unit, f64, f64),
        outcome: Outcome,
    ) -> Judgement {
        let mut j = self.blank(subject);
        j.number("value", value);
        j.number("limit", limit);
        j.values.amount("value", unit, value);
        j.values.amount("limit", unit, limit);
        let (at, low, high) = match outcome {
            Outcome::Crossing(c) => (c.at, c.low, c.high),
            Outcome::AlreadyReached | Outcome::Refused(_) => (self.as_of, self.as_of, self.as_of),
        };
        j.values.day("day", at);
        j.values.day("day_low", low);
        j.values.day("day_high", high);
        j
    }

    fn result(
        &self,
        subject: &Name,
        quantity: &Name,
        (value, limit): (f64, f64),
        outcome: Outcome,
    ) -> ForecastResult {
        ForecastResult {
            device: self.device.device,
            rule: self.rule.id.clone(),
            subject: subject.clone(),
            quantity: quantity.clone(),
            value,
            limit,
            outcome,
        }
    }
}

/// By the calendar what was found on the working clock; the trend stays one of working days.
fn worn(clock: &WorkingClock, worked: Outcome) -> Outcome {
    let at = |shown| clock.at(shown);
    match worked {
        Outcome::Crossing(c) => {
            Outcome::Crossing(Crossing { at: at(c.at), low: at(c.low), high: at(c.high), per_day: c.per_day })
        }
        Outcome::Refused(Refusal::TooFar { at: shown }) => {
            Outcome::Refused(Refusal::TooFar { at: at(shown) })
        }
        Outcome::Refused(Refusal::FallsBack { next }) => {
            Outcome::Refused(Refusal::FallsBack { next: at(next) })
        }
        Outcome::AlreadyReached | Outcome::Refused(_) => worked,
    }
}

#[cfg(test)]
mod tests;
