//! The monthly report's page. Tables that may be empty say so in words.

mod work;

use super::{MonthlyReport, VersionTerms};
use crate::sla::{
    calendar::BusinessDuration,
    contract::{ExclusionClass, Party},
    currency::{CurrencyMonth, CurrencyReport, CurrencyState},
    exclusion::ExclusionState,
    indicator::{Indicator, IndicatorName, Verdict},
    outage::Cause,
    partition::Label,
    report::{
        document::{Block, Cell, Column, ColumnKind, Document, NOTHING, Section, Table},
        event,
        words::Words,
    },
    response::{ResponseClock, ResponseState},
    span::Span,
};
use ColumnKind::{Number, Text, Word};
use tenken_common::{
    message::{Language, ReportText},
    time::Timestamp,
};

impl MonthlyReport {
    pub fn document(&self, language: Language) -> Document {
        let words = Words { language };
        let mut facts = self.head.facts(words);
        let calendar = words.message(self.figures.calendar.message());
        facts.push((words.text(ReportText::Calendar).to_owned(), Cell::plain(calendar)));
        let mut sections = if self.figures.segments.is_empty() {
            let none = Block::Text(Cell::bad(words.text(ReportText::NoContract)));
            vec![Section::new(words.text(ReportText::Indicators), [none])]
        } else {
            self.judged(words)
        };
        sections.extend([self.jobs(words), self.events(words)]);
        if let Some(last) = sections.last_mut() {
            last.blocks.push(event::boxes(words));
        }
        Document {
            language,
            title: words.text(ReportText::MonthlyTitle).to_owned(),
            subtitle: words.month(self.month),
            mark: self.head.mark(words),
            large: false,
            facts,
            sections,
            foot: self.head.foot(words),
        }
    }

    /// What a contract was needed for.
    fn judged(&self, words: Words) -> Vec<Section> {
        vec![
            self.indicators(words),
            self.misses(words),
            self.contracts(words),
            self.partition(words),
            self.outages(words),
            self.exclusions(words),
            self.responses(words),
            self.currency(words),
            self.checklist(words),
        ]
    }

