//! A month of the SLA: every figure that the contract names, by contract version and in all
//! (SLA A6.5(1)①, A7.1(1)).
//!
//! Holds: the result depends on its input only, `as_of` included. Each segment of a month is judged
//! by the version in force in it; a response belongs to the segment in which its clock started. The
//! month misses an indicator once, however many of its segments do.
//!
//! Does not: seal a month. One that has not ended is evaluated as far as it went.

use super::{
    availability,
    calendar::{BadDay, BusinessDuration, Certainty, Day},
    checklist::{self, ChecklistMonth},
    contract::{Contract, ExclusionClass, Party},
    currency::{self, CurrencyMonth},
    exclusion::{Exclusion, ExclusionState},
    history::Known,
    indicator::{Indicator, IndicatorName, Verdict},
    job::{self, JobMonth},
    miss::{self, Explanation, Miss},
    outage::{Cause, Extent, Outage},
    partition::{Labelled, Partition, partition},
    response::{ResponseClock, ResponseSummary},
    span::Span,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    str::FromStr,
};
use tenken_common::{
    id::{ContractId, Name},
    time::Timestamp,
};

/// A calendar month in Japan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    first: Day,
}

/// A text that is no month.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no month between 1955-01 and 2099-12 (write it like \"2026-11\")")]
pub struct BadMonth(String);

impl Month {
    /// `month` is 1 to 12.
    pub fn new(year: i16, month: i8) -> Result<Self, BadDay> {
        Ok(Self { first: Day::new(year, month, 1)? })
    }

    /// The month to which an instant belongs; the calendar's last for one after its end.
    pub fn of(at: Timestamp) -> Self {
        let day = Day::of(at).min(Day::END.yesterday());
        Self::new(day.year(), day.month()).expect("the first of a day's month is a day")
    }

    /// From 00:00 JST of its first day to that of the next month's.
    pub fn span(self) -> Span {
        // No month has more than 31 days, and none after it fewer than 28.
        let next = (0..31).fold(self.first, |day, _| day.tomorrow());
        let end = (1..next.day_of_month()).fold(next, |day, _| day.yesterday());
        Span::new(self.first.start(), end.start())
    }

    pub fn year(self) -> i16 {
        self.first.year()
    }

    /// The one after it; `None` at the calendar's end.
    pub fn next(self) -> Option<Self> {
        let first = Day::of(self.span().to);
        (first < Day::END).then_some(Self { first })
    }

    /// Every month from this to `last`, both included.
    pub fn to(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |month| month.next()).take_while(move |month| *month <= last)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

impl FromStr for Month {
    type Err = BadMonth;
    fn from_str(text: &str) -> Result<Self, BadMonth> {
        let bad = || BadMonth(text.to_owned());
        let first = if text.len() == 7 { format!("{text}-01").parse() } else { return Err(bad()) };
        first.map(|first| Self { first }).map_err(|_| bad())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A month's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlaMonth {
    pub month: Month,
    pub as_of: Timestamp,
    /// Whether the month had ended at `as_of`.
    pub ended: bool,
    /// Whether the holidays of its year are published or estimated (推定).
    pub calendar: Certainty,
    /// By contract version, in order; empty before the first contract.
    pub segments: Vec<SlaSegment>,
    /// Over all segments: the figures of the whole, the verdict from the segments' own.
    pub indicators: Vec<Indicator>,
    pub responses: ResponseSummary,
    pub partition: Partition,
    pub outages: Vec<OutageMonth>,
    pub exclusions: Vec<ExclusionMonth>,
    pub currency: Vec<CurrencyMonth>,
    pub checklist: Vec<ChecklistMonth>,
    pub jobs: JobMonth,
    /// By item; `None` where the contract does not say what counts.
    pub misses: Option<Vec<Miss>>,
    /// Reasons and plans for what was missed.
    pub explanations: Vec<Explanation>,
    /// Missed for certain, without a reason and a plan: such a month cannot be sealed (A7.2).
    pub unexplained: Vec<IndicatorName>,
}

/// A part of a month under one contract version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlaSegment {
    pub contract: ContractId,
    pub version: u32,
    pub span: Span,
    pub indicators: Vec<Indicator>,
    pub responses: ResponseSummary,
    pub clocks: Vec<ResponseClock>,
    pub currency: Vec<CurrencyMonth>,
    pub checklist: Vec<ChecklistMonth>,
    pub partition: Partition,
}

/// A stop that touches a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutageMonth {
    pub id: Name,
    /// All of it, as far as it was known.
    pub span: Span,
    pub cause: Cause,
    /// Its service time in the month.
    pub in_service: BusinessDuration,
    /// Partial, and left out because this person approved that it did no serious harm.
    pub harmless: Option<Name>,
}

