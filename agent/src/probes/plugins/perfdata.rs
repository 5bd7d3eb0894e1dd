//! Performance data in a plugin's output: `'label'=value[unit];[warn];[crit];[min];[max]`, behind
//! the first line's `|`, and behind the `|` of a later line up to the end.
//!
//! Holds: a number is taken in its unit's base (ms as seconds, KB as 1,024 bytes, as the plugins
//! themselves reckon) or not at all: one with a comma, an unknown unit or a word is refused and
//! counted. `U` is a plugin's own word for a value that it does not have. Thresholds and bounds are
//! not read; the state is the plugin's judgement.

use tenken_common::{limit::QUANTITIES_MAX, unit::Unit};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Perfdata {
    pub values: Vec<PerfValue>,
    /// Parts that are no performance data, or more of it than is kept.
    pub refused: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PerfValue {
    pub label: String,
    pub unit: Unit,
    pub value: f64,
}

const KIB: f64 = 1_024.0;

/// What a plugin printed.
pub fn perfdata(output: &str) -> Perfdata {
    let mut found = Perfdata::default();
    let text = parts(output);
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (item, after) = item(rest);
        rest = after.trim_start();
        match item {
            Some((_, "U")) => {}
            Some((label, text)) => match number(text) {
                Some((value, unit)) if found.values.len() < QUANTITIES_MAX => {
                    found.values.push(PerfValue { label, unit, value });
                }
                Some(_) | None => found.refused += 1,
            },
            None => found.refused += 1,
        }
    }
    found
}

/// The performance data of all lines in one.
fn parts(output: &str) -> String {
    let mut lines = output.lines();
    let first = lines.next().and_then(|line| line.split_once('|')).map(|(_, data)| data);
    let mut parts = vec![first.unwrap_or_default()];
    let mut in_data = false;
    for line in lines {
        if in_data {
            parts.push(line);
        } else if let Some((_, data)) = line.split_once('|') {
            in_data = true;
            parts.push(data);
        }
    }
    parts.join(" ")
}

/// Label and value without thresholds, and what follows; `None` for what has no label.
fn item(text: &str) -> (Option<(String, &str)>, &str) {
    let (label, rest) = if let Some(quoted) = text.strip_prefix('\'') {
        unquoted(quoted)
    } else {
        let end = text.find(['=', ' ', '\t']).unwrap_or(text.len());
        let (label, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        (Some(label.to_owned()), rest)
    };
    let end = rest.find([' ', '\t']).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let value = word.strip_prefix('=').and_then(|word| word.split(';').next());
    // A comma in a threshold is a comma of a locale: the value would be one, too.
    let value = value.filter(|_| !word.contains(','));
    let label = label.filter(|label| !label.is_empty());
    (label.zip(value), after)
}

/// Behind the opening quote; two quotes are one that belongs to the label.
fn unquoted(text: &str) -> (Option<String>, &str) {
    let mut label = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => match chars.as_str().strip_prefix('\'') {
                Some(_) => label.extend(chars.next()),
                None => return (Some(label), chars.as_str()),
            },
            c => label.push(c),
        }
    }
    (None, "")
}

fn number(text: &str) -> Option<(f64, Unit)> {
    let letters = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let exponent = text.get(letters..).and_then(|rest| rest.strip_prefix(['e', 'E'])).map_or(0, |rest| {
        let len = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-')).unwrap_or(rest.len());
        if len == 0 { 0 } else { len + 1 }
    });
    let (digits, unit) = text.split_at_checked(letters + exponent)?;
    let value: f64 = digits.parse().ok()?;
    let (scale, unit) = match unit {
        "" | "c" => (1.0, Unit::Count),
        "%" => (0.01, Unit::Ratio),
        "s" => (1.0, Unit::Seconds),
        "ms" => (1e-3, Unit::Seconds),
        "us" => (1e-6, Unit::Seconds),
        "B" => (1.0, Unit::Bytes),
        "KB" | "kB" => (KIB, Unit::Bytes),
        "MB" => (KIB * KIB, Unit::Bytes),
        "GB" => (KIB * KIB * KIB, Unit::Bytes),
        "TB" => (KIB * KIB * KIB * KIB, Unit::Bytes),
        _ => return None,
    };
    Some((value * scale, unit)).filter(|(value, _)| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str) -> (Vec<String>, usize) {
        let Perfdata { values, refused } = perfdata(output);
        (values.iter().map(|v| format!("{}={} {}", v.label, v.value, v.unit.as_str())).collect(), refused)
    }

    #[test]
    fn as_real_plugins_print_it() {
        let load = "OK - load average: 0.50, 0.40, 0.30|load1=0.500;5.000;4.000;0; load5=0.400;;;0;\n";
        assert_eq!(shown(load), (vec!["load1=0.5 count".to_owned(), "load5=0.4 count".to_owned()], 0));
        let ping = "PING OK - Packet loss = 0%, RTA = 0.5 ms|rta=0.500000ms;3000.0;5000.0;0.0 pl=0%;80;100;0";
        assert_eq!(shown(ping), (vec!["rta=0.0005 seconds".to_owned(), "pl=0 ratio".to_owned()], 0));
        let disk = "DISK OK| '/my disk'=2MB;3;4;0;5 /=1KB it''s=1c";
        let expected = ["/my disk=2097152 bytes", "/=1024 bytes", "it''s=1 count"].map(str::to_owned);
        assert_eq!(shown(disk), (expected.to_vec(), 0));
        assert_eq!(shown("OK|'it''s'=25%;10:20;~:30;@0:1"), (vec!["it's=0.25 ratio".to_owned()], 0));
    }

    #[test]
    fn over_several_lines() {
        let output = "OK - all good | a=1\nlong text = 5\nmore text | b=2us\nc=3GB\n\nd=4\n";
        let (values, refused) = shown(output);
        assert_eq!(values[..2], ["a=1 count", "b=0.000002 seconds"]);
        assert_eq!((values.len(), refused, values[3].as_str()), (4, 0, "d=4 count"));
        assert_eq!(shown("OK\nno data here\n"), (vec![], 0));
        assert_eq!(shown(""), (vec![], 0));
    }

    #[test]
    fn what_is_no_number_in_a_known_unit_is_refused_and_counted() {
        for data in [
            "a=0,5s", "a=1;0,5", "a=1x", "a=s", "a=", "=1", "a", "a=1.2.3", "a=--1", "'a=1", "a=0x10",
            "a=inf", "a=NaN", "a=1e999", "a=1Mb",
        ] {
            assert_eq!(shown(&format!("OK|{data}")), (vec![], 1), "{data}");
        }
        assert_eq!(shown("OK|a=U b=1e-3s;U"), (vec!["b=0.001 seconds".to_owned()], 0));
        assert_eq!(shown("OK|x y=1"), (vec!["y=1 count".to_owned()], 1));
        let many: String = (0..QUANTITIES_MAX + 5).map(|i| format!(" l{i}=1")).collect();
        assert_eq!(perfdata(&format!("OK|{many}")).refused, 5);
    }
}
