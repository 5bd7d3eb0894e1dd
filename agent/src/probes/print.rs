//! What `tenken-agent probe` shows of runs: a table for people, JSON for programs.
//!
//! Holds: a probe without values says why. The JSON is one array with one object per probe,
//! `{name, category, state, error?, duration_ms, values: [{subject, name, unit, value}]}`; a
//! check's value is its state's code, in the unit `check_state`. A fact (a version, a date, a
//! word) has its text as value and no unit.

use super::registry;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use tenken_agent_core::{
    diagnosis::Diagnosis,
    probe::{Cost, ProbeInfo, ProbeOutcome},
    record::to_f64,
};
use tenken_common::{
    config::HumanDuration,
    fact::Field,
    observation::{Body, CheckState, Observation, ProbeState},
    telemetry::ErrorChain,
    time::jst_minute,
    unit::{Quantity, Unit},
};

/// The outcomes in the order given; ends with a line end. Colour is for the table only.
pub fn print(
    outcomes: &[(ProbeInfo, ProbeOutcome)],
    diagnosis: &Diagnosis,
    json: bool,
    color: bool,
) -> String {
    if json { print_json(outcomes) } else { print_table(outcomes, diagnosis, color) }
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    category: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    duration_ms: f64,
    values: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    subject: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    value: Value,
}

/// Every probe with what it costs, as a Markdown table.
pub fn print_list(infos: &[ProbeInfo]) -> String {
    let mut out = String::from("| probe | category | every | cost | looks at |\n|---|---|---|---|---|\n");
    for info in infos {
        let (every, about) = (HumanDuration(info.interval), registry::about(info.name));
        let cost = match info.cost {
            Cost::Cheap => "cheap",
            Cost::Moderate => "moderate",
            Cost::Expensive => "expensive",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {} | {every} | {cost} | {about} |", info.name, info.category);
    }
    out
}

fn print_json(outcomes: &[(ProbeInfo, ProbeOutcome)]) -> String {
    let shown: Vec<_> = outcomes.iter().map(|(info, outcome)| shown(info, outcome)).collect();
    let json = serde_json::to_string_pretty(&shown);
    json.expect("texts and finite numbers are valid JSON") + "\n"
}

fn shown(info: &ProbeInfo, outcome: &ProbeOutcome) -> Shown {
    Shown {
        name: info.name,
        category: info.category.as_str(),
        state: outcome.state().as_str(),
        error: reason(outcome),
        duration_ms: to_f64(u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX)) / 1_000.0,
        values: outcome.result.as_deref().unwrap_or_default().iter().flat_map(values).collect(),
    }
}

fn values(observation: &Observation) -> Vec<Row> {
    let row = |name: &str, unit, value| {
        let subject = observation.subject.to_string();
        Row { subject, name: name.to_owned(), unit, value }
    };
    let quantity = |q: &Quantity| row(q.name.as_str(), Some(q.unit.as_str()), q.value.into());
    match &observation.body {
        Body::Sample(s) => s.quantities.iter().map(quantity).collect(),
        Body::SelfReport(r) => r.quantities.iter().map(quantity).collect(),
        Body::CheckResult(c) => vec![row("state", Some("check_state"), f64::from(c.state.code()).into())],
        Body::Fact(fact) => {
            fact.fields().into_iter().map(|(name, field)| field_row(&row, name, field)).collect()
        }
    }
}

