//! Who may name what: the import rules 1 to 4.
//!
//! Holds: only what ships is judged; a test may open files and read clocks.

use crate::{
    assert_none,
    repository::Repository,
    source::{Source, find_row},
};

const PURE: [&str; 3] = ["common/src/", "agent/core/src/", "collector/core/src/"];
/// What the pure crates may touch the system in: a file, a clock, standard error.
const SYSTEM: [&str; 4] =
    ["common/src/config.rs", "common/src/file.rs", "common/src/time.rs", "common/src/telemetry.rs"];

fn under(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

fn at(source: &Source, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", source.path)
}

/// Rule 1.
fn impure(source: &Source) -> Vec<String> {
    if !under(source, &PURE) || under(source, &SYSTEM) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in source.paths() {
        if let [root, module, ..] = path.segments.as_slice()
            && root == "std"
            && ["fs", "net", "thread", "env"].contains(&module.as_str())
        {
            let what =
                format!("a pure crate does not use std::{module}; let the shell do it and pass the result");
            found.push(at(source, path.line, &what));
        }
    }
    let clock = "a pure crate reads no clock; take `now` or `as_of` as an argument";
    let rows: [(&[&str], &str); 3] = [
        (&["SystemTime"], clock),
        (&["Instant", ":", ":", "now"], clock),
        (&["async"], "a pure crate is not async; load and save in the shell, decide here"),
    ];
    for (marks, what) in rows {
        found.extend(find_row(&source.shipped, marks).into_iter().map(|line| at(source, line, what)));
    }
    found
}

/// Rules 2 and 4: `from` does not import the modules `not` of its own program.
fn crossing(source: &Source, from: &[&str], not: &[&str]) -> Vec<String> {
    if !under(source, from) {
        return Vec::new();
    }
    let ours = |s: &str| s == "crate" || s == "super" || s.starts_with("tenken_");
    let wrong = source.paths().into_iter().filter_map(|path| {
        let (root, rest) = path.segments.split_first()?;
        let module = rest.iter().find(|s| not.contains(&s.as_str()))?;
        let what = format!("this part does not import `{module}`; pass it what it needs from `app`");
        ours(root).then(|| at(source, path.line, &what))
    });
    wrong.collect()
}

/// Rule 3: only `home` names the crates.
fn away_from_home(source: &Source, crates: &[&str], home: &str) -> Vec<String> {
    if under(source, &[home]) {
        return Vec::new();
    }
    let names =
        crates.iter().flat_map(|name| source.names_crate(name).into_iter().map(move |p| (name, p.line)));
    names
        .map(|(name, line)| at(source, line, &format!("only {home} names {name}; go through its trait")))
        .collect()
}

/// Rule 3: the crypto provider is chosen in one place.
fn crypto_provider(source: &Source) -> Vec<String> {
    let home = "common/src/tls.rs";
    let mut found = away_from_home(source, &["ring", "aws_lc_rs"], home);
    if source.path != home {
        let chosen = source.paths().into_iter().filter(|p| {
            let crypto = p.segments.iter().any(|s| s == "crypto");
            let backend = p.segments.iter().any(|s| s == "ring" || s == "aws_lc_rs");
            (crypto && backend) || p.segments.iter().any(|s| s == "CryptoProvider")
        });
        let what = "only common::tls picks the crypto provider; use its `provider()` or a config it builds";
        found.extend(chosen.map(|p| at(source, p.line, what)));
    }
    found
}

/// Rule 4: a report is a model; how it looks is decided in `render`.
fn html_in_reports(source: &Source) -> Vec<String> {
    if !under(source, &["collector/core/src/report"]) {
        return Vec::new();
    }
    let tag = |text: &str| {
        let mut pairs = text.chars().zip(text.chars().skip(1));
        pairs.any(|(a, b)| a == '<' && (b.is_ascii_lowercase() || b == '/'))
    };
    let literals = source.literals().filter(|t| tag(&t.text));
    literals
        .map(|t| at(source, t.line, "a report model knows no HTML; put it into collector/src/render"))
        .collect()
}

fn all(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = Repository::this().sources();
    assert!(sources.iter().any(|s| !s.shipped.is_empty()), "no sources were found");
    assert_none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

const PROBES: [&str; 1] = ["agent/src/probes"];
const TRANSPORT: [&str; 1] = ["agent/src/transport"];
const SCREENS: [&str; 3] = ["collector/src/web", "collector/src/api", "collector/src/render"];

#[test]
fn pure_crates_do_no_io_and_read_no_clock() {
    all(impure);
}

#[test]
fn probes_import_neither_spool_nor_transport() {
    all(|s| crossing(s, &PROBES, &["spool", "transport"]));
}

#[test]
fn transport_does_not_import_the_spool() {
    all(|s| crossing(s, &TRANSPORT, &["spool"]));
}

#[test]
fn screens_import_neither_ingest_nor_worker() {
    all(|s| crossing(s, &SCREENS, &["ingest", "worker"]));
}

#[test]
fn only_the_spool_names_its_engines() {
    all(|s| away_from_home(s, &["sled", "redb"], "agent/src/spool/"));
}

#[test]
fn only_the_store_names_sqlx() {
    all(|s| away_from_home(s, &["sqlx"], "collector/src/store/"));
}

#[test]
fn only_common_tls_names_a_crypto_provider() {
    all(crypto_provider);
}

#[test]
fn report_models_know_no_html() {
    all(html_in_reports);
}

mod planted {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text)
    }

    #[test]
    fn io_clocks_and_async_are_found_in_pure_crates_only() {
        for text in [
            "use std::fs;",
            "use std::{collections::BTreeMap, net::TcpStream};",
            "fn f() { std::thread::spawn(g); }",
            "fn f() { std::env::var(X); }",
            "use std::time::SystemTime;",
            "fn f() { Instant::now(); }",
            "async fn f() {}",
            "fn f() { let x = async { 1 }; }",
        ] {
            assert_eq!(impure(&source("agent/core/src/a.rs", text)).len(), 1, "{text}");
            assert!(impure(&source("agent/src/a.rs", text)).is_empty(), "{text}");
            assert!(impure(&source("common/src/time.rs", text)).is_empty(), "{text}");
            let in_tests = format!("#[cfg(test)]\nmod tests {{ {text} }}");
            assert!(impure(&source("agent/core/src/a.rs", &in_tests)).is_empty(), "{text}");
        }
        let found = impure(&source("common/src/a.rs", "//! a\n\nuse std::fs;"));
        assert!(found[0].starts_with("common/src/a.rs:3: "), "{found:?}");
    }

    #[test]
    fn crossings_are_found() {
        for text in ["use crate::{config, spool::Engine};", "fn f(s: &tenken_agent_core::spool::Stats) {}"] {
            assert_eq!(
                crossing(&source("agent/src/probes/disk.rs", text), &PROBES, &["spool"]).len(),
                1,
                "{text}"
            );
            assert!(crossing(&source("agent/src/app.rs", text), &PROBES, &["spool"]).is_empty());
        }
        let spooler = source("agent/src/probes/printer.rs", "use printer::spool::Queue;");
        assert!(crossing(&spooler, &PROBES, &["spool"]).is_empty());
    }

    #[test]
    fn engines_away_from_home_are_found() {
        let rule =
            |path: &str, text: &str| away_from_home(&source(path, text), &["sqlx"], "collector/src/store/");
        assert_eq!(rule("collector/src/worker/a.rs", "use sqlx::Row;").len(), 1);
        assert_eq!(rule("collector/src/app.rs", "fn f() { sqlx::query(q) }").len(), 1);
        assert!(rule("collector/src/store/sqlite/mod.rs", "use sqlx::Row;").is_empty());
    }

    #[test]
    fn a_second_crypto_provider_is_found() {
        for text in ["use rustls::crypto::ring;", "fn f() { rustls::crypto::ring::default_provider() }"] {
            assert_eq!(crypto_provider(&source("collector/src/a.rs", text)).len(), 1, "{text}");
            assert!(crypto_provider(&source("common/src/tls.rs", text)).is_empty());
        }
        assert_eq!(crypto_provider(&source("agent/src/a.rs", "use ring::signature;")).len(), 1);
        assert!(
            crypto_provider(&source("agent/src/a.rs", "fn f() { tenken_common::tls::provider() }"))
                .is_empty()
        );
    }

    #[test]
    fn html_in_a_report_model_is_found() {
        let rule = |text: &str| html_in_reports(&source("collector/core/src/report/monthly.rs", text)).len();
        assert_eq!(rule("const A: &str = \"<td>\"; const B: &str = \"x</p>\";"), 2);
        assert_eq!(rule("fn f<t>(a: Vec<u8>) -> bool { \"a < b\" == x }"), 0);
    }
}
