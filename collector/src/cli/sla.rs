//! `tenken-collector sla`: how the contracts were kept, from the store, or from a history that
//! somebody wrote down.

use super::{overview, print_json, read, report, say, show, with_store};
use crate::config::CollectorConfig;
use anyhow::bail;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use tenken_collector_core::sla::{history::History, month::Month};
use tenken_common::{
    message::Language,
    time::{Clock, SystemClock, Timestamp},
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SlaArgs {
    #[command(subcommand)]
    command: Option<SlaCommand>,
    /// Month in Japan, e.g. 2026-11 (default: the present one)
    #[arg(long)]
    month: Option<Month>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SlaCommand {
    /// Every figure of a history that is written in a file; needs no store
    Evaluate {
        /// The history, a JSON document of the form tenken-sla-history/1
        #[arg(long, value_name = "FILE")]
        history: PathBuf,
        /// As it was known at this instant (default: now)
        #[arg(long, value_name = "RFC3339")]
        as_of: Option<Timestamp>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A report of a history that is written in a file; needs no store
    Report(report::ReportArgs),
}

pub async fn run(args: SlaArgs, config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let now = SystemClock::new().wall();
    match args.command {
        None => {
            with_store(config, async |store| {
                let months = overview::sla(store, args.month.unwrap_or_else(|| Month::of(now)), now).await?;
                if args.json { print_json(&months) } else { say(&show::sla(&months, language)) }
            })
            .await
        }
        Some(SlaCommand::Report(args)) => report::run(&args, now, language),
        Some(SlaCommand::Evaluate { history, as_of, json }) => {
            let text = read(&history)?;
            let history = match History::parse(&text) {
                Ok(read) => read,
                Err(problems) => bail!("{} has {problems}", history.display()),
            };
            let evaluation = history.known(as_of.unwrap_or(now)).evaluate();
            if json { print_json(&evaluation) } else { say(&show::evaluation(&evaluation, language)) }
        }
    }
}
