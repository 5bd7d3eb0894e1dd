//! The annual report (年次報告, SLA A6.5(1)②, A7.1(1)②, A7.2): the grade with the misses behind it, the
//! grounds for asking for the contract's end, and the five items that 乙 hands over once a year.
//!
//! Holds: an item without an attachment and without a reason is missing, and a report with one that
//! is missing stays a draft.

use super::{
    Head, Standing,
    document::{Block, Cell, ColumnKind, Document, NOTHING, Section, Table},
    event,
    words::Words,
};
use crate::sla::{
    calendar::Day,
    consequence::Trigger,
    contract::Grade,
    history::Known,
    indicator::{Indicator, IndicatorName, Verdict},
    miss::Miss,
    month::{Month, SlaMonth},
    span::Span,
    year::SlaYear,
};
use serde::{Deserialize, Serialize};
use tenken_common::{
    message::{Language, ReportText},
    time::Timestamp,
};

/// What 乙 hands over once a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnualItem {
    /// 法令・ガイドライン等の遵守状況 (with the SDS).
    Compliance,
    /// 個人データ安全管理に関する運用状況.
    Safety,
    /// 監査結果.
    Audit,
    /// 要員教育.
    Training,
    /// 経営状況等を示す資料.
    Finances,
}

impl AnnualItem {
    pub const ALL: [Self; 5] = [Self::Compliance, Self::Safety, Self::Audit, Self::Training, Self::Finances];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compliance => "compliance",
            Self::Safety => "safety",
            Self::Audit => "audit",
            Self::Training => "training",
            Self::Finances => "finances",
        }
    }

    pub fn text(self) -> ReportText {
        match self {
            Self::Compliance => ReportText::AnnualCompliance,
            Self::Safety => ReportText::AnnualSafety,
            Self::Audit => ReportText::AnnualAudit,
            Self::Training => ReportText::AnnualTraining,
            Self::Finances => ReportText::AnnualFinances,
        }
    }
}

/// One item of one year, as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnualDelivery {
    /// In which the evaluation year begins.
    pub year: i16,
    pub item: AnnualItem,
    pub at: Timestamp,
    /// The document that was handed over.
    #[serde(default)]
    pub attachment: Option<String>,
    /// What it says; or why there is no document.
    #[serde(default)]
    pub summary: String,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnnualReport {
    #[serde(flatten)]
    pub head: Head,
    /// `None` where the contract had no month in it.
    pub year: Option<SlaYear>,
    /// The indicators of each month.
    pub verdicts: Vec<(Month, Vec<(IndicatorName, Verdict)>)>,
    /// Of this year and those before.
    pub triggers: Vec<Trigger>,
    pub items: Vec<(AnnualItem, Option<AnnualDelivery>)>,
}

impl AnnualReport {
    /// The evaluation year that begins in the calendar year `year`; `None` outside the calendar.
    pub fn of(known: &Known<'_>, year: i16, standing: Standing) -> Option<Self> {
        let end = Day::new(year.checked_add(1)?, 12, 31).ok()?;
        let start =
            known.contracts.in_force(known.as_of).map_or_else(Default::default, |c| c.rules.year_start);
        let (first, next) = (start.of_year(year)?, start.of_year(end.year())?);
        let period = Span::new(first.start(), next.start());
        let months: Vec<SlaMonth> = known
            .months()
            .filter(|month| month.span().from < period.to)
            .map(|month| known.month(month))
            .collect();
        let years = known.years(&months);
        let triggers = known.triggers(&months, &years);
        let items: Vec<(AnnualItem, Option<AnnualDelivery>)> =
            AnnualItem::ALL.into_iter().map(|item| (item, delivered(known, year, item))).collect();
        let complete = items.iter().all(|(_, delivery)| delivery.is_some());
        let standing = if complete { standing } else { Standing::Draft };
        let verdict = |i: &Indicator| (i.name, i.verdict);
        let here = months.iter().filter(|m| period.contains(m.month.span().from));
        Some(Self {
            head: Head::of(known, period, standing),
            verdicts: here.map(|m| (m.month, m.indicators.iter().map(verdict).collect())).collect(),
            year: years.into_iter().find(|y| y.first == first),
            triggers,
            items,
        })
    }

