//! The MSI: it brings program, configuration and service, and takes away what is its own.

use crate::wine::{Wine, named};
use std::{fs, time::Duration};
use tenken_tests::wait_until;

const BOUND: Duration = Duration::from_secs(30);
const PROGRAM: &str = "C:/Program Files/Tenken/tenken-agent.exe";
const CONFIG: &str = "C:/ProgramData/Tenken/agent.toml";

fn said(wine: &Wine, args: &[&str]) -> String {
    let output = wine.run(PROGRAM, args);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn it_brings_the_service_renews_it_and_leaves_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let wine = Wine::start(dir.path());
    let packages = named("TENKEN_WINDOWS_MSI");
    for package in ["now.msi", "next.msi"] {
        fs::copy(packages.join(package), wine.drive(package)).unwrap();
    }
    let msi = |how, package| {
        let done = wine.run("msiexec", &[how, &format!("C:\\{package}"), "/qn"]);
        assert!(done.status.success(), "{how} {package}: {done:?}");
    };
    msi("/i", "now.msi");
    assert!(said(&wine, &["--config", CONFIG, "--language", "en", "check-config"]).contains("good"));
    assert!(said(&wine, &["--language", "en", "service", "status"]).contains("stopped"));

    // The hospital's own settings outlive package and service.
    let config = wine.drive("ProgramData/Tenken/agent.toml");
    let own = fs::read_to_string(&config).unwrap() + "\n# ours\n";
    fs::write(&config, &own).unwrap();
    // An upgrade starts the service; this device is not enrolled, so it ends with its own code.
    msi("/i", "next.msi");
    wait_until(BOUND, "the newer service to have been started", |state| {
        *state = said(&wine, &["--language", "en", "service", "status"]);
        state.contains("failed (2)").then_some(())
    });
    assert_eq!(fs::read_to_string(&config).unwrap(), own);

    let program = wine.drive("Program Files/Tenken/tenken-agent.exe");
    fs::copy(&program, wine.drive("tenken-agent.exe")).unwrap();
    msi("/x", "next.msi");
    assert!(!program.exists());
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
    let status = wine.run("C:/tenken-agent.exe", &["--language", "en", "service", "status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("not installed"), "{status:?}");
}
