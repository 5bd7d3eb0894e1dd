//! `tenken-collector triage`: what the store knows of an incident on one page, to look at first.

use super::incident;
use crate::{
    overview,
    store::{Store, StoreError},
};
use anyhow::Context;
use clap::Args;
use std::{io::Write, path::PathBuf};
use tenken_collector_core::{
    desk::{
        incident::Incident,
        notice::IncidentId,
        rule::RuleSet,
        triage::{self, Triage, VersionChange},
    },
    evaluation::CheckInput,
    intake::device_state::Liveness,
    predict::series::{Series, SeriesKey},
    sla::report::html::html,
};
use tenken_common::{
    file::{self, Access},
    message::{DeskText, Language},
    time::Timestamp,
};

#[derive(Debug, Args)]
pub struct TriageArgs {
    incident: IncidentId,
    /// Where the page goes (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(
    args: &TriageArgs,
    store: &Store,
    rules: &RuleSet,
    now: Timestamp,
    language: Language,
) -> anyhow::Result<()> {
    let incident = incident::find(store, args.incident).await?;
    let page = html(&gather(store, rules, incident, now).await?.document(language));
    let Some(path) = &args.out else {
        return std::io::stdout().write_all(page.as_bytes()).context("cannot write to standard output");
    };
    file::write(path, page.as_bytes(), Access::Private).with_context(|| path.display().to_string())?;
    let (incident, path) = (args.incident.to_string(), path.display().to_string());
    super::say(&DeskText::TriageWritten.fill(language, &[("incident", &incident), ("path", &path)]))
}

async fn gather(
    store: &Store,
    rules: &RuleSet,
    incident: Incident,
    as_of: Timestamp,
) -> anyhow::Result<Triage> {
    let device = incident.device;
    let rule = rules.rules.iter().find(|rule| rule.id == incident.rule);
    let judged = rule.and_then(|rule| triage::judged(&rule.when));
    let mut others = incident::incidents(store).await?;
    others.retain(|other| other.hospital == incident.hospital && other.id != incident.id);
    let mut checks: Vec<CheckInput> = Vec::new();
    for row in store.checks().await?.into_iter().filter(|row| row.device == device) {
        checks.push(CheckInput { probe: row.probe, subject: row.subject, state: row.state, at: row.at });
    }
    let mut changes: Vec<VersionChange> = Vec::new();
    for c in store.revision_changes().await?.into_iter().filter(|c| c.device == device && c.at <= as_of) {
        changes.push(VersionChange { at: c.at, subject: c.subject, old: c.old, new: c.new });
    }
    let overview = overview::devices(store, as_of).await?.into_iter().find(|d| d.device == device);
    Ok(Triage {
        as_of,
        last_received: overview.as_ref().and_then(|d| d.last_received),
        is_silent: overview.is_some_and(|d| d.state.liveness == Liveness::Silent),
        identity: store.identities(as_of).await?.remove(&device).unwrap_or_default(),
        series: series(store, &incident, judged.as_ref(), as_of).await?,
        judged,
        checks,
        changes,
        others,
        incident,
    })
}

/// Those with points in the time that is shown, the most telling first.
async fn series(
    store: &Store,
    incident: &Incident,
    judged: Option<&(String, String)>,
    as_of: Timestamp,
) -> Result<Vec<Series>, StoreError> {
    let span = triage::span(incident, as_of);
    let rows = store.series(incident.device).await?;
    let spans = rows.iter().map(|row| (row.id, span.from..span.to)).collect();
    let mut points = store.points(incident.device, &spans).await?;
    let mut found = Vec::new();
    for row in rows {
        let points = points.remove(&row.id).unwrap_or_default();
        if points.is_empty() {
            continue;
        }
        let (device, subject, probe, quantity) = (row.device, row.subject, row.probe, row.name);
        found.push(Series::new(SeriesKey { device, subject, probe, quantity }, row.unit, points));
    }
    found.sort_by_cached_key(|s| {
        let key = &s.key;
        let rank = triage::rank(incident, judged, key);
        (rank, key.probe.clone(), key.subject.clone(), key.quantity.clone())
    });
    Ok(found)
}
