//! The commands of `tenken-collector`.
//!
//! Holds: every listing has a `--json` form with the same content. Commands work beside a serving
//! collector, which takes notice by itself. Exit codes: 0 done, 2 not done and why.

mod calendar;
mod contract;
mod detect;
mod device;
mod forecast;
mod incident;
mod plan;
mod points;
mod report;
mod rules;
mod scorecard;
pub mod show;
mod silence;
mod sla;
mod triage;

use crate::{
    app, backup,
    config::CollectorConfig,
    desk, ingest,
    notify::Outlets,
    overview,
    pki::{Pki, Renewed},
    store::Store,
    worker,
};
use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use tenken_common::{
    config,
    file::{self, Access},
    id::{DeviceId, Name},
    message::{Language, Message},
    statement, telemetry,
    time::{Clock, SystemClock, jst_minute},
};

/// リモートサービスセンターの収集サーバー / the collector at the remote service centre
#[derive(Debug, Parser)]
#[command(name = "tenken-collector", version, about, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; without it the defaults hold
    #[arg(long, short, global = true, value_name = "FILE", env = "TENKEN_COLLECTOR_CONFIG")]
    config: Option<PathBuf>,
    /// Language of what is shown: ja or en (default: the configuration's)
    #[arg(long, alias = "lang", global = true, env = "TENKEN_LANG")]
    language: Option<Language>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this collector's keys and certificates, once
    Init,
    /// Serve until stopped
    Serve,
    /// Check configuration and rules and show every problem
    CheckConfig,
    /// Devices, and the hospital's statements about them
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Contracts, by version: drafts, what a version says, what differs
    #[command(subcommand)]
    Contract(contract::ContractCommand),
    /// How the contracts were kept
    Sla(sla::SlaArgs),
    /// Holidays, deadlines and open time as a contract counts them
    #[command(subcommand)]
    Calendar(calendar::CalendarCommand),
    /// Judge anyone's points with the shipped detector: which are unusual, and why
    Detect(detect::DetectArgs),
    /// Say when anyone's points reach a limit, or why not
    Forecast(forecast::ForecastArgs),
    /// Parts, disks and certificates by the date on which they reach their limit
    Plan(plan::PlanArgs),
    /// How the alerts that foretold a date came out
    Scorecard(scorecard::ScorecardArgs),
    /// Rules, and tests of them
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Incidents, and what people did about them
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// What nobody is to be told of for a time
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// What is known of an incident on one page, to look at first
    Triage(triage::TriageArgs),
    /// Take in a device's export from removable media; works beside a serving collector
    Import {
        file: PathBuf,
        /// Where the acknowledgement goes, to be carried back to the device
        #[arg(long, value_name = "FILE")]
        ack: PathBuf,
    },
    /// Whom devices trust: roots and acknowledgement key, by version
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Derive everything again from log and journal; sends nothing
    Rebuild,
    /// Copy database and keys (not the offline key) into a new folder, also while serving
    Backup { folder: PathBuf },
    /// Make this collector from a backup, in an empty data_dir
    Restore { folder: PathBuf },
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// All devices, with their state and what they reported last
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a device says of its own state: patches, pattern files, versions, wear, inventory
    Show {
        /// Its id, or its name where only one device has it
        device: Name,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The ledger of all devices that the ministry's checklist asks hospitals for
    Ledger {
        /// As CSV, for a table program
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// File statements that the hospital signed: slot tickets, approvals, consents, agreements
    File {
        #[arg(required = true, value_name = "FILE")]
        statements: Vec<PathBuf>,
    },
    /// Take nothing more from a device
    Revoke { device: DeviceId },
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Make the next version; a serving collector takes it up by itself
    New {
        /// A new acknowledgement key
        #[arg(long)]
        ack_key: bool,
        /// A new root for all certificates from now on
        #[arg(long)]
        root: bool,
        /// A new offline key, which signs the versions after this one
        #[arg(long)]
        signer: bool,
        /// Trust no root but the newest: for a root whose key leaked
        #[arg(long)]
        forget_roots: bool,
        /// The folder with the offline key
        #[arg(long, value_name = "DIR")]
        offline: PathBuf,
    },
    /// All versions
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs one command.
pub fn main(cli: Cli) -> anyhow::Result<()> {
    let config: CollectorConfig = match &cli.config {
        Some(path) => config::load(path)?,
        None => CollectorConfig::default(),
    };
    let language = cli.language.unwrap_or(config.language);
    let serving = matches!(cli.command, Command::Serve);
    telemetry::init(config.log_format, if serving { "info" } else { "warn" });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(run(cli.command, config, language))
}

async fn run(command: Command, config: CollectorConfig, language: Language) -> anyhow::Result<()> {
    match command {
        Command::Init => {
            let root = app::init(&config)?;
            let (offline, root) = (config.pki_dir().join("offline").display().to_string(), root.to_string());
            say(&Message::CollectorInit.fill(language, &[("root", &root), ("offline", &offline)]))
        }
        Command::CheckConfig => {
            app::rules(&config)?;
            app::holidays(&config)?;
            say(Message::ConfigGood.text(language))
        }
        Command::Serve => serve(config).await,
        Command::Import { file, ack } => {
            let pki = Pki::load(&config.pki_dir())?;
            with_store(&config, async |store| import(store, &pki, (&file, &ack), language).await).await
        }
        Command::Rebuild => rebuild(&config, language).await,
        Command::Trust(command) => trust(command, &config, language),
        Command::Backup { folder } => {
            with_store(&config, async |store| {
                let made = backup::backup(&config, store, &folder).await?;
                say_backup(Message::BackupMade, &folder, &made, language)
            })
            .await
        }
        Command::Restore { folder } => {
            let clock = std::sync::Arc::new(SystemClock::new());
            let made = backup::restore(&config, clock, &folder).await?;
            say_backup(Message::BackupRestored, &config.data_dir, &made, language)
        }
        Command::Device(command) => {
            with_store(&config, async |store| device(command, store, language).await).await
        }
        Command::Contract(command) => contract::run(command, &config, language).await,
        Command::Sla(args) => sla::run(args, &config, language).await,
        Command::Calendar(command) => calendar::run(command, language),
        Command::Detect(args) => detect::run(&args, language),
        Command::Forecast(args) => forecast::run(&args, language),
        Command::Plan(args) => {
            let now = SystemClock::new().wall();
            let (_, rules) = app::rules(&config)?;
            with_store(&config, async |store| plan::run(&args, (store, &rules), now, language).await).await
        }
        Command::Scorecard(args) => {
            with_store(&config, async |store| scorecard::run(&args, store, language).await).await
        }
        Command::Rules(command) => rules::run(command, &config, language),
        Command::Triage(args) => {
            let (_, rules) = app::rules(&config)?;
            let now = SystemClock::new().wall();
            with_store(&config, async |store| triage::run(&args, store, &rules, now, language).await).await
        }
        Command::Silence(command) => {
            with_store(&config, async |store| silence::run(command, (store, &config), language).await).await
        }
        Command::Incident(command) => {
            let outlets = Outlets::new(&config.notify)?;
            with_store(&config, async |store| incident::run(command, store, &outlets, language).await).await
        }
    }
}

fn say_backup(
    message: Message,
    folder: &Path,
    made: &backup::Manifest,
    language: Language,
) -> anyhow::Result<()> {
    let (folder, position) = (folder.display().to_string(), made.position.to_string());
    let taken = jst_minute(made.taken);
    say(&message.fill(language, &[("folder", &folder), ("position", &position), ("taken", &taken)]))
}

/// Opens the store, runs, closes it whatever came out.
async fn with_store(
    config: &CollectorConfig,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !config.database().exists() && !config.pki_dir().exists() {
        bail!("there is no collector in {}; `tenken-collector init` makes one", config.data_dir.display());
    }
    let store = app::open_store(config).await?;
    let result = work(&store).await;
    store.close().await;
    result
}

async fn serve(config: CollectorConfig) -> anyhow::Result<()> {
    // What comes while the parts are still being built ends the service in order too.
    let told_to_stop = terminated();
    let mut running = app::start(config).await?;
    let addresses = running.addresses();
    tracing::info!(
        device = %addresses.device,
        enroll = %addresses.enroll,
        metrics = %addresses.metrics,
        version = app::VERSION,
        "collector serves"
    );
    let broken = tokio::select! {
        () = told_to_stop => None,
        part = running.part_ended() => Some(part),
    };
    running.stop().await?;
    tracing::info!("collector stopped");
    match broken {
        None => Ok(()),
        Some(part) => bail!("{part} ended by itself; the log says why"),
    }
}

/// Completes when the service is told to stop. Listens from this call on, inside a runtime.
fn terminated() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        #[cfg(unix)]
        if let Ok(mut term) = term {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
        drop(tokio::signal::ctrl_c().await);
    }
}

async fn rebuild(config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let (_, _) = app::rules(config)?;
    let outlets = Outlets::new(&config.notify)?;
    let holidays = app::holidays(config)?;
    with_store(config, async |store| {
        // What came after the last tick is not derived yet, which is no difference.
        worker::evaluate::advance(store, &outlets, &holidays).await?;
        store.project_all().await?;
        let before = store.digest().await?;
        store.reset_derived().await?;
        // Its notices are decided already; what this version would decide otherwise is not sent anew.
        worker::evaluate::advance(store, &Outlets::default(), &holidays).await?;
        store.project_all().await?;
        let position = store.position().await?.to_string();
        let same = before == store.digest().await?;
        let message = if same { Message::RebuiltSame } else { Message::RebuiltChanged };
        say(&message.fill(language, &[("position", &position)]))
    })
    .await
}

async fn import(
    store: &Store,
    pki: &Pki,
    (path, ack): (&Path, &Path),
    language: Language,
) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let imported = ingest::import::import(store, pki.ack_key(), &bytes)
        .await
        .with_context(|| path.display().to_string())?;
    file::write(ack, statement::to_armour(&imported.ack).as_bytes(), Access::Everyone)?;
    let values = [
        ("device", imported.device.to_string()),
        ("from", imported.from.to_string()),
        ("to", imported.to.to_string()),
        ("new", imported.new.to_string()),
        ("known", imported.known.to_string()),
        ("path", ack.display().to_string()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    say(&Message::Imported.fill(language, &values))
}

fn trust(command: TrustCommand, config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let pki = Pki::load(&config.pki_dir())?;
    match command {
        TrustCommand::New { ack_key, root, signer, forget_roots, offline } => {
            let renewed = Renewed { ack_key, root, signer, forget_roots };
            let next = pki.next_version(renewed, &offline, SystemClock::new().wall())?;
            let (version, root) = (next.version().to_string(), next.root_sha256().to_string());
            say(&Message::TrustMade.fill(language, &[("version", &version), ("root", &root)]))
        }
        TrustCommand::List { json } => {
            let versions = pki.versions();
            if json { print_json(&versions) } else { say(&show::trust(&versions, language)) }
        }
    }
}

async fn device(command: DeviceCommand, store: &Store, language: Language) -> anyhow::Result<()> {
    match command {
        DeviceCommand::List { json } => {
            let devices = overview::devices(store, SystemClock::new().wall()).await?;
            if json { print_json(&devices) } else { say(&show::devices(&devices, language)) }
        }
        DeviceCommand::Show { device, json } => device::show(store, &device, (json, language)).await,
        DeviceCommand::Ledger { csv, json } => device::ledger(store, csv, (json, language)).await,
        DeviceCommand::File { statements } => {
            for path in statements {
                let text = read(&path)?;
                let envelope = statement::from_armour(&text).with_context(|| path.display().to_string())?;
                let new = desk::file_statement(store, &envelope)
                    .await
                    .with_context(|| path.display().to_string())?;
                let message = if new { Message::StatementFiled } else { Message::StatementKnown };
                say(&message.fill(language, &[("path", &path.display().to_string())]))?;
            }
            Ok(())
        }
        DeviceCommand::Revoke { device } => {
            desk::revoke(store, device).await?;
            say(&Message::DeviceRevoked.fill(language, &[("device", &device.to_string())]))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(())
}

fn print_json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}
