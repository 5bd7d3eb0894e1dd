//! The points of every series, in columns.
//!
//! What a device told of late is not written a second time: it stands in the stream, and `fresh` has
//! one row a device with the places of those batches and the newest point of each series. With the
//! first batch of the device's next hour what came before is packed into its days: `packed` has a row
//! for a device and a day, with all series in one piece. So in a minute 10,000 devices write one small
//! row each, in few pages, and a sixtieth of them is packed; however many months lie behind, a device
//! touches the pages of its newest day only. A row a point, in the order of the series, touches a page
//! for each series. Who reads wants many series of one device, and finds them together.
//!
//! A day that is over is there a second time, thin: of each half hour the first point, in pieces of 32
//! days, so that a forecast reads a year without unpacking it.
//!
//! Holds: a packing follows from the device's own batches (its hour, their number) and happens in the
//! transaction that projects one, so that a rebuild packs the same at the same places. Late points go
//! into their own day. A point that came twice is one: the first counts, and what is packed came
//! before what is fresh, an earlier piece before a later one.
//!
//! Does not: pack a device that fell silent; its last hour stays in the stream alone.

use super::{
    append::{insert, stored_arrival},
    convert::{Columns, int, ts},
    observed::series_row,
    read::stored_row,
};
use crate::store::{StoreError, model::SeriesRow, project::numbers};
use sqlx::{SqliteConnection, query, query_as, query_scalar};
use std::{collections::BTreeMap, ops::RangeInclusive};
use tenken_collector_core::{
    intake::arrival::Arrival,
    predict::{
        column::{BYTES_MAX, Grain, POINTS_MAX, Points, hour_of, pack, unpack},
        series::Point,
    },
    stream::Entry,
};
use tenken_common::{id::DeviceId, time::Timestamp};

/// A device that told more than this is packed before its hour is over: whoever reads unpacks these
/// batches each time.
const FRESH_POINTS_MAX: usize = 20_000;
const FRESH_BATCHES_MAX: usize = 240;
/// Pieces read at once; a day of 50 series takes about 100 KiB.
const PIECES: usize = 32;

/// What of a device is not packed yet, and the newest of all that it told.
#[derive(Debug, Default)]
pub(in crate::store) struct Fresh {
    since: Timestamp,
    points: usize,
    pub(super) batches: Vec<u64>,
    pub(super) newest: BTreeMap<i64, Point>,
    /// The days before this one are there thin too.
    pub(super) thinned: i64,
}

impl Fresh {
    pub(in crate::store) async fn load(
        c: &mut SqliteConnection,
        device: DeviceId,
    ) -> Result<Self, StoreError> {
        let row =
            query("SELECT * FROM fresh WHERE device = ?").bind(device.as_bytes()).fetch_optional(c).await?;
        let Some(row) = row else { return Ok(Self::default()) };
        Ok(Self {
            since: row.time("since_us")?,
            points: row.small("points")?,
            batches: row.blob("batches")?.as_chunks().0.iter().map(|b| u64::from_be_bytes(*b)).collect(),
            newest: newest_points(row.blob("newest")?).collect(),
            thinned: row.int("thinned")?,
        })
    }

    pub(in crate::store) async fn save(
        c: &mut SqliteConnection,
        all: &BTreeMap<DeviceId, Self>,
    ) -> Result<(), StoreError> {
        let rows: Vec<_> = all.iter().collect();
        insert(
            c,
            "INSERT INTO fresh (device, since_us, points, batches, newest, thinned) ",
            " ON CONFLICT (device) DO UPDATE SET since_us = excluded.since_us, points = excluded.points,
                 batches = excluded.batches, newest = excluded.newest, thinned = excluded.thinned",
            &rows,
            |mut b, (device, fresh)| {
                let batches = fresh.batches.iter().flat_map(|position| position.to_be_bytes());
                let newest = fresh.newest.iter().flat_map(|(series, (at, value))| {
                    [series.to_be_bytes(), at.as_micros().to_be_bytes(), value.to_be_bytes()]
                });
                b.push_bind(device.0.to_vec()).push_bind(fresh.since.as_micros());
                b.push_bind(int(fresh.points as u64)).push_bind(batches.collect::<Vec<u8>>());
                b.push_bind(newest.flatten().collect::<Vec<u8>>()).push_bind(fresh.thinned);
            },
        )
        .await
    }

