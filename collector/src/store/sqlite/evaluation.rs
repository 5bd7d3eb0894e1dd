//! What the evaluation keeps, and the outbox of what is to be sent.
//!
//! Holds: an evaluation's rows, its notices and its place in the stream commit together, so that a
//! crash decides neither twice nor not at all; and only from the place that it began at, so that of two
//! workers one goes on and the other begins anew. A notice that is decided again is not sent again:
//! `(notice, channel)` is unique, and survives a rebuild.

use super::{
    Store,
    convert::{Columns, int},
    read::{checkpoint, set_checkpoint},
    watch,
};
use crate::store::{
    StoreError,
    model::{EvaluationRows, IncidentRow, NamedJson, OutboxRow, OutboxState},
};
use sqlx::{query, query_scalar, sqlite::SqliteRow};
use tenken_collector_core::desk::notice::IncidentId;
use tenken_common::{
    id::{Hash, Name},
    time::Timestamp,
};

impl Store {
    /// Keeps an evaluation, all or nothing, and notes how far it looked (checkpoint `evaluate`).
    /// `false`, and nothing kept, where another worker was there meanwhile.
    pub async fn save_evaluation(&self, rows: &EvaluationRows) -> Result<bool, StoreError> {
        let mut tx = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        if checkpoint(&mut *tx, "evaluate").await? != rows.after {
            return Ok(false);
        }
        for part in &rows.state {
            query("INSERT OR REPLACE INTO evaluation (name, json) VALUES (?, ?)")
                .bind(part.name.as_str())
                .bind(part.json.as_str())
                .execute(&mut *tx)
                .await?;
        }
        for i in &rows.incidents {
            query("INSERT OR REPLACE INTO incident (id, open, updated_us, json) VALUES (?, ?, ?, ?)")
                .bind(int(i.id.0))
                .bind(i.open)
                .bind(i.updated.as_micros())
                .bind(i.json.as_str())
                .execute(&mut *tx)
                .await?;
        }
        for f in &rows.forecasts {
            query("INSERT OR REPLACE INTO forecast (name, json) VALUES (?, ?)")
                .bind(f.name.as_str())
                .bind(f.json.as_str())
                .execute(&mut *tx)
                .await?;
        }
        for gone in &rows.forecasts_gone {
            query("DELETE FROM forecast WHERE name = ?").bind(gone.as_str()).execute(&mut *tx).await?;
        }
        watch::save_predictions(&mut tx, &rows.predictions).await?;
        watch::save(&mut tx, (&rows.detectors, rows.forget_detectors), &rows.anomalies).await?;
        for o in &rows.outbox {
            let notice = serde_json::to_string(&o.notice).map_err(|_| StoreError::Value("notice"))?;
            query(
                "INSERT OR IGNORE INTO outbox (notice_id, channel, notice, next_attempt_us, incident)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(o.notice.id().0.to_vec())
            .bind(o.channel.as_str())
            .bind(notice)
            .bind(o.notice.decided_at.as_micros())
            .bind(int(o.notice.incident.0))
            .execute(&mut *tx)
            .await?;
        }
        set_checkpoint(&mut *tx, "evaluate", rows.position).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The evaluation's own state, by name.
    pub async fn evaluation_state(&self) -> Result<Vec<NamedJson>, StoreError> {
        let rows = query("SELECT name, json FROM evaluation ORDER BY name").fetch_all(self.reader()).await?;
        rows.iter().map(named_json).collect()
    }

    pub async fn forecasts(&self) -> Result<Vec<NamedJson>, StoreError> {
        let rows = query("SELECT name, json FROM forecast ORDER BY name").fetch_all(self.reader()).await?;
        rows.iter().map(named_json).collect()
    }

    pub async fn forecast_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(query_scalar("SELECT name FROM forecast ORDER BY name").fetch_all(self.reader()).await?)
    }

    pub async fn open_incidents(&self) -> Result<Vec<IncidentRow>, StoreError> {
        let rows =
            query("SELECT * FROM incident WHERE open = 1 ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(incident_row).collect()
    }

    pub async fn incidents(&self) -> Result<Vec<IncidentRow>, StoreError> {
        let rows = query("SELECT * FROM incident ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(incident_row).collect()
    }

    /// At most `n` notices whose next attempt is due, the longest waiting first; none before an
    /// earlier one of its incident, so that an end is never sent before its beginning.
    pub async fn due_notices(&self, now: Timestamp, n: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = query(
            "SELECT * FROM outbox o WHERE state = 0 AND next_attempt_us <= ?1 AND NOT EXISTS
                 (SELECT 1 FROM outbox e WHERE e.state = 0 AND e.channel = o.channel
                  AND e.incident = o.incident AND e.id < o.id)
             ORDER BY next_attempt_us, id LIMIT ?2",
        )
        .bind(now.as_micros())
        .bind(i64::from(n))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(outbox_row).collect()
    }

    /// Every notice of an incident, oldest first.
    pub async fn notices_of(&self, incident: IncidentId) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = query("SELECT * FROM outbox WHERE incident = ? ORDER BY id")
            .bind(int(incident.0))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(outbox_row).collect()
    }

    /// Notices that are neither delivered nor given up, oldest first.
    pub async fn waiting_notices(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = query("SELECT * FROM outbox WHERE state = 0 ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(outbox_row).collect()
    }

    /// The whole outbox, oldest first.
    pub async fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = query("SELECT * FROM outbox ORDER BY id").fetch_all(self.reader()).await?;
        rows.iter().map(outbox_row).collect()
    }

    pub async fn notice_delivered(
        &self,
        notice: Hash,
        channel: &Name,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE outbox SET state = 1, attempts = attempts + 1, delivered_us = ?, last_error = NULL
             WHERE notice_id = ? AND channel = ?",
        )
        .bind(at.as_micros())
        .bind(notice.as_bytes())
        .bind(channel.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// An attempt failed; `next` is when to try again, `None` gives up.
    pub async fn notice_failed(
        &self,
        notice: Hash,
        channel: &Name,
        error: &str,
        next: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let state = if next.is_some() { OutboxState::Waiting } else { OutboxState::Failed };
        query(
            "UPDATE outbox SET state = ?, attempts = attempts + 1, last_error = ?,
                    next_attempt_us = coalesce(?, next_attempt_us) WHERE notice_id = ? AND channel = ?",
        )
        .bind(state as i64)
        .bind(error)
        .bind(next.map(Timestamp::as_micros))
        .bind(notice.as_bytes())
        .bind(channel.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }
}

fn named_json(r: &SqliteRow) -> Result<NamedJson, StoreError> {
    Ok(NamedJson { name: r.text("name")?.to_owned(), json: r.text("json")?.to_owned() })
}

fn incident_row(r: &SqliteRow) -> Result<IncidentRow, StoreError> {
    Ok(IncidentRow {
        id: IncidentId(r.uint("id")?),
        open: r.int("open")? != 0,
        updated: r.time("updated_us")?,
        json: r.text("json")?.to_owned(),
    })
}

fn outbox_row(r: &SqliteRow) -> Result<OutboxRow, StoreError> {
    let state = match r.int("state")? {
        0 => OutboxState::Waiting,
        1 => OutboxState::Delivered,
        2 => OutboxState::Failed,
        _ => return Err(StoreError::Value("state")),
    };
    Ok(OutboxRow {
        id: r.int("id")?,
        notice: serde_json::from_str(r.text("notice")?).map_err(|_| StoreError::Value("notice"))?,
        channel: r.name("channel")?,
        state,
        attempts: r.small("attempts")?,
        next_attempt: r.time("next_attempt_us")?,
        delivered: r.maybe_time("delivered_us")?,
        last_error: r.maybe_text("last_error")?.map(ToOwned::to_owned),
    })
}
