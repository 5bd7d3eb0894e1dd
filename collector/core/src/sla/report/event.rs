//! Reports that are due whenever something happens (発生の都度に報告する事項, SLA A6.5(1)③), as drafts
//! with a due date.
//!
//! Holds: one that was not given to 甲 by its due date is overdue from the instant after. What its
//! draft does not say yet is marked.

use super::{
    Head, Standing,
    document::{Block, Cell, ColumnKind, Document, Section, Table},
    words::Words,
};
use crate::sla::{history::Known, outage::Outage, span::Span};
use serde::{Deserialize, Serialize};
use tenken_common::{
    id::Name,
    message::{Language, ReportText},
    time::Timestamp,
};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// 業務体制、管理体制、保守体制等の変更.
    Organisation,
    /// 受託する医療情報を参照した際の作業結果.
    MedicalInformation,
    /// 組織外に持出し、再委託事業者へ保存した結果.
    TakenOut,
    /// 情報セキュリティインシデントの経緯・顛末.
    Security,
    /// サービスの停止に関する経緯、顛末.
    Stop,
    /// システムの変更の結果, of the service and not of a device.
    SystemChange,
}

impl EventKind {
    pub const ALL: [Self; 6] = [
        Self::Organisation,
        Self::MedicalInformation,
        Self::TakenOut,
        Self::Security,
        Self::Stop,
        Self::SystemChange,
    ];

    pub fn text(self) -> ReportText {
        match self {
            Self::Organisation => ReportText::EventOrganisation,
            Self::MedicalInformation => ReportText::EventMedicalInformation,
            Self::TakenOut => ReportText::EventTakenOut,
            Self::Security => ReportText::EventSecurity,
            Self::Stop => ReportText::EventStop,
            Self::SystemChange => ReportText::EventSystemChange,
        }
    }
}

/// One event, as somebody at 乙 wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub id: Name,
    pub kind: EventKind,
    pub subject: String,
    pub occurred_at: Timestamp,
    /// When 甲 has to have the report.
    pub due: Timestamp,
    /// The stop that it is about.
    #[serde(default)]
    pub outage: Option<Name>,
    #[serde(default)]
    pub course: Vec<EventStep>,
    #[serde(default)]
    pub cause: Option<String>,
    /// What was done, and against its happening again.
    #[serde(default)]
    pub measures: Option<String>,
    /// When 甲 was given the report.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
}

/// One step of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventStep {
    pub at: Timestamp,
    pub text: String,
}

/// Whether 甲 has the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EventState {
    Reported { at: Timestamp },
    Open,
    Overdue,
}

impl Event {
    pub fn state(&self, as_of: Timestamp) -> EventState {
        match self.reported_at {
            Some(at) if at <= as_of => EventState::Reported { at },
            Some(_) | None if as_of > self.due => EventState::Overdue,
            Some(_) | None => EventState::Open,
        }
    }
}

/// The report of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventReport {
    #[serde(flatten)]
    pub head: Head,
    pub event: Event,
    pub event_state: EventState,
    /// The stop that it is about, as far as it was known.
    pub stop: Option<Span>,
}

impl EventReport {
    /// `None` where there is no such event, or not yet.
    pub fn of(known: &Known<'_>, id: &Name) -> Option<Self> {
        let as_of = known.as_of;
        let found = known.history.events.iter().find(|e| e.id == *id && e.occurred_at <= as_of)?;
        let mut event = found.clone();
        event.course.retain(|step| step.at <= as_of);
        event.course.sort_by_key(|step| step.at);
        event.reported_at = event.reported_at.filter(|at| *at <= as_of);
        let about = |outage: &&Outage| Some(&outage.id) == event.outage.as_ref();
        let stop = known.history.outages.iter().find(about).map(|o| Span::new(o.from, ended(o, as_of)));
        let standing = match event.state(as_of) {
            EventState::Reported { at } => Standing::Sealed { revision: 1, at },
            EventState::Open | EventState::Overdue => Standing::Draft,
        };
        let day = Span::new(event.occurred_at, event.occurred_at.plus_micros(1));
        let head = Head::of(known, day, standing);
        Some(Self { head, event_state: event.state(as_of), event, stop })
    }

    pub fn document(&self, language: Language) -> Document {
        let words = Words { language };
        let event = &self.event;
        let fact = |name: ReportText, cell: Cell| (words.text(name).to_owned(), cell);
        let mut facts = self.head.facts(words);
        facts.retain(|(name, _)| {
            ![ReportText::PeriodOfReport, ReportText::Standing].iter().any(|text| words.text(*text) == name)
        });
        facts.extend([
            fact(ReportText::EventKind, Cell::plain(words.text(event.kind.text()))),
            fact(ReportText::ColumnOccurred, Cell::plain(words.at(event.occurred_at))),
            fact(ReportText::ColumnReportDue, Cell::plain(words.at(event.due))),
            fact(ReportText::ColumnState, state(self.event_state, words)),
        ]);
        if let Some(stop) = self.stop {
            facts.push(fact(ReportText::EventOutage, Cell::plain(words.period(stop))));
        }
        let written = |text: &Option<String>| match text.as_deref().map(str::trim) {
            None | Some("") => Block::Text(Cell::bad(words.text(ReportText::Missing))),
            Some(text) => Block::text(text),
        };
        let mut course = Table::new([
            words.column(ReportText::ColumnAt, ColumnKind::Word),
            words.column(ReportText::ColumnCourse, ColumnKind::Text),
        ]);
        course.rows.extend(
            event.course.iter().map(|step| vec![Cell::plain(words.at(step.at)), Cell::plain(&step.text)]),
        );
        let course = if course.rows.is_empty() { written(&None) } else { Block::Table(course) };
        Document {
            language,
            title: words.text(ReportText::EventTitle).to_owned(),
            subtitle: event.subject.clone(),
            mark: self.head.mark(words),
            large: false,
            facts,
            sections: vec![
                Section::new(words.text(ReportText::EventCourse), [course]),
                Section::new(words.text(ReportText::EventCause), [written(&event.cause)]),
                Section::new(words.text(ReportText::EventMeasures), [written(&event.measures), boxes(words)]),
            ],
            foot: self.head.foot(words),
        }
    }
}

fn ended(outage: &Outage, as_of: Timestamp) -> Timestamp {
    outage.to.filter(|to| *to <= as_of).unwrap_or(Timestamp::MAX)
}

pub(super) fn state(state: EventState, words: Words) -> Cell {
    match state {
        EventState::Reported { at } => {
            Cell::good(words.fill_all(ReportText::EventSent, &[("at", words.at(at))]))
        }
        EventState::Open => Cell::open(words.text(ReportText::EventOpen)),
        EventState::Overdue => Cell::bad(words.text(ReportText::EventOverdue)),
    }
}

/// Where both parties sign or stamp.
pub(super) fn boxes(words: Words) -> Block {
    let names = [ReportText::ConfirmHospital, ReportText::ConfirmProvider, ReportText::ConfirmAuthor];
    Block::Boxes(names.iter().map(|name| words.text(*name).to_owned()).collect())
}
