//! The triage bundle (A2.2(1)): what a person at the desk looks at first, on one page that is sent to
//! whoever goes there.
//!
//! Holds: made from what was stored only. Other cases are those of the same device and of the same
//! hospital, never of another (A6.1(3)). What is not known is said to be so.

use super::{
    alert::Outcome,
    incident::{Incident, Phase, Step},
    notice::{IncidentId, Severity},
    rule::When,
    text::Values,
};
use crate::{
    evaluation::{CheckInput, Identity},
    predict::series::{Series, SeriesKey},
    sla::{
        report::{
            chart::Chart,
            document::{Block, Cell, Column, ColumnKind, Document, Section, Table},
        },
        span::Span,
    },
};
use std::time::Duration;
use tenken_common::{
    id::Name,
    message::{DeskText, Language},
    observation::CheckState,
    time::{Timestamp, jst_minute},
};

/// How far back values are shown.
pub const SHOWN: Duration = Duration::from_hours(24);
/// How far back changes are.
const CHANGES_BACK: Duration = Duration::from_hours(30 * 24);
/// A change so shortly before is told first.
const CHANGE_NEAR: Duration = Duration::from_hours(48);
/// More on one page is not read.
const CHARTS_MAX: usize = 8;
const CASES_MAX: usize = 12;
/// Quantities that tell how a device is, whatever is wrong with it.
const TELLING: [&str; 7] =
    ["used_ratio", "available_bytes", "celsius", "load1", "iowait_ratio", "errors_per_second", "busy_ratio"];

/// A version that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChange {
    pub at: Timestamp,
    pub subject: Name,
    pub old: Name,
    pub new: Name,
}

/// Everything that the page is made from.
#[derive(Debug, Clone)]
pub struct Triage {
    pub as_of: Timestamp,
    pub incident: Incident,
    pub last_received: Option<Timestamp>,
    pub is_silent: bool,
    pub identity: Identity,
    /// Of the device, within [`Self::span`], the most telling first.
    pub series: Vec<Series>,
    /// What the rule looks at.
    pub judged: Option<(String, String)>,
    pub checks: Vec<CheckInput>,
    pub changes: Vec<VersionChange>,
    /// All others of the hospital, in any order.
    pub others: Vec<Incident>,
}

/// The time whose values tell of an incident: the last day, or the day up to an hour after its end.
pub fn span(incident: &Incident, as_of: Timestamp) -> Span {
    let ended = [Step::Recovered, Step::Closed].into_iter().filter_map(|step| incident.last(step)).max();
    let end = ended.filter(|_| incident.phase != Phase::Open);
    let to = end.map_or(as_of, |end| end.plus(Duration::from_hours(1)).min(as_of));
    Span::new(to.minus(SHOWN), to)
}

/// What a rule looks at: probe and quantity. A device's own check is named after both.
pub fn judged(when: &When) -> Option<(String, String)> {
    let of = |probe: &Name, quantity: &Name| Some((probe.to_string(), quantity.to_string()));
    match when {
        When::Forecast(f) => of(&f.probe, &f.quantity),
        When::Threshold(t) => of(&t.probe, &t.quantity),
        When::Check(c) => {
            let (probe, quantity) = c.probe.as_str().split_once('.').unwrap_or((c.probe.as_str(), ""));
            Some((probe.to_owned(), quantity.to_owned()))
        }
        When::OtherCheck(_)
        | When::PatternFile(_)
        | When::Patches(_)
        | When::ClockSkew(_)
        | When::SilentDevice(_)
        | When::SilentHospital(_)
        | When::IdentityDoubt(_)
        | When::Wear(_)
        | When::FailureRisk(_)
        | When::Anomaly(_) => None,
    }
}

/// How much a series tells of an incident; the most first.
pub fn rank(incident: &Incident, judged: Option<&(String, String)>, key: &SeriesKey) -> u8 {
    let (probe, quantity) = judged.map_or(("", ""), |(probe, quantity)| (probe, quantity));
    let same_subject = key.subject == incident.subject;
    let same_probe = key.probe.as_str() == probe;
    match () {
        () if same_subject && same_probe && key.quantity.as_str() == quantity => 0,
        () if same_subject && same_probe => 1,
        () if same_subject && key.probe.as_str() != "agent" => 2,
        () if same_probe => 3,
        () if TELLING.contains(&key.quantity.as_str()) => 4,
        () if key.probe.as_str() != "agent" => 5,
        () => 6,
    }
}

