//! `tenken-collector sla`: how the contracts were kept, from the store, or from a history that
//! somebody wrote down.

mod import;

use super::{overview, print_json, read, report, say, show, with_store};
use crate::{
    app,
    config::CollectorConfig,
    desk::{self, DeskError},
    history,
    pki::Pki,
    seal,
    store::{Store, StoreError},
};
use anyhow::bail;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use tenken_collector_core::sla::{
    contract::Contract,
    history::{FiledRecord, History, Record},
    month::Month,
    report::draft,
    what_if,
};
use tenken_common::{
    file::{self, Access},
    id::{ContractId, Hash},
    message::{Language, Message},
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
    /// Enter what people know about a contract: stops and their causes, exclusions, jobs, accesses
    Enter {
        #[arg(long)]
        contract: ContractId,
        /// One record or a list of them, as JSON
        file: PathBuf,
        /// Where the texts go to which the hospital has to agree, one file each
        #[arg(long, value_name = "DIR")]
        for_hospital: Option<PathBuf>,
    },
    /// Enter jobs and accesses from tables (CSV), all or none
    Import {
        #[arg(long)]
        contract: ContractId,
        #[command(flatten)]
        tables: import::Tables,
        /// Where the texts go to which the hospital has to agree, one file each
        #[arg(long, value_name = "DIR")]
        for_hospital: Option<PathBuf>,
    },
    /// What was entered, and whether the hospital agreed to it
    Records {
        #[arg(long)]
        contract: ContractId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a draft of the contract would have changed
    WhatIf {
        /// The draft's file
        #[arg(long, value_name = "DRAFT")]
        contract: PathBuf,
        /// First month, e.g. 2026-04
        #[arg(long)]
        from: Month,
        /// Last month
        #[arg(long)]
        to: Month,
        /// A history in a file instead of the store's
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
        /// As it was known at this instant (default: now)
        #[arg(long, value_name = "RFC3339")]
        as_of: Option<Timestamp>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Every figure of a contract, from its beginning on
    Evaluate {
        #[command(flatten)]
        source: Source,
        /// As it was known at this instant (default: now)
        #[arg(long, value_name = "RFC3339")]
        as_of: Option<Timestamp>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Seal a month's report: what was handed over does not change any more
    Seal {
        #[arg(long)]
        contract: ContractId,
        /// The month in Japan, e.g. 2026-10
        #[arg(long)]
        month: Month,
    },
    /// Write the evidence of a sealed month, with which the hospital makes every figure anew
    Evidence {
        #[arg(long)]
        contract: ContractId,
        /// The month in Japan, e.g. 2026-10
        #[arg(long)]
        month: Month,
        /// An earlier revision (default: the newest)
        #[arg(long)]
        revision: Option<u32>,
        /// Where it goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Drafts of events to report, from what devices show: versions that changed without work on
    /// record, identities in doubt; as records to complete and enter
    Drafts {
        #[arg(long)]
        contract: ContractId,
    },
    /// A report: as it was sealed, or else as it would be now; or of a history that is written in a file
    Report(report::ReportArgs),
}

/// Whose history.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// A history in a file, a JSON document of the form tenken-sla-history/1; needs no store
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The contract's, from the store
    #[arg(long, value_name = "ID")]
    pub contract: Option<ContractId>,
}

impl Source {
    /// Reads it and goes on.
    async fn open(
        &self,
        config: &CollectorConfig,
        work: impl FnOnce(&History) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let contract = match (&self.history, &self.contract) {
            (Some(path), _) => return work(&load(path)?),
            (None, Some(contract)) => contract,
            (None, None) => bail!("name a --history or a --contract"),
        };
        with_store(config, async |store| work(&of_store(config, store, contract).await?)).await
    }
}

async fn of_store(config: &CollectorConfig, store: &Store, contract: &ContractId) -> anyhow::Result<History> {
    let mut histories = history::histories(store, &app::holidays(config)?).await?;
    Ok(histories.remove(contract).ok_or_else(|| DeskError::NoContract(contract.clone()))?)
}

pub async fn run(args: SlaArgs, config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let now = SystemClock::new().wall();
    match args.command {
        None => {
            let month = args.month.unwrap_or_else(|| Month::of(now));
            show_month(config, (month, now), (args.json, language)).await
        }
        Some(SlaCommand::Report(args)) => {
            if let (Some(contract), Some(month)) = (&args.source.contract, args.sealed_month()) {
                return with_store(config, async |store| match store.sealed(contract, month).await?.last() {
                    Some(sealed) => report::give_sealed(&args, sealed, language),
                    None => report::run(&args, &of_store(config, store, contract).await?, now, language),
                })
                .await;
            }
            let work = |history: &History| report::run(&args, history, now, language);
            args.source.open(config, work).await
        }
        Some(SlaCommand::Seal { contract, month }) => {
            with_store(config, async |store| {
                let sealed = seal::seal(store, &app::holidays(config)?, &contract, month).await?;
                let before = store.sealed(&contract, month).await?;
                let before = before.iter().rev().find(|earlier| earlier.revision < sealed.revision);
                say(&show::seal::sealed(&sealed, before, language))
            })
            .await
        }
        Some(SlaCommand::Evidence { contract, month, revision, out }) => {
            let pki = Pki::load(&config.pki_dir())?;
            with_store(config, async |store| {
                let sealed = seal::sealed(store, &contract, month, revision).await?;
                let written = seal::write_evidence(store, &pki, &sealed, &out).await?;
                say(&show::seal::written(&sealed, &written, &out, language))
            })
            .await
        }
        Some(SlaCommand::Drafts { contract }) => drafts(config, &contract, language).await,
        Some(SlaCommand::Enter { contract, file, for_hospital }) => {
            with_store(config, async |store| {
                let records = Record::parse_all(&read(&file)?)
                    .map_err(|problems| anyhow::anyhow!("{} has {problems}", file.display()))?;
                enter(store, &contract, (&records, for_hospital.as_deref()), language).await
            })
            .await
        }
        Some(SlaCommand::Import { contract, tables, for_hospital }) => {
            with_store(config, async |store| {
                let records = import::records(&of_store(config, store, &contract).await?, &tables)?;
                enter(store, &contract, (&records, for_hospital.as_deref()), language).await
            })
            .await
        }
        Some(SlaCommand::Records { contract, json }) => {
            with_store(config, async |store| {
                let rows = records(store, &contract).await?;
                if json { print_json(&rows) } else { say(&show::sla::records(&rows, language)) }
            })
            .await
        }
        Some(SlaCommand::WhatIf { contract, from, to, history, as_of, json }) => {
            if to < from {
                bail!("--to {to} is before --from {from}");
            }
            let draft = match Contract::parse(&read(&contract)?) {
                Ok(draft) => draft,
                Err(problems) => bail!("{} has {problems}", contract.display()),
            };
            let changes = |history: &History| {
                let changes = what_if::compare(history, &draft, (from, to), as_of.unwrap_or(now));
                if json { print_json(&changes) } else { say(&show::sla::changes(&changes, language)) }
            };
            match history {
                Some(path) => changes(&load(&path)?),
                None => {
                    with_store(config, async |store| changes(&of_store(config, store, &draft.id).await?))
                        .await
                }
            }
        }
        Some(SlaCommand::Evaluate { source, as_of, json }) => {
            let work = |history: &History| {
                let evaluation = history.known(as_of.unwrap_or(now)).evaluate();
                if json {
                    print_json(&evaluation)
                } else {
                    say(&show::sla::evaluation(&evaluation, language))
                }
            };
            source.open(config, work).await
        }
    }
}

async fn show_month(
    config: &CollectorConfig,
    (month, now): (Month, Timestamp),
    (json, language): (bool, Language),
) -> anyhow::Result<()> {
    with_store(config, async |store| {
        let months = overview::sla(store, &app::holidays(config)?, month, now).await?;
        if json { print_json(&months) } else { say(&show::sla(&months, language)) }
    })
    .await
}

async fn drafts(config: &CollectorConfig, contract: &ContractId, language: Language) -> anyhow::Result<()> {
    with_store(config, async |store| {
        let history = of_store(config, store, contract).await?;
        let happened = overview::device::happened(store, &history).await?;
        let drafts = draft::drafts(&happened, &history, language);
        print_json(&drafts.into_iter().map(Record::Event).collect::<Vec<_>>())
    })
    .await
}

fn load(path: &Path) -> anyhow::Result<History> {
    match History::parse(&read(path)?) {
        Ok(history) => Ok(history),
        Err(problems) => bail!("{} has {problems}", path.display()),
    }
}

async fn enter(
    store: &Store,
    contract: &ContractId,
    (records, for_hospital): (&[Record], Option<&Path>),
    language: Language,
) -> anyhow::Result<()> {
    let texts = desk::enter_records(store, contract, records).await?;
    let mut wanting = 0u32;
    for (record, text) in records.iter().zip(&texts).filter(|(record, _)| record.wants_agreement()) {
        wanting += 1;
        if let Some(folder) = for_hospital {
            let sha256 = Hash::of(text.as_bytes()).to_string();
            let name = format!("{}-{}.json", record.kind(), sha256.get(..16).unwrap_or(&sha256));
            file::write(&folder.join(name), text.as_bytes(), Access::Everyone)?;
        }
    }
    let values = [("count", texts.len().to_string()), ("wanting", wanting.to_string())];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    say(&Message::SlaRecordsEntered.fill(language, &values))
}

async fn records(store: &Store, contract: &ContractId) -> anyhow::Result<Vec<show::sla::RecordRow>> {
    let agreements = store.agreements().await?;
    let mut rows = Vec::new();
    for row in store.sla_records().await?.into_iter().filter(|row| row.contract == *contract) {
        let subject = Hash::of(row.text.as_bytes());
        let signed = agreements.iter().filter(|a| a.agreement.subject == subject);
        let Ok(filed) = FiledRecord::parse(&row.text) else { return Err(StoreError::Value("record").into()) };
        rows.push(show::sla::RecordRow {
            entered: row.entered,
            sha256: subject,
            wants_agreement: filed.record.wants_agreement(),
            agreed: signed.map(|a| a.agreement.agreed_at).min(),
            record: serde_json::to_value(&filed.record)?,
        });
    }
    Ok(rows)
}
