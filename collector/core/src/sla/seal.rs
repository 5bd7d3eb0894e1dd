//! Sealing a month (A6.5(1)①): its report as it is handed over, frozen with the place in the stream
//! up to which it was computed. What is known later makes a further revision with its differences.
//!
//! Holds: a month is sealed once it has ended and every certain miss has a reason and a plan (A7.2).
//! The same stream gives the same seal, byte for byte: what is not an entry of it (the incidents
//! that the evaluation made of it, the official holidays) is kept in the seal.
//!
//! Does not: change a revision that was sealed.

use super::{
    calendar::{Day, HolidayList},
    history::History,
    indicator::IndicatorName,
    month::Month,
    report::{
        ENGINE, Standing,
        change::{self, Change},
        csv::csv,
        document::{Block, Cell, Document},
        html::html,
        monthly::MonthlyReport,
    },
    response::IncidentHistory,
};
use crate::head::Heads;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tenken_common::{id::ContractId, message::Language, time::Timestamp};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthSealed {
    pub contract: ContractId,
    pub month: Month,
    /// From 1.
    pub revision: u32,
    /// What computed it.
    pub engine: String,
    pub computed: SealPoint,
    /// [`Inputs`] as JSON.
    pub inputs: String,
    /// The [`Document`] in each language as JSON, without what differs from the revision before.
    pub documents: Vec<String>,
    pub pages: Vec<Page>,
}

/// The state of the stream from which a seal was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealPoint {
    pub as_of: Timestamp,
    /// The last entry that was there.
    pub position: u64,
    /// Of the hospital, up to there.
    pub heads: Heads,
}

/// A form of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// `report.json`, `report.ja.html`, ..
    pub name: String,
    pub text: String,
}

/// What goes into the figures and is no entry of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Those that something happened to in the month.
    pub incidents: Vec<IncidentHistory>,
    pub holidays: BTreeMap<Day, String>,
}

/// Why a month is not sealed.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SealError {
    #[error("the month {month} has not ended yet (as of {as_of})")]
    NotEnded { month: Month, as_of: Timestamp },
    #[error("no contract version was in force in {0}; a version is in force once the hospital agreed")]
    NoContract(Month),
    #[error(
        "{month} has misses without a reason and an improvement plan: {}; enter an explanation of each first",
        items.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
    )]
    Unexplained { month: Month, items: Vec<IndicatorName> },
    #[error("nothing has changed since revision {revision} of {month} was sealed")]
    Unchanged { month: Month, revision: u32 },
}

/// The languages in which a report is handed over.
const LANGUAGES: [Language; 2] = [Language::Ja, Language::En];

impl Inputs {
    /// Of a month's figures.
    fn of(history: &History, month: Month) -> Self {
        let span = month.span();
        let touches = |i: &&IncidentHistory| i.events.iter().any(|event| span.contains(event.at));
        Self {
            incidents: history.incidents.iter().filter(touches).cloned().collect(),
            holidays: history.holidays.days().clone(),
        }
    }

    /// The history with nothing else going in.
    fn put_into(self, history: &History) -> History {
        let holidays = Arc::new(HolidayList::of_days(self.holidays));
        let mut history = History { incidents: self.incidents, ..history.clone() };
        for version in &mut history.versions {
            version.contract = version.contract.clone().with_holidays(&holidays);
        }
        history.holidays = holidays;
        history
    }
}

impl MonthSealed {
    /// Seals a month as its history was known at `computed.as_of`; `before` is the newest revision.
    pub fn new(
        history: &History,
        (contract, month): (&ContractId, Month),
        computed: SealPoint,
        before: Option<&Self>,
    ) -> Result<Self, SealError> {
        let inputs = Inputs::of(history, month);
        Self::of_inputs(history, (contract, month), computed, (inputs, before))
    }

    /// What this seal should be, by a history that was made from the stream and these seals alone.
    pub fn again(&self, history: &History, before: Option<&Self>) -> Result<Self, SealError> {
        let inputs = serde_json::from_str(&self.inputs).unwrap_or_default();
        Self::of_inputs(history, (&self.contract, self.month), self.computed, (inputs, before))
    }