    /// Takes in the points of one batch; packs what came before where it is time.
    pub(in crate::store) async fn take(
        &mut self,
        c: &mut SqliteConnection,
        (device, position, committed): (DeviceId, u64, Timestamp),
        points: &[(i64, Point)],
    ) -> Result<(), StoreError> {
        let is_full =
            self.points + points.len() > FRESH_POINTS_MAX || self.batches.len() >= FRESH_BATCHES_MAX;
        if !self.batches.is_empty() && (is_full || hour_of(device, committed) != hour_of(device, self.since))
        {
            self.pack(c, device, Grain::Whole.stretch(committed)).await?;
        }
        if self.batches.is_empty() {
            self.since = committed;
        }
        self.batches.push(position);
        self.points += points.len();
        for (series, point) in points {
            let newest = self.newest.entry(*series).or_insert(*point);
            if point.0 > newest.0 {
                *newest = *point;
            }
        }
        Ok(())
    }

    /// Puts the points of all batches into their days; what is before `today` becomes thin too.
    async fn pack(
        &mut self,
        c: &mut SqliteConnection,
        device: DeviceId,
        today: i64,
    ) -> Result<(), StoreError> {
        let mut days: BTreeMap<i64, Points> = BTreeMap::new();
        for (series, points) in read_batches(c, device, &self.batches).await? {
            for point in points {
                let day = days.entry(Grain::Whole.stretch(point.0)).or_default();
                day.entry(series).or_default().push(point);
            }
        }
        let mut thin = Points::new();
        for (day, points) in days {
            if day < self.thinned {
                merge(&mut thin, thinned(points.clone()));
            }
            put(c, (device, Grain::Whole, day), points).await?;
        }
        if today > self.thinned {
            let over: Vec<i64> = query_scalar(
                "SELECT DISTINCT stretch FROM packed
                 WHERE device = ? AND grain = 0 AND stretch >= ? AND stretch < ? ORDER BY stretch",
            )
            .bind(device.as_bytes())
            .bind(self.thinned)
            .bind(today)
            .fetch_all(&mut *c)
            .await?;
            for day in over {
                let mut points = Points::new();
                each_piece(c, (device, Grain::Whole, day..=day), |_, bytes| {
                    merge(&mut points, unpack(bytes, |_| true)?);
                    Ok(())
                })
                .await?;
                merge(&mut thin, thinned(points));
            }
            self.thinned = today;
        }
        put_thin(c, device, thin).await?;
        self.batches.clear();
        self.points = 0;
        Ok(())
    }
}

/// Series, time and value, 24 bytes each.
pub(super) fn newest_points(bytes: &[u8]) -> impl Iterator<Item = (i64, Point)> {
    let (words, _) = bytes.as_chunks::<8>();
    words.as_chunks::<3>().0.iter().map(|[series, at, value]| {
        (i64::from_be_bytes(*series), (ts(i64::from_be_bytes(*at)), f64::from_be_bytes(*value)))
    })
}

pub(super) async fn series_of(
    c: &mut SqliteConnection,
    device: DeviceId,
) -> Result<Vec<SeriesRow>, StoreError> {
    let rows = query("SELECT * FROM series WHERE device = ? ORDER BY subject, probe, name, unit")
        .bind(device.as_bytes())
        .fetch_all(c)
        .await?;
    rows.iter().map(series_row).collect()
}

/// The points of batches, in the order in which they came.
pub(super) async fn read_batches(
    c: &mut SqliteConnection,
    device: DeviceId,
    positions: &[u64],
) -> Result<Points, StoreError> {
    let mut points = Points::new();
    if positions.is_empty() {
        return Ok(points);
    }
    let series = series_of(c, device).await?;
    let ids: BTreeMap<_, i64> =
        series.iter().map(|s| ((&s.subject, &s.probe, &s.name, s.unit), s.id)).collect();
    let positions = serde_json::to_string(positions).map_err(|_| StoreError::Value("batches"))?;
    let rows =
        query("SELECT * FROM stream WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position")
            .bind(positions)
            .fetch_all(c)
            .await?;
    for row in &rows {
        let Entry::Envelope { bytes, .. } = stored_row(row)?.entry else {
            return Err(StoreError::Value("batches"));
        };
        let Arrival::Batch(received) = stored_arrival(&bytes)?.1 else { continue };
        let batch = &received.batch;
        for o in batch.records.iter().map(|record| &record.observation) {
            let Some((probe, quantities)) = numbers(&o.body) else { continue };
            let at = batch.corrected(o);
            for q in quantities {
                let id =
                    ids.get(&(&o.subject, &probe, &q.name, q.unit)).ok_or(StoreError::Value("series"))?;
                points.entry(*id).or_default().push((at, q.value));
            }
        }
    }
    Ok(points)
}

