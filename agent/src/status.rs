//! What `tenken-agent status` shows: a file that the running agent rewrites, no socket.
//!
//! Holds: the file says when it was written, and `status` says so too, so that an old one is not
//! taken for the present.

use crate::identity::Enrolled;
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};
use tenken_common::{
    column,
    file::{self, Access, WriteError},
    id::{DeviceId, Hash},
    key::grouped,
    message::{Language, Message},
    observation::ProbeRun,
    time::{ClockQuality, ClockSource, Timestamp, jst_minute},
};

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub agent_version: String,
    pub device: DeviceId,
    pub fingerprint: Hash,
    pub started: Timestamp,
    pub written: Timestamp,
    /// When it ended in order; while it runs, nothing.
    #[serde(default)]
    pub stopped: Option<Timestamp>,
    pub consent: ConsentStatus,
    pub spool: SpoolStatus,
    pub delivery: DeliveryStatus,
    pub clock: ClockQuality,
    /// Why what was sent last is not in the sent journal.
    #[serde(default)]
    pub sent_failing: Option<String>,
    #[serde(default)]
    pub session: SessionStatus,
    pub probes: Vec<ProbeRun>,
}

/// How the device stands with its collector, apart from records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SessionStatus {
    pub trust_version: u64,
    pub certificate_ends: Option<Timestamp>,
    pub rejoin: Option<RejoinStatus>,
}

/// What the hospital must approve before the device goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejoinStatus {
    /// The epoch that begins.
    pub epoch: u32,
    /// Of the new device key.
    pub fingerprint: Hash,
}

impl RejoinStatus {
    /// For a device that has asked for its next epoch.
    pub fn of(enrolled: &Enrolled) -> Option<Self> {
        let fingerprint = enrolled.rejoin.as_ref()?.device_key.public().fingerprint();
        Some(Self { epoch: enrolled.epoch.0.saturating_add(1), fingerprint })
    }

