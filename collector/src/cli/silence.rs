//! `tenken-collector silence`: who entered that nobody is to be told of what, until when and why.
//!
//! Holds: what is named has to be there; a silence for a device or an incident is one of its hospital.

use super::{device, incident, print_json, say, show};
use crate::{app, config::CollectorConfig, desk, store::Store};
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use tenken_collector_core::{
    desk::{
        incident::Incident,
        notice::{IncidentId, Severity},
        silence::{Matcher, Silence, SilenceId},
    },
    sla::span::Span,
};
use tenken_common::{
    config::HumanDuration,
    id::{HospitalId, Name},
    message::Language,
    time::{Clock, SystemClock, Timestamp},
};

#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// Tell nobody of certain incidents for a time; they are opened, and the SLA's clocks go on
    Add(AddArgs),
    /// Silences in force and to come, and what they keep from being told now
    List {
        /// Ended ones too
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End one now; what is still there is told
    End {
        silence: SilenceId,
        /// Who ends it, as the register names them
        #[arg(long)]
        worker: Name,
    },
}

#[derive(Debug, Args)]
pub struct AddArgs {
    #[arg(long)]
    hospital: Option<HospitalId>,
    /// Its id, or its name where only one device has it
    #[arg(long)]
    device: Option<Name>,
    #[arg(long)]
    rule: Option<Name>,
    /// The mount, service, sensor it is about
    #[arg(long)]
    subject: Option<Name>,
    #[arg(long)]
    incident: Option<IncidentId>,
    /// What is worse is told all the same
    #[arg(long, value_name = "SEVERITY", value_parser = severity, default_value = "critical")]
    max_severity: Severity,
    /// How long, at most 31 days: 2h, 3d
    #[arg(
        long = "for",
        value_name = "DURATION",
        required_unless_present = "until",
        conflicts_with = "until"
    )]
    lasts: Option<HumanDuration>,
    /// Until when: 2026-11-23T17:00:00+09:00
    #[arg(long)]
    until: Option<Timestamp>,
    /// From when, if not from now
    #[arg(long)]
    from: Option<Timestamp>,
    /// Who enters it, as the register names them
    #[arg(long)]
    worker: Name,
    /// Why, for who asks later
    #[arg(long)]
    reason: String,
}

fn severity(text: &str) -> Result<Severity, String> {
    let all = [Severity::Info, Severity::Warning, Severity::Critical];
    all.into_iter().find(|s| s.as_str() == text).ok_or_else(|| "info, warning or critical".to_owned())
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    ToCome,
    InForce,
    Ended,
}

/// A silence with what it keeps from being told.
#[derive(Debug, Serialize)]
pub struct SilenceView {
    #[serde(flatten)]
    pub silence: Silence,
    pub standing: Standing,
    /// What the device is called.
    pub label: Option<Name>,
    /// Open ones that it is for.
    pub incidents: Vec<IncidentId>,
}

pub(super) async fn run(
    command: SilenceCommand,
    (store, config): (&Store, &CollectorConfig),
    language: Language,
) -> anyhow::Result<()> {
    let now = SystemClock::new().wall();
    match command {
        SilenceCommand::Add(args) => {
            let silence = entered(args, (store, config), now).await?;
            desk::silence(store, silence.clone()).await?;
            let view = view(store, silence, now).await?;
            say(&show::silence::added(&view, language))
        }
        SilenceCommand::List { all, json } => {
            let mut views = Vec::new();
            for silence in store.silences().await? {
                views.push(view(store, silence, now).await?);
            }
            views.retain(|view| all || view.standing != Standing::Ended);
            if json { print_json(&views) } else { say(&show::silence::silences(&views, language)) }
        }
        SilenceCommand::End { silence, worker } => {
            desk::end_silence(store, silence, worker, now).await?;
            say(&show::silence::ended(silence, language))
        }
    }
}

async fn entered(
    args: AddArgs,
    (store, config): (&Store, &CollectorConfig),
    now: Timestamp,
) -> anyhow::Result<Silence> {
    let mut hospital = args.hospital;
    if let Some(named) = &hospital
        && !store.hospitals().await?.iter().any(|row| row.id == *named)
    {
        bail!("there is no hospital {named}; a contract brings it (`tenken-collector contract list`)");
    }
    if let Some(rule) = &args.rule
        && !app::rules(config)?.1.rules.iter().any(|known| known.id == *rule)
    {
        bail!("there is no rule {rule} in the rules that are in use");
    }
    let device = match &args.device {
        Some(device) => Some(device::find(store, device).await?),
        None => None,
    };
    let about = match args.incident {
        Some(id) => Some(incident::find(store, id).await?),
        None => None,
    };
    let theirs = device.iter().map(|d| &d.hospital).chain(about.iter().map(|i| &i.hospital));
    for own in theirs {
        if hospital.get_or_insert_with(|| own.clone()) != own {
            bail!("it names more than one hospital; what belongs to one is nothing to another");
        }
    }
    let matcher = Matcher {
        hospital,
        device: device.map(|row| row.id),
        rule: args.rule,
        subject: args.subject,
        incident: args.incident,
        max_severity: args.max_severity,
    };
    let from = args.from.unwrap_or(now);
    let to = args.until.or_else(|| Some(from.plus(args.lasts?.0))).unwrap_or(from);
    Ok(Silence::new(matcher, Span::new(from, to), (args.worker, &args.reason), now)?)
}

async fn view(store: &Store, silence: Silence, now: Timestamp) -> anyhow::Result<SilenceView> {
    let standing = match silence.span {
        span if span.contains(now) => Standing::InForce,
        span if now < span.from && !span.is_empty() => Standing::ToCome,
        _ => Standing::Ended,
    };
    let label = match silence.matcher.device {
        Some(id) => store.device(id).await?.map(|row| row.label),
        None => None,
    };
    let mut open = incident::incidents(store).await?;
    open.retain(|i| Incident::is_open(i) && standing != Standing::Ended && silence.matcher.matches(i));
    Ok(SilenceView { standing, label, incidents: open.iter().map(|i| i.id).collect(), silence })
}
