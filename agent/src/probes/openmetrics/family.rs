//! What OpenMetrics demands of the samples of one metric together.
//!
//! Holds: a metric stands in one piece, its description before its samples; each type has its own
//! suffixes, labels and values; samples of one group stand together and their times do not go back.
//! The rules are those of the suite of OpenMetrics, whose words they are.

use super::{
    Fault, Labels, Point,
    line::{self, Sample},
};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Unknown,
    Gauge,
    Counter,
    Summary,
    Histogram,
    GaugeHistogram,
    Info,
    StateSet,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "unknown" => Self::Unknown,
            "gauge" => Self::Gauge,
            "counter" => Self::Counter,
            "summary" => Self::Summary,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => return None,
        })
    }

    /// What its samples' names end with.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Unknown | Self::Gauge | Self::StateSet => &[""],
            Self::Counter => &["_total", "_created"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Histogram => &["_count", "_sum", "_bucket", "_created"],
            Self::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
            Self::Info => &["_info"],
        }
    }

    fn has_buckets(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram)
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Families {
    open: Option<Family>,
    /// Every name that a metric took, with all its suffixes.
    taken: BTreeSet<String>,
    points: Vec<Point>,
}

#[derive(Debug, Default)]
struct Family {
    name: String,
    kind: Option<Kind>,
    helped: bool,
    unit: Option<String>,
    points: Vec<Point>,
    group: Option<(Labels, Option<f64>)>,
    groups: BTreeSet<Labels>,
    /// The series of the group's present moment.
    series: BTreeSet<(String, Labels)>,
}

impl Families {
    /// A line's text behind its `#`.
    pub fn describe(&mut self, comment: &str) -> Result<(), Fault> {
        let mut parts = comment.splitn(4, ' ');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(""), Some(keyword), Some(name), Some(text)) = parts else { return Err(Fault::Comment) };
        if !line::is_metric_name(name) {
            return Err(Fault::Name);
        }
        let mut family = match self.open.take() {
            Some(open) if open.name == name => open,
            open => {
                self.open = open;
                self.close()?;
                Family { name: name.to_owned(), ..Family::default() }
            }
        };
        let again = match keyword {
            "HELP" => std::mem::replace(&mut family.helped, true),
            "TYPE" => family.kind.replace(Kind::of(text).ok_or(Fault::Type)?).is_some(),
            "UNIT" => family.unit.replace(text.to_owned()).is_some(),
            _ => return Err(Fault::Comment),
        };
        if again || !family.points.is_empty() {
            return Err(Fault::Metadata);
        }
        self.open = Some(family);
        Ok(())
    }

    pub fn add(&mut self, sample: Sample, line: usize) -> Result<(), Fault> {
        if self.open.as_ref().is_none_or(|family| family.suffix(&sample.name).is_none()) {
            self.close()?;
            // Nothing was said of it.
            self.open = Some(Family { name: sample.name.clone(), ..Family::default() });
        }
        self.open.as_mut().map_or(Ok(()), |family| family.add(sample, line))
    }

    /// The metric that is being read is at its end.
    pub fn close(&mut self) -> Result<(), Fault> {
        let Some(family) = self.open.take() else { return Ok(()) };
        let kind = family.kind.unwrap_or_default();
        let names: BTreeSet<_> = kind.suffixes().iter().chain(&[""]).collect();
        for suffix in names {
            if !self.taken.insert(format!("{}{suffix}", family.name)) {
                return Err(Fault::Clash);
            }
        }
        let unit = family.unit.as_deref().filter(|unit| !unit.is_empty());
        let has_no_unit = matches!(kind, Kind::Info | Kind::StateSet);
        if unit.is_some_and(|unit| has_no_unit || !family.name.ends_with(&format!("_{unit}"))) {
            return Err(Fault::Unit);
        }
        if kind.has_buckets() {
            family.check_buckets()?;
        }
        self.points.extend(family.points);
        Ok(())
    }

    pub fn points(self) -> Vec<Point> {
        self.points
    }
}

