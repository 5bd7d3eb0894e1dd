//! Listings as a person reads them. Pure.

pub mod contract;
pub mod device;
pub mod incident;
pub mod seal;
pub mod silence;
pub mod sla;

use crate::{
    overview::{
        CheckValue, ConsentOverview, ConsentStanding, ContractMonth, DeviceOverview, ProbeOverview, Value,
    },
    pki::VersionLine,
};
use serde::Serialize;
use std::fmt::Write as _;
use tenken_collector_core::{
    desk::incident::Incident,
    intake::device_state::Liveness,
    sla::{
        calendar::BusinessDuration,
        contract::Contract,
        indicator::{Indicator, Verdict},
        month::SlaMonth,
        partition::Label,
    },
};
use tenken_common::{
    column,
    id::{Hash, Name},
    key::grouped,
    message::{Language, Message},
    observation::ProbeState,
    time::{Timestamp, jst_minute},
    unit::Unit,
};

/// Quantities that tell most about a device come first; the others follow by name.
const TELLING: [&str; 15] = [
    "used_ratio",
    "available_bytes",
    "celsius",
    "critical_celsius",
    "receive_bytes_per_second",
    "transmit_bytes_per_second",
    "errors_per_second",
    "drops_per_second",
    "load1",
    "iowait_ratio",
    "rss_bytes",
    "cpu_seconds",
    "spool_waiting",
    "spool_disk_bytes",
    "total_bytes",
];

pub fn devices(devices: &[DeviceOverview], language: Language) -> String {
    if devices.is_empty() {
        return Message::NoDevices.text(language).to_owned();
    }
    let mut out = String::new();
    for d in devices {
        let seen = d.last_received.map_or_else(|| "-".to_owned(), jst_minute);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}  {}  {}\n  {} / {} / {}",
            d.hospital,
            d.label,
            d.device,
            status(d.status).text(language),
            liveness(d.state.liveness).text(language),
            Message::DeviceLastSeen.fill(language, &[("at", &seen)]),
        );
        if d.status == "pending" {
            let fingerprint = grouped(&d.fingerprint);
            let text = Message::DeviceFingerprint.fill(language, &[("fingerprint", &fingerprint)]);
            let _ = writeln!(out, "  {text}");
        }
        let counts = [
            ("records", d.records.to_string()),
            ("batches", d.batches.to_string()),
            ("gaps", d.gaps.to_string()),
        ];
        let counts: Vec<(&str, &str)> = counts.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let _ = writeln!(out, "  {}", Message::DeviceCounts.fill(language, &counts));
        let _ = writeln!(out, "  {}", consent(d.consent.as_ref(), language));
        if d.quarantined {
            let _ = writeln!(out, "  {}", Message::DeviceQuarantined.text(language));
        }
        for warning in warnings(d, language) {
            let _ = writeln!(out, "  {warning}");
        }
        let state_width = d.probes.iter().map(|p| column::width(state_word(p, language))).max().unwrap_or(0);
        for p in &d.probes {
            let state = column::pad(state_word(p, language), state_width);
            let mut lines = probe(&p.values, &p.checks, language).into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(out, "  {}", format!("{:<9} {state}  {first}", p.probe.as_str()).trim_end());
            for line in lines {
                let _ = writeln!(out, "  {}{line}", " ".repeat(state_width + 12));
            }
        }
    }
    out
}

