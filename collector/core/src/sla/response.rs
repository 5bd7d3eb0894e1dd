//! First response to incidents (障害対応時間, SLA A4.1(2)②, A6.3(2)).
//!
//! Holds: the clock starts at the earliest detection or contact with a severity that the contract
//! in force at that instant names, and that version's budget and business hours give the deadline.
//! It stops at the first-response report: neither an acknowledgement nor a recovery nor closing
//! stops it. A report at the deadline is in time, one after it is not. What happened after `as_of` is
//! not known. A downgrade to a severity without a promise ends the clock only if a named approver
//! stands for it, before its report and before its deadline: what was late stays late.

use super::{
    calendar::BusinessDuration,
    contract::{Contract, ContractHistory},
    indicator::{Indicator, IndicatorName, NullReason, Tally},
    span::Span,
};
use crate::{
    desk::notice::{IncidentId, Severity},
    stream::IncidentStep,
};
use serde::{Deserialize, Serialize};
use tenken_common::{id::Name, message::Message, time::Timestamp};

/// What happened to one incident, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentHistory {
    pub incident: IncidentId,
    pub events: Vec<IncidentEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentEvent {
    pub at: Timestamp,
    pub kind: IncidentEventKind,
}

/// See [`IncidentEvent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEventKind {
    /// 乙 detected it, or found it worse.
    Detected(Severity),
    /// 甲 reported it.
    Contacted(Severity),
    /// It is less severe than was thought; counts with a named approver only.
    Downgraded {
        to: Severity,
        approver: Option<Name>,
    },
    Acknowledged,
    FirstResponseReported,
    Recovered,
    Closed,
}

impl From<IncidentStep> for IncidentEventKind {
    fn from(step: IncidentStep) -> Self {
        match step {
            IncidentStep::Acknowledged => Self::Acknowledged,
            IncidentStep::FirstResponseReported => Self::FirstResponseReported,
            IncidentStep::Closed => Self::Closed,
        }
    }
}

/// One incident's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResponseClock {
    pub incident: IncidentId,
    /// The version that was in force at the start.
    pub contract_version: u32,
    pub start: Timestamp,
    pub budget: BusinessDuration,
    pub deadline: Timestamp,
    pub state: ResponseState,
}

/// Durations are in the contract's business hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ResponseState {
    Running {
        left: BusinessDuration,
    },
    Met {
        at: Timestamp,
        took: BusinessDuration,
    },
    /// Late, or still without a response (`at` is `None`, and `took` goes on).
    Breached {
        at: Option<Timestamp>,
        took: BusinessDuration,
    },
}

/// How the responses that started in a period went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ResponseSummary {
    pub met: u32,
    pub breached: u32,
    /// Not answered and not due.
    pub running: u32,
    /// The longest that was met or breached, with its incident.
    pub worst: Option<(IncidentId, BusinessDuration)>,
}

/// The clock of an incident; `None` where the contract promises no response to it (not its
/// severity, or no contract yet), or where it begins after `as_of`.
pub fn clock(
    history: &IncidentHistory,
    contracts: &ContractHistory,
    as_of: Timestamp,
) -> Option<ResponseClock> {
    let (start, contract) = started(history, contracts).filter(|(start, _)| *start <= as_of)?;
    let (hours, budget) = (&contract.response_hours, contract.targets.response.budget);
    // Where the business hours have ended for good, it is never due.
    let deadline = hours.deadline(start, budget).unwrap_or(Timestamp::MAX);
    let reported = history
        .events
        .iter()
        .filter(|e| e.kind == IncidentEventKind::FirstResponseReported && e.at <= as_of)
        .map(|e| e.at.max(start))
        .min();
    let still_due = deadline.min(reported.unwrap_or(deadline)).min(as_of);
    if downgraded(history, contract, Span::new(start, still_due.plus_micros(1))) {
        return None;
    }
    let took = hours.measure(Span::new(start, reported.unwrap_or(as_of)));
    let state = match reported {
        Some(at) if at <= deadline => ResponseState::Met { at, took },
        None if as_of <= deadline => ResponseState::Running { left: budget - took },
        at => ResponseState::Breached { at, took },
    };
    let contract_version = contract.version;
    Some(ResponseClock { incident: history.incident, contract_version, start, budget, deadline, state })
}

