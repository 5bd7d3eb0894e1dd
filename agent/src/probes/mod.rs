//! The probes: one thing to look at per file, and where systems differ one file per system.
//!
//! Holds: a cheap probe reads files and system calls only; one that starts a process says so by
//! its cost, and does it through [`command`], which bounds it. What a probe cannot read is left out
//! and never guessed. What it reads as text goes through a pure
//! parser that answers `None` for whatever does not look as documented. Names of the outside
//! world (mounts, interfaces, sensors) leave as bounded identifiers.
//!
//! Does not: know spool or transport, keep time, or run itself; `runner` does.

#[cfg(any(windows, test))]
mod aside;
mod battery;
mod clock;
#[cfg(any(windows, test))]
mod com;
pub mod command;
pub mod conformance;
mod counters;
mod cpu;
mod disk;
mod events;
pub mod extract;
mod inventory;
mod memory;
pub mod names;
mod neighbours;
mod network;
mod openmetrics;
pub mod own;
mod patches;
mod pattern_files;
mod plugins;
mod pressure;
pub mod print;
mod raid;
pub mod registry;
mod revisions;
mod scrapes;
mod sensors;
mod series;
mod services;
mod smart;
mod textfiles;
mod time_source;
#[cfg(test)]
#[cfg(unix)]
mod unseen;
mod uptime;

#[cfg(target_os = "linux")]
mod battery_linux;
#[cfg(any(windows, test))]
mod battery_windows;
#[cfg(target_os = "linux")]
mod cpu_linux;
#[cfg(windows)]
mod cpu_windows;
#[cfg(target_os = "linux")]
mod disk_linux;
#[cfg(windows)]
mod disk_windows;
#[cfg(target_os = "linux")]
mod network_linux;
#[cfg(windows)]
mod network_windows;
#[cfg(target_os = "linux")]
mod services_linux;
#[cfg(windows)]
mod services_windows;
#[cfg(windows)]
pub(crate) mod win32;
#[cfg(test)]
mod windows_captures;

pub use registry::{Factory, ProbeOptions, ServiceSpec, Surroundings, all};

use std::{path::PathBuf, time::Duration};
use tenken_agent_core::{
    probe::{Cost, ProbeContext, ProbeError, ProbeInfo},
    record::quantity,
};
use tenken_common::{
    category::Category,
    fact::Fact,
    id::Name,
    observation::{Body, CheckResult, CheckState, Observation, Sample},
    unit::{Quantity, Unit},
};

/// The subject of what is true of the device as a whole.
pub const DEVICE_SUBJECT: &str = "device";

/// What the cheap probes have in common: once a minute, five seconds at most.
fn every_minute(name: &'static str, category: Category) -> ProbeInfo {
    let interval = Duration::from_mins(1);
    ProbeInfo { name, category, interval, cost: Cost::Cheap, timeout: Duration::from_secs(5) }
}

/// A probe that reads what others keep, several times a day.
fn every_six_hours(name: &'static str, category: Category) -> ProbeInfo {
    let (interval, timeout) = (Duration::from_hours(6), Duration::from_mins(1));
    ProbeInfo { name, category, interval, cost: Cost::Moderate, timeout }
}

/// A probe that starts programs of some weight.
fn every_day(name: &'static str, category: Category) -> ProbeInfo {
    let (interval, timeout) = (Duration::from_hours(24), Duration::from_mins(5));
    ProbeInfo { name, category, interval, cost: Cost::Expensive, timeout }
}

/// A version as it may leave the device: digits first, then what versions consist of. Anything else
/// is no version, so that a file that holds a person's name instead says nothing.
fn version(text: &str) -> Option<Name> {
    let text = text.trim();
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let separated = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '~' | ':');
    let fits = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(separated);
    // `+` and `~` are no characters of a name.
    let plain: String = text.chars().map(|c| if matches!(c, '+' | '~') { '-' } else { c }).collect();
    Name::new(&plain).ok().filter(|_| fits && text.len() <= VERSION_CHARS_MAX)
}

const VERSION_CHARS_MAX: usize = 48;

/// Blanks do not fit an identifier: `HP ProDesk 400` becomes `HP-ProDesk-400`.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("-")
}

/// What a probe says of a subject.
fn fact(info: &ProbeInfo, cx: &ProbeContext, subject: Name, fact: Fact) -> Observation {
    Observation { at: cx.at, category: info.category, subject, body: Body::Fact(fact) }
}

/// A judgement of a probe's own.
fn check(info: &ProbeInfo, cx: &ProbeContext, subject: Name, state: CheckState) -> Observation {
    let body = Body::CheckResult(CheckResult { probe: Name::of_outside(info.name), state });
    Observation { at: cx.at, category: info.category, subject, body }
}

