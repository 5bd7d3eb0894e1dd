//! The second derivation: from log and journal to series, check states, probe runs, what devices
//! say of themselves, and signs of life.
//!
//! Holds: entries are taken in position order, each page in one transaction with its checkpoint,
//! so that it goes on where it stopped and comes out the same however it was interrupted. Of a device in
//! quarantine only its alarms are taken, marked as of doubtful identity.
//!
//! Does not: judge anything; that is the evaluation's.

mod fact;

use super::{
    StoreError,
    sqlite::{Columns, Fresh, Store, insert, int, stored_arrival},
};
use sqlx::{SqliteConnection, query, query_scalar};
use std::collections::{BTreeMap, btree_map};
use tenken_collector_core::{
    intake::arrival::Arrival,
    predict::series::Point,
    sla::{heartbeat, history},
    stream::{Entry, Stored},
};
use tenken_common::{
    batch::Batch,
    fact::Fact,
    id::{DeviceId, Name},
    observation::{Body, CheckResult, Class, Observation, ProbeRun, Record},
    time::Timestamp,
    unit::Quantity,
    wire::v1::ReceivedBatch,
};

const CHECKPOINT: &str = "project";
/// Entries in one transaction.
const PAGE: u32 = 200;

impl Store {
    /// Projects up to and with the entry at `until`, in pages.
    pub async fn project_until(&self, until: u64) -> Result<(), StoreError> {
        while self.project_page(until).await? {}
        Ok(())
    }

    /// Projects everything there is.
    pub async fn project_all(&self) -> Result<(), StoreError> {
        self.project_until(self.position().await?).await
    }

    /// One page in one transaction; whether there may be more.
    async fn project_page(&self, until: u64) -> Result<bool, StoreError> {
        let mut tx = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        let from: i64 = query_scalar("SELECT position FROM checkpoint WHERE name = 'project'")
            .fetch_one(&mut *tx)
            .await?;
        let left = until.saturating_sub(from.cast_unsigned());
        let n = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = super::sqlite::entries_after(&mut *tx, from.cast_unsigned(), n).await?;
        let Some(last) = page.last().map(|s| s.position) else { return Ok(false) };
        let mut page_rows = Page::default();
        for stored in &page {
            page_rows.take(&mut tx, stored).await?;
        }
        page_rows.flush(&mut tx).await?;
        super::sqlite::set_checkpoint(&mut *tx, CHECKPOINT, last).await?;
        tx.commit().await?;
        Ok(last < until)
    }
}

type SeriesKey = (DeviceId, Name, Name, Name, u8);

/// What a page of the stream leads to, collected for statements of many rows.
#[derive(Default)]
struct Page {
    /// All that there were of the devices that were met.
    series: BTreeMap<SeriesKey, i64>,
    met: BTreeMap<DeviceId, Fresh>,
    /// Of the batch that is taken.
    points: Vec<(i64, Point)>,
    checks: Vec<Check>,
    runs: Vec<(DeviceId, Timestamp, ProbeRun)>,
}

/// A result that a device told of, and whether it is in doubt whose it is.
struct Check {
    device: DeviceId,
    subject: Name,
    category: u8,
    at: Timestamp,
    result: CheckResult,
    in_doubt: bool,
}

impl Check {
    fn of(device: DeviceId, o: &Observation, at: Timestamp, result: &CheckResult, in_doubt: bool) -> Self {
        let (subject, category) = (o.subject.clone(), o.category.code());
        Self { device, subject, category, at, result: result.clone(), in_doubt }
    }
}

impl Page {
    async fn take(&mut self, c: &mut SqliteConnection, stored: &Stored) -> Result<(), StoreError> {
        match &stored.entry {
            Entry::Envelope { device, bytes } => match stored_arrival(bytes)?.1 {
                Arrival::Batch(received) => {
                    see_device(c, stored.committed, &received).await?;
                    for record in &received.batch.records {
                        self.take_record(c, (&received.batch, stored.committed), record).await?;
                    }
                    self.take_points(c, (received.batch.device, stored)).await?;
                    fact::take_said(c, &received.batch, stored.committed).await
                }
                Arrival::Stub(_) => hear_device(c, stored.committed, *device).await,
            },
            Entry::Fork { device, bytes } => {
                hear_device(c, stored.committed, *device).await?;
                match stored_arrival(bytes)?.1 {
                    Arrival::Batch(received) => self.take_alarms(*device, &received.batch),
                    Arrival::Stub(_) => {}
                }
                Ok(())
            }
            Entry::Heartbeat => beat(c, stored.committed).await,
            Entry::Started { .. } => begin_run(c, stored.committed).await,
            Entry::Hospital(_)
            | Entry::Contract { .. }
            | Entry::Statement { .. }
            | Entry::Enrolled(_)
            | Entry::CertificateIssued { .. }
            | Entry::Revoked { .. }
            | Entry::IncidentAction(_)
            | Entry::Rules { .. }
            | Entry::CollectorLost(_)
            | Entry::Quarantined { .. }
            | Entry::Rejoined(_)
            | Entry::Restored { .. }
            | Entry::CloneSuspected { .. }
            | Entry::FactsChanged { .. }
            | Entry::SlaRecord { .. }
            | Entry::MonthSealed(_)
            | Entry::Silence(_) => Ok(()),
        }
    }

