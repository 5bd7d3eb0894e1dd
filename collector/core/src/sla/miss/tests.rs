//! Tests of what counts (SLA A7.1(1)②), rule by rule, on a month whose figures are set by hand.

use super::*;
use crate::sla::{
    calendar::BusinessDuration,
    checklist::ChecklistMonth,
    contract::{Contract, EXAMPLE, UnknownCount},
    currency::CurrencyMonth,
    history::{History, Version},
    response::ResponseClock,
};
use tenken_common::time::Timestamp;

fn counting(response: ResponseCount, currency: CurrencyCount) -> Counting {
    Counting {
        uptime: UptimeCount::Month,
        response,
        currency,
        checklist: ChecklistCount::Item,
        unknown: UnknownCount::NotCounted,
    }
}

/// A month under the example's contract that was watched and in which nothing happened.
fn quiet() -> SlaMonth {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let agreed = Some(at("2026-03-01T00:00:00+09:00"));
    let contract = Contract::parse(EXAMPLE).unwrap();
    let watched = crate::sla::span::Span::new(Timestamp::MIN, Timestamp::MAX);
    let history = History {
        versions: vec![Version { contract, vendor: agreed, hospital: agreed }],
        watched: Some(vec![watched]),
        ..History::default()
    };
    let mut month = history.known(at("2026-07-01T00:00:00+09:00")).month("2026-06".parse().unwrap());
    month.currency.clear();
    month
}

fn counts(month: &SlaMonth, counting: Counting) -> Vec<(IndicatorName, u32, u32, usize)> {
    of_month(month, counting).iter().map(|m| (m.item, m.count, m.open, m.evidence.len())).collect()
}

fn clock(number: u64, state: ResponseState) -> ResponseClock {
    ResponseClock {
        incident: IncidentId(number),
        contract_version: 1,
        start: Timestamp::from_secs(0),
        budget: BusinessDuration::from_secs(1),
        deadline: Timestamp::from_secs(1),
        state,
    }
}

fn device(name: &str, what: CurrencyKind, responsible: Party, verdict: Verdict) -> CurrencyMonth {
    let device = Name::new(name).unwrap();
    CurrencyMonth { device, kind: what, responsible, verdict, overdue: vec![], unknown: vec![], last: None }
}

#[test]
fn a_quiet_month_has_no_misses() {
    assert_eq!(counts(&quiet(), counting(ResponseCount::Month, CurrencyCount::Month)), []);
}

#[test]
fn responses_count_by_incident_or_once_a_month() {
    let late = |n| clock(n, ResponseState::Breached { at: None, took: BusinessDuration::ZERO });
    let open = |n| clock(n, ResponseState::Running { left: BusinessDuration::ZERO });
    let met = |n| clock(n, ResponseState::Met { at: Timestamp::MIN, took: BusinessDuration::ZERO });
    for (clocks, by_incident, by_month) in [
        (vec![late(1), late(2), open(3), met(4)], (2, 1, 3), (1, 0, 3)),
        (vec![late(1)], (1, 0, 1), (1, 0, 1)),
        (vec![open(1), open(2)], (0, 2, 2), (0, 1, 2)),
    ] {
        let mut month = quiet();
        month.segments[0].clocks = clocks;
        let of = |count| {
            let found = counts(&month, counting(count, CurrencyCount::Month));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, IndicatorName::Response);
            (found[0].1, found[0].2, found[0].3)
        };
        assert_eq!((of(ResponseCount::Incident), of(ResponseCount::Month)), (by_incident, by_month));
    }
    let mut month = quiet();
    month.segments[0].clocks = vec![met(1)];
    assert_eq!(counts(&month, counting(ResponseCount::Month, CurrencyCount::Month)), []);
}

#[test]
fn only_the_providers_devices_make_its_misses() {
    use CurrencyKind::{OsPatch, PatternFile};
    use Party::{Customer, Provider};
    use Verdict::{Met, Missed, Unknown};
    let both = [device("a", PatternFile, Provider, Missed), device("a", OsPatch, Provider, Missed)];
    for (devices, by_device, by_month) in [
        (both.to_vec(), (1, 0), (1, 0)),
        (
            vec![device("a", OsPatch, Provider, Missed), device("b", OsPatch, Provider, Missed)],
            (2, 0),
            (1, 0),
        ),
        (
            vec![device("a", OsPatch, Provider, Missed), device("a", PatternFile, Provider, Unknown)],
            (1, 0),
            (1, 0),
        ),
        (
            vec![device("a", OsPatch, Provider, Missed), device("b", OsPatch, Provider, Unknown)],
            (1, 1),
            (1, 0),
        ),
        (
            vec![device("a", OsPatch, Provider, Unknown), device("b", OsPatch, Provider, Unknown)],
            (0, 2),
            (0, 1),
        ),
        (vec![device("a", OsPatch, Provider, Met), device("b", OsPatch, Customer, Missed)], (0, 0), (0, 0)),
    ] {
        let mut month = quiet();
        month.currency = devices;
        let of = |count| {
            let found = counts(&month, counting(ResponseCount::Month, count));
            assert!(found.iter().all(|m| m.0 == IndicatorName::CurrencyProvider));
            found.first().map_or((0, 0), |m| (m.1, m.2))
        };
        assert_eq!((of(CurrencyCount::Device), of(CurrencyCount::Month)), (by_device, by_month));
    }
}

#[test]
fn an_item_counts_for_itself() {
    let item = |name: &str, verdict| ChecklistMonth {
        item: Name::new(name).unwrap(),
        title: name.into(),
        due: "2026-06-10".parse().unwrap(),
        verdict,
        done: None,
    };
    let mut month = quiet();
    month.checklist = vec![
        item("a", Verdict::Missed),
        item("b", Verdict::Missed),
        item("c", Verdict::Unknown),
        item("d", Verdict::Met),
    ];
    let found = counts(&month, counting(ResponseCount::Month, CurrencyCount::Month));
    assert_eq!(found, [(IndicatorName::Checklist, 2, 1, 3)]);
}

#[test]
fn a_month_under_its_target_is_certain_only_once_it_is_over() {
    let of = |verdict, ended| {
        let mut month = quiet();
        month.ended = ended;
        month.indicators[0].verdict = verdict;
        counts(&month, counting(ResponseCount::Month, CurrencyCount::Month)).first().map(|m| (m.0, m.1, m.2))
    };
    assert_eq!(of(Verdict::Missed, true), Some((IndicatorName::Uptime, 1, 0)));
    assert_eq!(of(Verdict::Missed, false), Some((IndicatorName::Uptime, 0, 1)));
    assert_eq!(of(Verdict::Unknown, true), Some((IndicatorName::Uptime, 0, 1)));
    assert_eq!((of(Verdict::Met, false), of(Verdict::NotApplicable, true)), (None, None));
}
