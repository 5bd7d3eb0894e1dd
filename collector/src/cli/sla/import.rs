//! `tenken-collector sla import`: tables of jobs and accesses, as they are kept elsewhere.
//!
//! Holds: every bad line of every table is named before anything is entered.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use tenken_collector_core::sla::history::{
    History, Record,
    table::{self, Row, TableKind},
};
use tenken_common::config::Problems;

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Tables {
    /// Jobs, as CSV: id, service, received_at, closed_at
    #[arg(long, value_name = "FILE")]
    jobs: Option<PathBuf>,
    /// Accesses, as CSV: id, service, worker, employer, target, from, to, job, request_at,
    /// request_reference, emergency
    #[arg(long, value_name = "FILE")]
    accesses: Option<PathBuf>,
}

/// What the tables list, if all of it can be entered.
pub fn records(history: &History, tables: &Tables) -> anyhow::Result<Vec<Record>> {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for (kind, path) in [(TableKind::Jobs, &tables.jobs), (TableKind::Accesses, &tables.accesses)] {
        let Some(path) = path else { continue };
        let rows = rows(kind, path)?.and_then(|rows| {
            let again = table::known(history, &rows);
            if again.is_empty() { Ok(rows) } else { Err(again) }
        });
        match rows {
            Ok(rows) => records.extend(rows.into_iter().map(|row| row.record)),
            Err(problems) => faults.push(format!("{} has {problems}", path.display())),
        }
    }
    if faults.is_empty() { Ok(records) } else { bail!("{}\n(nothing was entered)", faults.join("\n")) }
}

fn rows(kind: TableKind, path: &Path) -> anyhow::Result<Result<Vec<Row>, Problems>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("{} is not UTF-8; in Excel, save it as \"CSV UTF-8\"", path.display()))?;
    Ok(table::read(kind, &text))
}
