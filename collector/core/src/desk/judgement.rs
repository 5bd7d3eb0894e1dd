//! What one rule says of one device now: a [`Judgement`] for each subject it applies to.
//!
//! Holds: a device that is not heard is judged by its silence alone; its last numbers are no
//! state. Numbers and checks older than the rule allows say nothing.

use super::{
    cause::Outage,
    damage::PartSeen,
    finding::Verdict,
    notice::Severity,
    rule::{AnomalyIs, ClockSkew, Limit, Rule, Threshold, When},
    text::Values,
};
use crate::{
    evaluation::{CheckInput, DeviceInput, ForecastResult},
    intake::{
        device_state::{DeviceState, Liveness},
        ledger::QuarantineReason,
    },
    predict::{
        anomaly::{ALERT, reason::number},
        series::{Series, SeriesKey},
        watch::Noted,
    },
};
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::{
    id::{DeviceId, Name},
    message::{DeskText, Language},
    observation::CheckState,
    time::{Timestamp, jst_minute},
};

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

    pub(super) fn number(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.to_owned(), value);
    }
}

/// One rule on one device.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    pub rule: &'a Rule,
    pub device: &'a DeviceInput,
    /// Its numbers.
    pub series: &'a [Series],
    pub state: DeviceState,
    /// Of its hospital.
    pub outage: Option<&'a Outage>,
    pub as_of: Timestamp,
}

