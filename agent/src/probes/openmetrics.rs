//! Prometheus' text format 0.0.4 and OpenMetrics 1.0, read strictly.
//!
//! Holds: a text is read as a whole or refused with its first broken line; a file that was half
//! written has lost its last line end or its `# EOF` and is refused. A name, label or value that
//! the format does not know is never guessed at. An error names the line and what is wrong with
//! it, and nothing that stands there.
//!
//! Own code: of the crates the one that fits (`openmetrics-parser` 0.4) accepts eight of the 167
//! broken texts of the OpenMetrics suite; this one none (campaign `probes`).

mod family;
mod line;

use family::Families;
use std::collections::{BTreeMap, BTreeSet};

/// A sample's labels by their names.
pub type Labels = BTreeMap<String, String>;

/// In which of the two a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// Of a file, which does not say it otherwise.
    pub fn of_text(text: &str) -> Self {
        let end = text.strip_suffix('\n').unwrap_or(text);
        let last = end.rsplit('\n').next().unwrap_or_default();
        if last == END { Self::OpenMetrics } else { Self::Prometheus }
    }
}

const END: &str = "# EOF";

/// One number of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// With its suffix, `requests_total`.
    pub name: String,
    pub labels: Labels,
    /// May be no number, or infinite.
    pub value: f64,
    /// In seconds since 1970, where the text says it.
    pub time: Option<f64>,
    pub line: usize,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is empty")]
    Blank,
    #[error("has no metric's name where one must stand")]
    Name,
    #[error("has labels that are not written as name=\"value\"")]
    Labels,
    #[error("has a label twice")]
    LabelTwice,
    #[error("has an escape that there is not")]
    Escape,
    #[error("has no number as its value")]
    Value,
    #[error("has no number as its time")]
    Time,
    #[error("has an exemplar that may not stand there, or is none")]
    Exemplar,
    #[error("is a comment that is neither HELP, TYPE, UNIT nor EOF")]
    Comment,
    #[error("describes a metric again, or after its samples")]
    Metadata,
    #[error("names a type that there is not")]
    Type,
    #[error("names a unit that the metric's name does not end with, or that its type has not")]
    Unit,
    #[error("has a metric that stood before, or whose name another one takes")]
    Clash,
    #[error("lacks the label of its type, or has an impossible one")]
    TypeLabel,
    #[error("has a value that is impossible for its type")]
    TypeValue,
    #[error("is out of order within its metric")]
    Order,
    #[error("is a series that stood before")]
    Twice,
    #[error("ends a histogram that is not whole")]
    Histogram,
    #[error("is the last one and has no end")]
    NoEnd,
    #[error("stands after the end")]
    AfterEnd,
}

/// Where a text cannot be read, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {fault}")]
pub struct BrokenLine {
    pub line: usize,
    pub fault: Fault,
}

/// All samples in their order.
pub fn parse(text: &str, format: Format) -> Result<Vec<Point>, BrokenLine> {
    match format {
        Format::Prometheus => prometheus(text),
        Format::OpenMetrics => open_metrics(text),
    }
}

fn open_metrics(text: &str) -> Result<Vec<Point>, BrokenLine> {
    let mut families = Families::default();
    let mut ended = false;
    let mut last = 0;
    for (line, content) in numbered(text) {
        let broken = |fault| BrokenLine { line, fault };
        last = line;
        if ended {
            return Err(broken(Fault::AfterEnd));
        }
        if content == END {
            ended = true;
            families.close().map_err(broken)?;
        } else if content.is_empty() {
            return Err(broken(Fault::Blank));
        } else if let Some(comment) = content.strip_prefix('#') {
            families.describe(comment).map_err(broken)?;
        } else {
            let sample = line::sample(content, Format::OpenMetrics).map_err(broken)?;
            families.add(sample, line).map_err(broken)?;
        }
    }
    if ended { Ok(families.points()) } else { Err(BrokenLine { line: last, fault: Fault::NoEnd }) }
}

/// Lines from 1 on; what follows the last line end is no line when it is empty.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').enumerate().map(|(i, content)| (i + 1, content))
}