fn field_row(row: &impl Fn(&str, Option<&'static str>, Value) -> Row, name: &str, field: Field) -> Row {
    match field {
        Field::Quantity(q) => row(q.name.as_str(), Some(q.unit.as_str()), q.value.into()),
        Field::Count(count) => row(name, Some(Unit::Count.as_str()), count.into()),
        Field::Number(number) => row(name, None, number.into()),
        Field::Flag(flag) => row(name, None, flag.into()),
        Field::Word(_) | Field::At(_) => row(name, None, field.to_string().into()),
    }
}

fn reason(outcome: &ProbeOutcome) -> Option<String> {
    outcome.result.as_ref().err().map(|e| ErrorChain(e).to_string())
}

/// What stands in a line: the probe and its state in a probe's first line only.
struct Line {
    probe: &'static str,
    state: &'static str,
    tone: Tone,
    subject: String,
    text: String,
    judged: CheckState,
}

#[derive(Clone, Copy)]
enum Tone {
    Good,
    Plain,
    Warning,
    Bad,
}

fn print_table(outcomes: &[(ProbeInfo, ProbeOutcome)], diagnosis: &Diagnosis, color: bool) -> String {
    let lines: Vec<Line> =
        outcomes.iter().flat_map(|(info, outcome)| lines(info, outcome, diagnosis)).collect();
    let width = |of: fn(&Line) -> &str| lines.iter().map(|l| of(l).chars().count()).max().unwrap_or(0);
    let (probe, state, subject) = (width(|l| l.probe), width(|l| l.state), width(|l| &l.subject));
    let mut out = String::new();
    for line in &lines {
        let (on, off) = if color { line.tone.escape() } else { ("", "") };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:probe$}  {on}{:state$}{off}  {:subject$}  {}{}",
            line.probe,
            line.state,
            line.subject,
            line.text,
            judged(line.judged, color)
        );
    }
    out
}

fn lines(info: &ProbeInfo, outcome: &ProbeOutcome, diagnosis: &Diagnosis) -> Vec<Line> {
    let state = outcome.state();
    let first = |Cell { subject, text, judged }| {
        let (probe, state, tone) = (info.name, state.as_str(), tone(state));
        Line { probe, state, tone, subject, text, judged }
    };
    let mut cells = match &outcome.result {
        Ok(seen) => seen.iter().flat_map(|observation| cells(observation, diagnosis)).collect(),
        Err(_) => vec![],
    }
    .into_iter();
    let Some(cell) = cells.next() else {
        let text = reason(outcome).unwrap_or_default();
        return vec![first(Cell { subject: String::new(), text, judged: CheckState::Ok })];
    };
    let rest = cells.map(|Cell { subject, text, judged }| Line {
        probe: "",
        state: "",
        tone: Tone::Plain,
        subject,
        text,
        judged,
    });
    std::iter::once(first(cell)).chain(rest).collect()
}

/// A value with what the device's own thresholds say of it.
fn judged(state: CheckState, color: bool) -> String {
    if state == CheckState::Ok {
        return String::new();
    }
    let tone = if state == CheckState::Warning { Tone::Warning } else { Tone::Bad };
    let (on, off) = if color { tone.escape() } else { ("", "") };
    format!("  {on}{}{off}", check(state))
}

/// One value; the subject only where it begins.
struct Cell {
    subject: String,
    text: String,
    judged: CheckState,
}

fn cells(observation: &Observation, diagnosis: &Diagnosis) -> Vec<Cell> {
    let plain = |text: String| (text, CheckState::Ok);
    let texts: Vec<(String, CheckState)> = match &observation.body {
        Body::Sample(s) => {
            let level = |q: &Quantity| diagnosis.level(&s.probe, &observation.subject, &q.name, q.value);
            s.quantities.iter().map(|q| (q.to_string(), level(q).unwrap_or(CheckState::Ok))).collect()
        }
        Body::SelfReport(r) => r.quantities.iter().map(|q| plain(q.to_string())).collect(),
        Body::CheckResult(c) => vec![plain(check(c.state).to_owned())],
        Body::Fact(fact) => {
            fact.fields().into_iter().map(|(name, field)| plain(shown_field(name, &field))).collect()
        }
    };
    let mut subject = observation.subject.to_string();
    let cell = |(text, judged)| Cell { subject: std::mem::take(&mut subject), text, judged };
    texts.into_iter().map(cell).collect()
}

/// Times as people here read them.
fn shown_field(name: &str, field: &Field) -> String {
    match field {
        Field::Quantity(q) => q.to_string(),
        Field::At(at) => format!("{name} {} JST", jst_minute(*at)),
        Field::Word(_) | Field::Count(_) | Field::Flag(_) | Field::Number(_) => format!("{name} {field}"),
    }
}

