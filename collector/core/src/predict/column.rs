//! Columns: the points of many series, packed together.
//!
//! Holds: what comes out is what went in, bit for bit. Times and values are columns of their own
//! (pco); series that were measured at the same moments, as those of one probe are, share the column
//! of times, which costs more than the values where a device's clock is not exact. Of two points of
//! one time the first that came counts. The same points give the same bytes as long as pco's version
//! is the same; a test says where another one packs otherwise.
//!
//! Does not: know whose the series are; the store numbers them.

use super::series::Point;
use pco::{
    ChunkConfig,
    data_types::Number,
    standalone::{simple_compress, simple_decompress_into},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;
use tenken_common::{
    codec::{self, CodecError},
    id::DeviceId,
    time::Timestamp,
};

/// Points of several series, each series' in order of time and one a time.
pub type Points = BTreeMap<i64, Vec<Point>>;

/// A piece with so many points is full; a day of 50 series at one a minute has 72,000.
pub const POINTS_MAX: usize = 256 * 1024;
/// So is one of so many bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// With room to spare for what comes into a piece just before it is full.
const READ_BYTES_MAX: usize = 64 * BYTES_MAX;
const READ_POINTS_MAX: usize = 4 * POINTS_MAX;
/// At a day of minutes a third of the time that pco's own default takes, and a hundredth more bytes.
const LEVEL: usize = 4;
const HOUR_S: i64 = 3_600;
const DAY_US: i64 = 86_400_000_000;
const THIN_US: i64 = 1_800_000_000;
/// 1,344 half hours.
const LONG_US: i64 = 28 * DAY_US;

/// Why a column cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    #[error("a column could not be packed or unpacked")]
    Pco(#[from] pco::errors::PcoError),
    #[error("a piece of columns has not the expected shape")]
    Codec(#[from] CodecError),
    #[error("a column has another length than the piece says")]
    Length,
    #[error("a piece of columns names moments that it does not have")]
    Moments,
}

/// A packed piece: what of it is not asked for is not unpacked.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Piece {
    /// How many, and when.
    moments: Vec<(u32, ByteBuf)>,
    /// Which series, at which of the moments, how much.
    values: Vec<(i64, u32, ByteBuf)>,
}

/// Packs points; they must be in order, one a time.
pub fn pack(points: &Points) -> Result<Vec<u8>, ColumnError> {
    let mut distinct: Vec<Vec<i64>> = Vec::new();
    let mut piece = Piece::default();
    for (series, points) in points.iter().filter(|(_, points)| !points.is_empty()) {
        let moments: Vec<i64> = points.iter().map(|(at, _)| at.as_micros()).collect();
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let known = distinct.iter().position(|one| *one == moments);
        let index = if let Some(known) = known {
            known
        } else {
            let n = u32::try_from(moments.len()).map_err(|_| ColumnError::Length)?;
            piece.moments.push((n, column(&moments)?));
            distinct.push(moments);
            distinct.len() - 1
        };
        let index = u32::try_from(index).map_err(|_| ColumnError::Length)?;
        piece.values.push((*series, index, column(&values)?));
    }
    Ok(codec::to_vec(&piece)?)
}

/// Unpacks the points of those series that are wanted.
pub fn unpack(bytes: &[u8], wanted: impl Fn(i64) -> bool) -> Result<Points, ColumnError> {
    let piece: Piece = codec::from_slice(bytes, READ_BYTES_MAX)?;
    let mut unpacked: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    let mut points = Points::new();
    for (series, index, values) in piece.values.iter().filter(|(series, ..)| wanted(*series)) {
        if !unpacked.contains_key(index) {
            let moments = usize::try_from(*index).ok().and_then(|i| piece.moments.get(i));
            let (n, bytes) = moments.ok_or(ColumnError::Moments)?;
            unpacked.insert(*index, numbers(bytes, *n)?);
        }
        let moments = unpacked.get(index).ok_or(ColumnError::Moments)?;
        let n = u32::try_from(moments.len()).map_err(|_| ColumnError::Length)?;
        let values: Vec<f64> = numbers(values, n)?;
        points.insert(*series, moments.iter().map(|at| Timestamp::from_micros(*at)).zip(values).collect());
    }
    Ok(points)
}

/// Points in order, one a time; of several of one time the first that stands here.
pub fn ordered(mut points: Vec<Point>) -> Vec<Point> {
    if !points.is_sorted_by(|a, b| a.0 < b.0) {
        points.sort_by_key(|(at, _)| *at);
        points.dedup_by_key(|(at, _)| *at);
    }
    points
}

/// Of each half hour the first; the points must be in order.
pub fn thinned(mut points: Vec<Point>) -> Vec<Point> {
    points.dedup_by_key(|(at, _)| at.as_micros().div_euclid(THIN_US));
    points
}

/// Each device has its own hour, so that not all are packed at once.
pub fn hour_of(device: DeviceId, at: Timestamp) -> i64 {
    let shift = device.0.iter().fold(0, |sum, byte| (sum * 31 + i64::from(*byte)) % HOUR_S);
    at.as_secs().saturating_add(shift).div_euclid(HOUR_S)
}

/// How much of the points a piece has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// All of a day.
    Whole = 0,
    /// Of each half hour the first, of 32 days.
    Thin = 1,
}

