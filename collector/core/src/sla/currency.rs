//! Whether pattern files and security patches were kept up (SLA A7.1(1)①), per device, and per the
//! party that has to see to it (A4.1(2)①).
//!
//! Holds: every instant of a device's month is good, overdue or not known. A report counts until
//! the next of the same source, and no longer than the contract says: what was good then is not
//! taken to be good now. Of several sources (products, package sources) the worst counts: overdue
//! where one is, else not known where one is, good where all that count are. A device that never
//! reported is not known (不明), and so is one whose report says so. Overdue is everything past
//! `since + limit`.

use super::{
    contract::{CurrencyKind, CurrencyTerms, Party},
    indicator::{Indicator, IndicatorName, NullReason, Tally, Verdict},
    span::Span,
};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, time::Duration};
use tenken_common::{id::Name, time::Timestamp};

/// What a device said, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceReports {
    /// Its label.
    pub device: Name,
    #[serde(default)]
    pub group: Option<Name>,
    #[serde(default)]
    pub reports: Vec<CurrencyReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyReport {
    pub at: Timestamp,
    pub kind: CurrencyKind,
    /// The product or package source that it is of, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Name>,
    #[serde(flatten)]
    pub state: CurrencyState,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CurrencyState {
    /// No patch is pending.
    UpToDate,
    /// Definitions of this time; or the oldest pending patch was published then.
    Since { since: Timestamp },
    /// It could not be told, such as with a stale package index.
    Unknown,
}

impl CurrencyState {
    /// Greater for the worse one.
    fn badness(self) -> (u8, Reverse<Timestamp>) {
        match self {
            Self::UpToDate => (0, Reverse(Timestamp::MAX)),
            Self::Since { since } => (1, Reverse(since)),
            Self::Unknown => (2, Reverse(Timestamp::MAX)),
        }
    }
}

/// One device and kind in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CurrencyMonth {
    pub device: Name,
    pub kind: CurrencyKind,
    pub responsible: Party,
    pub verdict: Verdict,
    /// When it was over its limit, in order.
    pub overdue: Vec<Span>,
    /// When nothing was known, in order.
    pub unknown: Vec<Span>,
    /// The worst report that counts at the end, else the newest that counted; `None`: none did.
    pub last: Option<CurrencyReport>,
}

/// All kinds that the contract limits, of one device, in `span`.
pub fn device_months(reports: &DeviceReports, terms: &CurrencyTerms, span: Span) -> Vec<CurrencyMonth> {
    terms.limits.iter().map(|(kind, limit)| of_kind(reports, terms, (*kind, *limit), span)).collect()
}

fn of_kind(
    reports: &DeviceReports,
    terms: &CurrencyTerms,
    (kind, limit): (CurrencyKind, Duration),
    span: Span,
) -> CurrencyMonth {
    // What is older counts at no instant of it.
    let oldest = span.from.minus(terms.report_max_age);
    let counts = |r: &&CurrencyReport| r.kind == kind && r.at > oldest && r.at < span.to;
    let mut known: Vec<&CurrencyReport> = reports.reports.iter().filter(counts).collect();
    // Of two of one source at one instant the worse counts, in whatever order they came.
    known.sort_unstable_by(|a, b| {
        (&a.source, a.at, a.state.badness()).cmp(&(&b.source, b.at, b.state.badness()))
    });
    let mut stretches: Vec<(Span, Standing)> = Vec::new();
    let mut at_end: Option<&CurrencyReport> = None;
    for own in known.chunk_by(|a, b| a.source == b.source) {
        let nexts = own.iter().skip(1).map(|r| r.at).chain([Timestamp::MAX]);
        for (report, next) in own.iter().copied().zip(nexts) {
            let until = next.min(report.at.plus(terms.report_max_age));
            let Some(here) = Span::new(report.at, until).intersect(span) else { continue };
            stretches.extend(standings(report.state, limit, here));
            let badness = |r: &CurrencyReport| (r.state.badness(), r.at);
            if until >= span.to && at_end.is_none_or(|other| badness(other) < badness(report)) {
                at_end = Some(report);
            }
        }
    }
    let newest = known.iter().copied().max_by_key(|r| (r.at, r.state.badness()));
    let (overdue, unknown) = worst(&stretches, span);
    let verdict = match (overdue.is_empty(), unknown.is_empty()) {
        _ if span.is_empty() => Verdict::NotApplicable,
        (false, _) => Verdict::Missed,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Met,
    };
    CurrencyMonth {
        device: reports.device.clone(),
        kind,
        responsible: terms.responsible(&reports.device),
        verdict,
        overdue,
        unknown,
        last: at_end.or(newest).cloned(),
    }
}

