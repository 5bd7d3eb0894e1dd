//! What one rule says of one device now: a [`Judgement`] for each subject it applies to.
//!
//! Holds: a device that is not heard is judged by its silence alone; its last numbers are no
//! state. Numbers and checks older than the rule allows say nothing.

use super::{
    cause::Outage,
    finding::Verdict,
    notice::Severity,
    rule::{CheckIs, ClockSkew, Forecast, Limit, Rule, Threshold, When},
    text::Values,
};
use crate::{
    evaluation::{CheckInput, DeviceInput, ForecastResult},
    intake::{
        device_state::{DeviceState, Liveness},
        ledger::QuarantineReason,
    },
    predict::{
        forecast::{Outcome, Question, forecast},
        series::Series,
    },
};
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    id::{DeviceId, Name},
    message::{DeskText, Language},
    observation::CheckState,
    time::Timestamp,
};

/// Crossings beyond this are of no interest.
const HORIZON: Duration = Duration::from_hours(365 * 24);
/// A forecast that began to matter ends to only this much farther away.
const CLEAR_FACTOR: f64 = 1.25;
/// A clock that was off is right again below this share of the limit.
const CLOCK_CLEAR: f64 = 0.8;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub subject: Name,
    pub verdict: Verdict,
    pub severity: Severity,
    pub numbers: BTreeMap<String, f64>,
    pub values: Values,
    /// The devices that it speaks for, where it is not its own only.
    pub affected: BTreeMap<DeviceId, Name>,
}

impl Judgement {
    pub fn unknown(subject: Name, severity: Severity) -> Self {
        let (numbers, values, affected) = (BTreeMap::new(), Values::default(), BTreeMap::new());
        Self { subject, verdict: Verdict::Unknown, severity, numbers, values, affected }
    }

    fn number(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.to_owned(), value);
    }
}

/// One rule on one device.
pub struct Bench<'a> {
    pub rule: &'a Rule,
    pub device: &'a DeviceInput,
    pub state: DeviceState,
    /// Of its hospital.
    pub outage: Option<&'a Outage>,
    pub as_of: Timestamp,
}

