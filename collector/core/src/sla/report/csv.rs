//! A document as a CSV file (RFC 4180) for a table program: one table below the other, each under its
//! heading.
//!
//! Holds: it begins with a byte order mark, so that Excel takes it for UTF-8. A text that a table
//! program would take for a formula gets an apostrophe before it.

use super::document::{Block, Cell, Document, Table};

/// What a formula begins with; Excel in Japanese takes the wide signs too.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// The whole file.
pub fn csv(document: &Document) -> String {
    let mut out = Csv("\u{feff}".to_owned());
    out.row([document.title.as_str(), &document.subtitle]);
    if let Some(mark) = &document.mark {
        out.row([mark.as_str()]);
    }
    out.facts(&document.facts);
    for section in &document.sections {
        out.row([""]);
        if !section.title.is_empty() {
            out.row([section.title.as_str()]);
        }
        for block in &section.blocks {
            match block {
                Block::Text(cell) => out.row([cell.text.as_str()]),
                Block::Heading(text) => out.row([text.as_str()]),
                Block::Facts(facts) => out.facts(facts),
                Block::Table(table) => out.table(table),
                Block::Chart(_) | Block::Boxes(_) => {}
            }
        }
    }
    out.row([""]);
    out.row([document.foot.as_str()]);
    out.0
}

/// A table alone, its head the first row.
pub fn rows(rows: &[Vec<String>]) -> String {
    let mut out = Csv("\u{feff}".to_owned());
    for row in rows {
        out.row(row.iter().map(String::as_str));
    }
    out.0
}

struct Csv(String);

impl Csv {
    fn row<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        for (i, field) in fields.into_iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.field(field);
        }
        self.0.push_str("\r\n");
    }

    fn field(&mut self, text: &str) {
        let formula = text.starts_with(FORMULA);
        let quoted = formula || text.contains(['"', ',', '\n', '\r']);
        if quoted {
            self.0.push('"');
        }
        if formula {
            self.0.push('\'');
        }
        self.0.push_str(&text.replace('"', "\"\""));
        if quoted {
            self.0.push('"');
        }
    }

    fn facts(&mut self, facts: &[(String, Cell)]) {
        for (name, cell) in facts {
            self.row([name.as_str(), &cell.text]);
        }
    }

    fn table(&mut self, table: &Table) {
        self.row(table.columns.iter().map(|column| column.title.as_str()));
        for row in table.rows.iter().chain(&table.total) {
            self.row(row.iter().map(|cell| cell.text.as_str()));
        }
    }
}
