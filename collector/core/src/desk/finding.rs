//! A [`Finding`]: what a rule says of one subject; and the [`Condition`] behind it, which waits
//! until it has been true for long enough, and is over when it has been gone for long enough.
//!
//! Holds: what cannot be judged (no data, too old, too short) changes nothing: it is neither the
//! problem nor its end. Between the limit and the point of clearing, an active condition stays.

use super::notice::{Bilingual, Severity};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tenken_common::{
    id::{DeviceId, Name},
    message::{DeskText, Language},
    time::{Timestamp, jst_minute},
};

/// What is wrong with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Name,
    pub device: DeviceId,
    pub subject: Name,
    pub severity: Severity,
    /// When the problem was first there, as far as is known.
    pub since: Timestamp,
    /// When it was last judged.
    pub last: Timestamp,
    /// The devices that it speaks for, where it is not its own only.
    #[serde(default)]
    pub affected: BTreeMap<DeviceId, Name>,
    /// Until when it was there, where it was over before anybody could know of it, as far as is known.
    #[serde(default)]
    pub over: Option<Timestamp>,
    pub numbers: BTreeMap<String, f64>,
    pub finding: Bilingual,
    pub action: Bilingual,
}

impl Finding {
    /// It became known late: it was there until then, and is over or not known any more.
    pub fn say_late(&mut self, until: Timestamp, is_over: bool) {
        let text = if is_over { DeskText::LateOver } else { DeskText::LateUnknown };
        self.over = is_over.then_some(until);
        let until = jst_minute(until);
        let said = |language| text.fill(language, &[("until", until.as_str())]);
        self.finding.ja.push_str(&said(Language::Ja));
        self.finding.en = format!("{} {}", self.finding.en, said(Language::En));
    }
}

/// Of what a condition is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConditionKey {
    pub device: DeviceId,
    pub rule: Name,
    pub subject: Name,
}

/// A condition that is true, or was until lately; one that is not true has none. The shell keeps
/// it from one evaluation to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub key: ConditionKey,
    /// When the problem was first there.
    pub since: Timestamp,
    /// At which evaluation it was first judged true.
    pub pending_from: Timestamp,
    /// It was true for the rule's hold.
    pub active: bool,
    /// At which evaluation it was first judged gone.
    pub gone_from: Option<Timestamp>,
}

/// What one evaluation says of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// With the time of the evidence.
    True {
        seen: Timestamp,
    },
    /// Not so bad as to begin, not so good as to end.
    Between,
    False,
    Unknown,
}

/// How long is long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    pub hold: Duration,
    pub resolve: Duration,
}

/// What became of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is wrong, or was.
    Absent,
    Pending(Condition),
    Active(Condition),
    /// Gone since then, and now for long enough.
    Over {
        gone_from: Timestamp,
    },
}

/// One step of a condition.
pub fn advance(
    before: Option<Condition>,
    key: &ConditionKey,
    verdict: Verdict,
    as_of: Timestamp,
    holds: Holds,
) -> Progress {
    let Some(before) = before else {
        return match verdict {
            Verdict::True { seen } => {
                let since = seen.min(as_of);
                let fresh = Condition {
                    key: key.clone(),
                    since,
                    pending_from: as_of,
                    active: false,
                    gone_from: None,
                };
                held(fresh, as_of, holds.hold)
            }
            Verdict::Between | Verdict::False | Verdict::Unknown => Progress::Absent,
        };
    };
    match (verdict, before.active) {
        (Verdict::True { .. }, false) => held(before, as_of, holds.hold),
        (Verdict::True { .. } | Verdict::Between, true) => {
            Progress::Active(Condition { gone_from: None, ..before })
        }
        (Verdict::Between | Verdict::False, false) => Progress::Absent,
        (Verdict::False, true) => {
            let gone_from = before.gone_from.unwrap_or(as_of);
            if as_of.saturating_since(gone_from) >= holds.resolve {
                Progress::Over { gone_from }
            } else {
                Progress::Active(Condition { gone_from: Some(gone_from), ..before })
            }
        }
        (Verdict::Unknown, true) => Progress::Active(before),
        (Verdict::Unknown, false) => Progress::Pending(before),
    }
}

