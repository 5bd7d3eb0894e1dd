//! 巻末に示す事項 (SLA A7.1(1)①): what has to be done once a year, with evidence and date.
//!
//! Holds: an occurrence is done by a record after the one before was due and by the end of its own
//! day. It belongs to the month of that day. Before that day it is neither done nor missed.

use super::{
    calendar::Day,
    contract::{ChecklistItem, Rules},
    indicator::{Indicator, IndicatorName, NullReason, Tally, Verdict},
    span::Span,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tenken_common::{id::Name, time::Timestamp};

/// Something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChecklistRecord {
    pub item: Name,
    pub done_at: Timestamp,
    /// What proves it.
    pub evidence: String,
}

/// One item that is due in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChecklistMonth {
    pub item: Name,
    pub title: String,
    pub due: Day,
    pub verdict: Verdict,
    /// The record that counts.
    pub done: Option<ChecklistRecord>,
}

/// The items whose day lies in `span`, as they stood at `as_of`.
pub fn due_in(
    rules: &Rules,
    records: &[ChecklistRecord],
    span: Span,
    as_of: Timestamp,
) -> Vec<ChecklistMonth> {
    let days = Day::in_span(span);
    let years: BTreeSet<i16> = days.map(Day::year).collect();
    let mut out = Vec::new();
    for (id, item) in &rules.checklist {
        for due in years.iter().filter_map(|year| item.due.of_year(*year)) {
            if span.contains(due.start()) {
                out.push(occurrence(id, item, due, records, as_of));
            }
        }
    }
    out.sort_unstable_by(|a, b| (a.due, &a.item).cmp(&(b.due, &b.item)));
    out
}

fn occurrence(
    id: &Name,
    item: &ChecklistItem,
    due: Day,
    records: &[ChecklistRecord],
    as_of: Timestamp,
) -> ChecklistMonth {
    let end = due.span().to;
    let begin = item.due.of_year(due.year() - 1).map_or(Timestamp::MIN, |before| before.span().to);
    let window = Span::new(begin, end);
    let done = records
        .iter()
        .filter(|r| r.item == *id && window.contains(r.done_at) && r.done_at <= as_of)
        .min_by_key(|r| r.done_at)
        .cloned();
    let verdict = match done {
        Some(_) => Verdict::Met,
        None if as_of >= end => Verdict::Missed,
        None => Verdict::Unknown,
    };
    ChecklistMonth { item: id.clone(), title: item.title.clone(), due, verdict, done }
}

/// The share of the month's items that were done; all have to.
pub fn indicator(items: &[ChecklistMonth]) -> Indicator {
    let tally = Tally::of(items.iter().map(|item| item.verdict));
    tally.indicator(IndicatorName::Checklist, NullReason::NoItem, NullReason::NothingDue)
}

/// 甲 found an item not kept and asked for its correction within a time (A7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionRequest {
    pub item: Name,
    pub requested_at: Timestamp,
    /// The end of the reasonable time (相当の期間).
    pub until: Timestamp,
}

impl CorrectionRequest {
    /// Whether the time passed without a record of it.
    pub fn is_overdue(&self, records: &[ChecklistRecord], as_of: Timestamp) -> bool {
        let window = Span::new(self.requested_at, self.until.plus_micros(1));
        as_of > self.until && !records.iter().any(|r| r.item == self.item && window.contains(r.done_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::{
        contract::{Contract, EXAMPLE},
        month::Month,
    };

    fn at(text: &str) -> Timestamp {
        format!("{text}+09:00").parse().unwrap()
    }

    fn done(text: &str) -> ChecklistRecord {
        ChecklistRecord { item: Name::new("training").unwrap(), done_at: at(text), evidence: "R-1".into() }
    }

    fn verdict(records: &[ChecklistRecord], as_of: &str) -> Option<Verdict> {
        let rules = Contract::parse(EXAMPLE).unwrap().rules;
        let march = "2027-03".parse::<Month>().unwrap().span();
        due_in(&rules, records, march, at(as_of)).first().map(|item| item.verdict)
    }

    #[test]
    fn an_item_is_done_within_its_own_year() {
        let end = "2027-04-01T00:00:00";
        assert_eq!(verdict(&[], "2027-03-31T23:59:59"), Some(Verdict::Unknown));
        assert_eq!(verdict(&[], end), Some(Verdict::Missed));
        assert_eq!(verdict(&[done("2027-03-31T23:59:59")], end), Some(Verdict::Met));
        assert_eq!(verdict(&[done("2026-04-01T00:00:00")], end), Some(Verdict::Met));
        assert_eq!(
            verdict(&[done("2026-03-31T23:59:59")], end),
            Some(Verdict::Missed),
            "that was the year before"
        );
        assert_eq!(verdict(&[done("2027-04-01T00:00:00")], "2027-05-01T00:00:00"), Some(Verdict::Missed));
        let rules = Contract::parse(EXAMPLE).unwrap().rules;
        let june = "2026-06".parse::<Month>().unwrap().span();
        assert_eq!(indicator(&due_in(&rules, &[], june, at(end))).verdict, Verdict::NotApplicable);
    }

    #[test]
    fn a_correction_is_overdue_when_its_time_has_passed() {
        let request = CorrectionRequest {
            item: Name::new("training").unwrap(),
            requested_at: at("2027-04-10T09:00:00"),
            until: at("2027-05-10T09:00:00"),
        };
        assert!(!request.is_overdue(&[], at("2027-05-10T09:00:00")));
        assert!(request.is_overdue(&[], at("2027-05-10T09:00:01")));
        assert!(request.is_overdue(&[done("2027-04-09T09:00:00")], at("2027-06-01T00:00:00")));
        assert!(!request.is_overdue(&[done("2027-05-10T09:00:00")], at("2027-06-01T00:00:00")));
    }

    #[test]
    fn what_is_done_at_this_very_second_is_known() {
        let at_noon = [done("2027-03-10T12:00:00")];
        assert_eq!(verdict(&at_noon, "2027-03-10T12:00:00"), Some(Verdict::Met));
        assert_eq!(verdict(&at_noon, "2027-03-10T11:59:59"), Some(Verdict::Unknown));
    }
}