/// An exclusion that touches a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExclusionMonth {
    pub id: Name,
    pub span: Span,
    pub class: Option<ExclusionClass>,
    pub reason: Option<String>,
    pub state: ExclusionState,
}

impl SlaMonth {
    /// The month's verdict on an item; `None` where it was not judged.
    pub fn verdict(&self, item: IndicatorName) -> Option<Verdict> {
        self.indicators.iter().find(|i| i.name == item).map(|i| i.verdict)
    }
}

/// See the module's head.
pub fn evaluate(known: &Known<'_>, month: Month) -> SlaMonth {
    let (span, as_of, history) = (month.span(), known.as_of, known.history);
    let claims: Vec<Labelled> = known
        .claims
        .iter()
        .filter_map(|claim| Some(Labelled { span: claim.span.intersect(span)?, label: claim.label }))
        .collect();
    let segments: Vec<SlaSegment> = known
        .contracts
        .segments(span)
        .map(|(span, contract)| segment(known, span, contract, &claims))
        .collect();
    let mut whole = Partition::default();
    for segment in &segments {
        whole.extend(&segment.partition);
    }
    let responses = ResponseSummary::of(segments.iter().flat_map(|segment| &segment.clocks));
    let last = Span::new(Timestamp::MIN, span.to.min(as_of)).to.plus_micros(-1);
    let rules = known.contracts.in_force(last).map(|contract| &contract.rules);
    let mut out = SlaMonth {
        month,
        as_of,
        ended: span.to <= as_of,
        calendar: history.holidays.certainty(month.year()),
        indicators: Vec::new(),
        responses,
        outages: outages(known, span),
        exclusions: exclusions(known, span),
        currency: currency_of(&segments),
        checklist: segments.iter().flat_map(|segment| segment.checklist.clone()).collect(),
        jobs: job::month(&history.jobs, &history.accesses, span, as_of),
        misses: None,
        explanations: history.explanations.iter().filter(|e| e.month == month).cloned().collect(),
        unexplained: Vec::new(),
        partition: whole,
        segments,
    };
    out.indicators = in_all(&out);
    out.misses = rules.and_then(|rules| rules.counting).map(|counting| miss::of_month(&out, counting));
    out.explanations.sort_by_key(|e| e.item);
    let explained = |item: IndicatorName| out.explanations.iter().any(|e| e.item == item);
    let missed = out.misses.iter().flatten().filter(|miss| miss.count > 0).map(|miss| miss.item);
    out.unexplained = missed.filter(|item| !explained(*item)).collect();
    out
}

fn segment(known: &Known<'_>, span: Span, contract: &Contract, claims: &[Labelled]) -> SlaSegment {
    let (history, as_of) = (known.history, known.as_of);
    let partition = partition(contract.service_hours.open_spans(span), claims, as_of);
    let clocks: Vec<_> = known.clocks.iter().filter(|clock| span.contains(clock.start)).copied().collect();
    let responses = ResponseSummary::of(&clocks);
    let mut indicators =
        vec![availability::indicator(&partition, contract.targets.uptime), responses.indicator()];
    let known_span = Span::new(span.from, span.to.min(as_of));
    let mut currency = Vec::new();
    if let Some(terms) = contract.rules.currency.as_ref().filter(|_| !known_span.is_empty()) {
        for device in history.covered(contract) {
            currency.extend(currency::device_months(&device, terms, known_span));
        }
        indicators.extend(Party::ALL.map(|party| currency::indicator(&currency, party)));
    }
    let checklist = checklist::due_in(&contract.rules, &history.checklist, span, as_of);
    if !contract.rules.checklist.is_empty() {
        indicators.push(checklist::indicator(&checklist));
    }
    SlaSegment {
        contract: contract.id.clone(),
        version: contract.version,
        span,
        indicators,
        responses,
        clocks,
        currency,
        checklist,
        partition,
    }
}

