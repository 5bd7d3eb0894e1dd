//! A value out of somebody else's file, command or registry, as the configuration describes it:
//! pattern files of any product, versions of device software, wear counters.
//!
//! Holds: where the description does not fit what is found, there is no value and the place is
//! named; a value is never guessed. Of a file at most its last [`FILE_BYTES_MAX`] bytes are read.

use super::command::{Command, CommandError, CommandLine};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tenken_agent_core::probe::ProbeError;
use tenken_common::{
    config::{HumanDuration, Problems},
    time::Timestamp,
};

/// What is read of a file.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
const TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(10));

/// Where the value is, and how it is found there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extract {
    /// A file; its last part may hold one `*`, and the newest that fits is read.
    pub file: Option<PathBuf>,
    /// Program and arguments, without a shell.
    pub command: Option<CommandLine>,
    /// A value of the Windows registry: `HKLM\SOFTWARE\Vendor\Product\Version`.
    pub registry: Option<String>,
    /// A regular expression; its first group (or all of it) is the value, and the last match counts.
    pub pattern: Option<String>,
    /// A JSON pointer, `/status/exposures`.
    pub json: Option<String>,
    /// A column's name: the value in the last line of a CSV file with a head.
    pub column: Option<String>,
    /// Of the command.
    pub timeout: Option<HumanDuration>,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    #[error("the registry has no value {0}")]
    NoRegistry(String),
    #[error("the registry can only be read on Windows")]
    NotWindows,
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("{program} ended with code {code}")]
    Code { program: String, code: i32 },
    #[error("{place} has nothing that fits `{what}`")]
    NoMatch { place: String, what: String },
    #[error("{place} is no JSON")]
    Json { place: String, source: serde_json::Error },
    #[error("{place} is no CSV")]
    Csv { place: String, source: csv::Error },
    #[error("`{0}` is no number")]
    NoNumber(String),
    #[error("the configuration names no file, command or registry value")]
    Nothing,
}

impl From<ExtractError> for ProbeError {
    fn from(e: ExtractError) -> Self {
        match e {
            ExtractError::Command(e) => e.into(),
            other @ (ExtractError::File { .. }
            | ExtractError::NoFile(_)
            | ExtractError::NoRegistry(_)
            | ExtractError::NotWindows
            | ExtractError::Code { .. }
            | ExtractError::NoMatch { .. }
            | ExtractError::Json { .. }
            | ExtractError::Csv { .. }
            | ExtractError::NoNumber(_)
            | ExtractError::Nothing) => Self::Failed(Box::new(other)),
        }
    }
}

impl Extract {
    /// `key` is the description's place in the configuration.
    pub fn check(&self, key: &str, problems: &mut Problems) {
        let places = [self.file.is_some(), self.command.is_some(), self.registry.is_some()];
        if places.iter().filter(|there| **there).count() != 1 {
            problems.push(key, "names one of file, command, registry");
        }
        let ways = [self.pattern.is_some(), self.json.is_some(), self.column.is_some()];
        if ways.iter().filter(|there| **there).count() > 1 {
            problems.push(key, "has one of pattern, json, column");
        }
        if let Some(Err(e)) = self.pattern.as_deref().map(Regex::new) {
            problems.push(format!("{key}.pattern"), e.to_string());
        }
        if self.json.as_deref().is_some_and(|pointer| !pointer.starts_with('/')) {
            problems.push(format!("{key}.json"), "is a JSON pointer and begins with /");
        }
        if self.command.as_ref().is_some_and(|line| line.0.is_empty()) {
            problems.push(format!("{key}.command"), "is empty: name the program and its arguments");
        }
        if self.file.as_deref().is_some_and(|file| file.parent().is_some_and(has_star)) {
            problems.push(format!("{key}.file"), "may have a * in its last part only");
        }
    }

    /// The value as a text without blanks around it.
    pub fn text(&self) -> Result<String, ExtractError> {
        let (place, text) = self.read()?;
        self.find(&place, &text).map(|found| found.trim().to_owned())
    }

