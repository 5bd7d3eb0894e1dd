//! `--help` of each program, word for word.

use std::{path::Path, process::Command};
use tenken_tests::workspace_bin;

fn check(program: &str, args: &[&str], file: &str) {
    let output = Command::new(workspace_bin(program))
        .args(args)
        .env_remove("TENKEN_LANG")
        .env("COLUMNS", "100")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).expect("help is UTF-8");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if std::env::var_os("TENKEN_BLESS").is_some() {
        std::fs::write(&path, &shown).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, golden, "{program} {args:?} says something else than {}", path.display());
}

#[test]
fn tenken_agent() {
    check("tenken-agent", &["--help"], "tenken-agent.help");
}

#[test]
fn tenken_collector() {
    check("tenken-collector", &["--help"], "tenken-collector.help");
}

#[test]
fn tenken_hospital() {
    check("tenken-hospital", &["--help"], "tenken-hospital.help");
}

#[test]
fn quickstart() {
    check("quickstart", &["--help"], "quickstart.help");
}
