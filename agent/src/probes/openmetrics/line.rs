//! One line with a sample: `name{label="value"} 1.5 1700000000`.

use super::{Fault, Format, Labels, Point};

/// Names and values of an exemplar's labels together, in characters.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// A line's content.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
    pub time: Option<f64>,
    pub has_exemplar: bool,
}

impl Sample {
    pub fn point(self, line: usize) -> Point {
        let Self { name, labels, value, time, .. } = self;
        Point { name, labels, value, time, line }
    }
}

/// Reads a line's content.
pub fn sample(content: &str, format: Format) -> Result<Sample, Fault> {
    let mut rest = Rest { text: content, format };
    let name = rest.name(|c| c == ':').ok_or(Fault::Name)?.to_owned();
    let mut apart = rest.blanks();
    let mut labels = Labels::new();
    if (format == Format::Prometheus || !apart) && rest.eat('{') {
        labels = rest.labels()?;
        apart = rest.blanks();
    }
    let value = value(rest.word()).filter(|_| apart).ok_or(Fault::Value)?;
    let (time, has_exemplar) = match format {
        Format::Prometheus => (rest.milliseconds()?, false),
        Format::OpenMetrics => (rest.seconds()?, rest.exemplar()?),
    };
    Ok(Sample { name, labels, value, time, has_exemplar })
}

/// A number as both formats write it, `NaN` and the infinities too.
pub fn value(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A number that can be a moment.
fn finite(text: &str) -> Option<f64> {
    value(text).filter(|number| number.is_finite())
}

pub fn is_metric_name(text: &str) -> bool {
    let mut rest = Rest { text, format: Format::OpenMetrics };
    rest.name(|c| c == ':').is_some() && rest.text.is_empty()
}

/// What of a line is not read yet.
struct Rest<'a> {
    text: &'a str,
    format: Format,
}

impl<'a> Rest<'a> {
    fn eat(&mut self, c: char) -> bool {
        match self.text.strip_prefix(c) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, mut fits: impl FnMut(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !fits(c)).unwrap_or(self.text.len());
        let (taken, rest) = self.text.split_at_checked(end).unwrap_or((self.text, ""));
        self.text = rest;
        taken
    }

    /// Between two parts: as many as one likes in the old format, exactly one space in OpenMetrics.
    fn blanks(&mut self) -> bool {
        match self.format {
            Format::Prometheus => !self.take_while(|c| matches!(c, ' ' | '\t')).is_empty(),
            Format::OpenMetrics => self.eat(' '),
        }
    }

    /// Where blanks may be and need not.
    fn skip(&mut self) {
        if self.format == Format::Prometheus {
            self.blanks();
        }
    }

    /// Up to the next blank.
    fn word(&mut self) -> &'a str {
        self.take_while(|c| !matches!(c, ' ' | '\t'))
    }

    fn name(&mut self, more: fn(char) -> bool) -> Option<&'a str> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || more(c);
        if !self.text.starts_with(first) {
            return None;
        }
        Some(self.take_while(|c| first(c) || c.is_ascii_digit()))
    }

    /// After the opening brace up to the closing one.
    fn labels(&mut self) -> Result<Labels, Fault> {
        let mut labels = Labels::new();
        loop {
            self.skip();
            // A comma before the brace is good in the old format only.
            let may_end = labels.is_empty() || self.format == Format::Prometheus;
            if may_end && self.eat('}') {
                return Ok(labels);
            }
            let name = self.name(|_| false).ok_or(Fault::Labels)?.to_owned();
            self.skip();
            if !self.eat('=') {
                return Err(Fault::Labels);
            }
            self.skip();
            let value = self.quoted()?;
            if labels.insert(name, value).is_some() {
                return Err(Fault::LabelTwice);
            }
            self.skip();
            if !self.eat(',') {
                return if self.eat('}') { Ok(labels) } else { Err(Fault::Labels) };
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        if !self.eat('"') {
            return Err(Fault::Labels);
        }
        let mut value = String::new();
        let mut chars = self.text.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    self.text = chars.as_str();
                    return Ok(value);
                }
                '\\' => match chars.next().ok_or(Fault::Labels)? {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    // OpenMetrics leaves an unknown one as it stands.
                    c if self.format == Format::OpenMetrics => value.extend(['\\', c]),
                    _ => return Err(Fault::Escape),
                },
                c => value.push(c),
            }
        }
        Err(Fault::Labels)
    }

    fn milliseconds(&mut self) -> Result<Option<f64>, Fault> {
        if !self.blanks() {
            return if self.text.is_empty() { Ok(None) } else { Err(Fault::Value) };
        }
        // Whole ones only; what they are in seconds may be a fraction.
        let word = self.text;
        let whole = word.parse::<i64>().is_ok();
        finite(word).filter(|_| whole).map(|ms| Some(ms / 1_000.0)).ok_or(Fault::Time)
    }

    fn seconds(&mut self) -> Result<Option<f64>, Fault> {
        if self.text.is_empty() || self.text.starts_with(EXEMPLAR) {
            return Ok(None);
        }
        if !self.blanks() {
            return Err(Fault::Value);
        }
        finite(self.word()).map(Some).ok_or(Fault::Time)
    }

    /// The rest of an OpenMetrics line; whether it is an exemplar, which is read and forgotten.
    fn exemplar(&mut self) -> Result<bool, Fault> {
        if self.text.is_empty() {
            return Ok(false);
        }
        self.text = self.text.strip_prefix(EXEMPLAR).ok_or(Fault::Exemplar)?;
        let labels = self.labels()?;
        let chars: usize = labels.iter().map(|(name, value)| name.len() + value.chars().count()).sum();
        let good = chars <= EXEMPLAR_CHARS_MAX && self.blanks() && value(self.word()).is_some();
        let timed = good && (self.text.is_empty() || self.blanks() && finite(self.word()).is_some());
        if timed && self.text.is_empty() { Ok(true) } else { Err(Fault::Exemplar) }
    }
}

const EXEMPLAR: &str = " # {";
