//! What 甲 can hand to patients about the service (SLA A4.2(3)): one page in plain words.
//!
//! Holds: no device, person, incident or free text of anybody's records is on it; everything but
//! the parties' names and the figures comes from the catalogue. It speaks of the maintenance
//! service and says that this is not the equipment.

use super::{
    Head, Standing,
    document::{Block, Cell, Document, Section},
    event::EventKind,
    words::Words,
};
use crate::sla::{
    calendar::BusinessDuration,
    history::Known,
    indicator::{IndicatorName, Verdict},
    month::Month,
    partition::Label,
};
use serde::Serialize;
use std::collections::BTreeMap;
use tenken_common::message::{Language, ReportText};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatientReport {
    #[serde(flatten)]
    pub head: Head,
    pub month: Month,
    #[serde(rename = "service_us")]
    pub service: BusinessDuration,
    #[serde(rename = "down_us")]
    pub down: BusinessDuration,
    #[serde(rename = "excluded_us")]
    pub excluded: BusinessDuration,
    /// Undetermined or without data.
    #[serde(rename = "unknown_us")]
    pub unknown: BusinessDuration,
    pub accesses: u32,
    pub flagged: usize,
    /// How many of each happened.
    pub events: BTreeMap<EventKind, usize>,
    /// The worst of all that 乙 answers for.
    pub goals: Verdict,
}

impl PatientReport {
    pub fn of(known: &Known<'_>, month: Month, standing: Standing) -> Self {
        let figures = known.month(month);
        let total = |labels: &[Label]| labels.iter().map(|label| figures.partition.total(*label)).sum();
        let mut events: BTreeMap<EventKind, usize> = BTreeMap::new();
        let here = known.history.events.iter().filter(|e| month.span().contains(e.occurred_at));
        for event in here.filter(|e| e.occurred_at <= known.as_of) {
            *events.entry(event.kind).or_default() += 1;
        }
        let own = figures.indicators.iter().filter(|i| i.name != IndicatorName::CurrencyCustomer);
        Self {
            head: Head::of(known, month.span(), standing),
            month,
            service: figures.partition.service(),
            down: total(&[Label::DownProvider, Label::DownCustomer]),
            excluded: total(&[Label::ExcludedPreAgreed, Label::ExcludedOther]),
            unknown: total(&[Label::Undetermined, Label::NoData]),
            accesses: figures.jobs.accesses.values().sum(),
            flagged: figures.jobs.flagged.len(),
            events,
            goals: Verdict::of_segments(own.map(|i| i.verdict)),
        }
    }

    pub fn document(&self, language: Language) -> Document {
        let words = Words { language };
        let names = self.head.parties.as_ref();
        let hospital = names.map_or("", |p| p.hospital.as_str()).to_owned();
        let vendor = names.map_or("", |p| p.vendor.as_str()).to_owned();
        let lead = [("hospital", hospital.clone()), ("vendor", vendor), ("month", words.month(self.month))];
        let mut first = vec![Block::text(words.fill_all(ReportText::PatientLead, &lead))];
        if self.head.standing == Standing::Draft {
            first.push(Block::Text(Cell::open(words.text(ReportText::PatientDraft))));
        }
        let section = |title: ReportText, blocks: Vec<Block>| Section::new(words.text(title), blocks);
        Document {
            language,
            title: words.text(ReportText::PatientTitle).to_owned(),
            subtitle: words.month(self.month),
            mark: self.head.mark(words),
            large: true,
            facts: Vec::new(),
            sections: vec![
                Section::new("", first),
                section(ReportText::PatientHandling, self.handling(words)),
                section(ReportText::PatientMeasures, self.measures(words)),
                section(ReportText::PatientOperation, self.operation(words)),
            ],
            foot: words.fill_all(ReportText::PatientAsk, &[("hospital", hospital)]),
        }
    }

    fn handling(&self, words: Words) -> Vec<Block> {
        let mut blocks = vec![Block::text(words.text(ReportText::PatientHandlingText))];
        let kinds = [
            (EventKind::MedicalInformation, ReportText::PatientSeen),
            (EventKind::TakenOut, ReportText::PatientTakenOut),
            (EventKind::Security, ReportText::PatientSecurity),
        ];
        let said = |(kind, text): (EventKind, ReportText)| {
            let n = self.events.get(&kind).filter(|n| **n > 0)?;
            Some(Block::text(words.fill_all(text, &[("n", n.to_string())])))
        };
        blocks.extend(kinds.into_iter().filter_map(said));
        if blocks.len() == 1 {
            blocks.push(Block::text(words.text(ReportText::PatientNothingReported)));
        }
        blocks
    }

    fn measures(&self, words: Words) -> Vec<Block> {
        let count = |text: ReportText, n: String| Block::text(words.fill_all(text, &[("n", n)]));
        let mut blocks = vec![
            Block::text(words.text(ReportText::PatientMeasuresText)),
            count(ReportText::PatientAccesses, self.accesses.to_string()),
        ];
        match (self.accesses, self.flagged) {
            (0, _) => {}
            (_, 0) => blocks.push(Block::text(words.text(ReportText::PatientAllRequested))),
            (_, n) => blocks.push(count(ReportText::PatientFlagged, n.to_string())),
        }
        blocks
    }

    fn operation(&self, words: Words) -> Vec<Block> {
        let time = |name: &'static str, time: BusinessDuration| (name, words.time(time));
        let mut blocks = Vec::new();
        if self.down.is_zero() {
            // What is not known is not called good.
            if self.unknown.is_zero() {
                blocks.push(Block::text(words.text(ReportText::PatientNoStop)));
            }
        } else {
            let values = [time("service", self.service), time("down", self.down)];
            blocks.push(Block::text(words.fill_all(ReportText::PatientStopped, &values)));
        }
        if !self.excluded.is_zero() {
            let values = [time("excluded", self.excluded)];
            blocks.push(Block::text(words.fill_all(ReportText::PatientPlanned, &values)));
        }
        if !self.unknown.is_zero() {
            let values = [time("unknown", self.unknown)];
            blocks.push(Block::text(words.fill_all(ReportText::PatientUnknown, &values)));
        }
        blocks.push(Block::text(words.text(match self.goals {
            Verdict::Met => ReportText::PatientGoalsMet,
            Verdict::Missed => ReportText::PatientImprove,
            Verdict::Unknown | Verdict::NotApplicable => ReportText::PatientGoalsOpen,
        })));
        blocks.push(Block::text(words.text(ReportText::PatientNotDevices)));
        blocks
    }
}
