//! Listings as a person reads them. Pure.

use crate::overview::{ContractMonth, DeviceOverview, ProbeOverview};
use serde::Serialize;
use std::fmt::Write as _;
use tenken_collector_core::{
    desk::incident::{Incident, Phase},
    sla::{calendar::BusinessDuration, contract::Contract, indicator::Indicator, partition::Label},
};
use tenken_common::{
    key::grouped,
    message::{Language, Message},
    observation::CheckState,
    time::jst_minute,
    unit::Unit,
};

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
            "{} {} {} [{}] {} {}",
            d.hospital,
            d.label,
            d.device,
            d.status,
            d.state.liveness.as_str(),
            Message::DeviceLastSeen.fill(language, &[("at", &seen)]),
        );
        if d.status == "pending" {
            let _ = writeln!(out, "  {}", grouped(&d.fingerprint));
        }
        let counts = [
            ("records", d.records.to_string()),
            ("batches", d.batches.to_string()),
            ("gaps", d.gaps.to_string()),
        ];
        let counts: Vec<(&str, &str)> = counts.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let _ = writeln!(out, "  {}", Message::DeviceCounts.fill(language, &counts));
        if d.quarantined {
            let _ = writeln!(out, "  {}", Message::DeviceQuarantined.text(language));
        }
        for probe in &d.probes {
            let _ = writeln!(out, "  {}", self::probe(probe));
        }
    }
    out
}

/// One line: the probe's state and what it saw.
pub fn probe(probe: &ProbeOverview) -> String {
    let state = probe.state.map_or("", |s| s.as_str());
    let mut values: Vec<String> = probe
        .values
        .iter()
        .map(|v| match v.subject.as_str() {
            "device" | "agent" => format!("{} {}", v.name, v.unit.display(v.value)),
            subject => format!("{subject} {} {}", v.name, v.unit.display(v.value)),
        })
        .collect();
    values.extend(probe.checks.iter().map(|c| format!("{} {}", c.subject, check_word(c.state))));
    format!("{:<9} {:<12} {}", probe.probe.as_str(), state, values.join(", "))
}

fn check_word(state: CheckState) -> &'static str {
    state.as_str()
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
}

impl ContractRow {
    pub fn of(c: &Contract) -> Self {
        Self {
            contract: c.id.to_string(),
            version: c.version,
            effective_from: c.effective_from.to_string(),
            hospital: c.hospital.name.clone(),
            service_name: c.service_name.clone(),
            uptime_target: c.targets.uptime,
        }
    }
}

pub fn contracts(rows: &[ContractRow]) -> String {
    let mut out = String::new();
    for r in rows {
        let _ = writeln!(
            out,
            "{} v{} {} {} {} {}",
            r.contract,
            r.version,
            r.effective_from,
            r.hospital,
            r.service_name,
            Unit::Ratio.display(r.uptime_target),
        );
    }
    out
}

pub fn sla(months: &[ContractMonth], language: Language) -> String {
    if months.is_empty() {
        return Message::NoContracts.text(language).to_owned();
    }
    let mut out = String::new();
    for m in months {
        let _ = writeln!(out, "{} {} {}", m.contract, m.service_name, m.figures.month);
        for i in &m.figures.indicators {
            let _ = writeln!(out, "  {}", indicator(i, language));
        }
        for label in Label::ALL {
            let total = m.figures.partition.total(label);
            if total != BusinessDuration::default() {
                let _ = writeln!(out, "    {}: {total}", label.message().text(language));
            }
        }
    }
    out
}

/// One line: value with its bounds, target, verdict, coverage.
pub fn indicator(i: &Indicator, language: Language) -> String {
    let percent = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{:.3} %", v * 100.0));
    let value = match (i.estimate.value, i.estimate.reason_for_null) {
        (None, Some(reason)) => reason.message().text(language).to_owned(),
        (value, _) => {
            let (min, max) = (percent(i.estimate.min), percent(i.estimate.max));
            format!("{} [{min} – {max}]", percent(value))
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
        let _ = writeln!(
            out,
            "{} {} {} {} {} {}",
            i.id,
            i.severity.message().text(language),
            phase(i.phase).text(language),
            jst_minute(i.first_seen),
            i.label,
            i.finding.text(language),
        );
    }
    out
}

pub fn incident(i: &Incident, language: Language) -> String {
    let mut out = incidents(std::slice::from_ref(i), language);
    let _ = writeln!(out, "{}", i.action.text(language));
    for event in &i.events {
        let worker = event.worker.as_ref().map_or("", |w| w.as_str());
        let step = serde_json::to_string(&event.step).unwrap_or_default();
        let _ = writeln!(out, "  {} {} {worker}", jst_minute(event.at), step.trim_matches('"'));
    }
    out
}

fn phase(p: Phase) -> Message {
    match p {
        Phase::Open => Message::PhaseOpen,
        Phase::Recovered => Message::PhaseRecovered,
        Phase::Closed => Message::PhaseClosed,
    }
}
