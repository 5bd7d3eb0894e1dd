//! `tenken-agent probe` on this machine: real values, or why not.

use serde_json::Value;
use std::process::Command;
use tenken_tests::workspace_bin;

/// What one probe says under this configuration.
pub fn probed(config: &str, name: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.toml");
    let state_dir = folder.path().join("state");
    std::fs::write(&path, format!("state_dir = '{}'\n{config}", state_dir.display()))
        .expect("it can be written");
    let output = Command::new(workspace_bin("tenken-agent"))
        .arg("--config")
        .arg(&path)
        .args(["probe", name, "--json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    shown[0].clone()
}

/// Values, or a reason in words; and of apt, that nothing was refreshed.
#[test]
fn every_probe_of_this_machine_has_values_or_a_reason() {
    let lists = || std::fs::metadata("/var/lib/apt/lists").and_then(|meta| meta.modified()).ok();
    let before = lists();
    let listed =
        Command::new(workspace_bin("tenken-agent")).args(["probe", "--list"]).output().expect("it starts");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let names: Vec<&str> =
        listed.lines().skip(2).filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    assert!(names.len() > 15, "{listed}");
    for name in names {
        let shown = probed("", name);
        let values = shown["values"].as_array().expect("a list").len();
        let reason = shown["error"].as_str().unwrap_or_default();
        assert_eq!(values == 0, !reason.is_empty(), "{shown}");
        assert_ne!(shown["state"], "failed", "{name}: {reason}");
    }
    assert_eq!(before, lists(), "the index was not touched");
}

/// What has no place on the wire: names of persons, numbers of patients, tags of DICOM.
#[test]
fn what_a_patients_name_is_put_into_does_not_show_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let persons = ["山田太郎", "YAMADA^TARO", "P1234567-YAMADA", "(0010,0010)"];
    for person in persons {
        let file = folder.path().join(format!("{person}.txt"));
        std::fs::write(&file, format!("{person}\n")).expect("it can be written");
        let path = file.display();
        let config = format!(
            "[[probes.revisions]]\nname = 'console'\nfile = '{path}'\n\
             [[probes.counters]]\nname = 'tube'\ncommand = ['cat', '{path}']\n\
             [[probes.pattern_files]]\nname = 'product'\nfile = '{path}'\npattern = '(.*)'\n\
             [[probes.services]]\nname = 'pacs'\nprocess = '{person}'\n"
        );
        for probe in ["revisions", "counters", "pattern_files", "services"] {
            let values = probed(&config, probe)["values"].to_string();
            assert!(!values.contains(person) && !values.contains("YAMADA"), "{probe}: {values}");
        }
    }
}
