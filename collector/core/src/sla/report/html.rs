//! A document as one HTML file, ready for A4.
//!
//! Holds: nothing is loaded from anywhere and nothing runs: no script, no link, the style inside,
//! and a policy that forbids the rest. Every text is escaped. The same document gives the same bytes.

use super::{
    chart::Chart,
    document::{Block, Cell, ColumnKind, Document, Section, Table, Tone},
};
use tenken_common::message::Language;

const STYLE: &str = include_str!("report.css");
/// Of pages with drawings.
const CHART_STYLE: &str = include_str!("chart.css");

/// A table of this many rows is not parted by the end of a page.
const ROWS_TOGETHER: usize = 14;

/// The whole file.
pub fn html(document: &Document) -> String {
    let mut out = Html(String::new());
    let lang = match document.language {
        Language::Ja => "ja",
        Language::En => "en",
    };
    out.raw("<!DOCTYPE html>\n<html lang=\"").raw(lang).raw("\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    out.raw("<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    out.text(&document.title).raw(" ").text(&document.subtitle);
    let has_chart = document.sections.iter().flat_map(|s| &s.blocks).any(|b| matches!(b, Block::Chart(_)));
    out.raw("</title>\n<style>\n").raw(STYLE).raw(if has_chart { CHART_STYLE } else { "" });
    out.raw("</style>\n</head>\n");
    out.open("body", if document.large { "large" } else { "" }).raw("\n");
    if let Some(mark) = &document.mark {
        out.element("div", "mark", mark);
    }
    out.raw("<header>\n");
    out.element("h1", "", &document.title).element("p", "subtitle", &document.subtitle);
    out.facts(&document.facts).raw("</header>\n");
    for section in &document.sections {
        out.section(section);
    }
    out.raw("<footer>").prose(&document.foot).raw("</footer>\n</body>\n</html>\n");
    out.0
}

struct Html(String);

impl Html {
    /// Only for what this file writes itself.
    fn raw(&mut self, html: &str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push_str("<br>"),
                // Signs that turn the order of what follows hide what a text says.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                    self.0.push('\u{fffd}');
                }
                c if c.is_control() => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Text in which neither a date, nor a number and its unit, is parted by the end of a line.
    fn prose(&mut self, text: &str) -> &mut Self {
        let is_digit = |c: char| c.is_ascii_digit();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let run = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-:.".contains(c)));
            let (word, after) = rest.split_at(run.unwrap_or(rest.len()));
            if word.is_empty() {
                let (one, after) = rest.split_at(first.len_utf8());
                self.text(one);
                rest = after;
                continue;
            }
            let is_number = word.starts_with(is_digit);
            if is_number && word.contains('-') {
                let time = after.strip_prefix(' ').filter(|time| time.starts_with(is_digit));
                let end = time
                    .map_or(0, |time| 1 + time.find(|c| !(is_digit(c) || c == ':')).unwrap_or(time.len()));
                let (time, after) = after.split_at(end);
                self.raw("<span class=\"n\">").text(word).text(time).raw("</span>");
                rest = after;
                continue;
            }
            self.text(word);
            rest = after;
            // What follows is its unit.
            let follows = after.strip_prefix(' ').and_then(|unit| unit.chars().next());
            if is_number && follows.is_some_and(|c| c.is_alphanumeric() || c == '%') {
                self.raw("&nbsp;");
                rest = after.strip_prefix(' ').unwrap_or(after);
            }
        }
        self
    }

    fn element(&mut self, name: &str, class: &str, text: &str) -> &mut Self {
        self.open(name, class).prose(text).raw("</").raw(name).raw(">\n")
    }

    fn open(&mut self, name: &str, class: &str) -> &mut Self {
        self.raw("<").raw(name);
        if !class.is_empty() {
            self.raw(" class=\"").raw(class).raw("\"");
        }
        self.raw(">")
    }

    fn cell(&mut self, name: &str, class: &str, cell: &Cell) -> &mut Self {
        self.open(name, class);
        if cell.tone == Tone::Plain {
            self.prose(&cell.text);
        } else {
            self.open("span", tone(cell.tone)).prose(&cell.text).raw("</span>");
        }
        self.raw("</").raw(name).raw(">")
    }

    fn section(&mut self, section: &Section) -> &mut Self {
        self.raw("<section>\n");
        if !section.title.is_empty() {
            self.element("h2", "", &section.title);
        }
        for block in &section.blocks {
            match block {
                Block::Text(cell) => self.cell("p", "", cell).raw("\n"),
                Block::Heading(text) => self.element("h3", "", text),
                Block::Facts(facts) => self.facts(facts),
                Block::Table(table) => self.table(table),
                Block::Chart(chart) => self.chart(chart),
                Block::Boxes(names) => self.boxes(names),
            };
        }
        self.raw("</section>\n")
    }

    fn facts(&mut self, facts: &[(String, Cell)]) -> &mut Self {
        if facts.is_empty() {
            return self;
        }
        self.raw("<dl>\n");
        for (name, cell) in facts {
            self.open("dt", "").text(name).raw("</dt>").cell("dd", "", cell).raw("\n");
        }
        self.raw("</dl>\n")
    }

    fn table(&mut self, table: &Table) -> &mut Self {
        // A short table stays on one page.
        let whole = table.rows.len() <= ROWS_TOGETHER;
        self.open("table", if whole { "whole" } else { "" }).raw("\n<thead><tr>");
        for column in &table.columns {
            self.open("th", class(column.kind)).text(&column.title).raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in &table.rows {
            self.row("", table, row);
        }
        if let Some(total) = &table.total {
            self.row("total", table, total);
        }
        self.raw("</tbody>\n</table>\n")
    }

    fn row(&mut self, name: &str, table: &Table, cells: &[Cell]) {
        self.open("tr", name);
        for (column, cell) in table.columns.iter().zip(cells) {
            self.cell("td", class(column.kind), cell);
        }
        self.raw("</tr>\n");
    }

    fn chart(&mut self, chart: &Chart) -> &mut Self {
        let escaped = |text: &str| {
            let mut out = Html(String::new());
            out.text(text);
            out.0
        };
        self.element("h3", "", &chart.title).raw(&chart.svg(escaped))
    }

    fn boxes(&mut self, names: &[String]) -> &mut Self {
        self.raw("<div class=\"boxes\">\n");
        for name in names {
            self.raw("<div><span>").text(name).raw("</span></div>\n");
        }
        self.raw("</div>\n")
    }
}

fn class(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "",
        ColumnKind::Word => "word",
        ColumnKind::Number => "number",
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(table: &Table) -> String {
        let mut out = Html(String::new());
        out.table(table);
        out.0
    }

    #[test]
    fn a_short_table_stays_on_one_page() {
        let of = |rows: usize| {
            let mut table =
                Table::new([super::super::document::Column { title: "n".into(), kind: ColumnKind::Number }]);
            table.rows = (0..rows).map(|n| vec![Cell::plain(n.to_string())]).collect();
            page(&table).starts_with("<table class=\"whole\">")
        };
        assert!(of(ROWS_TOGETHER) && !of(ROWS_TOGETHER + 1));
    }

    #[test]
    fn dates_and_units_are_not_parted() {
        let prose = |text: &str| {
            let mut out = Html(String::new());
            out.prose(text);
            out.0
        };
        for (text, expected) in [
            ("on 2026-09-18 16:00, x", "on <span class=\"n\">2026-09-18 16:00</span>, x"),
            ("2026-09-18 16:00:05", "<span class=\"n\">2026-09-18 16:00:05</span>"),
            ("2026-09-18 to", "<span class=\"n\">2026-09-18</span> to"),
            ("2026-09-18", "<span class=\"n\">2026-09-18</span>"),
            ("99.5 % of 3 h", "99.5&nbsp;% of 3&nbsp;h"),
            ("3 – 4", "3 – 4"),
            ("INC-2 9", "INC-2 9"),
            ("a 1", "a 1"),
            ("5 時間", "5&nbsp;時間"),
        ] {
            assert_eq!(prose(text), expected);
        }
    }
}
