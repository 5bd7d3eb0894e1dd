//! Prometheus text files that other programs leave on this device, as node_exporter's textfile
//! collector reads them.
//!
//! Holds: a file that was last written longer ago than it may be, or in the future, is stale: that
//! is said, and none of its values. One broken line refuses its whole file, for one that is half
//! written may end anywhere; file and line are named on this device only, in the log. A file whose
//! samples have times of their own is refused, since its date would not be theirs. The state is ok
//! where every file is fresh and whole, else unknown.

use super::{
    Reading, check, every_minute, extract,
    names::Names,
    openmetrics::{self, BrokenLine, Format},
    series::{self, Silence, count, silent},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tenken_agent_core::probe::{Cost, Probe, ProbeContext, ProbeError, ProbeInfo};
use tenken_common::{
    category::Category,
    config::{HumanDuration, Problems},
    id::Name,
    observation::{CheckState, Observation},
    time::Timestamp,
    unit::{Quantity, Unit},
};

/// Of one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Files that one pattern may find.
const FILES_MAX: usize = 64;
/// How far a file's date may lie ahead: file systems round, and clocks are set.
const AHEAD_MAX: Duration = Duration::from_mins(1);

/// `[[probes.textfiles]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextfileSpec {
    /// How it is reported.
    pub name: Name,
    /// Its last part may hold one `*`: all files that fit.
    pub file: PathBuf,
    #[serde(default = "ten_minutes")]
    pub max_age: HumanDuration,
    /// Metrics that are kept.
    pub metrics: Vec<Name>,
}

fn ten_minutes() -> HumanDuration {
    HumanDuration(Duration::from_mins(10))
}

/// Why a file gives nothing.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("has more than {FILE_BYTES_MAX} bytes or {max} series", max = series::SERIES_MAX)]
    TooLarge,
    #[error("is no UTF-8")]
    Text,
    #[error("is older than {0}, or of the future")]
    Stale(HumanDuration),
    #[error(transparent)]
    Line(#[from] BrokenLine),
    #[error("line {0} has a time of its own")]
    OwnTime(usize),
    #[error("has a series that another file has")]
    Twice,
}

impl FileError {
    fn silence(&self) -> Silence {
        match self {
            Self::Read(_) => Silence::Unreadable,
            Self::TooLarge => Silence::TooLarge,
            Self::Stale(_) => Silence::Stale,
            Self::Text | Self::Line(_) | Self::OwnTime(_) | Self::Twice => Silence::Broken,
        }
    }
}

impl TextfileSpec {
    pub fn check(&self, key: &str, problems: &mut Problems) {
        let has_star = |path: &Path| path.to_string_lossy().contains('*');
        if self.file.parent().is_some_and(has_star) {
            problems.push(format!("{key}.file"), "may have a * in its last part only");
        }
        if self.max_age.0.is_zero() {
            problems.push(format!("{key}.max_age"), "must be above zero");
        }
        if self.metrics.is_empty() {
            problems.push(format!("{key}.metrics"), "is empty: name the metrics that are kept");
        }
    }

    fn read(&self, path: &Path, names: &Names, now: Timestamp) -> Result<Vec<Quantity>, FileError> {
        let file = File::open(path)?;
        let at = extract::timestamp(file.metadata()?.modified()?);
        if now.saturating_since(at) > self.max_age.0 || at.saturating_since(now) > AHEAD_MAX {
            return Err(FileError::Stale(self.max_age));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
            return Err(FileError::TooLarge);
        }
        let text = String::from_utf8(bytes).map_err(|_| FileError::Text)?;
        let points = openmetrics::parse(&text, Format::of_text(&text))?;
        if let Some(timed) = points.iter().find(|point| point.time.is_some()) {
            return Err(FileError::OwnTime(timed.line));
        }
        series::quantities(&points, &self.metrics, names).ok_or(FileError::TooLarge)
    }

