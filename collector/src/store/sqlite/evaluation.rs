//! What the evaluation keeps.
//!
//! Holds: an evaluation's rows, its notices and its place in the stream commit together, so that a
//! crash decides neither twice nor not at all; and only from the place that it began at, so that of two
//! workers one goes on and the other begins anew.

use super::{
    Store,
    convert::{Columns, int},
    outbox,
    read::{checkpoint, set_checkpoint},
    watch,
};
use crate::store::{
    StoreError,
    model::{EvaluationRows, IncidentRow, NamedJson},
};
use sqlx::{query, query_scalar, sqlite::SqliteRow};
use tenken_collector_core::desk::notice::IncidentId;

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
            outbox::queue(&mut tx, o).await?;
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
