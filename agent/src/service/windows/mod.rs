//! The service on Windows: how it is made, changed, asked and removed through the service control
//! manager. What runs in it is in `serve`.
//!
//! Holds: it runs as `NT SERVICE\TenkenAgent`, an account without a password that may do nothing
//! but use the agent's own folder; only it, SYSTEM and administrators may read that. It starts by
//! itself after the others, and is started again after a failure.

mod event_log;
mod serve;

pub use serve::serve;

use super::{Listener, Wish};
use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};
use tenken_common::message::ServiceText;
use windows_service::{
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
        ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState,
        ServiceStatus, ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};

const NAME: &str = "TenkenAgent";
const DISPLAY: &str = "Tenken Agent";
const ACCOUNT: &str = "NT SERVICE\\TenkenAgent";
/// SYSTEM and the administrators; their names differ from language to language.
const OTHERS: [&str; 2] = ["*S-1-5-18", "*S-1-5-32-544"];
/// After the first, the second and every later failure of a day.
const RESTART_AFTER_S: [u64; 3] = [5, 60, 300];
const FAILURES_FORGOTTEN: Duration = Duration::from_hours(24);
/// A start or stop takes at most this long; the service itself needs less.
const CHANGE_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u128 = CHANGE_WITHIN.as_millis() / LOOK_EVERY.as_millis();
/// What the manager answers for a service that is not there, and for one that is there already.
const NOT_THERE: i32 = 1060;
const THERE_ALREADY: i32 = 1073;
/// What it answers while it starts the services of a boot.
const BUSY: i32 = 1055;
const RUNS_ALREADY: i32 = 1056;
const NOT_ACTIVE: i32 = 1062;
/// What a service "ended with" that was never started.
const NEVER_STARTED: u32 = 1077;

/// How the service is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Target {}

