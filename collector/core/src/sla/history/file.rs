//! A history as a file: one JSON document that needs nothing else (`tenken-sla-history/1`).
//!
//! Holds: whatever is wrong comes with its place, and a document with anything wrong gives no
//! figure. An instant is RFC 3339 with its offset; one without is refused, for nobody knows when it
//! was.

use super::{History, Version};
use crate::sla::{
    calendar::{Day, HolidayList},
    checklist::{ChecklistRecord, CorrectionRequest},
    contract::{Contract, ContractHistory},
    currency::DeviceReports,
    exclusion::Exclusion,
    heartbeat::{HeartbeatRuns, Run},
    job::{Access, Job},
    miss::Explanation,
    outage::Outage,
    report::{annual::AnnualDelivery, event::Event},
    response::{IncidentEventKind, IncidentHistory},
    span::Span,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
};
use tenken_common::{config::Problems, time::Timestamp};

/// Names the document and its version.
pub const FORMAT: &str = "tenken-sla-history/1";

/// The document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryFile {
    format: String,
    contracts: Vec<VersionFile>,
    /// Days of an official list, with their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holidays: BTreeMap<Day, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeats: Option<Vec<Run>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watched: Option<Vec<Span>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed_pushes: Vec<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outages: Vec<Outage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclusions: Vec<Exclusion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    incidents: Vec<IncidentHistory>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<DeviceReports>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checklist: Vec<ChecklistRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionRequest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<Job>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accesses: Vec<Access>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    explanations: Vec<Explanation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    annual: Vec<AnnualDelivery>,
}

/// A contract version: the text of a contract file, and when each party approved it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionFile {
    text: TextFile,
    #[serde(default)]
    approved: ApprovedFile,
}

/// A text, or its lines, which a person can read in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of its lines")]
enum TextFile {
    Whole(String),
    Lines(Vec<String>),
}

