//! What is to be sent, by channel, and what came of it.
//!
//! Holds: `(notice, channel)` is unique and survives a rebuild, so a notice that is decided again is not
//! sent again. What goes in one message is fixed, with the message's identity, before it is sent first:
//! a repeat holds the same notices, and nothing goes in two messages. No notice goes before an earlier
//! one of its incident, so an end is never sent before its beginning.

use super::{
    Store,
    convert::{Columns, int},
};
use crate::store::{
    StoreError,
    model::{OutboxMessage, OutboxRow, OutboxState, Outgoing},
};
use sqlx::{QueryBuilder, SqliteConnection, query, sqlite::SqliteRow};
use std::collections::BTreeSet;
use tenken_collector_core::desk::notice::{GROUP_MAX, IncidentId, group_id};
use tenken_common::{
    id::{Hash, Name},
    time::Timestamp,
};

impl Store {
    /// At most `n` messages whose next attempt is due, the longest waiting first, of channels that are
    /// not in `except`. Joins what waits and may go together.
    pub async fn due_messages(
        &self,
        now: Timestamp,
        n: u32,
        except: &BTreeSet<Name>,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        let free = |rows: Vec<OutboxRow>| rows.into_iter().filter(|row| !except.contains(&row.channel));
        if free(self.unjoined(now).await?).next().is_some() {
            let mut tx = self.writer().begin_with("BEGIN IMMEDIATE").await?;
            for row in free(unjoined(&mut tx, now).await?) {
                join(&mut tx, &row).await?;
            }
            tx.commit().await?;
        }
        let rows = query(
            "SELECT * FROM outbox WHERE state = 0 AND message IS NOT NULL AND next_attempt_us <= ?
             ORDER BY next_attempt_us, id",
        )
        .bind(now.as_micros())
        .fetch_all(self.reader())
        .await?;
        let rows: Vec<OutboxRow> = rows.iter().map(outbox_row).collect::<Result<_, _>>()?;
        let mut messages: Vec<OutboxMessage> = Vec::new();
        for row in free(rows) {
            let Some(id) = row.message else { continue };
            if let Some(message) = messages.iter_mut().find(|m| m.id == id && m.channel == row.channel) {
                message.notices.push(row.notice);
            } else {
                let (channel, attempts) = (row.channel, row.attempts);
                messages.push(OutboxMessage { id, channel, attempts, notices: vec![row.notice] });
            }
        }
        messages.truncate(usize::try_from(n).unwrap_or(usize::MAX));
        Ok(messages)
    }

    async fn unjoined(&self, now: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let mut connection = self.reader().acquire().await?;
        unjoined(&mut connection, now).await
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

    pub async fn message_delivered(
        &self,
        message: Hash,
        channel: &Name,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE outbox SET state = 1, attempts = attempts + 1, delivered_us = ?, last_error = NULL
             WHERE message = ? AND channel = ?",
        )
        .bind(at.as_micros())
        .bind(message.as_bytes())
        .bind(channel.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// An attempt failed; `next` is when to try again, `None` gives up.
    pub async fn message_failed(
        &self,
        message: Hash,
        channel: &Name,
        error: &str,
        next: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let state = if next.is_some() { OutboxState::Waiting } else { OutboxState::Failed };
        query(
            "UPDATE outbox SET state = ?, attempts = attempts + 1, last_error = ?,
                    next_attempt_us = coalesce(?, next_attempt_us) WHERE message = ? AND channel = ?",
        )
        .bind(state as i64)
        .bind(error)
        .bind(next.map(Timestamp::as_micros))
        .bind(message.as_bytes())
        .bind(channel.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }
}

/// Queues a notice that was not queued for this channel before.
pub(super) async fn queue(c: &mut SqliteConnection, o: &Outgoing) -> Result<(), StoreError> {
    let notice = serde_json::to_string(&o.notice).map_err(|_| StoreError::Value("notice"))?;
    query(
        "INSERT OR IGNORE INTO outbox (notice_id, channel, notice, next_attempt_us, incident, grouping)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(o.notice.id().0.to_vec())
    .bind(o.channel.as_str())
    .bind(notice)
    .bind(o.due.as_micros())
    .bind(int(o.notice.incident.0))
    .bind(o.grouped.then(|| o.notice.hospital.to_string()))
    .execute(c)
    .await?;
    Ok(())
}

/// What is due, is part of no message yet, and waits for no earlier message of its incident.
async fn unjoined(c: &mut SqliteConnection, now: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
    let rows = query(
        "SELECT * FROM outbox o WHERE state = 0 AND message IS NULL AND next_attempt_us <= ? AND NOT EXISTS
             (SELECT 1 FROM outbox e WHERE e.state = 0 AND e.channel = o.channel
              AND e.incident = o.incident AND e.id < o.id
              AND (e.message IS NOT NULL OR o.grouping IS NULL OR e.grouping IS NOT o.grouping))
         ORDER BY next_attempt_us, id",
    )
    .bind(now.as_micros())
    .fetch_all(c)
    .await?;
    rows.iter().map(outbox_row).collect()
}

/// Makes the message of a row that is due, of it alone or with whatever waits and may go with it.
async fn join(c: &mut SqliteConnection, due: &OutboxRow) -> Result<(), StoreError> {
    let rows = query(
        "SELECT o.* FROM outbox o JOIN outbox d ON d.id = ?1 AND d.message IS NULL
         WHERE o.state = 0 AND o.message IS NULL AND o.channel = d.channel
             AND (o.id = d.id OR o.grouping = d.grouping) AND NOT EXISTS
             (SELECT 1 FROM outbox e WHERE e.state = 0 AND e.channel = o.channel
              AND e.incident = o.incident AND e.id < o.id
              AND (e.message IS NOT NULL OR e.grouping IS NOT o.grouping))
         ORDER BY o.id LIMIT ?2",
    )
    .bind(due.id)
    .bind(int(GROUP_MAX as u64))
    .fetch_all(&mut *c)
    .await?;
    let rows: Vec<OutboxRow> = rows.iter().map(outbox_row).collect::<Result<_, _>>()?;
    if rows.is_empty() {
        // It went with one that was due before.
        return Ok(());
    }
    let id = group_id(rows.iter().map(|row| row.notice.id()));
    let next = rows.iter().map(|row| row.next_attempt).min().unwrap_or(due.next_attempt);
    let mut sql = QueryBuilder::new("UPDATE outbox SET message = ");
    sql.push_bind(id.0.to_vec()).push(", next_attempt_us = ").push_bind(next.as_micros());
    let mut ids = sql.push(" WHERE id IN (").separated(", ");
    for row in &rows {
        ids.push_bind(row.id);
    }
    sql.push(")").build().execute(c).await?;
    Ok(())
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
        message: r.maybe_bytes("message")?.map(Hash),
        state,
        attempts: r.small("attempts")?,
        next_attempt: r.time("next_attempt_us")?,
        delivered: r.maybe_time("delivered_us")?,
        last_error: r.maybe_text("last_error")?.map(ToOwned::to_owned),
    })
}
