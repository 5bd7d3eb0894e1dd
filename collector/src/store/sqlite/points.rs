//! Reading points; how they stand is told in `column`.
//!
//! Holds: a read sees one state of what is packed and what is fresh, and answers the same however
//! much of it is packed.

use super::{
    Store,
    column::{Fresh, each_piece, newest_points, read_batches, series_of},
    convert::Columns,
    observed::series_row,
};
use crate::store::{StoreError, model::SeriesRow};
use sqlx::{QueryBuilder, SqliteConnection, query, query_scalar};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use tenken_collector_core::predict::{
    column::{Grain, Points, history, history_start, ordered, unpack, whole_from},
    forecast::{HISTORY_POINTS, NEWEST_POINTS},
    series::Point,
};
use tenken_common::{
    id::{DeviceId, Name},
    time::Timestamp,
};

/// Which lines, and when.
type Spans = BTreeMap<i64, Range<Timestamp>>;

impl Store {
    /// The newest point up to `until` of every line of these numbers, of every device: by device,
    /// subject, probe and name.
    pub async fn newest(
        &self,
        numbers: &BTreeSet<(Name, Name)>,
        until: Timestamp,
    ) -> Result<Vec<(SeriesRow, Point)>, StoreError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::new("SELECT * FROM series WHERE ");
        let mut any = sql.separated(" OR ");
        for (probe, name) in numbers {
            any.push("(probe = ").push_bind_unseparated(probe.as_str());
            any.push_unseparated(" AND name = ").push_bind_unseparated(name.as_str()).push_unseparated(")");
        }
        sql.push(" ORDER BY device, subject, probe, name, unit");
        let mut tx = self.reader().begin().await?;
        let rows = sql.build().fetch_all(&mut *tx).await?;
        let rows = rows.iter().map(series_row).collect::<Result<Vec<_>, _>>()?;
        let mut wanted = rows.chunk_by(|a, b| a.device == b.device).peekable();
        let mut newest: BTreeMap<i64, Point> = BTreeMap::new();
        let fresh = query("SELECT device, newest FROM fresh ORDER BY device").fetch_all(&mut *tx).await?;
        for row in &fresh {
            let device = DeviceId(row.bytes("device")?);
            let Some(lines) = wanted.next_if(|lines| lines.first().is_some_and(|line| line.device == device))
            else {
                continue;
            };
            let mut ahead = BTreeSet::new();
            for (series, point) in newest_points(row.blob("newest")?) {
                if lines.iter().all(|line| line.id != series) {
                    continue;
                }
                if point.0 <= until {
                    newest.insert(series, point);
                } else {
                    ahead.insert(series);
                }
            }
            if !ahead.is_empty() {
                newest.extend(newest_until(&mut tx, device, ahead, until).await?);
            }
        }
        Ok(rows.into_iter().filter_map(|row| newest.get(&row.id).map(|point| (row, *point))).collect())
    }

    /// The newest point of every line of a device, by subject, probe and name.
    pub async fn latest(&self, device: DeviceId) -> Result<Vec<(SeriesRow, Point)>, StoreError> {
        let mut tx = self.reader().begin().await?;
        let rows = series_of(&mut tx, device).await?;
        let newest = Fresh::load(&mut tx, device).await?.newest;
        Ok(rows.into_iter().filter_map(|row| newest.get(&row.id).map(|point| (row, *point))).collect())
    }

    /// A line's points in `[start, end)`, oldest first.
    pub async fn samples(&self, series: i64, span: Range<Timestamp>) -> Result<Vec<Point>, StoreError> {
        let device = query("SELECT device FROM series WHERE id = ?").bind(series);
        let Some(device) = device.fetch_optional(self.reader()).await? else { return Ok(Vec::new()) };
        let mut points = self.points(DeviceId(device.bytes("device")?), &[(series, span)].into()).await?;
        Ok(points.remove(&series).unwrap_or_default())
    }

    /// Points of a device's lines, each line's in its `[start, end)`, oldest first.
    pub async fn points(&self, device: DeviceId, spans: &Spans) -> Result<Points, StoreError> {
        let mut tx = self.reader().begin().await?;
        whole(&mut tx, device, spans).await
    }

    /// The same as a forecast needs them, by [`history`]: all of the newest, and of the others at most so
    /// many, equally apart. A span begins with a half hour.
    pub async fn histories(&self, device: DeviceId, spans: &Spans) -> Result<Points, StoreError> {
        let from_half_hour =
            |(id, span): (&i64, &Range<Timestamp>)| (*id, history_start(span.start)..span.end);
        let spans: Spans = spans.iter().map(from_half_hour).collect();
        let mut tx = self.reader().begin().await?;
        let thin = thin(&mut tx, device, &spans).await?;
        let mut rest = Spans::new();
        for (series, thin) in &thin {
            let from = whole_from(thin, NEWEST_POINTS);
            rest.extend(from.zip(spans.get(series)).map(|(from, span)| (*series, from..span.end)));
        }
        let whole = whole(&mut tx, device, &rest).await?;
        let line = |(series, whole): (i64, Vec<Point>)| {
            let thin = thin.get(&series).map(Vec::as_slice).unwrap_or_default();
            (series, history(thin, &whole, HISTORY_POINTS, NEWEST_POINTS))
        };
        Ok(whole.into_iter().map(line).collect())
    }
}

