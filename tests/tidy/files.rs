//! What files look like: rule 5 and the conventions that a reader feels first.

use crate::{
    assert_none,
    repository::Repository,
    source::{Source, find_row},
};

const LINES_MAX: usize = 500;

/// Everything that stands at the top. A newcomer reads this list first.
const TOP: [&str; 20] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".gitattributes",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.ja.md",
    "README.md",
    "agent",
    "collector",
    "common",
    "deny.toml",
    "packaging",
    "tests",
];

/// The catalogue of both languages, and the calendar's names of holidays, which are data.
const JAPANESE: [&str; 9] = [
    "common/src/message.rs",
    "common/src/message/contract.rs",
    "common/src/message/desk.rs",
    "common/src/message/device.rs",
    "common/src/message/evidence.rs",
    "common/src/message/predict.rs",
    "common/src/message/report.rs",
    "common/src/message/service.rs",
    "collector/core/src/sla/calendar/holiday_jp.rs",
];

fn starts_without_doc(source: &Source) -> Vec<String> {
    let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let said = first.strip_prefix("//!").is_some_and(|text| !text.trim().is_empty());
    let what = "start with `//!`: what this module is, what it holds, what it does not do";
    if said { Vec::new() } else { vec![format!("{}:1: {what}", source.path)] }
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{path}:{lines}: over {LINES_MAX} lines; split it by subject"))
}

fn strange_at_the_top(path: &str) -> Option<String> {
    let top = path.split('/').next().unwrap_or(path);
    (!TOP.contains(&top)).then(|| format!("{path}: `{top}` does not belong at the top; put it into a folder"))
}

/// A path in the home or working folder of somebody's machine, at the start of a word.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for folder in ["work", "root", "home", "Users"].map(|name| format!("/{name}/")) {
            let foreign = line.match_indices(&folder).any(|(at, _)| {
                let before = line.get(..at).and_then(|s| s.chars().next_back()).unwrap_or(' ');
                !before.is_alphanumeric() && !"./_-}>)*".contains(before)
            });
            if foreign {
                found.push(format!(
                    "{path}:{}: a path of one machine ({folder}..); make it relative",
                    number + 1
                ));
            }
        }
    }
    found
}

fn unfinished(source: &Source) -> Vec<String> {
    let rows: [(&[&str], &str); 4] = [
        (&["#", "[", "ignore"], "a test that is not run proves nothing; make it run or remove it"),
        (&["todo", "!"], "finish it or leave it out"),
        (&["unimplemented", "!"], "finish it or leave it out"),
        (&["thread", ":", ":", "sleep"], "wait for a condition with `tenken_tests::wait_until`"),
    ];
    let mut found = Vec::new();
    for (marks, what) in rows {
        // A shell may pace itself; a test may not.
        let tokens = if marks.contains(&"sleep") { tests_of(source) } else { &source.all };
        let lines = find_row(tokens, marks).into_iter();
        found.extend(lines.map(|line| format!("{}:{line}: {}: {what}", source.path, marks.concat())));
    }
    found
}

/// The tokens of a test file; a support library paces its polling in one place.
fn tests_of(source: &Source) -> &[crate::source::Token] {
    let test_file = source.path.starts_with("tests/") && source.path != "tests/src/wait.rs";
    if test_file { &source.all } else { &[] }
}

fn japanese_in_code(source: &Source) -> Vec<String> {
    let sides = ["agent/", "collector/", "common/"];
    if !sides.iter().any(|side| source.path.starts_with(side)) || JAPANESE.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let japanese =
        |c: char| matches!(c, '\u{3001}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff01}'..='\u{ff9f}');
    let literals = source.literals().filter(|t| t.text.chars().any(japanese));
    let what = "a text for people stands in both languages in common/src/message.rs; name it from there";
    literals.map(|t| format!("{}:{}: {what}", source.path, t.line)).collect()
}

fn over_sources(rule: impl Fn(&Source) -> Vec<String>) {
    assert_none(&Repository::this().sources().iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn every_module_says_what_it_is() {
    over_sources(starts_without_doc);
}

#[test]
fn no_file_is_over_five_hundred_lines() {
    let repository = Repository::this();
    let code = |path: &&String| [".rs", ".py", ".sh", "tests/run"].iter().any(|end| path.ends_with(end));
    let found = repository.paths.iter().filter(code).filter_map(|p| too_long(p, &repository.text(p)?));
    assert_none(&found.collect::<Vec<_>>());
}

#[test]
fn the_top_holds_only_what_belongs_there() {
    assert_none(&Repository::this().paths.iter().filter_map(|p| strange_at_the_top(p)).collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let repository = Repository::this();
    let found = repository.paths.iter().filter_map(|p| Some(machine_paths(p, &repository.text(p)?)));
    assert_none(&found.flatten().collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished_or_skipped() {
    over_sources(unfinished);
}

#[test]
fn texts_for_people_stand_in_the_catalogue() {
    over_sources(japanese_in_code);
}

mod planted {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text)
    }

    #[test]
    fn a_module_without_its_doc_is_found() {
        for text in
            ["", "use std::fs;", "/// Late.\nfn f() {}", "// x\n//! Too late to be first.", "//!\n//! x"]
        {
            assert_eq!(starts_without_doc(&source("a.rs", text)).len(), 1, "{text}");
        }
        assert!(starts_without_doc(&source("a.rs", "//! The words.\n")).is_empty());
    }

    #[test]
    fn long_files_and_strange_ones_are_found() {
        assert!(too_long("a.rs", &"x\n".repeat(LINES_MAX + 1)).is_some());
        assert!(too_long("a.rs", &"x\n".repeat(LINES_MAX)).is_none());
        assert!(strange_at_the_top("notes.txt").is_some() && strange_at_the_top("scripts/a.sh").is_some());
        assert!(strange_at_the_top("agent/src/lib.rs").is_none());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let home = ["", "home", "taro", "x"].join("/");
        for line in [home.clone(), format!("see {home}"), format!("path = \"{home}\""), format!("x:{home}")] {
            assert_eq!(machine_paths("a.md", &format!("a\n{line}\n")).len(), 1, "{line}");
        }
        assert!(machine_paths("a.md", &format!("https://example.jp{home} target{home}")).is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_tests_too() {
        let text = "fn f() { todo!() } fn g() { unimplemented!(\"x\") }\n\
                    #[cfg(test)] mod tests { #[test] #[ignore = \"slow\"] fn t() {} }";
        assert_eq!(unfinished(&source("a.rs", text)).len(), 3);
        assert!(unfinished(&source("a.rs", "// todo!()\nconst A: &str = \"todo!\";")).is_empty());
        let nap = "fn f() { std::thread::sleep(d) }";
        assert_eq!(unfinished(&source("tests/scenario/a.rs", nap)).len(), 1);
        assert!(unfinished(&source("agent/src/a.rs", nap)).is_empty());
    }

    #[test]
    fn japanese_outside_the_catalogue_is_found() {
        let rule = |path: &str, text: &str| japanese_in_code(&source(path, text)).len();
        assert_eq!(rule("agent/src/a.rs", "const A: &str = \"点検\"; const B: char = 'ア';"), 2);
        assert_eq!(rule("agent/src/a.rs", "/// 点検\nconst A: &str = \"tenken\"; // 点検"), 0);
        assert_eq!(rule("common/src/message.rs", "const A: &str = \"点検\";"), 0);
        assert_eq!(rule("agent/src/a.rs", "#[cfg(test)] mod tests { const A: &str = \"点検\"; }"), 0);
    }
}
