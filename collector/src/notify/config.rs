//! Configuration of the outlets: `[[notify.email]]`, `[[notify.webhook]]`, `[[notify.alertmanager]]`.
//!
//! Holds: what leaves this machine is encrypted; plain SMTP and plain HTTP are taken for
//! loopback only. Secrets are paths to files.

use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tenken_collector_core::desk::{notice::Severity, route::Only};
use tenken_common::{
    config::{Check, HumanDuration, Problems, SecretFile},
    id::Name,
    message::Language,
};

/// All outlets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    pub email: Vec<EmailConfig>,
    pub webhook: Vec<WebhookConfig>,
    pub alertmanager: Vec<AlertmanagerConfig>,
}

/// How mail travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// SMTP that must switch to TLS before anything is said; port 587.
    #[default]
    Starttls,
    /// TLS from the first byte; port 465.
    Tls,
    /// None at all: for a relay on this machine, port 25.
    None,
}

/// A mail server and who gets mail through it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    pub name: Name,
    /// Host name or address.
    pub server: String,
    /// The encryption's usual port where it is not given.
    pub port: Option<u16>,
    #[serde(default)]
    pub encryption: Encryption,
    /// PEM; the only authorities that are trusted, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password_file: Option<SecretFile>,
    pub from: String,
    #[serde(default)]
    pub to: Vec<String>,
    /// Also to whom the contract names for the hours (SLA A4.4).
    #[serde(default)]
    pub to_contacts: bool,
    #[serde(default)]
    pub language: Language,
    #[serde(default = "least_severity")]
    pub min_severity: Severity,
    #[serde(default)]
    pub only: Only,
    /// Whether what is told of one hospital at the same time is one mail.
    #[serde(default = "yes")]
    pub group: bool,
    /// How long what is less than critical, and what is over, waits for company.
    #[serde(default = "group_wait")]
    pub group_wait: HumanDuration,
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

/// A URL that gets signed JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    pub name: Name,
    pub url: String,
    /// The key of the signature.
    pub secret_file: SecretFile,
    /// PEM; the only authorities that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub language: Language,
    #[serde(default = "least_severity")]
    pub min_severity: Severity,
    #[serde(default)]
    pub only: Only,
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

/// An Alertmanager, by its API of version 2.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerConfig {
    pub name: Name,
    /// Where it is, without `/api/v2`.
    pub url: String,
    pub username: Option<String>,
    pub password_file: Option<SecretFile>,
    /// PEM; the only authorities that are trusted, instead of the system's.
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub language: Language,
    #[serde(default = "least_severity")]
    pub min_severity: Severity,
    #[serde(default)]
    pub only: Only,
    /// How often it is told again what is open: it keeps that in memory only.
    #[serde(default = "a_minute")]
    pub repeat: HumanDuration,
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

fn a_minute() -> HumanDuration {
    HumanDuration(REPEAT_MAX)
}

fn yes() -> bool {
    true
}

/// As Alertmanager's.
fn group_wait() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

fn least_severity() -> Severity {
    Severity::Warning
}

fn timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(20))
}

/// Alertmanager's own clients repeat once a minute.
const REPEAT_MAX: Duration = Duration::from_mins(1);
const GROUP_WAIT_MAX: Duration = Duration::from_mins(30);
const TIMEOUT_MAX: Duration = Duration::from_mins(5);

impl Check for NotifyConfig {
    fn check(&self, problems: &mut Problems) {
        let mut names = BTreeSet::new();
        for (i, c) in self.email.iter().enumerate() {
            c.check(&format!("email.{i}"), problems);
            if !names.insert(&c.name) {
                problems.push(format!("email.{i}.name"), "is the name of another outlet too");
            }
        }
        for (i, c) in self.webhook.iter().enumerate() {
            c.check(&format!("webhook.{i}"), problems);
            if !names.insert(&c.name) {
                problems.push(format!("webhook.{i}.name"), "is the name of another outlet too");
            }
        }
        for (i, c) in self.alertmanager.iter().enumerate() {
            c.check(&format!("alertmanager.{i}"), problems);
            if !names.insert(&c.name) {
                problems.push(format!("alertmanager.{i}.name"), "is the name of another outlet too");
            }
        }
    }
}

