//! One label for every instant of service time (SLA A6.3(2), A7.1(2)).
//!
//! Holds: the parts are sorted, do not overlap, and tile the open spans up to `as_of` exactly, so
//! their lengths sum to the calendar's. Where several labels apply the highest counts, in the
//! order of [`Label`]. An exclusion touches only time that was stopped or without data: agreed
//! maintenance during which the service was up stays up.
//!
//! Does not: decide who caused a stop, nor whether an exclusion was approved.

use super::{calendar::BusinessDuration, span::Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenken_common::{message::Message, time::Timestamp};

/// What an instant of service time was; a later one goes before an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    Up,
    NoData,
    /// 甲 caused the stop.
    DownCustomer,
    /// Stopped, or not, by whomever: not known (不明).
    Undetermined,
    /// 乙 caused the stop.
    DownProvider,
    /// Excluded afterwards: from the stopped time only.
    ExcludedOther,
    /// Excluded by an agreement made ahead: from the service time too.
    ExcludedPreAgreed,
}

impl Label {
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::NoData,
        Self::DownCustomer,
        Self::Undetermined,
        Self::DownProvider,
        Self::ExcludedOther,
        Self::ExcludedPreAgreed,
    ];

    pub fn is_exclusion(self) -> bool {
        matches!(self, Self::ExcludedOther | Self::ExcludedPreAgreed)
    }

    pub fn message(self) -> Message {
        match self {
            Self::Up => Message::SlaUp,
            Self::NoData => Message::SlaNoData,
            Self::DownCustomer => Message::SlaDownCustomer,
            Self::Undetermined => Message::SlaUndetermined,
            Self::DownProvider => Message::SlaDownProvider,
            Self::ExcludedOther => Message::SlaExcludedOther,
            Self::ExcludedPreAgreed => Message::SlaExcludedPreAgreed,
        }
    }
}

/// A claim about a stretch of time, or a part of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    pub span: Span,
    pub label: Label,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Partition {
    parts: Vec<Labelled>,
}

/// Labels the `open` spans (sorted, not overlapping) up to `as_of` by what `claims` say of them.
pub fn partition(open: impl IntoIterator<Item = Span>, claims: &[Labelled], as_of: Timestamp) -> Partition {
    let mut out = Partition::default();
    for open in open.into_iter().filter_map(|s| s.intersect(Span::new(Timestamp::MIN, as_of))) {
        let here: Vec<Labelled> = claims
            .iter()
            .filter_map(|c| Some(Labelled { span: c.span.intersect(open)?, label: c.label }))
            .collect();
        let cuts: BTreeSet<Timestamp> =
            here.iter().flat_map(|c| [c.span.from, c.span.to]).chain([open.from, open.to]).collect();
        for (from, to) in cuts.iter().zip(cuts.iter().skip(1)) {
            let labels = here.iter().filter(|c| c.span.contains(*from)).map(|c| c.label);
            out.push(Labelled { span: Span::new(*from, *to), label: highest(labels) });
        }
    }
    out
}

/// The label that counts among those that apply.
fn highest(labels: impl Iterator<Item = Label>) -> Label {
    let (mut state, mut exclusion) = (Label::Up, None);
    for label in labels {
        if label.is_exclusion() {
            exclusion = exclusion.max(Some(label));
        } else {
            state = state.max(label);
        }
    }
    if state == Label::Up { state } else { exclusion.unwrap_or(state) }
}

impl Partition {
    /// In order; two that touch have different labels.
    pub fn parts(&self) -> &[Labelled] {
        &self.parts
    }

    /// Time with this label.
    pub fn total(&self, label: Label) -> BusinessDuration {
        self.parts
            .iter()
            .filter(|part| part.label == label)
            .map(|part| BusinessDuration::from_micros(part.span.len_us()))
            .sum()
    }

    /// All service time up to `as_of`, excluded time too.
    pub fn service(&self) -> BusinessDuration {
        self.parts.iter().map(|part| BusinessDuration::from_micros(part.span.len_us())).sum()
    }

    /// Appends what comes after it.
    pub fn extend(&mut self, later: &Self) {
        later.parts.iter().for_each(|part| self.push(*part));
    }