/// What became of a condition by what was told late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// As it stands now.
    pub condition: Option<Condition>,
    /// Since when it was there, where it was active for a time.
    pub active_since: Option<Timestamp>,
    /// Of each verdict: whether it was active while that stood.
    pub active: Vec<bool>,
}

/// The steps of a condition as evaluations at the time would have taken them: each verdict, the oldest
/// first, stands until the next one, and for no longer than `age_max`.
pub fn replay(
    before: Option<Condition>,
    key: &ConditionKey,
    told: &[(Timestamp, Verdict)],
    as_of: Timestamp,
    (holds, age_max): (Holds, Duration),
) -> Replayed {
    let (mut condition, mut active_since, mut active) = (before, None, Vec::with_capacity(told.len()));
    let ends = told.iter().skip(1).map(|(next, _)| *next).chain([as_of]);
    for ((at, verdict), end) in told.iter().zip(ends) {
        let mut is_active = false;
        for moment in [*at, end.min(at.plus(age_max))] {
            condition = match advance(condition.take(), key, *verdict, moment.min(as_of), holds) {
                Progress::Absent | Progress::Over { .. } => None,
                Progress::Pending(c) => Some(c),
                Progress::Active(c) => {
                    active_since = active_since.or(Some(c.since));
                    is_active = true;
                    Some(c)
                }
            };
        }
        active.push(is_active);
    }
    Replayed { condition, active_since, active }
}

fn held(condition: Condition, as_of: Timestamp, hold: Duration) -> Progress {
    if as_of.saturating_since(condition.pending_from) >= hold {
        Progress::Active(Condition { active: true, gone_from: None, ..condition })
    } else {
        Progress::Pending(condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Holds = Holds { hold: Duration::from_mins(10), resolve: Duration::from_mins(5) };

    fn run(verdicts: &[(i64, Verdict)]) -> Progress {
        let name = |n: &str| Name::new(n).unwrap();
        let key = ConditionKey { device: DeviceId([1; 16]), rule: name("r"), subject: name("s") };
        let mut now = Progress::Absent;
        for (minute, verdict) in verdicts {
            let before = match now {
                Progress::Pending(c) | Progress::Active(c) => Some(c),
                Progress::Absent | Progress::Over { .. } => None,
            };
            now = advance(before, &key, *verdict, Timestamp::from_secs(minute * 60), HOLDS);
        }
        now
    }

    fn bad(minute: i64) -> (i64, Verdict) {
        (minute, Verdict::True { seen: Timestamp::from_secs(minute * 60) })
    }

    #[test]
    fn it_has_to_be_true_for_the_hold_without_a_break() {
        assert!(matches!(run(&[bad(0), bad(9)]), Progress::Pending(_)));
        assert!(matches!(run(&[bad(0), (5, Verdict::False), bad(10)]), Progress::Pending(_)));
        assert!(matches!(run(&[bad(0), (5, Verdict::Between), bad(10)]), Progress::Pending(_)));
        let Progress::Active(c) = run(&[bad(0), (5, Verdict::Unknown), bad(10)]) else { panic!() };
        assert_eq!(c.since, Timestamp::EPOCH);
    }

    #[test]
    fn it_has_to_be_gone_for_the_resolve_hold_without_a_break() {
        let gone = |m| (m, Verdict::False);
        assert!(matches!(run(&[bad(0), bad(10), gone(11), gone(15)]), Progress::Active(_)));
        assert!(matches!(run(&[bad(0), bad(10), gone(11), bad(13), gone(16)]), Progress::Active(_)));
        assert!(matches!(
            run(&[bad(0), bad(10), gone(11), (13, Verdict::Between), gone(16)]),
            Progress::Active(_)
        ));
        let over = Progress::Over { gone_from: Timestamp::from_secs(660) };
        assert_eq!(run(&[bad(0), bad(10), gone(11), gone(16)]), over);
    }

    #[test]
    fn what_cannot_be_judged_ends_nothing() {
        assert!(matches!(run(&[bad(0), bad(10), (900, Verdict::Unknown)]), Progress::Active(_)));
    }
}
