//! Runs one command for a probe, and never longer or louder than agreed.
//!
//! Holds: no shell; nothing on standard input; the C locale, and of the environment only what
//! finding programs needs. The child leads a process group of its own, which is killed as a whole
//! when the time or the output's limit is over, and when the child has ended, so that nothing of it
//! stays. What came until then is not an answer: a command is cut off, never half believed.
//!
//! Costs: one thread for as long as the command writes.

use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command as Process, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};
use tenken_agent_core::probe::ProbeError;
use tokio::time::Instant;

/// What a command may print.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a child that closed its output is asked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A program with its arguments, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandLine(pub Vec<String>);

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{} is not installed", .0.display())]
    Missing(PathBuf),
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("cannot read what {} prints", program.display())]
    Read { program: PathBuf, source: io::Error },
    #[error("{} printed more than {limit} bytes", program.display())]
    TooMuch { program: PathBuf, limit: usize },
    #[error("{} was not done after {after:?}", program.display())]
    TimedOut { program: PathBuf, after: Duration },
    #[error("{} was ended by a signal", .0.display())]
    Signalled(PathBuf),
    #[error("an empty command line names no program")]
    Empty,
}

impl From<CommandError> for ProbeError {
    fn from(e: CommandError) -> Self {
        match e {
            CommandError::TimedOut { .. } => Self::TimedOut,
            CommandError::Missing(program) => Self::Lacks(program.display().to_string()),
            CommandError::Start { .. }
            | CommandError::Read { .. }
            | CommandError::TooMuch { .. }
            | CommandError::Signalled(_)
            | CommandError::Empty => Self::Failed(Box::new(e)),
        }
    }
}

/// A command that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub code: i32,
    /// Bytes that are no UTF-8 are replaced.
    pub stdout: String,
}

/// See the module's head.
#[derive(Debug)]
pub struct Command {
    process: Process,
    program: PathBuf,
    limit: usize,
}

