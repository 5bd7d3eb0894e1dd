//! `tenken-collector incident`: what is wrong, what people did about it, and who was told and why.
//!
//! Holds: what was sent is read from the outbox; why an outlet was not asked is judged by the present
//! configuration.

use super::{print_json, say, show};
use crate::{desk, notify::Outlets, store::Store};
use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;
use std::collections::BTreeMap;
use tenken_collector_core::{
    desk::{
        alert::{self, Decision, Outcome},
        incident::{Incident, Phase},
        notice::IncidentId,
    },
    stream::IncidentStep,
};
use tenken_common::{
    id::Name,
    message::{Language, Message},
    time::{Clock, SystemClock, Timestamp},
};

#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// Incidents that are not closed, or all of them
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One incident with its events
    Show {
        incident: IncidentId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Somebody looks after it (does not stop the response clock)
    Ack(StepArgs),
    /// The cause was investigated and reported to the hospital: stops the response clock
    Report(StepArgs),
    /// It is settled
    Close(StepArgs),
}

#[derive(Debug, clap::Args)]
pub struct StepArgs {
    incident: IncidentId,
    /// Who did it, as the hospital's register names them
    #[arg(long)]
    worker: Name,
    /// When, if not now: 2026-11-23T09:30:00+09:00
    #[arg(long)]
    at: Option<Timestamp>,
}

/// An incident with who was told of it.
#[derive(Debug, Serialize)]
pub struct IncidentView {
    #[serde(flatten)]
    pub incident: Incident,
    pub notices: Vec<NoticeView>,
}

/// One decision, and what became of it.
#[derive(Debug, Serialize)]
pub struct NoticeView {
    #[serde(flatten)]
    pub decision: Decision,
    pub why: String,
    /// By outlet: what became of what was queued, and why it was not asked.
    pub outlets: BTreeMap<Name, String>,
}

pub(super) async fn run(
    command: IncidentCommand,
    store: &Store,
    outlets: &Outlets,
    language: Language,
) -> anyhow::Result<()> {
    let (step, kind) = match command {
        IncidentCommand::List { all, json } => {
            let mut incidents = incidents(store).await?;
            incidents.retain(|i| all || i.phase != Phase::Closed);
            return if json { print_json(&incidents) } else { say(&show::incidents(&incidents, language)) };
        }
        IncidentCommand::Show { incident, json } => {
            let view = view(store, outlets, find(store, incident).await?, language).await?;
            return if json { print_json(&view) } else { say(&show::incident::incident(&view, language)) };
        }
        IncidentCommand::Ack(step) => (step, IncidentStep::Acknowledged),
        IncidentCommand::Report(step) => (step, IncidentStep::FirstResponseReported),
        IncidentCommand::Close(step) => (step, IncidentStep::Closed),
    };
    let at = step.at.unwrap_or_else(|| SystemClock::new().wall());
    desk::step_incident(store, step.incident, kind, step.worker, at).await?;
    say(&Message::IncidentStepped.fill(language, &[("incident", &step.incident.to_string())]))
}

async fn view(
    store: &Store,
    outlets: &Outlets,
    incident: Incident,
    language: Language,
) -> anyhow::Result<IncidentView> {
    let sent = store.notices_of(incident.id).await?;
    let notices = incident.decisions.iter().map(|decision| {
        let notice = alert::notice(&incident, decision, None);
        let mut said: BTreeMap<Name, String> = BTreeMap::new();
        if decision.outcome == Outcome::Sent {
            let unasked =
                outlets.judge(&notice).into_iter().filter_map(|(key, judged)| Some((key, judged.err()?)));
            said.extend(unasked.map(|(key, unwanted)| (key, unwanted.message().text(language).to_owned())));
        }
        let rows = sent.iter().filter(|row| row.notice.id() == notice.id());
        said.extend(rows.map(|row| (row.channel.clone(), show::incident::row(row, language))));
        NoticeView { decision: *decision, why: decision.why(language), outlets: said }
    });
    let notices = notices.collect();
    Ok(IncidentView { incident, notices })
}

pub(super) async fn find(store: &Store, incident: IncidentId) -> anyhow::Result<Incident> {
    let found = incidents(store).await?.into_iter().find(|i| i.id == incident);
    Ok(found.ok_or(desk::DeskError::NoIncident(incident))?)
}

pub(super) async fn incidents(store: &Store) -> anyhow::Result<Vec<Incident>> {
    let rows = store.incidents().await?;
    rows.iter().map(|row| serde_json::from_str(&row.json).context("an incident in the store")).collect()
}
