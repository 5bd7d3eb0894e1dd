//! The page's parts about work: jobs, accesses, what was missed and why, and events.

use super::{MonthlyReport, joined, or_none, table};
use crate::sla::{
    job::ServiceType,
    miss::{Evidence, Miss},
    report::{
        document::{Block, Cell, ColumnKind, NOTHING, Section},
        event,
        monthly::AccessRow,
        words::Words,
    },
};
use ColumnKind::{Number, Text, Word};
use tenken_common::message::ReportText;

impl MonthlyReport {
    pub(super) fn jobs(&self, words: Words) -> Section {
        let jobs = &self.figures.jobs;
        let mut by_type = table(
            words,
            &[
                (ReportText::ColumnService, Text),
                (ReportText::ColumnJobs, Number),
                (ReportText::ColumnAccesses, Number),
                (ReportText::ColumnMinutes, Number),
            ],
        );
        let row = |name: &str, jobs: u64, accesses: u64, minutes: u64| {
            let minutes = words.fill_all(ReportText::Minutes, &[("n", minutes.to_string())]);
            [name.to_owned(), words.cases(jobs), words.cases(accesses), minutes].map(Cell::plain).to_vec()
        };
        for service in ServiceType::ALL {
            let of = |counts: &std::collections::BTreeMap<ServiceType, u32>| {
                u64::from(counts.get(&service).copied().unwrap_or(0))
            };
            let minutes = jobs.minutes.get(&service).copied().unwrap_or(0);
            let name = words.name(service.message());
            by_type.rows.push(row(&name, of(&jobs.jobs), of(&jobs.accesses), minutes));
        }
        let sum = |counts: &std::collections::BTreeMap<ServiceType, u32>| {
            counts.values().map(|n| u64::from(*n)).sum::<u64>()
        };
        let total = words.text(ReportText::Total);
        by_type.total = Some(row(total, sum(&jobs.jobs), sum(&jobs.accesses), jobs.minutes.values().sum()));
        let mut blocks = vec![Block::Table(by_type)];

        if !jobs.by_employer.is_empty() {
            let columns = [(ReportText::ColumnEmployer, Text), (ReportText::ColumnAccesses, Number)];
            let mut by_employer = table(words, &columns);
            let rows = jobs.by_employer.iter();
            by_employer
                .rows
                .extend(rows.map(|(name, n)| vec![Cell::plain(name), Cell::plain(words.cases(*n))]));
            blocks.push(Block::Heading(words.text(ReportText::AccessByEmployer).to_owned()));
            blocks.push(Block::Table(by_employer));
        }
        blocks.push(Block::Heading(words.text(ReportText::AccessList).to_owned()));
        if !self.accesses.is_empty() {
            let said = match jobs.flagged.len() {
                0 => Cell::good(words.text(ReportText::AccessAllRequested)),
                n => Cell::bad(words.fill_all(ReportText::AccessFlagged, &[("n", n.to_string())])),
            };
            blocks.push(Block::Text(said));
        }
        let mut list = table(
            words,
            &[
                (ReportText::ColumnId, Word),
                (ReportText::ColumnService, Text),
                (ReportText::ColumnWorker, Text),
                (ReportText::ColumnDevice, Word),
                (ReportText::ColumnPeriod, Text),
                (ReportText::ColumnRequest, Text),
                (ReportText::ColumnFlag, Text),
            ],
        );
        list.rows.extend(self.accesses.iter().map(|row| access_row(row, words)));
        blocks.push(or_none(list, ReportText::AccessNone, words));
        Section::new(words.text(ReportText::Jobs), blocks)
    }

