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
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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
        let file: HistoryFile = parse_json(json)?;
        let mut problems = Problems::default();
        if file.format != FORMAT {
            problems.push("format", format!("is `{}`, this program reads \"{FORMAT}\"", file.format));
        }
        let history = file.read(&mut problems);
        if problems.is_empty() { Ok(history) } else { Err(problems) }
    }
}

/// Reads a JSON document; the place is named where it has another shape.
pub(super) fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T, Problems> {
    let mut problems = Problems::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize(&mut reader) {
        Ok(read) => match reader.end() {
            Ok(()) => return Ok(read),
            Err(e) => problems.push("", e.to_string()),
        },
        Err(e) => {
            let place = e.path().to_string();
            problems.push(if place == "." { String::new() } else { place }, e.inner().to_string());
        }
    }
    Err(problems)
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
pub(super) fn check(history: &History, contracts: &ContractHistory, problems: &mut Problems) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sla::contract::{EXAMPLE, Grade};
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "format": FORMAT,
            "contracts": [{
                "text": EXAMPLE.replace("extra_closed = [\"2026-12-30\", \"2026-12-31\"]", ""),
                "approved": { "vendor": "2026-03-01T09:00:00+09:00", "hospital": "2026-03-02T09:00:00+09:00" },
            }],
            "watched": [{ "from": "2026-04-01T00:00:00+09:00", "to": "2028-04-01T00:00:00+09:00" }],
            "outages": [{
                "id": "o-1", "source": "manual",
                "from": "2026-09-18T16:00:00+09:00", "to": "2026-09-24T10:30:00+09:00",
                "attributions": [{ "at": "2026-09-24T11:00:00+09:00", "cause": "provider", "by": "w-1" }],
            }],
            "devices": [{ "device": "vpn-1", "reports": [
                { "at": "2026-09-01T00:00:00+09:00", "kind": "pattern_file", "state": "since", "since": "2026-08-31T00:00:00+09:00" },
            ]}],
            "incidents": [{ "incident": 7, "events": [
                { "at": "2026-09-24T09:00:00+09:00", "kind": { "detected": "critical" } },
                { "at": "2026-09-24T15:00:00+09:00", "kind": "first_response_reported" },
            ]}],
            "explanations": [{ "month": "2026-09", "item": "uptime", "reason": "電源故障", "plan": "二重化" }],
        })
    }

    fn read(document: &Value) -> Result<History, Vec<String>> {
        let problems = |p: Problems| p.iter().map(|p| format!("{}: {}", p.key, p.text)).collect();
        History::parse(&document.to_string()).map_err(problems)
    }

    fn at(text: &str) -> Timestamp {
        format!("{text}+09:00").parse().unwrap()
    }

    #[test]
    fn a_document_gives_every_figure() {
        let history = read(&document()).unwrap();
        let evaluation = history.known(at("2026-10-01T00:00:00")).evaluate();
        assert_eq!(evaluation.months.len(), 6);
        let september = evaluation.months.last().unwrap();
        let uptime = september.indicators[0].estimate.value.unwrap();
        assert!((uptime - (1.0 - 9_000.0 / 547_200.0)).abs() < 1e-9);
        let misses: Vec<_> =
            september.misses.iter().flatten().map(|m| (m.item.as_str(), m.count, m.open)).collect();
        assert_eq!(misses, [("uptime", 1, 0), ("response", 1, 0), ("currency_provider", 0, 1)]);
        let unexplained: Vec<_> = september.unexplained.iter().map(|item| item.as_str()).collect();
        assert_eq!(unexplained, ["response"], "uptime has its reason and plan");
        let year = evaluation.years.first().unwrap();
        assert_eq!(
            (year.misses, year.grade, year.best, year.ended),
            (Some(2), Some(Grade::B), Some(Grade::B), false)
        );
        assert_eq!(year.worst, Some(Grade::D), "six months of a device that did not report");
    }

    #[test]
    fn the_order_within_lists_does_not_matter() {
        let mut turned = document();
        let more = json!([
            { "id": "o-2", "source": "link", "from": "2026-05-07T09:00:00+09:00" },
            { "id": "o-1", "source": "manual", "from": "2026-06-01T09:00:00+09:00", "to": "2026-06-01T10:00:00+09:00" },
        ]);
        turned["outages"] = more.clone();
        let forth = read(&turned).unwrap().known(at("2026-10-01T00:00:00")).evaluate();
        turned["outages"].as_array_mut().unwrap().reverse();
        let back = read(&turned).unwrap().known(at("2026-10-01T00:00:00")).evaluate();
        let partitions = |e: &crate::sla::history::Evaluation| {
            e.months.iter().map(|m| m.partition.clone()).collect::<Vec<_>>()
        };
        assert_eq!((partitions(&forth), &forth.years), (partitions(&back), &back.years));
    }

    #[test]
    fn whatever_is_wrong_comes_with_its_place() {
        let changed = |path: &str, value: Value| {
            let mut document = document();
            *document.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
            read(&document).unwrap_err()
        };
        for (path, value, expected) in [
            ("/format", json!("x/1"), "format: is `x/1`, this program reads \"tenken-sla-history/1\""),
            ("/contracts", json!([]), "contracts: names no contract version; nothing is judged without one"),
            ("/outages/0/from", json!("2026-09-18T16:00:00"), "outages[0].from: "),
            (
                "/outages/0/to",
                json!("2026-09-18T15:00:00+09:00"),
                "outages[0].to: 2026-09-18T06:00:00Z is before its beginning, 2026-09-18T07:00:00Z",
            ),
            (
                "/outages/0/attributions/0/cause",
                json!("weather"),
                "outages[0].attributions[0].cause: unknown variant `weather`",
            ),
            ("/watched/0/to", json!("2026-03-01T00:00:00Z"), "watched[0].to: "),
            ("/incidents/0/events/1/at", json!("2026-09-24T08:00:00+09:00"), "incidents[0].events[1].at: "),
            ("/incidents/0/events", json!([]), "incidents[0]: was never detected"),
            ("/explanations/0/plan", json!(" "), "explanations[0].plan: says nothing"),
            (
                "/contracts/0/text",
                json!(EXAMPLE.replace("B = \"1-2\"", "B = \"2-2\"")),
                "contracts[0].text: grades.B: leaves a gap",
            ),
            (
                "/contracts/0/text",
                json!(EXAMPLE.replace("A = \"0\"\n", "")),
                "contracts[0].text: grades.A: is missing",
            ),
        ] {
            let found = changed(path, value);
            assert!(found.iter().any(|p| p.starts_with(expected)), "{path}: {found:?}");
        }
        let twice = document()["outages"][0].clone();
        let mut doubled = document();
        doubled["outages"].as_array_mut().unwrap().push(twice);
        assert_eq!(read(&doubled).unwrap_err(), ["outages[1].id: `o-1` is there twice"]);
        let mut strange = document();
        strange["exclusions"] = json!([{ "id": "x", "rule": "weather", "from": "2026-09-18T16:00:00+09:00", "to": "2026-09-18T17:00:00+09:00" }]);
        assert!(read(&strange).unwrap_err()[0].starts_with("exclusions[0].rule: the contract in force at"));
        for text in ["{} x", "x", "[]"] {
            let found = History::parse(text).unwrap_err();
            assert_eq!(found.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), [""], "{text}");
        }
    }

    #[test]
    fn two_versions_from_one_day_are_refused() {
        let mut document = document();
        let second = document["contracts"][0].clone();
        document["contracts"].as_array_mut().unwrap().push(second);
        assert!(read(&document).unwrap_err()[0].starts_with("contracts: versions 1 and 1 both take effect"));
    }

    #[test]
    fn what_is_never_reported_is_never_good() {
        let mut unwatched = document();
        unwatched.as_object_mut().unwrap().remove("watched");
        let evaluation = read(&unwatched).unwrap().known(at("2026-06-01T00:00:00")).evaluate();
        let april = evaluation.months.first().unwrap().indicators[0];
        assert_eq!((april.estimate.value, april.coverage), (None, Some(0.0)));
    }

    #[test]
    fn what_has_no_length_is_in_order_and_runs_do_not_touch() {
        let instant = json!({ "from": "2026-05-01T00:00:00+09:00", "to": "2026-05-01T00:00:00+09:00" });
        let mut at_once = document();
        at_once["failed_pushes"] = json!([instant]);
        let run = |first: &str, last: &str| json!({ "first": format!("{first}+09:00"), "last": format!("{last}+09:00") });
        let noon = "2026-05-01T12:00:00";
        at_once["heartbeats"] = json!([run(noon, noon)]);
        assert!(read(&at_once).is_ok());
        for (runs, expected) in [
            (
                [run("2026-05-01T09:00:00", noon), run(noon, "2026-05-01T13:00:00")],
                "heartbeats: the runs from",
            ),
            (
                [run(noon, "2026-05-01T11:00:00"), run("2026-05-01T14:00:00", "2026-05-01T15:00:00")],
                "heartbeats[0].last: is before first",
            ),
        ] {
            let mut bad = document();
            bad["heartbeats"] = json!(runs);
            let found = read(&bad).unwrap_err();
            assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
        }
    }

    #[test]
    fn an_item_is_one_of_any_version() {
        let mut document = document();
        let text = EXAMPLE
            .replace("version = 1", "version = 2")
            .replace("2026-04-01", "2027-04-01")
            .replace("id = \"training\"", "id = \"exercise\"");
        document["contracts"].as_array_mut().unwrap().push(json!({ "text": text }));
        let done =
            |item: &str| json!([{ "item": item, "done_at": "2026-05-01T00:00:00+09:00", "evidence": "R" }]);
        for item in ["training", "exercise"] {
            document["checklist"] = done(item);
            assert!(read(&document).is_ok(), "{item}");
        }
        document["checklist"] = done("other");
        assert_eq!(
            read(&document).unwrap_err(),
            ["checklist[0].item: no version of the contract has an item `other`"]
        );
    }
}