    fn indicators(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnIndicator, Text),
                (ReportText::ColumnTarget, Number),
                (ReportText::ColumnValue, Number),
                (ReportText::ColumnRange, Number),
                (ReportText::ColumnCoverage, Number),
                (ReportText::ColumnVerdict, Word),
            ],
        );
        for name in IndicatorName::ALL {
            let title = Cell::plain(words.name(name.message()));
            let found = self.figures.indicators.iter().find(|i| i.name == name);
            let row = if let Some(indicator) = found {
                indicator_row(title, indicator, words)
            } else {
                let not = Cell::plain(words.text(ReportText::NotInContract));
                let nothing = Cell::nothing;
                vec![title, nothing(), nothing(), nothing(), nothing(), not]
            };
            table.rows.push(row);
        }
        let mut blocks = vec![Block::Table(table)];
        // A value that is missing says why.
        for indicator in &self.figures.indicators {
            if let Some(reason) = indicator.estimate.reason_for_null {
                let what = words.name(indicator.name.message());
                let text = words.message(reason.message());
                blocks.push(Block::text(words.fill(ReportText::Colon, &[("what", &what), ("text", text)])));
            }
        }
        if self.figures.segments.len() > 1 {
            blocks.push(Block::text(words.text(ReportText::SegmentsJudged)));
        }
        blocks.push(Block::text(words.text(ReportText::IndicatorsNote)));
        Section::new(words.text(ReportText::Indicators), blocks)
    }

    fn contracts(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnVersion, Word),
                (ReportText::ColumnPeriod, Word),
                (ReportText::ColumnUptimeTarget, Number),
                (ReportText::ColumnResponseTerms, Text),
                (ReportText::ColumnServiceTime, Number),
            ],
        );
        table.rows.extend(self.versions.iter().map(|version| version_row(version, words)));
        Section::new(words.text(ReportText::Contracts), [Block::Table(table)])
    }

    fn partition(&self, words: Words) -> Section {
        let partition = &self.figures.partition;
        let service = partition.service();
        let share = |time: BusinessDuration| {
            let ratio = (!service.is_zero()).then(|| time.as_micros_f64() / service.as_micros_f64());
            Cell::plain(words.maybe_percent(ratio, &[0.0, 1.0]))
        };
        let columns = [
            (ReportText::ColumnLabel, Text),
            (ReportText::ColumnTime, Number),
            (ReportText::ColumnShare, Number),
        ];
        let row = |name: &str, time: BusinessDuration| {
            vec![Cell::plain(name), Cell::plain(words.time(time)), share(time)]
        };
        let mut whole = table(words, &columns);
        for label in Label::ALL {
            whole.rows.push(row(&words.name(label.message()), partition.total(label)));
        }
        whole.total = Some(row(words.text(ReportText::ColumnServiceTime), service));
        let mut blocks = vec![Block::text(words.text(ReportText::PartitionNote)), Block::Table(whole)];
        let uptime = self.figures.indicators.iter().find(|i| i.name == IndicatorName::Uptime);
        if let Some((indicator, value)) = uptime.and_then(|i| Some((i, i.estimate.value?))) {
            let down = partition.total(Label::DownProvider);
            let denominator =
                service - partition.total(Label::ExcludedPreAgreed) - partition.total(Label::NoData);
            let values = [
                ("down", words.time(down)),
                ("denominator", words.time(denominator)),
                ("value", words.percent(value, &marks(indicator))),
            ];
            blocks.push(Block::text(words.fill_all(ReportText::PartitionFormula, &values)));
        }
        let bad = partition.parts().iter().filter(|part| part.label != Label::Up);
        let mut stretches = table(
            words,
            &[
                (ReportText::ColumnPeriod, Text),
                (ReportText::ColumnLabel, Text),
                (ReportText::ColumnTime, Number),
            ],
        );
        stretches.rows.extend(bad.map(|part| {
            let time = BusinessDuration::from_micros(part.span.len_us());
            let label = Cell::plain(words.message(part.label.message()));
            vec![Cell::plain(words.period(part.span)), label, Cell::plain(words.time(time))]
        }));
        if !stretches.rows.is_empty() {
            blocks.push(Block::Heading(words.text(ReportText::Stretches).to_owned()));
            blocks.push(Block::Table(stretches));
        }
        Section::new(words.text(ReportText::Partition), blocks)
    }

    fn outages(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnId, Word),
                (ReportText::ColumnPeriod, Text),
                (ReportText::ColumnCause, Word),
                (ReportText::ColumnInService, Number),
                (ReportText::ColumnNote, Text),
            ],
        );
        for (outage, note) in self.figures.outages.iter().zip(&self.outage_notes) {
            let span = if note.is_over { outage.span } else { Span::new(outage.span.from, Timestamp::MAX) };
            let mut said = Vec::new();
            match &outage.harmless {
                Some(by) => said.push(words.fill(ReportText::OutageHarmless, &[("by", by.as_str())])),
                None if note.partial => said.push(words.text(ReportText::OutagePartial).to_owned()),
                None => {}
            }
            if !note.note.is_empty() {
                said.push(note.note.clone());
            }
            table.rows.push(vec![
                Cell::plain(outage.id.as_str()),
                Cell::plain(words.period(span)),
                cause(outage.cause, words),
                Cell::plain(words.time(outage.in_service)),
                joined(&said, words),
            ]);
        }
        Section::new(words.text(ReportText::Outages), [or_none(table, ReportText::OutagesNone, words)])
    }

    fn exclusions(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnId, Word),
                (ReportText::ColumnPeriod, Text),
                (ReportText::ColumnClass, Word),
                (ReportText::ColumnReason, Text),
                (ReportText::ColumnAnnounced, Text),
                (ReportText::ColumnAgreed, Text),
                (ReportText::ColumnState, Text),
                (ReportText::ColumnEvidence, Text),
            ],
        );
        for (exclusion, note) in self.figures.exclusions.iter().zip(&self.exclusion_notes) {
            let class = exclusion.class.map_or(NOTHING, |class| match class {
                ExclusionClass::PreAgreed => words.text(ReportText::ClassPreAgreed),
                ExclusionClass::Other => words.text(ReportText::ClassOther),
            });
            let announced = note
                .announced_at
                .map_or_else(|| words.text(ReportText::NotAnnounced).to_owned(), |at| words.at(at));
            let agreed = note.agreed.as_ref().map_or_else(
                || words.text(ReportText::NotAgreed).to_owned(),
                |a| words.fill_all(ReportText::ByAt, &[("by", a.by.clone()), ("at", words.at(a.at))]),
            );
            let state = words.message(exclusion.state.message());
            let state = if exclusion.state == ExclusionState::InForce {
                Cell::good(state)
            } else {
                Cell::open(state)
            };
            let mut evidence = note.evidence.clone();
            evidence.extend((!note.note.is_empty()).then(|| note.note.clone()));
            table.rows.push(vec![
                Cell::plain(exclusion.id.as_str()),
                Cell::plain(words.period(exclusion.span)),
                Cell::plain(class),
                Cell::plain(exclusion.reason.as_deref().unwrap_or(NOTHING)),
                Cell::plain(announced),
                Cell::plain(agreed),
                state,
                joined(&evidence, words),
            ]);
        }
        Section::new(words.text(ReportText::Exclusions), [or_none(table, ReportText::ExclusionsNone, words)])
    }

    fn responses(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnId, Word),
                (ReportText::ColumnStart, Word),
                (ReportText::ColumnDeadline, Word),
                (ReportText::ColumnReported, Word),
                (ReportText::ColumnTook, Number),
                (ReportText::ColumnVerdict, Text),
            ],
        );
        let clocks = self.figures.segments.iter().flat_map(|segment| &segment.clocks);
        table.rows.extend(clocks.map(|clock| response_row(clock, words)));
        let mut blocks = vec![or_none(table, ReportText::ResponsesNone, words)];
        blocks.push(Block::text(words.text(ReportText::ResponsesNote)));
        Section::new(words.text(ReportText::Responses), blocks)
    }

    fn currency(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnDevice, Word),
                (ReportText::ColumnKind, Text),
                (ReportText::ColumnResponsible, Word),
                (ReportText::ColumnTarget, Word),
                (ReportText::ColumnLastReport, Text),
                (ReportText::ColumnOverdue, Number),
                (ReportText::ColumnUnknown, Number),
                (ReportText::ColumnVerdict, Word),
            ],
        );
        table.rows.extend(self.figures.currency.iter().map(|state| self.currency_row(state, words)));
        Section::new(words.text(ReportText::Currency), [or_none(table, ReportText::CurrencyNone, words)])
    }

    fn currency_row(&self, state: &CurrencyMonth, words: Words) -> Vec<Cell> {
        let length = |spans: &[Span]| {
            let us: i64 = spans.iter().map(|span| span.len_us()).sum();
            if us == 0 { Cell::nothing() } else { Cell::plain(words.wall(us)) }
        };
        let limit = self.versions.iter().rev().find_map(|version| version.currency.get(&state.kind));
        let limit = limit.map_or_else(
            || NOTHING.to_owned(),
            |limit| words.fill_all(ReportText::Within, &[("value", words.limit(*limit))]),
        );
        vec![
            Cell::plain(state.device.as_str()),
            Cell::plain(words.name(state.kind.message())),
            Cell::plain(words.text(party(state.responsible))),
            Cell::plain(limit),
            last_report(state.last.as_ref(), words),
            length(&state.overdue),
            length(&state.unknown),
            words.verdict(state.verdict),
        ]
    }

    fn checklist(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnItem, Text),
                (ReportText::ColumnDue, Word),
                (ReportText::ColumnDone, Word),
                (ReportText::ColumnEvidence, Text),
                (ReportText::ColumnVerdict, Word),
            ],
        );
        table.rows.extend(self.figures.checklist.iter().map(|item| {
            let (done, evidence) = match &item.done {
                Some(done) => (Cell::plain(words.at(done.done_at)), Cell::plain(&done.evidence)),
                None => (Cell::plain(words.text(ReportText::NotDone)), Cell::nothing()),
            };
            let due = Cell::plain(item.due.to_string());
            vec![Cell::plain(&item.title), due, done, evidence, words.verdict(item.verdict)]
        }));
        Section::new(words.text(ReportText::Checklist), [or_none(table, ReportText::ChecklistNone, words)])
    }
}

