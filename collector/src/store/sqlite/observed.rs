//! Reading what was observed: series, checks, probe runs, when devices and the collector itself
//! were last alive.

use super::{
    Store,
    convert::{Columns, int, ts},
};
use crate::store::{
    StoreError,
    model::{CheckRow, DeviceSeen, HeartbeatRun, ProbeRunRow, SeriesRow},
};
use sqlx::{QueryBuilder, query, query_as, query_scalar, sqlite::SqliteRow};
use std::{collections::BTreeSet, ops::Range};
use tenken_collector_core::predict::forecast::{HISTORY_POINTS, NEWEST_POINTS};
use tenken_common::{
    category::Category,
    id::{BootId, DeviceId, Name},
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
        rows.iter().map(series_row).collect()
    }

    /// The devices that have a line of numbers behind `id`, and the last line's id.
    pub async fn series_after(&self, id: i64) -> Result<(Vec<DeviceId>, i64), StoreError> {
        let last: i64 =
            query_scalar("SELECT coalesce(max(id), 0) FROM series").fetch_one(self.reader()).await?;
        let rows = query("SELECT DISTINCT device FROM series WHERE id > ? AND id <= ? ORDER BY device")
            .bind(id)
            .bind(last)
            .fetch_all(self.reader())
            .await?;
        let devices = rows.iter().map(|r| Ok(DeviceId(r.bytes("device")?)));
        Ok((devices.collect::<Result<_, StoreError>>()?, last))
    }

    /// The newest point up to `until` of every line of these numbers, of every device: by device,
    /// subject, probe and name.
    pub async fn newest(
        &self,
        numbers: &BTreeSet<(Name, Name)>,
        until: Timestamp,
    ) -> Result<Vec<(SeriesRow, (Timestamp, f64))>, StoreError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::new(
            // CROSS: in this order, whatever the planner thinks of the sizes.
            "SELECT s.*, p.at_us, p.value FROM series s CROSS JOIN sample p ON p.series = s.id
             AND p.at_us = (SELECT max(at_us) FROM sample WHERE series = s.id AND at_us <= ",
        );
        sql.push_bind(until.as_micros()).push(") WHERE ");
        let mut any = sql.separated(" OR ");
        for (probe, name) in numbers {
            any.push("s.probe = ").push_bind_unseparated(probe.as_str());
            any.push_unseparated(" AND s.name = ").push_bind_unseparated(name.as_str());
        }
        sql.push(" ORDER BY s.device, s.subject, s.probe, s.name, s.unit");
        let rows = sql.build().fetch_all(self.reader()).await?;
        rows.iter().map(|r| Ok((series_row(r)?, (r.time("at_us")?, r.real("value")?)))).collect()
    }

    /// A line's points in `[start, end)` as a forecast needs them, oldest first: all of the newest, and
    /// of the others at most so many, equally apart. So a long history costs no more than a short one.
    pub async fn history(
        &self,
        series: i64,
        span: Range<Timestamp>,
    ) -> Result<Vec<(Timestamp, f64)>, StoreError> {
        let rows: Vec<(i64, f64)> = query_as(
            "WITH RECURSIVE
             extent(first, last) AS (SELECT
                 (SELECT min(at_us) FROM sample WHERE series = ?1 AND at_us >= ?2 AND at_us < ?3),
                 (SELECT max(at_us) FROM sample WHERE series = ?1 AND at_us >= ?2 AND at_us < ?3)),
             apart(at) AS (SELECT first FROM extent UNION ALL SELECT
                 (SELECT min(at_us) FROM sample WHERE series = ?1
                  AND at_us >= at + (last - first) / ?4 + 1 AND at_us < ?3)
                 FROM apart, extent WHERE at IS NOT NULL)
             SELECT at AS at_us, (SELECT value FROM sample WHERE series = ?1 AND at_us = at)
                 FROM apart WHERE at IS NOT NULL
             UNION SELECT * FROM (SELECT at_us, value FROM sample
                 WHERE series = ?1 AND at_us >= ?2 AND at_us < ?3 ORDER BY at_us DESC LIMIT ?5)
             ORDER BY at_us",
        )
        .bind(series)
        .bind(span.start.as_micros())
        .bind(span.end.as_micros())
        .bind(int(HISTORY_POINTS as u64))
        .bind(int(NEWEST_POINTS as u64))
        .fetch_all(self.reader())
        .await?;
        Ok(rows.into_iter().map(|(at, value)| (ts(at), value)).collect())
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

fn series_row(r: &SqliteRow) -> Result<SeriesRow, StoreError> {
    Ok(SeriesRow {
        id: r.int("id")?,
        device: DeviceId(r.bytes("device")?),
        subject: r.name("subject")?,
        probe: r.name("probe")?,
        name: r.name("name")?,
        unit: Unit::from_code(r.small("unit")?).ok_or(StoreError::Value("unit"))?,
    })
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
