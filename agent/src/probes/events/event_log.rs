//! What is asked of a channel of Windows' event log, and what its answers come to.
//!
//! Holds: a run counts what lies behind the last run's newest entry, up to the newest of now, by the
//! log's own numbering of entries; the wall clock has no part in it after the first run. Where the
//! newest entry has a lower number than before, the log was cleared, and all that is in it is new.
//! An error that occurs while it is looked at is the next run's.

use super::Counts;

/// Critical and error; a level of zero is an audit.
const LEVELS: &str = "(Level=1 or Level=2)";
/// Of Windows itself, as every computer with it has them; blanks are hyphens.
pub const SOURCES: [&str; 50] = [
    ".NET-Runtime",
    ".NET-Runtime-Optimization-Service",
    "Application-Error",
    "Application-Hang",
    "BTHUSB",
    "BugCheck",
    "Dhcp",
    "Disk",
    "ESENT",
    "EventLog",
    "LsaSrv",
    "Microsoft-Windows-CAPI2",
    "Microsoft-Windows-DNS-Client",
    "Microsoft-Windows-Dhcp-Client",
    "Microsoft-Windows-DistributedCOM",
    "Microsoft-Windows-GroupPolicy",
    "Microsoft-Windows-Kernel-Boot",
    "Microsoft-Windows-Kernel-EventTracing",
    "Microsoft-Windows-Kernel-Power",
    "Microsoft-Windows-NDIS",
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
    "MsiInstaller",
    "NETLOGON",
    "NetBT",
    "Ntfs",
    "Schannel",
    "Server",
    "Service-Control-Manager",
    "SideBySide",
    "Tcpip",
    "TermDD",
    "VSS",
    "atapi",
    "disk",
    "iaStor",
    "storahci",
    "stornvme",
    "volmgr",
    "volsnap",
];

/// An entry; what does not look as documented is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The provider's name.
    pub source: Option<String>,
    /// What happened, by the provider's own numbering.
    pub id: Option<u16>,
    /// Its place in the channel.
    pub record: Option<u64>,
}

/// What a run looks at of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The newest entry of the run before; `None` for the first run.
    behind: Option<u64>,
    /// `None` for a log without a single entry.
    newest: Option<u64>,
}

impl Stretch {
    pub fn new(behind: Option<u64>, newest: Option<u64>) -> Self {
        let cleared = behind.is_some_and(|behind| newest.is_none_or(|newest| newest < behind));
        Self { behind: if cleared { Some(0) } else { behind }, newest }
    }

    /// An XPath query as the event log understands it; `None` where there is nothing to look at.
    pub fn query(self) -> Option<String> {
        let newest = self.newest.filter(|newest| self.behind.is_none_or(|behind| *newest > behind))?;
        let from = match self.behind {
            Some(behind) => format!("EventRecordID > {behind}"),
            None => "TimeCreated[timediff(@SystemTime) <= 3600000]".to_owned(),
        };
        Some(format!("*[System[{LEVELS} and {from} and EventRecordID <= {newest}]]"))
    }

    /// Behind which the next run looks.
    pub fn end(self) -> u64 {
        self.newest.unwrap_or(0)
    }
}

/// An entry without a source or a number is counted as what it is.
pub fn count(entries: Vec<Entry>, into: &mut Counts) {
    for entry in entries {
        let source = entry.source.filter(|source| !source.trim().is_empty());
        let of_source = into.entry(source.unwrap_or_else(|| "unknown".to_owned())).or_default();
        *of_source.entry(entry.id).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, id: u16, record: u64) -> Entry {
        Entry { source: Some(source.to_owned()), id: Some(id), record: Some(record) }
    }

    #[test]
    fn names_are_as_they_are_compared() {
        assert!(SOURCES.is_sorted() && SOURCES.iter().all(|name| !name.contains(' ')));
    }

    #[test]
    fn entries_are_counted_by_provider_and_number() {
        let entries = vec![
            entry("Microsoft-Windows-DistributedCOM", 10_016, 1),
            entry("disk", 7, 2),
            entry("disk", 7, 3),
            entry("disk", 51, 4),
            Entry::default(),
            Entry { source: Some("  ".to_owned()), id: Some(3), record: None },
        ];
        let mut counts = Counts::new();
        count(entries, &mut counts);
        count(vec![entry("disk", 7, 9)], &mut counts);
        let of = |source: &str| counts[source].iter().map(|(id, n)| (*id, *n)).collect::<Vec<_>>();
        assert_eq!(of("disk"), [(Some(7), 3), (Some(51), 1)]);
        assert_eq!(of("unknown"), [(None, 1), (Some(3), 1)]);
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn a_stretch_begins_behind_the_last_and_ends_at_the_newest() {
        let first = Stretch::new(None, Some(900));
        let query = "*[System[(Level=1 or Level=2) and TimeCreated[timediff(@SystemTime) <= 3600000] \
                     and EventRecordID <= 900]]";
        assert_eq!((first.query().as_deref(), first.end()), (Some(query), 900));
        let next = Stretch::new(Some(900), Some(950));
        let query = "*[System[(Level=1 or Level=2) and EventRecordID > 900 and EventRecordID <= 950]]";
        assert_eq!((next.query().as_deref(), next.end()), (Some(query), 950));
        assert_eq!(Stretch::new(Some(950), Some(950)).query(), None, "nothing new");
    }

    #[test]
    fn a_cleared_log_is_new_as_a_whole() {
        let cleared = Stretch::new(Some(900), Some(3));
        let query = "*[System[(Level=1 or Level=2) and EventRecordID > 0 and EventRecordID <= 3]]";
        assert_eq!((cleared.query().as_deref(), cleared.end()), (Some(query), 3));
        for behind in [None, Some(900)] {
            let empty = Stretch::new(behind, None);
            assert_eq!((empty.query(), empty.end()), (None, 0));
        }
        assert!(Stretch::new(Some(0), Some(1)).query().is_some(), "the first of a new log");
    }
}