    async fn take_record(
        &mut self,
        c: &mut SqliteConnection,
        (batch, committed): (&Batch, Timestamp),
        record: &Record,
    ) -> Result<(), StoreError> {
        let o = &record.observation;
        let at = batch.corrected(o);
        if let Some((probe, quantities)) = numbers(&o.body) {
            self.take_quantities(c, (batch.device, o, &probe), at, quantities).await?;
        }
        match &o.body {
            Body::Sample(_) => Ok(()),
            Body::CheckResult(check) => {
                self.checks.push(Check::of(batch.device, o, at, check, false));
                Ok(())
            }
            Body::SelfReport(report) => {
                self.runs.extend(report.runs.iter().map(|run| (batch.device, at, run.clone())));
                Ok(())
            }
            Body::Fact(said) => {
                let at = history::instant(batch, o, committed);
                fact::take_fact(c, (batch.device, &o.subject, at), said).await
            }
        }
    }

    async fn take_quantities(
        &mut self,
        c: &mut SqliteConnection,
        (device, o, probe): (DeviceId, &Observation, &Name),
        at: Timestamp,
        quantities: &[Quantity],
    ) -> Result<(), StoreError> {
        if let btree_map::Entry::Vacant(new) = self.met.entry(device) {
            self.series.extend(known_series(c, device).await?);
            new.insert(Fresh::load(c, device).await?);
        }
        for q in quantities {
            let key = (device, o.subject.clone(), probe.clone(), q.name.clone(), q.unit.code());
            let id = match self.series.get(&key) {
                Some(id) => *id,
                None => series_id(c, &key).await?,
            };
            self.series.insert(key, id);
            self.points.push((id, (at, q.value)));
        }
        Ok(())
    }

