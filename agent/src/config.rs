//! The agent's configuration file. What may be collected and sent is not in it: that is the
//! hospital's consent.

use crate::{diagnosis::DiagnosisSection, probes::ProbeOptions, spool::EngineKind};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};
use tenken_agent_core::{budget::Budget, record::to_f64};
use tenken_common::{
    config::{ByteSize, Check, HumanDuration, Problems, SecretFile},
    limit,
    message::Language,
    telemetry::LogFormat,
};

/// See `packaging/config/agent.example.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Identity, consent, spool and status live here: `/var/lib/tenken-agent`, on Windows
    /// `%ProgramData%\Tenken\agent`.
    pub state_dir: PathBuf,
    pub language: Language,
    pub log_format: LogFormat,
    pub spool: SpoolSection,
    pub push: PushSection,
    pub probes: ProbeOptions,
    pub diagnosis: DiagnosisSection,
    pub budget: BudgetSection,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSection {
    pub engine: EngineKind,
    /// The spool's folder, quarantine included.
    pub cap: ByteSize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushSection {
    /// Ordinary records wait at most this long; urgent ones do not wait.
    pub interval: HumanDuration,
    pub retry_first: HumanDuration,
    pub retry_max: HumanDuration,
    /// Of one request.
    pub timeout: HumanDuration,
    /// How often the agent reports on itself.
    pub report: HumanDuration,
    /// The hospital's proxy, where there is one.
    pub proxy: Option<ProxySection>,
}

/// What the agent may cost its device.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSection {
    /// Share of one processor, as a mean over ten minutes, children included.
    pub cpu_ratio: f64,
    pub memory: ByteSize,
}

impl Default for BudgetSection {
    fn default() -> Self {
        Self { cpu_ratio: 0.01, memory: ByteSize(50 * 1024 * 1024) }
    }
}

impl BudgetSection {
    fn check(self, problems: &mut Problems) {
        if !(self.cpu_ratio > 0.0 && self.cpu_ratio <= 1.0) {
            problems.push("budget.cpu_ratio", "is a share of one processor: above 0, at most 1");
        }
        let least = ByteSize(8 * 1024 * 1024);
        if self.memory < least {
            problems.push("budget.memory", format!("must be at least {least}"));
        }
    }

    pub fn budget(self) -> Budget {
        Budget::new(self.cpu_ratio, to_f64(self.memory.0))
    }
}

/// A proxy on the way to the collector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxySection {
    /// `http://host:port`, asked with CONNECT; not needed where a proxy inspects unasked.
    pub url: Option<String>,
    pub username: Option<String>,
    pub password_file: Option<SecretFile>,
    /// The certificate authority of a proxy that opens TLS to inspect it. It is trusted for
    /// transport only: no client certificate is shown, and the device proves itself by what it
    /// signs.
    pub ca_file: Option<PathBuf>,
}

impl ProxySection {
    fn check(&self, problems: &mut Problems) {
        if self.url.is_none() && self.ca_file.is_none() {
            problems.push("push.proxy.url", "is missing");
        }
        if let Some(url) = &self.url
            && !url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.contains('@'))
        {
            problems
                .push("push.proxy.url", "must look like http://host:port, without user name and password");
        }
        if self.username.is_some() != self.password_file.is_some() {
            problems.push("push.proxy.username", "and password_file go together");
        }
        if self.username.is_some() && self.url.is_none() {
            problems.push("push.proxy.username", "is of no use without url");
        }
    }
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            state_dir: default_state_dir(),
            language: Language::default(),
            log_format: LogFormat::default(),
            spool: SpoolSection::default(),
            push: PushSection::default(),
            probes: ProbeOptions::default(),
            diagnosis: DiagnosisSection::default(),
            budget: BudgetSection::default(),
        }
    }
}

/// Where the system's services keep their state.
fn default_state_dir() -> PathBuf {
    if cfg!(windows) {
        let data = std::env::var_os("ProgramData").unwrap_or_else(|| "C:\\ProgramData".into());
        PathBuf::from(data).join("Tenken").join("agent")
    } else {
        PathBuf::from("/var/lib/tenken-agent")
    }
}

