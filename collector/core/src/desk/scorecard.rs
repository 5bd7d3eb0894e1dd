//! Every alert that foretold something (a date, or that a part fails soon), judged when its time has come:
//! true, false, or too late.
//!
//! Holds: nothing is left out: an alert is pending until there is something to judge it by, and what
//! was judged is never judged again. A limit that was reached outside of the interval (with
//! [`SLACK`] of the way, at least [`SLACK_MIN`]) was foretold falsely, as was one that was not
//! reached at all. Where people took a step on the incident and the limit was not reached, nobody
//! knows what would have come: that is told apart, and is no success. A device that is not heard
//! is no evidence of anything.
//!
//! Does not: judge what is merely unusual; it foretells no date.

use super::notice::IncidentId;
use crate::{
    evaluation::ForecastResult,
    predict::{
        forecast::{Outcome, Refusal, candidate::count},
        robust::median,
    },
    sla::{
        calendar::{ServiceCalendar, WorkingClock},
        month::Month,
    },
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenken_common::{
    id::{DeviceId, HospitalId, Name},
    time::Timestamp,
};

/// The part of the way from the alert to the date by which it may be off beyond its interval.
pub const SLACK: f64 = 0.25;
pub const SLACK_MIN: Duration = Duration::from_hours(24);
/// An alert that leaves less working time than this came too late.
pub const LEAD_MIN: Duration = Duration::from_hours(24);

/// What an alert foretold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub incident: IncidentId,
    pub hospital: HospitalId,
    pub device: DeviceId,
    pub label: Name,
    pub rule: Name,
    pub subject: Name,
    pub quantity: Name,
    pub alerted: Timestamp,
    /// Where the limit was reached already, all three are the alert's.
    pub at: Timestamp,
    pub low: Timestamp,
    pub high: Timestamp,
    /// When somebody first took a step on the incident.
    pub acted: Option<Timestamp>,
    /// Nothing while it is pending.
    pub judged: Option<Judged>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub score: Score,
    pub at: Timestamp,
    /// Working days from the alert until the limit was reached.
    pub lead_days: Option<f64>,
}

/// How good it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    True,
    False,
    TooLate,
    /// People acted, and the limit was not reached.
    Averted,
}

impl Prediction {
    fn slack(&self) -> Duration {
        self.at.saturating_since(self.alerted).mul_f64(SLACK).max(SLACK_MIN)
    }

    /// Whether a forecast is about the same number.
    pub fn is_about(&self, f: &ForecastResult) -> bool {
        (self.device, &self.rule, &self.subject, &self.quantity)
            == (f.device, &f.rule, &f.subject, &f.quantity)
    }

    /// What can be said of it now; nothing where it has to wait.
    pub fn judge(
        &self,
        now: &ForecastResult,
        as_of: Timestamp,
        calendar: &ServiceCalendar,
    ) -> Option<Judged> {
        let is_over = as_of > self.high.plus(self.slack());
        match now.outcome {
            Outcome::AlreadyReached => Some(self.reached(as_of, calendar)),
            // Any other refusal has looked at a fresh number, which is not at the limit.
            Outcome::Refused(Refusal::Stale { .. } | Refusal::TooFew { have: 0, .. }) => None,
            Outcome::Crossing(_) | Outcome::Refused(_) if is_over => {
                let score = if self.acted.is_some() { Score::Averted } else { Score::False };
                Some(Judged { score, at: as_of, lead_days: None })
            }
            Outcome::Crossing(_) | Outcome::Refused(_) => None,
        }
    }

    fn reached(&self, at: Timestamp, calendar: &ServiceCalendar) -> Judged {
        let clock = WorkingClock::new(calendar, self.alerted, at);
        let lead = clock.shown(at).saturating_since(clock.shown(self.alerted));
        let (low, high) = (self.low.minus(self.slack()), self.high.plus(self.slack()));
        let score = if lead < LEAD_MIN {
            Score::TooLate
        } else if (low..=high).contains(&at) {
            Score::True
        } else {
            Score::False
        };
        Judged { score, at, lead_days: Some(lead.as_secs_f64() / 86_400.0) }
    }
}

/// The alerts of a month, or of all time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scorecard {
    pub month: Option<Month>,
    pub alerts: usize,
    pub correct: usize,
    pub wrong: usize,
    pub too_late: usize,
    pub averted: usize,
    pub pending: usize,
    /// Of those that are judged and were not averted; nothing where there is none.
    pub share_correct: Option<f64>,
    /// The middle one of the correct ones.
    pub lead_days: Option<f64>,
    pub predictions: Vec<Prediction>,
}