/// Whether somebody approved within this time that the contract promises no response to it.
fn downgraded(history: &IncidentHistory, contract: &Contract, within: Span) -> bool {
    history.events.iter().any(|event| match &event.kind {
        IncidentEventKind::Downgraded { to, approver: Some(_) } => {
            within.contains(event.at) && !contract.targets.response.severities.contains(to)
        }
        IncidentEventKind::Downgraded { approver: None, .. }
        | IncidentEventKind::Detected(_)
        | IncidentEventKind::Contacted(_)
        | IncidentEventKind::Acknowledged
        | IncidentEventKind::FirstResponseReported
        | IncidentEventKind::Recovered
        | IncidentEventKind::Closed => false,
    })
}

fn started<'c>(
    history: &IncidentHistory,
    contracts: &'c ContractHistory,
) -> Option<(Timestamp, &'c Contract)> {
    let start = |event: &IncidentEvent| {
        let (IncidentEventKind::Detected(severity) | IncidentEventKind::Contacted(severity)) = &event.kind
        else {
            return None;
        };
        let contract = contracts.in_force(event.at)?;
        contract.targets.response.severities.contains(severity).then_some((event.at, contract))
    };
    history.events.iter().filter_map(start).min_by_key(|(at, _)| *at)
}

impl ResponseState {
    pub fn message(self) -> Message {
        match self {
            Self::Running { .. } => Message::SlaResponseRunning,
            Self::Met { .. } => Message::SlaResponseMet,
            Self::Breached { .. } => Message::SlaResponseBreached,
        }
    }
}

