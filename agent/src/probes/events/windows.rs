//! The channels System and Application of Windows' event log.
//!
//! Holds: where one of them cannot be read there is no count at all; what was not counted is left to
//! the next run. Too many entries for one run are an error, and the next run begins behind them.

use super::{
    Counts,
    event_log::{Stretch, count},
};
use crate::probes::win32::event_log::{Order, entries};
use std::{io, time::Duration};
use tenken_agent_core::probe::ProbeError;

const CHANNELS: [&str; 2] = ["System", "Application"];
/// A system that is sound has some ten an hour.
const ENTRIES_MAX: usize = 50_000;

/// Where the last run ended, by channel.
#[derive(Debug, Default)]
pub struct Log {
    behind: [Option<u64>; CHANNELS.len()],
}

#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("cannot read the event log {0}")]
    Read(&'static str, #[source] io::Error),
    #[error("the event log {0} has more than {ENTRIES_MAX} errors since the last look")]
    TooMany(&'static str),
    #[error("the newest entry of the event log {0} has no number")]
    Unnumbered(&'static str),
}

impl From<LogError> for ProbeError {
    fn from(e: LogError) -> Self {
        match e {
            LogError::Read(_, source) if source.kind() == io::ErrorKind::Unsupported => Self::Unsupported,
            other @ (LogError::Read(..) | LogError::TooMany(_) | LogError::Unnumbered(_)) => {
                Self::Failed(Box::new(other))
            }
        }
    }
}

impl Log {
    pub fn counted(&mut self, _: Duration) -> Result<Counts, ProbeError> {
        let (mut counts, mut behind, mut full) = (Counts::new(), self.behind, None);
        for (channel, place) in CHANNELS.into_iter().zip(&mut behind) {
            let read = |query: &str, order, max| {
                entries(channel, query, order, max).map_err(|e| LogError::Read(channel, e))
            };
            // An entry without a number is not the same as a log without an entry, which would count
            // all of it anew at the next run.
            let newest = match read("*", Order::NewestFirst, 1)?.first() {
                Some(entry) => Some(entry.record.ok_or(LogError::Unnumbered(channel))?),
                None => None,
            };
            let stretch = Stretch::new(*place, newest);
            if let Some(query) = stretch.query() {
                let found = read(&query, Order::OldestFirst, ENTRIES_MAX + 1)?;
                full = full.or((found.len() > ENTRIES_MAX).then_some(channel));
                count(found, &mut counts);
            }
            *place = Some(stretch.end());
        }
        self.behind = behind;
        full.map_or(Ok(counts), |channel| Err(LogError::TooMany(channel).into()))
    }
}