    fn of_inputs(
        history: &History,
        (contract, month): (&ContractId, Month),
        computed: SealPoint,
        (inputs, before): (Inputs, Option<&Self>),
    ) -> Result<Self, SealError> {
        let text = serde_json::to_string(&inputs).expect("incidents and days are JSON");
        let history = inputs.put_into(history);
        let known = history.known(computed.as_of);
        let revision = before.map_or(1, |before| before.revision.saturating_add(1));
        let standing = Standing::Sealed { revision, at: computed.as_of };
        let report = MonthlyReport::of(&known, month, standing);
        let figures = &report.figures;
        if !figures.ended {
            return Err(SealError::NotEnded { month, as_of: computed.as_of });
        }
        if figures.segments.is_empty() {
            return Err(SealError::NoContract(month));
        }
        if !figures.unexplained.is_empty() {
            return Err(SealError::Unexplained { month, items: figures.unexplained.clone() });
        }
        let documents = LANGUAGES.map(|language| report.document(language));
        let changes = LANGUAGES.map(|language| {
            let old = before.and_then(|before| before.document(language));
            old.map(|old| changes(&old, &documents, language)).unwrap_or_default()
        });
        if let Some(before) = before.filter(|_| changes.iter().all(Vec::is_empty)) {
            return Err(SealError::Unchanged { month, revision: before.revision });
        }
        let json = serde_json::to_string_pretty(&report).expect("a report is JSON: its keys are texts");
        let mut pages = vec![Page { name: "report.json".to_owned(), text: format!("{json}\n") }];
        for ((language, document), changes) in LANGUAGES.into_iter().zip(&documents).zip(&changes) {
            let mut document = document.clone();
            if let Some(before) = before {
                change::show(&mut document, changes, before.revision);
            }
            let name = |form: &str| page_name(language, form);
            pages.push(Page { name: name("html"), text: html(&document) });
            pages.push(Page { name: name("csv"), text: csv(&document) });
        }
        let kept = documents.iter().map(|d| serde_json::to_string(d).expect("a document is JSON"));
        Ok(Self {
            contract: contract.clone(),
            month,
            revision,
            engine: ENGINE.to_owned(),
            computed,
            inputs: text,
            documents: kept.collect(),
            pages,
        })
    }

    /// Where a later seal of the same month says otherwise.
    pub fn changes_to(&self, later: &Self, language: Language) -> Vec<Change> {
        match (self.document(language), later.document(language)) {
            (Some(own), Some(later)) => change::changes(&own, &later),
            (None, _) | (_, None) => Vec::new(),
        }
    }

    /// The indicators as the report states them: names, and result, range and verdict.
    pub fn indicators(&self, language: Language) -> Vec<(String, String)> {
        let document = self.document(language);
        let sections = document.iter().flat_map(|document| &document.sections);
        let table = sections.take(1).flat_map(|section| &section.blocks).find_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Text(_) | Block::Heading(_) | Block::Facts(_) | Block::Chart(_) | Block::Boxes(_) => None,
        });
        let row = |cells: &Vec<Cell>| {
            let (name, rest) = cells.split_first()?;
            // The target, with which the contract begins, is not found but agreed.
            let texts: Vec<&str> = rest.iter().skip(1).map(|cell| cell.text.as_str()).collect();
            Some((name.text.clone(), texts.join(" / ")))
        };
        table.into_iter().flat_map(|table| table.rows.iter().filter_map(row)).collect()
    }

    fn document(&self, language: Language) -> Option<Document> {
        let read = self.documents.iter().filter_map(|json| serde_json::from_str::<Document>(json).ok());
        read.into_iter().find(|document| document.language == language)
    }

    /// A page by its form, `json`, or `html` or `csv` in a language.
    pub fn page(&self, language: Language, form: &str) -> Option<&str> {
        let name = if form == "json" { "report.json".to_owned() } else { page_name(language, form) };
        self.pages.iter().find(|page| page.name == name).map(|page| page.text.as_str())
    }
}

fn page_name(language: Language, form: &str) -> String {
    format!("report.{}.{form}", language.as_str())
}

fn changes(old: &Document, documents: &[Document], language: Language) -> Vec<Change> {
    let new = documents.iter().find(|document| document.language == language);
    new.map(|new| change::changes(old, new)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
