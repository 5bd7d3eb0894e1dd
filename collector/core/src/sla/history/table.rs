//! Jobs and accesses as tables (CSV) that people keep, read as records to enter.
//!
//! Holds: everything wrong comes at once, with its line and column, and a table with anything wrong
//! gives no record. The first line names the columns, in any order; an empty cell is left out.
//!
//! Does not: enter anything.

use super::{History, Record};
use crate::sla::job::{Access, Job, Request, ServiceType};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value},
};
use std::{collections::BTreeMap, fmt::Display, str::FromStr};
use tenken_common::{config::Problems, id::Name, limit, time::Timestamp};

/// What a table lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    Jobs,
    Accesses,
}

impl TableKind {
    /// The columns; those with `true` need a value in every line.
    const fn columns(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Jobs => &[("id", true), ("service", true), ("received_at", true), ("closed_at", false)],
            Self::Accesses => &[
                ("id", true),
                ("service", true),
                ("worker", true),
                ("employer", true),
                ("target", true),
                ("from", true),
                ("to", true),
                ("job", false),
                ("request_at", false),
                ("request_reference", false),
                ("emergency", false),
            ],
        }
    }
}

/// A record, and the line that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub line: u64,
    pub record: Record,
}

/// Reads a table.
pub fn read(kind: TableKind, text: &str) -> Result<Vec<Row>, Problems> {
    let mut problems = Problems::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = match reader.headers() {
        Ok(head) => places(kind, head, &mut problems),
        Err(e) => {
            problems.push("", e.to_string());
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut lines = Lines { text: text.as_bytes(), at: 0, number: 1 };
    let mut rows: Vec<Row> = Vec::new();
    let mut seen: BTreeMap<Name, u64> = BTreeMap::new();
    for cells in reader.records() {
        let cells = match cells {
            Ok(cells) => cells,
            Err(e) => {
                problems.push("", e.to_string());
                break;
            }
        };
        let line = lines.at(cells.position().map_or(0, csv::Position::byte));
        if rows.len() >= limit::IMPORT_LINES_MAX {
            let text = format!("is one too many: a table holds at most {} lines", limit::IMPORT_LINES_MAX);
            problems.push(format!("line {line}"), text);
            break;
        }
        if cells.len() != head.len() {
            let text = format!("has {} fields, the first line names {}", cells.len(), head.len());
            problems.push(format!("line {line}"), text);
            continue;
        }
        let mut cells = Line { kind, number: line, head: &head, cells: &cells, problems: &mut problems };
        let record = match kind {
            TableKind::Jobs => cells.job().map(|job| (job.id.clone(), Record::Job(job))),
            TableKind::Accesses => cells.access().map(|access| (access.id.clone(), Record::Access(access))),
        };
        let Some((id, record)) = record else { continue };
        if let Some(first) = seen.get(&id) {
            cells.problem("id", format!("`{id}` stands in line {first} already"));
        } else {
            seen.insert(id, line);
            rows.push(Row { line, record });
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push("", "no line follows the one that names the columns");
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

/// Counts the lines of a text as an editor does. A record of the reader begins with the line ends
/// before it, so the reader's own count is of the line before.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    number: u64,
}

impl Lines<'_> {
    /// The line of the first cell from this byte on; bytes only grow.
    fn at(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX);
        for (i, byte) in self.text.iter().enumerate().skip(self.at) {
            if i >= from && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.number += u64::from(*byte == b'\n');
            self.at = i + 1;
        }
        self.number
    }
}

/// What was entered before and stands there again.
pub fn known(history: &History, rows: &[Row]) -> Problems {
    let mut problems = Problems::default();
    for Row { line, record } in rows {
        let again = if let Record::Job(job) = record {
            history.jobs.iter().map(|old| &old.id).find(|id| **id == job.id)
        } else if let Record::Access(access) = record {
            history.accesses.iter().map(|old| &old.id).find(|id| **id == access.id)
        } else {
            None
        };
        if let Some(id) = again {
            problems.push(format!("line {line}, id"), format!("`{id}` was entered before"));
        }
    }
    problems
}

/// Where each column stands.
fn places(kind: TableKind, head: &csv::StringRecord, problems: &mut Problems) -> Vec<&'static str> {
    let all = kind.columns();
    let mut places = Vec::new();
    for name in head {
        match all.iter().find(|(column, _)| *column == name) {
            Some((column, _)) if places.contains(column) => {
                problems.push(*column, "is named twice in line 1");
            }
            Some((column, _)) => places.push(*column),
            None => {
                let names: Vec<&str> = all.iter().map(|(column, _)| *column).collect();
                let names = names.join(", ");
                problems.push("line 1", format!("`{name}` is none of the columns {names}"));
            }
        }
    }
    for (column, _) in all.iter().filter(|(column, needed)| *needed && !places.contains(column)) {
        problems.push(*column, "is missing in line 1, which names the columns");
    }
    places
}

/// One line, read cell by cell.
struct Line<'t> {
    kind: TableKind,
    number: u64,
    head: &'t [&'static str],
    cells: &'t csv::StringRecord,
    problems: &'t mut Problems,
}

