//! Reports of the SLA (A4.2(3), A6.5): models of what they say, and the pages made of them.
//!
//! Holds: a model depends on the history and `as_of` only, and a page on its model and the language
//! only, so the same store gives the same bytes for ever. A report is a draft until its period has
//! ended and was sealed, and says so. What is missing stands there as missing.
//!
//! Does not: seal, send, or print.

pub mod annual;
pub mod change;
pub mod chart;
pub mod contract;
pub mod csv;
pub mod document;
pub mod draft;
pub mod event;
pub mod html;
pub mod monthly;
pub mod patient;
#[cfg(test)]
mod tests;
mod words;

use super::{contract::Contract, history::Known, span::Span};
use document::Cell;
use serde::Serialize;
use tenken_common::{id::ContractId, message::ReportText, time::Timestamp};
use words::Words;

/// What computed the figures.
pub const ENGINE: &str = concat!("tenken-sla/", env!("CARGO_PKG_VERSION"));

/// Whether a report may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    Draft,
    Sealed { revision: u32, at: Timestamp },
}

/// What stands at the head of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    pub engine: String,
    pub as_of: Timestamp,
    /// Whether the period had ended then.
    pub ended: bool,
    #[serde(flatten)]
    pub standing: Standing,
    /// `None` where no version was agreed.
    pub parties: Option<Parties>,
    pub period: Span,
}

/// Whose report it is, by the newest version that began before the period's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parties {
    pub contract: ContractId,
    pub service_name: String,
    /// 甲.
    pub hospital: String,
    /// 乙.
    pub vendor: String,
    /// 丙, 丁, with what they do.
    pub subcontractors: Vec<(String, String)>,
}

impl Head {
    /// A report on a period that has not ended is a draft, whatever `standing` says.
    pub fn of(known: &Known<'_>, period: Span, standing: Standing) -> Self {
        let ended = period.to <= known.as_of;
        Self {
            engine: ENGINE.to_owned(),
            as_of: known.as_of,
            ended,
            standing: if ended { standing } else { Standing::Draft },
            parties: known.contracts.in_force(period.to.plus_micros(-1)).map(Parties::of),
            period,
        }
    }

    /// The mark across a report that may still change.
    fn mark(&self, words: Words) -> Option<String> {
        (self.standing == Standing::Draft).then(|| words.text(ReportText::Draft).to_owned())
    }

    fn facts(&self, words: Words) -> Vec<(String, Cell)> {
        let mut facts = Vec::new();
        let mut fact = |name: ReportText, cell: Cell| facts.push((words.text(name).to_owned(), cell));
        if let Some(parties) = &self.parties {
            fact(ReportText::Hospital, Cell::plain(&parties.hospital));
            fact(ReportText::Provider, Cell::plain(&parties.vendor));
            for (i, (name, role)) in parties.subcontractors.iter().enumerate() {
                let text = words.fill(ReportText::NameAndRole, &[("name", name), ("role", role)]);
                match i {
                    0 => fact(ReportText::SubcontractorFirst, Cell::plain(text)),
                    1 => fact(ReportText::SubcontractorSecond, Cell::plain(text)),
                    _ => break,
                }
            }
            fact(ReportText::Service, Cell::plain(&parties.service_name));
            fact(ReportText::Contract, Cell::plain(parties.contract.to_string()));
        }
        fact(ReportText::PeriodOfReport, Cell::plain(words.days(self.period)));
        fact(ReportText::Standing, self.standing_cell(words));
        fact(ReportText::AsOf, Cell::plain(words.at(self.as_of)));
        // Further subcontractors keep their number.
        if let Some(parties) = &self.parties {
            for (i, (name, role)) in parties.subcontractors.iter().enumerate().skip(2) {
                let number = (i + 1).to_string();
                let label = words.fill(ReportText::SubcontractorOther, &[("n", &number)]);
                let text = words.fill(ReportText::NameAndRole, &[("name", name), ("role", role)]);
                facts.insert(i + 2, (label, Cell::plain(text)));
            }
        }
        facts
    }

    fn standing_cell(&self, words: Words) -> Cell {
        match self.standing {
            Standing::Sealed { revision, at } => {
                let values = [("revision", revision.to_string()), ("at", words.at(at))];
                Cell::plain(words.fill_all(ReportText::Sealed, &values))
            }
            Standing::Draft if self.ended => Cell::open(words.text(ReportText::DraftNotSealed)),
            Standing::Draft => Cell::open(words.text(ReportText::DraftNotEnded)),
        }
    }

    fn foot(&self, words: Words) -> String {
        let values = [("as_of", words.at(self.as_of)), ("engine", self.engine.clone())];
        words.fill_all(ReportText::Foot, &values)
    }
}

impl Parties {
    fn of(contract: &Contract) -> Self {
        Self {
            contract: contract.id.clone(),
            service_name: contract.service_name.clone(),
            hospital: contract.hospital.name.clone(),
            vendor: contract.vendor.clone(),
            subcontractors: contract
                .subcontractors
                .iter()
                .map(|s| (s.name.clone(), s.role.clone()))
                .collect(),
        }
    }
}
