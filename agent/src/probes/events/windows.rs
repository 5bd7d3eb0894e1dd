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
/// Of Windows itself, as every computer with it has them; blanks are hyphens.
pub const SOURCES: [&str; 40] = [
    ".NET-Runtime",
    "Application-Error",
    "Application-Hang",
    "BTHUSB",
    "BugCheck",
    "Dhcp",
    "Disk",
    "ESENT",
    "EventLog",
    "Microsoft-Windows-CAPI2",
    "Microsoft-Windows-DNS-Client",
    "Microsoft-Windows-Dhcp-Client",
    "Microsoft-Windows-DistributedCOM",
    "Microsoft-Windows-GroupPolicy",
    "Microsoft-Windows-Kernel-Boot",
    "Microsoft-Windows-Kernel-EventTracing",
    "Microsoft-Windows-Kernel-Power",
    "Microsoft-Windows-Ntfs",
    "Microsoft-Windows-Perflib",
    "Microsoft-Windows-Resource-Exhaustion-Detector",
    "Microsoft-Windows-Security-SPP",
    "Microsoft-Windows-TaskScheduler",
    "Microsoft-Windows-Time-Service",
    "Microsoft-Windows-User-Profiles-Service",
    "Microsoft-Windows-WER-SystemErrorReporting",
    "Microsoft-Windows-WHEA-Logger",
    "Microsoft-Windows-WMI",
    "Microsoft-Windows-WindowsUpdateClient",
    "Microsoft-Windows-Winlogon",
    "NETLOGON",
    "Ntfs",
    "Schannel",
    "Service-Control-Manager",
    "VSS",
    "atapi",
    "disk",
    "iaStor",
    "storahci",
    "stornvme",
    "volmgr",
];

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
}

impl From<LogError> for ProbeError {
    fn from(e: LogError) -> Self {
        match e {
            LogError::Read(_, source) if source.kind() == io::ErrorKind::Unsupported => Self::Unsupported,
            other @ (LogError::Read(..) | LogError::TooMany(_)) => Self::Failed(Box::new(other)),
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
            let newest = read("*", Order::NewestFirst, 1)?.first().and_then(|entry| entry.record);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_are_compared() {
        assert!(SOURCES.is_sorted() && SOURCES.iter().all(|name| !name.contains(' ')));
    }
}