impl Line<'_> {
    fn problem(&mut self, column: &str, text: impl Into<String>) {
        self.problems.push(format!("line {}, {column}", self.number), text);
    }

    fn text(&self, column: &str) -> Option<&str> {
        let place = self.head.iter().position(|name| *name == column)?;
        self.cells.get(place).filter(|text| !text.is_empty())
    }

    /// `None` for an empty cell, and with a problem noted.
    fn read<T, E: Display>(&mut self, column: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match self.text(column).map(read) {
            Some(Ok(value)) => Some(value),
            Some(Err(e)) => {
                self.problem(column, e.to_string());
                None
            }
            None => {
                if self.kind.columns().iter().any(|(name, needed)| *name == column && *needed) {
                    self.problem(column, "is empty");
                }
                None
            }
        }
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, column: &str) -> Option<T> {
        self.read(column, str::parse)
    }

    fn name(&mut self, column: &str) -> Option<Name> {
        self.read(column, Name::new)
    }

    fn service(&mut self) -> Option<ServiceType> {
        let read =
            |text: &str| ServiceType::deserialize(IntoDeserializer::<value::Error>::into_deserializer(text));
        self.read("service", read)
    }

    fn order(&mut self, from: Option<Timestamp>, (column, to): (&str, Option<Timestamp>)) {
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            self.problem(column, format!("{to} is before its beginning, {from}"));
        }
    }

    fn job(&mut self) -> Option<Job> {
        let (id, service) = (self.name("id"), self.service());
        let received_at = self.parse("received_at");
        let closed_at = self.parse("closed_at");
        self.order(received_at, ("closed_at", closed_at));
        Some(Job { id: id?, service: service?, received_at: received_at?, closed_at })
    }

    fn access(&mut self) -> Option<Access> {
        let (id, service, worker) = (self.name("id"), self.service(), self.name("worker"));
        let employer: Option<String> = self.parse("employer");
        let target = self.name("target");
        let (from, to) = (self.parse("from"), self.parse("to"));
        self.order(from, ("to", to));
        let job = self.name("job");
        let request = self.request();
        let emergency = self.read("emergency", |text| match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        });
        Some(Access {
            id: id?,
            service: service?,
            worker: worker?,
            employer: employer?,
            target: target?,
            from: from?,
            to: to?,
            job,
            request,
            emergency: emergency.unwrap_or(false),
            confirmed_at: None,
        })
    }

    /// Both of its columns, or neither.
    fn request(&mut self) -> Option<Request> {
        let at: Option<Timestamp> = self.parse("request_at");
        let reference: Option<String> = self.parse("request_reference");
        match (self.text("request_at").is_some(), reference.is_some()) {
            (true, false) => self.problem("request_reference", "is empty, where request_at is not"),
            (false, true) => self.problem("request_at", "is empty, where request_reference is not"),
            (true, true) | (false, false) => {}
        }
        Some(Request { at: at?, reference: reference? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: &str = "\u{feff}id,service,received_at,closed_at\r\n\
        j-1,fault_handling,2026-09-24T08:55:00+09:00,2026-09-24T13:00:00+09:00\r\n\
        \r\n\
        j-2,periodic_monitoring,2026-09-25T09:00:00+09:00,\r\n";
    const ACCESSES: &str = "target,id,service,worker,employer,from,to,job,request_at,request_reference,emergency\n\
        ct-1,a-1,fault_handling,w-1,\"サンプル, 運用\",2026-09-24T09:00:00+09:00,2026-09-24T09:30:00+09:00,j-1,2026-09-24T08:55:00+09:00,R-1,\n\
        ct-1,a-2,fault_handling,w-1,乙,2026-09-24T09:00:00+09:00,2026-09-24T09:30:00+09:00,,,,TRUE\n";

    fn problems(kind: TableKind, text: &str) -> Vec<String> {
        let line = |p: &tenken_common::config::Problem| format!("{}: {}", p.key, p.text);
        read(kind, text).unwrap_err().iter().map(line).collect()
    }

    #[test]
    fn a_table_gives_its_records_with_their_lines() {
        let jobs = read(TableKind::Jobs, JOBS).unwrap();
        assert_eq!(jobs.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
        let Record::Job(job) = &jobs[0].record else { panic!("{jobs:?}") };
        assert_eq!((job.id.as_str(), job.service), ("j-1", ServiceType::FaultHandling));
        assert_eq!(job.closed_at, Some("2026-09-24T13:00:00+09:00".parse().unwrap()));
        let accesses = read(TableKind::Accesses, ACCESSES).unwrap();
        let of = |i: usize| {
            let Record::Access(access) = &accesses[i].record else { panic!("{accesses:?}") };
            access.clone()
        };
        assert_eq!((of(0).employer.as_str(), of(0).target.as_str()), ("サンプル, 運用", "ct-1"));
        assert_eq!(of(0).request.unwrap().reference, "R-1");
        assert_eq!((of(1).emergency, of(1).request, of(1).job), (true, None, None));
    }

    #[test]
    fn every_bad_line_is_named_with_its_column() {
        let text = "id,service,received_at,closed_at\n\
            j 1,fault_handling,2026-09-24T08:55:00+09:00,\n\
            j-2,repair,2026-09-24T08:55,\n\
            j-3,fault_handling,2026-09-24T09:00:00+09:00,2026-09-24T08:00:00+09:00\n\
            j-4,fault_handling,,\n\
            j-5,fault_handling\n\
            j-6,fault_handling,2026-09-24T09:00:00+09:00,\n\
            j-6,fault_handling,2026-09-24T09:00:00+09:00,\n";
        let found = problems(TableKind::Jobs, text);
        let places: Vec<&str> = found.iter().map(|p| p.split(": ").next().unwrap()).collect();
        let expected = [
            "line 2, id",
            "line 3, service",
            "line 3, received_at",
            "line 4, closed_at",
            "line 5, received_at",
            "line 6",
            "line 8, id",
        ];
        assert_eq!(places, expected, "{found:#?}");
        assert!(found[1].contains("`repair`") && found[1].contains("fault_handling"), "{}", found[1]);
        assert_eq!(found[6], "line 8, id: `j-6` stands in line 7 already");
    }

    #[test]
    fn a_request_is_whole() {
        let half = ACCESSES.replace(",R-1,", ",,");
        assert_eq!(
            problems(TableKind::Accesses, &half),
            ["line 2, request_reference: is empty, where request_at is not"]
        );
        let bad = ACCESSES.replace("TRUE", "yes");
        assert_eq!(
            problems(TableKind::Accesses, &bad),
            ["line 3, emergency: `yes` is neither true nor false"]
        );
    }

    #[test]
    fn the_first_line_names_the_columns() {
        let found = problems(TableKind::Jobs, "id,service,recieved_at,id\n");
        assert_eq!(
            found,
            [
                "line 1: `recieved_at` is none of the columns id, service, received_at, closed_at",
                "id: is named twice in line 1",
                "received_at: is missing in line 1, which names the columns",
            ]
        );
        let none = problems(TableKind::Jobs, "id,service,received_at\n");
        assert_eq!(none, [": no line follows the one that names the columns"]);
        assert!(!problems(TableKind::Jobs, "").is_empty());
    }

    #[test]
    fn what_was_entered_before_is_named() {
        let rows = read(TableKind::Jobs, JOBS).unwrap();
        let mut history = History::default();
        assert!(known(&history, &rows).is_empty());
        let Record::Job(job) = rows[1].record.clone() else { panic!("{rows:?}") };
        history.jobs.push(job);
        let found = known(&history, &rows);
        let found: Vec<_> = found.iter().map(|p| (p.key.as_str(), p.text.as_str())).collect();
        assert_eq!(found, [("line 4, id", "`j-2` was entered before")]);
    }

    #[test]
    fn the_columns_that_every_line_needs() {
        let needed = |kind: TableKind, all: &[&str], missing: &[&str]| {
            for column in all {
                let rest: Vec<&str> = all.iter().copied().filter(|c| c != column).collect();
                let found = read(kind, &format!("{}\n", rest.join(","))).unwrap_err();
                let said = format!("{column}: is missing in line 1, which names the columns");
                let is_said = found.iter().any(|p| format!("{}: {}", p.key, p.text) == said);
                assert_eq!(is_said, missing.contains(column), "{column}: {found}");
            }
        };
        let jobs = ["id", "service", "received_at"];
        needed(TableKind::Jobs, &[&jobs[..], &["closed_at"]].concat(), &jobs);
        let accesses = ["id", "service", "worker", "employer", "target", "from", "to"];
        let more = ["job", "request_at", "request_reference", "emergency"];
        needed(TableKind::Accesses, &[&accesses[..], &more].concat(), &accesses);
    }

    #[test]
    fn what_has_no_length_is_in_order_and_what_is_no_emergency_is_none() {
        let at = "2026-09-24T08:55:00+09:00";
        let job = format!("id,service,received_at,closed_at\nj,fault_handling,{at},{at}\n");
        assert!(read(TableKind::Jobs, &job).is_ok());
        for (word, emergency) in [("false", false), ("FALSE", false), ("", false), ("true", true)] {
            let text = ACCESSES.replace("TRUE", word);
            let rows = read(TableKind::Accesses, &text).unwrap();
            let Record::Access(access) = &rows[1].record else { panic!("{rows:?}") };
            assert_eq!(access.emergency, emergency, "{word}");
        }
        let unasked = ACCESSES.replacen("2026-09-24T08:55:00+09:00,R-1", ",R-1", 1);
        let said = ["line 2, request_at: is empty, where request_reference is not"];
        assert_eq!(problems(TableKind::Accesses, &unasked), said);
    }

    #[test]
    fn a_table_has_an_end() {
        let line = |i: usize| format!("j-{i},fault_handling,2026-09-24T08:55:00+09:00\n");
        let lines = |n| (0..n).map(line).collect::<String>();
        let text = |n| format!("id,service,received_at\n{}", lines(n));
        let most = limit::IMPORT_LINES_MAX;
        assert_eq!(read(TableKind::Jobs, &text(most)).unwrap().len(), most);
        let found = problems(TableKind::Jobs, &text(most + 1));
        assert!(found.len() == 1 && found[0].starts_with("line 5002: is one too many"), "{found:?}");
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let text =
            "id,service,received_at\n\n\n\"\n\nj 1\",fault_handling,2026-09-24T08:55:00+09:00\n\nj-2,x,\n";
        let found = problems(TableKind::Jobs, text);
        let places: Vec<&str> = found.iter().map(|p| p.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["line 4, id", "line 8, service", "line 8, received_at"]);
    }

    #[test]
    fn jobs_and_accesses_have_ids_of_their_own() {
        let jobs = read(TableKind::Jobs, JOBS).unwrap();
        let accesses = read(TableKind::Accesses, ACCESSES).unwrap();
        let mut history = History::default();
        let Record::Access(access) = accesses[1].record.clone() else { panic!("{accesses:?}") };
        history.accesses.push(access);
        let found = known(&history, &accesses);
        assert_eq!(found.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["line 3, id"]);
        assert!(known(&history, &jobs).is_empty());
    }
}
