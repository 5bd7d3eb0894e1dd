//! Parts that are likely to fail soon, as rules ask for them: [`crate::predict::risk`] of each subject
//! of a probe, in one sentence with its numbers.
//!
//! Holds: a part of which no counter was read lately is unknown, never good. Counters that a part does
//! not have are not counted, so that a disk that tells less can only score less.
//!
//! Does not: name a day; which of two damaged disks fails first nobody can say. For the scorecard it is
//! foretold to fail within [`HORIZON`], and has failed where the part's own check says so.

use super::{
    finding::Verdict,
    judgement::{Bench, Judgement},
    notice::Severity,
    rule::{DeviceUptime, FailureRisk},
};
use crate::{
    evaluation::{CheckInput, ForecastResult},
    predict::{
        anomaly::reason::number,
        forecast::{Crossing, Outcome},
        risk::{Age, Counter, Damage, Risk, Still, risk},
        series::{Point, Series},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};
use tenken_common::{
    id::Name,
    message::{DeskText, Language, PredictText},
    observation::CheckState,
    time::Timestamp,
};

/// Within which a part fails that was rightly told of. Half of those that were told of in the measurements
/// failed 17 days later or sooner (`tests/FIGURES.md`).
pub const HORIZON: Duration = Duration::from_hours(60 * 24);
/// What was found is over only below this share of the score that it is found from.
const CLEAR: f64 = 0.8;

impl Bench<'_> {
    /// One for each part that has any of the counters; what becomes of them goes to `parts`.
    pub(super) fn damage(&self, when: &FailureRisk, parts_seen: &mut Vec<PartSeen>) -> Vec<Judgement> {
        let counts = |s: &&Series| {
            s.key.probe == when.probe && when.counters.iter().flatten().any(|name| *name == s.key.quantity)
        };
        let parts: BTreeSet<&Name> = self.series.iter().filter(counts).map(|s| &s.key.subject).collect();
        parts.into_iter().map(|part| self.damage_of(when, part, parts_seen)).collect()
    }

    fn damage_of(&self, when: &FailureRisk, part: &Name, parts_seen: &mut Vec<PartSeen>) -> Judgement {
        let mut j = self.blank(part);
        let of_part = |quantity| self.series(&when.probe, quantity).find(|s| s.key.subject == *part);
        // An old reading says nothing of today.
        let fresh = |quantity| of_part(quantity).filter(|s| self.latest(s).is_some());
        let counter = |name| fresh(name).map(|s| Counter { name, points: self.known(s) });
        let kinds: Vec<Vec<Counter<'_>>> =
            when.counters.iter().map(|kind| kind.iter().filter_map(counter).collect()).collect();
        let age = when.age.as_ref();
        let points: &[Point] = age.and_then(of_part).map_or(&[], |s| self.known(s));
        let signs = when.life_signs.iter().filter_map(of_part).map(|s| self.known(s));
        let signs: Vec<&[Point]> = signs.collect();
        let runs_since = age.and_then(fresh).and_then(|_| self.runs_since(when.uptime.as_ref()?));
        let age_of_part = Age { points, life_signs: &signs, runs_since };
        let Some(found) = risk(&kinds, &age_of_part, self.as_of) else { return j };
        let prospect = self.part_prospect(when, part, found.score);
        parts_seen.push(PartSeen { prospect, since: found.since });
        j.verdict = if found.score >= when.score {
            Verdict::True { seen: self.as_of }
        } else if found.score >= CLEAR * when.score {
            Verdict::Between
        } else {
            Verdict::False
        };
        if when.critical_score.is_some_and(|critical| found.score >= critical) {
            j.severity = Severity::Critical;
        }
        j.number("score", found.score);
        for (name, damage) in &found.told {
            j.number(name.as_str(), damage.value);
        }
        let still = found.still.as_ref().zip(age);
        if let Some((still, age)) = still {
            j.number(age.as_str(), still.value);
        }
        let why = |language| sentence(&found, still, language);
        j.values.set("why", why(Language::Ja), why(Language::En));
        j.values.same("score", format!("{:.1}", found.score));
        j.values.same("from", number(when.score));
        j
    }

    /// It fails within the horizon, or has failed by its own account.
    fn part_prospect(&self, when: &FailureRisk, part: &Name, score: f64) -> ForecastResult {
        let fails = |c: &CheckInput| {
            c.probe == when.probe
                && c.subject == *part
                && c.state == CheckState::Critical
                && !self.is_old(c.at)
        };
        let end = self.as_of.plus(HORIZON);
        let outcome = if self.device.checks.iter().any(fails) {
            Outcome::AlreadyReached
        } else {
            Outcome::Crossing(Crossing { at: end, low: self.as_of, high: end, per_day: 0.0 })
        };
        ForecastResult {
            device: self.device.device,
            rule: self.rule.id.clone(),
            subject: part.clone(),
            quantity: Name::of_outside("failure"),
            value: score,
            limit: when.score,
            outcome,
        }
    }

    /// The device, without a break.
    fn runs_since(&self, uptime: &DeviceUptime) -> Option<Timestamp> {
        let series = self.series(&uptime.probe, &uptime.quantity).next()?;
        let (at, seconds) = self.latest(series)?;
        Some(at.minus(Duration::try_from_secs_f64(seconds).ok()?))
    }

    fn known<'s>(&self, series: &'s Series) -> &'s [Point] {
        series.between(Timestamp::MIN, self.as_of)
    }
}

/// A part that was read lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartSeen {
    /// When it fails, for who keeps the score; no date that anybody should plan by.
    pub prospect: ForecastResult,
    /// Since when this very part is there, as far as is known.
    pub since: Timestamp,
}

/// That its age stands still, and all that was damaged, the worst first.
fn sentence(risk: &Risk, still: Option<(&Still, &Name)>, language: Language) -> String {
    let still = still.map(|(still, age)| stands(age.as_str(), still, language));
    let damaged = risk.told.iter().map(|(name, damage)| told(name.as_str(), damage, language));
    let parts: Vec<String> = still.into_iter().chain(damaged).collect();
    parts.join(DeskText::Comma.text(language))
}

fn stands(age: &str, still: &Still, language: Language) -> String {
    let hours = format!("{:.0}", still.lasts.as_secs_f64() / 3_600.0);
    let value = number(still.value);
    let values = [("name", age), ("value", value.as_str()), ("hours", hours.as_str())];
    PredictText::StandsStill.fill(language, &values)
}

fn told(name: &str, damage: &Damage, language: Language) -> String {
    let [month, week] = &damage.climbs;
    let (value, in_month, in_week) = (number(damage.value), number(month.by), number(week.by));
    let days = |over: Duration| format!("{:.0}", (over.as_secs_f64() / 86_400.0).ceil());
    let mut values = vec![("name", name), ("value", value.as_str())];
    if month.over.is_zero() {
        return PredictText::DamageAlone.fill(language, &values);
    }
    let (long, short) = (days(month.over), days(week.over));
    values.extend([("by", in_month.as_str()), ("days", long.as_str())]);
    values.extend([("in_week", in_week.as_str()), ("week", short.as_str())]);
    let text = if week.over == month.over || week.over.is_zero() {
        PredictText::DamageLately
    } else {
        PredictText::Damage
    };
    text.fill(language, &values)
}

#[cfg(test)]
mod tests;