    fn look(
        &self,
        names: &Names,
        info: &ProbeInfo,
        cx: &ProbeContext,
        troubles: &mut BTreeSet<String>,
    ) -> Vec<Observation> {
        let files = match matching(&self.file) {
            Ok(files) if files.is_empty() => return silent(info, cx, &self.name, Silence::Missing),
            Ok(files) if files.len() > FILES_MAX => {
                return silent(info, cx, &self.name, Silence::TooLarge);
            }
            Ok(files) => files,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return silent(info, cx, &self.name, Silence::Missing);
            }
            Err(_) => return silent(info, cx, &self.name, Silence::Unreadable),
        };
        let mut seen = BTreeSet::new();
        let mut reading = Reading::default();
        let mut bad = Vec::new();
        for path in &files {
            let read = self.read(path, names, cx.at.wall).and_then(|found| {
                let twice = found.iter().any(|quantity| seen.contains(&quantity.name));
                if twice { Err(FileError::Twice) } else { Ok(found) }
            });
            match read {
                Ok(found) => {
                    seen.extend(found.iter().map(|quantity| quantity.name.clone()));
                    reading.0.extend(found);
                }
                Err(e) => {
                    troubles.insert(format!("{} {e}", path.display()));
                    bad.push(e.silence());
                }
            }
        }
        // How many files are silent for each reason.
        for why in bad.iter().copied().collect::<BTreeSet<_>>() {
            let files = bad.iter().filter(|other| **other == why).count();
            reading = reading.with(why.as_str(), Unit::Count, count(files));
        }
        reading = reading.with("files", Unit::Count, count(files.len()));
        let state = if bad.is_empty() { CheckState::Ok } else { CheckState::Unknown };
        let reading = reading.about(info, cx, self.name.clone());
        reading.into_iter().chain([check(info, cx, self.name.clone(), state)]).collect()
    }
}

