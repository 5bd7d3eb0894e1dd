//! Linux's journal, by journalctl(1): entries of priority `err` and above.

use super::Counts;
use crate::probes::command::{Command, Ended};
use serde::Deserialize;
use std::time::Duration;
use tenken_agent_core::probe::ProbeError;

/// An entry without its text is some 400 bytes.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The system's own, which every distribution has.
pub const SOURCES: [&str; 14] = [
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

/// Where the last run ended.
#[derive(Debug, Default)]
pub struct Log {
    /// Behind the last entry that was counted.
    cursor: Option<String>,
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
enum JournalError {
    #[error("journalctl ended with code {0}; may this user read the journal (group systemd-journal)?")]
    Code(i32),
    #[error("journalctl printed an entry that is no JSON")]
    Json(#[source] serde_json::Error),
}

impl From<JournalError> for ProbeError {
    fn from(e: JournalError) -> Self {
        Self::Failed(Box::new(e))
    }
}

impl Log {
    pub fn counted(&mut self, timeout: Duration) -> Result<Counts, ProbeError> {
        let from = match &self.cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => "--since=-1h".to_owned(),
        };
        let fields =
            ["--output=json", "--output-fields=SYSLOG_IDENTIFIER", "--priority=err", "--quiet", "--no-pager"];
        let command = Command::new("journalctl").args(fields).args([from]).limit(OUTPUT_BYTES_MAX);
        let Ended { code, stdout } = command.run(timeout)?;
        // A journal that was cleaned in between may not have the cursor any more.
        if code != 0 {
            self.cursor = None;
            return Err(JournalError::Code(code).into());
        }
        let (counts, last) = counted(&stdout)?;
        self.cursor = last.or(self.cursor.take());
        Ok(counts)
    }
}

/// Entries by source, and the last one's cursor.
fn counted(printed: &str) -> Result<(Counts, Option<String>), JournalError> {
    let mut counts = Counts::new();
    let mut last = None;
    for line in printed.lines() {
        let entry: Entry = serde_json::from_str(line).map_err(JournalError::Json)?;
        // A source that is no text comes as a list of bytes.
        let source = entry.source.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown");
        *counts.entry(source.to_owned()).or_default().entry(None).or_insert(0) += 1;
        last = Some(entry.cursor);
    }
    Ok((counts, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_by_source_and_the_last_is_remembered() {
        let printed = r#"{"__CURSOR":"a","SYSLOG_IDENTIFIER":"kernel"}
{"__CURSOR":"b","SYSLOG_IDENTIFIER":"pacsd","MESSAGE":"not asked for"}
{"__CURSOR":"c","SYSLOG_IDENTIFIER":"kernel"}
{"__CURSOR":"d","SYSLOG_IDENTIFIER":[255,254]}
"#;
        let (counts, last) = counted(printed).unwrap();
        let counts: Vec<_> = counts.iter().map(|(source, of)| (source.as_str(), of[&None])).collect();
        assert_eq!(counts, [("kernel", 2), ("pacsd", 1), ("unknown", 1)]);
        assert_eq!(last.as_deref(), Some("d"));
        assert_eq!(counted("").unwrap().1, None);
        assert!(counted("-- No entries --").is_err());
    }
}
