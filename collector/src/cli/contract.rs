//! `tenken-collector contract`: drafts, loading, and what the versions say.
//!
//! Holds: looking at files needs no store; a file is compared with the versions on file where there
//! is a store.

use super::{
    print_json, read, say,
    show::{self, contract::Whose},
    with_store,
};
use crate::{app, config::CollectorConfig, desk, history, store::Store};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use tenken_collector_core::sla::{
    calendar::Day,
    contract::Contract,
    history::{History, Version},
    report,
};
use tenken_common::{
    file::{self, Access},
    id::{ContractId, Hash},
    message::{ContractText, Language, Message},
    time::{Clock, SystemClock, Timestamp},
};

#[derive(Debug, Subcommand)]
pub enum ContractCommand {
    /// Write a contract file to edit, or check one; loads nothing
    Draft(Draft),
    /// Load a contract version
    Load { file: PathBuf },
    /// All versions on file
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a version says: its number, the day it takes effect, or a file (default: in force today)
    Show {
        /// Such as 2, 2027-04-01, next.toml
        version: Option<VersionName>,
        #[command(flatten)]
        which: Which,
    },
    /// What differs between two versions: numbers, days they take effect, or files
    Diff {
        /// Such as 1, 2026-04-01, before.toml
        before: VersionName,
        /// Such as 2, 2027-04-01, next.toml
        after: VersionName,
        #[command(flatten)]
        which: Which,
    },
    /// The versions with their periods, who approved them when, and which is in force today
    History {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Draft {
    /// Where the file to edit goes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file to check
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Which {
    /// Which contract, where there are several
    #[arg(long, value_name = "ID")]
    contract: Option<ContractId>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How somebody names a version.
#[derive(Debug, Clone)]
pub enum VersionName {
    Number(u32),
    From(Day),
    File(PathBuf),
}

impl std::str::FromStr for VersionName {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().map(Self::Number);
        let day = || text.parse().ok().map(Self::From);
        Ok(number.or_else(day).unwrap_or_else(|| Self::File(text.into())))
    }
}

const TEMPLATE: &str = include_str!("../../../packaging/config/contract.example.toml");

/// The commented example, whose key is left open with the warning before it: it is known to
/// everybody.
fn template() -> String {
    let mut lines: Vec<&str> = TEMPLATE.lines().collect();
    if let Some(key) = lines.iter().position(|line| line.starts_with("key = ")) {
        lines.splice(key.saturating_sub(1)..=key, ["key = \"\""]);
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

pub async fn run(
    command: ContractCommand,
    config: &CollectorConfig,
    language: Language,
) -> anyhow::Result<()> {
    match command {
        ContractCommand::Draft(Draft { out: Some(path), .. }) => make(&path, language),
        ContractCommand::Draft(Draft { check: Some(path), .. }) => check(&path, config, language).await,
        ContractCommand::Draft(Draft { out: None, check: None }) => bail!("name a file: --out or --check"),
        ContractCommand::Load { file } => {
            with_store(config, async |store| load(store, &file, language).await).await
        }
        ContractCommand::List { json } => {
            with_store(config, async |store| list(store, json, language).await).await
        }
        ContractCommand::Show { version, which } => {
            let file = matches!(version, Some(VersionName::File(_)));
            let versions = Versions::open(config, &which, file).await?;
            let whose = versions.find(version.as_ref())?;
            if which.json { print_json(&whose) } else { say(&show::contract::version(&whose, language)) }
        }
        ContractCommand::Diff { before, after, which } => {
            let files = [&before, &after].iter().all(|name| matches!(name, VersionName::File(_)));
            let versions = Versions::open(config, &which, files).await?;
            let (before, after) = (versions.find(Some(&before))?, versions.find(Some(&after))?);
            let changes = report::contract::changes(&before.contract, &after.contract, language);
            if which.json {
                print_json(&changes)
            } else {
                say(&show::contract::changes((&before, &after), &changes, language))
            }
        }
        ContractCommand::History { which } => {
            let histories = of_store(config, which.contract.as_ref()).await?;
            let now = SystemClock::new().wall();
            let rows: Vec<_> = histories.iter().map(|h| show::contract::HistoryRows::of(h, now)).collect();
            if which.json { print_json(&rows) } else { say(&show::contract::histories(&rows, language)) }
        }
    }
}

fn make(path: &Path, language: Language) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} is there already; a draft overwrites nothing", path.display());
    }
    file::write(path, template().as_bytes(), Access::Everyone)?;
    say(&ContractText::DraftMade.fill(language, &[("path", &path.display().to_string())]))
}

/// All problems of the text, and, where there is a store, whether it fits to the versions there.
async fn check(path: &Path, config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let text = read(path)?;
    let contract = parse(path, &text)?;
    let with_others = config.database().exists();
    if with_others {
        let found = with_store(config, async |store| {
            desk::check_contract(store, &text).await.with_context(|| path.display().to_string()).map(drop)
        });
        found.await?;
    }
    let (path, version) = (path.display().to_string(), contract.version.to_string());
    let values = [
        ("path", path.as_str()),
        ("contract", contract.id.as_str()),
        ("version", &version),
        ("from", &contract.effective_from.to_string()),
    ];
    say(&ContractText::DraftGood.fill(language, &values))?;
    let fields = report::contract::fields(&contract, language);
    let parts: Vec<&str> = report::contract::left_out(&fields).map(|part| part.text(language)).collect();
    if !parts.is_empty() {
        say(&ContractText::DraftLeftOut.fill(language, &[("parts", &parts.join(", "))]))?;
    }
    if with_others { Ok(()) } else { say(ContractText::DraftAlone.text(language)) }
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Contract> {
    Contract::parse(text).map_err(|problems| anyhow::anyhow!("{} has {problems}", path.display()))
}

async fn load(store: &Store, file: &Path, language: Language) -> anyhow::Result<()> {
    let loaded =
        desk::load_contract(store, &read(file)?).await.with_context(|| file.display().to_string())?;
    let values = [
        ("contract", loaded.id.to_string()),
        ("version", loaded.version.to_string()),
        ("from", loaded.effective_from.to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    say(&Message::ContractLoaded.fill(language, &values))
}

async fn list(store: &Store, json: bool, language: Language) -> anyhow::Result<()> {
    let agreements = store.agreements().await?;
    let mut rows = Vec::new();
    for (contract, row) in desk::contracts(store).await?.iter().zip(store.contracts().await?) {
        let text = Hash::of(row.text.as_bytes());
        let agreed = agreements.iter().find(|a| a.agreement.subject == text);
        rows.push(show::ContractRow::of(contract, agreed.map(|a| a.agreement.agreed_at)));
    }
    if json { print_json(&rows) } else { say(&show::contracts(&rows, language)) }
}

/// The contracts on file, or the one that is named.
async fn of_store(config: &CollectorConfig, contract: Option<&ContractId>) -> anyhow::Result<Vec<History>> {
    let mut found = Vec::new();
    with_store(config, async |store| {
        let mut histories = history::histories(store, &app::holidays(config)?).await?;
        match contract {
            None => found.extend(histories.into_values()),
            Some(id) => {
                found.push(histories.remove(id).ok_or_else(|| desk::DeskError::NoContract(id.clone()))?);
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Where a version is looked for.
struct Versions {
    histories: Vec<History>,
}

impl Versions {
    /// Without a store there are none, which is enough for files.
    async fn open(config: &CollectorConfig, which: &Which, files_only: bool) -> anyhow::Result<Self> {
        if files_only && !config.database().exists() {
            return Ok(Self { histories: Vec::new() });
        }
        Ok(Self { histories: of_store(config, which.contract.as_ref()).await? })
    }

    /// The contract that numbers and days are of.
    fn only(&self) -> anyhow::Result<&History> {
        match self.histories.as_slice() {
            [one] => Ok(one),
            [] => bail!("no contract is loaded; `tenken-collector contract load FILE` loads one"),
            several => {
                let ids = several.iter().filter_map(|h| h.versions.first()).map(|v| v.contract.id.as_str());
                bail!(
                    "there are several contracts; name one with --contract: {}",
                    ids.collect::<Vec<_>>().join(", ")
                )
            }
        }
    }

    fn find(&self, name: Option<&VersionName>) -> anyhow::Result<Whose> {
        let now = SystemClock::new().wall();
        match name {
            None => self.on_file(now, "no version is in force today", |history, version| {
                history.state(version, now).is_in_force()
            }),
            Some(VersionName::Number(number)) => {
                let missing = format!("there is no version {number}");
                self.on_file(now, &missing, |_, version| version.contract.version == *number)
            }
            Some(VersionName::From(day)) => {
                let missing = format!("no version takes effect on {day}");
                self.on_file(now, &missing, |_, version| version.contract.effective_from == *day)
            }
            Some(VersionName::File(path)) => {
                let contract = parse(path, &read(path)?)?;
                let versions = self.histories.iter().flat_map(|h| h.versions.iter().map(move |v| (h, v)));
                let mut same = versions.filter(|(_, version)| version.contract == contract);
                Ok(match same.next() {
                    Some((history, version)) => Whose::of(history, version, now),
                    None => Whose::of_file(path, contract),
                })
            }
        }
    }

    /// The first version that is `wanted`; where there is none, what is there is said.
    fn on_file(
        &self,
        now: Timestamp,
        missing: &str,
        wanted: impl Fn(&History, &Version) -> bool,
    ) -> anyhow::Result<Whose> {
        let history = self.only()?;
        let Some(version) = history.versions.iter().find(|version| wanted(history, version)) else {
            let known = history.versions.iter().map(|v| &v.contract);
            let known = known.map(|c| format!("{} (from {})", c.version, c.effective_from));
            bail!("{missing}; on file: {}", known.collect::<Vec<_>>().join(", "))
        };
        Ok(Whose::of(history, version, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_to_edit_wants_nothing_but_the_hospitals_key() {
        let problems = Contract::parse(&template()).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["hospital.key"]);
        let key = TEMPLATE.lines().find(|line| line.starts_with("key = ")).unwrap();
        let filled = template().replace("key = \"\"", key);
        assert_eq!(Contract::parse(&filled).unwrap(), Contract::parse(TEMPLATE).unwrap());
        assert!(!template().contains("never use it"));
    }
}