impl ResponseSummary {
    pub fn of<'a>(clocks: impl IntoIterator<Item = &'a ResponseClock>) -> Self {
        let mut out = Self::default();
        for clock in clocks {
            let took = match clock.state {
                ResponseState::Running { .. } => {
                    out.running += 1;
                    continue;
                }
                ResponseState::Met { took, .. } => {
                    out.met += 1;
                    took
                }
                ResponseState::Breached { took, .. } => {
                    out.breached += 1;
                    took
                }
            };
            if out.worst.is_none_or(|(_, worst)| took > worst) {
                out.worst = Some((clock.incident, took));
            }
        }
        out
    }

    /// The share of responses in time among those met or breached; the bounds take the running
    /// ones as breached and as met.
    pub fn indicator(&self) -> Indicator {
        let tally = Tally { met: self.met, missed: self.breached, open: self.running };
        tally.indicator(IndicatorName::Response, NullReason::NoCase, NullReason::NothingDue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::{
        contract::EXAMPLE,
        indicator::{Estimate, Verdict},
    };
    use IncidentEventKind::{
        Acknowledged, Contacted, Detected, Downgraded, FirstResponseReported, Recovered,
    };

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}+09:00").parse().unwrap()
    }

    fn incident(events: &[(&str, IncidentEventKind)]) -> IncidentHistory {
        let events = events.iter().map(|(t, kind)| IncidentEvent { at: at(t), kind: kind.clone() }).collect();
        IncidentHistory { incident: IncidentId(7), events }
    }

    /// Version 1 gives 4 h; version 2, from 1 October, 1 h and for warnings too.
    fn contracts() -> ContractHistory {
        let second = EXAMPLE
            .replace("version = 1", "version = 2")
            .replace("2026-04-01", "2026-10-01")
            .replace("\"4h\"", "\"1h\"")
            .replace("[\"critical\"]", "[\"critical\", \"warning\"]");
        ContractHistory::new([EXAMPLE, &second].map(|text| Contract::parse(text).unwrap())).unwrap()
    }

    fn state(events: &[(&str, IncidentEventKind)], as_of: &str) -> Option<ResponseState> {
        clock(&incident(events), &contracts(), at(as_of)).map(|c| c.state)
    }

    fn hours(h: i64) -> BusinessDuration {
        BusinessDuration::from_secs(h * 3600)
    }

    const DETECTED: (&str, IncidentEventKind) = ("05-01T16:30:00", Detected(Severity::Critical));

    #[test]
    fn the_report_stops_the_clock_and_nothing_else_does() {
        let clock = clock(&incident(&[DETECTED]), &contracts(), at("05-01T16:30:00")).unwrap();
        assert_eq!(clock.deadline, at("05-07T12:30:00"));
        let handled = [DETECTED, ("05-01T16:40:00", Acknowledged), ("05-01T16:45:00", Recovered)];
        let left = BusinessDuration::from_secs(3 * 3600 + 1800);
        assert_eq!(state(&handled, "05-04T12:00:00"), Some(ResponseState::Running { left }));
        let in_time = [DETECTED, ("05-07T12:30:00", FirstResponseReported)];
        let met = ResponseState::Met { at: at("05-07T12:30:00"), took: hours(4) };
        assert_eq!(state(&in_time, "05-08T00:00:00"), Some(met));
    }

    #[test]
    fn a_breach_shows_while_it_runs_and_stays() {
        assert!(matches!(state(&[DETECTED], "05-07T12:30:00"), Some(ResponseState::Running { .. })));
        let open = ResponseState::Breached { at: None, took: hours(5) };
        assert_eq!(state(&[DETECTED], "05-07T13:30:00"), Some(open));
        let late = [DETECTED, ("05-07T12:30:00.000001", FirstResponseReported)];
        assert!(matches!(state(&late, "05-09T00:00:00"), Some(ResponseState::Breached { at: Some(_), .. })));
        assert_eq!(state(&late, "05-07T12:00:00"), state(&[DETECTED], "05-07T12:00:00"), "not known yet");
    }

    #[test]
    fn the_earliest_contact_counts_and_only_for_named_severities() {
        let contacted = [DETECTED, ("05-01T10:00:00", Contacted(Severity::Critical))];
        let clock = clock(&incident(&contacted), &contracts(), at("05-01T17:00:00")).unwrap();
        assert_eq!((clock.start, clock.deadline), (at("05-01T10:00:00"), at("05-01T14:00:00")));
        let warning = ("05-01T10:00:00", Detected(Severity::Warning));
        assert_eq!(state(std::slice::from_ref(&warning), "05-01T17:00:00"), None);
        // It got worse: from then on the promise holds.
        assert_eq!(state(&[warning, DETECTED], "05-01T17:00:00"), state(&[DETECTED], "05-01T17:00:00"));
        assert_eq!(state(&[DETECTED], "05-01T16:00:00"), None, "it has not begun");
    }

    #[test]
    fn the_version_at_the_start_applies() {
        let of = |start: &str| {
            let history = incident(&[(start, Detected(Severity::Critical))]);
            clock(&history, &contracts(), at("10-31T00:00:00")).unwrap()
        };
        let (old, new) = (of("09-30T16:00:00"), of("10-01T09:00:00"));
        assert_eq!((old.contract_version, old.deadline), (1, at("10-01T12:00:00")));
        assert_eq!((new.contract_version, new.deadline), (2, at("10-01T10:00:00")));
    }

    #[test]
    fn a_downgrade_needs_an_approver_and_comes_before_the_deadline() {
        let lower = |t, approver: Option<&str>| {
            let approver = approver.map(|name| Name::new(name).unwrap());
            (t, Downgraded { to: Severity::Warning, approver })
        };
        let end = "05-09T00:00:00";
        assert_eq!(state(&[DETECTED, lower("05-07T12:30:00", Some("w-9"))], end), None);
        assert!(state(&[DETECTED, lower("05-07T12:30:00", None)], end).is_some(), "nobody approved");
        let late = [DETECTED, lower("05-07T12:30:00.000001", Some("w-9"))];
        assert!(matches!(state(&late, end), Some(ResponseState::Breached { .. })));
        let reported = ("05-07T10:00:00", FirstResponseReported);
        let after = [DETECTED, reported.clone(), lower("05-07T11:00:00", Some("w-9"))];
        assert!(matches!(state(&after, end), Some(ResponseState::Met { .. })));
        assert!(state(&[DETECTED, lower("05-07T12:00:00", Some("w-9"))], "05-07T11:00:00").is_some());
        let to_critical =
            ("05-07T10:00:00", Downgraded { to: Severity::Critical, approver: Name::new("w-9").ok() });
        assert!(state(&[DETECTED, to_critical], end).is_some(), "that is no downgrade");
    }

    #[test]
    fn the_months_share() {
        let clock = |state| ResponseClock {
            incident: IncidentId(1),
            contract_version: 1,
            start: at("05-01T16:30:00"),
            budget: hours(4),
            deadline: at("05-07T12:30:00"),
            state,
        };
        let met = clock(ResponseState::Met { at: at("05-07T10:00:00"), took: hours(1) });
        let running = clock(ResponseState::Running { left: hours(1) });
        let breached = clock(ResponseState::Breached { at: None, took: hours(9) });
        let of = |clocks: &[ResponseClock]| ResponseSummary::of(clocks).indicator();

        let none = of(&[]);
        assert_eq!(none.estimate, Estimate::nothing(NullReason::NoCase));
        assert_eq!(none.verdict, Verdict::NotApplicable);
        let open = of(&[running]);
        assert_eq!(
            (open.estimate.value, open.estimate.reason_for_null),
            (None, Some(NullReason::NothingDue))
        );
        assert_eq!((of(&[met]).verdict, of(&[met, running]).verdict), (Verdict::Met, Verdict::Unknown));
        let mixed = of(&[met, breached, running, met]);
        assert_eq!((mixed.estimate.value, mixed.verdict), (Some(2.0 / 3.0), Verdict::Missed));
        assert_eq!((mixed.estimate.min, mixed.estimate.max), (Some(0.5), Some(0.75)));
        assert_eq!(ResponseSummary::of(&[met, breached]).worst, Some((IncidentId(1), hours(9))));
    }

    #[test]
    fn the_first_report_counts_also_at_this_very_second() {
        let reports = [
            DETECTED,
            ("05-07T12:00:00", FirstResponseReported),
            ("05-07T10:00:00", FirstResponseReported),
            ("05-08T10:00:00", FirstResponseReported),
        ];
        let took = BusinessDuration::from_secs(5400);
        let met = ResponseState::Met { at: at("05-07T10:00:00"), took };
        assert_eq!(state(&reports, "05-09T00:00:00"), Some(met));
        assert_eq!(state(&reports, "05-07T10:00:00"), Some(met));
        let early = [DETECTED, ("05-01T16:00:00", FirstResponseReported)];
        let at_once = ResponseState::Met { at: at("05-01T16:30:00"), took: BusinessDuration::ZERO };
        assert_eq!(state(&early, "05-09T00:00:00"), Some(at_once), "a report ahead of the detection");
    }

    #[test]
    fn of_two_as_long_the_first_is_the_worst() {
        let clock = |number, took| ResponseClock {
            incident: IncidentId(number),
            contract_version: 1,
            start: at("05-01T16:30:00"),
            budget: hours(4),
            deadline: at("05-07T12:30:00"),
            state: ResponseState::Breached { at: None, took },
        };
        let worst = |clocks: &[ResponseClock]| ResponseSummary::of(clocks).worst;
        assert_eq!(worst(&[clock(1, hours(9)), clock(2, hours(9))]), Some((IncidentId(1), hours(9))));
        assert_eq!(worst(&[clock(1, hours(8)), clock(2, hours(9))]), Some((IncidentId(2), hours(9))));
    }
}
