//! `tenken-agent doctor`: looks for each known fault of the agent itself and names the next step,
//! in the reader's language.
//!
//! Holds: it changes nothing, and a check that it could not make is shown as such, never as good.

use crate::{
    clock::AuthorityClock,
    config::AgentConfig,
    consent_file::{self, ConsentWatch},
    identity,
    status::{self, RejoinStatus},
    transport::way::{Addresses, Way},
};
use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};
use tenken_agent_core::consent_gate::ConsentGate;
use tenken_common::{
    column,
    id::Nonce,
    key::{self, grouped},
    limit,
    message::{Language, Message},
    telemetry::ErrorChain,
    time::{Clock, SystemClock, Timestamp, jst_minute},
};

/// A status older than this was not written by a running agent.
const STATUS_AGE_MAX: Duration = Duration::from_secs(120);

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    Warning,
    Bad,
    /// It could not be looked at, because something before it is bad.
    Unknown,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Examined {
    pub what: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// What to do next, where something is to be done.
    pub next: Option<String>,
}

/// Looks at everything. The network check is one request without any record in it.
pub async fn examine(config: &AgentConfig, language: Language) -> Vec<Examined> {
    let clock = SystemClock::new();
    let mut all = vec![state_dir(&config.state_dir, language)];
    let identity = identity::load(&config.state_dir);
    all.push(match &identity {
        Ok(enrolled) => ok("identity", enrolled.device.to_string()),
        Err(e) => bad("identity", ErrorChain(e).to_string(), Message::DoctorEnroll, language),
    });
    let Ok(enrolled) = identity else {
        for what in ["consent", "certificate", "collector", "agent", "delivery", "spool", "clock"] {
            all.push(unknown(what, language));
        }
        return all;
    };
    all.push(consent(&config.state_dir, &enrolled, clock.wall(), language));
    all.push(certificate(&enrolled, &clock, language));
    if let Some(pending) = RejoinStatus::of(&enrolled) {
        all.push(rejoin(&enrolled, &pending, language));
    }
    all.push(collector(&enrolled, config, &clock, language).await);
    all.extend(running(&config.state_dir, clock.wall(), language));
    all
}

fn state_dir(dir: &Path, language: Language) -> Examined {
    let probe = dir.join(".doctor");
    let writable = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    match writable {
        Ok(()) => ok("state_dir", dir.display().to_string()),
        Err(e) => bad("state_dir", format!("{}: {e}", dir.display()), Message::DoctorStateDir, language),
    }
}

fn consent(dir: &Path, enrolled: &identity::Enrolled, now: Timestamp, language: Language) -> Examined {
    let what = "consent";
    let mut gate = ConsentGate::new(enrolled.hospital_key, enrolled.device, enrolled.group.clone(), 0);
    let look = ConsentWatch::new(dir).look(&mut gate);
    if let Err(e) = look {
        return bad(what, ErrorChain(&e).to_string(), Message::DoctorConsentRefused, language);
    }
    let Some(manifest) = gate.manifest() else {
        let found = consent_file::path(dir).display().to_string();
        return bad(what, found, Message::DoctorConsentMissing, language);
    };
    if let Err(refusal) = manifest.is_valid(now) {
        return bad(what, refusal.to_string(), Message::DoctorConsentExpired, language);
    }
    let (version, to) = (manifest.version.to_string(), minute(manifest.valid_to));
    let values = [("version", version.as_str()), ("to", &to)];
    ok(what, Message::DoctorConsentFound.fill(language, &values))
}

