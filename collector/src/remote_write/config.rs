//! Configuration of remote write: `[remote_write]`.
//!
//! Holds: what leaves this machine is encrypted; plain HTTP is taken for loopback only. Secrets are
//! paths to files, and no header gets around that.

use crate::notify::config::is_loopback;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tenken_common::{
    config::{HumanDuration, Problems, SecretFile},
    id::HospitalId,
};

/// See the module's head.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWriteConfig {
    pub url: String,
    /// Goes as basic authentication, with `password_file`.
    pub username: Option<String>,
    pub password_file: Option<SecretFile>,
    /// Goes as a bearer token.
    pub token_file: Option<SecretFile>,
    /// Sent with every request, such as a tenant's name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// PEM; the only authorities that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Hospitals of which nothing is sent.
    #[serde(default)]
    pub without: Vec<HospitalId>,
    /// Samples that are older than this are left out; without it none are.
    pub age_max: Option<HumanDuration>,
    /// In one request.
    #[serde(default = "samples_max")]
    pub samples_max: usize,
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// After a failed request; doubles, with jitter, up to `retry_max`.
    #[serde(default = "retry_first")]
    pub retry_first: HumanDuration,
    #[serde(default = "retry_max")]
    pub retry_max: HumanDuration,
}

/// What Prometheus itself sends at once.
fn samples_max() -> usize {
    2_000
}

fn timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

fn retry_first() -> HumanDuration {
    HumanDuration(Duration::from_secs(1))
}

fn retry_max() -> HumanDuration {
    HumanDuration(Duration::from_mins(1))
}

/// Keeps a request below the 32 MiB that receivers take.
const SAMPLES_MAX: usize = 50_000;
const WAIT_MAX: Duration = Duration::from_mins(10);
/// Headers that the protocol sets, and those that are secrets.
const TAKEN: [&str; 7] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-prometheus-remote-write-version",
];

impl RemoteWriteConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        match reqwest::Url::parse(&self.url) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                problems.push("url", "holds a name or password; use username and password_file");
            }
            Ok(url) if url.scheme() == "https" => {}
            Ok(url) if url.scheme() == "http" && url.host_str().is_some_and(is_loopback) => {}
            Ok(_) => problems.push("url", "is not https (plain http is taken for this machine only)"),
            Err(e) => problems.push("url", format!("is no URL: {e}")),
        }
        if self.username.is_some() != self.password_file.is_some() {
            problems.push("username", "and password_file go together");
        }
        if self.username.is_some() && self.token_file.is_some() {
            problems.push("token_file", "and username exclude each other");
        }
        for (name, value) in &self.headers {
            let key = format!("headers.{name}");
            if TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
                problems.push(key, "is not set here; secrets stand in files, the rest is the protocol's");
            } else if name.parse::<reqwest::header::HeaderName>().is_err()
                || value.parse::<reqwest::header::HeaderValue>().is_err()
            {
                problems.push(key, "is no header");
            }
        }
        if self.samples_max == 0 || self.samples_max > SAMPLES_MAX {
            problems.push("samples_max", format!("is not between 1 and {SAMPLES_MAX}"));
        }
        if self.age_max.is_some_and(|age| age.0.is_zero()) {
            problems.push("age_max", "leaves everything out");
        }
        for (key, wait) in
            [("timeout", self.timeout), ("retry_first", self.retry_first), ("retry_max", self.retry_max)]
        {
            if wait.0.is_zero() || wait.0 > WAIT_MAX {
                problems.push(key, "is not between 1ms and 10m");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let config: RemoteWriteConfig = toml::from_str(text).unwrap();
        let mut problems = Problems::default();
        config.check(&mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn a_url_does() {
        for url in ["https://mimir.example.jp/api/v1/push", "http://127.0.0.1:9090/api/v1/write"] {
            assert_eq!(keys(&format!("url = '{url}'")), [""; 0]);
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let text = "url = 'http://example.jp/'\nusername = 'u'\ntoken_file = 't'\nsamples_max = 0\nage_max = '0s'\n\
                    timeout = '0s'\nretry_max = '1h'\n[headers]\nAuthorization = 'Bearer x'\n'a b' = 'c'";
        let expected = [
            "url",
            "username",
            "token_file",
            "headers.Authorization",
            "headers.a b",
            "samples_max",
            "age_max",
            "timeout",
            "retry_max",
        ];
        assert_eq!(keys(text), expected);
        assert_eq!(keys("url = 'https://me:secret@example.jp/'"), ["url"]);
        assert!(toml::from_str::<RemoteWriteConfig>("url = 'https://x/'\nuser = 'a'").is_err());
    }
}