impl Scorecard {
    /// By the month in which the alert was made.
    pub fn of(predictions: Vec<Prediction>, month: Option<Month>) -> Self {
        let mut predictions: Vec<Prediction> = predictions
            .into_iter()
            .filter(|p| month.is_none_or(|month| month.span().contains(p.alerted)))
            .collect();
        predictions.sort_by_key(|p| (p.alerted, p.incident));
        let scored = |score: Option<Score>| {
            predictions.iter().filter(|p| p.judged.map(|judged| judged.score) == score).count()
        };
        let (correct, wrong) = (scored(Some(Score::True)), scored(Some(Score::False)));
        let (too_late, averted) = (scored(Some(Score::TooLate)), scored(Some(Score::Averted)));
        let judged = count(correct + wrong + too_late);
        let is_correct = |p: &&Prediction| p.judged.is_some_and(|judged| judged.score == Score::True);
        let mut leads: Vec<f64> =
            predictions.iter().filter(is_correct).filter_map(|p| p.judged?.lead_days).collect();
        Self {
            month,
            alerts: predictions.len(),
            correct,
            wrong,
            too_late,
            averted,
            pending: scored(None),
            share_correct: (judged > 0.0).then(|| count(correct) / judged),
            lead_days: median(&mut leads),
            predictions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{predict::forecast::Crossing, sla::calendar::Day};

    fn day(text: &str) -> Timestamp {
        text.parse::<Day>().unwrap().start().plus(Duration::from_hours(10))
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Alerted on Wednesday 2 September 2026 for the 30th, from the 25th to 5 October.
    fn prediction() -> Prediction {
        Prediction {
            incident: IncidentId(1),
            hospital: HospitalId(name("minato")),
            device: DeviceId([1; 16]),
            label: name("ct-1"),
            rule: name("disk-filling"),
            subject: name("/data"),
            quantity: name("available_bytes"),
            alerted: day("2026-09-02"),
            at: day("2026-09-30"),
            low: day("2026-09-25"),
            high: day("2026-10-05"),
            acted: None,
            judged: None,
        }
    }

    fn now(outcome: Outcome) -> ForecastResult {
        ForecastResult {
            device: DeviceId([1; 16]),
            rule: name("disk-filling"),
            subject: name("/data"),
            quantity: name("available_bytes"),
            value: 1.0,
            limit: 0.0,
            outcome,
        }
    }

    fn scored(p: &Prediction, outcome: Outcome, on: &str) -> Option<(Score, Option<f64>)> {
        let judged = p.judge(&now(outcome), day(on), &ServiceCalendar::default())?;
        Some((judged.score, judged.lead_days.map(f64::round)))
    }

    #[test]
    fn a_limit_that_is_reached_in_time_makes_it_true_with_its_lead() {
        let p = prediction();
        assert!(p.is_about(&now(Outcome::AlreadyReached)));
        assert_eq!(scored(&p, Outcome::AlreadyReached, "2026-09-29"), Some((Score::True, Some(16.0))));
        // A week of slack on either side, and no more.
        assert_eq!(scored(&p, Outcome::AlreadyReached, "2026-09-18").map(|s| s.0), Some(Score::True));
        assert_eq!(scored(&p, Outcome::AlreadyReached, "2026-09-17").map(|s| s.0), Some(Score::False));
        assert_eq!(scored(&p, Outcome::AlreadyReached, "2026-10-12").map(|s| s.0), Some(Score::True));
        assert_eq!(scored(&p, Outcome::AlreadyReached, "2026-10-13").map(|s| s.0), Some(Score::False));
    }

    #[test]
    fn an_alert_that_leaves_no_working_day_is_too_late() {
        let friday = Prediction { alerted: day("2026-09-18"), ..prediction() };
        // Five closed days in a row.
        let reached = |on| scored(&friday, Outcome::AlreadyReached, on).map(|s| s.0);
        assert_eq!(reached("2026-09-23"), Some(Score::TooLate));
        assert_eq!(reached("2026-09-25"), Some(Score::True));
        let at_once = Prediction { at: friday.alerted, low: friday.alerted, high: friday.alerted, ..friday };
        assert_eq!(
            scored(&at_once, Outcome::AlreadyReached, "2026-09-18"),
            Some((Score::TooLate, Some(0.0)))
        );
    }

    #[test]
    fn what_has_passed_without_is_false_unless_people_acted_and_a_silent_device_says_nothing() {
        let p = prediction();
        let away = Outcome::Refused(Refusal::NoTrend);
        assert_eq!(scored(&p, away, "2026-10-12"), None);
        assert_eq!(scored(&p, away, "2026-10-13"), Some((Score::False, None)));
        let acted = Prediction { acted: Some(day("2026-09-03")), ..prediction() };
        assert_eq!(scored(&acted, away, "2026-10-13"), Some((Score::Averted, None)));
        let stale = Outcome::Refused(Refusal::Stale { last: day("2026-09-03") });
        assert_eq!(scored(&p, stale, "2027-01-01"), None);
        let later =
            Crossing { at: day("2026-12-01"), low: day("2026-12-01"), high: day("2026-12-02"), per_day: 1.0 };
        assert_eq!(scored(&p, Outcome::Crossing(later), "2026-10-13").map(|s| s.0), Some(Score::False));
    }

    #[test]
    fn a_month_counts_its_own_alerts_and_hides_none() {
        let judged = |score, lead_days| Prediction {
            judged: Some(Judged { score, at: day("2026-10-01"), lead_days }),
            ..prediction()
        };
        let all = vec![
            prediction(),
            judged(Score::True, Some(4.0)),
            judged(Score::True, Some(10.0)),
            judged(Score::False, None),
            judged(Score::TooLate, Some(0.0)),
            judged(Score::Averted, None),
            Prediction { alerted: day("2026-10-01"), ..prediction() },
        ];
        let card = Scorecard::of(all.clone(), Some(Month::of(day("2026-09-02"))));
        assert_eq!((card.alerts, card.correct, card.wrong, card.too_late), (6, 2, 1, 1));
        assert_eq!((card.averted, card.pending, card.share_correct), (1, 1, Some(0.5)));
        assert_eq!(card.lead_days, Some(7.0));
        assert_eq!(Scorecard::of(all, None).alerts, 7);
        assert_eq!(Scorecard::of(vec![], None).share_correct, None);
    }
}