async fn collector(
    enrolled: &identity::Enrolled,
    config: &AgentConfig,
    clock: &SystemClock,
    language: Language,
) -> Examined {
    let what = "collector";
    let asked = async {
        let way = Way::new(&config.push).map_err(|e| ErrorChain(&e).to_string())?;
        let to = Addresses { push: &enrolled.push_url, open: enrolled.open_url.as_deref() };
        let clock = AuthorityClock::new(Arc::new(clock.clone()), enrolled.trust.issued);
        let transport = way
            .delivery(to, &enrolled.roots(), &enrolled.tls, clock)
            .map_err(|e| ErrorChain(&e).to_string())?;
        let nonce = Nonce(key::random().map_err(|e| ErrorChain(&e).to_string())?);
        // An empty body is refused by every collector; that it answers is what is asked here.
        transport.post("/v1/resume", Vec::new(), &nonce).await.map_err(|e| ErrorChain(&e).to_string())
    };
    match asked.await {
        Ok(_) => ok(what, Message::DoctorCollectorFound.fill(language, &[("url", &enrolled.push_url)])),
        Err(why) => bad(what, format!("{}: {why}", enrolled.push_url), Message::DoctorCollector, language),
    }
}

/// A certificate that ended is no fault where the agent runs: it renews by itself.
fn certificate(enrolled: &identity::Enrolled, clock: &SystemClock, language: Language) -> Examined {
    let what = "certificate";
    let ends = enrolled.validity.not_after;
    let (version, at) = (enrolled.trust.version.to_string(), minute(ends));
    let found = Message::StatusTrustLine.fill(language, &[("version", &version), ("ends", &at)]);
    if clock.wall() < ends {
        return ok(what, found);
    }
    let next = Some(Message::DoctorCertificate.text(language).to_owned());
    Examined { what, verdict: Verdict::Warning, found, next }
}

fn rejoin(enrolled: &identity::Enrolled, rejoin: &RejoinStatus, language: Language) -> Examined {
    let found = grouped(&rejoin.fingerprint);
    let next = Some(rejoin.text(enrolled.device, language));
    Examined { what: "rejoin", verdict: Verdict::Bad, found, next }
}

/// What the running agent's own status tells.
fn running(dir: &Path, now: Timestamp, language: Language) -> Vec<Examined> {
    let status = match status::load(dir) {
        Ok(status) if status.stopped.is_none() && now.saturating_since(status.written) <= STATUS_AGE_MAX => {
            status
        }
        Ok(status) => {
            let found = minute(status.stopped.unwrap_or(status.written));
            let mut all = vec![bad("agent", found, Message::DoctorNotRunning, language)];
            all.extend(["delivery", "spool", "clock"].map(|what| unknown(what, language)));
            return all;
        }
        Err(e) => {
            let found = ErrorChain(&e).to_string();
            let mut all = vec![bad("agent", found, Message::DoctorNotRunning, language)];
            all.extend(["delivery", "spool", "clock"].map(|what| unknown(what, language)));
            return all;
        }
    };
    vec![
        ok("agent", Message::DoctorAgentFound.fill(language, &[("version", &status.agent_version)])),
        delivery(&status.delivery, language),
        spool(&status.spool, language),
        clock_skew(&status, language),
    ]
}

fn delivery(delivery: &status::DeliveryStatus, language: Language) -> Examined {
    use status::DeliveryState;
    let what = "delivery";
    let found = delivery.why.clone().unwrap_or_default();
    match delivery.state {
        DeliveryState::Ok | DeliveryState::Starting => ok(what, status::delivery(delivery, language)),
        DeliveryState::Failing => bad(what, found, Message::DoctorCollector, language),
        DeliveryState::Halted => bad(what, found, Message::DoctorHalted, language),
        DeliveryState::Withheld => bad(what, found, Message::DoctorWithheld, language),
    }
}

fn spool(spool: &status::SpoolStatus, language: Language) -> Examined {
    let what = "spool";
    if let Some(why) = &spool.failing {
        return bad(what, why.clone(), Message::DoctorSpool, language);
    }
    if let Some(why) = &spool.degraded {
        return bad(what, why.clone(), Message::DoctorDegraded, language);
    }
    let lost = spool.evicted + spool.corrupt;
    if lost > 0 {
        let found = format!("evicted {}, corrupt {}", spool.evicted, spool.corrupt);
        let next = Some(Message::DoctorLost.text(language).to_owned());
        return Examined { what, verdict: Verdict::Warning, found, next };
    }
    ok(what, format!("{} KiB", spool.disk_bytes / 1024))
}

