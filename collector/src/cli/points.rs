//! A file of points that somebody brings: `timestamp,value`, a line each.
//!
//! Holds: one pass, one line at a time, so that a file of any length and a pipe can be read. A
//! line that is no point at all ends the reading with its number; a line whose value is no number
//! (empty, NaN, infinite) is a point without one, which the caller tells of.
//!
//! Does not: sort, or judge.

use csv::{ByteRecord, Reader, ReaderBuilder};
use std::{io::Read, path::Path};
use tenken_common::time::{Timestamp, read_time};

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PointsError {
    #[error("cannot read {path}")]
    Open { path: String, source: std::io::Error },
    #[error("cannot read line {line}")]
    Read { line: u64, source: csv::Error },
    #[error("there is nothing in it")]
    Empty,
    #[error("line {line}: there is no column `{column}` (the first line names `timestamp` and `value`)")]
    NoColumn { line: u64, column: &'static str },
    #[error("line {line}: no column {number}, `timestamp,value` are needed")]
    Short { line: u64, number: usize },
    #[error("line {line}")]
    Time { line: u64, source: tenken_common::time::BadTimestamp },
    #[error("line {line}: `{text}` is no number")]
    Value { line: u64, text: String },
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// As they stand there.
    pub time: String,
    pub value: String,
    pub at: Timestamp,
    /// Absent where there is none, or none that is finite.
    pub number: Option<f64>,
}

/// The lines of a file, or of standard input.
pub struct Points {
    rows: Reader<Box<dyn Read>>,
    /// Where the two columns are, once the first line was read.
    columns: Option<(usize, usize)>,
    first: Option<Line>,
}

impl Points {
    /// `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, PointsError> {
        if path == Path::new("-") {
            return Self::of(Box::new(std::io::stdin()));
        }
        let file = std::fs::File::open(path)
            .map_err(|source| PointsError::Open { path: path.display().to_string(), source })?;
        Self::of(Box::new(file))
    }

    /// Reads the first line, which may name the columns.
    pub fn of(bytes: Box<dyn Read>) -> Result<Self, PointsError> {
        let rows = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut points = Self { rows, columns: None, first: None };
        let Some((line, row)) = points.row()? else { return Err(PointsError::Empty) };
        let names: Vec<String> =
            row.iter().map(|field| text(field).trim_start_matches('\u{feff}').to_lowercase()).collect();
        let column = |name: &'static str| {
            let found = names.iter().position(|n| n == name);
            found.ok_or(PointsError::NoColumn { line, column: name })
        };
        match (column("timestamp"), column("value"), parse(&row, line, (0, 1))) {
            (Ok(time), Ok(value), _) => points.columns = Some((time, value)),
            (Err(_), Err(_), Ok(first)) => (points.columns, points.first) = (Some((0, 1)), Some(first)),
            (Err(missing), _, _) | (Ok(_), Err(missing), _) => return Err(missing),
        }
        Ok(points)
    }

    fn row(&mut self) -> Result<Option<(u64, ByteRecord)>, PointsError> {
        let mut row = ByteRecord::new();
        let line = self.rows.position().line();
        match self.rows.read_byte_record(&mut row) {
            Ok(true) => Ok(Some((row.position().map_or(line, csv::Position::line), row))),
            Ok(false) => Ok(None),
            Err(source) => Err(PointsError::Read { line, source }),
        }
    }
}

impl Iterator for Points {
    type Item = Result<Line, PointsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        match self.row() {
            Ok(Some((line, row))) => Some(parse(&row, line, self.columns.unwrap_or((0, 1)))),
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        }
    }
}

fn parse(row: &ByteRecord, line: u64, (time, value): (usize, usize)) -> Result<Line, PointsError> {
    let field = |number: usize| row.get(number).ok_or(PointsError::Short { line, number: number + 1 });
    let (time, value) = (text(field(time)?), text(field(value)?));
    let at = read_time(&time).map_err(|source| PointsError::Time { line, source })?;
    let number = match value.parse::<f64>() {
        Ok(number) => Some(number).filter(|n| n.is_finite()),
        Err(_) if value.is_empty() => None,
        Err(_) => return Err(PointsError::Value { line, text: value }),
    };
    Ok(Line { time, value, at, number })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::telemetry::ErrorChain;

    fn read(text: &str) -> Result<Vec<Line>, PointsError> {
        Points::of(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())))?.collect()
    }

    /// As a person is shown it.
    fn refused(text: &str) -> String {
        ErrorChain(&read(text).unwrap_err()).to_string()
    }

    #[test]
    fn points_are_read_with_and_without_names() {
        let plain = read("2026-11-23 09:00:00,1.5\n2026-11-23T09:05:00+09:00,2\n").unwrap();
        assert_eq!(plain.iter().map(|l| l.number).collect::<Vec<_>>(), [Some(1.5), Some(2.0)]);
        assert_eq!(plain[1].at.micros_since(plain[0].at), 300_000_000);
        let named = read("id,value,timestamp\r\n7,1.5,1795392000\r\n").unwrap();
        assert_eq!((named[0].at, named[0].number), (plain[0].at, Some(1.5)));
    }

    #[test]
    fn a_value_that_is_no_number_is_told_apart_from_garbage() {
        let lines = read("timestamp,value\n1,NaN\n2,inf\n3,\n4,-Infinity\n5,1e400\n6,7\n").unwrap();
        assert!(lines[..5].iter().all(|l| l.number.is_none()), "{lines:?}");
        assert_eq!(lines[5].number, Some(7.0));
    }

    #[test]
    fn what_cannot_be_used_names_the_line() {
        assert_eq!(refused(""), "there is nothing in it");
        assert!(refused("a,b\n1,2\n").starts_with("line 1: there is no column `timestamp`"));
        assert!(refused("timestamp,number\n1,2\n").starts_with("line 1: there is no column `value`"));
        assert_eq!(refused("timestamp,value\n1,2\n2,x\n"), "line 3: `x` is no number");
        assert!(refused("timestamp,value\nyesterday,2\n").starts_with("line 2: `yesterday` is no time"));
        assert_eq!(refused("timestamp,value\n1,2\n2\n"), "line 3: no column 2, `timestamp,value` are needed");
        assert!(refused("\u{0}\u{1}\u{2}\n").starts_with("line 1: "));
    }
}