fn prometheus(text: &str) -> Result<Vec<Point>, BrokenLine> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut sampled = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut points = Vec::new();
    let mut last = 0;
    for (line, content) in numbered(text) {
        let broken = |fault| BrokenLine { line, fault };
        last = line;
        let content = content.trim_matches([' ', '\t']);
        if content.is_empty() {
            continue;
        }
        if let Some(comment) = content.strip_prefix('#') {
            let mut words = comment.split([' ', '\t']).filter(|word| !word.is_empty());
            let (keyword, name) = (words.next(), words.next());
            match (keyword, name) {
                (Some("HELP" | "TYPE"), name) if !name.is_some_and(line::is_metric_name) => {
                    return Err(broken(Fault::Name));
                }
                (Some("HELP"), Some(name)) if !helped.insert(name) => return Err(broken(Fault::Metadata)),
                (Some("TYPE"), Some(name)) => {
                    let kind = words.next().filter(|kind| PROMETHEUS_KINDS.contains(kind));
                    let kind = kind.filter(|_| words.next().is_none()).ok_or(broken(Fault::Type))?;
                    if sampled.contains(name) || kinds.insert(name, kind).is_some() {
                        return Err(broken(Fault::Metadata));
                    }
                }
                // Any other comment is nobody's business.
                _ => {}
            }
            continue;
        }
        let sample = line::sample(content, Format::Prometheus).map_err(broken)?;
        if !has_label_of_its_kind(&kinds, &sample) {
            return Err(broken(Fault::TypeLabel));
        }
        if !series.insert((sample.name.clone(), sample.labels.clone())) {
            return Err(broken(Fault::Twice));
        }
        let family = family_of(&kinds, &sample.name).unwrap_or(&sample.name);
        sampled.insert(family.to_owned());
        points.push(sample.point(line));
    }
    if last > 0 && !text.is_empty() && !text.ends_with('\n') {
        return Err(BrokenLine { line: last, fault: Fault::NoEnd });
    }
    Ok(points)
}

const PROMETHEUS_KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

/// The described histogram or summary that a sample with a suffix belongs to.
fn family_of<'a>(kinds: &BTreeMap<&'a str, &str>, sample: &str) -> Option<&'a str> {
    let suffixes = ["_bucket", "_sum", "_count"];
    let base = suffixes.iter().find_map(|suffix| sample.strip_suffix(suffix))?;
    let (name, kind) = kinds.get_key_value(base)?;
    matches!(*kind, "histogram" | "summary").then_some(*name)
}