async fn whole(c: &mut SqliteConnection, device: DeviceId, spans: &Spans) -> Result<Points, StoreError> {
    let mut found = Found { spans, points: Points::new() };
    let fresh = Fresh::load(c, device).await?;
    found.unpack(c, device, Grain::Whole, i64::MIN).await?;
    found.take(read_batches(c, device, &fresh.batches).await?);
    Ok(found.points.into_iter().map(|(series, points)| (series, Grain::Whole.take(points))).collect())
}

async fn thin(c: &mut SqliteConnection, device: DeviceId, spans: &Spans) -> Result<Points, StoreError> {
    let mut found = Found { spans, points: Points::new() };
    let fresh = Fresh::load(c, device).await?;
    found.unpack(c, device, Grain::Thin, i64::MIN).await?;
    found.unpack(c, device, Grain::Whole, fresh.thinned).await?;
    found.take(read_batches(c, device, &fresh.batches).await?);
    Ok(found.points.into_iter().map(|(series, points)| (series, Grain::Thin.take(points))).collect())
}

/// The points that lie in their lines' spans, as they come.
struct Found<'s> {
    spans: &'s Spans,
    points: Points,
}

impl Found<'_> {
    fn take(&mut self, points: Points) {
        for (series, points) in points {
            let Some(span) = self.spans.get(&series) else { continue };
            let inside = points.into_iter().filter(|(at, _)| span.contains(at));
            self.points.entry(series).or_default().extend(inside);
        }
    }

    /// The stretches that any span touches, but none before `from`.
    async fn unpack(
        &mut self,
        c: &mut SqliteConnection,
        device: DeviceId,
        grain: Grain,
        from: i64,
    ) -> Result<(), StoreError> {
        let asked = self.spans.values().filter(|span| !span.is_empty());
        let start = asked.clone().map(|span| span.start).min();
        let Some((start, end)) = start.zip(asked.map(|span| span.end).max()) else { return Ok(()) };
        let stretches = grain.stretch(start).max(from)..=grain.stretch(end);
        each_piece(c, (device, grain, stretches), |stretch, bytes| {
            let touches = |span: &Range<Timestamp>| {
                (grain.stretch(span.start)..=grain.stretch(span.end)).contains(&stretch)
            };
            let points = unpack(bytes, |series| self.spans.get(&series).is_some_and(touches))?;
            self.take(points);
            Ok(())
        })
        .await
    }
}

/// Where a device's clock is ahead: of all that it told the newest points that are not.
async fn newest_until(
    c: &mut SqliteConnection,
    device: DeviceId,
    mut wanted: BTreeSet<i64>,
    until: Timestamp,
) -> Result<BTreeMap<i64, Point>, StoreError> {
    let newest_of = |points: Vec<Point>| ordered(points).into_iter().rfind(|(at, _)| *at <= until);
    let fresh = Fresh::load(c, device).await?;
    let mut found = BTreeMap::new();
    for (series, points) in read_batches(c, device, &fresh.batches).await? {
        found.extend(newest_of(points).map(|point| (series, point)));
    }
    found.retain(|series, _| wanted.contains(series));
    let days: Vec<i64> = query_scalar(
        "SELECT DISTINCT stretch FROM packed WHERE device = ? AND grain = 0 AND stretch <= ?
         ORDER BY stretch DESC",
    )
    .bind(device.as_bytes())
    .bind(Grain::Whole.stretch(until))
    .fetch_all(&mut *c)
    .await?;
    for day in days {
        wanted.retain(|series| found.get(series).is_none_or(|(at, _)| Grain::Whole.stretch(*at) <= day));
        if wanted.is_empty() {
            break;
        }
        let mut points = Points::new();
        each_piece(c, (device, Grain::Whole, day..=day), |_, bytes| {
            for (series, more) in unpack(bytes, |series| wanted.contains(&series))? {
                points.entry(series).or_default().extend(more);
            }
            Ok(())
        })
        .await?;
        for (series, points) in points {
            let Some(packed) = newest_of(points) else { continue };
            wanted.remove(&series);
            // Of one time, what is packed came first.
            if found.get(&series).is_none_or(|fresh| fresh.0 <= packed.0) {
                found.insert(series, packed);
            }
        }
    }
    Ok(found)
}
