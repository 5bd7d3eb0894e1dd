//! The process that the service control manager starts.
//!
//! Holds: the manager is told Running before configuration, identity, network or spool are looked
//! at, so that nothing of them can be an error 1053; whatever is wrong with them then stands in the
//! event log, and the service ends with code 2, after which the manager starts it again. A stop
//! ends the agent in order; where that takes longer than [`STOP_WITHIN`], the process ends as it
//! would in a power cut, which loses nothing that was recorded.

use super::{
    NAME, ServiceError,
    event_log::{Event, EventLog},
};
use crate::{app, config::AgentConfig, guest, probes::win32::Grade, service::Supervisor};
use anyhow::Context;
use std::{
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};
use tenken_common::{
    config,
    telemetry::{self, ErrorChain},
};
use tokio::sync::Notify;
use windows_service::{
    define_windows_service,
    service::{
        ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
    },
    service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle},
    service_dispatcher,
};

/// The last push takes 2 s at most; the spool closes in less than a second.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// What the service ends with where it cannot run, as the program does by hand.
const CANNOT_RUN: u32 = 2;
/// What it ends with where it did not stop in time.
const TOO_SLOW: u32 = 3;

/// What the manager's thread has to know; it is given no more than strings.
static CONFIG: OnceLock<Option<PathBuf>> = OnceLock::new();

define_windows_service!(entry, main);

/// Serves the manager until the service has ended.
pub fn serve(config: Option<PathBuf>) -> Result<ExitCode, ServiceError> {
    let _ = CONFIG.set(config);
    let refused = |source| ServiceError::Manager { what: "be served, which it starts itself", source };
    service_dispatcher::start(NAME, entry).map_err(refused)?;
    Ok(ExitCode::SUCCESS)
}

/// What the service's thread waits for.
enum Turn {
    Stop,
    Ended(anyhow::Result<()>),
}

fn main(_: Vec<OsString>) {
    let log = EventLog::open();
    if let Err(e) = run(&log) {
        log.say(Grade::Error, Event::Failed, &ErrorChain(&e).to_string());
    }
}

fn run(log: &EventLog) -> windows_service::Result<()> {
    let (tell, turns) = mpsc::channel();
    let stop = tell.clone();
    let handler = move |control| {
        if matches!(control, ServiceControl::Stop | ServiceControl::Shutdown) {
            // Nobody listens where it has just ended by itself.
            let _ = stop.send(Turn::Stop);
        } else if !matches!(control, ServiceControl::Interrogate) {
            return ServiceControlHandlerResult::NotImplemented;
        }
        ServiceControlHandlerResult::NoError
    };
    let handle = service_control_handler::register(NAME, handler)?;
    tell_state(handle, ServiceState::Running, ServiceExitCode::NO_ERROR)?;

    let end = Arc::new(Notify::new());
    let (told, log_of_agent) = (Arc::clone(&end), log.clone());
    let agent = thread::Builder::new().name("tenken-agent".to_owned());
    let started = agent.spawn(move || {
        let ended = agent_in_full(&log_of_agent, &told);
        let _ = tell.send(Turn::Ended(ended));
    });
    if let Err(e) = started {
        log.say(Grade::Error, Event::Failed, &format!("no thread: {e}"));
        return tell_state(handle, ServiceState::Stopped, ServiceExitCode::ServiceSpecific(CANNOT_RUN));
    }
    let ended = match turns.recv() {
        Ok(Turn::Ended(ended)) => Some(ended),
        Ok(Turn::Stop) | Err(mpsc::RecvError) => {
            tell_state(handle, ServiceState::StopPending, ServiceExitCode::NO_ERROR)?;
            end.notify_one();
            loop {
                match turns.recv_timeout(STOP_WITHIN) {
                    Ok(Turn::Ended(ended)) => break Some(ended),
                    Ok(Turn::Stop) => {}
                    Err(_) => break None,
                }
            }
        }
    };
    let code = match &ended {
        Some(Ok(())) => {
            log.say(Grade::Information, Event::Stopped, "the agent stopped");
            ServiceExitCode::NO_ERROR
        }
        Some(Err(e)) => {
            log.say(Grade::Error, Event::Failed, &ErrorChain(&**e).to_string());
            ServiceExitCode::ServiceSpecific(CANNOT_RUN)
        }
        None => {
            log.say(Grade::Error, Event::Failed, "the agent did not stop in time and was ended");
            ServiceExitCode::ServiceSpecific(TOO_SLOW)
        }
    };
    tell_state(handle, ServiceState::Stopped, code)
}

/// From its configuration to its end.
fn agent_in_full(log: &EventLog, end: &Notify) -> anyhow::Result<()> {
    let config = match CONFIG.get().and_then(Option::as_ref) {
        Some(path) => config::load(path)?,
        None => AgentConfig::default(),
    };
    telemetry::init_to(log.clone(), config.log_format, "warn");
    guest::step_back();
    log.say(Grade::Information, Event::Started, &format!("the agent starts, version {}", app::VERSION));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(app::run_supervised(config, Supervisor::none(), end.notified()))
}

fn tell_state(
    handle: ServiceStatusHandle,
    state: ServiceState,
    exit_code: ServiceExitCode,
) -> windows_service::Result<()> {
    let controls_accepted = if state == ServiceState::Running {
        ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN
    } else {
        ServiceControlAccept::empty()
    };
    let pending = state == ServiceState::StopPending;
    handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint: u32::from(pending),
        wait_hint: if pending { STOP_WITHIN } else { Duration::ZERO },
        process_id: None,
    })
}
