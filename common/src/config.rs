//! Configuration: strict TOML that reports every problem at once, each with its key path.
//!
//! Holds: an unknown key, a value of the wrong type and a value that makes no sense are all
//! errors, collected and shown together; nothing starts before there are none. Durations and
//! sizes carry their unit (`"15m"`, `"64MiB"`), secrets are paths to files.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// A configuration's own judgement of itself, after its shape was found good.
pub trait Check {
    fn check(&self, problems: &mut Problems);
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key path; empty for the file as a whole.
    pub key: String,
    pub text: String,
}

/// All that is to be mended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { key: key.into(), text: text.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// `2 problems:` and a line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem{}:", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for p in &self.0 {
            let colon = if p.key.is_empty() { "" } else { ": " };
            write!(f, "\n  {}{colon}{}", p.key, p.text)?;
        }
        Ok(())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} has {problems}", path.display())]
    Invalid { path: PathBuf, problems: Problems },
}

/// Reads, parses and checks a file.
pub fn load<T: DeserializeOwned + Check>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|problems| ConfigError::Invalid { path: path.to_owned(), problems })
}

/// Parses and checks a text.
///
/// serde stops at its first error; so each one that names a place is noted, the place taken out
/// of the document, and the rest read again.
pub fn parse<T: DeserializeOwned + Check>(text: &str) -> Result<T, Problems> {
    let mut problems = Problems::default();
    let table: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(e) => {
            problems.push("", e.to_string().trim().replace('\n', "\n  "));
            return Err(problems);
        }
    };
    let mut document = toml::Value::Table(table);
    let mut taken: Vec<Vec<String>> = Vec::new();
    loop {
        match serde_path_to_error::deserialize::<_, T>(document.clone()) {
            Ok(config) => {
                let mut found = Problems::default();
                config.check(&mut found);
                for Problem { key, text } in found.0 {
                    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
                    problems.push(as_written(&path, &taken).join("."), text);
                }
                return if problems.is_empty() { Ok(config) } else { Err(problems) };
            }
            Err(e) => {
                let path: Vec<String> = segments(e.path());
                let written = as_written(&path, &taken);
                let text = e.inner().to_string().trim().replace('\n', " ");
                // What is missing because it was just taken out has been complained about.
                let noted = |problem: &Problem| {
                    problem
                        .key
                        .strip_prefix(&format!("{}.", written.join(".")))
                        .is_some_and(|field| text.starts_with(&format!("missing field `{field}`")))
                };
                if !problems.iter().any(noted) {
                    problems.push(written.join("."), text);
                }
                if !remove(&mut document, &path) {
                    return Err(problems);
                }
                taken.push(written);
            }
        }
    }
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|s| match s {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

/// A path as it stands in the file, where elements of lists may have been taken out since.
fn as_written(path: &[String], taken: &[Vec<String>]) -> Vec<String> {
    let mut written: Vec<String> = Vec::new();
    for step in path {
        let mut step = step.clone();
        if let Ok(mut index) = step.parse::<usize>() {
            let in_same_list = |t: &Vec<String>| {
                let (index, parent) = t.split_last()?;
                (parent == written.as_slice()).then(|| index.parse::<usize>().ok())?
            };
            let mut gone: Vec<usize> = taken.iter().filter_map(in_same_list).collect();
            gone.sort_unstable();
            for earlier in gone {
                index += usize::from(earlier <= index);
            }
            step = index.to_string();
        }
        written.push(step);
    }
    written
}

/// Whether there was something at `path` to take out.
fn remove(value: &mut toml::Value, path: &[String]) -> bool {
    let Some((head, rest)) = path.split_first() else { return false };
    match value {
        toml::Value::Table(table) if rest.is_empty() => table.remove(head).is_some(),
        toml::Value::Table(table) => table.get_mut(head).is_some_and(|v| remove(v, rest)),
        toml::Value::Array(array) => match head.parse::<usize>() {
            Ok(i) if i < array.len() && rest.is_empty() => {
                array.remove(i);
                true
            }
            Ok(i) => array.get_mut(i).is_some_and(|v| remove(v, rest)),
            Err(_) => false,
        },
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => false,
    }
}

/// A duration with its unit: `500ms`, `10s`, `15m`, `9h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HumanDuration(pub Duration);

/// A number of bytes with its unit: `512B`, `64KiB`, `64MiB`, `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is no duration or size.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum UnitError {
    #[error("`{0}` is no duration (write it like \"500ms\", \"10s\", \"15m\", \"9h\" or \"30d\")")]
    Duration(String),
    #[error("`{0}` is no size (write it like \"64KiB\", \"64MiB\" or \"2GiB\")")]
    Size(String),
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

impl FromStr for HumanDuration {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Duration(text.to_owned());
        let (number, unit) = split_unit(text).ok_or_else(bad)?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        number.checked_mul(unit_ms).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(bad)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (size, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(size, _)| ms > 0 && ms.is_multiple_of(*size))
            .unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / size)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Size(text.to_owned());
        let (number, unit) = split_unit(text).ok_or_else(bad)?;
        let size: u64 = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(bad()),
        };
        number.checked_mul(size).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(size, _)| self.0 > 0 && self.0.is_multiple_of(*size))
            .unwrap_or((1, "B"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }
    )*};
}
as_text!(HumanDuration, ByteSize);

