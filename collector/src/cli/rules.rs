//! `tenken-collector rules`: tests of rules. Needs no store.
//!
//! Holds: a case that fails is told with what was found, and makes the command fail.

use super::{print_json, say};
use crate::{app, config::CollectorConfig};
use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use tenken_collector_core::desk::rule_case::RuleCases;
use tenken_common::{
    config::ConfigError,
    message::{Language, PredictText},
};

/// The cases of the built-in rules.
const DEFAULT_CASES: &str = include_str!("../../../packaging/rules/default.test.toml");

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Judge cases by the configuration's rules, and say which are not as they should be
    Test {
        /// Cases; without it those of the built-in rules
        cases: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Judged<'a> {
    name: &'a str,
    passed: bool,
    problems: Vec<String>,
}

pub fn run(command: RulesCommand, config: &CollectorConfig, language: Language) -> anyhow::Result<()> {
    let RulesCommand::Test { cases, json } = command;
    let (_, rules) = app::rules(config)?;
    let text = match &cases {
        None => DEFAULT_CASES.to_owned(),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
    };
    let path = cases.unwrap_or_else(|| PathBuf::from("the built-in cases"));
    let cases = RuleCases::parse(&text).map_err(|problems| ConfigError::Invalid { path, problems })?;
    let judged: Vec<Judged<'_>> = cases
        .cases
        .iter()
        .zip(cases.run(&rules))
        .map(|(case, problems)| Judged { name: &case.name, passed: problems.is_empty(), problems })
        .collect();
    let failed = judged.iter().filter(|case| !case.passed).count();
    if json {
        print_json(&judged)?;
    } else {
        for case in &judged {
            let message = if case.passed { PredictText::CasePassed } else { PredictText::CaseFailed };
            say(&message.fill(language, &[("name", case.name)]))?;
            for problem in &case.problems {
                say(&format!("    {problem}"))?;
            }
        }
    }
    let counts = [("cases", judged.len().to_string()), ("failed", failed.to_string())];
    let done = PredictText::CasesDone.fill_all(language, &counts);
    if failed > 0 {
        bail!(done);
    }
    if json { Ok(()) } else { say(&done) }
}
