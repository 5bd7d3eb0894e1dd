//! The agent's configuration file. What may be collected and sent is not in it: that is the
//! hospital's consent.

use crate::{probes::ProbeOptions, spool::EngineKind};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};
use tenken_common::{
    config::{ByteSize, Check, HumanDuration, Problems},
    limit,
    message::Language,
    telemetry::LogFormat,
};

/// See `packaging/config/agent.example.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Identity, consent, spool and status live here.
    pub state_dir: PathBuf,
    pub language: Language,
    pub log_format: LogFormat,
    pub spool: SpoolSection,
    pub push: PushSection,
    pub probes: ProbeOptions,
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
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            state_dir: PathBuf::from("/var/lib/tenken-agent"),
            language: Language::default(),
            log_format: LogFormat::default(),
            spool: SpoolSection::default(),
            push: PushSection::default(),
            probes: ProbeOptions::default(),
        }
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
        self.probes.check(problems);
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
        let probes = &config.probes;
        assert_eq!((probes.disabled.len(), probes.intervals.len(), probes.services.len()), (1, 2, 1));
    }
}
