//! A Windows of its own for one test, with its services.
//!
//! Holds: nothing of it outlives its handle. Its server is started first and stays, since a
//! service would die with the last program otherwise.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};
use tenken_tests::{Process, wait_until};

const BOUND: Duration = Duration::from_secs(120);

/// See the module's head.
pub struct Wine {
    prefix: PathBuf,
    logs: PathBuf,
    runs: std::cell::Cell<u32>,
    server: Process,
}

impl Wine {
    /// Makes it in `dir`.
    pub fn start(dir: &Path) -> Self {
        let prefix = dir.join("windows");
        fs::create_dir(&prefix).unwrap();
        let server = server(dir, &prefix);
        let mut wine = Self { prefix, logs: dir.to_owned(), runs: std::cell::Cell::default(), server };
        let made = wine.run("wineboot", &["--init"]);
        assert!(made.status.success(), "{made:?}");
        // Drivers of devices that are not here: they are waited for, and meanwhile no service starts.
        for driver in ["winebus", "wineusb", "winehid"] {
            let key = format!("HKLM\\System\\CurrentControlSet\\Services\\{driver}");
            let off = wine.run("reg", &["add", &key, "/v", "Start", "/t", "REG_DWORD", "/d", "4", "/f"]);
            assert!(off.status.success(), "{off:?}");
        }
        wine.end();
        wine.server = self::server(dir, &wine.prefix);
        if let Some(library) = std::env::var_os("TENKEN_WINE_LIBRARY") {
            let to = wine.drive("windows/system32").join(Path::new(&library).file_name().unwrap());
            fs::copy(library, to).unwrap();
        }
        wine
    }

    /// A place on drive C.
    pub fn drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path)
    }

    /// Runs a program to its end. Its output goes through files: what it starts keeps pipes open.
    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        let (mut process, name) = self.begin(program, args);
        let status = process.wait(BOUND);
        let text = |end| fs::read(self.logs.join(format!("{name}.{end}"))).unwrap();
        Output { status, stdout: text("stdout"), stderr: text("stderr") }
    }

    /// Starts a program that ends when its handle goes.
    pub fn spawn(&self, program: &str, args: &[&str]) -> Process {
        self.begin(program, args).0
    }

    fn begin(&self, program: &str, args: &[&str]) -> (Process, String) {
        self.runs.set(self.runs.get() + 1);
        let name = format!("wine-{:03}", self.runs.get());
        let mut command = Command::new(named("TENKEN_WINE"));
        command.arg(program).args(args);
        (Process::start(&self.logs, &name, surroundings(&mut command, &self.prefix)), name)
    }
}

impl Wine {
    /// Ends every program of this one prefix.
    fn end(&mut self) {
        let mut command = Command::new(named("TENKEN_WINE").with_file_name("wineserver"));
        let _ = surroundings(command.arg("--kill"), &self.prefix).status();
        wait_until(BOUND, "wine to end", |_| self.server.exited());
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.end();
    }
}

fn server(dir: &Path, prefix: &Path) -> Process {
    let mut command = Command::new(named("TENKEN_WINE").with_file_name("wineserver"));
    command.args(["--foreground", "--persistent"]);
    Process::start(dir, "wineserver", surroundings(&mut command, prefix))
}

/// What `tests/run` names.
pub fn named(variable: &str) -> PathBuf {
    let named = std::env::var_os(variable);
    named.unwrap_or_else(|| panic!("{variable} is not set; run this by tests/run")).into()
}

fn surroundings<'c>(command: &'c mut Command, prefix: &Path) -> &'c mut Command {
    let settings = [
        ("WINEPREFIX", prefix.into()),
        ("WINEDEBUG", OsString::from("-all")),
        // Neither .NET nor a browser is asked for.
        ("WINEDLLOVERRIDES", "mscoree,mshtml=".into()),
        ("TENKEN_LANG", "en".into()),
    ];
    command.envs(settings).stdin(Stdio::null())
}
