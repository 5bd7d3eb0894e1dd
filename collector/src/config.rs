//! The collector's configuration file. What was agreed with a hospital is not in it: contracts
//! are loaded into the store, version by version.

use crate::{notify::NotifyConfig, remote_write::RemoteWriteConfig};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tenken_collector_core::sla::heartbeat;
use tenken_common::{
    config::{Check, HumanDuration, Problems},
    message::Language,
    telemetry::LogFormat,
};

/// See `packaging/config/collector.example.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorConfig {
    /// The database and the keys live here.
    pub data_dir: PathBuf,
    pub language: Language,
    pub log_format: LogFormat,
    /// Names and addresses under which devices reach this collector.
    pub names: Vec<String>,
    /// Where devices are told to push; by default the first name and the device listener's port.
    pub push_url: Option<String>,
    pub listen: ListenSection,
    pub evaluate: EvaluateSection,
    pub notify: NotifyConfig,
    /// Without it devices' numbers stay here.
    pub remote_write: Option<RemoteWriteConfig>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSection {
    /// Batches; client certificates are required.
    pub device: SocketAddr,
    /// Enrollment; no client certificate.
    pub enroll: SocketAddr,
    /// Prometheus; plain HTTP.
    pub metrics: SocketAddr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateSection {
    /// Heartbeat of the collector and tick of the evaluation.
    pub interval: HumanDuration,
    /// The rules file; without it the rules that come with the program hold.
    pub rules: Option<PathBuf>,
    /// An official list of national holidays, which wins over the law's rules for its years.
    pub holidays: Option<PathBuf>,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/tenken-collector"),
            language: Language::default(),
            log_format: LogFormat::default(),
            names: vec!["localhost".to_owned()],
            push_url: None,
            listen: ListenSection::default(),
            evaluate: EvaluateSection::default(),
            notify: NotifyConfig::default(),
            remote_write: None,
        }
    }
}

impl Default for ListenSection {
    fn default() -> Self {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            device: SocketAddr::new(any, 8443),
            enroll: SocketAddr::new(any, 8444),
            metrics: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464),
        }
    }
}

impl Default for EvaluateSection {
    fn default() -> Self {
        Self { interval: HumanDuration(heartbeat::INTERVAL), rules: None, holidays: None }
    }
}

impl CollectorConfig {
    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    pub fn database(&self) -> PathBuf {
        self.data_dir.join("collector.sqlite")
    }

    /// Where devices are told to push, given the port that the device listener really has.
    pub fn push_url_at(&self, port: u16) -> String {
        let name = || self.names.first().map_or("localhost", String::as_str);
        self.push_url.clone().unwrap_or_else(|| format!("https://{}:{port}", name()))
    }
}

impl Check for CollectorConfig {
    fn check(&self, problems: &mut Problems) {
        if self.data_dir.as_os_str().is_empty() {
            problems.push("data_dir", "is empty");
        }
        if self.names.is_empty() {
            problems.push("names", "is empty: devices could not tell this collector from another");
        }
        for (i, name) in self.names.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
            if name.is_empty() || !name.chars().all(plain) {
                problems.push(format!("names.{i}"), format!("`{name}` is no host name or address"));
            }
        }
        if let Some(url) = &self.push_url
            && !url.starts_with("https://")
        {
            problems.push("push_url", "must begin with https://");
        }
        let interval = self.evaluate.interval.0;
        if interval < Duration::from_secs(1) || interval > heartbeat::INTERVAL {
            let max = HumanDuration(heartbeat::INTERVAL);
            problems.push("evaluate.interval", format!("must be from 1s to {max}"));
        }
        let listen = &self.listen;
        let ports = [
            ("listen.device", listen.device),
            ("listen.enroll", listen.enroll),
            ("listen.metrics", listen.metrics),
        ];
        for (i, (key, address)) in ports.iter().enumerate() {
            if address.port() != 0 && ports.iter().take(i).any(|(_, other)| other.port() == address.port()) {
                problems.push(*key, format!("port {} is used twice", address.port()));
            }
        }
        let mut notify = Problems::default();
        self.notify.check(&mut notify);
        let mut remote_write = Problems::default();
        if let Some(section) = &self.remote_write {
            section.check(&mut remote_write);
        }
        for (section, found) in [("notify", notify), ("remote_write", remote_write)] {
            for problem in found.iter() {
                problems.push(format!("{section}.{}", problem.key), problem.text.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::config;

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = config::parse::<CollectorConfig>("").unwrap();
        assert_eq!(config.push_url_at(8443), "https://localhost:8443");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = "names = ['rsc example']\npush_url = 'http://x'\nport = 1\n\
                    [listen]\ndevice = '0.0.0.0:1'\nenroll = '0.0.0.0:1'\nmetrics = 'here'\n\
                    [evaluate]\ninterval = '10ms'\n[[notify.email]]\nname = 'desk'\nserver = ''\nfrom = 'x'\nto = []\n\
                    [remote_write]\nurl = 'http://example.jp/'";
        let problems = config::parse::<CollectorConfig>(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        for key in [
            "names.0",
            "push_url",
            "port",
            "listen.enroll",
            "listen.metrics",
            "evaluate.interval",
            "notify.email.0.server",
            "remote_write.url",
        ] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../packaging/config/collector.example.toml");
        config::parse::<CollectorConfig>(text).unwrap();
    }

    #[test]
    fn what_is_commented_out_in_the_example_is_valid_too() {
        let text = include_str!("../../packaging/config/collector.example.toml");
        // An example is a line that is TOML once its mark is gone; prose has no ` = ` and no bracket.
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[')
                        || rest
                            .split_once(" = ")
                            .is_some_and(|(k, _)| k.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) =>
                {
                    rest
                }
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let config = config::parse::<CollectorConfig>(&uncommented).unwrap();
        assert_eq!((config.notify.email.len(), config.notify.webhook.len()), (1, 1));
        assert_eq!(config.notify.alertmanager.len(), 1);
        assert!(
            config.push_url.is_some()
                && config.evaluate.rules.is_some()
                && config.evaluate.holidays.is_some()
                && config.remote_write.is_some()
        );
    }
}
