//! Errors in the system's log, counted by source: journald on Linux, the event log of Windows, which
//! numbers its kinds of events.
//!
//! Holds: a message's text is never read, nor asked for. A source that the configuration does not
//! declare and that is none of the system's own leaves hidden (see `names`); blanks in its name are
//! hyphens. What was counted once is not counted again: the next run begins behind the last entry.
//! The first run of an agent counts the last hour. More entries than fit the limits are an error,
//! not a smaller number.

#[cfg(any(windows, test))]
pub mod event_log;
#[cfg(target_os = "linux")]
mod journald;
#[cfg(windows)]
mod windows;

#[cfg(windows)]
use event_log::SOURCES;
#[cfg(target_os = "linux")]
use journald::{Log, SOURCES};
#[cfg(windows)]
use windows::Log;

use super::{Reading, every_minute, joined, names::Names};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};
use tenken_agent_core::{
    probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

const INTERVAL: Duration = Duration::from_hours(1);
/// The sources with the most errors; the rest is counted together.
const SOURCES_MAX: usize = 20;
/// The same for a source's own numbers.
const NUMBERS_MAX: usize = 20;

/// Entries by source, and within it by the source's own number where the log has one.
pub type Counts = BTreeMap<String, BTreeMap<Option<u16>, u64>>;

/// See the module's head.
pub struct Events {
    info: ProbeInfo,
    names: Arc<Names>,
    log: Log,
}

impl Events {
    pub fn new(names: Arc<Names>) -> Self {
        let info = every_minute("events", Category::Event);
        let timeout = Duration::from_mins(1);
        Self {
            info: ProbeInfo { interval: INTERVAL, cost: Cost::Expensive, timeout, ..info },
            names,
            log: Log::default(),
        }
    }

    /// The total, and each source with the most errors: how many, and of which number.
    fn told(&self, counts: &Counts, well_known: &[&str], cx: &ProbeContext) -> Vec<Observation> {
        let mut sources: Vec<_> = counts.iter().map(|(source, of)| (source, of.values().sum(), of)).collect();
        sources.sort_by_key(|(source, count, _): &(_, u64, _)| (Reverse(*count), *source));
        let total = sources.iter().map(|(_, count, _)| count).sum();
        let errors = |count| Reading::default().with("errors", Unit::Count, to_f64(count));
        let mut seen: Vec<_> = errors(total).of(&self.info, cx, super::DEVICE_SUBJECT).into_iter().collect();
        for (source, count, by_number) in sources.into_iter().take(SOURCES_MAX) {
            let mut numbers: Vec<_> =
                by_number.iter().filter_map(|(number, count)| Some(((*number)?, *count))).collect();
            numbers.sort_by_key(|(number, count)| (Reverse(*count), *number));
            let reading =
                numbers.into_iter().take(NUMBERS_MAX).fold(errors(count), |reading, (number, count)| {
                    reading.with(&format!("id_{number}"), Unit::Count, to_f64(count))
                });
            let name = self.names.among(&joined(source), well_known);
            seen.extend(reading.about(&self.info, cx, name));
        }
        seen
    }
}

impl Probe for Events {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let counts = self.log.counted(self.info.timeout)?;
        Ok(self.told(&counts, &SOURCES, cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{at_ms, run_here, value, values};
    use tenken_common::id::Name;

    fn counts(of: &[(&str, Option<u16>, u64)]) -> Counts {
        let mut counts = Counts::new();
        for (source, number, count) in of {
            counts.entry((*source).to_owned()).or_default().insert(*number, *count);
        }
        counts
    }

    #[test]
    fn sources_are_told_by_what_everybody_has_or_is_declared() {
        let events = Events::new(Arc::new(Names::new(&[Name::new("PACS-Gateway").unwrap()], [1; 32])));
        let counts = counts(&[
            ("Service Control Manager", Some(7_031), 2),
            ("Service Control Manager", Some(7_000), 3),
            ("PACS Gateway", Some(1), 1),
            ("山田太郎", Some(1), 1),
            ("kernel", None, 4),
        ]);
        let seen = events.told(&counts, &["Service-Control-Manager", "kernel"], &at_ms(0));
        let subjects: Vec<_> = seen.iter().map(|o| o.subject.as_str()).collect();
        assert_eq!(subjects[..4], ["device", "Service-Control-Manager", "kernel", "PACS-Gateway"]);
        assert!(subjects[4].starts_with("h:") && subjects.len() == 5, "{subjects:?}");
        assert_eq!(value(&seen[0], "errors"), Some(11.0));
        assert_eq!(values(&seen[1]), [("errors", 5.0), ("id_7000", 3.0), ("id_7031", 2.0)]);
        assert_eq!(values(&seen[2]), [("errors", 4.0)]);
    }

    #[test]
    fn the_least_are_counted_together_only() {
        let events = Events::new(Arc::new(Names::new(&[], [1; 32])));
        let many: Counts = (0u16..30)
            .map(|i| {
                (format!("source-{i}"), (0..40).map(|number| (Some(number), 1 + u64::from(i))).collect())
            })
            .collect();
        let seen = events.told(&many, &[], &at_ms(0));
        assert_eq!((seen.len(), value(&seen[0], "errors")), (1 + SOURCES_MAX, Some(40.0 * 465.0)));
        assert_eq!(values(&seen[1]).len(), 1 + NUMBERS_MAX);
        assert_eq!(values(&seen[1])[0], ("errors", 40.0 * 30.0));
        let none = events.told(&Counts::new(), &[], &at_ms(0));
        assert_eq!(
            none.iter().map(|o| value(o, "errors")).collect::<Vec<_>>(),
            [Some(0.0)],
            "a zero is said"
        );
    }

    #[test]
    fn this_machine_has_a_log_or_says_why_not() {
        let names = Arc::new(Names::new(&[], [1; 32]));
        let mut events = Events::new(names);
        for _ in 0..2 {
            match run_here(&mut events) {
                Ok(seen) => assert!(!seen.is_empty(), "nothing wrong is a zero"),
                Err(e) => {
                    use ProbeError::{Failed, Lacks, Unsupported};
                    assert!(matches!(e, Lacks(_) | Failed(_) | Unsupported), "{e:?}");
                }
            }
        }
    }
}
