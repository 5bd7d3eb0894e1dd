//! Stops of the remote service (サービス停止, SLA A6.3(2)) as objects: since when, how far, found how,
//! and caused by whom.
//!
//! Holds: a stop whose cause is not settled is undetermined (不明). 乙 may take the blame by itself;
//! that 甲 caused a stop, or that nobody knows after all, needs 甲's agreement. A partial stop is
//! left out only with a named approver. A device's incident never makes a stop.
//!
//! Does not: know service hours, nor exclusions.

use super::{
    agreed::Agreed,
    partition::{Label, Labelled},
    span::Span,
};
use serde::{Deserialize, Serialize};
use tenken_common::{id::Name, time::Timestamp};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    pub id: Name,
    pub from: Timestamp,
    /// `None` while it lasts.
    #[serde(default)]
    pub to: Option<Timestamp>,
    pub source: OutageSource,
    #[serde(default)]
    pub extent: Extent,
    /// In the order in which they were made.
    #[serde(default)]
    pub attributions: Vec<Attribution>,
    #[serde(default)]
    pub note: String,
}

/// How it became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageSource {
    /// The link to the hospital was lost.
    Link,
    /// Somebody entered it.
    Manual,
}

/// How much of the service stood still.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Extent {
    #[default]
    Full,
    /// A part of it. Without serious impact on 甲's work where somebody approved that.
    Partial {
        #[serde(default)]
        no_serious_impact: Option<Name>,
    },
}

/// Who caused it (A4.1(2)②).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Provider,
    Customer,
    Undetermined,
}

/// One judgement of the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    pub at: Timestamp,
    pub cause: Cause,
    /// Who judged, for 乙.
    pub by: Name,
    /// 甲's agreement; needed for every cause but 乙.
    #[serde(default)]
    pub agreed: Option<Agreed>,
}

impl Attribution {
    /// Since when it counts.
    fn counts_from(&self) -> Option<Timestamp> {
        match self.cause {
            Cause::Provider => Some(self.at),
            Cause::Customer | Cause::Undetermined => self.agreed.as_ref().map(|a| a.at.max(self.at)),
        }
    }
}

impl Outage {
    /// The part of it that is known at `as_of`.
    pub fn span(&self, as_of: Timestamp) -> Span {
        Span::new(self.from, self.to.unwrap_or(Timestamp::MAX).min(as_of))
    }

    /// The newest judgement that counted at `as_of`.
    pub fn cause(&self, as_of: Timestamp) -> Cause {
        let counting = self.attributions.iter().enumerate().filter_map(|(i, a)| {
            let from = a.counts_from().filter(|from| *from <= as_of)?;
            Some(((from, i), a.cause))
        });
        counting.max_by_key(|(order, _)| *order).map_or(Cause::Undetermined, |(_, cause)| cause)
    }

    /// Whether it is left out: partial, and somebody approved that it did no serious harm.
    pub fn is_harmless(&self) -> bool {
        matches!(self.extent, Extent::Partial { no_serious_impact: Some(_) })
    }

    /// What it says about the time until `as_of`.
    pub fn claim(&self, as_of: Timestamp) -> Option<Labelled> {
        let span = self.span(as_of);
        let label = match self.cause(as_of) {
            Cause::Provider => Label::DownProvider,
            Cause::Customer => Label::DownCustomer,
            Cause::Undetermined => Label::Undetermined,
        };
        (!span.is_empty() && !self.is_harmless()).then_some(Labelled { span, label })
    }
}

