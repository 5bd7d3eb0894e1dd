//! Reading what was observed but the points (see `column`): series, checks, probe runs, when devices and the collector itself
//! were last alive.

use super::{
    Store,
    convert::{Columns, ts},
};
use crate::store::{
    StoreError,
    model::{CheckRow, DeviceSeen, HeartbeatRun, ProbeRunRow, SeriesRow},
};
use sqlx::{query, query_as, query_scalar, sqlite::SqliteRow};
use tenken_common::{
    category::Category,
    id::{BootId, DeviceId},
    observation::{CheckState, ProbeState},
    time::{ClockQuality, ClockSource},
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

pub(super) fn series_row(r: &SqliteRow) -> Result<SeriesRow, StoreError> {
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