fn has_label_of_its_kind(kinds: &BTreeMap<&str, &str>, sample: &line::Sample) -> bool {
    let number = |label: &str| sample.labels.get(label).is_some_and(|text| line::value(text).is_some());
    let bucket = sample.name.strip_suffix("_bucket").and_then(|base| kinds.get(base));
    match (kinds.get(sample.name.as_str()), bucket) {
        (Some(&"summary"), _) => number("quantile"),
        (_, Some(&"histogram")) => number("le"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, format: Format) -> (usize, Fault) {
        let broken = parse(text, format).unwrap_err();
        (broken.line, broken.fault)
    }

    #[test]
    fn the_text_format_of_old() {
        let text = "# a comment\n\n# HELP up Whether it is up.\n# TYPE up gauge\n  up\t 1\n\
            t{ a = \"x\\\\y\\n\\\"z\" , b=\"\", } -4.7e-3 1395066363000\n# TYPE s summary\n\
            s{quantile=\"0.5\"} NaN\ns_sum 17\nh_bucket{le=\"+Inf\"} +Inf\n";
        let points = parse(text, Format::Prometheus).unwrap();
        let shown: Vec<_> = points.iter().map(|p| (p.line, p.name.as_str(), p.time)).collect();
        let expected = [
            (5, "up", None),
            (6, "t", Some(1_395_066_363.0)),
            (8, "s", None),
            (9, "s_sum", None),
            (10, "h_bucket", None),
        ];
        assert_eq!(shown, expected);
        assert_eq!(points[1].labels["a"], "x\\y\n\"z");
        assert!(points[2].value.is_nan() && points[4].value.is_infinite());
        assert_eq!(parse("", Format::Prometheus), Ok(vec![]));
    }

    #[test]
    fn what_the_old_format_does_not_know_is_refused_with_its_line() {
        for (text, line, why) in [
            ("a 1\nb 2", 2, Fault::NoEnd),
            ("a 1\nb", 2, Fault::Value),
            ("a 1\nb{x=\"1\n", 2, Fault::Labels),
            ("a{x=\"\\q\"} 1\n", 1, Fault::Escape),
            ("a{x=\"1\",x=\"1\"} 1\n", 1, Fault::LabelTwice),
            ("a 1\na 2\n", 2, Fault::Twice),
            ("a 1\n# TYPE a gauge\n", 2, Fault::Metadata),
            ("# TYPE a gauge\n# TYPE a gauge\n", 2, Fault::Metadata),
            ("# TYPE h histogram\nh_bucket 1\n", 2, Fault::TypeLabel),
            ("# TYPE h histogram\nh_sum 1\n# TYPE h histogram\n", 3, Fault::Metadata),
            ("# TYPE s summary\ns 1\n", 2, Fault::TypeLabel),
            ("# TYPE a thing\n", 1, Fault::Type),
            ("# HELP 1a x\n", 1, Fault::Name),
            ("a 1,5\n", 1, Fault::Value),
            ("a 0x1p-3\n", 1, Fault::Value),
            ("a 1 1.5\n", 1, Fault::Time),
            ("a 1 2 3\n", 1, Fault::Time),
            ("a 1\r\n", 1, Fault::Value),
            ("\u{5c71}\u{7530} 1\n", 1, Fault::Name),
            ("a{\u{5c71}=\"1\"} 1\n", 1, Fault::Labels),
        ] {
            assert_eq!(fault(text, Format::Prometheus), (line, why), "{text}");
        }
    }

    #[test]
    fn open_metrics_is_stricter() {
        let good = "# TYPE a counter\n# UNIT a \na_total{x=\"\\q\"} 1 2.5 # {id=\"b\"} 0.5\n# EOF\n";
        let points = parse(good, Format::OpenMetrics).unwrap();
        assert_eq!((points[0].labels["x"].as_str(), points[0].time), ("\\q", Some(2.5)));
        for (text, line, why) in [
            ("a 1\n", 1, Fault::NoEnd),
            ("", 1, Fault::Blank),
            ("a 1\n\n# EOF\n", 2, Fault::Blank),
            ("a  1\n# EOF\n", 1, Fault::Value),
            ("a 1\n# EOF\n\n", 3, Fault::AfterEnd),
            ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n", 3, Fault::Histogram),
            ("a 1\na 1\n# EOF\n", 2, Fault::Twice),
            ("a 1 1\na 2 0\n# EOF\n", 2, Fault::Order),
            ("# TYPE a gauge\na 1 # {} 1\n# EOF\n", 2, Fault::Exemplar),
            ("# TYPE a counter\na_total -1\n# EOF\n", 2, Fault::TypeValue),
        ] {
            assert_eq!(fault(text, Format::OpenMetrics), (line, why), "{text}");
        }
    }

    #[test]
    fn a_text_says_by_its_end_what_it_is() {
        assert_eq!(Format::of_text("a 1\n# EOF\n"), Format::OpenMetrics);
        assert_eq!(Format::of_text("a 1\n# EOF"), Format::OpenMetrics);
        for text in ["", "a 1\n", "# EOF\na 1\n", "x# EOF\n"] {
            assert_eq!(Format::of_text(text), Format::Prometheus, "{text}");
        }
    }

    #[test]
    fn an_error_says_nothing_of_the_content() {
        let said = parse("a 1\nYAMADA^TARO{\n", Format::Prometheus).unwrap_err().to_string();
        assert_eq!(said, "line 2 has no number as its value");
    }
}
