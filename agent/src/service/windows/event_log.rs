//! The agent in the event log of Windows: its source in the registry, and log lines as entries.
//!
//! Holds: an entry's text is the line itself. The source names a message file of the system whose
//! every text is `%1`, so that the event viewer shows entries without a file of ours.

use super::NAME;
use crate::probes::win32::{EventSource, Grade};
use std::{io, sync::Arc};
use tenken_common::telemetry::{Level, MakeWriter, Metadata};
use windows_registry::LOCAL_MACHINE;

const APPLICATIONS: &str = "SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application";
/// Has the texts 1 to 1000.
const MESSAGES: &str = "%SystemRoot%\\System32\\EventCreate.exe";
/// Errors, warnings and information.
const KINDS: u32 = 7;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Started = 1,
    Stopped = 2,
    Failed = 3,
    Line = 10,
}

pub fn register() -> io::Result<()> {
    let source = LOCAL_MACHINE.create(format!("{APPLICATIONS}\\{NAME}"))?;
    source.set_expand_string("EventMessageFile", MESSAGES)?;
    Ok(source.set_u32("TypesSupported", KINDS)?)
}

/// Where there is no source there is nothing to do.
pub fn forget() -> io::Result<()> {
    if LOCAL_MACHINE.open(format!("{APPLICATIONS}\\{NAME}")).is_err() {
        return Ok(());
    }
    let sources = LOCAL_MACHINE.options().read().write().open(APPLICATIONS)?;
    Ok(sources.remove_tree(NAME)?)
}

/// Where log lines and the service's own words go; nowhere while the system takes none.
#[derive(Debug, Clone)]
pub struct EventLog(Option<Arc<EventSource>>);

impl EventLog {
    pub fn open() -> Self {
        Self(EventSource::open(NAME).ok().map(Arc::new))
    }

    pub fn say(&self, grade: Grade, event: Event, text: &str) {
        if let Some(source) = &self.0 {
            // There is no other place to say it in.
            let _ = source.report(grade, event as u32, text);
        }
    }
}

/// One line of the log.
pub struct Line<'w> {
    log: &'w EventLog,
    grade: Grade,
}

impl io::Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.log.say(self.grade, Event::Line, String::from_utf8_lossy(text).trim_end());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for EventLog {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Line<'w> {
        Line { log: self, grade: Grade::Information }
    }

    fn make_writer_for(&'w self, line: &Metadata<'_>) -> Line<'w> {
        let grade = match *line.level() {
            Level::ERROR => Grade::Error,
            Level::WARN => Grade::Warning,
            _ => Grade::Information,
        };
        Line { log: self, grade }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_comes_and_goes() {
        register().unwrap();
        let source = LOCAL_MACHINE.open(format!("{APPLICATIONS}\\{NAME}")).unwrap();
        assert_eq!(source.get_u32("TypesSupported").unwrap(), KINDS);
        EventLog::open().say(Grade::Information, Event::Started, "started");
        forget().unwrap();
        forget().unwrap();
        assert!(LOCAL_MACHINE.open(format!("{APPLICATIONS}\\{NAME}")).is_err());
    }
}