    async fn take_points(
        &mut self,
        c: &mut SqliteConnection,
        (device, stored): (DeviceId, &Stored),
    ) -> Result<(), StoreError> {
        let points = std::mem::take(&mut self.points);
        match self.met.get_mut(&device) {
            Some(fresh) if !points.is_empty() => {
                fresh.take(c, (device, stored.position, stored.committed), &points).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What is urgent in the evidence of a device in quarantine.
    fn take_alarms(&mut self, device: DeviceId, batch: &Batch) {
        for o in batch.records.iter().map(|r| &r.observation).filter(|o| o.class() == Class::Urgent) {
            if let Body::CheckResult(check) = &o.body {
                self.checks.push(Check::of(device, o, batch.corrected(o), check, true));
            }
        }
    }

    async fn flush(self, c: &mut SqliteConnection) -> Result<(), StoreError> {
        Fresh::save(c, &self.met).await?;
        save_checks(c, &self.checks).await?;
        save_runs(c, &self.runs).await
    }
}

/// The numbers that a record carries, and the probe that saw them.
pub(super) fn numbers(body: &Body) -> Option<(Name, &[Quantity])> {
    match body {
        Body::Sample(sample) => Some((sample.probe.clone(), &sample.quantities)),
        Body::SelfReport(report) => Some((Name::of_outside("agent"), &report.quantities)),
        // A counter is a line of numbers too, so that it can be forecast.
        Body::Fact(Fact::WearCounter(wear)) => Some((wear.probe.clone(), std::slice::from_ref(&wear.value))),
        Body::Fact(_) | Body::CheckResult(_) => None,
    }
}

/// In one row, since each costs two changes of threads.
async fn known_series(
    c: &mut SqliteConnection,
    device: DeviceId,
) -> Result<Vec<(SeriesKey, i64)>, StoreError> {
    let known: String = query_scalar(
        "SELECT json_group_array(json_array(id, subject, probe, name, unit)) FROM series WHERE device = ?",
    )
    .bind(device.as_bytes())
    .fetch_one(c)
    .await?;
    let known: Vec<(i64, Name, Name, Name, u8)> =
        serde_json::from_str(&known).map_err(|_| StoreError::Value("series"))?;
    let key = |(id, subject, probe, name, unit)| ((device, subject, probe, name, unit), id);
    Ok(known.into_iter().map(key).collect())
}

async fn series_id(c: &mut SqliteConnection, key: &SeriesKey) -> Result<i64, StoreError> {
    let (device, subject, probe, name, unit) = key;
    let row = query(
        "INSERT INTO series (device, subject, probe, name, unit) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device, subject, probe, name, unit) DO UPDATE SET unit = excluded.unit RETURNING id",
    )
    .bind(device.as_bytes())
    .bind(subject.as_str())
    .bind(probe.as_str())
    .bind(name.as_str())
    .bind(i64::from(*unit))
    .fetch_one(c)
    .await?;
    row.int("id")
}

/// The newest result by the device's time counts, whatever order records come in.
async fn save_checks(c: &mut SqliteConnection, checks: &[Check]) -> Result<(), StoreError> {
    insert(
        c,
        "INSERT INTO check_state (device, probe, subject, category, state, at_us, since_us, in_doubt) ",
        " ON CONFLICT (device, probe, subject) DO UPDATE SET
             since_us = CASE WHEN state = excluded.state THEN since_us ELSE excluded.at_us END,
             category = excluded.category, state = excluded.state, at_us = excluded.at_us,
             in_doubt = excluded.in_doubt
         WHERE excluded.at_us > at_us",
        checks,
        |mut b, check| {
            b.push_bind(check.device.0.to_vec()).push_bind(check.result.probe.to_string());
            b.push_bind(check.subject.to_string()).push_bind(i64::from(check.category));
            b.push_bind(i64::from(check.result.state.code()));
            b.push_bind(check.at.as_micros()).push_bind(check.at.as_micros()).push_bind(check.in_doubt);
        },
    )
    .await
}

/// Something came that is not taken for the device's state.
async fn hear_device(c: &mut SqliteConnection, at: Timestamp, device: DeviceId) -> Result<(), StoreError> {
    query("UPDATE device_seen SET received_us = max(received_us, ?) WHERE device = ?")
        .bind(at.as_micros())
        .bind(device.as_bytes())
        .execute(c)
        .await?;
    Ok(())
}

async fn save_runs(
    c: &mut SqliteConnection,
    runs: &[(DeviceId, Timestamp, ProbeRun)],
) -> Result<(), StoreError> {
    insert(
        c,
        "INSERT INTO probe_run (device, probe, state, duration_ms, at_us) ",
        " ON CONFLICT (device, probe) DO UPDATE SET
             state = excluded.state, duration_ms = excluded.duration_ms, at_us = excluded.at_us
         WHERE excluded.at_us >= at_us",
        runs,
        |mut b, (device, at, run)| {
            b.push_bind(device.0.to_vec()).push_bind(run.probe.to_string());
            b.push_bind(i64::from(run.state.code())).push_bind(i64::from(run.duration_ms));
            b.push_bind(at.as_micros());
        },
    )
    .await
}

async fn see_device(
    c: &mut SqliteConnection,
    received_at: Timestamp,
    received: &ReceivedBatch,
) -> Result<(), StoreError> {
    let batch = &received.batch;
    let recorded = batch.records.iter().map(|r| batch.corrected(&r.observation)).max();
    query(
        "INSERT INTO device_seen (device, received_us, recorded_us, offset_ms, uncertainty_ms, clock_source,
                                  boot, agent_version, unknown)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (device) DO UPDATE SET received_us = max(received_us, excluded.received_us),
             recorded_us = max(coalesce(recorded_us, excluded.recorded_us), coalesce(excluded.recorded_us, recorded_us)),
             offset_ms = excluded.offset_ms, uncertainty_ms = excluded.uncertainty_ms,
             clock_source = excluded.clock_source, boot = excluded.boot,
             agent_version = excluded.agent_version, unknown = unknown + excluded.unknown",
    )
    .bind(batch.device.as_bytes())
    .bind(received_at.as_micros())
    .bind(recorded.map(Timestamp::as_micros))
    .bind(batch.clock.offset_ms)
    .bind(i64::from(batch.clock.uncertainty_ms))
    .bind(batch.clock.source as i64)
    .bind(batch.at.boot.as_bytes())
    .bind(batch.agent_version.as_str())
    .bind(int(received.unknown.len() as u64))
    .execute(c)
    .await?;
    Ok(())
}

/// Prolongs the newest run of heartbeats, or begins the next.
async fn beat(c: &mut SqliteConnection, at: Timestamp) -> Result<(), StoreError> {
    let prolonged = query(
        "UPDATE heartbeat_run SET last_us = max(last_us, ?1)
         WHERE first_us = (SELECT max(first_us) FROM heartbeat_run) AND first_us <= ?1 AND last_us >= ?2",
    )
    .bind(at.as_micros())
    .bind(at.minus(heartbeat::GAP_MAX).as_micros())
    .execute(&mut *c)
    .await?;
    if prolonged.rows_affected() == 0 { begin_run(c, at).await } else { Ok(()) }
}

/// A process that began to serve was not there before, however short the time without one was.
async fn begin_run(c: &mut SqliteConnection, at: Timestamp) -> Result<(), StoreError> {
    query("INSERT OR IGNORE INTO heartbeat_run (first_us, last_us) VALUES (?1, ?1)")
        .bind(at.as_micros())
        .execute(c)
        .await?;
    Ok(())
}
