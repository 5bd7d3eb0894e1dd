//! `tenken-collector sla report`: the SLA's reports, from a store or a history that somebody wrote
//! down.

use super::{print_json, sla::Source};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use tenken_collector_core::sla::{
    history::History,
    month::Month,
    report::{
        Standing, annual::AnnualReport, csv::csv, document::Document, event::EventReport, html::html,
        monthly::MonthlyReport, patient::PatientReport,
    },
    seal::MonthSealed,
};
use tenken_common::{
    file::{self, Access},
    id::Name,
    message::Language,
    time::Timestamp,
};

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    which: Which,
    /// As it would be now, also where the month is sealed
    #[arg(long)]
    draft: bool,
    /// For patients: one page in plain words about the month
    #[arg(long, requires = "month")]
    patient: bool,
    /// As it was known at this instant (default: now)
    #[arg(long, value_name = "RFC3339")]
    as_of: Option<Timestamp>,
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Where it goes (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The report of a month in Japan, e.g. 2026-09
    #[arg(long)]
    month: Option<Month>,
    /// The report of the evaluation year that begins in this year, e.g. 2026
    #[arg(long, allow_negative_numbers = true)]
    year: Option<i16>,
    /// The report of an event, by its id
    #[arg(long, value_name = "ID")]
    event: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One file, ready to print on A4
    Html,
    /// For a table program
    Csv,
    /// The same figures for programs
    Json,
}

impl ReportArgs {
    /// The month whose sealed report is asked for.
    pub fn sealed_month(&self) -> Option<Month> {
        self.which.month.filter(|_| !self.patient && !self.draft && self.as_of.is_none())
    }
}

/// The report as it was sealed, byte for byte.
pub fn give_sealed(args: &ReportArgs, sealed: &MonthSealed, language: Language) -> anyhow::Result<()> {
    let form = match args.format {
        Format::Html => "html",
        Format::Csv => "csv",
        Format::Json => "json",
    };
    let text = sealed.page(language, form).context("the seal has no such page")?;
    match &args.out {
        Some(path) => written(path, text),
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output"),
    }
}

pub fn run(args: &ReportArgs, history: &History, now: Timestamp, language: Language) -> anyhow::Result<()> {
    let known = history.known(args.as_of.unwrap_or(now));
    // Only a store seals.
    let standing = Standing::Draft;
    if let Some(year) = args.which.year {
        let report = AnnualReport::of(&known, year, standing)
            .with_context(|| format!("{year} is no year of the calendar"))?;
        return give(args, &report, |language| report.document(language), language);
    }
    if let Some(id) = &args.which.event {
        let report = EventReport::of(&known, id)
            .with_context(|| format!("the history knows no event `{id}` by then"))?;
        return give(args, &report, |language| report.document(language), language);
    }
    let month = args.which.month.context("name a --month, a --year or an --event")?;
    if args.patient {
        let report = PatientReport::of(&known, month, standing);
        give(args, &report, |language| report.document(language), language)
    } else {
        let report = MonthlyReport::of(&known, month, standing);
        give(args, &report, |language| report.document(language), language)
    }
}

fn give(
    args: &ReportArgs,
    report: &impl Serialize,
    document: impl Fn(Language) -> Document,
    language: Language,
) -> anyhow::Result<()> {
    let text = match (args.format, &args.out) {
        (Format::Json, None) => return print_json(report),
        (Format::Json, Some(_)) => format!("{}\n", serde_json::to_string_pretty(report)?),
        (Format::Html, _) => html(&document(language)),
        (Format::Csv, _) => csv(&document(language)),
    };
    match &args.out {
        Some(path) => written(path, &text),
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output"),
    }
}

fn written(path: &Path, text: &str) -> anyhow::Result<()> {
    file::write(path, text.as_bytes(), Access::Everyone).with_context(|| path.display().to_string())
}