/// A secret that stands in a file of its own; prints as that file's path only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretFile(pub PathBuf);

impl SecretFile {
    /// The file's text without the line end that editors add.
    pub fn read(&self) -> Result<String, ConfigError> {
        std::fs::read_to_string(&self.0)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|source| ConfigError::Read { path: self.0.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        name: String,
        spool: Inner,
        list: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        interval: HumanDuration,
        size: ByteSize,
    }
    impl Default for Inner {
        fn default() -> Self {
            Self { interval: HumanDuration(Duration::from_secs(60)), size: ByteSize(1) }
        }
    }
    impl Check for Outer {
        fn check(&self, problems: &mut Problems) {
            if self.name.is_empty() {
                problems.push("name", "is missing");
            }
        }
    }

    #[test]
    fn all_problems_come_at_once_with_their_places() {
        let text = "nam = 'x'\n[spool]\ninterval = '5 parsecs'\nsize = 7\n[[list]]\n[[list]]\nsizes = 1";
        let problems = parse::<Outer>(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["list.1.sizes", "nam", "name", "spool.interval", "spool.size"], "{problems:?}");
    }

    #[test]
    fn places_are_those_of_the_file_and_nothing_is_said_twice() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Services {
            service: Vec<Service>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Service {
            name: String,
            after: HumanDuration,
        }
        impl Check for Services {
            fn check(&self, _: &mut Problems) {}
        }
        let text = "[[service]]\nname = 'a'\n[[service]]\nname = 'b'\nafter = '1s'\n\
                    [[service]]\nname = 'c'\nafter = 'soon'\n[[service]]\nafter = '1s'";
        let problems = parse::<Services>(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["service.0", "service.2.after", "service.3"], "{problems:?}");
    }

    #[test]
    fn a_good_file_has_none() {
        let text = "name = 'a'\n[spool]\ninterval = '15m'\nsize = '64MiB'";
        let config = parse::<Outer>(text).unwrap();
        assert_eq!(config.spool.interval.0, Duration::from_secs(900));
        assert_eq!((config.spool.size.0, config.spool.size.to_string()), (64 << 20, "64MiB".into()));
        assert!(config.list.is_empty());
    }

    #[test]
    fn broken_toml_names_its_line() {
        let problems = parse::<Outer>("name = \n").unwrap_err();
        assert!(problems.iter().next().unwrap().text.contains("line 1"));
    }
}