    pub fn number(&self) -> Result<f64, ExtractError> {
        let text = self.text()?;
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| ExtractError::NoNumber(text.chars().take(40).collect()))
    }

    /// When the file was last written.
    pub fn modified(&self) -> Result<Timestamp, ExtractError> {
        let path = self.path()?;
        let meta = std::fs::metadata(&path).and_then(|meta| meta.modified());
        match meta {
            Ok(at) => Ok(timestamp(at)),
            Err(source) => Err(ExtractError::File { path, source }),
        }
    }

    fn read(&self) -> Result<(String, String), ExtractError> {
        if self.file.is_some() {
            let path = self.path()?;
            let text = tail(&path).map_err(|source| ExtractError::File { path: path.clone(), source })?;
            return Ok((path.display().to_string(), text));
        }
        if let Some(line) = &self.command {
            let ended = Command::of(line)?.run(self.timeout.unwrap_or(TIMEOUT).0)?;
            let program = line.0.first().cloned().unwrap_or_default();
            return match ended.code {
                0 => Ok((program, ended.stdout)),
                code => Err(ExtractError::Code { program, code }),
            };
        }
        let Some(value) = &self.registry else { return Err(ExtractError::Nothing) };
        registry(value).map(|text| (value.clone(), text))
    }

    fn path(&self) -> Result<PathBuf, ExtractError> {
        let file = self.file.as_deref().ok_or(ExtractError::Nothing)?;
        newest(file)
            .map_err(|source| ExtractError::File { path: file.to_owned(), source })?
            .ok_or_else(|| ExtractError::NoFile(file.to_owned()))
    }

    fn find(&self, place: &str, text: &str) -> Result<String, ExtractError> {
        let none = |what: &str| ExtractError::NoMatch { place: place.to_owned(), what: what.to_owned() };
        if let Some(pattern) = &self.pattern {
            let found = Regex::new(pattern).ok().and_then(|regex| {
                let last = regex.captures_iter(text).last()?;
                last.get(1).or_else(|| last.get(0)).map(|found| found.as_str().to_owned())
            });
            return found.ok_or_else(|| none(pattern));
        }
        if let Some(pointer) = &self.json {
            let json: serde_json::Value = serde_json::from_str(text)
                .map_err(|source| ExtractError::Json { place: place.to_owned(), source })?;
            return match json.pointer(pointer) {
                Some(serde_json::Value::String(text)) => Ok(text.clone()),
                Some(found @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                    Ok(found.to_string())
                }
                Some(
                    serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_),
                )
                | None => Err(none(pointer)),
            };
        }
        if let Some(column) = &self.column {
            return last_in_column(text, column)
                .map_err(|source| ExtractError::Csv { place: place.to_owned(), source })?
                .ok_or_else(|| none(column));
        }
        Ok(text.to_owned())
    }
}

fn last_in_column(text: &str, column: &str) -> Result<Option<String>, csv::Error> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let Some(at) = reader.headers()?.iter().position(|name| name.trim() == column) else { return Ok(None) };
    let mut last = None;
    for line in reader.records() {
        last = line?.get(at).map(str::to_owned);
    }
    Ok(last)
}

fn has_star(path: &Path) -> bool {
    path.to_string_lossy().contains('*')
}

/// The newest file that fits; `None` where there is none.
fn newest(file: &Path) -> io::Result<Option<PathBuf>> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((start, end)) = name.split_once('*') else { return Ok(file.exists().then(|| file.to_owned())) };
    let mut found: Option<(SystemTime, PathBuf)> = None;
    for entry in std::fs::read_dir(file.parent().unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let fits = name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
        if fits && entry.file_type()?.is_file() {
            let one = (entry.metadata()?.modified()?, entry.path());
            found = found.max(Some(one));
        }
    }
    Ok(found.map(|(_, path)| path))
}

/// The end of a file as text; bytes that are no UTF-8 are replaced.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(FILE_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file's time as the wire has it.
pub fn timestamp(at: SystemTime) -> Timestamp {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::EPOCH.plus(since),
        Err(before) => Timestamp::EPOCH.minus(before.duration()),
    }
}

#[cfg(not(windows))]
fn registry(_: &str) -> Result<String, ExtractError> {
    Err(ExtractError::NotWindows)
}

