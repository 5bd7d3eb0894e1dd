//! What differs between two revisions of a report, place by place, as its reader finds it there.
//!
//! Holds: every difference of a table, of facts or of a text is named, with what stood there before
//! and what stands there now. A row is known by its section and its first cell.
//!
//! Does not: look at the head of the report, which says of itself which revision it is.

use super::{
    document::{Block, Cell, Column, ColumnKind, Document, NOTHING, Section, Table},
    words::Words,
};
use std::collections::{BTreeMap, BTreeSet};
use tenken_common::message::ReportText;

/// A place that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub place: String,
    /// `None` where it is new.
    pub before: Option<String>,
    /// `None` where it is gone.
    pub after: Option<String>,
}

/// A row, or whatever stands for one: its place, and its cells by their columns.
struct Row {
    place: String,
    /// What it is known by where its place is not enough.
    sentence: Option<String>,
    cells: Vec<(String, String)>,
}

impl Row {
    fn sentence(place: &str, text: &str) -> Self {
        let cells = vec![(String::new(), text.to_owned())];
        Self { place: place.to_owned(), sentence: Some(text.to_owned()), cells }
    }

    fn key(&self) -> (String, Option<String>) {
        (self.place.clone(), self.sentence.clone())
    }
}

pub(in crate::sla) fn changes(old: &Document, new: &Document) -> Vec<Change> {
    let before: BTreeMap<_, _> = rows(old).into_iter().map(|row| (row.key(), row.cells)).collect();
    let mut changes = Vec::new();
    let mut still = BTreeSet::new();
    for row in rows(new) {
        match before.get(&row.key()) {
            None => {
                changes.push(Change {
                    before: None,
                    after: Some(whole(&row.cells)),
                    place: row.place.clone(),
                });
            }
            Some(cells) => {
                let old: BTreeMap<&str, &str> = cells.iter().map(|(c, t)| (c.as_str(), t.as_str())).collect();
                for (column, text) in &row.cells {
                    let was = old.get(column.as_str()).copied();
                    if was != Some(text) {
                        let place = if column.is_empty() {
                            row.place.clone()
                        } else {
                            format!("{} – {column}", row.place)
                        };
                        let (before, after) = (was.map(ToOwned::to_owned), Some(text.clone()));
                        changes.push(Change { place, before, after });
                    }
                }
            }
        }
        still.insert(row.key());
    }
    for row in rows(old).into_iter().filter(|row| !still.contains(&row.key())) {
        changes.push(Change { before: Some(whole(&row.cells)), after: None, place: row.place });
    }
    changes
}

fn whole(cells: &[(String, String)]) -> String {
    let texts: Vec<&str> = cells.iter().map(|(_, text)| text.as_str()).filter(|t| *t != NOTHING).collect();
    if texts.is_empty() { NOTHING.to_owned() } else { texts.join(" / ") }
}

/// All rows in order; one whose place was there before is told by its number.
fn rows(document: &Document) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut row = |place: String, cells: Vec<(String, String)>| {
        let times = seen.entry(place.clone()).or_insert(0);
        *times += 1;
        let place = if *times == 1 { place } else { format!("{place} ({times})") };
        Row { place, sentence: None, cells }
    };
    for section in &document.sections {
        let mut under = section.title.clone();
        for block in &section.blocks {
            match block {
                // A sentence has no other place than its own words.
                Block::Text(cell) => rows.push(Row::sentence(&under, &cell.text)),
                Block::Heading(text) => under = format!("{}: {text}", section.title),
                Block::Facts(facts) => {
                    for (name, cell) in facts {
                        rows.push(row(format!("{under}: {name}"), vec![(String::new(), cell.text.clone())]));
                    }
                }
                Block::Table(table) => {
                    for cells in table.rows.iter().chain(&table.total) {
                        let Some((first, rest)) = cells.split_first() else { continue };
                        let columns = table.columns.iter().skip(1).map(|column| column.title.clone());
                        let cells = columns.zip(rest.iter().map(|cell| cell.text.clone())).collect();
                        rows.push(row(format!("{under}: {}", first.text), cells));
                    }
                }
                Block::Chart(_) | Block::Boxes(_) => {}
            }
        }
    }
    rows
}

/// Puts the differences before everything else.
pub(in crate::sla) fn show(document: &mut Document, changes: &[Change], before: u32) {
    let words = Words { language: document.language };
    let columns = [ReportText::ColumnPlace, ReportText::ColumnBefore, ReportText::ColumnAfter];
    let column = |text| Column { title: words.text(text).to_owned(), kind: ColumnKind::Text };
    let mut table = Table::new(columns.map(column));
    let cell = |text: &Option<String>| text.as_ref().map_or_else(Cell::nothing, Cell::plain);
    for change in changes {
        table.rows.push(vec![Cell::plain(&change.place), cell(&change.before), cell(&change.after)]);
    }
    let title = words.fill(ReportText::Changes, &[("revision", &before.to_string())]);
    document.sections.insert(0, Section::new(&title, [Block::Table(table)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::message::Language;

    fn document(rows: &[(&str, &str)], note: &str) -> Document {
        let column = |title: &str| Column { title: title.to_owned(), kind: ColumnKind::Text };
        let mut table = Table::new(["Item", "Result"].map(column));
        table.rows = rows.iter().map(|(a, b)| vec![Cell::plain(*a), Cell::plain(*b)]).collect();
        let blocks = [Block::Table(table), Block::text(note)];
        Document {
            language: Language::En,
            title: String::new(),
            subtitle: String::new(),
            mark: None,
            large: false,
            facts: vec![("as of".to_owned(), Cell::plain(note))],
            sections: vec![Section::new("Part", blocks)],
            foot: note.to_owned(),
        }
    }

    #[test]
    fn each_difference_is_named_with_its_place() {
        let old = document(&[("a", "1"), ("b", "2"), ("b", "3"), ("gone", "4")], "before");
        let new = document(&[("a", "1"), ("b", "2"), ("b", "9"), ("new", "5")], "after");
        let told: Vec<(String, Option<String>, Option<String>)> =
            changes(&old, &new).into_iter().map(|c| (c.place, c.before, c.after)).collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("Part: b (2) – Result".to_owned(), text("3"), text("9")),
                ("Part: new".to_owned(), None, text("5")),
                ("Part".to_owned(), None, text("after")),
                ("Part: gone".to_owned(), text("4"), None),
                ("Part".to_owned(), text("before"), None),
            ]
        );
        assert!(changes(&old, &old).is_empty());
        let mut shown = new.clone();
        show(&mut shown, &changes(&old, &new), 1);
        assert_eq!(shown.sections.len(), 2);
    }
}
