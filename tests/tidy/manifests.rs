//! Which crate may depend on which: the picture in the architecture, read from the manifests.
//!
//! Holds: a dependency for tests or builds counts like any other.

use crate::{assert_none, repository::Repository};

/// A crate and what it must never depend on.
const NEVER: [(&str, &[&str]); 8] = [
    ("common/Cargo.toml", &["tenken-"]),
    ("agent/core/Cargo.toml", &["tenken-collector", "tenken-hospital", "tenken-agent"]),
    ("agent/Cargo.toml", &["tenken-collector", "tenken-hospital"]),
    ("agent/hospital/Cargo.toml", &["tenken-agent", "tenken-collector"]),
    ("collector/core/Cargo.toml", &["tenken-agent", "tenken-hospital", "tenken-collector"]),
    ("collector/Cargo.toml", &["tenken-agent", "tenken-hospital"]),
    ("packaging/quickstart/Cargo.toml", &["tenken-tests"]),
    ("tests/Cargo.toml", &[]),
];
/// Where one name of a forbidden family is meant all the same.
const YET: [(&str, &str); 1] = [("agent/hospital/Cargo.toml", "tenken-collector-core")];

const PURE: [&str; 3] = ["common/Cargo.toml", "agent/core/Cargo.toml", "collector/core/Cargo.toml"];
const IO: [&str; 11] = [
    "axum",
    "hyper",
    "hyper-util",
    "lettre",
    "redb",
    "reqwest",
    "sled",
    "sqlx",
    "sysinfo",
    "tokio",
    "tokio-rustls",
];

/// Name and value of every dependency, of whatever kind and platform.
fn dependencies(manifest: &toml::Table) -> Vec<(String, toml::Value)> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if kinds.contains(&key.as_str()) {
            found.extend(table.iter().map(|(name, value)| (name.clone(), value.clone())));
        } else if key == "target" {
            found.extend(table.values().filter_map(toml::Value::as_table).flat_map(dependencies));
        }
    }
    found
}

fn wrong_dependencies(path: &str, manifest: &toml::Table) -> Vec<String> {
    let Some((_, never)) = NEVER.iter().find(|(of, _)| *of == path) else {
        return vec![format!("{path}: a crate that the picture in the architecture does not show")];
    };
    let mut found = Vec::new();
    for (name, value) in dependencies(manifest) {
        let forbidden =
            never.iter().any(|family| name.starts_with(family)) && !YET.contains(&(path, name.as_str()));
        if forbidden {
            found.push(format!("{path}: must not depend on {name}; share it through tenken-common"));
        }
        if PURE.contains(&path) && IO.contains(&name.as_str()) {
            found.push(format!("{path}: a pure crate does not depend on {name}; do the I/O in the shell"));
        }
        if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
            found
                .push(format!("{path}: {name} has a version of its own; choose it in the workspace's table"));
        }
    }
    found
}

/// Lines of the workspace's table that do not say why the library is here.
fn without_reason(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let entry = line.split_once('=').map(|(name, _)| name.trim());
        let Some(name) = entry.filter(|name| section == "[workspace.dependencies]" && !name.starts_with('#'))
        else {
            continue;
        };
        let reason = line.rsplit_once('#').map_or("", |(_, reason)| reason.trim());
        if reason.is_empty() && !line.contains("path =") {
            found.push(format!("Cargo.toml:{}: say behind {name} with `# ..` why it is here", number + 1));
        }
    }
    found
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let manifests = Repository::this().manifests();
    assert!(manifests.len() >= NEVER.len(), "a crate of the picture is missing");
    assert_none(&manifests.iter().flat_map(|(path, m)| wrong_dependencies(path, m)).collect::<Vec<_>>());
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = Repository::this().text("Cargo.toml").unwrap();
    assert!(manifest.contains("\n[workspace.dependencies]\n"));
    assert_none(&without_reason(&manifest));
}

mod planted {
    use super::*;

    fn wrong(path: &str, text: &str) -> usize {
        wrong_dependencies(path, &text.parse().unwrap()).len()
    }

    #[test]
    fn the_other_side_is_found_in_every_kind_of_dependency() {
        for kind in
            ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
        {
            let text = format!("[{kind}]\ntenken-collector-core.workspace = true");
            assert_eq!(wrong("agent/Cargo.toml", &text), 1, "{kind}");
            assert_eq!(wrong("common/Cargo.toml", &text), 1, "{kind}");
            assert_eq!(wrong("agent/hospital/Cargo.toml", &text), 0, "{kind}");
            assert_eq!(wrong("collector/Cargo.toml", &text), 0, "{kind}");
        }
    }

    #[test]
    fn io_in_a_pure_crate_and_own_versions_are_found() {
        assert_eq!(wrong("agent/core/Cargo.toml", "[dependencies]\ntokio.workspace = true"), 1);
        assert_eq!(wrong("agent/Cargo.toml", "[dependencies]\nserde = \"1\""), 1);
        assert_eq!(
            wrong("agent/Cargo.toml", "[dependencies]\nserde = { workspace = true, features = [] }"),
            0
        );
        assert_eq!(wrong("agent/elsewhere/Cargo.toml", ""), 1);
    }

    #[test]
    fn a_missing_reason_is_found() {
        let table = "[workspace.dependencies]\n# Trust.\na = { path = \"a\" }\nb = \"1\" # hashes\nc = \"1\"\nd = \"2\" #\n[x]\ne = 1";
        let found = without_reason(table);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("Cargo.toml:5: ") && found[1].starts_with("Cargo.toml:6: "));
    }
}