fn indicator_row(title: Cell, indicator: &Indicator, words: Words) -> Vec<Cell> {
    let estimate = indicator.estimate;
    let marks = marks(indicator);
    let range = match (estimate.min, estimate.max) {
        (Some(min), Some(max)) => {
            let values = [("min", words.percent(min, &marks)), ("max", words.percent(max, &marks))];
            words.fill_all(ReportText::Range, &values)
        }
        _ => NOTHING.to_owned(),
    };
    let target = indicator.target.map_or_else(
        || NOTHING.to_owned(),
        |target| words.fill_all(ReportText::AtLeast, &[("value", words.percent(target, &[1.0]))]),
    );
    vec![
        title,
        Cell::plain(target),
        Cell::plain(words.maybe_percent(estimate.value, &marks)),
        Cell::plain(range),
        Cell::plain(words.maybe_percent(indicator.coverage, &[1.0])),
        words.verdict(indicator.verdict),
    ]
}

/// What a percentage must not be rounded onto.
fn marks(indicator: &Indicator) -> Vec<f64> {
    indicator.target.into_iter().chain([0.0, 1.0]).collect()
}

fn version_row(version: &VersionTerms, words: Words) -> Vec<Cell> {
    let severities: Vec<&str> = version.severities.iter().map(|s| words.message(s.message())).collect();
    let response = words.fill_all(ReportText::Within, &[("value", words.time(version.response))]);
    let role = severities.join(words.text(ReportText::Separator));
    vec![
        Cell::plain(words.fill_all(ReportText::Version, &[("version", version.version.to_string())])),
        Cell::plain(words.days(version.span)),
        Cell::plain(words.percent(version.uptime, &[1.0])),
        Cell::plain(words.fill(ReportText::NameAndRole, &[("name", &response), ("role", &role)])),
        Cell::plain(words.time(version.service)),
    ]
}

