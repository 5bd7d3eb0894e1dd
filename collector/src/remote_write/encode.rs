//! Samples as remote write 1.0 has them: protobuf (`prometheus.WriteRequest`), packed by snappy.
//!
//! Holds: in a request each series stands once, its labels sorted by name and its samples by time,
//! one a millisecond: of several the first in the order of the stream, as in the store.

use crate::store::model::Reading;
use std::{collections::BTreeMap, sync::Arc};
use tenken_common::{id::HospitalId, time::Timestamp};

/// Before the quantity's own name. Nothing in `/metrics` begins like this.
pub const NAME_PREFIX: &str = "tenken_device_reading_";

/// What names a series: pairs sorted by the label's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(&'static str, String)>);

/// One number of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Arc<Labels>,
    /// Milliseconds since 1970, rounded down.
    pub at_ms: i64,
    pub value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

impl Labels {
    /// A quantity's name that had to be changed stands beside as it is, so that two never become one.
    pub fn of(reading: &Reading, hospital: &HospitalId) -> Self {
        let quantity = reading.name.as_str();
        let plain: String =
            quantity.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let changed = (plain != quantity).then(|| ("quantity", quantity.to_owned()));
        let labels = [
            Some(("__name__", format!("{NAME_PREFIX}{plain}"))),
            Some(("device", reading.device.to_string())),
            Some(("hospital", hospital.as_str().to_owned())),
            Some(("probe", reading.probe.as_str().to_owned())),
            changed,
            Some(("subject", reading.subject.as_str().to_owned())),
            Some(("unit", reading.unit.as_str().to_owned())),
        ];
        Self(labels.into_iter().flatten().collect())
    }
}

/// Rounded down to milliseconds.
pub fn millis(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000)
}

/// Oldest first; of one series and millisecond the first that was given.
pub fn ordered(mut samples: Vec<Sample>) -> Vec<Sample> {
    // The sort is stable, so of one time the first given stands first, and it is kept.
    samples.sort_by(|a, b| (a.at_ms, &a.labels).cmp(&(b.at_ms, &b.labels)));
    samples.dedup_by(|later, kept| (later.at_ms, &later.labels) == (kept.at_ms, &kept.labels));
    samples
}

/// The body of a request with these samples, which are in [`ordered`] order.
pub fn body(samples: &[Sample]) -> Vec<u8> {
    let mut series: BTreeMap<&Labels, Vec<Point>> = BTreeMap::new();
    for sample in samples {
        let point = Point { value: sample.value, timestamp: sample.at_ms };
        series.entry(&sample.labels).or_default().push(point);
    }
    let pair = |(name, value): &(&str, String)| LabelPair { name: (*name).into(), value: value.clone() };
    let timeseries = series
        .into_iter()
        .map(|(labels, samples)| TimeSeries { labels: labels.0.iter().map(pair).collect(), samples })
        .collect();
    let plain = prost::Message::encode_to_vec(&WriteRequest { timeseries });
    snap::raw::Encoder::new()
        .compress_vec(&plain)
        .expect("snappy takes up to 4 GiB, and a request is bounded")
}

/// Labels, milliseconds and value of one sample.
#[cfg(test)]
pub(crate) type Read = (Vec<(String, String)>, i64, f64);