impl Default for SpoolSection {
    fn default() -> Self {
        Self { engine: EngineKind::default(), cap: ByteSize(limit::SPOOL_BYTES_DEFAULT) }
    }
}

impl Default for PushSection {
    fn default() -> Self {
        let seconds = |s| HumanDuration(Duration::from_secs(s));
        Self {
            interval: seconds(60),
            retry_first: seconds(2),
            retry_max: seconds(900),
            timeout: seconds(30),
            report: seconds(60),
            proxy: None,
        }
    }
}

impl Check for AgentConfig {
    fn check(&self, problems: &mut Problems) {
        if self.state_dir.as_os_str().is_empty() {
            problems.push("state_dir", "is empty");
        }
        let least = ByteSize(1024 * 1024);
        if self.spool.cap < least {
            problems.push("spool.cap", format!("must be at least {least}"));
        }
        let push = &self.push;
        for (key, value) in [
            ("push.interval", push.interval),
            ("push.retry_first", push.retry_first),
            ("push.retry_max", push.retry_max),
            ("push.timeout", push.timeout),
            ("push.report", push.report),
        ] {
            if value.0.is_zero() {
                problems.push(key, "must be longer than zero");
            }
        }
        if push.retry_max < push.retry_first {
            problems.push("push.retry_max", "must not be shorter than push.retry_first");
        }
        if let Some(proxy) = &push.proxy {
            proxy.check(problems);
        }
        self.probes.check(problems);
        self.diagnosis.check(problems);
        self.budget.check(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::config;

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        assert_eq!(config::parse::<AgentConfig>("").unwrap().spool.cap.0, limit::SPOOL_BYTES_DEFAULT);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = "state_dir = ''\nspeed = 'fast'\n[spool]\nengine = 'paper'\ncap = '1KiB'\n\
                    [push]\ninterval = '0s'\nretry_first = '1h'\ntimeout = 'soon'";
        let problems = config::parse::<AgentConfig>(text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        for key in [
            "state_dir",
            "speed",
            "spool.engine",
            "spool.cap",
            "push.interval",
            "push.retry_max",
            "push.timeout",
        ] {
            assert!(keys.contains(&key), "{key} in {keys:?}");
        }
    }

    #[test]
    fn a_proxy_is_described_whole() {
        for (proxy, key) in [
            ("", "push.proxy.url"),
            ("url = 'https://proxy:3128'", "push.proxy.url"),
            ("url = 'http://user:secret@proxy:3128'", "push.proxy.url"),
            ("url = 'http://proxy:3128'\nusername = 'ct'", "push.proxy.username"),
            ("ca_file = '/ca.pem'\nusername = 'ct'\npassword_file = '/p'", "push.proxy.username"),
        ] {
            let problems = config::parse::<AgentConfig>(&format!("[push.proxy]\n{proxy}")).unwrap_err();
            assert!(problems.iter().any(|p| p.key == key), "{key} for {proxy}");
        }
        config::parse::<AgentConfig>("[push.proxy]\nca_file = '/ca.pem'").unwrap();
    }

    #[test]
    fn the_example_is_valid() {
        let text = include_str!("../../packaging/config/agent.example.toml");
        config::parse::<AgentConfig>(text).unwrap();
    }

    #[test]
    fn what_is_commented_out_in_the_example_is_valid_too() {
        let text = include_str!("../../packaging/config/agent.example.toml");
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
        let config = config::parse::<AgentConfig>(&uncommented).unwrap();
        let proxy = config.push.proxy.unwrap();
        assert!(proxy.url.is_some() && proxy.username.is_some() && proxy.ca_file.is_some());
        let probes = &config.probes;
        assert_eq!((probes.disabled.len(), probes.intervals.len(), probes.services.len()), (1, 2, 1));
        let described = [probes.pattern_files.len(), probes.revisions.len(), probes.counters.len()];
        assert_eq!((described, probes.neighbours.len(), config.diagnosis.rules.len()), ([4, 1, 2], 2, 1));
        assert_eq!([probes.plugins.len(), probes.textfiles.len(), probes.scrapes.len()], [1; 3]);
    }
}