fn check(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Warning => "WARNING",
        CheckState::Critical => "CRITICAL",
        CheckState::Unknown => "unknown",
    }
}

fn tone(state: ProbeState) -> Tone {
    match state {
        ProbeState::Ok => Tone::Good,
        ProbeState::NoData | ProbeState::Unsupported | ProbeState::NotConsented => Tone::Plain,
        ProbeState::OverBudget | ProbeState::TimedOut | ProbeState::Failed => Tone::Bad,
    }
}

impl Tone {
    fn escape(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("\x1b[32m", "\x1b[0m"),
            Self::Plain => ("", ""),
            Self::Warning => ("\x1b[33m", "\x1b[0m"),
            Self::Bad => ("\x1b[31m", "\x1b[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::{ReadError, Reading, every_minute, testing::at_ms};
    use std::time::Duration;
    use tenken_agent_core::probe::ProbeError;
    use tenken_common::{category::Category, id::Name, observation::CheckResult};

    fn outcomes() -> Vec<(ProbeInfo, ProbeOutcome)> {
        let (disk, services) =
            (every_minute("disk", Category::Disk), every_minute("services", Category::Service));
        let mount = |path| {
            let reading = Reading::default().with("used_bytes", Unit::Bytes, 1_536.0);
            reading.with("used_ratio", Unit::Ratio, 0.875).of(&disk, &at_ms(0), path).unwrap()
        };
        let check = CheckResult { probe: Name::of_outside("services"), state: CheckState::Critical };
        let pacs =
            Observation { subject: Name::of_outside("pacs"), body: Body::CheckResult(check), ..mount("/") };
        let hidden =
            ReadError::File { path: "/proc/stat".into(), source: std::io::ErrorKind::NotFound.into() };
        let results = [
            (disk.clone(), Ok(vec![mount("/"), mount("/var/lib")])),
            (services, Ok(vec![pacs])),
            (every_minute("cpu", Category::Performance), Err(hidden.into())),
            (every_minute("sensors", Category::Sensor), Err(ProbeError::NoData)),
        ];
        let duration = Duration::from_micros(1_500);
        results.into_iter().map(|(info, result)| (info, ProbeOutcome { result, duration })).collect()
    }

    fn diagnosis() -> Diagnosis {
        crate::diagnosis::DiagnosisSection::default().diagnosis()
    }

    #[test]
    fn for_people() {
        let expected = "\
disk      ok       /         used_bytes 1.5 KiB
                             used_ratio 87.5 %  WARNING
                   /var/lib  used_bytes 1.5 KiB
                             used_ratio 87.5 %  WARNING
services  ok       pacs      CRITICAL
cpu       failed             failed: cannot read /proc/stat: entity not found
sensors   no_data            nothing to report on this system
";
        assert_eq!(print(&outcomes(), &diagnosis(), false, false), expected);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let plain = print(&outcomes(), &diagnosis(), false, false);
        let color = print(&outcomes(), &diagnosis(), false, true);
        assert!(color.contains("\x1b[31mfailed \x1b[0m"), "{color}");
        let stripped =
            ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"].iter().fold(color, |c, code| c.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn for_programs() {
        let json: serde_json::Value =
            serde_json::from_str(&print(&outcomes(), &diagnosis(), true, true)).unwrap();
        assert_eq!(
            json[0]["values"][3],
            serde_json::json!({"subject": "/var/lib", "name": "used_ratio", "unit": "ratio", "value": 0.875})
        );
        assert_eq!(json[1]["values"][0]["value"], 2.0);
        let cpu = serde_json::json!({"name": "cpu", "category": "performance", "state": "failed",
            "error": "failed: cannot read /proc/stat: entity not found", "duration_ms": 1.5, "values": []});
        assert_eq!(json[2], cpu);
        assert!(json[0].get("error").is_none());
    }

    #[test]
    fn nothing_is_an_empty_list() {
        assert_eq!(
            (print(&[], &diagnosis(), true, false), print(&[], &diagnosis(), false, false)),
            ("[]\n".to_owned(), String::new())
        );
    }
}