impl Grain {
    /// The number of the stretch that a point belongs to, counted from 1970.
    pub fn stretch(self, at: Timestamp) -> i64 {
        let days = match self {
            Self::Whole => 1,
            Self::Thin => 32,
        };
        at.as_micros().div_euclid(days * DAY_US)
    }

    /// Points in order of their arrival as a piece has them.
    pub fn take(self, points: Vec<Point>) -> Vec<Point> {
        match self {
            Self::Whole => ordered(points),
            Self::Thin => thinned(ordered(points)),
        }
    }
}

/// Of points in order at most `n`, equally apart.
pub fn apart(points: &[Point], n: usize) -> Vec<Point> {
    let us = |point: &Point| i128::from(point.0.as_micros());
    let (Some(first), Some(last)) = (points.first().map(us), points.last().map(us)) else {
        return Vec::new();
    };
    let step = (last - first) / i128::try_from(n.max(1)).unwrap_or(i128::MAX) + 1;
    let mut next = first;
    let mut picked = Vec::new();
    for point in points {
        if us(point) >= next {
            next = us(point) + step;
            picked.push(*point);
        }
    }
    picked
}

/// Where a history begins that is asked from `start` on: with a half hour, of which the first point
/// is known without the others.
pub fn history_start(start: Timestamp) -> Timestamp {
    let into = start.as_micros().rem_euclid(THIN_US);
    if into == 0 { start } else { start.plus_micros(THIN_US - into) }
}

/// From when on all points are needed of a line of which these are the first of each half hour.
pub fn whole_from(thin: &[Point], newest: usize) -> Option<Timestamp> {
    let newest = thin.iter().rev().nth(newest.saturating_sub(1)).filter(|_| is_long(thin));
    newest.or(thin.first()).map(|(at, _)| *at)
}

/// A line as a forecast needs it: all of the newest points, and of the others at most `n`, equally
/// apart. Of a long line only the first of each half hour are looked at; `whole` has all from
/// [`whole_from`] on.
pub fn history(thin: &[Point], whole: &[Point], n: usize, newest: usize) -> Vec<Point> {
    let mut picked = apart(if is_long(thin) { thin } else { whole }, n);
    picked.extend_from_slice(whole.get(whole.len().saturating_sub(newest)..).unwrap_or_default());
    ordered(picked)
}

/// So long that half hours are as many as a forecast asks for.
fn is_long(thin: &[Point]) -> bool {
    let ends = thin.first().zip(thin.last());
    ends.is_some_and(|(first, last)| last.0.micros_since(first.0) >= LONG_US)
}

fn column<T: Number>(numbers: &[T]) -> Result<ByteBuf, ColumnError> {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    Ok(ByteBuf::from(simple_compress(numbers, &config)?))
}