/// Why the service is not as it was wished.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("the service control manager refused to {what}; are you an administrator?")]
    Manager { what: &'static str, source: windows_service::Error },
    #[error("the service is not installed; install it with `tenken-agent service install`")]
    NotInstalled,
    #[error("this program's own place is not known")]
    Program(#[source] io::Error),
    #[error("cannot make {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("icacls cannot be run")]
    Icacls(#[source] io::Error),
    #[error("{} cannot be given to the service's account alone: {said}", path.display())]
    Access { path: PathBuf, said: String },
    #[error("the event log's source cannot be written into the registry")]
    EventLog(#[source] io::Error),
    #[error("the service is not {what} after {} s", CHANGE_WITHIN.as_secs())]
    Slow { what: &'static str },
    #[error("the service ended at once (code {code}); the event log says why")]
    Ended { code: u32 },
    #[error("nothing can be shown")]
    Show(#[from] io::Error),
}

/// Does it and says so. Exit code 1: it is not as it should be.
pub fn execute(
    wish: &Wish,
    config: Option<&Path>,
    state_dir: &Path,
    listener: &mut Listener<'_>,
) -> Result<ExitCode, ServiceError> {
    let name = [("name", NAME)];
    match wish {
        Wish::Install(Target {}) => install(config, state_dir, listener)?,
        Wish::Uninstall => {
            uninstall()?;
            listener.say(ServiceText::Uninstalled, &name)?;
        }
        Wish::Start => {
            let runs_already = !start(&opened(ServiceAccess::START | ServiceAccess::QUERY_STATUS)?)?;
            let text = if runs_already { ServiceText::RunsAlready } else { ServiceText::Started };
            listener.say(text, &name)?;
        }
        Wish::Stop => {
            let service = opened(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)?;
            let text = if stop(&service)? { ServiceText::Stopped } else { ServiceText::StandsAlready };
            listener.say(text, &name)?;
        }
        Wish::Status => return show(listener),
    }
    Ok(ExitCode::SUCCESS)
}

fn install(config: Option<&Path>, state_dir: &Path, listener: &mut Listener<'_>) -> Result<(), ServiceError> {
    let config = config.map(std::path::absolute).transpose().map_err(ServiceError::Program)?;
    let service = created(&info(config.as_deref())?)?;
    let text = ServiceText::Description.text(listener.language);
    service.set_description(text).map_err(refused("describe the service"))?;
    if let Err(e) = service.set_delayed_auto_start(true) {
        listener.say(ServiceText::WithoutDelay, &[("why", &reason(&e))])?;
    }
    if let Err(e) = restart(&service) {
        listener.say(ServiceText::WithoutRestart, &[("why", &reason(&e))])?;
    }
    event_log::register().map_err(ServiceError::EventLog)?;
    secure(state_dir)?;
    let none = ServiceText::WithoutConfig.text(listener.language).to_owned();
    let config = config.map_or(none, |path| path.display().to_string());
    listener.say(ServiceText::Installed, &[("name", NAME), ("config", &config)])?;
    Ok(listener.say(ServiceText::InstallNext, &[])?)
}

fn info(config: Option<&Path>) -> Result<ServiceInfo, ServiceError> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(path) = config {
        arguments.extend(["--config".into(), path.into()]);
    }
    arguments.extend(["run", "--service"].map(OsString::from));
    Ok(ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: std::env::current_exe().map_err(ServiceError::Program)?,
        launch_arguments: arguments,
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    })
}

/// A new service, or the one that is there, changed.
fn created(info: &ServiceInfo) -> Result<Service, ServiceError> {
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::QUERY_STATUS;
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    match manager.create_service(info, access) {
        Err(e) if code(&e) == Some(THERE_ALREADY) => {
            let service = manager.open_service(NAME, access).map_err(refused("open the service"))?;
            service.change_config(info).map_err(refused("change the service"))?;
            Ok(service)
        }
        made => made.map_err(refused("create the service")),
    }
}

/// Also where it ended by its own word with an error.
fn restart(service: &Service) -> windows_service::Result<()> {
    let action = |after_s| ServiceAction {
        action_type: ServiceActionType::Restart,
        delay: Duration::from_secs(after_s),
    };
    service.update_failure_actions(ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FAILURES_FORGOTTEN),
        reboot_msg: None,
        command: None,
        actions: Some(RESTART_AFTER_S.map(action).into()),
    })?;
    service.set_failure_actions_on_non_crash_failures(true)
}

/// Takes the folder from everybody but the service's account, SYSTEM and administrators: what lies
/// under `ProgramData` can be read by everyone otherwise, and keys lie here.
fn secure(state_dir: &Path) -> Result<(), ServiceError> {
    let failed = |source| ServiceError::Folder { path: state_dir.to_owned(), source };
    std::fs::create_dir_all(state_dir).map_err(failed)?;
    let system = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let mut icacls = Command::new(Path::new(&system).join("System32").join("icacls.exe"));
    icacls.arg(state_dir).arg("/inheritance:r");
    for account in OTHERS.into_iter().chain([ACCOUNT]) {
        icacls.arg("/grant:r").arg(format!("{account}:(OI)(CI)F"));
    }
    let output = icacls.output().map_err(ServiceError::Icacls)?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(ServiceError::Access { path: state_dir.to_owned(), said })
}

fn uninstall() -> Result<(), ServiceError> {
    let service = opened(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?;
    stop(&service)?;
    service.delete().map_err(refused("delete the service"))?;
    event_log::forget().map_err(ServiceError::EventLog)
}

/// False where it runs already. That is for the manager to say when it is asked to start it: the
/// state that it shows may be that of a process that was killed.
fn start(service: &Service) -> Result<bool, ServiceError> {
    let mut started = service.start::<&OsStr>(&[]);
    for _ in 0..LOOKS {
        if !started.as_ref().is_err_and(|e| code(e) == Some(BUSY)) {
            break;
        }
        thread::sleep(LOOK_EVERY);
        started = service.start::<&OsStr>(&[]);
    }
    match started {
        Err(e) if code(&e) == Some(RUNS_ALREADY) => return Ok(false),
        started => started.map_err(refused("start the service"))?,
    }
    let state =
        wait(service, "running", |state| matches!(state, ServiceState::Running | ServiceState::Stopped))?;
    if state.current_state == ServiceState::Running {
        return Ok(true);
    }
    Err(ServiceError::Ended { code: ended_with(&state) })
}

/// False where it did not run.
fn stop(service: &Service) -> Result<bool, ServiceError> {
    if status(service)?.current_state == ServiceState::Stopped {
        return Ok(false);
    }
    match service.stop() {
        // It has just ended by itself.
        Err(e) if code(&e) == Some(NOT_ACTIVE) => return Ok(false),
        stopping => stopping.map_err(refused("stop the service"))?,
    };
    wait(service, "stopped", |state| state == ServiceState::Stopped)?;
    Ok(true)
}

fn wait(
    service: &Service,
    what: &'static str,
    done: impl Fn(ServiceState) -> bool,
) -> Result<ServiceStatus, ServiceError> {
    for _ in 0..LOOKS {
        let status = status(service)?;
        if done(status.current_state) {
            return Ok(status);
        }
        thread::sleep(LOOK_EVERY);
    }
    Err(ServiceError::Slow { what })
}

fn show(listener: &mut Listener<'_>) -> Result<ExitCode, ServiceError> {
    let status = match opened(ServiceAccess::QUERY_STATUS) {
        Ok(service) => status(&service)?,
        Err(ServiceError::NotInstalled) => {
            listener.say(ServiceText::IsMissing, &[("name", NAME)])?;
            return Ok(ExitCode::from(1));
        }
        Err(e) => return Err(e),
    };
    let pid = status.process_id.unwrap_or_default().to_string();
    let why = ended_with(&status);
    let text = match status.current_state {
        ServiceState::Running => ServiceText::IsRunning,
        ServiceState::Stopped if why != 0 => ServiceText::IsFailed,
        ServiceState::Stopped => ServiceText::IsStopped,
        ServiceState::StartPending
        | ServiceState::StopPending
        | ServiceState::ContinuePending
        | ServiceState::PausePending
        | ServiceState::Paused => ServiceText::IsChanging,
    };
    let values = [("name", NAME), ("pid", &pid), ("why", &why.to_string())];
    listener.say(text, &values)?;
    Ok(if text == ServiceText::IsRunning { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The code of the service itself, or that of the system for it; 0 where nothing is wrong.
fn ended_with(status: &ServiceStatus) -> u32 {
    match status.exit_code {
        ServiceExitCode::Win32(NEVER_STARTED) => 0,
        ServiceExitCode::Win32(code) | ServiceExitCode::ServiceSpecific(code) => code,
    }
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, ServiceError> {
    ServiceManager::local_computer(None::<&str>, access).map_err(refused("be asked"))
}

fn opened(access: ServiceAccess) -> Result<Service, ServiceError> {
    manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access).map_err(|e| {
        if code(&e) == Some(NOT_THERE) { ServiceError::NotInstalled } else { refused("open the service")(e) }
    })
}

fn status(service: &Service) -> Result<ServiceStatus, ServiceError> {
    service.query_status().map_err(refused("say how the service is"))
}

fn refused(what: &'static str) -> impl FnOnce(windows_service::Error) -> ServiceError {
    move |source| ServiceError::Manager { what, source }
}

fn code(e: &windows_service::Error) -> Option<i32> {
    if let windows_service::Error::Winapi(e) = e { e.raw_os_error() } else { None }
}

fn reason(e: &windows_service::Error) -> String {
    code(e).map_or_else(|| e.to_string(), |code| format!("error {code}"))
}
