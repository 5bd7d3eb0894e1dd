//! The past under a draft (SLA A2.4): what a revision would have changed.
//!
//! Holds: the same history is judged twice, by the versions that were in force and by the draft as
//! if it had been in force all the time; nothing else differs. Neither changes anything.

use super::{
    contract::Contract,
    history::{History, Version},
    indicator::{IndicatorName, Verdict},
    miss::{Evidence, Miss},
    month::{Month, SlaMonth},
};
use serde::Serialize;
use tenken_common::time::Timestamp;

/// What is different in one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub month: Month,
    pub item: IndicatorName,
    pub before: Judged,
    pub draft: Judged,
    /// What is a miss under the draft only.
    pub added: Vec<Evidence>,
    /// What is a miss under the versions in force only.
    pub removed: Vec<Evidence>,
}

/// An item of a month under one contract.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    pub verdict: Option<Verdict>,
    pub value: Option<f64>,
    /// Misses for certain; `None` where the contract does not say what counts.
    pub misses: Option<u32>,
    /// Misses that are not certain.
    pub open: Option<u32>,
}

/// Judges the months from `from` to `to` both ways; items that come out the same are left out.
pub fn compare(
    history: &History,
    draft: &Contract,
    (from, to): (Month, Month),
    as_of: Timestamp,
) -> Vec<Change> {
    let first = super::calendar::Day::of(from.span().from);
    let contract = Contract { effective_from: first, ..draft.clone() }.with_holidays(&history.holidays);
    let approved = Some(Timestamp::MIN);
    let version = Version { contract, vendor: approved, hospital: approved };
    let replayed = History { versions: vec![version], ..history.clone() };
    let (before, under) = (history.known(as_of), replayed.known(as_of));
    let began = |month: &Month| month.span().from < as_of;
    let changes = |month: Month| {
        let (before, draft) = (before.month(month), under.month(month));
        IndicatorName::ALL.into_iter().filter_map(move |item| change(month, item, &before, &draft))
    };
    from.to(to).filter(began).flat_map(changes).collect()
}