fn consent(consent: Option<&ConsentOverview>, language: Language) -> String {
    let Some(c) = consent else { return Message::ConsentNotFiled.text(language).to_owned() };
    let message = match c.standing {
        ConsentStanding::InForce => Message::ConsentInForce,
        ConsentStanding::NotYet => Message::ConsentNotYet,
        ConsentStanding::Expired => Message::ConsentExpired,
        ConsentStanding::Withdrawn => Message::ConsentWithdrawnHere,
    };
    let categories: Vec<&str> = c.categories.iter().map(|c| c.as_str()).collect();
    let values = [
        ("version", c.version.to_string()),
        ("from", jst_minute(c.valid_from)),
        ("to", jst_minute(c.valid_to)),
        ("categories", categories.join(", ")),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    message.fill(language, &values)
}

/// What somebody should look into.
fn warnings(d: &DeviceOverview, language: Language) -> Vec<String> {
    let since = |message: Message, at: Timestamp| message.fill(language, &[("at", &jst_minute(at))]);
    let lost = d.collector_lost_batches.to_string();
    let lost = (d.collector_lost_batches > 0)
        .then(|| Message::DeviceCollectorLost.fill(language, &[("batches", &lost)]));
    [
        d.clone_suspected.map(|at| since(Message::DeviceCloneSuspected, at)),
        d.facts_changed.map(|at| since(Message::DeviceHostChanged, at)),
        lost,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn status(status: &str) -> Message {
    match status {
        "pending" => Message::DevicePending,
        "revoked" => Message::DeviceRevokedStatus,
        _ => Message::DeviceApprovedStatus,
    }
}

fn liveness(liveness: Liveness) -> Message {
    match liveness {
        Liveness::Fresh => Message::LivenessFresh,
        Liveness::Stale => Message::LivenessStale,
        Liveness::Silent => Message::LivenessSilent,
        Liveness::Unknown => Message::LivenessUnknown,
    }
}

fn state_word(probe: &ProbeOverview, language: Language) -> &'static str {
    probe.state.map_or("", |state| state_message(state).text(language))
}

pub fn state_message(state: ProbeState) -> Message {
    match state {
        ProbeState::Ok => Message::ProbeOk,
        ProbeState::NoData => Message::ProbeNoData,
        ProbeState::Unsupported => Message::ProbeUnsupported,
        ProbeState::TimedOut => Message::ProbeTimedOut,
        ProbeState::Failed => Message::ProbeFailed,
        ProbeState::NotConsented => Message::ProbeNotConsented,
        ProbeState::OverBudget => Message::ProbeOverBudget,
    }
}

/// What a probe saw: one text for each subject, the most telling value first.
pub fn probe(values: &[Value], checks: &[CheckValue], language: Language) -> Vec<String> {
    let mut subjects: Vec<(&Name, Vec<&Value>)> = Vec::new();
    for value in values {
        match subjects.iter_mut().find(|(subject, _)| **subject == value.subject) {
            Some((_, of_subject)) => of_subject.push(value),
            None => subjects.push((&value.subject, vec![value])),
        }
    }
    let mut texts: Vec<String> = Vec::new();
    for (subject, mut of_subject) in subjects {
        let rank = |v: &Value| TELLING.iter().position(|name| *name == v.name.as_str());
        of_subject.sort_by_key(|v| rank(v).unwrap_or(TELLING.len()));
        let shown = of_subject.iter().map(|v| format!("{} {}", v.name, v.unit.display(v.value)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        texts.push(match subject.as_str() {
            "device" | "agent" => shown,
            subject => format!("{subject}: {shown}"),
        });
    }
    texts.extend(checks.iter().map(|c| {
        let doubt = if c.in_doubt { Message::CheckInDoubt.text(language) } else { "" };
        format!("{}: {}{doubt}", c.subject, c.state.as_str())
    }));
    texts
}

/// One version of a contract.
#[derive(Debug, Serialize)]
pub struct ContractRow {
    contract: String,
    version: u32,
    effective_from: String,
    hospital: String,
    service_name: String,
    uptime_target: f64,
    /// When the hospital's agreement to this very text was signed.
    agreed: Option<Timestamp>,
}

impl ContractRow {
    /// `agreed` is when the hospital signed that it agrees to the contract's text.
    pub fn of(c: &Contract, agreed: Option<Timestamp>) -> Self {
        Self {
            contract: c.id.to_string(),
            version: c.version,
            effective_from: c.effective_from.to_string(),
            hospital: c.hospital.name.clone(),
            service_name: c.service_name.clone(),
            uptime_target: c.targets.uptime,
            agreed,
        }
    }
}

pub fn contracts(rows: &[ContractRow], language: Language) -> String {
    if rows.is_empty() {
        return Message::NoContracts.text(language).to_owned();
    }
    let line = |r: &ContractRow| {
        let (version, target) = (r.version.to_string(), Unit::Ratio.display(r.uptime_target).to_string());
        let values = [
            ("contract", r.contract.as_str()),
            ("version", &version),
            ("from", &r.effective_from),
            ("hospital", &r.hospital),
            ("service", &r.service_name),
            ("target", &target),
        ];
        let agreed = match r.agreed {
            Some(at) => Message::ContractAgreed.fill(language, &[("at", &jst_minute(at))]),
            None => Message::ContractNotAgreed.text(language).to_owned(),
        };
        format!("{}\n  {agreed}", Message::ContractLine.fill(language, &values))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub fn sla(months: &[ContractMonth], language: Language) -> String {
    if months.is_empty() {
        return Message::NoContracts.text(language).to_owned();
    }
    let mut out = String::new();
    for m in months {
        let _ = writeln!(out, "{} {} {}", m.contract, m.service_name, m.figures.month);
        figures(&mut out, &m.figures, language);
    }
    out
}

fn figures(out: &mut String, month: &SlaMonth, language: Language) {
    for i in &month.indicators {
        let _ = writeln!(out, "  {}", indicator(i, language));
    }
    for label in Label::ALL {
        let total = month.partition.total(label);
        if total != BusinessDuration::default() {
            let _ = writeln!(out, "    {}: {total}", label.message().text(language));
        }
    }
}

/// One line: value with its bounds, target, verdict, coverage.
pub fn indicator(i: &Indicator, language: Language) -> String {
    let percent = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.3} %", v * 100.0));
    let value = match (i.estimate.value, i.estimate.reason_for_null) {
        (None, Some(reason)) => reason.message().text(language).to_owned(),
        (value, _) => {
            let (min, max) = (percent(i.estimate.min), percent(i.estimate.max));
            // A figure of what little was measured must not look like the month's.
            if i.verdict == Verdict::Unknown {
                format!("{min} – {max}")
            } else {
                format!("{} [{min} – {max}]", percent(value))
            }
        }
    };
    Message::IndicatorLine.fill(
        language,
        &[
            ("name", i.name.message().text(language)),
            ("value", &value),
            ("target", &percent(i.target)),
            ("verdict", i.verdict.message().text(language)),
            ("coverage", &percent(i.coverage)),
        ],
    )
}

pub fn incidents(incidents: &[Incident], language: Language) -> String {
    if incidents.is_empty() {
        return Message::NoIncidents.text(language).to_owned();
    }
    let mut out = String::new();
    for i in incidents {
        let untold = i.untold().map(|decision| format!("  [{}]", decision.why(language)));
        let _ = writeln!(
            out,
            "{}  {}  {}  {}  {}  {}{}",
            i.id,
            i.severity.message().text(language),
            i.phase.message().text(language),
            jst_minute(i.first_seen),
            i.label,
            i.finding.text(language),
            untold.unwrap_or_default(),
        );
    }
    out
}

/// Trust versions, oldest first.
pub fn trust(versions: &[VersionLine], language: Language) -> String {
    let line = |one: &VersionLine| {
        let roots: Vec<String> = one.roots.iter().map(Hash::to_string).collect();
        let values = [
            ("version", one.version.to_string()),
            ("issued", format!("{} JST", jst_minute(one.issued))),
            ("ack_key", grouped(&one.ack_key)),
            ("signer", grouped(&one.signer)),
            ("roots", roots.join("\n    ")),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        Message::TrustLine.fill(language, &values)
    };
    versions.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::incident;
    use tenken_collector_core::desk::{
        alert::{Decision, Outcome},
        notice::{NotifyReason, Severity},
    };
    use tenken_common::observation::CheckState;

    #[test]
    fn an_incident_that_nobody_is_told_of_says_why() {
        let mut incident = incident(Severity::Warning);
        let line = |incident: &Incident| incidents(std::slice::from_ref(incident), Language::En);
        assert!(!line(&incident).contains('['), "{}", line(&incident));
        let until = Timestamp::from_secs(1_790_000_000);
        let mut decide = |outcome| {
            let (news, severity) = (NotifyReason::Opened, incident.severity);
            let first_seen = incident.first_seen;
            let decision = Decision { at: until, news, severity, first_seen, hours: None, outcome };
            incident.decisions.push(decision);
            line(&incident)
        };
        let held = decide(Outcome::Held { until });
        assert!(held.contains("[a planned stop goes on (until 2026-09-21 23:13"), "{held}");
        let sent = decide(Outcome::Sent);
        assert!(!sent.contains('['), "{sent}");
    }

    fn value(subject: &str, name: &str, unit: Unit, value: f64) -> Value {
        let (subject, name) = (Name::new(subject).unwrap(), Name::new(name).unwrap());
        Value { subject, name, unit, value, at: Timestamp::EPOCH }
    }

    #[test]
    fn the_most_telling_value_of_each_subject_comes_first() {
        let values = [
            value("/", "inodes_total", Unit::Count, 9.0),
            value("/", "available_bytes", Unit::Bytes, 1_024.0),
            value("/", "used_ratio", Unit::Ratio, 0.5),
            value("/data", "used_ratio", Unit::Ratio, 0.25),
        ];
        let check = CheckValue {
            subject: Name::new("pacs").unwrap(),
            state: CheckState::Ok,
            at: Timestamp::EPOCH,
            in_doubt: true,
        };
        let expected = [
            "/: used_ratio 50.0 %, available_bytes 1.0 KiB, inodes_total 9",
            "/data: used_ratio 25.0 %",
            "pacs: ok (identity in doubt)",
        ];
        assert_eq!(probe(&values, &[check], Language::En), expected);
    }

    #[test]
    fn an_empty_listing_says_so() {
        for language in [Language::Ja, Language::En] {
            assert!(!contracts(&[], language).is_empty());
            assert!(!incidents(&[], language).is_empty());
            assert!(!devices(&[], language).is_empty());
        }
    }
}
