//! A summary as a person reads it. Pure.

use crate::summary::{Probe, Summary};
use std::fmt::Write as _;
use tenken_collector::cli::show;
use tenken_collector_core::{evaluation::ForecastResult, predict::forecast::Outcome};
use tenken_common::{
    message::{Language, Message},
    observation::{CheckState, ProbeState},
    time::{jst_date, jst_minute},
};

/// The whole screen.
pub fn draw(s: &Summary, language: Language, running: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{}\n", line(s, language));
    section(&mut out, Message::ScreenProbes, language, s.probes.iter().map(|p| probe(p, language)));
    let findings = show::incidents(&s.findings, language);
    section(&mut out, Message::ScreenFindings, language, findings.lines().map(str::to_owned));
    let forecasts = s.forecasts.iter().map(|f| forecast(f, language));
    section(&mut out, Message::ScreenForecasts, language, forecasts);
    let sla = s.overview.sla.iter().flat_map(|m| &m.figures.indicators).map(|i| show::indicator(i, language));
    section(&mut out, Message::ScreenSla, language, sla);
    let _ = writeln!(out, "{}", Message::ScreenMetrics.fill(language, &[("url", &s.metrics_url)]));
    if running {
        let _ = writeln!(out, "{}", Message::ScreenStop.text(language));
    }
    out
}

/// One line, for where there is no screen.
pub fn line(s: &Summary, language: Language) -> String {
    let values = [
        ("at", jst_minute(s.as_of)),
        ("device", s.device_id.map_or_else(|| "-".to_owned(), |d| d.to_string())),
        ("appended", s.records_appended.to_string()),
        ("stored", s.records_stored.to_string()),
        ("acked", s.batches_acked.to_string()),
        ("gaps", s.gaps.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Message::ScreenLine.fill(language, &values)
}

fn section(out: &mut String, title: Message, language: Language, lines: impl Iterator<Item = String>) {
    let _ = writeln!(out, "{}", title.text(language));
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        let _ = writeln!(out, "  {}", Message::ScreenNothing.text(language));
    }
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
    out.push('\n');
}

/// The first few values; `--json` has them all.
fn probe(p: &Probe, language: Language) -> String {
    const SHOWN: usize = 5;
    let state = match p.state {
        ProbeState::Ok => "ok",
        ProbeState::NoData => Message::ProbeNoData.text(language),
        ProbeState::Unsupported => Message::ProbeUnsupported.text(language),
        ProbeState::TimedOut => Message::ProbeTimedOut.text(language),
        ProbeState::Failed => Message::ProbeFailed.text(language),
        ProbeState::NotConsented => Message::ProbeNotConsented.text(language),
    };
    let mut values: Vec<String> = p
        .values
        .iter()
        .take(SHOWN)
        .map(|v| match v.subject.as_str() {
            "device" | "agent" => format!("{} {}", v.name, v.unit.display(v.value)),
            subject => format!("{subject} {} {}", v.name, v.unit.display(v.value)),
        })
        .collect();
    values.extend(p.checks.iter().map(|c| format!("{} {}", c.subject, check(c.state))));
    if p.values.len() > SHOWN {
        values.push("…".to_owned());
    }
    format!("{:<9} {state}  {}", p.name.as_str(), values.join(", "))
}

fn check(state: CheckState) -> &'static str {
    state.as_str()
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
