//! Antivirus pattern files: which product, which definitions, from when (SLA A7.1(1)①).
//!
//! Holds: ClamAV is found by itself, by the headers of its databases, which `freshclam` replaces
//! with each update, and on Windows Defender, which is asked through WMI; any other product is
//! described in the configuration (a file's date, a pattern in a file, the output of a command, a
//! registry value). A date in the future is no date. Where nothing is found there is no data, and
//! nobody takes that for good (不明).
//!
//! Does not: believe that a product works because its definitions are new; a service that must run
//! is `services`' to watch.

mod clamav;
#[cfg(any(windows, test))]
pub mod defender;
#[cfg(any(windows, test))]
pub mod security_center;
#[cfg(any(windows, test))]
pub mod standing;
#[cfg(windows)]
mod windows;

pub use clamav::read_header as clamav_header;

use super::{
    every_six_hours,
    extract::{Extract, ExtractError},
    fact,
    names::Names,
    version,
};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};
use tenken_agent_core::probe::{Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::Problems,
    fact::{Fact, PatternFileStatus, PatternSource, PatternState},
    id::Name,
    observation::Observation,
    time::{Timestamp, instant_of},
};

/// Where distributions keep ClamAV's databases.
const CLAMAV_FOLDERS: [&str; 3] = ["/var/lib/clamav", "/usr/local/share/clamav", "/usr/local/var/lib/clamav"];
/// A clock that is a little behind its server's is no fault of the definitions.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// `[[probes.pattern_files]]`: a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternFileSpec {
    /// The product.
    pub name: Name,
    /// How the date stands in what is extracted, as strptime(3) writes it (`%Y%m%d`); without it the
    /// file's own date counts.
    pub date: Option<String>,
    /// The engine's version, where it is known and never changes by itself.
    pub engine: Option<Name>,
    #[serde(flatten)]
    pub extract: Extract,
}

impl PatternFileSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        self.extract.check(key, problems);
        if self.date.is_none() && self.extract.file.is_none() {
            problems.push(format!("{key}.date"), "is missing: only a file has a date of its own");
        }
    }

    fn source(&self) -> PatternSource {
        match (&self.extract.command, &self.extract.registry, &self.date) {
            (Some(_), _, _) => PatternSource::Command,
            (_, Some(_), _) => PatternSource::Registry,
            (_, _, Some(_)) => PatternSource::FileText,
            (_, _, None) => PatternSource::FileDate,
        }
    }

    fn read(&self, info: &ProbeInfo, now: Timestamp) -> Result<PatternFileStatus, ExtractError> {
        let (found, defined_at) = if let Some(format) = &self.date {
            let text = self.extract.text()?;
            (version(&text), instant_of(&text, format))
        } else {
            // A pattern may still find the version; the date is the file's.
            let text = self.extract.pattern.as_ref().and_then(|_| self.extract.text().ok());
            (text.as_deref().and_then(version), Some(self.extract.modified()?))
        };
        let defined_at = defined_at.filter(|at| *at <= now.plus(AHEAD_MAX));
        let state = if defined_at.is_some() { PatternState::Known } else { PatternState::Unknown };
        Ok(PatternFileStatus {
            probe: Name::of_outside(info.name),
            source: self.source(),
            state,
            engine: self.engine.clone(),
            version: found,
            defined_at,
        })
    }
}

/// See the module's head.
pub struct PatternFiles {
    info: ProbeInfo,
    specs: Vec<PatternFileSpec>,
    #[cfg(windows)]
    system: windows::System,
}

impl PatternFiles {
    #[cfg_attr(not(windows), expect(unused_variables, reason = "only Windows names products by itself"))]
    pub fn new(specs: Vec<PatternFileSpec>, names: &Arc<Names>) -> Self {
        Self {
            info: every_six_hours("pattern_files", Category::PatternFile),
            #[cfg(windows)]
            system: windows::System::new(names.clone(), !specs.is_empty()),
            specs,
        }
    }
}

impl Probe for PatternFiles {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    /// A product that is described and cannot be read is not known; that is said of it.
    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let now = cx.at.wall;
        let mut seen = Vec::new();
        let clamav =
            CLAMAV_FOLDERS.iter().find_map(|folder| clamav::look(Path::new(folder), &self.info, now));
        seen.extend(clamav.map(|status| (Name::of_outside("clamav"), status)));
        #[cfg(windows)]
        seen.extend(self.system.look(&self.info, now));
        for spec in &self.specs {
            let status = spec.read(&self.info, now).unwrap_or_else(|e| {
                tracing::debug!(product = %spec.name, reason = %e, "pattern file not read");
                PatternFileStatus {
                    probe: Name::of_outside(self.info.name),
                    source: spec.source(),
                    state: PatternState::Unknown,
                    engine: None,
                    version: None,
                    defined_at: None,
                }
            });
            seen.push((spec.name.clone(), status));
        }
        let told = |(product, status)| fact(&self.info, cx, product, Fact::PatternFileStatus(status));
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen.into_iter().map(told).collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{at_ms, run_here};
    use tenken_common::observation::Body;

    fn statuses(fields: &str) -> PatternFileStatus {
        let spec: PatternFileSpec = toml::from_str(&format!("name = 'product'\n{fields}")).unwrap();
        let mut problems = Problems::default();
        spec.check("probes.pattern_files.0", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let seen = run_here(&mut PatternFiles::new(vec![spec], &Arc::new(Names::new(&[], [1; 32])))).unwrap();
        let found = seen.into_iter().find(|o| o.subject.as_str() == "product").unwrap();
        let Body::Fact(Fact::PatternFileStatus(status)) = found.body else { panic!("{found:?}") };
        status
    }

    #[test]
    fn a_date_in_a_text_or_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("definfo.dat");
        std::fs::write(&path, "[DefDates]\nCurDefs=20261125.003\n").unwrap();
        let dated = statuses(&format!(
            "file = '{}'\npattern = 'CurDefs=(\\d{{8}})'\ndate = '%Y%m%d'",
            path.display()
        ));
        assert_eq!(dated.state, PatternState::Known);
        assert_eq!(dated.defined_at.unwrap().to_string(), "2026-11-24T15:00:00Z");
        assert_eq!((dated.source, dated.version.unwrap().as_str()), (PatternSource::FileText, "20261125"));
        let file = statuses(&format!("file = '{}'", path.display()));
        assert_eq!((file.source, file.state), (PatternSource::FileDate, PatternState::Known));
        let printed = statuses("command = ['echo', '2026/11/25 09:30']\ndate = '%Y/%m/%d %H:%M'");
        assert_eq!((printed.source, printed.version), (PatternSource::Command, None));
    }

    #[test]
    fn what_cannot_be_read_or_be_is_not_known() {
        for fields in [
            "file = '/no/such/file'",
            "command = ['false']\ndate = '%Y%m%d'",
            "command = ['echo', 'never']\ndate = '%Y%m%d'",
            "command = ['echo', '29991231']\ndate = '%Y%m%d'",
        ] {
            let status = statuses(fields);
            assert_eq!((status.state, status.defined_at), (PatternState::Unknown, None), "{fields}");
        }
        assert!(at_ms(0).at.wall < Timestamp::from_secs(32_000_000_000));
    }
}