    /// What waits, and what the hospital has to do.
    pub fn text(&self, device: DeviceId, language: Language) -> String {
        let values = [
            ("device", device.to_string()),
            ("epoch", self.epoch.to_string()),
            ("fingerprint", grouped(&self.fingerprint)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        Message::RejoinPending.fill(language, &values)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentStatus {
    pub version: u64,
    /// Why nothing may leave, where that is so.
    pub closed: Option<String>,
    pub valid_to: Option<Timestamp>,
    pub categories: Vec<String>,
    /// A file that lies there and was not taken, and why.
    pub refused_file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SpoolStatus {
    pub waiting: u64,
    pub urgent: u64,
    pub in_flight: u64,
    pub disk_bytes: u64,
    pub oldest: Option<Timestamp>,
    pub last_record: u64,
    pub acked_batches: u64,
    pub evicted: u64,
    pub corrupt: u64,
    pub degraded: Option<String>,
    pub failing: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct DeliveryStatus {
    pub state: DeliveryState,
    /// Since when it is not ok.
    pub since: Option<Timestamp>,
    pub why: Option<String>,
    pub failures: u64,
    pub last_ack: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Nothing was tried yet.
    #[default]
    Starting,
    Ok,
    /// No believable answer; trying on.
    Failing,
    /// The collector answered that it will not take what is next.
    Halted,
    /// The consent does not allow it.
    Withheld,
}

/// A status that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error("no status in {}: the agent has not run here yet, or `state_dir` is another", dir.display())]
    None { dir: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a status of this version", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("status.json")
}

pub fn save(state_dir: &Path, status: &Status) -> Result<(), WriteError> {
    let text = serde_json::to_vec_pretty(status).expect("a status always encodes");
    file::replace(&path(state_dir), &text, Access::Everyone)
}

pub fn load(state_dir: &Path) -> Result<Status, StatusError> {
    let path = path(state_dir);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(StatusError::None { dir: state_dir.to_owned() });
        }
        Err(source) => return Err(StatusError::Read { path, source }),
    };
    serde_json::from_slice(&text).map_err(|source| StatusError::Parse { path, source })
}

/// For a person, at `now`.
pub fn print(status: &Status, language: Language, now: Timestamp) -> String {
    let mut lines = vec![
        (Message::StatusDevice, status.device.to_string()),
        (Message::StatusFingerprint, grouped(&status.fingerprint)),
        (Message::StatusWritten, written(status, language, now)),
        (Message::StatusConsent, consent(&status.consent, language)),
        (Message::StatusDelivery, delivery(&status.delivery, language)),
        (Message::StatusSpool, spool(&status.spool, language)),
        (Message::StatusClock, clock(&status.clock, language)),
        (Message::StatusTrust, session(&status.session, language)),
        (Message::StatusProbes, probes(&status.probes)),
    ];
    if let Some(rejoin) = &status.session.rejoin {
        lines.push((Message::StatusRejoin, rejoin.text(status.device, language)));
    }
    if let Some(why) = &status.sent_failing {
        lines.push((Message::StatusSent, Message::StatusSentFailing.fill(language, &[("why", why)])));
    }
    let label_width = lines.iter().map(|(label, _)| column::width(label.text(language))).max().unwrap_or(0);
    let mut out = String::new();
    for (label, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {value}", column::pad(label.text(language), label_width));
    }
    out
}

fn written(status: &Status, language: Language, now: Timestamp) -> String {
    if let Some(stopped) = status.stopped {
        return Message::StatusStopped.fill(language, &[("at", &minute(stopped))]);
    }
    let age = now.saturating_since(status.written).as_secs();
    Message::StatusAgo.fill(language, &[("seconds", &age.to_string())])
}

fn minute(at: Timestamp) -> String {
    format!("{} JST", jst_minute(at))
}

fn consent(consent: &ConsentStatus, language: Language) -> String {
    let version = consent.version.to_string();
    let mut text = match (&consent.closed, &consent.valid_to) {
        (Some(why), _) => Message::StatusConsentClosed.fill(language, &[("version", &version), ("why", why)]),
        (None, to) => {
            let to = to.map(minute).unwrap_or_default();
            let categories = consent.categories.join(", ");
            let values = [("version", version.as_str()), ("to", &to), ("categories", &categories)];
            Message::StatusConsentOpen.fill(language, &values)
        }
    };
    if let Some(why) = &consent.refused_file {
        text.push_str(&Message::StatusConsentRefused.fill(language, &[("why", why)]));
    }
    text
}

/// How delivery stands, in one line.
pub fn delivery(delivery: &DeliveryStatus, language: Language) -> String {
    let message = match delivery.state {
        DeliveryState::Starting => Message::DeliveryStarting,
        DeliveryState::Ok => Message::DeliveryOk,
        DeliveryState::Failing => Message::DeliveryFailing,
        DeliveryState::Halted => Message::DeliveryHalted,
        DeliveryState::Withheld => Message::DeliveryWithheld,
    };
    let at = |t: Option<Timestamp>| t.map_or_else(|| "-".to_owned(), minute);
    let values = [
        ("last", at(delivery.last_ack)),
        ("since", at(delivery.since)),
        ("why", delivery.why.clone().unwrap_or_default()),
        ("failures", delivery.failures.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    message.fill(language, &values)
}

fn spool(spool: &SpoolStatus, language: Language) -> String {
    let kib = (spool.disk_bytes / 1024).to_string();
    let values = [
        ("waiting", spool.waiting.to_string()),
        ("in_flight", spool.in_flight.to_string()),
        ("kib", kib),
        ("evicted", spool.evicted.to_string()),
        ("corrupt", spool.corrupt.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut text = Message::StatusSpoolLine.fill(language, &values);
    for problem in [&spool.degraded, &spool.failing].into_iter().flatten() {
        let _ = write!(text, "; {problem}");
    }
    text
}

fn clock(clock: &ClockQuality, language: Language) -> String {
    match clock.source {
        ClockSource::Unknown => Message::StatusClockUnknown.text(language).to_owned(),
        ClockSource::SignedTime => {
            let (offset, within) = (clock.offset_ms.to_string(), clock.uncertainty_ms.to_string());
            Message::StatusClockKnown.fill(language, &[("offset", &offset), ("within", &within)])
        }
    }
}

fn session(session: &SessionStatus, language: Language) -> String {
    let ends = session.certificate_ends.map_or_else(|| "-".to_owned(), minute);
    let version = session.trust_version.to_string();
    Message::StatusTrustLine.fill(language, &[("version", &version), ("ends", &ends)])
}

fn probes(runs: &[ProbeRun]) -> String {
    let each: Vec<String> = runs.iter().map(|run| format!("{} {}", run.probe, run.state.as_str())).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            agent_version: "0.1.0".into(),
            device: DeviceId([1; 16]),
            fingerprint: Hash([2; 32]),
            started: Timestamp::EPOCH,
            written: Timestamp::from_secs(100),
            stopped: None,
            consent: ConsentStatus {
                version: 3,
                closed: None,
                valid_to: Some(Timestamp::from_secs(500)),
                categories: vec!["disk".into()],
                refused_file: None,
            },
            spool: SpoolStatus::default(),
            delivery: DeliveryStatus {
                state: DeliveryState::Failing,
                since: Some(Timestamp::from_secs(40)),
                why: Some("connection refused".into()),
                failures: 7,
                last_ack: None,
            },
            clock: ClockQuality::UNKNOWN,
            sent_failing: None,
            session: SessionStatus {
                trust_version: 4,
                certificate_ends: Some(Timestamp::from_secs(900)),
                rejoin: Some(RejoinStatus { epoch: 2, fingerprint: Hash([0xab; 32]) }),
            },
            probes: vec![],
        }
    }

    #[test]
    fn it_says_since_when_and_why_in_both_languages() {
        for language in [Language::Ja, Language::En] {
            let text = print(&status(), language, Timestamp::from_secs(160));
            for part in
                ["1970-01-01 09:00 JST", "connection refused", "60", "abab abab", "tenken-hospital rejoin"]
            {
                assert!(text.contains(part), "{part} in {text}");
            }
            assert!(!text.contains('{'), "an unfilled placeholder in {text}");
        }
    }

    #[test]
    fn an_agent_that_was_stopped_is_not_shown_as_a_running_one() {
        let stopped = Status { stopped: Some(Timestamp::from_secs(100)), ..status() };
        let text = print(&stopped, Language::En, Timestamp::from_secs(101));
        assert!(text.contains("stopped") && !text.contains("1 s ago"), "{text}");
    }

    #[test]
    fn it_survives_its_file_and_its_absence_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(load(dir.path()), Err(StatusError::None { .. })));
        save(dir.path(), &status()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), status());
        std::fs::write(path(dir.path()), "{}").unwrap();
        assert!(matches!(load(dir.path()), Err(StatusError::Parse { .. })));
    }
}
