//! 未達成件数 (SLA A7.1(1)②): what of a month counts as a miss, by the contract's own rules, with
//! the evidence for each.
//!
//! Holds: nothing is counted without rules. What is not certain (a month that has not ended, a
//! response that is not due, a state that is not known) is kept apart as open; the contract says
//! whether what stays open at the end counts. Only 乙's devices make misses of 乙.

use super::{
    calendar::Day,
    contract::{ChecklistCount, Counting, CurrencyCount, CurrencyKind, Party, ResponseCount, UptimeCount},
    indicator::{IndicatorName, Verdict},
    month::SlaMonth,
    partition::{Label, Labelled},
    response::ResponseState,
};
use crate::desk::notice::IncidentId;
use serde::{Deserialize, Serialize};
use tenken_common::id::Name;

/// The misses of one item in one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Miss {
    pub item: IndicatorName,
    /// Certain.
    pub count: u32,
    /// Not certain.
    pub open: u32,
    /// Everything that made them, certain or not.
    pub evidence: Vec<Evidence>,
}

/// What a miss is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Time that was not up.
    Time(Labelled),
    Incident {
        incident: IncidentId,
    },
    Device {
        device: Name,
        what: CurrencyKind,
    },
    Item {
        item: Name,
        due: Day,
    },
}

/// 甲 is told why, and what will be better (A7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    pub month: super::month::Month,
    pub item: IndicatorName,
    /// 事由.
    pub reason: String,
    /// 改善策.
    pub plan: String,
}

/// A month's misses, by item; none for an item without any.
pub fn of_month(month: &SlaMonth, counting: Counting) -> Vec<Miss> {
    [
        uptime(month, counting.uptime),
        response(month, counting.response),
        currency(month, counting.currency),
        checklist(month, counting.checklist),
    ]
    .into_iter()
    .filter(|miss| miss.count + miss.open > 0)
    .collect()
}

fn uptime(month: &SlaMonth, count: UptimeCount) -> Miss {
    let verdict = month.verdict(IndicatorName::Uptime);
    let UptimeCount::Month = count;
    let (missed, open) = match verdict {
        // Before its end a month may still become better or worse.
        Some(Verdict::Missed) => (u32::from(month.ended), u32::from(!month.ended)),
        Some(Verdict::Unknown) => (0, 1),
        Some(Verdict::Met | Verdict::NotApplicable) | None => (0, 0),
    };
    let bad =
        |part: &&Labelled| matches!(part.label, Label::DownProvider | Label::Undetermined | Label::NoData);
    let evidence = if missed + open > 0 {
        month.partition.parts().iter().filter(bad).map(|part| Evidence::Time(*part)).collect()
    } else {
        Vec::new()
    };
    Miss { item: IndicatorName::Uptime, count: missed, open, evidence }
}

fn response(month: &SlaMonth, count: ResponseCount) -> Miss {
    let (mut missed, mut open, mut evidence) = (0, 0, Vec::new());
    for clock in month.segments.iter().flat_map(|segment| &segment.clocks) {
        match clock.state {
            ResponseState::Met { .. } => continue,
            ResponseState::Breached { .. } => missed += 1,
            ResponseState::Running { .. } => open += 1,
        }
        evidence.push(Evidence::Incident { incident: clock.incident });
    }
    if count == ResponseCount::Month {
        open = u32::from(missed == 0 && open > 0);
        missed = missed.min(1);
    }
    Miss { item: IndicatorName::Response, count: missed, open, evidence }
}

fn currency(month: &SlaMonth, count: CurrencyCount) -> Miss {
    let (mut missed, mut open, mut evidence) = (Vec::new(), Vec::new(), Vec::new());
    for state in month.currency.iter().filter(|c| c.responsible == Party::Provider) {
        match state.verdict {
            Verdict::Missed => missed.push(&state.device),
            Verdict::Unknown => open.push(&state.device),
            Verdict::Met | Verdict::NotApplicable => continue,
        }
        evidence.push(Evidence::Device { device: state.device.clone(), what: state.kind });
    }
    missed.dedup();
    open.dedup();
    open.retain(|device| !missed.contains(device));
    let counts = |devices: &[&Name]| u32::try_from(devices.len()).unwrap_or(u32::MAX);
    let (mut count_of, mut open_of) = (counts(&missed), counts(&open));
    if count == CurrencyCount::Month {
        open_of = u32::from(count_of == 0 && open_of > 0);
        count_of = count_of.min(1);
    }
    Miss { item: IndicatorName::CurrencyProvider, count: count_of, open: open_of, evidence }
}

fn checklist(month: &SlaMonth, count: ChecklistCount) -> Miss {
    let ChecklistCount::Item = count;
    let (mut missed, mut open, mut evidence) = (0, 0, Vec::new());
    for item in &month.checklist {
        match item.verdict {
            Verdict::Missed => missed += 1,
            Verdict::Unknown => open += 1,
            Verdict::Met | Verdict::NotApplicable => continue,
        }
        evidence.push(Evidence::Item { item: item.item.clone(), due: item.due });
    }
    Miss { item: IndicatorName::Checklist, count: missed, open, evidence }
}

#[cfg(test)]
mod tests;
