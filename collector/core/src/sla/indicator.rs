//! A figure of the contract with what is known about it (SLA A7.1(1)①): value, bounds, target,
//! verdict, coverage.
//!
//! Holds: a figure without a value says why. The verdict comes from the bounds: met or missed
//! only where what is not known could not change it.

use serde::{Deserialize, Serialize};
use tenken_common::{message::Message, unit::Unit};

/// Which figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndicatorName {
    Uptime,
    Response,
}

/// Whether the target was reached (達成・未達成).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Met,
    /// There was nothing to judge, which is neither good nor bad.
    NotApplicable,
    /// What is not known decides.
    Unknown,
    Missed,
}

/// Why a figure has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NullReason {
    /// The period has no service hours, or all of them are agreed stops.
    NoServiceTime,
    /// Nothing was measured in any of its service hours.
    NoData,
    /// There was no incident to respond to.
    NoCase,
    /// There were incidents, and no response is due or given yet.
    NothingDue,
}

/// A ratio's value with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: Option<f64>,
    /// With everything unknown counted against the provider.
    pub min: Option<f64>,
    /// With everything unknown counted for it.
    pub max: Option<f64>,
    pub reason_for_null: Option<NullReason>,
}

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Indicator {
    pub name: IndicatorName,
    #[serde(flatten)]
    pub estimate: Estimate,
    /// `None` for a period whose segments have different targets.
    pub target: Option<f64>,
    pub verdict: Verdict,
    /// The part of the service time that was measured; `None` where that has no meaning.
    pub coverage: Option<f64>,
    pub unit: Unit,
}

impl Estimate {
    /// No value and no bounds: there is nothing to judge.
    pub const fn nothing(reason: NullReason) -> Self {
        Self { value: None, min: None, max: None, reason_for_null: Some(reason) }
    }

    /// The bounds are quotients that were rounded once, so one that equals the target is seen so.
    pub fn verdict(&self, target: f64) -> Verdict {
        match (self.min, self.max) {
            (Some(min), _) if min >= target => Verdict::Met,
            (_, Some(max)) if max < target => Verdict::Missed,
            (None, None) => Verdict::NotApplicable,
            _ => Verdict::Unknown,
        }
    }
}

impl Verdict {
    pub fn message(self) -> Message {
        match self {
            Self::Met => Message::SlaMet,
            Self::NotApplicable => Message::SlaNotApplicable,
            Self::Unknown => Message::SlaUnknown,
            Self::Missed => Message::SlaMissed,
        }
    }

    /// Of several segments, each judged by its own target: one miss is a miss.
    pub fn of_segments(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let (mut any_met, mut worst) = (false, Self::NotApplicable);
        for verdict in verdicts {
            any_met |= verdict == Self::Met;
            worst = worst.max(verdict);
        }
        if worst == Self::NotApplicable && any_met { Self::Met } else { worst }
    }
}

impl IndicatorName {
    pub fn message(self) -> Message {
        match self {
            Self::Uptime => Message::SlaUptime,
            Self::Response => Message::SlaResponse,
        }
    }
}

impl NullReason {
    pub fn message(self) -> Message {
        match self {
            Self::NoServiceTime => Message::SlaNoServiceTime,
            Self::NoData => Message::SlaNoMeasurement,
            Self::NoCase => Message::SlaNoCase,
            Self::NothingDue => Message::SlaNothingDue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_decide() {
        let of = |min, max| Estimate { value: None, min, max, reason_for_null: None }.verdict(0.99);
        assert_eq!(of(Some(0.99), Some(1.0)), Verdict::Met);
        assert_eq!(of(Some(0.5), Some(0.989_999)), Verdict::Missed);
        assert_eq!(of(Some(0.5), Some(0.99)), Verdict::Unknown);
        assert_eq!(of(None, None), Verdict::NotApplicable);
    }

    #[test]
    fn one_missed_segment_is_a_miss_and_an_empty_one_changes_nothing() {
        use Verdict::{Met, Missed, NotApplicable, Unknown};
        assert_eq!(Verdict::of_segments([Met, Missed, Unknown]), Missed);
        assert_eq!(Verdict::of_segments([Met, Unknown]), Unknown);
        assert_eq!(Verdict::of_segments([NotApplicable, Met]), Met);
        assert_eq!(Verdict::of_segments([]), NotApplicable);
    }
}
