//! The commands of `tenken-agent`.

use crate::{
    app,
    config::AgentConfig,
    doctor::{self, Verdict},
    enroll, guest,
    media::{self, Taken},
    offline::{Offline, OfflineError},
    outbox::Printer,
    probes, receipt,
    runner::Runner,
    service::{self, Listener, Supervisor, Wish},
    spool, status,
    transport::way::Way,
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tenken_agent_core::probe::{ProbeContext, ProbeInfo, ProbeOutcome};
use tenken_common::{
    config::{self, ConfigError},
    key::grouped,
    message::{EvidenceText, Language, Message},
    statement::SlotFile,
    telemetry,
    time::{Clock, SystemClock, Timestamp, jst_minute},
};

/// Probes that show a rate need two looks; this is the time between them in `probe`.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The thread for calls that wait, as for a name's address, stays between two pushes: to make one costs
/// more than to keep it.
const THREAD_KEPT: Duration = Duration::from_hours(1);

/// 保守対象装置の点検エージェント / watches the device it runs on and reports to the remote service centre
#[derive(Debug, Parser)]
#[command(name = "tenken-agent", version, about, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; without it the defaults hold
    #[arg(long, short, global = true, value_name = "FILE", env = "TENKEN_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Language of what is shown: ja or en (default: the configuration's)
    #[arg(long, global = true, env = "TENKEN_LANG")]
    language: Option<Language>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until stopped
    Run {
        /// Started by the service control manager
        #[cfg(windows)]
        #[arg(long, hide = true)]
        service: bool,
    },
    /// Make the agent a service of this system, start and stop it
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Check the configuration and show every problem
    CheckConfig,
    /// Run the probes once and show what they see
    Probe {
        /// Only this one
        name: Option<String>,
        /// Which probes there are, how often they run and what they cost
        #[arg(long, conflicts_with_all = ["name", "json"])]
        list: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how the running agent is
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Redeem the hospital's slot file, once
    Enroll {
        /// The file that the hospital made with `tenken-hospital slot`
        #[arg(long, value_name = "FILE")]
        slot: PathBuf,
    },
    /// Show every field that left this device or will leave it
    Outbox {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
        /// Only what left since then: 2026-11-23T09:00:00+09:00
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
    },
    /// Write what waits to a file for removable media; the agent must be stopped
    Export { file: PathBuf },
    /// Take in the acknowledgement that came back for an export; the agent must be stopped
    ImportAck { file: PathBuf },
    /// Write the collector's newest signed receipt to a file, to check evidence by
    Receipt { file: PathBuf },
    /// Read the spool of an agent that does not run
    Spool {
        #[command(subcommand)]
        command: SpoolCommand,
    },
    /// Look for known faults and name the next step
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Install the service, or change it into what this version installs; nothing is started
    Install(service::Target),
    /// Stop and remove the service; records and keys stay
    Uninstall,
    /// Start the service
    Start,
    /// Stop the service in order
    Stop,
    /// Show how the service is; exit code 1 unless it runs
    Status,
}

impl From<ServiceCommand> for Wish {
    fn from(command: ServiceCommand) -> Self {
        match command {
            ServiceCommand::Install(target) => Self::Install(target),
            ServiceCommand::Uninstall => Self::Uninstall,
            ServiceCommand::Start => Self::Start,
            ServiceCommand::Stop => Self::Stop,
            ServiceCommand::Status => Self::Status,
        }
    }
}

#[derive(Debug, Subcommand)]
enum SpoolCommand {
    /// Show what is waiting, in flight and declared lost
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Read everything through its checks; exit code 1 if something is damaged
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs one command. Exit codes: 0 done, 1 something is wrong with the device or the agent, 2 the
/// command or its configuration cannot be used.
pub fn main(cli: Cli) -> anyhow::Result<ExitCode> {
    #[cfg(windows)]
    if let Command::Run { service: true } = cli.command {
        // It reads its configuration after the manager knows that it runs.
        return Ok(service::serve(cli.config)?);
    }
    let config = match load(cli.config.as_deref()) {
        // What is wrong with it keeps nobody from stopping the service.
        Err(_) if cli.command.is_about_a_service_that_is_there() => AgentConfig::default(),
        loaded => loaded?,
    };
    let language = cli.language.unwrap_or(config.language);
    let mut out = std::io::stdout();
    match cli.command {
        Command::CheckConfig => {
            writeln!(out, "{}", Message::ConfigGood.text(language))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { .. } => {
            telemetry::init(config.log_format, "info");
            guest::memory::share_one_arena();
            guest::step_back();
            let supervisor = Supervisor::of_environment();
            runtime()?.block_on(async { app::run_supervised(config, supervisor, terminated()).await })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Service { command } => {
            let mut listener = Listener { out: &mut out, language };
            Ok(service::execute(&command.into(), cli.config.as_deref(), &config.state_dir, &mut listener)?)
        }
        Command::Probe { list: true, .. } => {
            write!(out, "{}", probes::print::print_list(&probes::registry::infos()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Probe { name, json, list: false } => {
            let outcomes = runtime()?.block_on(look(&config, name.as_deref()))?;
            write!(
                out,
                "{}",
                probes::print::print(&outcomes, &config.diagnosis.diagnosis(), json, out.is_terminal())
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { json } => {
            let status = status::load(&config.state_dir)?;
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
            } else {
                write!(out, "{}", status::print(&status, language, SystemClock::new().wall()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Enroll { slot } => {
            runtime()?.block_on(run_enroll(&config, &slot, language, &mut out))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Outbox { json, since } => {
            let mut printer = Printer { out: &mut out, json, language };
            show_outbox(&config, &mut printer, since.unwrap_or(Timestamp::MIN))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export { file } => {
            run_export(&config, &file, language, &mut out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ImportAck { file } => {
            let mut offline = Offline::open(&config)?;
            let taken = media::import_ack(&mut offline, &file);
            offline.close()?;
            let Taken { acked, batches } = taken?;
            let message = if batches > 0 { Message::AckTaken } else { Message::AckKnown };
            let values = [("seq", acked.to_string()), ("count", batches.to_string())];
            say(&mut out, message, language, &values)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Receipt { file } => {
            let ack = receipt::write(&config, &file)?;
            let at = jst_minute(ack.server);
            let path = file.display().to_string();
            let (position, at) = (ack.position.to_string(), at.as_str());
            let values = [("at", at), ("position", position.as_str()), ("path", path.as_str())];
            writeln!(out, "{}", EvidenceText::ReceiptWritten.fill(language, &values))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Spool { command } => inspect_spool(&config, &command, language, &mut out),
        Command::Doctor { json } => {
            let all = runtime()?.block_on(doctor::examine(&config, language));
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            } else {
                write!(out, "{}", doctor::print(&all, language))?;
            }
            let sound = all.iter().all(|e| e.verdict == Verdict::Ok);
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
    }
}

fn inspect_spool(
    config: &AgentConfig,
    command: &SpoolCommand,
    language: Language,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let found = spool::inspect(&config.state_dir.join("spool"))?;
    let (json, verify) = match *command {
        SpoolCommand::Ls { json } => (json, false),
        SpoolCommand::Verify { json } => (json, true),
    };
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else if verify {
        write!(out, "{}", spool::print::faults(&found, language))?;
    } else {
        write!(out, "{}", spool::print::list(&found, language))?;
    }
    Ok(if verify && !found.faults.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

impl Command {
    fn is_about_a_service_that_is_there(&self) -> bool {
        matches!(self, Self::Service { command } if !matches!(command, ServiceCommand::Install(_)))
    }
}

fn load(config: Option<&Path>) -> Result<AgentConfig, ConfigError> {
    config.map_or_else(|| Ok(AgentConfig::default()), config::load)
}

fn show_outbox(config: &AgentConfig, printer: &mut Printer<'_>, since: Timestamp) -> anyhow::Result<()> {
    let shown = printer.sent(&config.state_dir, since)?;
    match Offline::open(config) {
        Ok(mut offline) => {
            let waiting = printer.waiting(offline.spool.as_mut(), &shown);
            offline.close()?;
            waiting?;
        }
        Err(OfflineError::AgentRuns) => printer.say(Message::OutboxRunning)?,
        Err(e) => return Err(e.into()),
    }
    Ok(printer.say(Message::OutboxBesides)?)
}

fn run_export(
    config: &AgentConfig,
    file: &Path,
    language: Language,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut offline = Offline::open(config)?;
    let exported = media::export(&mut offline, &config.state_dir, file, &SystemClock::new());
    offline.close()?;
    let Some(exported) = exported? else { return say(out, Message::ExportNothing, language, &[]) };
    let count = exported.to.0 - exported.from.0 + 1;
    let values = [
        ("from", exported.from.to_string()),
        ("to", exported.to.to_string()),
        ("count", count.to_string()),
        ("path", file.display().to_string()),
    ];
    say(out, Message::Exported, language, &values)?;
    if exported.more { say(out, Message::ExportMore, language, &[]) } else { Ok(()) }
}

fn say(
    out: &mut dyn Write,
    message: Message,
    language: Language,
    values: &[(&str, String)],
) -> anyhow::Result<()> {
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    writeln!(out, "{}", message.fill(language, &values))?;
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().thread_keep_alive(THREAD_KEPT).build().context("no runtime")
}

/// Completes when the service is told to stop. Listens from this call on, inside a runtime: what
/// comes while the parts are still being built ends the service in order too.
pub fn terminated() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let term = signal(SignalKind::terminate());
        async move {
            match term {
                Ok(mut term) => {
                    tokio::select! {
                        _ = term.recv() => {}
                        _ = tokio::signal::ctrl_c() => {}
                    }
                }
                Err(_) => drop(tokio::signal::ctrl_c().await),
            }
        }
    }
    #[cfg(not(unix))]
    async {
        drop(tokio::signal::ctrl_c().await);
    }
}

async fn look(config: &AgentConfig, only: Option<&str>) -> anyhow::Result<Vec<(ProbeInfo, ProbeOutcome)>> {
    let clock = SystemClock::new();
    // Names look as they do when the agent runs, where there is one.
    let around = probes::Surroundings::open(&config.probes, &config.state_dir)
        .unwrap_or_else(|_| probes::Surroundings::passing(&config.probes));
    let mut runner = Runner::new(probes::registry::all(&config.probes, &around));
    let infos: Vec<_> = runner.infos().cloned().enumerate().collect();
    let chosen: Vec<_> = infos.iter().filter(|(_, info)| only.is_none_or(|name| name == info.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = infos.iter().map(|(_, info)| info.name).collect();
        anyhow::bail!("there is no probe `{}`; there are: {}", only.unwrap_or(""), names.join(", "));
    }
    for (index, _) in &chosen {
        drop(runner.run(*index, ProbeContext { at: clock.now() }).await);
    }
    tokio::time::sleep(BETWEEN_LOOKS).await;
    let mut outcomes = Vec::new();
    for (index, info) in chosen {
        let outcome = runner.run(*index, ProbeContext { at: clock.now() }).await;
        outcomes.push((info.clone(), outcome));
    }
    Ok(outcomes)
}

async fn run_enroll(
    config: &AgentConfig,
    slot: &Path,
    language: Language,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(slot).with_context(|| format!("cannot read {}", slot.display()))?;
    let slot = SlotFile::from_armour(&text).with_context(|| slot.display().to_string())?;
    let way = Way::new(&config.push)?;
    let enrolled = enroll::enroll(&config.state_dir, &slot, app::VERSION, &way).await?;
    let fingerprint = grouped(&enrolled.device_key.public().fingerprint());
    let device = enrolled.device.to_string();
    let values = [("device", device.as_str()), ("fingerprint", &fingerprint)];
    writeln!(out, "{}", Message::Enrolled.fill(language, &values))?;
    Ok(())
}
