//! The workspace's own programs, built from the sources that are being tested.
//!
//! Holds: built once a test process, with the profile of the running test, one build at a time.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program `name`, for example `tenken-agent`, fresh.
pub fn workspace_bin(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(built).join(name);
    assert!(path.is_file(), "{} was not built; does a [[bin]] of that name exist?", path.display());
    path
}

/// Builds every program of the workspace; gives their folder.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    // target/<profile>/deps/<test>, or target/<profile>/campaign
    let folder = test.parent().expect("a program lies in a folder");
    let in_deps = folder.file_name().is_some_and(|name| name == "deps");
    let profile_folder = if in_deps { folder.parent().unwrap_or(folder) } else { folder }.to_owned();
    let target = profile_folder.parent().expect("a profile's folder is in the target folder");
    let folder_name = profile_folder.file_name().and_then(|n| n.to_str()).unwrap_or("debug");
    let profile = if folder_name == "debug" { "dev" } else { folder_name };

    let lock =
        File::create(profile_folder.join(".tenken-tests.lock")).expect("the target folder is writable");
    lock.lock().expect("the build's lock");
    build(&["--workspace", "--bins", "--quiet", "--profile", profile], target);
    fs::canonicalize(profile_folder).expect("the folder of this very test")
}

/// One program as it is shipped to devices (the `device` profile, and nothing in its libraries that only
/// another program asks for), for what costs are measured of.
pub fn shipped_bin(name: &str) -> PathBuf {
    let folder = workspace_bin(name);
    let target = folder.ancestors().nth(2).expect("target/<profile>/<program>");
    build(&["--package", name, "--bin", name, "--quiet", "--profile", "device"], target);
    target.join("device").join(name)
}

fn build(args: &[&str], target: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked"]).args(args).arg("--target-dir").arg(target).current_dir(root);
    // What cargo told this test about its own package would make build scripts run again.
    let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    for (name, _) in env::vars_os() {
        if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.output().expect("cargo can be started");
    assert!(output.status.success(), "cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
