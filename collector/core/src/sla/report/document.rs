//! A page as its parts: headings, facts, tables, in one language. What every form of a report
//! (print, table program) is made from, so that all of them say the same.
//!
//! Does not: know how any of them is written down.

use super::chart::Chart;
use serde::{Deserialize, Serialize};
use tenken_common::message::Language;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub language: Language,
    pub title: String,
    pub subtitle: String,
    /// What stands across the page, such as that it is a draft.
    pub mark: Option<String>,
    /// In large print.
    pub large: bool,
    pub facts: Vec<(String, Cell)>,
    pub sections: Vec<Section>,
    pub foot: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Block {
    Text(Cell),
    /// Above a table within a section.
    Heading(String),
    Facts(Vec<(String, Cell)>),
    Table(Table),
    Chart(Chart),
    /// Empty boxes to sign or stamp, with what each is for.
    Boxes(Vec<String>),
}

/// Every row has as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// The sum of the rows.
    pub total: Option<Vec<Cell>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub title: String,
    pub kind: ColumnKind,
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    Text,
    /// Kept on one line.
    Word,
    /// On one line, to the right.
    Number,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub text: String,
    pub tone: Tone,
}

/// What a reader should see at once. Never the only carrier of a meaning: the text says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Open,
}

/// For what is not there.
pub const NOTHING: &str = "–";

impl Cell {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }

    pub fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Good }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Bad }
    }

    pub fn open(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Open }
    }

    pub fn nothing() -> Self {
        Self::plain(NOTHING)
    }
}

impl Section {
    pub fn new(title: &str, blocks: impl IntoIterator<Item = Block>) -> Self {
        Self { title: title.to_owned(), blocks: blocks.into_iter().collect() }
    }
}

impl Block {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Cell::plain(text))
    }
}

impl Table {
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new(), total: None }
    }
}
