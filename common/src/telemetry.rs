//! Logs: structured, to standard error or where the system keeps logs, in lines for people or as
//! JSON.
//!
//! Holds: messages are constant, facts are fields. No names of persons, no host addresses and
//! no text from devices above DEBUG. `TENKEN_LOG` sets the levels (`warn,tenken_agent::spool=debug`).

use std::{error::Error, fmt, io::IsTerminal};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

pub use tracing::{Level, Metadata};
pub use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Human,
    Json,
}

/// Starts logging to standard error; a second call changes nothing.
pub fn init(format: LogFormat, default_level: &str) {
    start(format, default_level, std::io::stderr().is_terminal(), std::io::stderr);
}

/// Starts logging to `writer`, which is asked for a place with each line's level.
pub fn init_to<W>(writer: W, format: LogFormat, default_level: &str)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    start(format, default_level, false, writer);
}

fn start<W>(format: LogFormat, default_level: &str, ansi: bool, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = |text: &str| text.parse::<Targets>().ok();
    let asked = std::env::var("TENKEN_LOG").ok().and_then(|text| levels(&text));
    let filter = asked.or_else(|| levels(default_level)).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    // An error means that a test or an embedding program has set a subscriber already.
    let _ = match format {
        LogFormat::Human => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
}

/// Prints an error with all its causes, since no error here repeats its source in its own text.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}
