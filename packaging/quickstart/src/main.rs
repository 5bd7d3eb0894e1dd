//! Everything on one machine, to be seen: a collector on the embedded store, a demonstration
//! hospital with its own key and consent, and this machine as the enrolled device.
//!
//! Holds: the real agent, the real collector and the real hospital program's functions run here,
//! on loopback; nothing is simulated. Ending it leaves nothing running, and nothing on the disk
//! unless `--dir` asks for it.

mod party;
mod screen;
mod summary;
mod terminal;

use anyhow::{Context, bail};
use clap::Parser;
use std::{
    fs::File,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tenken_common::{
    config::HumanDuration,
    message::{Language, Message},
    telemetry::{self, ErrorChain, LogFormat},
};

/// How often the screen is drawn anew.
const REFRESH: Duration = Duration::from_secs(1);
/// How often a line is written where there is no screen.
const REPORT: Duration = Duration::from_secs(10);

/// 点検を1台の機械で試す / see Tenken run on this machine
#[derive(Debug, Parser)]
#[command(name = "quickstart", version, about, max_term_width = 100)]
struct Args {
    /// End by itself after this time, e.g. 30s
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<HumanDuration>,
    /// Write the final summary to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the data in this folder for the next run
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Port of /metrics on 127.0.0.1
    #[arg(long, default_value_t = 9464)]
    port: u16,
    /// Language of what is shown: ja or en
    #[arg(long, default_value = "ja", env = "TENKEN_LANG")]
    language: Language,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("quickstart: {}", ErrorChain(&*e));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    // What goes wrong is said in one sentence at the end; TENKEN_LOG brings the logs back.
    telemetry::init(LogFormat::Human, "off");
    // Opened first: nobody is to wait for a summary that has no place.
    let json = args.json.as_deref().map(place_for).transpose()?;
    let temporary = match args.dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("no temporary folder can be made; name one with --dir")?),
    };
    let dir = match (&args.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => bail!("no folder"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let result = runtime.block_on(show(args, &dir, json));
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// A file that can be written; what is in it stays until there is something new.
fn place_for(path: &Path) -> anyhow::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

async fn show(args: &Args, dir: &Path, json: Option<File>) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    if terminal {
        writeln!(std::io::stdout(), "{}", Message::ScreenStarting.text(args.language))?;
    }
    let party = party::begin(dir, args.port, args.language).await?;
    let watched = watch(args, &party, terminal).await;
    let agent = party.stop_agent().await;
    let last = summary::take(&party).await;
    let collector = party.stop_collector().await;
    watched?;
    agent?;
    collector?;
    let last = last?;
    let room = screen::Room { rows: None, ..terminal::room() };
    writeln!(std::io::stdout(), "{}", screen::draw(&last, args.language, false, room))?;
    if let Some(mut file) = json {
        let text = serde_json::to_vec_pretty(&last)?;
        file.set_len(0).and_then(|()| file.write_all(&text)).context("cannot write the summary")?;
    }
    Ok(())
}

/// Draws until the time is over, Ctrl-C is pressed, or the agent ends by itself.
async fn watch(args: &Args, party: &party::Party, terminal: bool) -> anyhow::Result<()> {
    let over = async {
        match args.duration {
            Some(d) => tokio::time::sleep(d.0).await,
            None => std::future::pending().await,
        }
    };
    let draw = async {
        let mut page = if terminal { Some(terminal::Terminal::enter()?) } else { None };
        let mut every = tokio::time::interval(if terminal { REFRESH } else { REPORT });
        loop {
            every.tick().await;
            let summary = summary::take(party).await?;
            if let Some(why) = &summary.spool_failing {
                bail!(
                    "the agent cannot keep its records in {}: {why}",
                    party.agent_config.state_dir.display()
                );
            }
            match &mut page {
                Some(page) => page.show(&screen::draw(&summary, args.language, true, terminal::room()))?,
                None => writeln!(std::io::stdout(), "{}", screen::line(&summary, args.language))?,
            }
        }
    };
    tokio::select! {
        result = draw => result,
        () = over => Ok(()),
        () = tenken_agent::cli::terminated() => Ok(()),
        () = party.agent_ended() => bail!("the agent ended by itself"),
    }
}
