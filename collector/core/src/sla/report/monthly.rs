//! The monthly report (月次報告, SLA A6.5(1)①): jobs, accesses by service type, and the indicators of
//! A7.1(1) with everything behind them.
//!
//! Holds: what was known at `as_of` and nothing else; an agreement or a request that came later does
//! not show. The figures are those of [`SlaMonth`]; nothing is computed anew.

mod tables;

use super::{
    Head, Standing,
    event::{Event, EventState},
};
use crate::{
    desk::notice::Severity,
    sla::{
        agreed::Agreed,
        calendar::BusinessDuration,
        contract::{Contract, CurrencyKind},
        exclusion::Exclusion,
        history::Known,
        job::{Access, AccessFlag},
        month::{Month, SlaMonth},
        outage::{Extent, Outage},
        span::Span,
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tenken_common::{id::Name, time::Timestamp};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonthlyReport {
    #[serde(flatten)]
    pub head: Head,
    pub month: Month,
    pub versions: Vec<VersionTerms>,
    pub figures: SlaMonth,
    /// What was written down about the stops in [`SlaMonth::outages`], in the same order.
    pub outage_notes: Vec<OutageNote>,
    /// What was written down about [`SlaMonth::exclusions`], in the same order.
    pub exclusion_notes: Vec<ExclusionNote>,
    /// By their beginning.
    pub accesses: Vec<AccessRow>,
    /// That happened in the month.
    pub events: Vec<EventRow>,
}

/// What a version of the contract promised in a part of the month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionTerms {
    pub version: u32,
    pub span: Span,
    pub uptime: f64,
    #[serde(rename = "response_us")]
    pub response: BusinessDuration,
    pub severities: BTreeSet<Severity>,
    /// Service time of the part, also what lies after `as_of`.
    #[serde(rename = "service_us")]
    pub service: BusinessDuration,
    #[serde(rename = "currency_seconds", serialize_with = "limits")]
    pub currency: BTreeMap<CurrencyKind, Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutageNote {
    pub id: Name,
    pub is_over: bool,
    pub partial: bool,
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExclusionNote {
    pub id: Name,
    pub announced_at: Option<Timestamp>,
    pub agreed: Option<Agreed>,
    pub evidence: Vec<String>,
    pub note: String,
}

/// An access, with what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessRow {
    #[serde(flatten)]
    pub access: Access,
    pub flag: Option<AccessFlag>,
}

/// An event, with whether 甲 has its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    pub id: Name,
    pub subject: String,
    pub kind: super::event::EventKind,
    pub occurred_at: Timestamp,
    pub due: Timestamp,
    #[serde(flatten)]
    pub state: EventState,
}

impl MonthlyReport {
    pub fn of(known: &Known<'_>, month: Month, standing: Standing) -> Self {
        let (span, as_of, history) = (month.span(), known.as_of, known.history);
        let figures = known.month(month);
        let outage = |id: &Name| history.outages.iter().find(|o| o.id == *id);
        let exclusion = |id: &Name| history.exclusions.iter().find(|x| x.id == *id);
        Self {
            head: Head::of(known, span, standing),
            month,
            versions: known.contracts.segments(span).map(VersionTerms::of).collect(),
            outage_notes: figures
                .outages
                .iter()
                .filter_map(|o| Some(OutageNote::of(outage(&o.id)?, as_of)))
                .collect(),
            exclusion_notes: figures
                .exclusions
                .iter()
                .filter_map(|x| Some(ExclusionNote::of(exclusion(&x.id)?, as_of)))
                .collect(),
            figures,
            accesses: accesses(&history.accesses, span, as_of),
            events: events(&history.events, span, as_of),
        }
    }
}

impl VersionTerms {
    fn of((span, contract): (Span, &Contract)) -> Self {
        Self {
            version: contract.version,
            span,
            uptime: contract.targets.uptime,
            response: contract.targets.response.budget,
            severities: contract.targets.response.severities.clone(),
            service: contract.service_hours.measure(span),
            currency: contract.rules.currency.iter().flat_map(|terms| terms.limits.clone()).collect(),
        }
    }
}

impl OutageNote {
    fn of(outage: &Outage, as_of: Timestamp) -> Self {
        Self {
            id: outage.id.clone(),
            is_over: outage.to.is_some_and(|to| to <= as_of),
            partial: matches!(outage.extent, Extent::Partial { .. }),
            note: outage.note.clone(),
        }
    }
}

impl ExclusionNote {
    fn of(exclusion: &Exclusion, as_of: Timestamp) -> Self {
        Self {
            id: exclusion.id.clone(),
            announced_at: exclusion.announced_at.filter(|at| *at <= as_of),
            agreed: exclusion.agreed.clone().filter(|agreed| agreed.at <= as_of),
            evidence: exclusion.evidence.clone(),
            note: exclusion.note.clone(),
        }
    }
}

fn accesses(all: &[Access], span: Span, as_of: Timestamp) -> Vec<AccessRow> {
    let here = |access: &&Access| span.contains(access.from) && access.from <= as_of;
    let mut rows: Vec<AccessRow> = all
        .iter()
        .filter(here)
        .map(|access| {
            let mut known = access.clone();
            known.request = known.request.filter(|request| request.at <= as_of);
            known.confirmed_at = known.confirmed_at.filter(|at| *at <= as_of);
            AccessRow { flag: access.flag(as_of), access: known }
        })
        .collect();
    rows.sort_by(|a, b| (a.access.from, &a.access.id).cmp(&(b.access.from, &b.access.id)));
    rows
}

fn events(all: &[Event], span: Span, as_of: Timestamp) -> Vec<EventRow> {
    let here = |event: &&Event| span.contains(event.occurred_at) && event.occurred_at <= as_of;
    let mut rows: Vec<EventRow> = all
        .iter()
        .filter(here)
        .map(|event| EventRow {
            id: event.id.clone(),
            subject: event.subject.clone(),
            kind: event.kind,
            occurred_at: event.occurred_at,
            due: event.due,
            state: event.state(as_of),
        })
        .collect();
    rows.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
    rows
}

fn limits<S: serde::Serializer>(limits: &BTreeMap<CurrencyKind, Duration>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(limits.iter().map(|(kind, limit)| (kind, limit.as_secs())))
}
