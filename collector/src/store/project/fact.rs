//! What devices say of their own state: patches, pattern files, versions, wear, inventory; and when
//! they could not deliver.
//!
//! Holds: the newest by the device's corrected time counts, whatever order records come in, and no
//! time is later than the commit, so that a clock that is ahead does not stay the newest for ever.
//! What the SLA is judged by is what [`Said`] says, kept as a set.
//!
//! Does not: tell when a version changed to the second where its reports came out of order: then it
//! is the next report that was kept.

use crate::store::{
    StoreError,
    sqlite::{Columns, insert, kind_code, state_codes},
};
use sqlx::{SqliteConnection, query};
use tenken_collector_core::sla::history::Said;
use tenken_common::{
    batch::Batch,
    fact::{Fact, Revision},
    id::{DeviceId, Name},
    time::Timestamp,
};

/// A fact's kind as the store names it.
pub(in crate::store) fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::PatchStatus(_) => "patch_status",
        Fact::PatternFileStatus(_) => "pattern_file_status",
        Fact::Revision(_) => "revision",
        Fact::WearCounter(_) => "wear_counter",
        Fact::Inventory(_) => "inventory",
    }
}

/// What a message says to the SLA.
pub(super) async fn take_said(
    c: &mut SqliteConnection,
    batch: &Batch,
    committed: Timestamp,
) -> Result<(), StoreError> {
    let mut said = Said::default();
    said.take(batch, committed);
    let device = batch.device.0.to_vec();
    insert(
        &mut *c,
        "INSERT OR IGNORE INTO currency_report (device, at_us, kind, source, state, since_us) ",
        "",
        &said.reports,
        |mut b, report| {
            let (state, since) = state_codes(report.state);
            let source = report.source.as_ref().map_or("", Name::as_str);
            b.push_bind(device.clone()).push_bind(report.at.as_micros());
            b.push_bind(kind_code(report.kind)).push_bind(source).push_bind(state).push_bind(since);
        },
    )
    .await?;
    insert(
        c,
        "INSERT OR IGNORE INTO failed_push (device, from_us, to_us) ",
        "",
        &said.failed_pushes,
        |mut b, span| {
            b.push_bind(device.clone()).push_bind(span.from.as_micros()).push_bind(span.to.as_micros());
        },
    )
    .await
}

/// The newest counts; of two at one instant always the same one.
pub(super) async fn take_fact(
    c: &mut SqliteConnection,
    (device, subject, at): (DeviceId, &Name, Timestamp),
    fact: &Fact,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO fact (device, kind, subject, probe, at_us, json) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (device, kind, subject, probe) DO UPDATE SET at_us = excluded.at_us, json = excluded.json
         WHERE (excluded.at_us, excluded.json) > (at_us, json)",
    )
    .bind(device.as_bytes())
    .bind(kind(fact))
    .bind(subject.as_str())
    .bind(fact.probe().as_str())
    .bind(at.as_micros())
    .bind(serde_json::to_string(fact).expect("a fact is JSON: its keys are texts"))
    .execute(&mut *c)
    .await?;
    match fact {
        Fact::Revision(revision) => take_revision(c, (device, subject, at), revision).await,
        Fact::PatchStatus(_) | Fact::PatternFileStatus(_) | Fact::WearCounter(_) | Fact::Inventory(_) => {
            Ok(())
        }
    }
}

/// Keeps the first and the last report of a run of the same version.
async fn take_revision(
    c: &mut SqliteConnection,
    (device, subject, at): (DeviceId, &Name, Timestamp),
    Revision { probe, version }: &Revision,
) -> Result<(), StoreError> {
    let mut neighbours = Vec::new();
    for sql in [
        "SELECT at_us, version FROM revision WHERE device = ? AND subject = ? AND probe = ?
         AND (at_us, version) <= (?, ?) ORDER BY at_us DESC, version DESC LIMIT 2",
        "SELECT at_us, version FROM revision WHERE device = ? AND subject = ? AND probe = ?
         AND (at_us, version) > (?, ?) ORDER BY at_us, version LIMIT 2",
    ] {
        let rows = query(sql)
            .bind(device.as_bytes())
            .bind(subject.as_str())
            .bind(probe.as_str())
            .bind(at.as_micros())
            .bind(version.as_str())
            .fetch_all(&mut *c)
            .await?;
        let row = |r: &sqlx::sqlite::SqliteRow| Ok((r.int("at_us")?, r.text("version")? == version.as_str()));
        neighbours.push(rows.iter().map(row).collect::<Result<Vec<(i64, bool)>, StoreError>>()?);
    }
    let same = |side: usize, nth: usize| neighbours.get(side)?.get(nth).filter(|(_, same)| *same);
    if same(0, 0).is_some() && same(1, 0).is_some() {
        return Ok(());
    }
    // A neighbour between this one and another of the same version ends its run no more.
    let inner = [0, 1].into_iter().filter_map(|side| same(side, 1).and(same(side, 0)));
    let inner: Vec<i64> =
        inner.map(|(inner_at, _)| *inner_at).filter(|inner_at| *inner_at != at.as_micros()).collect();
    for at_us in inner {
        query("DELETE FROM revision WHERE device = ? AND subject = ? AND probe = ? AND at_us = ? AND version = ?")
            .bind(device.as_bytes())
            .bind(subject.as_str())
            .bind(probe.as_str())
            .bind(at_us)
            .bind(version.as_str())
            .execute(&mut *c)
            .await?;
    }
    query("INSERT OR IGNORE INTO revision (device, subject, probe, at_us, version) VALUES (?, ?, ?, ?, ?)")
        .bind(device.as_bytes())
        .bind(subject.as_str())
        .bind(probe.as_str())
        .bind(at.as_micros())
        .bind(version.as_str())
        .execute(c)
        .await?;
    Ok(())
}
