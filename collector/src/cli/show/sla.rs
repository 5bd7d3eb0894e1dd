//! Listings about the SLA as a person reads them: records, evaluations, what a draft would change.

use super::figures;
use serde::Serialize;
use std::fmt::Write as _;
use tenken_collector_core::sla::{
    contract::Grade,
    history::Evaluation,
    miss::Evidence,
    what_if::{Change, Judged},
    year::SlaYear,
};
use tenken_common::{
    id::Hash,
    message::{Language, Message},
    time::{Timestamp, jst_minute},
};

/// One record about a contract.
#[derive(Debug, Serialize)]
pub struct RecordRow {
    pub entered: Timestamp,
    pub sha256: Hash,
    pub wants_agreement: bool,
    /// When the hospital signed that it agrees.
    pub agreed: Option<Timestamp>,
    pub record: serde_json::Value,
}

pub fn records(rows: &[RecordRow], language: Language) -> String {
    if rows.is_empty() {
        return Message::SlaNoRecords.text(language).to_owned();
    }
    let line = |r: &RecordRow| {
        let agreed = match r.agreed {
            Some(at) => Message::ContractAgreed.fill(language, &[("at", &jst_minute(at))]),
            None if r.wants_agreement => Message::ContractNotAgreed.text(language).to_owned(),
            None => String::new(),
        };
        format!("{}  {}\n  {agreed}", jst_minute(r.entered), r.record).trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Months, years and what follows from them.
pub fn evaluation(e: &Evaluation, language: Language) -> String {
    let mut out = String::new();
    if let Some(parties) = &e.contract {
        let _ = writeln!(out, "{} {}", parties.id, parties.service_name);
    }
    for month in &e.months {
        let _ = writeln!(out, "{}", month.month);
        figures(&mut out, month, language);
        for miss in month.misses.iter().flatten() {
            let values = [("count", miss.count.to_string()), ("open", miss.open.to_string())];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let line = Message::SlaMissCount.fill(language, &values);
            let _ = writeln!(out, "    {}: {line}", miss.item.message().text(language));
            if month.unexplained.contains(&miss.item) {
                let _ = writeln!(out, "      {}", Message::SlaUnexplained.text(language));
            }
        }
    }
    for year in &e.years {
        let _ = writeln!(out, "{}", year_line(year, language));
    }
    for trigger in &e.triggers {
        let _ = writeln!(out, "{}", trigger.sentence(language));
    }
    if out.is_empty() { Message::NoContracts.text(language).to_owned() } else { out }
}

/// What a draft would have changed.
pub fn changes(changes: &[Change], language: Language) -> String {
    if changes.is_empty() {
        return Message::SlaNoChange.text(language).to_owned();
    }
    let count = |j: &Judged| j.misses.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let verdict = |j: &Judged| j.verdict.map_or("-", |v| v.message().text(language)).to_owned();
    let mut out = String::new();
    for c in changes {
        let values = [
            ("month", c.month.to_string()),
            ("item", c.item.message().text(language).to_owned()),
            ("before", verdict(&c.before)),
            ("draft", verdict(&c.draft)),
            ("misses_before", count(&c.before)),
            ("misses_draft", count(&c.draft)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let _ = writeln!(out, "{}", Message::SlaChange.fill(language, &values));
        let marked = c.added.iter().map(|e| ("+", e)).chain(c.removed.iter().map(|e| ("-", e)));
        for (mark, e) in marked {
            let _ = writeln!(out, "  {mark} {}", evidence(e, language));
        }
    }
    out
}

fn evidence(evidence: &Evidence, language: Language) -> String {
    match evidence {
        Evidence::Time(part) => {
            let (from, to) = (jst_minute(part.span.from), jst_minute(part.span.to));
            format!("{from} – {to}  {}", part.label.message().text(language))
        }
        Evidence::Incident { incident } => incident.to_string(),
        Evidence::Device { device, what } => format!("{device}  {}", what.message().text(language)),
        Evidence::Item { item, due } => format!("{item}  {due}"),
    }
}

fn year_line(year: &SlaYear, language: Language) -> String {
    let grade = match (year.grade, year.reason_for_null) {
        (Some(grade), _) if year.best == year.worst => grade.as_str().to_owned(),
        (Some(grade), _) => {
            let of = |grade: Option<Grade>| grade.map_or("-", Grade::as_str);
            format!("{} [{} – {}]", grade.as_str(), of(year.best), of(year.worst))
        }
        (None, Some(reason)) => reason.message().text(language).to_owned(),
        (None, None) => Message::SlaNoGrade.text(language).to_owned(),
    };
    let misses = match (year.misses, year.misses_min, year.misses_max) {
        (Some(n), Some(min), Some(max)) if min != max => format!("{n} [{min} – {max}]"),
        (Some(n), ..) => n.to_string(),
        (None, ..) => "-".to_owned(),
    };
    let (from, to) = (year.first.to_string(), year.last.to_string());
    let message = if year.ended { Message::SlaYear } else { Message::SlaYearOpen };
    message.fill(language, &[("from", &from), ("to", &to), ("grade", &grade), ("misses", &misses)])
}
