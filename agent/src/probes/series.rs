//! What the sources of the outside (plugins, text files, exporters) have in common: how a metric
//! becomes a quantity, and how it is said that a source gave none.
//!
//! Holds: only metrics of the configuration's list are kept. A label and its value are part of the
//! quantity's name where both are declared; all the others of a series are hidden together behind
//! one word of the device's own key, so that series stay apart and say nothing. A source that gave
//! nothing has the state unknown and one quantity that names the reason; its last values are not
//! told again.

use super::{Reading, check, names::Names, openmetrics::Labels, openmetrics::Point};
use std::collections::BTreeMap;
use tenken_agent_core::{
    probe::{ProbeContext, ProbeInfo},
    record::to_f64,
};
use tenken_common::{
    id::Name,
    observation::{CheckState, Observation},
    unit::{Quantity, Unit},
};

/// Series that one source may have; one that has more has another size than was meant.
pub const SERIES_MAX: usize = 512;

/// Why a source gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// There is no such program or file.
    Missing,
    /// It cannot be started or read.
    Unreadable,
    /// It was not done in time.
    TimedOut,
    /// A signal ended it.
    Signalled,
    /// It ended with a code that is no state, or an HTTP status other than 200.
    BadStatus(i32),
    /// It has more than is read.
    TooLarge,
    /// It is not in its format.
    Broken,
    /// Older than it may be.
    Stale,
    /// Nothing answers at the address.
    Unreachable,
}

impl Silence {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::TimedOut => "timed_out",
            Self::Signalled => "signalled",
            Self::BadStatus(_) => "bad_status",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::BadStatus(status) => f64::from(status),
            Self::Missing
            | Self::Unreadable
            | Self::TimedOut
            | Self::Signalled
            | Self::TooLarge
            | Self::Broken
            | Self::Stale
            | Self::Unreachable => 1.0,
        }
    }
}

/// What is said of a source that gave nothing.
pub fn silent(info: &ProbeInfo, cx: &ProbeContext, subject: &Name, why: Silence) -> Vec<Observation> {
    let reason = Reading::default().with(why.as_str(), Unit::Count, why.value());
    let reason = reason.about(info, cx, subject.clone());
    reason.into_iter().chain([check(info, cx, subject.clone(), CheckState::Unknown)]).collect()
}

/// The listed metrics as quantities; of several samples of one series the last. `None` where there
/// are more than [`SERIES_MAX`].
pub fn quantities(points: &[Point], listed: &[Name], names: &Names) -> Option<Vec<Quantity>> {
    let mut found = BTreeMap::new();
    for point in points {
        let Some(metric) = listed.iter().find(|name| name.as_str() == point.name) else { continue };
        let name = name(metric, &point.labels, names);
        if let Some(quantity) = Quantity::new(name.clone(), unit(&point.name), point.value) {
            found.insert(name, quantity);
        }
    }
    (found.len() <= SERIES_MAX).then(|| found.into_values().collect())
}

/// `node_filesystem_avail_bytes:mountpoint:/data:h:0123456789abcdef`
fn name(metric: &Name, labels: &Labels, names: &Names) -> Name {
    let is_declared = |text: &str| names.declared(text).as_str() == text;
    // An empty label is none.
    let labels = || labels.iter().filter(|(_, value)| !value.is_empty());
    let (shown, hidden): (Vec<_>, Vec<_>) =
        labels().partition(|(name, value)| is_declared(name) && is_declared(value));
    let mut text = metric.to_string();
    for (name, value) in shown {
        text.push_str(&format!(":{name}:{value}"));
    }
    let mark = |labels: &[(&String, &String)]| names.declared(&format!("{labels:?}")).to_string();
    if !hidden.is_empty() {
        text.push_str(&format!(":{}", mark(&hidden)));
    }
    Name::new(&text)
        .or_else(|_| Name::new(&format!("{metric}:{}", mark(&labels().collect::<Vec<_>>()))))
        // A metric's name of nearly all the length there is.
        .unwrap_or_else(|_| names.declared(&format!("{metric} {:?}", labels().collect::<Vec<_>>())))
}

