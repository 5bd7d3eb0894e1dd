//! What stands in the repository: every file that is committed or about to be.
//!
//! Holds: paths are relative to the workspace's root, with `/`, sorted.
//! Does not: look into `target` or anything that `.gitignore` names.

use crate::source::Source;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Repository {
    root: PathBuf,
    pub paths: Vec<String>,
}

impl Repository {
    /// The repository that this test was compiled in.
    pub fn this() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned();
        let mut paths = listed_by_git(&root).unwrap_or_else(|| walked(&root));
        paths.retain(|path| root.join(path).is_file());
        paths.sort();
        Self { root, paths }
    }

    /// The file's text; None when it is not UTF-8.
    pub fn text(&self, path: &str) -> Option<String> {
        String::from_utf8(fs::read(self.root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))).ok()
    }

    /// Every Rust file, read as tokens; files behind `#[cfg(test)] mod name;` are marked as tests.
    pub fn sources(&self) -> Vec<Source> {
        let rust = self.paths.iter().filter(|path| Path::new(path).extension().is_some_and(|e| e == "rs"));
        let mut sources: Vec<Source> =
            rust.map(|path| Source::parse(path, &self.text(path).unwrap_or_default())).collect();
        let tests: Vec<String> = sources.iter().flat_map(Source::test_module_files).collect();
        for source in &mut sources {
            if tests.contains(&source.path) || source.path.starts_with("tests/") {
                source.mark_as_test();
            }
        }
        sources
    }

    /// Every `Cargo.toml` of a member, with its folder; not that of another workspace.
    pub fn manifests(&self) -> Vec<(String, toml::Table)> {
        let found = self.paths.iter().filter(|path| path.ends_with("/Cargo.toml"));
        let read = found.map(|path| {
            let text = self.text(path).unwrap_or_default();
            (path.clone(), text.parse::<toml::Table>().unwrap_or_else(|e| panic!("{path}: {e}")))
        });
        read.filter(|(_, manifest)| !manifest.contains_key("workspace")).collect()
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(args).current_dir(root).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !listed.is_empty())
        .then(|| listed.split_terminator('\0').map(str::to_owned).collect())
}

/// For a source tree without git.
fn walked(root: &Path) -> Vec<String> {
    let (mut folders, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").map(|e| e.expect("an entry").path()) {
            let name = entry.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if entry.is_dir() && name != "target" && name != ".git" {
                folders.push(entry);
            } else if entry.is_file() {
                let relative = entry.strip_prefix(root).expect("it was found under the root");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[test]
fn the_walk_without_git_finds_this_file() {
    let repository = Repository::this();
    let this = "tests/tidy/repository.rs".to_owned();
    assert!(repository.paths.contains(&this));
    let walked = walked(&repository.root);
    assert!(walked.contains(&this) && !walked.iter().any(|path| path.starts_with("target/")));
}