/// Adds points that came later than those that are there.
fn merge(points: &mut Points, later: Points) {
    for (series, more) in later {
        points.entry(series).or_default().extend(more);
    }
}

fn thinned(points: Points) -> Points {
    points.into_iter().map(|(series, points)| (series, Grain::Thin.take(points))).collect()
}

/// Calls with every piece of some stretches, in their order, those of one stretch as they came.
pub(super) async fn each_piece(
    c: &mut SqliteConnection,
    (device, grain, stretches): (DeviceId, Grain, RangeInclusive<i64>),
    mut take: impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after = (*stretches.start(), -1);
    loop {
        let pieces: Vec<(i64, i64, Vec<u8>)> = query_as(
            "SELECT stretch, piece, points FROM packed
             WHERE device = ? AND grain = ? AND (stretch, piece) > (?, ?) AND stretch <= ?
             ORDER BY stretch, piece LIMIT ?",
        )
        .bind(device.as_bytes())
        .bind(grain as i64)
        .bind(after.0)
        .bind(after.1)
        .bind(stretches.end())
        .bind(int(PIECES as u64))
        .fetch_all(&mut *c)
        .await?;
        for (stretch, piece, bytes) in &pieces {
            after = (*stretch, *piece);
            take(*stretch, bytes)?;
        }
        if pieces.len() < PIECES {
            return Ok(());
        }
    }
}

/// Puts thin points of any days among the others.
async fn put_thin(c: &mut SqliteConnection, device: DeviceId, points: Points) -> Result<(), StoreError> {
    let mut stretches: BTreeMap<i64, Points> = BTreeMap::new();
    for (series, points) in points {
        for point in points {
            let stretch = stretches.entry(Grain::Thin.stretch(point.0)).or_default();
            stretch.entry(series).or_default().push(point);
        }
    }
    for (stretch, points) in stretches {
        put(c, (device, Grain::Thin, stretch), points).await?;
    }
    Ok(())
}

/// Puts points behind those of their stretch.
async fn put(
    c: &mut SqliteConnection,
    (device, grain, stretch): (DeviceId, Grain, i64),
    later: Points,
) -> Result<(), StoreError> {
    let (piece, mut points) = open_piece(c, (device, grain, stretch)).await?;
    merge(&mut points, later);
    let points: Points = points.into_iter().map(|(series, points)| (series, grain.take(points))).collect();
    query(
        "INSERT INTO packed (device, grain, stretch, piece, points) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device, grain, stretch, piece) DO UPDATE SET points = excluded.points",
    )
    .bind(device.as_bytes())
    .bind(grain as i64)
    .bind(stretch)
    .bind(piece)
    .bind(pack(&points)?)
    .execute(c)
    .await?;
    Ok(())
}

/// The last piece of a stretch with what it holds; the next one where that is full.
async fn open_piece(
    c: &mut SqliteConnection,
    (device, grain, stretch): (DeviceId, Grain, i64),
) -> Result<(i64, Points), StoreError> {
    let last: Option<(i64, Vec<u8>)> = query_as(
        "SELECT piece, points FROM packed WHERE device = ? AND grain = ? AND stretch = ?
         ORDER BY piece DESC LIMIT 1",
    )
    .bind(device.as_bytes())
    .bind(grain as i64)
    .bind(stretch)
    .fetch_optional(c)
    .await?;
    let Some((piece, bytes)) = last else { return Ok((0, Points::new())) };
    if bytes.len() >= BYTES_MAX {
        return Ok((piece + 1, Points::new()));
    }
    let points = unpack(&bytes, |_| true)?;
    let is_full = points.values().map(Vec::len).sum::<usize>() >= POINTS_MAX;
    Ok(if is_full { (piece + 1, Points::new()) } else { (piece, points) })
}
