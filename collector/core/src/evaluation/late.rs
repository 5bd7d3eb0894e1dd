//! Conditions and what a device tells late: a problem that was there and is over by the time that
//! anybody can know is found all the same, told once, and ends like any other.
//!
//! Holds: what an evaluation at the time would have found, by the same holds, is found; several
//! episodes that come at once are one, from the first of them on.

use super::Ward;
use crate::desk::{
    finding::{Condition, ConditionKey, Holds, Verdict, replay},
    judgement::Judgement,
    rule::Rule,
};
use std::collections::BTreeSet;
use tenken_common::{id::Name, time::Timestamp};

/// A condition after what was told late.
pub(super) enum CaughtUp {
    /// As the evaluation goes on with it.
    Goes(Option<Condition>),
    /// It was there and is not seen any more; nobody was told yet.
    Passed(Condition),
}

impl Ward<'_> {
    /// Takes a condition through what was told since the last evaluation.
    pub(super) fn catch_up(
        &mut self,
        (rule, key, kin): (&Rule, &ConditionKey, &BTreeSet<&Name>),
        before: Option<Condition>,
        (now, told): (&Judgement, &[(Timestamp, Judgement)]),
        holds: Holds,
    ) -> CaughtUp {
        let is_true = |j: &Judgement| matches!(j.verdict, Verdict::True { .. });
        if !told.iter().any(|(_, then)| is_true(then)) {
            return CaughtUp::Goes(before);
        }
        let as_of = self.input.as_of;
        let verdicts: Vec<_> = told.iter().map(|(at, then)| (*at, then.verdict)).collect();
        let known = before.clone().filter(|c| c.active);
        let replayed = replay(before, key, &verdicts, as_of, (holds, rule.age_max.0));
        let mut active =
            told.iter().zip(&replayed.active).filter(|((_, then), active)| **active && is_true(then));
        let since = known.as_ref().map(|c| c.since).or(replayed.active_since);
        let worst = active.clone().map(|(told, _)| told).max_by_key(|(_, then)| then.severity);
        let (Some(since), Some((_, worst)), Some(((last, _), _))) = (since, worst, active.next_back()) else {
            return CaughtUp::Goes(known.or(replayed.condition));
        };
        let is_there = matches!(now.verdict, Verdict::True { .. } | Verdict::Between);
        let gone_from = (now.verdict == Verdict::False).then_some(as_of);
        let late = Condition { key: key.clone(), since, pending_from: since, active: true, gone_from };
        if (known.is_none() && !is_there) || worst.severity > now.severity {
            let mut finding = self.finding(rule, worst.clone(), &late);
            finding.last = (*last).min(as_of);
            if !is_there {
                let ended = told.iter().find(|(at, then)| at > last && !is_true(then)).map(|(at, _)| *at);
                finding.say_late(ended.unwrap_or(*last), now.verdict == Verdict::False);
            }
            self.report(&finding, kin);
        }
        match known {
            Some(known) => CaughtUp::Goes(Some(known)),
            None if is_there => CaughtUp::Goes(Some(late)),
            None => CaughtUp::Passed(late),
        }
    }
}