    fn push(&mut self, part: Labelled) {
        match self.parts.last_mut() {
            Some(last) if last.label == part.label && last.span.to == part.span.from => {
                last.span.to = part.span.to;
            }
            Some(_) | None => self.parts.push(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::calendar::{Day, ServiceCalendar};
    use proptest::prelude::*;

    fn span(from: i64, to: i64) -> Span {
        Span::new(Timestamp::from_secs(from), Timestamp::from_secs(to))
    }

    fn labelled(from: i64, to: i64, label: Label) -> Labelled {
        Labelled { span: span(from, to), label }
    }

    #[test]
    fn the_highest_label_counts_and_exclusions_leave_up_alone() {
        let claims = [
            labelled(0, 30, Label::NoData),
            labelled(20, 60, Label::DownCustomer),
            labelled(40, 70, Label::Undetermined),
            labelled(50, 90, Label::DownProvider),
            labelled(80, 200, Label::ExcludedOther),
            labelled(85, 95, Label::ExcludedPreAgreed),
        ];
        let parts = partition([span(10, 100), span(150, 160)], &claims, Timestamp::from_secs(155));
        let expected = [
            labelled(10, 20, Label::NoData),
            labelled(20, 40, Label::DownCustomer),
            labelled(40, 50, Label::Undetermined),
            labelled(50, 80, Label::DownProvider),
            labelled(80, 85, Label::ExcludedOther),
            labelled(85, 90, Label::ExcludedPreAgreed),
            labelled(90, 100, Label::Up),
            labelled(150, 155, Label::Up),
        ];
        assert_eq!(parts.parts(), expected);
        assert_eq!(parts.service(), BusinessDuration::from_secs(95));
    }

    /// Claims within a week of May 2026 around its holidays, at odd microseconds.
    fn claims() -> impl Strategy<Value = Vec<Labelled>> {
        let week_us = 7 * 86_400_000_000i64;
        let one =
            (0..week_us, 0..week_us, prop::sample::select(&Label::ALL[..])).prop_map(|(a, b, label)| {
                let at = |us| monday().plus_micros(us);
                Labelled { span: Span::new(at(a.min(b)), at(a.max(b))), label }
            });
        prop::collection::vec(one, 0..8)
    }

    fn monday() -> Timestamp {
        "2026-05-04".parse::<Day>().unwrap().start()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_500))]

        #[test]
        fn labels_tile_the_service_time_exactly(
            claims in claims(), as_of_us in 0..8 * 86_400_000_000i64, around_the_clock: bool,
            probes in prop::collection::vec(0..7 * 86_400_000_000i64, 20),
        ) {
            let calendar = if around_the_clock { ServiceCalendar::always() } else { ServiceCalendar::default() };
            let week = Span::new(monday(), monday().plus_micros(7 * 86_400_000_000));
            let as_of = monday().plus_micros(as_of_us);
            let got = partition(calendar.open_spans(week), &claims, as_of);

            let expected = calendar.measure(Span::new(week.from, week.to.min(as_of)));
            prop_assert_eq!(got.service(), expected);
            prop_assert_eq!(Label::ALL.into_iter().map(|l| got.total(l)).sum::<BusinessDuration>(), expected);
            for pair in got.parts().windows(2) {
                prop_assert!(pair[0].span.to <= pair[1].span.from);
            }
            // The same answer from a model that looks at single instants.
            for at in probes.into_iter().map(|us| monday().plus_micros(us)) {
                let part = got.parts().iter().find(|p| p.span.contains(at)).map(|p| p.label);
                let claimed = |l: Label| claims.iter().any(|c| c.label == l && c.span.contains(at));
                let state = [Label::DownProvider, Label::Undetermined, Label::DownCustomer, Label::NoData]
                    .into_iter().find(|l| claimed(*l));
                let exclusion =
                    [Label::ExcludedPreAgreed, Label::ExcludedOther].into_iter().find(|l| claimed(*l));
                let model = state.map_or(Label::Up, |state| exclusion.unwrap_or(state));
                let is_service = calendar.is_open(at) && at < as_of;
                prop_assert_eq!(part, is_service.then_some(model));
            }
        }

        #[test]
        fn splitting_a_claim_in_two_changes_nothing(claims in claims(), at_us in 0..7 * 86_400_000_000i64) {
            let calendar = ServiceCalendar::default();
            let week = Span::new(monday(), monday().plus_micros(7 * 86_400_000_000));
            let cut = monday().plus_micros(at_us);
            let split: Vec<Labelled> = claims.iter().flat_map(|c| {
                let middle = cut.clamp(c.span.from, c.span.to);
                [Span::new(c.span.from, middle), Span::new(middle, c.span.to)]
                    .map(|span| Labelled { span, label: c.label })
            }).collect();
            let of = |claims: &[Labelled]| partition(calendar.open_spans(week), claims, week.to);
            prop_assert_eq!(of(&claims), of(&split));
        }
    }
}
