//! The MSI: it brings program, configuration and service, and takes away what is its own.

use crate::wine::{Wine, named};
use std::fs;

const PROGRAM: &str = "C:/Program Files/Tenken/tenken-agent.exe";
const CONFIG: &str = "C:/ProgramData/Tenken/agent.toml";

fn said(wine: &Wine, args: &[&str]) -> String {
    let output = wine.run(PROGRAM, args);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn it_installs_the_service_and_leaves_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let wine = Wine::start(dir.path());
    fs::copy(named("TENKEN_WINDOWS_MSI"), wine.drive("agent.msi")).unwrap();
    let msi = |how| {
        let done = wine.run("msiexec", &[how, "C:\\agent.msi", "/qn"]);
        assert!(done.status.success(), "{how}: {done:?}");
    };
    msi("/i");
    assert!(said(&wine, &["--config", CONFIG, "--language", "en", "check-config"]).contains("good"));
    assert!(said(&wine, &["--language", "en", "service", "status"]).contains("stopped"));

    // The hospital's own settings outlive package and service.
    let config = wine.drive("ProgramData/Tenken/agent.toml");
    let own = fs::read_to_string(&config).unwrap() + "\n# ours\n";
    fs::write(&config, &own).unwrap();
    let program = wine.drive("Program Files/Tenken/tenken-agent.exe");
    let kept = wine.drive("tenken-agent.exe");
    fs::copy(&program, &kept).unwrap();
    msi("/x");
    assert!(!program.exists());
    assert_eq!(fs::read_to_string(&config).unwrap(), own);
    let status = wine.run("C:/tenken-agent.exe", &["--language", "en", "service", "status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("not installed"), "{status:?}");
}