    pub fn document(&self, language: Language) -> Document {
        let words = Words { language };
        Document {
            language,
            title: words.text(ReportText::AnnualTitle).to_owned(),
            subtitle: words.days(self.head.period),
            mark: self.head.mark(words),
            large: false,
            facts: self.head.facts(words),
            sections: vec![
                self.grade(words),
                self.misses(words),
                self.monthly_verdicts(words),
                self.grounds(words),
                self.annual_items(words),
            ],
            foot: self.head.foot(words),
        }
    }

    fn grade(&self, words: Words) -> Section {
        let title = words.text(ReportText::Grade);
        let Some(year) = &self.year else {
            return Section::new(title, [Block::Text(Cell::open(words.text(ReportText::YearUnknown)))]);
        };
        let of = |grade: Option<Grade>| match (grade, year.reason_for_null) {
            (Some(Grade::A | Grade::B), _) => Cell::good(grade.map_or(NOTHING, Grade::as_str)),
            (Some(Grade::C | Grade::D), _) => Cell::bad(grade.map_or(NOTHING, Grade::as_str)),
            (None, Some(reason)) => Cell::open(words.message(reason.message())),
            (None, None) => Cell::nothing(),
        };
        let now = if year.ended { ReportText::GradeNow } else { ReportText::GradeSoFar };
        let misses = match (year.misses, year.misses_min, year.misses_max) {
            (Some(n), Some(min), Some(max)) if min != max => {
                let range = [("min", words.cases(min)), ("max", words.cases(max))];
                format!("{} ({})", words.cases(n), words.fill_all(ReportText::Range, &range))
            }
            (Some(n), ..) => words.cases(n),
            (None, ..) => NOTHING.to_owned(),
        };
        let fact = |name: ReportText, cell: Cell| (words.text(name).to_owned(), cell);
        let mut facts = vec![fact(now, of(year.grade)), fact(ReportText::MissesOfYear, Cell::plain(misses))];
        if year.best != year.worst {
            facts.push(fact(ReportText::GradeBest, of(year.best)));
            facts.push(fact(ReportText::GradeWorst, of(year.worst)));
        }
        Section::new(title, [Block::Facts(facts)])
    }

    fn misses(&self, words: Words) -> Section {
        let title = words.text(ReportText::MissesByMonth);
        let Some(year) = self.year.as_ref().filter(|year| year.misses.is_some()) else {
            return Section::new(title, [Block::text(words.text(ReportText::NotInContract))]);
        };
        // The hospital's own devices make no misses of the provider.
        let counted = IndicatorName::ALL.into_iter().filter(|name| *name != IndicatorName::CurrencyCustomer);
        let counted: Vec<IndicatorName> = counted.collect();
        let mut table = by_month(&counted, words);
        table.columns.push(words.column(ReportText::Total, ColumnKind::Number));
        let cell = |of: &dyn Fn(&Miss) -> bool, misses: &mut dyn Iterator<Item = &Miss>| {
            let (mut certain, mut open) = (0, 0);
            for miss in misses.filter(|miss| of(miss)) {
                certain += miss.count;
                open += miss.open;
            }
            misses_cell(certain, open)
        };
        for month in &year.months {
            let mut row = vec![Cell::plain(words.month(month.month))];
            row.extend(counted.iter().map(|name| cell(&|m| m.item == *name, &mut month.misses.iter())));
            row.push(cell(&|_| true, &mut month.misses.iter()));
            table.rows.push(row);
        }
        let all = || year.months.iter().flat_map(|month| &month.misses);
        let mut total = vec![Cell::plain(words.text(ReportText::Total))];
        total.extend(counted.iter().map(|name| cell(&|m| m.item == *name, &mut all())));
        total.push(cell(&|_| true, &mut all()));
        table.total = Some(total);
        Section::new(title, [Block::Table(table), Block::text(words.text(ReportText::MissesByMonthNote))])
    }

