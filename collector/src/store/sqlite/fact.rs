//! Reading what devices say of their own state.
//!
//! Holds: lists come in a stable order.

use super::{
    Store,
    convert::{Columns, ts},
};
use crate::store::{
    StoreError,
    model::{FactRow, RevisionChange},
};
use sqlx::{query, query_as, sqlite::SqliteRow};
use tenken_collector_core::sla::{
    contract::CurrencyKind,
    currency::{CurrencyReport, CurrencyState},
    history::Said,
    span::Span,
};
use tenken_common::{
    fact::Fact,
    id::{DeviceId, Name},
    time::Timestamp,
};

/// Of [`CurrencyKind`] in the store.
pub(in crate::store) fn kind_code(kind: CurrencyKind) -> i64 {
    match kind {
        CurrencyKind::PatternFile => 1,
        CurrencyKind::OsPatch => 2,
        CurrencyKind::MiddlewarePatch => 3,
    }
}

/// Of [`CurrencyState`] in the store, and since when.
pub(in crate::store) fn state_codes(state: CurrencyState) -> (i64, i64) {
    match state {
        CurrencyState::UpToDate => (0, 0),
        CurrencyState::Since { since } => (1, since.as_micros()),
        CurrencyState::Unknown => (2, 0),
    }
}

impl Store {
    /// What every device last said of itself, by device, kind, subject and probe.
    pub async fn facts(&self) -> Result<Vec<FactRow>, StoreError> {
        let rows = query("SELECT * FROM fact ORDER BY device, kind, subject, probe")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(fact_row).collect()
    }

    /// What a device last said of itself, by kind, subject and probe.
    pub async fn facts_of(&self, device: DeviceId) -> Result<Vec<FactRow>, StoreError> {
        let rows = query("SELECT * FROM fact WHERE device = ? ORDER BY kind, subject, probe")
            .bind(device.as_bytes())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(fact_row).collect()
    }

    /// Changes of versions, oldest first: each with the version before.
    pub async fn revision_changes(&self) -> Result<Vec<RevisionChange>, StoreError> {
        let rows = query(
            "SELECT device, subject, at_us, version, old FROM (
                 SELECT *, lag(version) OVER (PARTITION BY device, subject, probe ORDER BY at_us, version) AS old
                 FROM revision)
             WHERE old IS NOT NULL AND old <> version ORDER BY at_us, device, subject",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|r| {
                Ok(RevisionChange {
                    device: DeviceId(r.bytes("device")?),
                    subject: r.name("subject")?,
                    at: r.time("at_us")?,
                    old: r.name("old")?,
                    new: r.name("version")?,
                })
            })
            .collect()
    }

    /// What a device said to the SLA; reports from an instant on.
    pub async fn said(&self, device: DeviceId, from: Timestamp) -> Result<Said, StoreError> {
        let rows: Vec<(i64, i64, String, i64, i64)> = query_as(
            "SELECT at_us, kind, source, state, since_us FROM currency_report
             WHERE device = ? AND at_us >= ? ORDER BY at_us, kind, source, state, since_us",
        )
        .bind(device.0.to_vec())
        .bind(from.as_micros())
        .fetch_all(self.reader())
        .await?;
        let reports = rows.iter().map(report).collect::<Result<_, _>>()?;
        let spans: Vec<(i64, i64)> =
            query_as("SELECT from_us, to_us FROM failed_push WHERE device = ? ORDER BY from_us, to_us")
                .bind(device.0.to_vec())
                .fetch_all(self.reader())
                .await?;
        let failed_pushes = spans.into_iter().map(|(from, to)| Span::new(ts(from), ts(to))).collect();
        Ok(Said { reports, failed_pushes })
    }
}

fn report(row: &(i64, i64, String, i64, i64)) -> Result<CurrencyReport, StoreError> {
    let (at, kind, source, state, since) = row;
    let kind = match kind {
        1 => CurrencyKind::PatternFile,
        2 => CurrencyKind::OsPatch,
        3 => CurrencyKind::MiddlewarePatch,
        _ => return Err(StoreError::Value("kind")),
    };
    let state = match state {
        0 => CurrencyState::UpToDate,
        1 => CurrencyState::Since { since: ts(*since) },
        2 => CurrencyState::Unknown,
        _ => return Err(StoreError::Value("state")),
    };
    let source = Name::new(source).map_err(|_| StoreError::Value("source"))?;
    Ok(CurrencyReport { at: ts(*at), kind, source: Some(source), state })
}

fn fact_row(r: &SqliteRow) -> Result<FactRow, StoreError> {
    let fact: Fact = serde_json::from_str(r.text("json")?).map_err(|_| StoreError::Value("fact"))?;
    Ok(FactRow {
        device: DeviceId(r.bytes("device")?),
        subject: r.name("subject")?,
        at: r.time("at_us")?,
        fact,
    })
}
