//! Tests of a month: segments, verdicts, what is not known.

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
    let version =
        |text: &str| Version { contract: Contract::parse(text).unwrap(), vendor: agreed, hospital: agreed };
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
    let judged = Attribution { at: at("09-02T12:00:00"), cause: Cause::Customer, by, agreed: Some(agreed) };
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

#[test]
fn the_calendar_has_a_last_month() {
    let last: Month = "2099-12".parse().unwrap();
    assert_eq!((last.next(), "2099-11".parse::<Month>().unwrap().next()), (None, Some(last)));
    let november: Month = "2099-11".parse().unwrap();
    assert_eq!(november.to(last).count(), 2);
    assert_eq!(november.to(november).collect::<Vec<_>>(), [november]);
}
