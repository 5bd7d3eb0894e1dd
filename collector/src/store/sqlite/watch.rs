//! What the evaluation keeps of series: detectors' states, the anomalies that they told, and what
//! alerts foretold.
//!
//! Holds: written in the evaluation's own transaction ([`save`]), so that states, anomalies and the
//! place in the stream agree.

use super::{
    Store,
    append::{insert, stored_arrival},
    convert::{Columns, int},
    read::stored_row,
};
use crate::store::{StoreError, model::DetectorRow};
use sqlx::{SqliteConnection, query, query_as};
use std::ops::Range;
use tenken_collector_core::{
    desk::scorecard::Prediction,
    intake::arrival::Arrival,
    predict::{anomaly::Detector, series::SeriesKey, watch::Noted},
    stream::{Entry, EntryKind},
};
use tenken_common::{
    batch::Batch,
    codec,
    id::{DeviceId, Name},
    time::Timestamp,
    unit::Unit,
};

/// A state with room to spare; today's takes 1.9 KiB.
const STATE_BYTES_MAX: usize = 8 * 1024;

/// A batch as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBatch {
    pub position: u64,
    pub committed: Timestamp,
    pub batch: Batch,
}

impl Store {
    /// At most `n` batches behind `span.start` and up to and with `span.end`, in their order.
    pub async fn batches(&self, span: Range<u64>, n: u32) -> Result<Vec<StoredBatch>, StoreError> {
        let rows = query(
            "SELECT * FROM stream WHERE position > ? AND position <= ? AND kind = ? ORDER BY position LIMIT ?",
        )
        .bind(int(span.start))
        .bind(int(span.end))
        .bind(EntryKind::Envelope as i64)
        .bind(i64::from(n))
        .fetch_all(self.reader())
        .await?;
        let mut batches = Vec::with_capacity(rows.len());
        for row in &rows {
            let stored = stored_row(row)?;
            let Entry::Envelope { bytes, .. } = &stored.entry else { continue };
            if let Arrival::Batch(received) = stored_arrival(bytes)?.1 {
                let (position, committed) = (stored.position, stored.committed);
                batches.push(StoredBatch { position, committed, batch: received.batch });
            }
        }
        Ok(batches)
    }

    /// Every state that was kept.
    pub async fn detectors(&self) -> Result<Vec<DetectorRow>, StoreError> {
        let rows = query("SELECT * FROM detector").fetch_all(self.reader()).await?;
        rows.iter()
            .map(|r| {
                let key = SeriesKey {
                    device: DeviceId(r.bytes("device")?),
                    subject: r.name("subject")?,
                    probe: r.name("probe")?,
                    quantity: r.name("quantity")?,
                };
                let unit = Unit::from_code(r.small("unit")?).ok_or(StoreError::Value("unit"))?;
                let detector: Detector = codec::from_slice(r.blob("state")?, STATE_BYTES_MAX)?;
                Ok(DetectorRow { key, unit, detector })
            })
            .collect()
    }

    /// When the newest episode of a device began, and its newest anomaly by the device's time.
    pub async fn newest_episode(
        &self,
        rule: &Name,
        device: DeviceId,
    ) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let row: Option<(i64, i64)> = query_as(
            "SELECT began_us, at_us FROM anomaly WHERE rule = ? AND device = ? ORDER BY at_us DESC LIMIT 1",
        )
        .bind(rule.as_str())
        .bind(device.0.to_vec())
        .fetch_optional(self.reader())
        .await?;
        Ok(row.map(|(began, at)| (Timestamp::from_micros(began), Timestamp::from_micros(at))))
    }

    /// All of the episodes of which one came at `since` or later, in a stable order.
    pub async fn episodes(&self, rule: &Name, since: Timestamp) -> Result<Vec<Noted>, StoreError> {
        let rows = query(
            "SELECT json FROM anomaly WHERE rule = ?1 AND (device, began_us) IN
                 (SELECT device, began_us FROM anomaly WHERE rule = ?1 AND committed_us >= ?2)
             ORDER BY device, at_us, subject, probe, quantity",
        )
        .bind(rule.as_str())
        .bind(since.as_micros())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|r| serde_json::from_str(r.text("json")?).map_err(|_| StoreError::Value("anomaly")))
            .collect()
    }
}

impl Store {
    /// What alerts foretold, or what of it is not judged yet, in the order of the alerts.
    pub async fn predictions(&self, only_pending: bool) -> Result<Vec<Prediction>, StoreError> {
        let rows = query("SELECT json FROM prediction WHERE pending >= ? ORDER BY alerted_us, incident")
            .bind(only_pending)
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|r| serde_json::from_str(r.text("json")?).map_err(|_| StoreError::Value("prediction")))
            .collect()
    }
}

/// Predictions that are new or changed.
pub(super) async fn save_predictions(
    c: &mut SqliteConnection,
    predictions: &[Prediction],
) -> Result<(), StoreError> {
    for prediction in predictions {
        query("INSERT OR REPLACE INTO prediction (incident, alerted_us, pending, json) VALUES (?, ?, ?, ?)")
            .bind(int(prediction.incident.0))
            .bind(prediction.alerted.as_micros())
            .bind(prediction.judged.is_none())
            .bind(serde_json::to_string(prediction).map_err(|_| StoreError::Value("prediction"))?)
            .execute(&mut *c)
            .await?;
    }
    Ok(())
}

/// What a tick leads to; `forget` drops the states that were kept before.
pub(super) async fn save(
    c: &mut SqliteConnection,
    (detectors, forget): (&[DetectorRow], bool),
    anomalies: &[Noted],
) -> Result<(), StoreError> {
    if forget {
        query("DELETE FROM detector").execute(&mut *c).await?;
    }
    let mut states = Vec::with_capacity(detectors.len());
    for row in detectors {
        states.push((row, codec::to_vec(&row.detector)?));
    }
    insert(
        &mut *c,
        "INSERT OR REPLACE INTO detector (device, subject, probe, quantity, unit, state) ",
        "",
        &states,
        |mut b, (row, state)| {
            let SeriesKey { device, subject, probe, quantity } = &row.key;
            b.push_bind(device.0.to_vec()).push_bind(subject.to_string()).push_bind(probe.to_string());
            b.push_bind(quantity.to_string()).push_bind(i64::from(row.unit.code())).push_bind(state.clone());
        },
    )
    .await?;
    for noted in anomalies {
        let (key, at) = (&noted.anomaly.key, noted.anomaly.at);
        query(
            "INSERT OR REPLACE INTO anomaly
             (rule, device, at_us, subject, probe, quantity, began_us, committed_us, json)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(noted.rule.as_str())
        .bind(key.device.0.to_vec())
        .bind(at.as_micros())
        .bind(key.subject.as_str())
        .bind(key.probe.as_str())
        .bind(key.quantity.as_str())
        .bind(noted.began.as_micros())
        .bind(noted.anomaly.committed.as_micros())
        .bind(serde_json::to_string(noted).map_err(|_| StoreError::Value("anomaly"))?)
        .execute(&mut *c)
        .await?;
    }
    Ok(())
}