impl Bench<'_> {
    /// Forecasts that were made go to `forecasts`, parts that were looked at to `parts`.
    pub fn judge(&self, forecasts: &mut Vec<ForecastResult>, parts: &mut Vec<PartSeen>) -> Vec<Judgement> {
        let heard = self.state.liveness.is_heard();
        let due = heard && self.device.forecasts_due;
        match &self.rule.when {
            When::SilentDevice(_) => vec![self.silent()],
            When::SilentHospital(_) => vec![self.silent_hospital()],
            When::IdentityDoubt(_) => self.identity().into(),
            When::Forecast(when) if due => self
                .series(&when.probe, &when.quantity)
                .filter_map(|series| {
                    let (result, judgement) = self.forecast(when, series)?;
                    forecasts.push(result);
                    Some(judgement)
                })
                .collect(),
            When::Wear(when) if due => {
                let worn = self.device.facts.iter().filter(|said| *said.fact.probe() == when.probe);
                worn.filter_map(|part| {
                    let (result, judgement) = self.wear(when, part)?;
                    forecasts.push(result);
                    Some(judgement)
                })
                .collect()
            }
            When::PatternFile(when) if heard => self.pattern_files(when),
            When::Patches(when) if heard => self.patches(when),
            When::Threshold(when) if heard => self
                .series(&when.probe, &when.quantity)
                .filter_map(|series| self.threshold(when, series))
                .collect(),
            When::Check(when) if heard => {
                let checks = self.device.checks.iter().filter(|c| c.probe == when.probe);
                let states = (&when.states, &when.critical_states);
                checks.map(|check| self.check(check, &check.subject, states)).collect()
            }
            When::OtherCheck(when) if heard => {
                let checks = self.device.checks.iter().filter(|c| !when.except.contains(&c.probe));
                let states = (&when.states, &when.critical_states);
                checks
                    .map(|check| self.check(check, &other_subject(&check.probe, &check.subject), states))
                    .collect()
            }
            When::ClockSkew(when) if heard => self.clock(when).into_iter().collect(),
            When::Anomaly(when) if heard => self.episodes(when),
            When::FailureRisk(when) if due => self.damage(when, parts),
            When::Forecast(_)
            | When::Wear(_)
            | When::Threshold(_)
            | When::Check(_)
            | When::OtherCheck(_)
            | When::PatternFile(_)
            | When::Patches(_)
            | When::ClockSkew(_)
            | When::Anomaly(_)
            | When::FailureRisk(_) => Vec::new(),
        }
    }

    /// A condition whose subject is not seen now is unknown; but an episode that is told no more is
    /// over.
    pub fn unseen(&self, subject: &Name) -> Judgement {
        let mut j = self.blank(subject);
        if matches!(self.rule.when, When::Anomaly(_)) && self.state.liveness.is_heard() {
            j.verdict = Verdict::False;
        }
        j
    }

    pub(super) fn series<'b>(
        &'b self,
        probe: &'b Name,
        quantity: &'b Name,
    ) -> impl Iterator<Item = &'b Series> {
        self.series.iter().filter(move |s| s.key.probe == *probe && s.key.quantity == *quantity)
    }

    pub(super) fn blank(&self, subject: &Name) -> Judgement {
        Judgement::unknown(subject.clone(), self.rule.severity)
    }

    pub(super) fn is_old(&self, at: Timestamp) -> bool {
        self.as_of.saturating_since(at) > self.rule.age_max.0
    }

    pub(super) fn latest(&self, series: &Series) -> Option<(Timestamp, f64)> {
        series.latest(self.as_of).filter(|(at, _)| !self.is_old(*at))
    }

    pub(super) fn limit(&self, limit: &Limit, of: &Series) -> Option<f64> {
        match limit {
            Limit::Value(value) => Some(*value),
            Limit::Of(share) => self
                .series(&of.key.probe, &share.quantity)
                .find(|s| s.key.subject == of.key.subject)
                .and_then(|s| self.latest(s))
                .map(|(_, value)| value * share.ratio),
        }
    }

    pub(super) fn threshold(&self, when: &Threshold, series: &Series) -> Option<Judgement> {
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

    pub(super) fn check(
        &self,
        check: &CheckInput,
        subject: &Name,
        (states, critical): (&BTreeSet<CheckState>, &BTreeSet<CheckState>),
    ) -> Judgement {
        let mut j = self.blank(subject);
        if self.is_old(check.at) {
            return j;
        }
        j.verdict = if states.contains(&check.state) {
            Verdict::True { seen: check.at }
        } else if check.state == CheckState::Unknown {
            Verdict::Unknown
        } else {
            Verdict::False
        };
        if critical.contains(&check.state) {
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

    /// What came together, each once, by when it began.
    fn episodes(&self, when: &AnomalyIs) -> Vec<Judgement> {
        let mut episodes: BTreeMap<Timestamp, Vec<&Noted>> = BTreeMap::new();
        for noted in self.device.anomalies.iter().filter(|noted| noted.rule == self.rule.id) {
            episodes.entry(noted.began).or_default().push(noted);
        }
        let is_on = |noted: &&Noted| self.as_of.saturating_since(noted.anomaly.committed) <= when.lasts.0;
        let told = episodes.into_iter().filter(|(_, all)| all.iter().any(is_on));
        told.filter_map(|(began, all)| self.episode(began, &all)).collect()
    }

    fn episode(&self, began: Timestamp, all: &[&Noted]) -> Option<Judgement> {
        let strongest = all.iter().map(|noted| &noted.anomaly).max_by(|a, b| {
            // Of two alike the earlier one, so that the order does not matter.
            let earlier = || (b.at, &b.key).cmp(&(a.at, &a.key));
            a.score.total_cmp(&b.score).then_with(earlier)
        })?;
        let series: BTreeSet<&SeriesKey> = all.iter().map(|noted| &noted.anomaly.key).collect();
        let mut j = self.blank(&Name::of_outside(&jst_minute(began).replace(' ', "T")));
        j.verdict = Verdict::True { seen: began };
        j.number("value", strongest.value);
        j.number("score", strongest.score);
        let SeriesKey { subject, probe, quantity, .. } = &strongest.key;
        let of = if *subject == whole_device() { String::new() } else { format!(" {subject}") };
        j.values.same("series", format!("{probe}{of} {quantity}"));
        let why = |language| strongest.reason.sentence(language);
        j.values.set("why", why(Language::Ja), why(Language::En));
        j.values.same("score", number(strongest.score));
        j.values.same("from", number(ALERT));
        j.values.same("others", series.len().saturating_sub(1));
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

/// Of checks of which one rule tells, two may be about the same subject.
pub(super) fn other_subject(probe: &Name, subject: &Name) -> Name {
    Name::of_outside(&format!("{probe}:{subject}"))
}

/// The subject of what concerns a whole hospital.
fn link() -> Name {
    Name::of_outside("link")
}

/// The subject of what concerns the device as a whole.
pub fn whole_device() -> Name {
    Name::of_outside("device")
}