impl Triage {
    pub fn document(&self, language: Language) -> Document {
        let page = Page { triage: self, language };
        let i = &self.incident;
        let values = [
            ("incident", i.id.to_string()),
            ("hospital", i.hospital.to_string()),
            ("device", i.label.to_string()),
        ];
        Document {
            language,
            title: page.say(DeskText::Triage),
            subtitle: DeskText::TriageFor.fill_all(language, &values),
            mark: None,
            large: false,
            facts: page.facts(),
            sections: vec![
                page.first(),
                page.charts(),
                page.checks(),
                page.changes(),
                page.course(),
                page.told(),
                page.past(),
                page.similar(),
            ],
            foot: DeskText::TriageFoot.fill_all(language, &[("at", jst_minute(self.as_of))]),
        }
    }

    fn is_past(&self, other: &Incident) -> bool {
        other.device == self.incident.device && other.id != self.incident.id
    }

    fn is_same_kind(&self, other: &Incident) -> bool {
        other.rule == self.incident.rule && other.id != self.incident.id
    }
}

struct Page<'a> {
    triage: &'a Triage,
    language: Language,
}

impl Page<'_> {
    fn say(&self, text: DeskText) -> String {
        text.text(self.language).to_owned()
    }

    fn fill(&self, text: DeskText, values: &[(&str, String)]) -> String {
        text.fill_all(self.language, values)
    }

    fn time_span(&self, span: Duration) -> String {
        let mut values = Values::default();
        values.time_span("n", span.as_secs_f64());
        values.text("n", self.language).to_owned()
    }

    fn facts(&self) -> Vec<(String, Cell)> {
        let i = &self.triage.incident;
        let severity = i.severity.message().text(self.language);
        let severity =
            if i.severity == Severity::Critical { Cell::bad(severity) } else { Cell::plain(severity) };
        let phase = i.phase.message().text(self.language);
        let phase = if i.phase == Phase::Open { Cell::bad(phase) } else { Cell::good(phase) };
        let received = self.triage.last_received.map_or_else(|| "–".to_owned(), jst_minute);
        let mut facts = vec![
            (DeskText::FactFinding, Cell::plain(i.finding.text(self.language))),
            (DeskText::FactSeverity, severity),
            (DeskText::FactPhase, phase),
            (DeskText::FactDevice, Cell::plain(format!("{} ({})", i.label, i.device))),
            (DeskText::FactSubject, Cell::plain(i.subject.to_string())),
            (DeskText::FactRule, Cell::plain(i.rule.to_string())),
            (DeskText::FactFirstSeen, Cell::plain(jst_minute(i.first_seen))),
            (DeskText::FactLastSeen, Cell::plain(jst_minute(i.last_seen))),
            (DeskText::FactReceived, Cell::plain(received)),
        ];
        if !i.affected.is_empty() {
            let labels: Vec<&str> = i.affected.values().map(Name::as_str).collect();
            facts.push((
                DeskText::FactAffected,
                Cell::plain(labels.join(DeskText::Comma.text(self.language))),
            ));
        }
        facts.into_iter().map(|(name, cell)| (self.say(name), cell)).collect()
    }

    /// What the stored data itself points to goes before the rule's advice.
    fn first(&self) -> Section {
        let (t, i) = (self.triage, &self.triage.incident);
        let mut lines: Vec<Cell> = Vec::new();
        if !t.identity.is_sure() || t.identity.clone_suspected.is_some() {
            lines.push(Cell::bad(self.say(DeskText::FirstDoubt)));
        }
        if let Some(last) = t.last_received.filter(|_| t.is_silent) {
            lines.push(Cell::open(self.fill(DeskText::FirstSilent, &[("at", jst_minute(last))])));
        }
        if i.affected.len() > 1 {
            lines.push(Cell::open(
                self.fill(DeskText::FirstAffected, &[("count", i.affected.len().to_string())]),
            ));
        }
        let near = t
            .changes
            .iter()
            .filter(|c| c.at <= i.first_seen && i.first_seen.saturating_since(c.at) <= CHANGE_NEAR);
        for change in near.rev().take(3) {
            let values = [
                ("ago", self.time_span(i.first_seen.saturating_since(change.at))),
                ("subject", change.subject.to_string()),
                ("old", change.old.to_string()),
                ("new", change.new.to_string()),
            ];
            lines.push(Cell::open(self.fill(DeskText::FirstChange, &values)));
        }
        lines.push(Cell::plain(i.action.text(self.language)));
        let same: Vec<&Incident> =
            t.others.iter().filter(|o| t.is_past(o) && t.is_same_kind(o) && o.subject == i.subject).collect();
        if let Some(last) = same.iter().max_by_key(|o| o.first_seen) {
            let values = [
                ("count", same.len().to_string()),
                ("incident", last.id.to_string()),
                ("at", jst_minute(last.first_seen)),
            ];
            lines.push(Cell::plain(self.fill(DeskText::FirstRepeat, &values)));
        }
        let returns = i.events.iter().filter(|e| e.step == Step::Reopened).count();
        if returns > 0 {
            lines.push(Cell::plain(self.fill(DeskText::FirstFlapping, &[("count", returns.to_string())])));
        }
        let numbered = (1..).zip(lines).map(|(n, cell): (usize, Cell)| {
            let text = self.fill(DeskText::FirstLine, &[("n", n.to_string()), ("text", cell.text)]);
            Block::Text(Cell { text, tone: cell.tone })
        });
        Section::new(DeskText::FirstTitle.text(self.language), numbered)
    }

    fn charts(&self) -> Section {
        let (t, i) = (self.triage, &self.triage.incident);
        let span = span(i, t.as_of);
        let drawn = t.series.iter().take(CHARTS_MAX).filter_map(|series| {
            let (_, newest) = series.points().last().copied()?;
            let of_rule = rank(i, t.judged.as_ref(), &series.key) == 0;
            let limit = i.numbers.get("limit").copied().filter(|_| of_rule).map(|limit| {
                let value = series.unit.display(limit).to_string();
                (limit, self.fill(DeskText::ChartLimit, &[("value", value)]))
            });
            let values = [
                ("subject", series.key.subject.to_string()),
                ("name", series.key.quantity.to_string()),
                ("probe", series.key.probe.to_string()),
                ("value", series.unit.display(newest).to_string()),
            ];
            Some(Block::Chart(Chart {
                title: self.fill(DeskText::ChartTitle, &values),
                unit: series.unit,
                span,
                points: series.points().to_vec(),
                limit,
                mark: Some((i.first_seen, self.say(DeskText::ChartDetected))),
            }))
        });
        let mut blocks: Vec<Block> = drawn.collect();
        if blocks.is_empty() {
            blocks.push(Block::text(self.say(DeskText::ChartsNone)));
        }
        if let Some(more) = t.series.len().checked_sub(CHARTS_MAX).filter(|more| *more > 0) {
            blocks.push(Block::text(self.fill(DeskText::ChartsMore, &[("count", more.to_string())])));
        }
        let values = [("from", jst_minute(span.from)), ("to", jst_minute(span.to))];
        Section::new(&self.fill(DeskText::ChartsTitle, &values), blocks)
    }

    fn checks(&self) -> Section {
        let bad = self.triage.checks.iter().filter(|c| c.state != CheckState::Ok);
        let rows = bad.map(|c| {
            let state = c.state.message().text(self.language);
            let state = if c.state == CheckState::Critical { Cell::bad(state) } else { Cell::open(state) };
            vec![
                Cell::plain(c.probe.to_string()),
                Cell::plain(c.subject.to_string()),
                state,
                Cell::plain(jst_minute(c.at)),
            ]
        });
        let columns = [
            (DeskText::ColumnProbe, ColumnKind::Word),
            (DeskText::ColumnSubject, ColumnKind::Text),
            (DeskText::ColumnState, ColumnKind::Word),
            (DeskText::ColumnAt, ColumnKind::Word),
        ];
        self.table(DeskText::ChecksTitle, columns, rows, DeskText::ChecksNone)
    }

    fn changes(&self) -> Section {
        let from = self.triage.as_of.minus(CHANGES_BACK);
        let recent = self.triage.changes.iter().rev().filter(|c| from <= c.at);
        let rows = recent.map(|c| {
            [jst_minute(c.at), c.subject.to_string(), c.old.to_string(), c.new.to_string()]
                .map(Cell::plain)
                .into()
        });
        let columns = [
            (DeskText::ColumnAt, ColumnKind::Word),
            (DeskText::ColumnSubject, ColumnKind::Text),
            (DeskText::ColumnOld, ColumnKind::Text),
            (DeskText::ColumnNew, ColumnKind::Text),
        ];
        self.table(DeskText::ChangesTitle, columns, rows, DeskText::ChangesNone)
    }

    fn course(&self) -> Section {
        let rows = self.triage.incident.events.iter().map(|event| {
            let worker = event.worker.as_ref().map_or("", |w| w.as_str());
            let what = event.step.message().text(self.language);
            vec![Cell::plain(jst_minute(event.at)), Cell::plain(what), Cell::plain(worker)]
        });
        let columns = [
            (DeskText::ColumnAt, ColumnKind::Word),
            (DeskText::ColumnWhat, ColumnKind::Text),
            (DeskText::ColumnWho, ColumnKind::Text),
        ];
        self.table(DeskText::CourseTitle, columns, rows, DeskText::IncidentsNone)
    }

    fn told(&self) -> Section {
        let rows = self.triage.incident.decisions.iter().map(|d| {
            let outcome = d.outcome.message().text(self.language);
            let outcome = match d.outcome {
                Outcome::Sent => Cell::plain(outcome),
                Outcome::Held { .. } | Outcome::Silenced { .. } | Outcome::Untold => Cell::open(outcome),
            };
            vec![Cell::plain(jst_minute(d.at)), outcome, Cell::plain(d.why(self.language))]
        });
        let columns = [
            (DeskText::ColumnAt, ColumnKind::Word),
            (DeskText::ColumnDecision, ColumnKind::Word),
            (DeskText::ColumnWhy, ColumnKind::Text),
        ];
        self.table(DeskText::ToldTitle, columns, rows, DeskText::IncidentsNone)
    }

    fn past(&self) -> Section {
        let past = self.triage.others.iter().filter(|o| self.triage.is_past(o));
        self.cases(DeskText::PastTitle, past.collect())
    }

    fn similar(&self) -> Section {
        let t = self.triage;
        let similar = t.others.iter().filter(|o| t.is_same_kind(o) && !t.is_past(o));
        self.cases(DeskText::SimilarTitle, similar.collect())
    }

    fn cases(&self, title: DeskText, mut cases: Vec<&Incident>) -> Section {
        cases.sort_by_key(|i: &&Incident| (std::cmp::Reverse(i.first_seen), i.id));
        let rows = cases.into_iter().take(CASES_MAX).map(|i| {
            let lasted = match i.last(Step::Recovered).or_else(|| i.last(Step::Closed)) {
                Some(end) if i.phase != Phase::Open => {
                    Cell::plain(self.time_span(end.saturating_since(i.first_seen)))
                }
                Some(_) | None => Cell::open(self.say(DeskText::StillThere)),
            };
            let id = |id: IncidentId| Cell::plain(id.to_string());
            vec![
                Cell::plain(jst_minute(i.first_seen)),
                id(i.id),
                Cell::plain(i.label.to_string()),
                Cell::plain(i.finding.text(self.language)),
                lasted,
            ]
        });
        let columns = [
            (DeskText::ColumnAt, ColumnKind::Word),
            (DeskText::ColumnIncident, ColumnKind::Word),
            (DeskText::ColumnDevice, ColumnKind::Word),
            (DeskText::ColumnFinding, ColumnKind::Text),
            (DeskText::ColumnLasted, ColumnKind::Word),
        ];
        self.table(title, columns, rows, DeskText::IncidentsNone)
    }

    fn table<const N: usize>(
        &self,
        title: DeskText,
        columns: [(DeskText, ColumnKind); N],
        rows: impl Iterator<Item = Vec<Cell>>,
        none: DeskText,
    ) -> Section {
        let mut table = Table::new(columns.map(|(title, kind)| Column { title: self.say(title), kind }));
        table.rows = rows.collect();
        let block = if table.rows.is_empty() { Block::text(self.say(none)) } else { Block::Table(table) };
        Section::new(title.text(self.language), [block])
    }
}

#[cfg(test)]
mod tests;