/// What a receiver reads of a body: each sample with its labels, in the order of the request.
#[cfg(test)]
pub(crate) fn read(body: &[u8]) -> Vec<Read> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let request = <WriteRequest as prost::Message>::decode(plain.as_slice()).unwrap();
    let of = |series: TimeSeries| {
        let labels: Vec<_> = series.labels.into_iter().map(|l| (l.name, l.value)).collect();
        series.samples.into_iter().map(move |point| (labels.clone(), point.timestamp, point.value))
    };
    request.timeseries.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use tenken_common::{
        id::{DeviceId, Name, hex},
        unit::Unit,
    };

    fn reading(quantity: &str, us: i64, value: f64) -> Reading {
        let name = |text: &str| Name::new(text).unwrap();
        Reading {
            device: DeviceId([0xab; 16]),
            subject: name("/var"),
            probe: name("disk"),
            name: name(quantity),
            unit: Unit::Bytes,
            at: Timestamp::from_micros(us),
            value,
        }
    }

    fn sample(quantity: &str, us: i64, value: f64) -> Sample {
        let reading = reading(quantity, us, value);
        let labels = Arc::new(Labels::of(&reading, &"minato".parse().unwrap()));
        Sample { labels, at_ms: millis(reading.at), value }
    }

    #[test]
    fn the_bytes_are_those_of_the_public_schema() {
        // timeseries { labels { name: "__name__" value: "tenken_device_reading_x" } .. samples { 1.5, 2 } }
        let plain = snap::raw::Decoder::new().decompress_vec(&body(&[sample("x", 2_999, 1.5)])).unwrap();
        let text = hex(&plain);
        let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let label = |name: &str, value: &str| {
            hex(&field(0x0a, &[field(0x0a, name.as_bytes()), field(0x12, value.as_bytes())].concat()))
        };
        let point = "120b09000000000000f83f1002";
        let inner = [
            label("__name__", "tenken_device_reading_x"),
            label("device", &"ab".repeat(16)),
            label("hospital", "minato"),
            label("probe", "disk"),
            label("subject", "/var"),
            label("unit", "bytes"),
            point.to_owned(),
        ]
        .concat();
        let len = inner.len() / 2;
        let len = hex(&[u8::try_from(len & 0x7f).unwrap() | 0x80, u8::try_from(len >> 7).unwrap()]);
        assert_eq!(text, format!("0a{len}{inner}"));
    }

    #[test]
    fn names_that_have_to_change_stay_apart() {
        let names: BTreeSet<Labels> = ["a_b", "a.b", "a:b", "a-b", "a@b"]
            .map(|quantity| Labels::of(&reading(quantity, 0, 0.0), &"minato".parse().unwrap()))
            .into();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|labels| labels.0[0].1 == "tenken_device_reading_a_b"));
        let plain = Labels::of(&reading("a_b", 0, 0.0), &"minato".parse().unwrap());
        assert!(plain.0.iter().all(|(name, _)| *name != "quantity"));
    }

    #[test]
    fn times_before_1970_round_down_and_the_first_of_a_millisecond_counts() {
        assert_eq!([-1, 0, 999, 1_000].map(|us| millis(Timestamp::from_micros(us))), [-1, 0, 0, 1]);
        let samples = ordered(vec![sample("x", 1_500, 1.0), sample("x", 1_000, 2.0), sample("x", 0, 3.0)]);
        let got: Vec<_> = samples.iter().map(|s| (s.at_ms, s.value)).collect();
        assert_eq!(got, [(0, 3.0), (1, 1.0)]);
    }

    proptest! {
        #[test]
        fn a_receiver_reads_what_was_given_once_and_sorted(
            given in prop::collection::vec(("[a-c]", -50_000i64..50_000, -9f64..9.0), 0..200)
        ) {
            let samples = ordered(given.iter().map(|(q, us, v)| sample(q, *us, *v)).collect());
            let mut expected = BTreeMap::new();
            for (quantity, us, value) in &given {
                expected.entry((quantity.clone(), us.div_euclid(1_000))).or_insert(*value);
            }
            let read = read(&body(&samples));
            let mut got = BTreeMap::new();
            for (labels, at, value) in &read {
                prop_assert!(labels.is_sorted() && labels[0].0 == "__name__");
                let quantity = labels[0].1.strip_prefix(NAME_PREFIX).unwrap().to_owned();
                prop_assert_eq!(got.insert((quantity, *at), *value), None);
            }
            prop_assert_eq!(got, expected);
            prop_assert!(read.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1));
        }
    }
}
