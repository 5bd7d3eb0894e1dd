//! Errors in the system's log, counted by source: Linux journald (journalctl(1)).
//!
//! Holds: a message's text is never read, nor asked for. A source that the configuration does not
//! declare and that is none of the system's own leaves hidden (see `names`). What was counted once is
//! not counted again: the next run begins behind the last entry. The first run of an agent counts
//! the last hour. More entries than fit the output's limit are an error, not a smaller number.

use super::{
    Reading,
    command::{Command, Ended},
    every_minute,
    names::Names,
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tenken_agent_core::{
    probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, unit::Unit};

const INTERVAL: Duration = Duration::from_hours(1);
/// The sources with the most errors; the rest is counted together.
const SOURCES_MAX: usize = 20;
/// An entry without its text is some 400 bytes.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The system's own, which every distribution has.
const SOURCES: [&str; 14] = [
    "NetworkManager",
    "chronyd",
    "clamd",
    "cron",
    "dbus-daemon",
    "freshclam",
    "kernel",
    "ntpd",
    "smartd",
    "sshd",
    "sudo",
    "systemd",
    "systemd-journald",
    "systemd-timesyncd",
];

/// See the module's head.
pub struct Events {
    info: ProbeInfo,
    names: Arc<Names>,
    /// Behind the last entry that was counted.
    cursor: Option<String>,
}

impl Events {
    pub fn new(names: Arc<Names>) -> Self {
        let info = every_minute("events", Category::Event);
        let timeout = Duration::from_mins(1);
        Self {
            info: ProbeInfo { interval: INTERVAL, cost: Cost::Expensive, timeout, ..info },
            names,
            cursor: None,
        }
    }
}

/// Of an entry, the fields that are asked for.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    source: Option<serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
enum EventsError {
    #[error("journalctl ended with code {0}; may this user read the journal (group systemd-journal)?")]
    Code(i32),
    #[error("journalctl printed an entry that is no JSON")]
    Json(#[source] serde_json::Error),
}

impl From<EventsError> for ProbeError {
    fn from(e: EventsError) -> Self {
        Self::Failed(Box::new(e))
    }
}

impl Probe for Events {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if cfg!(not(target_os = "linux")) {
            return Err(ProbeError::Unsupported);
        }
        let from = match &self.cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => "--since=-1h".to_owned(),
        };
        let fields =
            ["--output=json", "--output-fields=SYSLOG_IDENTIFIER", "--priority=err", "--quiet", "--no-pager"];
        let command = Command::new("journalctl").args(fields).args([from]).limit(OUTPUT_BYTES_MAX);
        let Ended { code, stdout } = command.run(self.info.timeout)?;
        // A journal that was cleaned in between may not have the cursor any more.
        if code != 0 {
            self.cursor = None;
            return Err(EventsError::Code(code).into());
        }
        let (counts, last) = counted(&stdout)?;
        self.cursor = last.or(self.cursor.take());
        let total = counts.values().sum();
        let mut most: Vec<(&String, &u64)> = counts.iter().collect();
        most.sort_by_key(|(source, count)| (std::cmp::Reverse(**count), *source));
        let reading = Reading::default().with("errors", Unit::Count, to_f64(total));
        let mut seen: Vec<_> = reading.of(&self.info, cx, super::DEVICE_SUBJECT).into_iter().collect();
        for (source, count) in most.into_iter().take(SOURCES_MAX) {
            let name = self.names.among(source, &SOURCES);
            seen.extend(
                Reading::default().with("errors", Unit::Count, to_f64(*count)).about(&self.info, cx, name),
            );
        }
        Ok(seen)
    }
}

/// Entries by source, and the last one's cursor.
fn counted(printed: &str) -> Result<(BTreeMap<String, u64>, Option<String>), EventsError> {
    let mut counts = BTreeMap::new();
    let mut last = None;
    for line in printed.lines() {
        let entry: Entry = serde_json::from_str(line).map_err(EventsError::Json)?;
        // A source that is no text comes as a list of bytes.
        let source = entry.source.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown");
        *counts.entry(source.to_owned()).or_insert(0) += 1;
        last = Some(entry.cursor);
    }
    Ok((counts, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::run_here;

    #[test]
    fn entries_are_counted_by_source_and_the_last_is_remembered() {
        let printed = r#"{"__CURSOR":"a","SYSLOG_IDENTIFIER":"kernel"}
{"__CURSOR":"b","SYSLOG_IDENTIFIER":"pacsd","MESSAGE":"not asked for"}
{"__CURSOR":"c","SYSLOG_IDENTIFIER":"kernel"}
{"__CURSOR":"d","SYSLOG_IDENTIFIER":[255,254]}
"#;
        let (counts, last) = counted(printed).unwrap();
        let counts: Vec<_> = counts.iter().map(|(source, n)| (source.as_str(), *n)).collect();
        assert_eq!(counts, [("kernel", 2), ("pacsd", 1), ("unknown", 1)]);
        assert_eq!(last.as_deref(), Some("d"));
        assert_eq!(counted("").unwrap().1, None);
        assert!(counted("-- No entries --").is_err());
    }

    #[test]
    fn this_machine_has_a_journal_or_says_why_not() {
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