    pub(super) fn misses(&self, words: Words) -> Section {
        let title = words.text(ReportText::Misses);
        let Some(misses) = &self.figures.misses else {
            let text = words.message(tenken_common::message::Message::SlaNoCounting);
            return Section::new(title, [Block::Text(Cell::open(text))]);
        };
        if misses.is_empty() {
            return Section::new(title, [Block::Text(Cell::good(words.text(ReportText::MissesNone)))]);
        }
        let mut table = table(
            words,
            &[
                (ReportText::ColumnIndicator, Text),
                (ReportText::ColumnCount, Number),
                (ReportText::ColumnOpen, Number),
                (ReportText::ColumnEvidence, Text),
            ],
        );
        for miss in misses {
            let evidence: Vec<String> = miss.evidence.iter().map(|e| self.evidence(e, words)).collect();
            table.rows.push(vec![
                Cell::plain(words.name(miss.item.message())),
                count(miss.count, words, Cell::bad),
                count(miss.open, words, Cell::open),
                joined(&evidence, words),
            ]);
        }
        let sum = |of: fn(&Miss) -> u32| misses.iter().map(of).sum::<u32>();
        let (certain, open) = (sum(|m| m.count), sum(|m| m.open));
        table.total = Some(vec![
            Cell::plain(words.text(ReportText::Total)),
            Cell::plain(words.cases(certain)),
            Cell::plain(words.cases(open)),
            Cell::plain(""),
        ]);
        let mut blocks = vec![Block::Table(table)];
        for miss in misses.iter().filter(|miss| miss.count > 0) {
            let explanation = self.figures.explanations.iter().find(|e| e.item == miss.item);
            let fact = |name: ReportText, text: Option<&str>| {
                let missing = || Cell::bad(words.text(ReportText::Missing));
                (words.text(name).to_owned(), text.map_or_else(missing, Cell::plain))
            };
            blocks.push(Block::Heading(words.name(miss.item.message())));
            blocks.push(Block::Facts(vec![
                fact(ReportText::Reason, explanation.map(|e| e.reason.as_str())),
                fact(ReportText::Plan, explanation.map(|e| e.plan.as_str())),
            ]));
        }
        if !self.figures.unexplained.is_empty() {
            blocks.push(Block::Text(Cell::bad(words.text(ReportText::CannotSeal))));
        }
        Section::new(title, blocks)
    }

    fn evidence(&self, evidence: &Evidence, words: Words) -> String {
        match evidence {
            Evidence::Time(part) => {
                let label = words.message(part.label.message()).to_owned();
                let values = [("label", label), ("period", words.period(part.span))];
                words.fill_all(ReportText::EvidenceTime, &values)
            }
            Evidence::Incident { incident } => incident.to_string(),
            Evidence::Device { device, what } => {
                let what = words.message(what.message());
                words.fill(ReportText::NameAndRole, &[("name", device.as_str()), ("role", what)])
            }
            Evidence::Item { item, due } => {
                let title = self.figures.checklist.iter().find(|c| c.item == *item);
                let title = title.map_or(item.as_str(), |c| c.title.as_str()).to_owned();
                words.fill_all(ReportText::EvidenceItem, &[("item", title), ("due", due.to_string())])
            }
        }
    }

    pub(super) fn events(&self, words: Words) -> Section {
        let mut table = table(
            words,
            &[
                (ReportText::ColumnId, Word),
                (ReportText::ColumnKind, Text),
                (ReportText::EventSubject, Text),
                (ReportText::ColumnOccurred, Word),
                (ReportText::ColumnReportDue, Word),
                (ReportText::ColumnState, Text),
            ],
        );
        table.rows.extend(self.events.iter().map(|row| {
            vec![
                Cell::plain(row.id.as_str()),
                Cell::plain(words.text(row.kind.text())),
                Cell::plain(&row.subject),
                Cell::plain(words.at(row.occurred_at)),
                Cell::plain(words.at(row.due)),
                event::state(row.state, words),
            ]
        }));
        Section::new(words.text(ReportText::Events), [or_none(table, ReportText::EventsNone, words)])
    }
}

fn count(n: u32, words: Words, tone: fn(String) -> Cell) -> Cell {
    if n == 0 { Cell::plain(words.cases(n)) } else { tone(words.cases(n)) }
}

fn access_row(row: &AccessRow, words: Words) -> Vec<Cell> {
    let access = &row.access;
    let mut request: Vec<String> = Vec::new();
    if access.emergency {
        request.push(words.text(ReportText::Emergency).to_owned());
    }
    if let Some(asked) = &access.request {
        let values = [("by", asked.reference.clone()), ("at", words.at(asked.at))];
        request.push(words.fill_all(ReportText::ByAt, &values));
    }
    let confirmed = |at| words.fill_all(ReportText::Confirmed, &[("at", words.at(at))]);
    request.extend(access.confirmed_at.map(confirmed));
    let worker = [("name", access.worker.as_str()), ("role", access.employer.as_str())];
    vec![
        Cell::plain(access.id.as_str()),
        Cell::plain(words.name(access.service.message())),
        Cell::plain(words.fill(ReportText::NameAndRole, &worker)),
        Cell::plain(access.target.as_str()),
        Cell::plain(words.period(crate::sla::span::Span::new(access.from, access.to))),
        joined(&request, words),
        row.flag.map_or_else(|| Cell::plain(NOTHING), |flag| Cell::bad(words.message(flag.message()))),
    ]
}