fn response_row(clock: &ResponseClock, words: Words) -> Vec<Cell> {
    let not = || Cell::plain(words.text(ReportText::NotReported));
    let (reported, took, verdict) = match clock.state {
        ResponseState::Met { at, took } => (Cell::plain(words.at(at)), took, words.verdict(Verdict::Met)),
        ResponseState::Breached { at: Some(at), took } => {
            (Cell::plain(words.at(at)), took, words.verdict(Verdict::Missed))
        }
        ResponseState::Breached { at: None, took } => (not(), took, words.verdict(Verdict::Missed)),
        ResponseState::Running { left } => {
            let state = clock.state.message();
            let text = state.fill(words.language, &[("deadline", &words.at(clock.deadline))]);
            (not(), clock.budget - left, Cell::open(text))
        }
    };
    vec![
        Cell::plain(clock.incident.to_string()),
        Cell::plain(words.at(clock.start)),
        Cell::plain(words.at(clock.deadline)),
        reported,
        Cell::plain(words.time(took)),
        verdict,
    ]
}

fn last_report(last: Option<&CurrencyReport>, words: Words) -> Cell {
    let Some(last) = last else { return Cell::open(words.text(ReportText::NeverReported)) };
    let state = match last.state {
        CurrencyState::UpToDate => words.text(ReportText::CurrencyUpToDate).to_owned(),
        CurrencyState::Since { since } => {
            words.fill_all(ReportText::CurrencySince, &[("since", words.at(since))])
        }
        CurrencyState::Unknown => words.text(ReportText::CurrencyUnknown).to_owned(),
    };
    Cell::plain(words.fill_all(ReportText::StateAt, &[("state", state), ("at", words.at(last.at))]))
}

fn cause(cause: Cause, words: Words) -> Cell {
    Cell::plain(words.text(match cause {
        Cause::Provider => ReportText::CauseProvider,
        Cause::Customer => ReportText::CauseCustomer,
        Cause::Undetermined => ReportText::CauseUndetermined,
    }))
}

fn party(party: Party) -> ReportText {
    match party {
        Party::Provider => ReportText::CauseProvider,
        Party::Customer => ReportText::CauseCustomer,
    }
}

fn table(words: Words, columns: &[(ReportText, ColumnKind)]) -> Table {
    Table::new(columns.iter().map(|(title, kind)| -> Column { words.column(*title, *kind) }))
}

/// A table without rows is a sentence instead.
fn or_none(table: Table, none: ReportText, words: Words) -> Block {
    if table.rows.is_empty() { Block::text(words.text(none)) } else { Block::Table(table) }
}

fn joined(texts: &[String], words: Words) -> Cell {
    if texts.is_empty() {
        Cell::nothing()
    } else {
        Cell::plain(texts.join(words.text(ReportText::Separator)))
    }
}