    fn monthly_verdicts(&self, words: Words) -> Section {
        let mut table = by_month(&IndicatorName::ALL, words);
        for column in table.columns.iter_mut().skip(1) {
            column.kind = ColumnKind::Text;
        }
        for (month, verdicts) in &self.verdicts {
            let mut row = vec![Cell::plain(words.month(*month))];
            row.extend(IndicatorName::ALL.map(|name| {
                let found = verdicts.iter().find(|(of, _)| *of == name);
                found.map_or_else(Cell::nothing, |(_, verdict)| words.verdict(*verdict))
            }));
            table.rows.push(row);
        }
        let block = if table.rows.is_empty() {
            Block::text(words.text(ReportText::YearUnknown))
        } else {
            Block::Table(table)
        };
        Section::new(words.text(ReportText::Verdicts), [block])
    }

    fn grounds(&self, words: Words) -> Section {
        let mut blocks: Vec<Block> = self
            .triggers
            .iter()
            .map(|trigger| Block::Text(Cell::bad(trigger.sentence(words.language))))
            .collect();
        if blocks.is_empty() {
            blocks.push(Block::Text(Cell::good(words.text(ReportText::TriggersNone))));
        }
        Section::new(words.text(ReportText::Triggers), blocks)
    }

    fn annual_items(&self, words: Words) -> Section {
        let mut table = Table::new([
            words.column(ReportText::ColumnItem, ColumnKind::Text),
            words.column(ReportText::ColumnAttachment, ColumnKind::Text),
            words.column(ReportText::ColumnSummary, ColumnKind::Text),
            words.column(ReportText::Date, ColumnKind::Word),
        ]);
        let mut missing = false;
        for (item, delivery) in &self.items {
            let name = Cell::plain(words.text(item.text()));
            let row = if let Some(delivery) = delivery {
                vec![
                    name,
                    Cell::plain(delivery.attachment.as_deref().unwrap_or(NOTHING)),
                    Cell::plain(&delivery.summary),
                    Cell::plain(words.at(delivery.at)),
                ]
            } else {
                missing = true;
                let text = Cell::bad(words.text(ReportText::AnnualMissing));
                vec![name, text, Cell::nothing(), Cell::nothing()]
            };
            table.rows.push(row);
        }
        let mut blocks = vec![Block::Table(table)];
        if missing {
            blocks.push(Block::Text(Cell::bad(words.text(ReportText::AnnualNotClosed))));
        }
        blocks.push(event::boxes(words));
        Section::new(words.text(ReportText::AnnualItems), blocks)
    }
}

/// The newest with something in it.
fn delivered(known: &Known<'_>, year: i16, item: AnnualItem) -> Option<AnnualDelivery> {
    let filled = |d: &&AnnualDelivery| {
        d.attachment.as_deref().is_some_and(|a| !a.trim().is_empty()) || !d.summary.trim().is_empty()
    };
    let here = |d: &&AnnualDelivery| d.year == year && d.item == item && d.at <= known.as_of;
    known.history.annual.iter().filter(here).filter(filled).max_by_key(|d| d.at).cloned()
}

fn by_month(names: &[IndicatorName], words: Words) -> Table {
    let mut table = Table::new([words.column(ReportText::ColumnMonth, ColumnKind::Word)]);
    table.columns.extend(
        names.iter().map(|name| super::document::Column {
            title: words.name(name.message()),
            kind: ColumnKind::Number,
        }),
    );
    table
}

fn misses_cell(certain: u32, open: u32) -> Cell {
    match (certain, open) {
        (0, 0) => Cell::plain("0"),
        (0, open) => Cell::open(format!("0 +{open}")),
        (certain, 0) => Cell::bad(certain.to_string()),
        (certain, open) => Cell::bad(format!("{certain} +{open}")),
    }
}