#[cfg(windows)]
fn registry(value: &str) -> Result<String, ExtractError> {
    let none = || ExtractError::NoRegistry(value.to_owned());
    let (key, name) = value.rsplit_once('\\').ok_or_else(none)?;
    // `reg.exe` is on every Windows and needs no unsafe code of ours.
    let ended = Command::new("reg").args(["query", key, "/v", name]).run(TIMEOUT.0)?;
    let line = ended.stdout.lines().map(str::trim).find(|line| line.starts_with(name));
    let kind_and_text =
        line.and_then(|line| line.get(name.len()..)).map(str::trim).filter(|_| ended.code == 0);
    kind_and_text
        .and_then(|rest| rest.split_once(char::is_whitespace))
        .map(|(_, text)| text.trim().to_owned())
        .ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::time::instant_of;

    fn of(fields: &str) -> Extract {
        toml::from_str(fields).unwrap()
    }

    #[cfg(unix)]
    fn in_file(text: &str, how: &str) -> Result<String, ExtractError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        std::fs::write(&path, text).unwrap();
        of(&format!("file = '{}'\n{how}", path.display())).text()
    }

    #[cfg(unix)]
    #[test]
    fn a_value_in_each_form() {
        let ini = "[Product]\nVersion = 4.2.0\nVersion = 4.2.1 \n";
        assert_eq!(in_file(ini, r"pattern = 'Version = (\S+)'").unwrap(), "4.2.1", "the last counts");
        assert_eq!(
            in_file(r#"{"tube": {"exposures": 125000}}"#, "json = '/tube/exposures'").unwrap(),
            "125000"
        );
        assert_eq!(in_file("time,hours\n1,10.5\n2,11.5\n", "column = 'hours'").unwrap(), "11.5");
        assert_eq!(in_file(" 7.0.2\n", "").unwrap(), "7.0.2");
        assert_eq!(of("command = ['echo', 'v1.2']").text().unwrap(), "v1.2");
        assert!((of("command = ['echo', '3.5e3']").number().unwrap() - 3_500.0).abs() < 1e-9);
    }

    #[cfg(unix)]
    #[test]
    fn what_does_not_fit_gives_no_value_and_says_why() {
        for (text, how, said) in [
            ("x", "pattern = 'Version (.*)'", "nothing that fits `Version (.*)`"),
            ("{", "json = '/a'", "is no JSON"),
            (r#"{"a": [1]}"#, "json = '/a'", "nothing that fits `/a`"),
            ("a,b\n1\n", "column = 'b'", "is no CSV"),
            ("a,b\n", "column = 'c'", "nothing that fits `c`"),
        ] {
            let e = in_file(text, how).unwrap_err();
            assert!(e.to_string().contains(said), "{e}");
        }
        for (fields, said) in [
            ("command = ['false']", "false ended with code 1"),
            ("file = '/no/such/file'", "there is no file /no/such/file"),
            ("registry = 'HKLM\\X\\Y'", "the registry can only be read on Windows"),
            ("", "names no file"),
        ] {
            assert!(of(fields).text().unwrap_err().to_string().contains(said), "{fields}");
        }
        for word in ["NaN", "inf", "twelve", ""] {
            let fields = format!("command = ['echo', '{word}']");
            assert!(matches!(of(&fields).number(), Err(ExtractError::NoNumber(_))), "{word}");
        }
    }

    #[test]
    fn the_newest_of_several_files() {
        let folder = tempfile::tempdir().unwrap();
        for (name, day) in [("lpt$vpn.101", 1), ("lpt$vpn.103", 3), ("lpt$vpn.102", 2), ("other.104", 4)] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(day * 86_400)).unwrap();
        }
        let extract = of(&format!("file = '{}/lpt$vpn.*'", folder.path().display()));
        assert_eq!(extract.path().unwrap().file_name().unwrap(), "lpt$vpn.103");
        assert_eq!(extract.modified().unwrap(), Timestamp::from_secs(3 * 86_400));
        assert!(of(&format!("file = '{}/none*'", folder.path().display())).modified().is_err());
    }

    #[test]
    fn a_description_that_cannot_be_followed_is_a_problem_of_the_configuration() {
        for (fields, count) in [
            ("file = 'a'", 0),
            ("file = 'a'\ncommand = ['b']", 1),
            ("pattern = 'a'", 1),
            ("file = 'a'\npattern = '('", 1),
            ("file = 'a'\njson = 'a'\ncolumn = 'b'", 2),
            ("file = '/a*/b'", 1),
            ("command = []", 1),
        ] {
            let mut problems = Problems::default();
            of(fields).check("probes.counters.0", &mut problems);
            assert_eq!(problems.iter().count(), count, "{fields}: {problems:?}");
        }
    }

    #[test]
    fn dates_as_products_write_them() {
        let at = |text, format| instant_of(text, format).unwrap().to_string();
        assert_eq!(at("20231126", "%Y%m%d"), "2023-11-25T15:00:00Z");
        assert_eq!(at("21 Sep 2021 07-45 -0400", "%d %b %Y %H-%M %z"), "2021-09-21T11:45:00Z");
        assert_eq!(at("2023/11/26 09:30", "%Y/%m/%d %H:%M"), "2023-11-26T00:30:00Z");
        assert_eq!(instant_of("soon", "%Y%m%d"), None);
    }
}
