//! A program under test: started, watched through files, stopped hard or softly.
//!
//! Holds: its output goes to files, so it never blocks on a full pipe and can be read after its
//! death; neither it nor what it started outlives its handle, for it leads a process group.

use crate::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; what it says goes to `<name>.stdout` and `<name>.stderr` in `dir`, after
    /// what an earlier process of that name said there.
    pub fn start(dir: &Path, name: &str, command: &mut Command) -> Self {
        let open = |path: &Path| -> File {
            let opened = File::options().create(true).append(true).open(path);
            opened.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let (stdout, stderr) = (dir.join(format!("{name}.stdout")), dir.join(format!("{name}.stderr")));
        command.stdin(Stdio::null()).stdout(open(&stdout)).stderr(open(&stderr));
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start ({command:?}): {e}"));
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a process id")
    }

    pub fn is_running(&mut self) -> bool {
        self.exited().is_none()
    }

    /// Its status when it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the status of a child of ours")
    }

    /// SIGKILL to it and what it started, as a power cut; returns when it is gone.
    pub fn kill(&mut self) {
        // The group is gone when it and all it started have ended by themselves.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        self.child.wait().expect("a killed child ends");
    }

    /// SIGTERM, as an init system stops it; returns at once.
    pub fn terminate(&mut self) {
        if self.is_running() {
            kill_process(self.pid(), Signal::TERM).expect("a running child can be signalled");
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After `bound`, with what it said on standard error.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait_until(bound, &what, |state| {
            *state = self.stderr_text();
            self.exited()
        })
    }

    /// Waits until it has said `text` on standard output or standard error.
    ///
    /// # Panics
    /// After `bound`, or when it ends without saying it; with what it said.
    pub fn wait_for_text(&mut self, bound: Duration, text: &str) {
        let what = format!("{} to say {text:?}", self.name);
        wait_until(bound, &what, |state| {
            let ended = self.exited();
            *state = self.stdout_text() + &self.stderr_text();
            let said = state.contains(text);
            assert!(
                said || ended.is_none(),
                "{} ended ({ended:?}) and never said {text:?}:\n{state}",
                self.name
            );
            said.then_some(())
        });
    }

    pub fn stdout_text(&self) -> String {
        text_of(&self.stdout)
    }

    pub fn stderr_text(&self) -> String {
        text_of(&self.stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn text_of(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