impl Family {
    fn suffix<'a>(&self, sample: &'a str) -> Option<&'a str> {
        let suffix = sample.strip_prefix(self.name.as_str())?;
        self.kind.unwrap_or_default().suffixes().contains(&suffix).then_some(suffix)
    }

    fn add(&mut self, sample: Sample, line: usize) -> Result<(), Fault> {
        let suffix = self.suffix(&sample.name).ok_or(Fault::Name)?;
        self.check_labels(suffix, &sample)?;
        let allowed_exemplar = match self.kind.unwrap_or_default() {
            Kind::Histogram | Kind::GaugeHistogram => suffix == "_bucket",
            Kind::Counter => suffix == "_total",
            Kind::Unknown | Kind::Gauge | Kind::Summary | Kind::Info | Kind::StateSet => false,
        };
        if sample.has_exemplar && !allowed_exemplar {
            return Err(Fault::Exemplar);
        }
        if !self.is_possible(suffix, sample.value) {
            return Err(Fault::TypeValue);
        }
        let point = sample.point(line);
        if self.take_turn(&point)? {
            self.points.push(point);
        }
        Ok(())
    }

    fn check_labels(&self, suffix: &str, sample: &Sample) -> Result<(), Fault> {
        let label = |name: &str| sample.labels.get(name).map(String::as_str);
        let good = match (self.kind.unwrap_or_default(), suffix) {
            (Kind::StateSet, _) => label(&self.name).is_some(),
            (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => label("le").and_then(bound).is_some(),
            (Kind::Summary, "") => {
                label("quantile").and_then(line::value).is_some_and(|q| (0.0..=1.0).contains(&q))
            }
            _ => true,
        };
        if good { Ok(()) } else { Err(Fault::TypeLabel) }
    }

    fn is_possible(&self, suffix: &str, value: f64) -> bool {
        let kind = self.kind.unwrap_or_default();
        let whole =
            !matches!(suffix, "_bucket" | "_count" | "_gcount") || value.fract().abs() < f64::MIN_POSITIVE;
        let counts = matches!(suffix, "_total" | "_sum" | "_count" | "_bucket" | "_gcount");
        match kind {
            Kind::StateSet => [0.0, 1.0].contains(&value),
            Kind::Info => [1.0].contains(&value),
            Kind::Summary if suffix.is_empty() => value.is_nan() || value >= 0.0,
            Kind::Counter | Kind::Summary | Kind::Histogram | Kind::GaugeHistogram => {
                whole && !(counts && value < 0.0) && !((counts || suffix == "_gsum") && value.is_nan())
            }
            Kind::Unknown | Kind::Gauge => true,
        }
    }

    /// The labels that samples of one group have in common.
    fn group_of(&self, point: &Point) -> Labels {
        let kind = self.kind.unwrap_or_default();
        let mut labels = point.labels.clone();
        match kind {
            Kind::Info => labels.clear(),
            Kind::StateSet => drop(labels.remove(&self.name)),
            Kind::Summary if point.name == self.name => drop(labels.remove("quantile")),
            Kind::Histogram | Kind::GaugeHistogram if point.name.ends_with("_bucket") => {
                drop(labels.remove("le"));
            }
            Kind::Unknown
            | Kind::Gauge
            | Kind::Counter
            | Kind::Summary
            | Kind::Histogram
            | Kind::GaugeHistogram => {}
        }
        labels
    }

    /// Whether it is a sample of its own: a second one of the same moment is cut-off time and no news.
    fn take_turn(&mut self, point: &Point) -> Result<bool, Fault> {
        let group = self.group_of(point);
        let now = point.time.map(nanoseconds);
        let series = (point.name.clone(), point.labels.clone());
        match &self.group {
            Some((open, before)) if *open == group => {
                let back = before.zip(now).is_some_and(|(before, now)| now < before);
                let exempt = self.kind == Some(Kind::Info);
                if before.is_some() != now.is_some() || (back && !exempt) {
                    return Err(Fault::Order);
                }
                if *before != now {
                    self.series.clear();
                }
            }
            Some(_) if self.groups.contains(&group) => return Err(Fault::Order),
            Some(_) | None => self.series.clear(),
        }
        self.groups.insert(group.clone());
        self.group = Some((group, now));
        let new = self.series.insert(series);
        // Without a time there is nothing that could have been cut off.
        if new || now.is_some() { Ok(new) } else { Err(Fault::Twice) }
    }

    fn check_buckets(&self) -> Result<(), Fault> {
        let mut group = None;
        let mut buckets = Buckets::default();
        for point in &self.points {
            let of = (self.group_of(point), point.time);
            if group.as_ref() != Some(&of) {
                if group.is_some() {
                    buckets.end()?;
                }
                (group, buckets) = (Some(of), Buckets::default());
            }
            let suffix = point.name.strip_prefix(self.name.as_str()).unwrap_or_default();
            buckets.add(suffix, point)?;
        }
        if group.is_some() { buckets.end() } else { Ok(()) }
    }
}

/// Times are told apart to the nanosecond.
fn nanoseconds(time: f64) -> f64 {
    (time * 1e9).trunc()
}

/// `+Inf`, spelt exactly so, or a number.
fn bound(text: &str) -> Option<f64> {
    if text == "+Inf" { Some(f64::INFINITY) } else { line::value(text).filter(|b| b.is_finite()) }
}

/// The samples of one histogram at one moment.
#[derive(Debug, Default)]
struct Buckets {
    bound: Option<f64>,
    value: f64,
    count: Option<f64>,
    sum: Option<f64>,
    has_gauge_sum: bool,
    has_negative: bool,
}

impl Buckets {
    fn add(&mut self, suffix: &str, point: &Point) -> Result<(), Fault> {
        match suffix {
            "_bucket" => {
                let next = point.labels.get("le").and_then(|le| bound(le)).ok_or(Fault::TypeLabel)?;
                self.has_negative |= next < 0.0;
                if self.bound.is_some_and(|last| next <= last) || point.value < self.value {
                    return Err(Fault::Histogram);
                }
                (self.bound, self.value) = (Some(next), point.value);
            }
            "_count" | "_gcount" => self.count = Some(point.value),
            "_sum" => self.sum = Some(point.value),
            "_gsum" => (self.sum, self.has_gauge_sum) = (Some(point.value), true),
            _ => {}
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Fault> {
        // A sum of buckets below zero is no counter; and one below zero needs such buckets.
        let impossible_sum = match self.sum {
            Some(sum) if self.has_gauge_sum => sum < 0.0 && !self.has_negative,
            Some(_) => self.has_negative,
            None => false,
        };
        let whole = self.bound == Some(f64::INFINITY)
            && self.count.is_none_or(|count| count.total_cmp(&self.value).is_eq())
            && self.count.is_some() == self.sum.is_some();
        if whole && !impossible_sum { Ok(()) } else { Err(Fault::Histogram) }
    }
}