/// As many numbers as the piece says, whatever the column itself claims.
fn numbers<T: Number + Default>(column: &[u8], n: u32) -> Result<Vec<T>, ColumnError> {
    let n = usize::try_from(n).map_err(|_| ColumnError::Length)?;
    if n > READ_POINTS_MAX {
        return Err(ColumnError::Length);
    }
    let mut numbers = vec![T::default(); n];
    let progress = simple_decompress_into(column, &mut numbers)?;
    if progress.n_processed == n && progress.finished { Ok(numbers) } else { Err(ColumnError::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tenken_common::id::Hash;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_micros(us)
    }

    fn point() -> impl Strategy<Value = (i64, f64)> {
        let close = -10_000i64..10_000;
        let us = prop_oneof![8 => close.clone(), 2 => close.prop_map(|i| i * 60_000_000), 1 => any::<i64>()];
        let steps = (0u32..40).prop_map(|i| f64::from(i) / 4.0);
        (
            us,
            prop_oneof![3 => steps, 1 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO],
        )
    }

    fn line() -> impl Strategy<Value = Vec<(i64, f64)>> {
        prop::collection::vec(point(), 0..60)
    }

    fn points(lines: Vec<(i64, Vec<(i64, f64)>)>) -> Points {
        let lines = lines.into_iter().map(|(series, line)| {
            (series, ordered(line.into_iter().map(|(us, value)| (at(us), value)).collect()))
        });
        lines.filter(|(_, line)| !line.is_empty()).collect()
    }

    fn bits(points: &Points) -> Vec<(i64, Vec<(i64, u64)>)> {
        let bits = |line: &Vec<Point>| line.iter().map(|(t, v)| (t.as_micros(), v.to_bits())).collect();
        points.iter().map(|(series, line)| (*series, bits(line))).collect()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_bit_for_bit(lines in prop::collection::vec((any::<i64>(), line()), 0..6), odd: bool) {
            let points = points(lines);
            let bytes = pack(&points).unwrap();
            prop_assert_eq!(bits(&unpack(&bytes, |_| true).unwrap()), bits(&points));
            let wanted = |series: i64| (series % 2 != 0) == odd;
            let some: Points = points.into_iter().filter(|(series, _)| wanted(*series)).collect();
            prop_assert_eq!(bits(&unpack(&bytes, wanted).unwrap()), bits(&some));
        }

        #[test]
        fn damage_is_an_error_or_other_numbers_but_no_panic(lines in prop::collection::vec((0i64..9, line()), 1..4), place: prop::sample::Index, bit in 0u8..8, cut: bool) {
            let mut bytes = pack(&points(lines)).unwrap();
            let i = place.index(bytes.len());
            if cut { bytes.truncate(i) } else { bytes[i] ^= 1 << bit }
            if let Ok(read) = unpack(&bytes, |_| true) {
                prop_assert!(read.values().map(Vec::len).sum::<usize>() <= 9 * READ_POINTS_MAX);
            }
        }

        #[test]
        fn the_first_of_one_time_counts(line in line()) {
            let mut model = BTreeMap::new();
            for (us, value) in &line {
                model.entry(*us).or_insert(*value);
            }
            let ordered = ordered(line.into_iter().map(|(us, value)| (at(us), value)).collect());
            let got: Vec<(i64, u64)> = ordered.iter().map(|(t, v)| (t.as_micros(), v.to_bits())).collect();
            let want: Vec<(i64, u64)> = model.into_iter().map(|(us, v)| (us, v.to_bits())).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn a_history_is_the_same_whether_thin_or_not(line in line(), n in 1usize..20, newest in 1usize..10) {
            let all = Grain::Whole.take(line.into_iter().map(|(us, value)| (at(us), value)).collect());
            let thin = Grain::Thin.take(all.clone());
            let from = whole_from(&thin, newest);
            let whole: Vec<Point> = all.iter().filter(|(at, _)| from.is_some_and(|from| *at >= from)).copied().collect();
            let read = history(&thin, &whole, n, newest);
            prop_assert_eq!(&read, &history(&thin, &all, n, newest));
            prop_assert!(read.len() <= n + newest && read.iter().all(|p| all.contains(p)));
            prop_assert_eq!(read.first(), all.first());
            prop_assert!(read.ends_with(&all[all.len().saturating_sub(newest)..]));
            prop_assert!(read.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn those_of_one_probe_share_their_moments() {
        let moments: Vec<Timestamp> = (0..1_440).map(|i| at(i * 60_000_000 + i * i % 1_987)).collect();
        let line = |value: f64| moments.iter().map(|t| (*t, value)).collect::<Vec<_>>();
        let one = pack(&[(1, line(1.0))].into()).unwrap().len();
        let three = pack(&[(1, line(1.0)), (2, line(2.0)), (3, line(3.0))].into()).unwrap().len();
        assert!(three < one + 200, "{one} {three}");
    }

    /// A rebuild is compared by its bytes: where this fails after pco was brought up to date, stores
    /// that it packed before need a schema script that packs them anew.
    #[test]
    fn this_version_of_pco_packs_as_the_last_one_did() {
        let line = |shift: i64| {
            (0..500)
                .map(|i| {
                    (at(i * 60_000_000 + i * shift % 997), f64::from(u32::try_from(i % 17).unwrap()) / 8.0)
                })
                .collect()
        };
        let bytes = pack(&[(1, line(0)), (2, line(3)), (9, line(3))].into()).unwrap();
        assert_eq!(
            Hash::of(&bytes).to_string(),
            "1d7a4382631e87dde29f9a45d6f1676959667940f9ba671314eb2d518ab92b11"
        );
    }
}
