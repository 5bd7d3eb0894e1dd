//! Parts that are likely to fail soon, as rules ask for them: [`crate::predict::risk`] of each subject
//! of a probe, in one sentence with its numbers.
//!
//! Holds: a part of which no counter was read lately is unknown, never good. Counters that a part does
//! not have are not counted, so that a disk that tells less can only score less.
//!
//! Does not: name a day. Which of two damaged disks fails first nobody can say; a scorecard of dates is
//! nothing for it.

use super::{
    finding::Verdict,
    judgement::{Bench, Judgement},
    notice::Severity,
    rule::FailureRisk,
};
use crate::predict::{
    anomaly::reason::number,
    risk::{Counter, Damage, Risk, risk, same_part_since},
    series::{Point, Series},
};
use std::{collections::BTreeSet, time::Duration};
use tenken_common::{
    id::Name,
    message::{DeskText, Language, PredictText},
    time::Timestamp,
};

/// What was found is over only below this share of the score that it is found from.
const CLEAR: f64 = 0.8;

impl Bench<'_> {
    /// One for each part that has any of the counters.
    pub(super) fn damage(&self, when: &FailureRisk) -> Vec<Judgement> {
        let counts = |s: &&Series| {
            s.key.probe == when.probe && when.counters.iter().flatten().any(|name| *name == s.key.quantity)
        };
        let parts: BTreeSet<&Name> =
            self.device.series.iter().filter(counts).map(|s| &s.key.subject).collect();
        parts.into_iter().map(|part| self.damage_of(when, part)).collect()
    }

    fn damage_of(&self, when: &FailureRisk, part: &Name) -> Judgement {
        let mut j = self.blank(part);
        let of_part = |quantity| self.series(&when.probe, quantity).find(|s| s.key.subject == *part);
        // An old reading says nothing of today.
        let fresh = |quantity| of_part(quantity).filter(|s| self.latest(s).is_some());
        let counter = |name| fresh(name).map(|s| Counter { name, points: self.known(s) });
        let kinds: Vec<Vec<Counter<'_>>> =
            when.counters.iter().map(|kind| kind.iter().filter_map(counter).collect()).collect();
        let age: &[Point] = when.age.as_ref().and_then(of_part).map_or(&[], |s| self.known(s));
        let Some(found) = risk(&kinds, same_part_since(age), self.as_of) else { return j };
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
        let why = |language| sentence(&found, language);
        j.values.set("why", why(Language::Ja), why(Language::En));
        j.values.same("score", format!("{:.1}", found.score));
        j.values.same("from", number(when.score));
        j
    }

    fn known<'s>(&self, series: &'s Series) -> &'s [Point] {
        series.between(Timestamp::MIN, self.as_of)
    }
}

/// All that was damaged, the worst first.
fn sentence(risk: &Risk, language: Language) -> String {
    let parts: Vec<String> =
        risk.told.iter().map(|(name, damage)| told(name.as_str(), damage, language)).collect();
    parts.join(DeskText::Comma.text(language))
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