impl Command {
    pub fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_owned();
        let mut process = Process::new(&program);
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        process.env_clear().env("LC_ALL", "C").env("PATH", search_path());
        for kept in ["SYSTEMROOT", "TEMP", "TMP", "HOME"] {
            if let Some(value) = std::env::var_os(kept) {
                process.env(kept, value);
            }
        }
        own_group(&mut process);
        Self { process, program, limit: OUTPUT_BYTES_MAX }
    }

    /// As it stands in the configuration.
    pub fn of(line: &CommandLine) -> Result<Self, CommandError> {
        let (program, args) = line.0.split_first().ok_or(CommandError::Empty)?;
        Ok(Self::new(program).args(args))
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.process.args(args);
        self
    }

    /// Bytes of output beyond which it is cut off.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Runs it to its end, at most this long.
    pub fn run(mut self, timeout: Duration) -> Result<Ended, CommandError> {
        let program = self.program;
        let deadline = Instant::now() + timeout;
        let child = self.process.spawn().map_err(|source| {
            let program = program.clone();
            if source.kind() == io::ErrorKind::NotFound {
                CommandError::Missing(program)
            } else {
                CommandError::Start { program, source }
            }
        })?;
        let mut group = Group(child);
        let (sender, answer) = mpsc::channel();
        let output = group.0.stdout.take().expect("standard output was piped");
        let most = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
        std::thread::Builder::new()
            .name("tenken-command".to_owned())
            .spawn(move || {
                let mut bytes = Vec::new();
                let read = output.take(most).read_to_end(&mut bytes).map(|_| bytes);
                // Nobody waits any more after the deadline.
                let _ = sender.send(read);
            })
            .map_err(|source| CommandError::Start { program: program.clone(), source })?;
        let bytes = match answer.recv_timeout(timeout) {
            Ok(Ok(bytes)) if bytes.len() > self.limit => {
                return Err(CommandError::TooMuch { program, limit: self.limit });
            }
            Ok(Ok(bytes)) => bytes,
            Ok(Err(source)) => return Err(CommandError::Read { program, source }),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(CommandError::TimedOut { program, after: timeout });
            }
        };
        let status = group
            .ended_by(deadline)
            .map_err(|source| CommandError::Read { program: program.clone(), source })?;
        let Some(status) = status else { return Err(CommandError::TimedOut { program, after: timeout }) };
        let code = status.code().ok_or(CommandError::Signalled(program))?;
        Ok(Ended { code, stdout: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// A child with all that it started; dropped, none of it runs any more.
struct Group(Child);

impl Group {
    /// `None` where it still runs then.
    fn ended_by(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(LOOK_EVERY.min(left));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(&mut self.0);
        // A killed child ends at once; where it cannot be killed there is nothing more to do.
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
fn own_group(process: &mut Process) {
    use std::os::unix::process::CommandExt as _;
    process.process_group(0);
}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Nobody left in it is what is wanted.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn own_group(_: &mut Process) {}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // One that has ended cannot be killed.
    let _ = child.kill();
}

/// Where programs are found: the system's folders, also for a service that was given no PATH.
fn search_path() -> std::ffi::OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    if cfg!(windows) {
        return own;
    }
    let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let own: Vec<PathBuf> = std::env::split_paths(&own).collect();
    let missing = system.iter().map(PathBuf::from).filter(|folder| !own.contains(folder));
    let all: Vec<PathBuf> = own.iter().cloned().chain(missing).collect();
    std::env::join_paths(all).unwrap_or_default()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Command {
        Command::new("sh").args(["-c", script])
    }

    /// Whether any process of this group still runs.
    fn is_gone(pid: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Path::new("/proc").join(pid).exists() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    #[test]
    fn what_it_printed_and_how_it_ended() {
        let ended = sh("echo $LC_ALL; cat; exit 3").run(PATIENCE).unwrap();
        assert_eq!(ended, Ended { code: 3, stdout: "C\n".to_owned() });
        assert!(matches!(sh("kill -9 $$").run(PATIENCE), Err(CommandError::Signalled(_))));
        let missing = Command::new("no-such-program-here").run(PATIENCE).unwrap_err();
        assert_eq!(missing.to_string(), "no-such-program-here is not installed");
        assert!(matches!(Command::of(&CommandLine(vec![])), Err(CommandError::Empty)));
    }

    #[test]
    fn the_environment_of_the_agent_is_its_own() {
        let ended = sh("env").run(PATIENCE).unwrap();
        let names: Vec<_> =
            ended.stdout.lines().filter_map(|line| line.split_once('=')).map(|(n, _)| n).collect();
        let allowed = ["LC_ALL", "PATH", "HOME", "PWD", "SHLVL", "_", "TMP", "TEMP", "OLDPWD"];
        assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script =
            format!("sleep 1000 & echo $! > {0}; echo $$ >> {0}; echo started; wait", pids.display());
        let hung = sh(&script).run(Duration::from_millis(500));
        assert!(matches!(hung, Err(CommandError::TimedOut { .. })), "{hung:?}");
        for pid in std::fs::read_to_string(pids).unwrap().lines() {
            assert!(is_gone(pid), "{pid} still runs");
        }
    }

    #[test]
    fn one_that_closes_its_output_and_hangs_is_killed_too() {
        let hung = sh("exec >&-; sleep 1000").run(Duration::from_millis(300));
        assert!(matches!(hung, Err(CommandError::TimedOut { .. })), "{hung:?}");
    }

    #[test]
    fn what_it_leaves_running_is_killed_when_it_ends() {
        let ended = sh("sleep 1000 >/dev/null & echo $!").run(PATIENCE).unwrap();
        assert!(is_gone(ended.stdout.trim()), "the child of an ended command still runs");
    }

    #[test]
    fn a_loud_one_is_cut_off() {
        let loud = sh("yes").limit(1_000).run(PATIENCE);
        assert!(matches!(loud, Err(CommandError::TooMuch { limit: 1_000, .. })), "{loud:?}");
        let just = sh("printf %1000d 1").limit(1_000).run(PATIENCE).unwrap();
        assert_eq!(just.stdout.len(), 1_000);
    }
}