/// The quantities of one sample while they are gathered.
#[derive(Debug, Default)]
struct Reading(Vec<Quantity>);

impl Reading {
    /// Adds what is a number, and leaves out what is not.
    fn with(mut self, name: &str, unit: Unit, value: impl Into<Option<f64>>) -> Self {
        self.0.extend(value.into().and_then(|value| quantity(name, unit, value)));
        self
    }

    /// `None` without a single quantity.
    fn of(self, info: &ProbeInfo, cx: &ProbeContext, subject: &str) -> Option<Observation> {
        self.about(info, cx, Name::of_outside(subject))
    }

    /// [`Self::of`] with a name that was looked at before.
    fn about(self, info: &ProbeInfo, cx: &ProbeContext, subject: Name) -> Option<Observation> {
        if self.0.is_empty() {
            return None;
        }
        let sample = Sample { probe: Name::of_outside(info.name), quantities: self.0 };
        Some(Observation { at: cx.at, category: info.category, subject, body: Body::Sample(sample) })
    }
}

/// `part` of `whole`, where there is a whole and the part lies in it.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0 && (0.0..=whole).contains(&part)).then(|| part / whole)
}

/// A system's answer that could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot read {}", path.display())]
    #[cfg_attr(windows, allow(dead_code, reason = "only `/proc` is read as files"))]
    File { path: PathBuf, source: std::io::Error },
    #[cfg(windows)]
    #[error("{call} failed")]
    Call { call: &'static str, source: std::io::Error },
    #[error("{0} is not in the expected form")]
    Form(&'static str),
}

impl From<ReadError> for ProbeError {
    fn from(e: ReadError) -> Self {
        Self::Failed(Box::new(e))
    }
}

#[cfg(target_os = "linux")]
fn read(path: &'static str) -> Result<String, ReadError> {
    std::fs::read_to_string(path).map_err(|source| ReadError::File { path: path.into(), source })
}

/// What the tests of all probes share.
#[cfg(test)]
mod testing {
    use super::*;
    use tenken_agent_core::probe::Probe;
    use tenken_common::{
        id::BootId,
        time::{Moment, Monotonic, Timestamp},
    };

    pub fn at_ms(ms: u64) -> ProbeContext {
        let wall = Timestamp::from_secs(1_800_000_000).plus(Duration::from_millis(ms));
        ProbeContext { at: Moment { boot: BootId([1; 16]), mono: Monotonic(ms), wall } }
    }

    pub fn values(observation: &Observation) -> Vec<(&str, f64)> {
        match &observation.body {
            Body::Sample(s) => s.quantities.iter().map(|q| (q.name.as_str(), q.value)).collect(),
            Body::CheckResult(_) | Body::SelfReport(_) | Body::Fact(_) => {
                panic!("no sample: {observation:?}")
            }
        }
    }

    pub fn value(observation: &Observation, name: &str) -> Option<f64> {
        values(observation).into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Runs a probe on this very machine: whatever it says, it says it in its own name.
    pub fn run_here(probe: &mut dyn Probe) -> Result<Vec<Observation>, ProbeError> {
        let info = probe.info().clone();
        let result = probe.run(&at_ms(1_000));
        for o in result.as_deref().unwrap_or_default() {
            let by = match &o.body {
                Body::Sample(s) => &s.probe,
                Body::CheckResult(c) => &c.probe,
                Body::Fact(fact) => fact.probe(),
                Body::SelfReport(_) => panic!("a probe does not report on the agent"),
            };
            assert_eq!((by.as_str(), o.category), (info.name, info.category));
        }
        result
    }

    #[test]
    fn a_version_begins_with_a_digit_and_has_no_blanks() {
        for (text, shown) in [("4.2.1", "4.2.1"), ("v7", "v7"), ("1:2.3-4+deb12u1~x\n", "1:2.3-4-deb12u1-x")]
        {
            assert_eq!(version(text).unwrap().as_str(), shown);
        }
        for text in ["", "YAMADA", "vTARO", "4.2 TARO", "\u{5c71}\u{7530}", "4.2/1", &"1".repeat(49)] {
            assert_eq!(version(text), None, "{text}");
        }
    }

    #[test]
    fn blanks_become_hyphens() {
        assert_eq!(joined("HP ProDesk  400\n"), "HP-ProDesk-400");
    }

    #[test]
    fn a_ratio_is_between_zero_and_one_or_not_at_all() {
        assert_eq!(ratio(1.0, 4.0), Some(0.25));
        assert_eq!([ratio(0.0, 0.0), ratio(5.0, 4.0), ratio(-1.0, 4.0)], [None; 3]);
    }
}