/// How one source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Unknown,
    Overdue,
}

/// What a report says of the stretch in which it counts.
fn standings(
    state: CurrencyState,
    limit: Duration,
    here: Span,
) -> impl Iterator<Item = (Span, Standing)> + use<> {
    let due = match state {
        CurrencyState::UpToDate => here.to,
        CurrencyState::Since { since } => since.plus(limit).clamp(here.from, here.to),
        CurrencyState::Unknown => here.from,
    };
    let later = if state == CurrencyState::Unknown { Standing::Unknown } else { Standing::Overdue };
    let both = [(Span::new(here.from, due), Standing::Good), (Span::new(due, here.to), later)];
    both.into_iter().filter(|(span, _)| !span.is_empty())
}

/// The overdue and the unknown stretches of all sources together, in order.
fn worst(stretches: &[(Span, Standing)], span: Span) -> (Vec<Span>, Vec<Span>) {
    let edges = |(here, standing): &(Span, Standing)| [(here.from, *standing, 1), (here.to, *standing, -1)];
    let mut edges: Vec<(Timestamp, Standing, i64)> = stretches.iter().flat_map(edges).collect();
    edges.sort_unstable_by_key(|(at, ..)| *at);
    let (mut overdue, mut unknown) = (Vec::new(), Vec::new());
    let (mut good, mut dark, mut late) = (0, 0, 0);
    let mut from = span.from;
    for (at, standing, step) in edges.into_iter().chain([(span.to, Standing::Good, 0)]) {
        if late > 0 {
            push(&mut overdue, Span::new(from, at));
        } else if dark > 0 || good == 0 {
            push(&mut unknown, Span::new(from, at));
        }
        from = at;
        *match standing {
            Standing::Good => &mut good,
            Standing::Unknown => &mut dark,
            Standing::Overdue => &mut late,
        } += step;
    }
    (overdue, unknown)
}

/// Adds a stretch, joined with one that it touches.
fn push(spans: &mut Vec<Span>, span: Span) {
    if span.is_empty() {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.to == span.from => last.to = span.to,
        Some(_) | None => spans.push(span),
    }
}

