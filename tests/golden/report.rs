//! `tenken-collector sla report` on the example history: the files it writes, and what it refuses.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tenken_tests::workspace_bin;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/config/history.example.json")
}

fn report(history: &Path, args: &[&str]) -> Output {
    Command::new(workspace_bin("tenken-collector"))
        .args(["sla", "report", "--as-of", "2027-04-10T00:00:00+09:00", "--history"])
        .arg(history)
        .args(args)
        .env_remove("TENKEN_LANG")
        .output()
        .expect("the program starts")
}

#[test]
fn each_report_in_each_form_and_language_gives_the_same_file_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("report");
    for which in [
        ["--month", "2026-09"].as_slice(),
        &["--month", "2026-09", "--patient"],
        &["--year", "2026"],
        &["--event", "e-1"],
    ] {
        for (format, begin) in [("html", "<!DOCTYPE html>"), ("csv", "\u{feff}"), ("json", "{")] {
            for language in ["ja", "en"] {
                let common = ["--format", format, "--language", language];
                let args: Vec<&str> = which.iter().copied().chain(common).collect();
                let shown = report(&example(), &args);
                assert!(shown.status.success(), "{args:?}: {}", String::from_utf8_lossy(&shown.stderr));
                let to_file: Vec<&str> =
                    args.iter().copied().chain(["--out", out.to_str().expect("UTF-8")]).collect();
                assert!(report(&example(), &to_file).status.success());
                let written = std::fs::read(&out).expect("it was written");
                assert_eq!(written, shown.stdout, "{args:?}");
                assert!(String::from_utf8_lossy(&written).starts_with(begin), "{args:?}");
            }
        }
    }
}

#[test]
fn what_is_refused_says_where_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("report.html");
    std::fs::write(&out, "the one before").expect("it can be written");
    let text = std::fs::read_to_string(example()).expect("the example");
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, text.replacen("\"due\": \"2026-10-01", "\"due\": \"2026-13-01", 1))
        .expect("it can be written");
    let twice = folder.path().join("twice.json");
    std::fs::write(&twice, text.replacen("\"id\": \"e-2\"", "\"id\": \"e-1\"", 1))
        .expect("it can be written");
    for (history, args, said) in [
        (example(), ["--event", "e-9"].as_slice(), "e-9"),
        (example(), &["--year", "2200"], "2200"),
        (example(), &["--month", "2026-13"], "2026-13"),
        (example(), &["--month", "2026-09", "--year", "2026"], "cannot be used with"),
        (example(), &[], "--month"),
        (bad, &["--month", "2026-09"], "events[0].due"),
        (twice, &["--month", "2026-09"], "events[1].id"),
        (folder.path().join("none.json"), &["--month", "2026-09"], "none.json"),
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["--out", out.to_str().expect("UTF-8")]).collect();
        let output = report(&history, &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(said), "{args:?}: {error}");
        assert_eq!(std::fs::read_to_string(&out).expect("it is there"), "the one before");
    }
}
