//! A summary as a person reads it: the important first, cut to the terminal. Pure.

use crate::summary::{Probe, Summary};
use std::fmt::Write as _;
use tenken_collector::cli::show;
use tenken_collector_core::{evaluation::ForecastResult, predict::forecast::Outcome};
use tenken_common::{
    column,
    message::{Language, Message},
    time::{jst_date, jst_minute},
};

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub columns: usize,
    /// Lines that can be seen at once; `None` where they just follow each other.
    pub rows: Option<usize>,
}

impl Room {
    /// Where there is no terminal to ask.
    pub const PAPER: Self = Self { columns: 100, rows: None };
}

/// The whole screen, without a last line end. `running` adds how to end it.
pub fn draw(s: &Summary, language: Language, running: bool, room: Room) -> String {
    let findings = match s.findings.as_slice() {
        [] => vec![Message::ScreenNoFindings.text(language).to_owned()],
        some => show::incidents(some, language).lines().map(str::to_owned).collect(),
    };
    let forecasts = s.forecasts.iter().map(|f| forecast(f, language)).collect();
    let indicators = s.overview.sla.iter().flat_map(|month| &month.figures.indicators);
    let sla = indicators.map(|i| show::indicator(i, language)).collect();
    let mut foot = vec![Message::ScreenMetrics.fill(language, &[("url", &s.metrics_url)])];
    if running {
        foot.push(Message::ScreenStop.text(language).to_owned());
    }
    let blocks = vec![
        vec![head(s, language), counts(s, language)],
        section(Message::ScreenFindings, findings, language),
        section(Message::ScreenForecasts, forecasts, language),
        section(Message::ScreenSla, sla, language),
        section(Message::ScreenProbes, probes(&s.probes, language), language),
        foot,
    ];
    let lines = fit(blocks, room.rows);
    lines.iter().map(|line| column::cut(line, room.columns)).collect::<Vec<_>>().join("\n")
}

/// One line, for where there is no screen.
pub fn line(s: &Summary, language: Language) -> String {
    format!("{}  {}", head(s, language), counts(s, language))
}

fn head(s: &Summary, language: Language) -> String {
    let device = s.device_id.map_or_else(|| "-".to_owned(), |d| d.to_string());
    Message::ScreenHead.fill(language, &[("at", &jst_minute(s.as_of)), ("device", &device)])
}

fn counts(s: &Summary, language: Language) -> String {
    let values = [
        ("appended", s.records_appended.to_string()),
        ("stored", s.records_stored.to_string()),
        ("acked", s.batches_acked.to_string()),
        ("gaps", s.gaps.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Message::ScreenCounts.fill(language, &values)
}

fn section(title: Message, mut lines: Vec<String>, language: Language) -> Vec<String> {
    if lines.is_empty() {
        lines.push(Message::ScreenNotYet.text(language).to_owned());
    }
    let lines = lines.into_iter().map(|line| format!("  {line}"));
    std::iter::once(title.text(language).to_owned()).chain(lines).collect()
}

/// Blank lines between the blocks where there is room; where there is too little even without
/// them, the block before the last loses its end.
fn fit(blocks: Vec<Vec<String>>, rows: Option<usize>) -> Vec<String> {
    let needed: usize = blocks.iter().map(Vec::len).sum();
    let airy = rows.is_none_or(|rows| needed + blocks.len() <= rows + 1);
    let too_many = rows.map_or(0, |rows| needed.saturating_sub(rows));
    let shortened = blocks.len().saturating_sub(2);
    let mut lines = Vec::new();
    for (i, mut block) in blocks.into_iter().enumerate() {
        if airy && i > 0 {
            lines.push(String::new());
        }
        if i == shortened && too_many > 0 {
            block.truncate(block.len().saturating_sub(too_many + 1));
            block.push("  …".to_owned());
        }
        lines.append(&mut block);
    }
    lines
}

/// One line each; `--json` has every value.
fn probes(all: &[Probe], language: Language) -> Vec<String> {
    let name_width = all.iter().map(|p| column::width(p.name.as_str())).max().unwrap_or(0);
    let word = |p: &Probe| show::state_message(p.state).text(language);
    let word_width = all.iter().map(|p| column::width(word(p))).max().unwrap_or(0);
    let one = |p: &Probe| {
        let (name, word) = (column::pad(p.name.as_str(), name_width), column::pad(word(p), word_width));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}  {word}  {}", show::probe(&p.values, &p.checks, language).join("; "));
        text.trim_end().to_owned()
    };
    all.iter().map(one).collect()
}

fn forecast(f: &ForecastResult, language: Language) -> String {
    let what = format!("{} {}", f.subject, f.quantity);
    match f.outcome {
        Outcome::Crossing(c) => {
            let (day, low, high) = (jst_date(c.at), jst_date(c.low), jst_date(c.high));
            Message::ForecastCrossing
                .fill(language, &[("what", &what), ("day", &day), ("low", &low), ("high", &high)])
        }
        Outcome::AlreadyReached => Message::ForecastReached.fill(language, &[("what", &what)]),
        Outcome::Refused(refusal) => {
            let why = refusal.message().text(language);
            Message::ForecastRefused.fill(language, &[("what", &what), ("why", why)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Vec<Vec<String>> {
        [2, 2, 3, 3, 9, 2].map(|lines| vec!["x".to_owned(); lines]).into()
    }

    #[test]
    fn what_does_not_fit_loses_air_first_and_then_the_probes_end() {
        let blank = |lines: &[String]| lines.iter().filter(|l| l.is_empty()).count();
        let airy = fit(blocks(), Some(26));
        assert_eq!((airy.len(), blank(&airy)), (26, 5));
        let tight = fit(blocks(), Some(25));
        assert_eq!((tight.len(), blank(&tight)), (21, 0));
        for rows in 14..21 {
            let short = fit(blocks(), Some(rows));
            assert_eq!(short.len(), rows);
            assert!(short.iter().any(|l| l == "  …"));
        }
        assert_eq!(fit(blocks(), None).len(), 26);
    }
}
