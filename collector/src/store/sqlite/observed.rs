//! Reading what was observed: series, checks, probe runs, when devices and the collector itself
//! were last alive.

use super::{
    Store,
    convert::{Columns, ts},
};
use crate::store::{
    StoreError,
    model::{CheckRow, DeviceSeen, HeartbeatRun, ProbeRunRow, SeriesRow},
};
use sqlx::{query, query_as, sqlite::SqliteRow};
use std::ops::Range;
use tenken_common::{
    category::Category,
    id::{BootId, DeviceId},
    observation::{CheckState, ProbeState},
    time::{ClockQuality, ClockSource, Timestamp},
    unit::Unit,
};

impl Store {
    /// The lines of numbers of a device, by subject, probe and name.
    pub async fn series(&self, device: DeviceId) -> Result<Vec<SeriesRow>, StoreError> {
        let rows = query("SELECT * FROM series WHERE device = ? ORDER BY subject, probe, name, unit")
            .bind(device.as_bytes())
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|r| {
                Ok(SeriesRow {
                    id: r.int("id")?,
                    device,
                    subject: r.name("subject")?,
                    probe: r.name("probe")?,
                    name: r.name("name")?,
                    unit: Unit::from_code(r.small("unit")?).ok_or(StoreError::Value("unit"))?,
                })
            })
            .collect()
    }

    /// A line's points in `[start, end)`, oldest first.
    pub async fn samples(
        &self,
        series: i64,
        span: Range<Timestamp>,
    ) -> Result<Vec<(Timestamp, f64)>, StoreError> {
        let rows: Vec<(i64, f64)> = query_as(
            "SELECT at_us, value FROM sample WHERE series = ? AND at_us >= ? AND at_us < ? ORDER BY at_us",
        )
        .bind(series)
        .bind(span.start.as_micros())
        .bind(span.end.as_micros())
        .fetch_all(self.reader())
        .await?;
        Ok(rows.into_iter().map(|(at, value)| (ts(at), value)).collect())
    }

    /// A line's newest point.
    pub async fn latest_sample(&self, series: i64) -> Result<Option<(Timestamp, f64)>, StoreError> {
        let row: Option<(i64, f64)> =
            query_as("SELECT at_us, value FROM sample WHERE series = ? ORDER BY at_us DESC LIMIT 1")
                .bind(series)
                .fetch_optional(self.reader())
                .await?;
        Ok(row.map(|(at, value)| (ts(at), value)))
    }

    /// The newest result of every check of every device.
    pub async fn checks(&self) -> Result<Vec<CheckRow>, StoreError> {
        let rows = query("SELECT * FROM check_state ORDER BY device, probe, subject")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(check_row).collect()
    }

    /// The newest run of every probe of every device.
    pub async fn probe_runs(&self) -> Result<Vec<ProbeRunRow>, StoreError> {
        let rows = query("SELECT * FROM probe_run ORDER BY device, probe").fetch_all(self.reader()).await?;
        rows.iter()
            .map(|r| {
                Ok(ProbeRunRow {
                    device: DeviceId(r.bytes("device")?),
                    probe: r.name("probe")?,
                    state: ProbeState::from_code(r.small("state")?).ok_or(StoreError::Value("state"))?,
                    duration_ms: r.small("duration_ms")?,
                    at: r.time("at_us")?,
                })
            })
            .collect()
    }

    /// When each device was last heard of, by device.
    pub async fn seen(&self) -> Result<Vec<DeviceSeen>, StoreError> {
        let rows = query("SELECT * FROM device_seen ORDER BY device").fetch_all(self.reader()).await?;
        rows.iter().map(seen_row).collect()
    }

    /// When the collector itself was alive, oldest first.
    pub async fn heartbeat_runs(&self) -> Result<Vec<HeartbeatRun>, StoreError> {
        let rows: Vec<(i64, i64)> = query_as("SELECT first_us, last_us FROM heartbeat_run ORDER BY first_us")
            .fetch_all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|(first, last)| HeartbeatRun { first: ts(first), last: ts(last) }).collect())
    }
}

fn check_row(r: &SqliteRow) -> Result<CheckRow, StoreError> {
    Ok(CheckRow {
        device: DeviceId(r.bytes("device")?),
        probe: r.name("probe")?,
        subject: r.name("subject")?,
        category: Category::from_code(r.small("category")?).ok_or(StoreError::Value("category"))?,
        state: CheckState::from_code(r.small("state")?).ok_or(StoreError::Value("state"))?,
        at: r.time("at_us")?,
        since: r.time("since_us")?,
        in_doubt: r.int("in_doubt")? != 0,
    })
}

fn seen_row(r: &SqliteRow) -> Result<DeviceSeen, StoreError> {
    let source = match r.int("clock_source")? {
        0 => ClockSource::Unknown,
        1 => ClockSource::SignedTime,
        _ => return Err(StoreError::Value("clock_source")),
    };
    Ok(DeviceSeen {
        device: DeviceId(r.bytes("device")?),
        received: r.time("received_us")?,
        recorded: r.maybe_time("recorded_us")?,
        clock: ClockQuality {
            offset_ms: r.int("offset_ms")?,
            uncertainty_ms: r.small("uncertainty_ms")?,
            source,
        },
        boot: BootId(r.bytes("boot")?),
        agent_version: r.text("agent_version")?.to_owned(),
        unknown: r.uint("unknown")?,
    })
}