/// The share of one party's devices and kinds that were never over a limit; all have to.
pub fn indicator(months: &[CurrencyMonth], party: Party) -> Indicator {
    let tally = Tally::of(months.iter().filter(|m| m.responsible == party).map(|m| m.verdict));
    let name = match party {
        Party::Provider => IndicatorName::CurrencyProvider,
        Party::Customer => IndicatorName::CurrencyCustomer,
    };
    let indicator = tally.indicator(name, NullReason::NoDevice, NullReason::NoReport);
    Indicator { coverage: tally.coverage(), ..indicator }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_S: i64 = 86_400;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    fn terms() -> CurrencyTerms {
        CurrencyTerms {
            limits: [(CurrencyKind::PatternFile, Duration::from_hours(7 * 24))].into(),
            report_max_age: Duration::from_hours(48),
            provider_devices: [Name::new("vpn-1").unwrap()].into(),
        }
    }

    fn report(s: i64, source: Option<&str>, state: CurrencyState) -> CurrencyReport {
        let source = source.map(|text| Name::new(text).unwrap());
        CurrencyReport { at: at(s), kind: CurrencyKind::PatternFile, source, state }
    }

    fn month(device: &str, reports: &[(i64, CurrencyState)], span: Span) -> CurrencyMonth {
        let reports = reports.iter().map(|(s, state)| report(*s, None, *state)).collect();
        let device = DeviceReports { device: Name::new(device).unwrap(), group: None, reports };
        device_months(&device, &terms(), span).remove(0)
    }

    fn since(s: i64) -> CurrencyState {
        CurrencyState::Since { since: at(s) }
    }

    /// A report a day, all of definitions from the beginning.
    fn daily(days: i64) -> Vec<(i64, CurrencyState)> {
        (0..days).map(|d| (d * DAY_S, since(0))).collect()
    }

    #[test]
    fn overdue_from_the_deadline_on_and_not_before() {
        let until = |s: i64| month("ct-1", &daily(9), Span::new(at(0), at(s)));
        assert_eq!(until(7 * DAY_S).verdict, Verdict::Met, "seven days are in time");
        let over = until(7 * DAY_S + 1);
        assert_eq!(
            (over.verdict, over.overdue),
            (Verdict::Missed, vec![Span::new(at(7 * DAY_S), at(7 * DAY_S + 1))])
        );
        assert_eq!(until(8 * DAY_S).overdue, [Span::new(at(7 * DAY_S), at(8 * DAY_S))]);
    }

    #[test]
    fn what_is_not_reported_is_not_known() {
        let span = Span::new(at(0), at(10 * DAY_S));
        let never = month("ct-1", &[], span);
        assert_eq!((never.verdict, never.unknown.clone(), never.last), (Verdict::Unknown, vec![span], None));
        let once = month("ct-1", &[(DAY_S, since(DAY_S))], span);
        assert_eq!(once.verdict, Verdict::Unknown);
        assert_eq!(once.unknown, [Span::new(at(0), at(DAY_S)), Span::new(at(3 * DAY_S), span.to)]);
        let stale = month("ct-1", &[(-DAY_S, since(-DAY_S))], Span::new(at(0), at(DAY_S)));
        assert_eq!(stale.verdict, Verdict::Met, "a report from before the month still counts");
        let cannot_tell = month("ct-1", &[(0, CurrencyState::Unknown)], Span::new(at(0), at(DAY_S)));
        assert_eq!(cannot_tell.verdict, Verdict::Unknown);
        let blank = month("ct-1", &[], Span::new(at(5), at(5)));
        assert_eq!(blank.verdict, Verdict::NotApplicable);
    }

    #[test]
    fn of_several_products_the_worst_counts() {
        let of = |reports: Vec<CurrencyReport>, to: i64| {
            let device = DeviceReports { device: Name::new("ct-1").unwrap(), group: None, reports };
            device_months(&device, &terms(), Span::new(at(0), at(to))).remove(0)
        };
        let (clamav, defender) = (Some("clamav"), Some("defender"));
        let good = report(0, clamav, since(0));
        let late = report(10, defender, since(-7 * DAY_S - 5));
        let both = of(vec![good.clone(), late.clone()], 100);
        assert_eq!(
            (both.verdict, both.overdue, both.unknown),
            (Verdict::Missed, vec![Span::new(at(10), at(100))], vec![])
        );
        assert_eq!(both.last, Some(late.clone()), "the worst one is shown");
        // A product that cannot tell makes the device unknown, and hides no other that is overdue.
        let dark = report(50, clamav, CurrencyState::Unknown);
        let three = of(vec![good.clone(), late.clone(), dark.clone()], 100);
        assert_eq!((three.overdue, three.unknown), (vec![Span::new(at(10), at(100))], vec![]));
        let two = of(vec![report(0, defender, CurrencyState::UpToDate), good.clone(), dark], 100);
        assert_eq!((two.verdict, two.unknown), (Verdict::Unknown, vec![Span::new(at(50), at(100))]));
        // One that is not heard of any more counts no longer than its report.
        let gone = of(vec![late, report(2 * DAY_S, clamav, since(DAY_S))], 3 * DAY_S);
        assert_eq!(gone.overdue, [Span::new(at(10), at(2 * DAY_S + 10))]);
        assert_eq!(gone.unknown, [Span::new(at(0), at(10))]);
    }

    #[test]
    fn of_two_at_one_instant_the_older_definitions_count() {
        let span = Span::new(at(0), at(DAY_S));
        for reports in [[(0, since(0)), (0, since(-8 * DAY_S))], [(0, since(-8 * DAY_S)), (0, since(0))]] {
            assert_eq!(month("ct-1", &reports, span).verdict, Verdict::Missed);
        }
    }

    #[test]
    fn each_party_answers_for_its_own() {
        let span = Span::new(at(0), at(DAY_S));
        let months = [
            month("vpn-1", &[(0, since(-9 * DAY_S))], span),
            month("ct-1", &[(0, since(0))], span),
            month("ct-2", &[], span),
        ];
        let provider = indicator(&months, Party::Provider);
        assert_eq!((provider.estimate.value, provider.verdict), (Some(0.0), Verdict::Missed));
        let customer = indicator(&months, Party::Customer);
        assert_eq!(
            (customer.estimate.value, customer.estimate.min, customer.verdict),
            (Some(1.0), Some(0.5), Verdict::Unknown)
        );
        assert_eq!(customer.coverage, Some(0.5));
        let none = indicator(&months[1..], Party::Provider);
        assert_eq!(
            (none.verdict, none.estimate.reason_for_null),
            (Verdict::NotApplicable, Some(NullReason::NoDevice))
        );
    }

    proptest! {
        /// Good, overdue and not known are all there is; the order of the reports does not matter.
        #[test]
        fn every_second_is_judged_as_its_newest_report_says(
            reports in prop::collection::vec((0i64..40, 0i64..60, 0u8..3), 0..12),
        ) {
            let hour = 6 * 3600;
            let made: Vec<(i64, CurrencyState)> = reports.iter().map(|(t, s, kind)| {
                let state = match kind { 0 => CurrencyState::UpToDate, 1 => since((s - 40) * hour), _ => CurrencyState::Unknown };
                (t * hour, state)
            }).collect();
            let span = Span::new(at(0), at(40 * hour));
            let got = month("ct-1", &made, span);
            let mut turned = made.clone();
            turned.reverse();
            prop_assert_eq!(&got, &month("ct-1", &turned, span));
            for step in 0..40 {
                let t = at(step * hour);
                let newest = made.iter().filter(|(s, _)| at(*s) <= t).max_by_key(|(s, state)| (*s, state.badness()));
                let known = newest.filter(|(s, _)| t < at(*s).plus(terms().report_max_age));
                let (overdue, unknown) = match known {
                    None | Some((_, CurrencyState::Unknown)) => (false, true),
                    Some((_, CurrencyState::UpToDate)) => (false, false),
                    Some((_, CurrencyState::Since { since })) => (t >= since.plus(Duration::from_hours(7 * 24)), false),
                };
                let within = |spans: &[Span]| spans.iter().any(|s| s.contains(t));
                prop_assert_eq!((within(&got.overdue), within(&got.unknown)), (overdue, unknown), "at {}", t);
            }
        }
    }

    #[test]
    fn what_is_shown_counts_at_the_end_or_counted_in_the_month() {
        let of = |reports: Vec<CurrencyReport>, span: Span| {
            let device = DeviceReports { device: Name::new("ct-1").unwrap(), group: None, reports };
            device_months(&device, &terms(), span).remove(0).last
        };
        let span = Span::new(at(0), at(2 * DAY_S));
        let (clamav, defender) = (Some("clamav"), Some("defender"));
        // It counts for 48 hours: to the month's first instant, and so in no part of it.
        assert_eq!(of(vec![report(-2 * DAY_S, clamav, since(0))], span), None);
        // To the month's last instant: the worse one still counts there.
        let (worse, better) = (report(0, clamav, since(-5)), report(9, defender, since(0)));
        assert_eq!(of(vec![worse.clone(), better], span), Some(worse));
        // Of two that are as bad the first source's.
        let (one, other) = (report(9, clamav, since(0)), report(9, defender, since(0)));
        assert_eq!(of(vec![other, one.clone()], span), Some(one));
    }

    #[test]
    fn a_report_at_the_end_is_of_the_next_month() {
        let span = Span::new(at(0), at(DAY_S));
        let reports = [(0, CurrencyState::UpToDate), (DAY_S, CurrencyState::Unknown)];
        let last = |span| month("ct-1", &reports, span).last.map(|r| r.at);
        assert_eq!(last(span), Some(at(0)));
        assert_eq!(last(Span::new(at(0), at(DAY_S + 1))), Some(at(DAY_S)));
    }

    #[test]
    fn stretches_that_touch_are_one() {
        let span = Span::new(at(0), at(4 * DAY_S));
        let blank = |d| (d * DAY_S, CurrencyState::Unknown);
        assert_eq!(month("ct-1", &[blank(0), blank(1), blank(2)], span).unknown, [span]);
        let apart = [blank(0), (DAY_S, CurrencyState::UpToDate), blank(2)];
        let of = |from, to| Span::new(at(from * DAY_S), at(to * DAY_S));
        assert_eq!(month("ct-1", &apart, span).unknown, [of(0, 1), of(2, 4)]);
    }
}
