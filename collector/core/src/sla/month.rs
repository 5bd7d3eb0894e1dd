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
    calendar::{BadDay, Certainty, Day},
    contract::{Contract, ContractHistory},
    heartbeat::HeartbeatRuns,
    indicator::{Indicator, Verdict},
    partition::{Labelled, Partition, partition},
    response::{self, IncidentHistory, ResponseClock, ResponseSummary},
    span::Span,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};
use tenken_common::{id::ContractId, time::Timestamp};

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

/// Everything that the figures of a month are made from.
#[derive(Debug, Clone, Copy)]
pub struct SlaInput<'a> {
    pub contracts: &'a ContractHistory,
    pub heartbeats: &'a HeartbeatRuns,
    /// Stops and exclusions that people entered.
    pub outages: &'a [Labelled],
    pub incidents: &'a [IncidentHistory],
    pub month: Month,
    pub as_of: Timestamp,
}

/// A month's figures. Instants and durations are in microseconds.
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
    pub partition: Partition,
}

/// See the module's head.
pub fn evaluate(input: &SlaInput) -> SlaMonth {
    let span = input.month.span();
    let mut claims = input.heartbeats.labels(input.as_of);
    claims.extend_from_slice(input.outages);
    let clocks = clocks(input);
    let segments: Vec<SlaSegment> = input
        .contracts
        .segments(span)
        .map(|(span, contract)| segment(span, contract, &claims, &clocks, input.as_of))
        .collect();
    let mut whole = Partition::default();
    for segment in &segments {
        whole.extend(&segment.partition);
    }
    let responses = ResponseSummary::of(segments.iter().flat_map(|segment| &segment.clocks));
    SlaMonth {
        month: input.month,
        as_of: input.as_of,
        ended: span.to <= input.as_of,
        calendar: Certainty::of_year(input.month.year()),
        indicators: in_all(&segments, &whole, &responses),
        responses,
        partition: whole,
        segments,
    }
}

/// The clocks of all incidents, in the order of their start.
fn clocks(input: &SlaInput) -> Vec<ResponseClock> {
    let of = |incident| response::clock(incident, input.contracts, input.as_of);
    let mut clocks: Vec<ResponseClock> = input.incidents.iter().filter_map(of).collect();
    clocks.sort_unstable_by_key(|clock| (clock.start, clock.incident));
    clocks
}

fn segment(
    span: Span,
    contract: &Contract,
    claims: &[Labelled],
    clocks: &[ResponseClock],
    as_of: Timestamp,
) -> SlaSegment {
    let partition = partition(contract.service_hours.open_spans(span), claims, as_of);
    let clocks: Vec<_> = clocks.iter().filter(|clock| span.contains(clock.start)).copied().collect();
    let responses = ResponseSummary::of(&clocks);
    SlaSegment {
        contract: contract.id.clone(),
        version: contract.version,
        span,
        indicators: vec![availability::indicator(&partition, contract.targets.uptime), responses.indicator()],
        responses,
        clocks,
        partition,
    }
}

/// Values of the whole, verdicts of the segments; none without a segment.
fn in_all(segments: &[SlaSegment], whole: &Partition, responses: &ResponseSummary) -> Vec<Indicator> {
    let Some(first) = segments.first() else { return Vec::new() };
    let over_all = |one: &Indicator, whole: Indicator| {
        let same_kind = || segments.iter().flat_map(|s| &s.indicators).filter(|i| i.name == one.name);
        let target = one.target.filter(|_| same_kind().all(|i| i.target == one.target));
        Indicator { target, verdict: Verdict::of_segments(same_kind().map(|i| i.verdict)), ..whole }
    };
    let wholes = [availability::indicator(whole, 1.0), responses.indicator()];
    first.indicators.iter().zip(wholes).map(|(one, whole)| over_all(one, whole)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desk::notice::{IncidentId, Severity},
        sla::{
            calendar::BusinessDuration,
            contract::EXAMPLE,
            indicator::{IndicatorName, NullReason},
            partition::Label,
            response::{IncidentEvent, IncidentEventKind},
        },
    };
    use std::time::Duration;

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}+09:00").parse().unwrap()
    }

    /// Version 2 begins on 16 September and promises less.
    fn contracts() -> ContractHistory {
        let second = EXAMPLE
            .replace("version = 1", "version = 2")
            .replace("2026-04-01", "2026-09-16")
            .replace("uptime = 0.99", "uptime = 0.95");
        ContractHistory::new([EXAMPLE, &second].map(|text| Contract::parse(text).unwrap())).unwrap()
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

    fn month(heartbeats: &HeartbeatRuns, incidents: &[IncidentHistory], as_of: &str) -> SlaMonth {
        let contracts = contracts();
        let (month, as_of) = ("2026-09".parse().unwrap(), at(as_of));
        evaluate(&SlaInput { contracts: &contracts, heartbeats, outages: &[], incidents, month, as_of })
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
        let outages = [Labelled {
            span: Span::new(at("09-02T09:00:00"), at("09-02T10:00:00")),
            label: Label::DownCustomer,
        }];
        let contracts = contracts();
        let input = SlaInput {
            contracts: &contracts,
            heartbeats: &runs,
            outages: &outages,
            incidents: &[late],
            month: "2026-09".parse().unwrap(),
            as_of: at("10-01T00:00:00"),
        };
        let got = evaluate(&input);
        assert_eq!(got.partition.total(Label::DownCustomer), BusinessDuration::from_secs(3600));
        assert_eq!(got.indicators[0].estimate.value, Some(1.0));
        assert_eq!((got.segments[0].clocks.len(), got.segments[1].clocks.len()), (1, 0));
        assert_eq!(got.responses.worst, Some((IncidentId(1), BusinessDuration::from_secs(5 * 3600))));
        assert_eq!(verdicts(&got.indicators, IndicatorName::Response), Verdict::Missed);
        assert_eq!(got, evaluate(&input));
        let json = serde_json::to_value(&got).unwrap();
        assert_eq!(json["month"], "2026-09");
        assert_eq!(json["indicators"][0]["name"], "uptime");
        assert_eq!(json["indicators"][0]["verdict"], "met");
    }

    #[test]
    fn without_a_contract_nothing_is_judged() {
        let (contracts, heartbeats) = (contracts(), beats("08-31T00:00:00", "08-31T01:00:00", &[]));
        let input = SlaInput {
            contracts: &contracts,
            heartbeats: &heartbeats,
            outages: &[],
            incidents: &[],
            month: "2028-01".parse().unwrap(),
            as_of: at("10-01T00:00:00"),
        };
        assert_eq!(evaluate(&input).calendar, Certainty::Estimated);
        let before = evaluate(&SlaInput { month: "2026-03".parse().unwrap(), ..input });
        assert!(before.segments.is_empty() && before.indicators.is_empty());
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
