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
    /// サービス稼働率.
    Uptime,
    /// 障害対応時間.
    Response,
    /// パターンファイル・セキュリティパッチ, where 乙 has to see to it.
    CurrencyProvider,
    /// The same, where 甲 has to.
    CurrencyCustomer,
    /// 巻末に示す事項.
    Checklist,
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

impl Verdict {
    pub const ALL: [Self; 4] = [Self::Met, Self::NotApplicable, Self::Unknown, Self::Missed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotApplicable => "not_applicable",
            Self::Unknown => "unknown",
            Self::Missed => "missed",
        }
    }
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
    /// There were incidents or items, and none of them is due or done yet.
    NothingDue,
    /// The contract names no device that this party has to see to.
    NoDevice,
    /// No item of the contract's end is due in the period.
    NoItem,
    /// No device reported, or none of the reports could tell.
    NoReport,
}

/// How many things were judged how, where every one of them has to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub met: u32,
    pub missed: u32,
    /// Not known, or not due.
    pub open: u32,
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

impl Tally {
    /// All of them.
    pub const TARGET: f64 = 1.0;

    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut out = Self::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Met => out.met += 1,
                Verdict::Missed => out.missed += 1,
                Verdict::Unknown => out.open += 1,
                Verdict::NotApplicable => {}
            }
        }
        out
    }

    pub fn all(self) -> u32 {
        self.met + self.missed + self.open
    }

    /// The part that was judged; `None` where there is nothing.
    pub fn coverage(self) -> Option<f64> {
        share(self.met + self.missed, self.all())
    }

    /// The share that was met among those judged; the bounds take the open ones as missed and as
    /// met. `nothing` is the reason where there is none, `open` where none is judged.
    pub fn indicator(self, name: IndicatorName, nothing: NullReason, open: NullReason) -> Indicator {
        let estimate = if self.all() == 0 {
            Estimate::nothing(nothing)
        } else {
            let judged = self.met + self.missed;
            Estimate {
                value: share(self.met, judged),
                min: share(self.met, self.all()),
                max: share(self.met + self.open, self.all()),
                reason_for_null: (judged == 0).then_some(open),
            }
        };
        Indicator {
            name,
            estimate,
            target: Some(Self::TARGET),
            verdict: estimate.verdict(Self::TARGET),
            coverage: None,
            unit: Unit::Ratio,
        }
    }
}

fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
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
    pub const ALL: [Self; 5] =
        [Self::Uptime, Self::Response, Self::CurrencyProvider, Self::CurrencyCustomer, Self::Checklist];

    /// As it stands in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uptime => "uptime",
            Self::Response => "response",
            Self::CurrencyProvider => "currency_provider",
            Self::CurrencyCustomer => "currency_customer",
            Self::Checklist => "checklist",
        }
    }

    pub fn message(self) -> Message {
        match self {
            Self::Uptime => Message::SlaUptime,
            Self::Response => Message::SlaResponse,
            Self::CurrencyProvider => Message::SlaCurrencyProvider,
            Self::CurrencyCustomer => Message::SlaCurrencyCustomer,
            Self::Checklist => Message::SlaChecklist,
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
            Self::NoDevice => Message::SlaNoDevice,
            Self::NoItem => Message::SlaNoItem,
            Self::NoReport => Message::SlaNoReport,
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