/// By Prometheus' convention a metric's name ends with its base unit, before `_total` and the like.
fn unit(metric: &str) -> Unit {
    if ["_count", "_bucket", "_gcount"].iter().any(|suffix| metric.ends_with(suffix)) {
        return Unit::Count;
    }
    let base = ["_total", "_sum", "_gsum", "_created"].iter().find_map(|s| metric.strip_suffix(s));
    let base = base.unwrap_or(metric);
    let units = [
        ("_bytes_per_second", Unit::BytesPerSecond),
        ("_per_second", Unit::PerSecond),
        ("_bytes", Unit::Bytes),
        ("_seconds", Unit::Seconds),
        ("_celsius", Unit::Celsius),
        ("_ratio", Unit::Ratio),
        ("_rpm", Unit::Rpm),
        ("_volts", Unit::Volts),
    ];
    units.iter().find(|(suffix, _)| base.ends_with(suffix)).map_or(Unit::Count, |(_, unit)| *unit)
}

/// How many there are of something, as a quantity's value.
pub fn count(of: usize) -> f64 {
    to_f64(u64::try_from(of).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::openmetrics::{Format, parse};

    fn names() -> Names {
        let declared = ["device", "sda", "mode"].map(|text| Name::new(text).unwrap());
        Names::new(&declared, [7; 32])
    }

    fn shown(text: &str, listed: &[&str]) -> Vec<String> {
        let points = parse(text, Format::Prometheus).unwrap();
        let listed: Vec<_> = listed.iter().map(|name| Name::new(name).unwrap()).collect();
        let all = quantities(&points, &listed, &names()).unwrap();
        all.iter().map(|q| format!("{} {} {}", q.name, q.unit.as_str(), q.value)).collect()
    }

    #[test]
    fn only_what_is_listed_and_finite_and_each_with_its_unit() {
        let text = "up 1\nread_bytes_total{device=\"sda\"} 2\nt_celsius NaN\nother 4\nd_seconds_count 5\n";
        let listed = ["up", "read_bytes_total", "t_celsius", "d_seconds_count"];
        assert_eq!(
            shown(text, &listed),
            ["d_seconds_count count 5", "read_bytes_total:device:sda bytes 2", "up count 1"]
        );
        assert_eq!(shown(text, &[]), [""; 0]);
    }

    #[test]
    fn a_label_is_shown_where_it_and_its_value_are_declared() {
        let all = shown(
            "a{device=\"sda\",mode=\"YAMADA\"} 1\na{device=\"sda\",mode=\"TARO\"} 2\na{P1234567=\"sda\"} 3\na{x=\"\"} 4\n",
            &["a"],
        );
        assert_eq!(all.len(), 4);
        assert_eq!(all.iter().filter(|line| line.starts_with("a:device:sda:h:")).count(), 2, "{all:?}");
        assert!(all[0].starts_with("a count 4") && all.iter().any(|line| line.starts_with("a:h:")));
        assert!(!format!("{all:?}").contains("YAMADA") && !format!("{all:?}").contains("P1234567"));
    }

    #[test]
    fn long_names_stay_apart() {
        for len in [40, 60, 64] {
            let metric = "m".repeat(len);
            let text =
                format!("{metric}{{device=\"sda\",mode=\"a\"}} 1\n{metric}{{device=\"sda\",mode=\"b\"}} 2\n");
            assert_eq!(shown(&text, &[&metric]).len(), 2, "{len}");
        }
    }

    #[test]
    fn too_many_are_none() {
        let text: String = (0..=SERIES_MAX).map(|i| format!("a{{x=\"{i}\"}} 1\n")).collect();
        let points = parse(&text, Format::Prometheus).unwrap();
        assert_eq!(quantities(&points, &[Name::new("a").unwrap()], &names()), None);
    }
}