/// One device and kind over all segments; apart where another party answers for it.
fn currency_of(segments: &[SlaSegment]) -> Vec<CurrencyMonth> {
    let mut all: BTreeMap<_, CurrencyMonth> = BTreeMap::new();
    for part in segments.iter().flat_map(|segment| &segment.currency) {
        match all.entry((part.device.clone(), part.kind, part.responsible)) {
            Entry::Vacant(place) => {
                place.insert(part.clone());
            }
            Entry::Occupied(mut place) => {
                let whole = place.get_mut();
                whole.verdict = Verdict::of_segments([whole.verdict, part.verdict]);
                whole.overdue.extend(&part.overdue);
                whole.unknown.extend(&part.unknown);
                whole.last = part.last.clone().or_else(|| whole.last.take());
            }
        }
    }
    all.into_values().collect()
}

fn outages(known: &Known<'_>, span: Span) -> Vec<OutageMonth> {
    let of = |outage: &Outage| {
        let all = outage.span(known.as_of);
        let here = all.intersect(span)?;
        let in_service = known.contracts.segments(here).map(|(here, c)| c.service_hours.measure(here)).sum();
        Some(OutageMonth {
            id: outage.id.clone(),
            span: all,
            cause: outage.cause(known.as_of),
            in_service,
            harmless: match &outage.extent {
                Extent::Partial { no_serious_impact } => no_serious_impact.clone(),
                Extent::Full => None,
            },
        })
    };
    let mut out: Vec<OutageMonth> = known.history.outages.iter().filter_map(of).collect();
    out.sort_unstable_by(|a, b| (a.span.from, &a.id).cmp(&(b.span.from, &b.id)));
    out
}

fn exclusions(known: &Known<'_>, span: Span) -> Vec<ExclusionMonth> {
    let here = |exclusion: &&Exclusion| exclusion.span().intersect(span).is_some();
    let of = |exclusion: &Exclusion| {
        let rule = exclusion.rule(&known.contracts);
        ExclusionMonth {
            id: exclusion.id.clone(),
            span: exclusion.span(),
            class: rule.map(|rule| rule.class),
            reason: rule.map(|rule| rule.reason.clone()),
            state: exclusion.state(&known.contracts, known.as_of),
        }
    };
    let mut out: Vec<ExclusionMonth> = known.history.exclusions.iter().filter(here).map(of).collect();
    out.sort_unstable_by(|a, b| (a.span.from, &a.id).cmp(&(b.span.from, &b.id)));
    out
}

/// Values of the whole, verdicts of the segments; none without a segment.
fn in_all(month: &SlaMonth) -> Vec<Indicator> {
    let of_name = |name: IndicatorName| -> Option<Indicator> {
        let parts = || month.segments.iter().flat_map(|s| &s.indicators).filter(|i| i.name == name);
        let first = parts().next()?;
        let whole = match name {
            IndicatorName::Uptime => availability::indicator(&month.partition, 1.0),
            IndicatorName::Response => month.responses.indicator(),
            IndicatorName::CurrencyProvider => currency::indicator(&month.currency, Party::Provider),
            IndicatorName::CurrencyCustomer => currency::indicator(&month.currency, Party::Customer),
            IndicatorName::Checklist => checklist::indicator(&month.checklist),
        };
        let target = first.target.filter(|_| parts().all(|i| i.target == first.target));
        Some(Indicator { target, verdict: Verdict::of_segments(parts().map(|i| i.verdict)), ..whole })
    };
    IndicatorName::ALL.into_iter().filter_map(of_name).collect()
}

#[cfg(test)]
mod tests;