fn change(month: Month, item: IndicatorName, before: &SlaMonth, draft: &SlaMonth) -> Option<Change> {
    let miss =
        |m: &SlaMonth| -> Option<Miss> { m.misses.iter().flatten().find(|miss| miss.item == item).cloned() };
    let judged = |m: &SlaMonth| {
        let indicator = m.indicators.iter().find(|i| i.name == item);
        let counted = m.misses.as_ref().map(|_| miss(m).map_or((0, 0), |miss| (miss.count, miss.open)));
        Judged {
            verdict: indicator.map(|i| i.verdict),
            value: indicator.and_then(|i| i.estimate.value),
            misses: counted.map(|(count, _)| count),
            open: counted.map(|(_, open)| open),
        }
    };
    let (was, would) = (judged(before), judged(draft));
    let evidence = |m: &SlaMonth| miss(m).map(|miss| miss.evidence).unwrap_or_default();
    let (old, new) = (evidence(before), evidence(draft));
    let only = |these: &[Evidence], those: &[Evidence]| -> Vec<Evidence> {
        these.iter().filter(|e| !those.contains(e)).cloned().collect()
    };
    let (added, removed) = (only(&new, &old), only(&old, &new));
    let same = was == would && added.is_empty() && removed.is_empty();
    (!same).then_some(Change { month, item, before: was, draft: would, added, removed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desk::notice::{IncidentId, Severity},
        sla::{
            contract::EXAMPLE,
            response::{IncidentEvent, IncidentEventKind, IncidentHistory},
        },
    };

    fn at(text: &str) -> Timestamp {
        format!("2026-{text}:00+09:00").parse().unwrap()
    }

    fn incident(number: u64, detected: &str, reported: &str) -> IncidentHistory {
        let event = |t, kind| IncidentEvent { at: at(t), kind };
        let events = vec![
            event(detected, IncidentEventKind::Detected(Severity::Critical)),
            event(reported, IncidentEventKind::FirstResponseReported),
        ];
        IncidentHistory { incident: IncidentId(number), events }
    }

    #[test]
    fn a_shorter_budget_lists_exactly_the_further_misses() {
        let approved = Some(at("03-01T09:00"));
        let contract = Contract::parse(EXAMPLE).unwrap();
        let history = History {
            versions: vec![Version { contract: contract.clone(), vendor: approved, hospital: approved }],
            watched: Some(vec![super::super::span::Span::new(at("04-01T00:00"), at("12-31T00:00"))]),
            incidents: vec![
                incident(1, "06-01T09:00", "06-01T11:00"),
                incident(2, "06-02T09:00", "06-02T12:30"),
                incident(3, "06-03T09:00", "06-03T15:00"),
                incident(4, "07-01T09:00", "07-01T13:00"),
            ],
            ..History::default()
        };
        let draft = Contract::parse(&EXAMPLE.replace("budget = \"4h\"", "budget = \"3h\"")).unwrap();
        let months = ("2026-04".parse().unwrap(), "2026-12".parse().unwrap());
        let changes = compare(&history, &draft, months, at("09-01T00:00"));
        let got: Vec<_> = changes
            .iter()
            .map(|c| (c.month.to_string(), c.item, c.before.misses, c.draft.misses, c.added.clone()))
            .collect();
        let further = |n| vec![Evidence::Incident { incident: IncidentId(n) }];
        assert_eq!(
            got,
            [
                ("2026-06".to_owned(), IndicatorName::Response, Some(1), Some(2), further(2)),
                ("2026-07".to_owned(), IndicatorName::Response, Some(0), Some(1), further(4)),
            ]
        );
        assert_eq!(compare(&history, &contract, months, at("09-01T00:00")), []);
    }

    /// Under A and under B: incident 1 is in time under one of them only.
    fn histories() -> (History, Contract, Contract) {
        let approved = Some(at("03-01T09:00"));
        let month = EXAMPLE.replace("response = \"incident\"", "response = \"month\"");
        let contract = Contract::parse(&month).unwrap();
        let shorter = Contract::parse(&month.replace("budget = \"4h\"", "budget = \"3h\"")).unwrap();
        let history = History {
            versions: vec![Version { contract: contract.clone(), vendor: approved, hospital: approved }],
            incidents: vec![
                incident(1, "06-01T09:00", "06-01T12:30"),
                incident(2, "06-02T09:00", "06-02T15:00"),
            ],
            ..History::default()
        };
        (history, contract, shorter)
    }

    #[test]
    fn other_evidence_for_as_many_misses_is_a_change() {
        let (history, contract, shorter) = histories();
        let june = ("2026-06".parse().unwrap(), "2026-06".parse().unwrap());
        let moved = [Evidence::Incident { incident: IncidentId(1) }];
        let forth = compare(&history, &shorter, june, at("09-01T00:00"));
        assert_eq!(forth.len(), 1);
        assert_eq!((forth[0].before.misses, forth[0].draft.misses), (Some(1), Some(1)));
        assert_eq!((&forth[0].added[..], forth[0].removed.len()), (&moved[..], 0));
        let approved = Some(at("03-01T09:00"));
        let version = Version { contract: shorter, vendor: approved, hospital: approved };
        let turned = History { versions: vec![version], ..history };
        let back = compare(&turned, &contract, june, at("09-01T00:00"));
        assert_eq!((&back[0].removed[..], back[0].added.len()), (&moved[..], 0));
    }

    #[test]
    fn a_month_that_has_not_begun_is_not_compared() {
        let (history, contract, _) = histories();
        // Without items at its end, so that nothing but one verdict is different.
        let (before, rest) = EXAMPLE.split_once("[[checklist]]").unwrap();
        let rules = format!("{before}[counting]{}", rest.split_once("[counting]").unwrap().1);
        let draft =
            Contract::parse(&rules.replace("response = \"incident\"", "response = \"month\"")).unwrap();
        assert!(draft.rules.checklist.is_empty() && draft.rules.counting == contract.rules.counting);
        let months = ("2026-05".parse().unwrap(), "2026-07".parse().unwrap());
        let compared = |as_of| {
            let changes = compare(&history, &draft, months, at(as_of));
            assert!(changes.iter().all(|c| c.item == IndicatorName::Checklist && c.before.verdict.is_some()));
            changes.iter().map(|c| c.month.to_string()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(compared("07-01T00:00"), ["2026-05".to_owned(), "2026-06".to_owned()].into());
        assert_eq!(compared("07-01T00:01").len(), 3);
    }
}