/// All files that fit, by name.
fn matching(file: &Path) -> io::Result<Vec<PathBuf>> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((start, end)) = name.split_once('*') else {
        return Ok(if file.exists() { vec![file.to_owned()] } else { vec![] });
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(file.parent().unwrap_or(Path::new(".")))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let fits = name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
        // A writer that renames has its half-written files under another name, often a hidden one.
        if fits && !name.starts_with('.') && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// See the module's head.
pub struct Textfiles {
    info: ProbeInfo,
    specs: Vec<TextfileSpec>,
    names: Arc<Names>,
    /// What was wrong the last time; it is told once.
    told: BTreeSet<String>,
}

impl Textfiles {
    pub fn new(specs: Vec<TextfileSpec>, names: Arc<Names>) -> Self {
        let info = every_minute("textfiles", Category::Performance);
        Self { info: ProbeInfo { cost: Cost::Moderate, ..info }, specs, names, told: BTreeSet::new() }
    }
}

impl Probe for Textfiles {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        if self.specs.is_empty() {
            return Err(ProbeError::NoData);
        }
        let mut troubles = BTreeSet::new();
        let looks = self.specs.iter().map(|spec| spec.look(&self.names, &self.info, cx, &mut troubles));
        let seen = looks.flatten().collect();
        let news: Vec<&String> = troubles.difference(&self.told).collect();
        if !news.is_empty() {
            tracing::warn!(files = news.len(), "text files give no values; which ones and why, at debug");
        }
        for trouble in news {
            tracing::debug!("a text file gives no values: {trouble}");
        }
        self.told = troubles;
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::{at_ms, run_here, value, values};
    use std::{fs, time::UNIX_EPOCH};
    use tenken_common::observation::Body;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        /// Written this many seconds before the probe looks; less than zero is after it.
        fn write(&self, name: &str, text: &[u8], age_s: i64) {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            let at = at_ms(1_000).at.wall.as_secs() - age_s;
            let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap());
            File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
        }

        fn probe(&self, file: &str) -> Textfiles {
            let at = self.folder.path().display();
            let spec = format!("name = 'job'\nfile = '{at}/{file}'\nmax_age = '5m'\nmetrics = ['a', 'b']");
            Textfiles::new(vec![toml::from_str(&spec).unwrap()], Arc::new(Names::new(&[], [7; 32])))
        }

        fn look(&self, file: &str) -> (CheckState, Vec<(String, f64)>) {
            let seen = run_here(&mut self.probe(file)).unwrap();
            let [sample, Observation { body: Body::CheckResult(result), .. }] = seen.as_slice() else {
                panic!("a sample and a state: {seen:?}")
            };
            (result.state, values(sample).iter().map(|(n, v)| ((*n).to_owned(), *v)).collect())
        }
    }

    fn owned<const N: usize>(of: [(&str, f64); N]) -> Vec<(String, f64)> {
        of.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    #[test]
    fn fresh_files_give_the_listed_metrics() {
        let place = Place::new();
        place.write("x.prom", b"a 1\nother 2\n", 10);
        place.write("y.prom", b"# TYPE b gauge\nb 3\n# EOF\n", 299);
        place.write(".z.prom", b"half", 0);
        place.write("z.prom.tmp", b"half", 0);
        assert_eq!(place.look("*.prom"), (CheckState::Ok, owned([("a", 1.0), ("b", 3.0), ("files", 2.0)])));
        assert_eq!(place.look("x.prom"), (CheckState::Ok, owned([("a", 1.0), ("files", 1.0)])));
    }

    #[test]
    fn an_old_file_is_stale_and_has_no_values() {
        let place = Place::new();
        place.write("x.prom", b"a 1\n", 301);
        let stale = (CheckState::Unknown, owned([("stale", 1.0), ("files", 1.0)]));
        assert_eq!(place.look("x.prom"), stale);
        place.write("x.prom", b"a 1\n", -61);
        assert_eq!(place.look("x.prom"), stale, "a file of the future would be fresh for ever");
        place.write("y.prom", b"b 2\n", 0);
        let beside = owned([("b", 2.0), ("stale", 1.0), ("files", 2.0)]);
        assert_eq!(place.look("*.prom"), (CheckState::Unknown, beside));
    }

    #[test]
    fn a_broken_file_is_refused_as_a_whole_and_named_with_its_line() {
        let place = Place::new();
        for (text, said) in [
            (&b"a 1\nb 2"[..], "x.prom line 2 is the last one and has no end"),
            (b"a 1\nb x\n", "x.prom line 2 has no number as its value"),
            (b"a 1\nb 2 1441205977284\n", "x.prom line 2 has a time of its own"),
            (b"a \xff\n", "x.prom is no UTF-8"),
        ] {
            place.write("x.prom", text, 0);
            let broken = owned([("broken", 1.0), ("files", 1.0)]);
            assert_eq!(place.look("x.prom"), (CheckState::Unknown, broken));
            let mut probe = place.probe("x.prom");
            run_here(&mut probe).unwrap();
            assert!(probe.told.iter().all(|told| told.ends_with(said)), "{:?}", probe.told);
        }
        let long = vec![b'#'; 1024 * 1024 + 1];
        place.write("x.prom", &long, 0);
        assert_eq!(place.look("x.prom").1[0].0, "too_large");
    }

    #[test]
    fn a_series_in_two_files_counts_once() {
        let place = Place::new();
        place.write("x.prom", b"a{f=\"1\"} 1\n", 0);
        place.write("y.prom", b"a{f=\"1\"} 2\n", 0);
        let seen = run_here(&mut place.probe("*.prom")).unwrap();
        assert_eq!(value(&seen[0], "broken"), Some(1.0));
        assert_eq!(values(&seen[0])[0].1.to_string(), "1");
    }

    #[test]
    fn where_there_is_no_file_that_is_said() {
        let place = Place::new();
        for file in ["x.prom", "*.prom", "no/such/*.prom"] {
            assert_eq!(place.look(file), (CheckState::Unknown, owned([("missing", 1.0)])), "{file}");
        }
    }

    #[test]
    fn impossible_descriptions_are_problems() {
        for (fields, count) in [
            ("file = '/a/*.prom'\nmetrics = ['a']", 0),
            ("file = '/*/a.prom'\nmetrics = []\nmax_age = '0s'", 3),
        ] {
            let spec: TextfileSpec = toml::from_str(&format!("name = 'p'\n{fields}")).unwrap();
            let mut problems = Problems::default();
            spec.check("probes.textfiles.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{fields}");
        }
    }
}
