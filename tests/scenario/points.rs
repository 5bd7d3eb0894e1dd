//! `detect` and `forecast` on files that anyone may bring, as programs: what they print and how
//! they end.

use std::{
    fs,
    process::{Command, Output},
};
use tenken_tests::workspace_bin;

/// A file of these lines, given to the collector's program.
fn run(args: &[&str], text: &str) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("points.csv");
    fs::write(&file, text).unwrap();
    let output = Command::new(workspace_bin("tenken-collector"))
        .args(["--language", "en"])
        .args(args)
        .arg(&file)
        .current_dir(dir.path())
        .env_remove("TENKEN_COLLECTOR_CONFIG")
        .output()
        .unwrap();
    (output, dir)
}

fn refused(args: &[&str], text: &str, why: &str) {
    let (output, _dir) = run(args, text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?} {said}");
    assert!(said.contains(why), "{args:?}: {said}");
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A battery that loses 5 mAh a day.
fn battery(days: u32) -> String {
    let lines =
        (0..days).map(|day| format!("{},{}\n", 1_795_000_000 + day * 86_400, 2.0 - 0.005 * f64::from(day)));
    format!("timestamp,value\n{}", lines.collect::<String>())
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_line() {
    for args in [&["detect"][..], &["forecast", "--limit", "1"]] {
        refused(args, "", "there is nothing in it");
        refused(args, "timestamp,value\n", "no point with a time and a number");
        refused(args, "timestamp,value\n1,NaN\n", "no point with a time and a number");
        refused(args, "timestamp,value\n1,1\n2,2\n3,much\n", "line 4: `much` is no number");
        refused(args, "timestamp,value\n1,1\nlater,2\n", "line 3: `later` is no time");
        refused(args, "timestamp,value\n1,1\n2\n", "line 3: no column 2");
        refused(args, "some,thing\n1,1\n", "line 1: there is no column `timestamp`");
    }
    refused(&["forecast", "--limit", "NaN"], "1,1\n", "no number");
}

#[test]
fn a_date_has_its_interval_and_a_refusal_its_reason() {
    let (output, _dir) = run(&["forecast", "--limit", "1.4", "--json"], &battery(80));
    let said: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(said["direction"], "down");
    // Day 120 is 2027-03-19.
    let crossing = &said["outcome"]["crossing"];
    assert!(crossing["at"].as_str().unwrap().starts_with("2027-03-1"), "{said}");
    assert!(
        crossing["low"].as_str() <= crossing["at"].as_str()
            && crossing["at"].as_str() <= crossing["high"].as_str()
    );
    assert_eq!(said["points"], 80);

    let text = |args: &[&str], points: &str| {
        let (output, _dir) = run(args, points);
        stdout(&output)
    };
    assert!(text(&["forecast", "--limit", "1.4"], &battery(80)).starts_with("reaches 1.4 about 2027-03-1"));
    assert!(text(&["forecast", "--limit", "1.9"], &battery(80)).starts_with("1.9 is reached already"));
    assert!(
        text(&["forecast", "--limit", "1.4"], &battery(2)).starts_with("no date: the history is too short")
    );
    assert!(
        text(&["forecast", "--limit", "3", "--direction", "up"], &battery(80))
            .starts_with("no date: nothing moves")
    );
    let constant: String = (0..100).map(|i| format!("{},7\n", 1_795_000_000 + i * 3_600)).collect();
    assert!(text(&["forecast", "--limit", "9"], &constant).starts_with("no date: nothing moves"));
}

#[test]
fn bad_points_are_told_and_the_rest_is_used() {
    let untidy = battery(80).replacen("1795086400", "1795259200", 1) + "1795000000,NaN\n";
    let (output, _dir) = run(&["forecast", "--limit", "1.4"], &untidy);
    assert!(stdout(&output).starts_with("reaches 1.4"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 lines without a number"), "{said}");

    let (output, _dir) = run(&["detect"], "timestamp,value\n10,1\n20,inf\n15,2\n5,3\n");
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[1], "10,1,0.00,false,");
    assert!(lines[2].starts_with("20,inf,,,not judged: there is no number"), "{lines:?}");
    assert_eq!(lines[3], "15,2,0.00,false,");
    assert!(lines[4].contains("not after the last one"), "{lines:?}");
}