impl EmailConfig {
    fn check(&self, at: &str, problems: &mut Problems) {
        if self.server.is_empty() {
            problems.push(format!("{at}.server"), "is empty");
        }
        if self.encryption == Encryption::None && !is_loopback(&self.server) {
            let text = "\"none\" is for a relay on this machine only (localhost, 127.0.0.1, ::1)";
            problems.push(format!("{at}.encryption"), text);
        }
        if self.username.is_some() != self.password_file.is_some() {
            problems.push(format!("{at}.username"), "and password_file go together");
        }
        if self.from.parse::<lettre::Address>().is_err() {
            problems.push(format!("{at}.from"), "is no mail address (write it like rsc@example.jp)");
        }
        if self.to.is_empty() && !self.to_contacts {
            problems
                .push(format!("{at}.to"), "names no recipient, nor does to_contacts ask for the contract's");
        }
        let mut seen = BTreeSet::new();
        for (i, to) in self.to.iter().enumerate() {
            if to.parse::<lettre::Address>().is_err() {
                let text = "is no mail address (write it like desk@example.jp)";
                problems.push(format!("{at}.to.{i}"), text);
            }
            if !seen.insert(to) {
                problems.push(format!("{at}.to.{i}"), "is there twice");
            }
        }
        if self.group_wait.0 > GROUP_WAIT_MAX {
            problems.push(format!("{at}.group_wait"), "is longer than 30m");
        }
        check_timeout(self.timeout, at, problems);
    }
}

impl WebhookConfig {
    fn check(&self, at: &str, problems: &mut Problems) {
        check_url(&self.url, at, problems);
        check_timeout(self.timeout, at, problems);
    }
}

impl AlertmanagerConfig {
    fn check(&self, at: &str, problems: &mut Problems) {
        check_url(&self.url, at, problems);
        if self.username.is_some() != self.password_file.is_some() {
            problems.push(format!("{at}.username"), "and password_file go together");
        }
        if self.repeat.0 < Duration::from_secs(1) || self.repeat.0 > REPEAT_MAX {
            problems.push(format!("{at}.repeat"), "is not between 1s and 1m");
        }
        check_timeout(self.timeout, at, problems);
    }
}

fn check_url(url: &str, at: &str, problems: &mut Problems) {
    let key = format!("{at}.url");
    match reqwest::Url::parse(url) {
        Ok(url) if url.scheme() == "https" => {}
        Ok(url) if url.scheme() == "http" && url.host_str().is_some_and(is_loopback) => {}
        Ok(_) => problems.push(key, "is not https (plain http is taken for this machine only)"),
        Err(e) => problems.push(key, format!("is no URL: {e}")),
    }
}

fn check_timeout(timeout: HumanDuration, at: &str, problems: &mut Problems) {
    if timeout.0.is_zero() || timeout.0 > TIMEOUT_MAX {
        problems.push(format!("{at}.timeout"), "is not between 1ms and 5m");
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::config::parse;

    #[test]
    fn a_short_file_does() {
        let text = "
            [[email]]
            name = 'desk'
            server = 'mail.example.jp'
            from = 'rsc@example.jp'
            to = ['desk@example.jp']
            [[webhook]]
            name = 'chat'
            url = 'https://chat.example.jp/hook'
            secret_file = '/etc/tenken/chat.secret'";
        let config: NotifyConfig = parse(text).unwrap();
        let email = config.email.first().unwrap();
        assert_eq!((email.encryption, email.language), (Encryption::Starttls, Language::Ja));
        assert_eq!(email.min_severity, Severity::Warning);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "
            [[email]]
            name = 'a'
            server = 'mail.example.jp'
            encryption = 'none'
            username = 'u'
            from = 'nobody'
            to = ['x@example.jp', 'x@example.jp', 'y']
            timeout = '1h'
            [[webhook]]
            name = 'a'
            url = 'http://example.jp/'
            secret_file = 's'
            [[alertmanager]]
            name = 'a'
            url = 'http://example.jp:9093'
            username = 'u'";
        let problems = parse::<NotifyConfig>(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "email.0.encryption",
            "email.0.username",
            "email.0.from",
            "email.0.to.1",
            "email.0.to.2",
            "email.0.timeout",
            "webhook.0.url",
            "webhook.0.name",
            "alertmanager.0.url",
            "alertmanager.0.username",
            "alertmanager.0.name",
        ];
        assert_eq!(keys, expected);
        assert!(parse::<NotifyConfig>("[[email]]\nnam = 'a'").is_err());
    }
}
