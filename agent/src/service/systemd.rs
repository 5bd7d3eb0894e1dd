//! The service on Linux: the unit file that stands in `packaging/systemd`, word for word, and
//! systemctl(1).
//!
//! Holds: the unit names fixed places, so installing refuses a program or a configuration that
//! lies elsewhere instead of writing another unit.
//!
//! Does not: copy programs, nor speak to systemd itself.

use super::{Listener, Wish};
use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use tenken_common::{
    file::{self, Access, WriteError},
    message::ServiceText,
};

/// The whole unit.
pub const UNIT: &str = include_str!("../../../packaging/systemd/tenken-agent.service");
/// What the agent needs to ask disks how they are.
const SMART: &str = include_str!("../../../packaging/systemd/tenken-agent-smart.conf");
const NAME: &str = "tenken-agent.service";
const UNITS: &str = "etc/systemd/system";
/// As the unit names them.
const PROGRAM: &str = "/usr/bin/tenken-agent";
const CONFIG: &str = "/etc/tenken/agent.toml";

/// How the service is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Target {
    /// Let the agent ask disks by SMART, which takes more privileges
    #[arg(long)]
    smart: bool,
    /// Write into this folder's tree and start nothing: for packages and images
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

/// Why the service is not as it was wished.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("the unit starts {PROGRAM}, which is not there; copy this program there first")]
    Program,
    #[error("the unit reads {CONFIG}, not {}; put the configuration there", path.display())]
    OtherConfig { path: PathBuf },
    #[error("the unit reads {CONFIG}, which is not there; packaging/config/agent.example.toml is an example")]
    NoConfig,
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("systemctl cannot be run; does this system have systemd?")]
    Systemctl(#[source] io::Error),
    #[error("systemctl {command} failed: {said}")]
    Refused { command: String, said: String },
    #[error("nothing can be shown")]
    Show(#[from] io::Error),
}

/// Does it and says so. Exit code 1: it is not as it should be.
pub fn execute(
    wish: &Wish,
    config: Option<&Path>,
    _: &Path,
    listener: &mut Listener<'_>,
) -> Result<ExitCode, ServiceError> {
    let name = [("name", NAME)];
    match wish {
        Wish::Install(target) => install(target, config, listener)?,
        Wish::Uninstall => {
            uninstall()?;
            listener.say(ServiceText::Uninstalled, &name)?;
        }
        Wish::Start if state()?.active == "active" => listener.say(ServiceText::RunsAlready, &name)?,
        Wish::Start => {
            systemctl(None, &["start", NAME])?;
            listener.say(ServiceText::Started, &name)?;
        }
        Wish::Stop if state()?.active == "inactive" => listener.say(ServiceText::StandsAlready, &name)?,
        Wish::Stop => {
            systemctl(None, &["stop", NAME])?;
            listener.say(ServiceText::Stopped, &name)?;
        }
        Wish::Status => return Ok(state()?.show(listener)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn install(target: &Target, config: Option<&Path>, listener: &mut Listener<'_>) -> Result<(), ServiceError> {
    if let Some(path) = config.filter(|path| *path != Path::new(CONFIG)) {
        return Err(ServiceError::OtherConfig { path: path.to_owned() });
    }
    let root = target.root.as_deref();
    if root.is_none() {
        if !Path::new(PROGRAM).is_file() {
            return Err(ServiceError::Program);
        }
        if !Path::new(CONFIG).is_file() {
            return Err(ServiceError::NoConfig);
        }
    }
    let units = root.unwrap_or(Path::new("/")).join(UNITS);
    file::write(&units.join(NAME), UNIT.as_bytes(), Access::Everyone)?;
    if target.smart {
        file::write(&drop_in(&units), SMART.as_bytes(), Access::Everyone)?;
    } else {
        remove(&drop_in(&units))?;
    }
    if let Some(root) = root {
        systemctl(Some(root), &["enable", NAME])?;
        let root = root.display().to_string();
        return Ok(listener.say(ServiceText::InstalledInto, &[("name", NAME), ("root", &root)])?);
    }
    systemctl(None, &["daemon-reload"])?;
    systemctl(None, &["enable", NAME])?;
    listener.say(ServiceText::Installed, &[("name", NAME), ("config", CONFIG)])?;
    Ok(listener.say(ServiceText::InstallNext, &[])?)
}

fn uninstall() -> Result<(), ServiceError> {
    let units = Path::new("/").join(UNITS);
    if units.join(NAME).exists() {
        systemctl(None, &["disable", "--now", NAME])?;
    }
    remove(&drop_in(&units))?;
    remove(&units.join(NAME))?;
    systemctl(None, &["daemon-reload"]).map(drop)
}

fn drop_in(units: &Path) -> PathBuf {
    units.join(format!("{NAME}.d")).join("smart.conf")
}

fn remove(path: &Path) -> Result<(), ServiceError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ServiceError::Remove { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What it printed.
fn systemctl(root: Option<&Path>, args: &[&str]) -> Result<String, ServiceError> {
    let mut command = Command::new("systemctl");
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    let output = command.args(args).env("LC_ALL", "C").output().map_err(ServiceError::Systemctl)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServiceError::Refused { command: args.join(" "), said })
}

/// As `systemctl show` says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    load: String,
    active: String,
    result: String,
    pid: String,
}

fn state() -> Result<State, ServiceError> {
    let properties = "--property=LoadState,ActiveState,Result,MainPID";
    Ok(State::parse(&systemctl(None, &["show", properties, NAME])?))
}

impl State {
    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        Self {
            load: value("LoadState"),
            active: value("ActiveState"),
            result: value("Result"),
            pid: value("MainPID"),
        }
    }

    /// Only what runs is as it should be.
    fn show(&self, listener: &mut Listener<'_>) -> io::Result<ExitCode> {
        let (text, value) = match (self.load.as_str(), self.active.as_str()) {
            ("not-found", _) => (ServiceText::IsMissing, ("", "")),
            (_, "active") => (ServiceText::IsRunning, ("pid", self.pid.as_str())),
            (_, "inactive") => (ServiceText::IsStopped, ("", "")),
            (_, "failed") => (ServiceText::IsFailed, ("why", self.result.as_str())),
            (_, _) => (ServiceText::IsChanging, ("", "")),
        };
        listener.say(text, &[("name", NAME), value])?;
        Ok(if text == ServiceText::IsRunning { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::message::Language;

    fn shown(text: &str) -> (String, bool) {
        let mut out = Vec::new();
        let mut listener = Listener { out: &mut out, language: Language::En };
        let code = State::parse(text).show(&mut listener).unwrap();
        (String::from_utf8(out).unwrap(), format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
    }

    #[test]
    fn only_what_runs_is_good() {
        let show = |load: &str, active: &str, result: &str, pid: &str| {
            shown(&format!("MainPID={pid}\nResult={result}\nLoadState={load}\nActiveState={active}\n"))
        };
        let (text, good) = show("loaded", "active", "success", "4711");
        assert!(good && text.contains("running (process 4711)"), "{text}");
        for (load, active, said) in [
            ("loaded", "inactive", "stopped"),
            ("loaded", "failed", "failed (watchdog)"),
            ("loaded", "deactivating", "starting or stopping"),
            ("not-found", "inactive", "not installed"),
            ("", "", "starting or stopping"),
        ] {
            let (text, good) = show(load, active, "watchdog", "0");
            assert!(!good && text.contains(said), "{load} {active}: {text}");
        }
    }

    #[test]
    fn the_unit_is_the_packaged_one_and_names_the_places_that_are_checked() {
        let start = format!("ExecStart={PROGRAM} --config {CONFIG} run\n");
        assert!(UNIT.contains(&start) && UNIT.contains("Type=notify\n") && UNIT.contains("WatchdogSec="));
    }

    #[test]
    fn another_configuration_is_refused() {
        let mut out = Vec::new();
        let mut listener = Listener { out: &mut out, language: Language::Ja };
        let other = Path::new("/opt/agent.toml");
        let refused = install(&Target::default(), Some(other), &mut listener).unwrap_err();
        assert!(matches!(refused, ServiceError::OtherConfig { .. }) && out.is_empty());
    }
}