impl TextFile {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Whole(text) => Cow::Borrowed(text),
            Self::Lines(lines) => Cow::Owned(lines.iter().flat_map(|line| [line, "\n"]).collect()),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovedFile {
    vendor: Option<Timestamp>,
    hospital: Option<Timestamp>,
}

impl History {
    /// Reads a document; everything that is wrong with its content comes at once.
    pub fn parse(json: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = serde_json::Deserializer::from_str(json);
        let file: HistoryFile = match serde_path_to_error::deserialize(&mut reader) {
            Ok(file) => file,
            Err(e) => {
                let place = e.path().to_string();
                problems.push(if place == "." { String::new() } else { place }, e.inner().to_string());
                return Err(problems);
            }
        };
        if let Err(e) = reader.end() {
            problems.push("", e.to_string());
        }
        if file.format != FORMAT {
            problems.push("format", format!("is `{}`, this program reads \"{FORMAT}\"", file.format));
        }
        let history = file.read(&mut problems);
        if problems.is_empty() { Ok(history) } else { Err(problems) }
    }
}

impl HistoryFile {
    fn read(self, problems: &mut Problems) -> History {
        let holidays = Arc::new(HolidayList::of_days(self.holidays));
        let mut versions = Vec::new();
        for (i, version) in self.contracts.iter().enumerate() {
            match Contract::parse(&version.text.text()) {
                Ok(contract) => versions.push(Version {
                    contract: contract.with_holidays(&holidays),
                    vendor: version.approved.vendor,
                    hospital: version.approved.hospital,
                }),
                Err(found) => {
                    for problem in found.iter() {
                        problems.push(format!("contracts[{i}].text: {}", problem.key), problem.text.clone());
                    }
                }
            }
        }
        versions.sort_by_key(|version| version.contract.effective_from);
        let mut fitting = ContractHistory::default();
        for version in &versions {
            if let Err(e) = fitting.add(version.contract.clone()) {
                problems.push("contracts", e.to_string());
            }
        }
        if self.contracts.is_empty() {
            problems.push("contracts", "names no contract version; nothing is judged without one");
        }
        let history = History {
            versions,
            holidays,
            heartbeats: self.heartbeats.map(|runs| beats(&runs, problems)),
            watched: self.watched,
            failed_pushes: self.failed_pushes,
            outages: self.outages,
            exclusions: self.exclusions,
            incidents: self.incidents,
            devices: self.devices,
            checklist: self.checklist,
            corrections: self.corrections,
            jobs: self.jobs,
            accesses: self.accesses,
            explanations: self.explanations,
            events: self.events,
            annual: self.annual,
        };
        check(&history, &fitting, problems);
        history
    }
}

fn beats(runs: &[Run], problems: &mut Problems) -> HeartbeatRuns {
    let mut sorted = runs.to_vec();
    for (i, run) in runs.iter().enumerate() {
        if run.last < run.first {
            problems.push(format!("heartbeats[{i}].last"), "is before first");
        }
    }
    sorted.sort_unstable_by_key(|run| run.first);
    for (a, b) in sorted.iter().zip(sorted.iter().skip(1)) {
        if b.first <= a.last {
            problems.push("heartbeats", format!("the runs from {} and from {} overlap", a.first, b.first));
        }
    }
    HeartbeatRuns::of_runs(sorted)
}

/// What a document may say in the right shape and still be wrong.
fn check(history: &History, contracts: &ContractHistory, problems: &mut Problems) {
    let mut order = |place: String, from: Timestamp, to: Timestamp| {
        if to < from {
            problems.push(place, format!("{to} is before its beginning, {from}"));
        }
    };
    for (name, spans) in [
        ("watched", history.watched.as_deref().unwrap_or_default()),
        ("failed_pushes", &history.failed_pushes),
    ] {
        for (i, span) in spans.iter().enumerate() {
            order(format!("{name}[{i}].to"), span.from, span.to);
        }
    }
    for (i, outage) in history.outages.iter().enumerate() {
        if let Some(to) = outage.to {
            order(format!("outages[{i}].to"), outage.from, to);
        }
    }
    for (i, exclusion) in history.exclusions.iter().enumerate() {
        order(format!("exclusions[{i}].to"), exclusion.from, exclusion.to);
    }
    for (i, access) in history.accesses.iter().enumerate() {
        order(format!("accesses[{i}].to"), access.from, access.to);
    }
    for (i, correction) in history.corrections.iter().enumerate() {
        order(format!("corrections[{i}].until"), correction.requested_at, correction.until);
    }
    for (i, exclusion) in history.exclusions.iter().enumerate() {
        if exclusion.rule(contracts).is_none() {
            let text = format!(
                "the contract in force at {} has no exclusion rule `{}`",
                exclusion.from, exclusion.rule
            );
            problems.push(format!("exclusions[{i}].rule"), text);
        }
    }
    for (i, incident) in history.incidents.iter().enumerate() {
        check_incident(&format!("incidents[{i}]"), incident, problems);
    }
    for (i, record) in history.checklist.iter().enumerate() {
        known_item(&format!("checklist[{i}].item"), &record.item, contracts, problems);
    }
    for (i, request) in history.corrections.iter().enumerate() {
        known_item(&format!("corrections[{i}].item"), &request.item, contracts, problems);
    }
    for (i, explanation) in history.explanations.iter().enumerate() {
        for (field, text) in [("reason", &explanation.reason), ("plan", &explanation.plan)] {
            if text.trim().is_empty() {
                problems.push(format!("explanations[{i}].{field}"), "says nothing");
            }
        }
    }
    once("outages", "id", history.outages.iter().map(|o| &o.id), problems);
    once("exclusions", "id", history.exclusions.iter().map(|x| &x.id), problems);
    once("incidents", "incident", history.incidents.iter().map(|i| i.incident), problems);
    once("devices", "device", history.devices.iter().map(|d| &d.device), problems);
    once("jobs", "id", history.jobs.iter().map(|j| &j.id), problems);
    once("accesses", "id", history.accesses.iter().map(|a| &a.id), problems);
    let explained = history.explanations.iter().map(|e| format!("{} {}", e.month, e.item.as_str()));
    once("events", "id", history.events.iter().map(|e| &e.id), problems);
    once("explanations", "item", explained, problems);
}

/// A step before anybody knew of the incident is a mistake.
fn check_incident(place: &str, incident: &IncidentHistory, problems: &mut Problems) {
    let starts = incident.events.iter().filter(|event| {
        matches!(event.kind, IncidentEventKind::Detected(_) | IncidentEventKind::Contacted(_))
    });
    let Some(start) = starts.map(|event| event.at).min() else {
        problems.push(place, "was never detected and nobody made contact about it");
        return;
    };
    for (i, event) in incident.events.iter().enumerate() {
        if event.at < start {
            problems.push(
                format!("{place}.events[{i}].at"),
                format!("{} is before the incident was known, at {start}", event.at),
            );
        }
    }
}

fn known_item(
    place: &str,
    item: &tenken_common::id::Name,
    contracts: &ContractHistory,
    problems: &mut Problems,
) {
    if !contracts.versions().iter().any(|contract| contract.rules.checklist.contains_key(item)) {
        problems.push(place, format!("no version of the contract has an item `{item}`"));
    }
}

fn once<T: Ord + Display>(list: &str, field: &str, ids: impl Iterator<Item = T>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, id) in ids.enumerate() {
        if let Some(again) = seen.replace(id) {
            problems.push(format!("{list}[{i}].{field}"), format!("`{again}` is there twice"));
        }
    }
}