/// Pushes that failed although the collector claims to have been up: undetermined, but for the
/// time of which 甲 agreed that it caused the stop itself.
pub fn contradictions(failed: &[Span], outages: &[Outage], as_of: Timestamp) -> Vec<Labelled> {
    let settled: Vec<Span> = outages
        .iter()
        .filter(|o| o.cause(as_of) == Cause::Customer && !o.is_harmless())
        .map(|o| o.span(as_of))
        .collect();
    let mut left: Vec<Span> =
        failed.iter().filter_map(|span| span.intersect(Span::new(Timestamp::MIN, as_of))).collect();
    for gone in settled {
        left = left.into_iter().flat_map(|span| span.without(gone)).collect();
    }
    left.into_iter().map(|span| Labelled { span, label: Label::Undetermined }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn judged(s: i64, cause: Cause, agreed: Option<i64>) -> Attribution {
        let agreed = agreed.map(|s| Agreed { at: at(s), by: "甲".into() });
        Attribution { at: at(s), cause, by: Name::new("w-1").unwrap(), agreed }
    }

    fn outage(attributions: Vec<Attribution>) -> Outage {
        Outage {
            id: Name::new("o-1").unwrap(),
            from: at(100),
            to: Some(at(200)),
            source: OutageSource::Manual,
            extent: Extent::Full,
            attributions,
            note: String::new(),
        }
    }

    #[test]
    fn the_blame_is_the_providers_own_and_the_hospitals_only_by_agreement() {
        assert_eq!(outage(vec![]).cause(at(999)), Cause::Undetermined);
        assert_eq!(outage(vec![judged(300, Cause::Provider, None)]).cause(at(299)), Cause::Undetermined);
        assert_eq!(outage(vec![judged(300, Cause::Provider, None)]).cause(at(300)), Cause::Provider);
        let blamed = outage(vec![judged(300, Cause::Provider, None), judged(310, Cause::Customer, None)]);
        assert_eq!(blamed.cause(at(999)), Cause::Provider, "甲 did not agree");
        let settled =
            outage(vec![judged(310, Cause::Customer, Some(400)), judged(350, Cause::Provider, None)]);
        assert_eq!(settled.cause(at(399)), Cause::Provider);
        assert_eq!(settled.cause(at(400)), Cause::Customer, "the agreement is the newest");
        let back = outage(vec![judged(300, Cause::Provider, None), judged(310, Cause::Undetermined, None)]);
        assert_eq!(back.cause(at(999)), Cause::Provider, "乙 alone cannot take it back");
    }

    #[test]
    fn it_counts_as_far_as_it_is_known_and_a_harmless_part_does_not() {
        let mut stop = outage(vec![judged(150, Cause::Provider, None)]);
        let claim = |stop: &Outage, s| stop.claim(at(s)).map(|c| (c.span.to, c.label));
        assert_eq!(claim(&stop, 160), Some((at(160), Label::DownProvider)));
        assert_eq!(claim(&stop, 140), Some((at(140), Label::Undetermined)));
        assert_eq!(claim(&stop, 100), None);
        stop.to = None;
        assert_eq!(claim(&stop, 9_999), Some((at(9_999), Label::DownProvider)));
        stop.extent = Extent::Partial { no_serious_impact: None };
        assert!(stop.claim(at(300)).is_some(), "nobody approved that it did no harm");
        stop.extent = Extent::Partial { no_serious_impact: Some(Name::new("w-9").unwrap()) };
        assert_eq!(stop.claim(at(300)), None);
    }

    #[test]
    fn failed_pushes_contradict_but_not_where_the_hospital_took_the_cause() {
        let span = |a, b| Span::new(at(a), at(b));
        let customer = outage(vec![judged(150, Cause::Customer, Some(150))]);
        let found: Vec<Span> = contradictions(&[span(50, 150), span(180, 260)], &[customer], at(250))
            .iter()
            .map(|c| c.span)
            .collect();
        assert_eq!(found, [span(50, 100), span(200, 250)]);
        let provider = outage(vec![judged(150, Cause::Provider, None)]);
        assert_eq!(contradictions(&[span(50, 150)], &[provider], at(250)).len(), 1);
    }

    #[test]
    fn an_agreement_ahead_of_its_judgement_counts_with_it() {
        let mut early = outage(vec![judged(310, Cause::Customer, Some(310))]);
        early.attributions[0].agreed.as_mut().unwrap().at = at(200);
        assert_eq!((early.cause(at(309)), early.cause(at(310))), (Cause::Undetermined, Cause::Customer));
    }

    #[test]
    fn a_harmless_stop_of_the_hospital_explains_no_failed_push() {
        let mut harmless = outage(vec![judged(150, Cause::Customer, Some(150))]);
        harmless.extent = Extent::Partial { no_serious_impact: Some(Name::new("h-7").unwrap()) };
        let failed = Span::new(at(120), at(180));
        let found = contradictions(&[failed], &[harmless], at(250));
        assert_eq!(found, [Labelled { span: failed, label: Label::Undetermined }]);
    }
}