impl Bench<'_> {
    /// Forecasts that were made go to `forecasts`.
    pub fn judge(&self, forecasts: &mut Vec<ForecastResult>) -> Vec<Judgement> {
        let heard = self.state.liveness.is_heard();
        match &self.rule.when {
            When::SilentDevice(_) => vec![self.silent()],
            When::SilentHospital(_) => vec![self.silent_hospital()],
            When::IdentityDoubt(_) => self.identity().into(),
            When::Forecast(when) if heard => self
                .series(&when.probe, &when.quantity)
                .filter_map(|series| {
                    let (result, judgement) = self.forecast(when, series)?;
                    forecasts.push(result);
                    Some(judgement)
                })
                .collect(),
            When::Threshold(when) if heard => self
                .series(&when.probe, &when.quantity)
                .filter_map(|series| self.threshold(when, series))
                .collect(),
            When::Check(when) if heard => {
                let checks = self.device.checks.iter().filter(|c| c.probe == when.probe);
                checks.map(|check| self.check(when, check)).collect()
            }
            When::ClockSkew(when) if heard => self.clock(when).into_iter().collect(),
            When::Forecast(_) | When::Threshold(_) | When::Check(_) | When::ClockSkew(_) => Vec::new(),
        }
    }

    fn series<'b>(&'b self, probe: &'b Name, quantity: &'b Name) -> impl Iterator<Item = &'b Series> {
        self.device.series.iter().filter(move |s| s.key.probe == *probe && s.key.quantity == *quantity)
    }

    fn blank(&self, subject: &Name) -> Judgement {
        Judgement::unknown(subject.clone(), self.rule.severity)
    }

    fn is_old(&self, at: Timestamp) -> bool {
        self.as_of.saturating_since(at) > self.rule.age_max.0
    }

    fn latest(&self, series: &Series) -> Option<(Timestamp, f64)> {
        series.latest(self.as_of).filter(|(at, _)| !self.is_old(*at))
    }

    fn limit(&self, limit: &Limit, of: &Series) -> Option<f64> {
        match limit {
            Limit::Value(value) => Some(*value),
            Limit::Of(share) => self
                .series(&of.key.probe, &share.quantity)
                .find(|s| s.key.subject == of.key.subject)
                .and_then(|s| self.latest(s))
                .map(|(_, value)| value * share.ratio),
        }
    }

    /// Nothing where its limit is not known (a sensor without one).
    fn forecast(&self, when: &Forecast, series: &Series) -> Option<(ForecastResult, Judgement)> {
        let limit = self.limit(&when.limit, series)?;
        let (_, value) = series.latest(self.as_of)?;
        let question = Question {
            limit,
            direction: when.direction,
            as_of: self.as_of,
            horizon: HORIZON,
            age_max: self.rule.age_max.0,
        };
        let outcome = forecast(series.between(self.as_of.minus(when.history.0), self.as_of), &question);
        let mut j = self.blank(&series.key.subject);
        j.number("value", value);
        j.number("limit", limit);
        j.values.amount("value", series.unit, value);
        j.values.amount("limit", series.unit, limit);
        let (at, low, high, per_day) = match outcome {
            Outcome::Crossing(c) => (c.at, c.low, c.high, Some(c.per_day)),
            Outcome::AlreadyReached | Outcome::Refused(_) => (self.as_of, self.as_of, self.as_of, None),
        };
        let left = at.saturating_since(self.as_of);
        j.verdict = match outcome {
            Outcome::AlreadyReached => Verdict::True { seen: self.as_of },
            Outcome::Crossing(_) if left <= when.within.0 => Verdict::True { seen: self.as_of },
            Outcome::Crossing(_) if left <= when.within.0.mul_f64(CLEAR_FACTOR) => Verdict::Between,
            Outcome::Refused(refusal) if !refusal.is_all_clear() => Verdict::Unknown,
            Outcome::Crossing(_) | Outcome::Refused(_) => Verdict::False,
        };
        if when.critical_within.is_some_and(|c| left <= c.0) {
            j.severity = Severity::Critical;
        }
        if let Some(per_day) = per_day {
            j.number("per_day", per_day);
            j.values.amount("per_day", series.unit, per_day);
        }
        j.number("days_left", left.as_secs_f64() / 86_400.0);
        j.values.time_span("days_left", left.as_secs_f64());
        j.values.day("day", at);
        j.values.day("day_low", low);
        j.values.day("day_high", high);
        let result = ForecastResult {
            device: self.device.device,
            rule: self.rule.id.clone(),
            subject: series.key.subject.clone(),
            quantity: when.quantity.clone(),
            value,
            limit,
            outcome,
        };
        Some((result, j))
    }

    fn threshold(&self, when: &Threshold, series: &Series) -> Option<Judgement> {
        let limit = self.limit(&when.limit, series)?;
        let mut j = self.blank(&series.key.subject);
        let Some((seen, value)) = self.latest(series) else { return Some(j) };
        let beyond = |limit: f64| when.direction.reached(value, limit);
        let clear = when.clear_at.as_ref().and_then(|l| self.limit(l, series)).unwrap_or(limit);
        j.verdict = if beyond(limit) {
            Verdict::True { seen }
        } else if beyond(clear) {
            Verdict::Between
        } else {
            Verdict::False
        };
        if when.critical_limit.as_ref().and_then(|l| self.limit(l, series)).is_some_and(beyond) {
            j.severity = Severity::Critical;
        }
        j.number("value", value);
        j.number("limit", limit);
        j.values.amount("value", series.unit, value);
        j.values.amount("limit", series.unit, limit);
        Some(j)
    }

    fn check(&self, when: &CheckIs, check: &CheckInput) -> Judgement {
        let mut j = self.blank(&check.subject);
        if self.is_old(check.at) {
            return j;
        }
        j.verdict = if when.states.contains(&check.state) {
            Verdict::True { seen: check.at }
        } else if check.state == CheckState::Unknown {
            Verdict::Unknown
        } else {
            Verdict::False
        };
        if when.critical_states.contains(&check.state) {
            j.severity = Severity::Critical;
        }
        j.values.same("probe", &check.probe);
        j.values.word("state", check.state.message());
        j
    }

    fn clock(&self, when: &ClockSkew) -> Option<Judgement> {
        let clock = self.device.clock?;
        let (offset, limit) = (clock.offset_s.abs(), when.above.0.as_secs_f64());
        let mut j = self.blank(&whole_device());
        j.verdict = if offset - clock.uncertainty_s > limit {
            Verdict::True { seen: self.as_of }
        } else if offset <= limit * CLOCK_CLEAR {
            Verdict::False
        } else {
            Verdict::Between
        };
        j.number("offset_s", clock.offset_s);
        j.number("limit_s", limit);
        j.values.time_span("offset", offset);
        j.values.time_span("limit", limit);
        Some(j)
    }

    fn silent(&self) -> Judgement {
        let mut j = self.blank(&whole_device());
        let Some(last) = self.device.last_received else { return j };
        let is_of_link = self.outage.is_some_and(|outage| outage.affected.contains_key(&self.device.device));
        if is_of_link || !self.device.identity.is_sure() {
            // Another incident speaks of it.
            return j;
        }
        j.verdict = match self.state.liveness {
            Liveness::Fresh => Verdict::False,
            Liveness::Stale => Verdict::Between,
            Liveness::Silent => Verdict::True { seen: last },
            Liveness::Unknown => Verdict::Unknown,
        };
        j.number("silence_s", self.state.silence.as_secs_f64());
        j.values.minute("last_received", last);
        j.values.time_span("silence", self.state.silence.as_secs_f64());
        j.values.time_span("interval", self.device.expected_interval.as_secs_f64());
        j
    }

    fn silent_hospital(&self) -> Judgement {
        let mut j = self.blank(&link());
        let outage = self.outage.filter(|outage| outage.lead == self.device.device && outage.stands);
        let Some(outage) = outage else {
            j.verdict = Verdict::False;
            return j;
        };
        j.verdict = Verdict::True { seen: outage.last };
        let silence = self.as_of.saturating_since(outage.last).as_secs_f64();
        let labels: Vec<&str> = outage.affected.values().map(Name::as_str).collect();
        j.number("silence_s", silence);
        j.values.same("count", labels.len());
        let list = |language| labels.join(DeskText::Comma.text(language));
        j.values.set("devices", list(Language::Ja), list(Language::En));
        j.values.minute("last_received", outage.last);
        j.values.time_span("silence", silence);
        j.affected.clone_from(&outage.affected);
        j
    }

    fn identity(&self) -> [Judgement; 2] {
        let identity = self.device.identity;
        let quarantined = identity.quarantined.map(|(at, reason)| {
            let what = match reason {
                QuarantineReason::Fork => DeskText::DoubtFork,
                QuarantineReason::Hole => DeskText::DoubtHole,
            };
            (at, what)
        });
        let clone = identity.clone_suspected.map(|at| (at, DeskText::DoubtClone));
        [("quarantine", quarantined), ("clone", clone)].map(|(subject, doubt)| {
            let mut j = self.blank(&Name::of_outside(subject));
            j.verdict = doubt.map_or(Verdict::False, |(seen, _)| Verdict::True { seen });
            if let Some((_, what)) = doubt {
                j.values.set("what", what.text(Language::Ja), what.text(Language::En));
            }
            j
        })
    }
}

/// The subject of what concerns a whole hospital.
fn link() -> Name {
    Name::of_outside("link")
}

/// The subject of what concerns the device as a whole.
pub fn whole_device() -> Name {
    Name::of_outside("device")
}