fn clock_skew(status: &status::Status, language: Language) -> Examined {
    let what = "clock";
    let clock = &status.clock;
    match clock.source {
        tenken_common::time::ClockSource::Unknown => unknown(what, language),
        tenken_common::time::ClockSource::SignedTime => {
            let found = format!("{} ms (±{})", clock.offset_ms, clock.uncertainty_ms);
            let max_ms = u64::try_from(limit::CLOCK_SKEW_MAX.as_millis()).unwrap_or(u64::MAX);
            if clock.offset_ms.unsigned_abs() > max_ms {
                bad(what, found, Message::DoctorClock, language)
            } else {
                ok(what, found)
            }
        }
    }
}

fn ok(what: &'static str, found: String) -> Examined {
    Examined { what, verdict: Verdict::Ok, found, next: None }
}

fn bad(what: &'static str, found: String, next: Message, language: Language) -> Examined {
    Examined { what, verdict: Verdict::Bad, found, next: Some(next.text(language).to_owned()) }
}

fn unknown(what: &'static str, language: Language) -> Examined {
    let found = Message::DoctorUnknown.text(language).to_owned();
    Examined { what, verdict: Verdict::Unknown, found, next: None }
}

/// For a person.
pub fn print(all: &[Examined], language: Language) -> String {
    let mut out = String::new();
    let marks = [Message::DoctorOk, Message::DoctorWarning, Message::DoctorBad, Message::DoctorNotKnown];
    let widest = |texts: &mut dyn Iterator<Item = &'static str>| texts.map(column::width).max().unwrap_or(0);
    let mark_width = widest(&mut marks.iter().map(|m| m.text(language)));
    let label_width = widest(&mut all.iter().map(|one| label(one.what, language)));
    for one in all {
        let mark = match one.verdict {
            Verdict::Ok => Message::DoctorOk,
            Verdict::Warning => Message::DoctorWarning,
            Verdict::Bad => Message::DoctorBad,
            Verdict::Unknown => Message::DoctorNotKnown,
        };
        let mark = column::pad(mark.text(language), mark_width);
        let label = column::pad(label(one.what, language), label_width);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{mark}  {label}  {}", one.found);
        if let Some(next) = &one.next {
            let _ = writeln!(out, "{}-> {next}", " ".repeat(mark_width + label_width + 4));
        }
    }
    out
}

/// What was looked at; JSON has the code itself.
fn label(what: &'static str, language: Language) -> &'static str {
    let message = match what {
        "state_dir" => Message::DoctorWhatStateDir,
        "identity" => Message::DoctorWhatIdentity,
        "consent" => Message::DoctorWhatConsent,
        "certificate" => Message::DoctorWhatCertificate,
        "rejoin" => Message::DoctorWhatRejoin,
        "collector" => Message::DoctorWhatCollector,
        "agent" => Message::DoctorWhatAgent,
        "delivery" => Message::DoctorWhatDelivery,
        "spool" => Message::DoctorWhatSpool,
        "clock" => Message::DoctorWhatClock,
        other => return other,
    };
    message.text(language)
}

fn minute(at: Timestamp) -> String {
    format!("{} JST", jst_minute(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_device_that_is_not_enrolled_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let config = AgentConfig { state_dir: dir.path().to_owned(), ..AgentConfig::default() };
        let all = examine(&config, Language::En).await;
        let identity = all.iter().find(|e| e.what == "identity").unwrap();
        assert_eq!(identity.verdict, Verdict::Bad);
        assert!(identity.next.as_deref().unwrap().contains("tenken-agent enroll"));
        assert!(all.iter().filter(|e| e.verdict == Verdict::Unknown).count() >= 4, "unknown is not ok");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let config = AgentConfig { state_dir: "/proc/nowhere".into(), ..AgentConfig::default() };
        let all = examine(&config, Language::Ja).await;
        assert_eq!((all[0].what, all[0].verdict), ("state_dir", Verdict::Bad));
        assert!(print(&all, Language::Ja).contains("/proc/nowhere"));
    }
}
