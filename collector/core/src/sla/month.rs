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
                whole.last = part.last;
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
mod tests {
    use super::*;
    use crate::{
        desk::notice::{IncidentId, Severity},
        sla::{
            contract::EXAMPLE,
            heartbeat::HeartbeatRuns,
            history::{History, Version},
            indicator::NullReason,
            outage::{Attribution, OutageSource},
            partition::Label,
            response::{IncidentEvent, IncidentEventKind, IncidentHistory},
        },
    };
    use std::time::Duration;

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}+09:00").parse().unwrap()
    }

    /// Version 2 begins on 16 September and promises less.
    fn versions() -> Vec<Version> {
        let second = EXAMPLE
            .replace("version = 1", "version = 2")
            .replace("2026-04-01", "2026-09-16")
            .replace("uptime = 0.99", "uptime = 0.95");
        let agreed = Some(at("03-01T00:00:00"));
        let version = |text: &str| Version {
            contract: Contract::parse(text).unwrap(),
            vendor: agreed,
            hospital: agreed,
        };
        vec![version(EXAMPLE), version(&second)]
    }

    /// Beats every minute, but for the stretches without.
    fn beats(from: &str, to: &str, silent: &[(&str, &str)]) -> HeartbeatRuns {
        let minute = Duration::from_mins(1);
        let mut runs = HeartbeatRuns::new(minute, minute * HeartbeatRuns::GAP_INTERVALS);
        let mut t = at(from);
        while t <= at(to) {
            if silent.iter().all(|(from, to)| t <= at(from) || t >= at(to)) {
                runs.push(t);
            }
            t = t.plus(minute);
        }
        runs
    }

    fn history(heartbeats: &HeartbeatRuns, incidents: &[IncidentHistory]) -> History {
        History {
            versions: versions(),
            heartbeats: Some(heartbeats.clone()),
            incidents: incidents.to_vec(),
            ..History::default()
        }
    }

    fn month(heartbeats: &HeartbeatRuns, incidents: &[IncidentHistory], as_of: &str) -> SlaMonth {
        history(heartbeats, incidents).known(at(as_of)).month("2026-09".parse().unwrap())
    }

    fn verdicts(indicators: &[Indicator], name: IndicatorName) -> Verdict {
        indicators.iter().find(|i| i.name == name).unwrap().verdict
    }

    #[test]
    fn each_segment_is_judged_by_its_own_target() {
        let runs = beats("08-31T00:00:00", "10-01T00:00:00", &[("09-18T16:00:00", "09-24T10:30:00")]);
        let got = month(&runs, &[], "10-01T00:00:00");
        assert_eq!(got.segments.iter().map(|s| s.version).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(got.segments[1].span.from, at("09-16T00:00:00"));
        assert_eq!(got.partition.service(), BusinessDuration::from_secs(152 * 3600));
        assert_eq!(got.partition.total(Label::Undetermined), BusinessDuration::from_secs(60));
        assert_eq!(got.partition.total(Label::DownProvider), BusinessDuration::from_secs(9_000 - 60));
        let uptime = got.indicators.iter().find(|i| i.name == IndicatorName::Uptime).unwrap();
        assert!((uptime.estimate.value.unwrap() - (1.0 - 8_940.0 / 547_200.0)).abs() < 1e-9);
        // Over the whole month it is below 99 %, but the segment with the stop promises 95 %.
        assert_eq!((uptime.verdict, uptime.target, got.ended), (Verdict::Met, None, true));
        assert_eq!(verdicts(&got.indicators, IndicatorName::Response), Verdict::NotApplicable);
    }

    #[test]
    fn a_stop_in_the_first_segment_is_the_months_miss() {
        let runs = beats("08-31T00:00:00", "10-01T00:00:00", &[("09-01T09:00:00", "09-01T12:00:00")]);
        let got = month(&runs, &[], "10-01T00:00:00");
        let of = |i: usize| verdicts(&got.segments[i].indicators, IndicatorName::Uptime);
        assert_eq!((of(0), of(1)), (Verdict::Missed, Verdict::Met));
        assert_eq!(verdicts(&got.indicators, IndicatorName::Uptime), Verdict::Missed);
    }

    #[test]
    fn before_the_first_beat_there_is_no_data_and_nothing_is_claimed() {
        let got = month(&beats("09-15T09:00:00", "10-01T00:00:00", &[]), &[], "10-01T00:00:00");
        let uptime = got.indicators[0];
        assert_eq!((uptime.estimate.value, uptime.estimate.max), (Some(1.0), Some(1.0)));
        assert_eq!(uptime.verdict, Verdict::Unknown);
        assert!(uptime.coverage.unwrap() < 0.6);
        let blank = month(&beats("10-01T00:00:00", "09-01T00:00:00", &[]), &[], "10-01T00:00:00");
        assert_eq!(blank.indicators[0].estimate.reason_for_null, Some(NullReason::NoData));
        let early = month(&beats("08-31T00:00:00", "08-31T09:00:00", &[]), &[], "08-31T09:00:00");
        assert_eq!(early.indicators[0].estimate.reason_for_null, Some(NullReason::NoServiceTime));
        assert!(!early.ended);
    }

    #[test]
    fn outages_by_hand_and_responses_count() {
        let runs = beats("08-31T00:00:00", "10-01T00:00:00", &[]);
        let event = |t, kind| IncidentEvent { at: at(t), kind };
        let late = IncidentHistory {
            incident: IncidentId(1),
            events: vec![
                event("09-15T16:00:00", IncidentEventKind::Detected(Severity::Critical)),
                event("09-16T13:00:00", IncidentEventKind::FirstResponseReported),
            ],
        };
        let by = Name::new("w-1").unwrap();
        let agreed = crate::sla::agreed::Agreed { at: at("09-03T00:00:00"), by: "甲".into() };
        let judged =
            Attribution { at: at("09-02T12:00:00"), cause: Cause::Customer, by, agreed: Some(agreed) };
        let mut history = history(&runs, &[late]);
        history.outages = vec![Outage {
            id: Name::new("o-1").unwrap(),
            from: at("09-02T09:00:00"),
            to: Some(at("09-02T10:00:00")),
            source: OutageSource::Manual,
            extent: Extent::Full,
            attributions: vec![judged],
            note: String::new(),
        }];
        let known = history.known(at("10-01T00:00:00"));
        let got = known.month("2026-09".parse().unwrap());
        assert_eq!(got.partition.total(Label::DownCustomer), BusinessDuration::from_secs(3600));
        assert_eq!(got.indicators[0].estimate.value, Some(1.0));
        assert_eq!((got.segments[0].clocks.len(), got.segments[1].clocks.len()), (1, 0));
        assert_eq!(got.responses.worst, Some((IncidentId(1), BusinessDuration::from_secs(5 * 3600))));
        assert_eq!(verdicts(&got.indicators, IndicatorName::Response), Verdict::Missed);
        assert_eq!(got, evaluate(&known, got.month));
        assert_eq!(
            got.outages.first().map(|o| (o.cause, o.in_service)),
            Some((Cause::Customer, BusinessDuration::from_secs(3600)))
        );
        let json = serde_json::to_value(&got).unwrap();
        assert_eq!(json["month"], "2026-09");
        assert_eq!(json["indicators"][0]["name"], "uptime");
        assert_eq!(json["indicators"][0]["verdict"], "met");
    }

    #[test]
    fn without_a_contract_nothing_is_judged() {
        let history = history(&beats("08-31T00:00:00", "08-31T01:00:00", &[]), &[]);
        let known = history.known(at("10-01T00:00:00"));
        assert_eq!(known.month("2028-01".parse().unwrap()).calendar, Certainty::Estimated);
        let before = known.month("2026-03".parse().unwrap());
        assert!(before.segments.is_empty() && before.indicators.is_empty() && before.misses.is_none());
    }

    #[test]
    fn a_draft_is_never_used() {
        let runs = beats("08-31T00:00:00", "10-01T00:00:00", &[]);
        let mut history = history(&runs, &[]);
        history.versions[1].hospital = Some(at("09-20T00:00:00"));
        let versions = |as_of| {
            let month = history.known(at(as_of)).month("2026-09".parse().unwrap());
            month.segments.iter().map(|s| s.version).collect::<Vec<_>>()
        };
        assert_eq!(versions("09-19T00:00:00"), [1]);
        assert_eq!(versions("09-21T00:00:00"), [1, 2]);
        history.versions[0].vendor = None;
        assert_eq!(history.known(at("09-21T00:00:00")).month("2026-09".parse().unwrap()).segments.len(), 1);
    }

    #[test]
    fn months_begin_and_end_at_midnight_in_japan() {
        for (text, from, to) in [
            ("2026-11", "2026-10-31T15:00:00Z", "2026-11-30T15:00:00Z"),
            ("2026-12", "2026-11-30T15:00:00Z", "2026-12-31T15:00:00Z"),
            ("2028-02", "2028-01-31T15:00:00Z", "2028-02-29T15:00:00Z"),
            ("2099-12", "2099-11-30T15:00:00Z", "2099-12-31T15:00:00Z"),
        ] {
            let span = text.parse::<Month>().unwrap().span();
            assert_eq!((span.from.to_string(), span.to.to_string()), (from.into(), to.into()), "{text}");
            assert_eq!(Month::of(span.to.plus_micros(-1)).to_string(), text);
        }
        assert_eq!(Month::of(Timestamp::MAX).to_string(), "2099-12");
        for bad in ["2026-13", "2026-1", "2026", "", "2026-1x"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
