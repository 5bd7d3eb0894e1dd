//! Units in types: no bare number crosses the wire.
//!
//! Holds: a [`Quantity`] is finite; a probe that has no number says so instead.

use crate::id::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a number counts. Base units of Prometheus; the codes are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count = 1,
    Ratio = 2,
    Bytes = 3,
    Seconds = 4,
    Celsius = 5,
    BytesPerSecond = 6,
    PerSecond = 7,
    Rpm = 8,
    Volts = 9,
}

impl Unit {
    pub const ALL: [Self; 9] = [
        Self::Count,
        Self::Ratio,
        Self::Bytes,
        Self::Seconds,
        Self::Celsius,
        Self::BytesPerSecond,
        Self::PerSecond,
        Self::Rpm,
        Self::Volts,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|u| u.code() == code)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Celsius => "celsius",
            Self::BytesPerSecond => "bytes_per_second",
            Self::PerSecond => "per_second",
            Self::Rpm => "rpm",
            Self::Volts => "volts",
        }
    }

    /// A value of this unit for people: `12.3 GiB`, `41.2 %`, `3.200 s`.
    pub fn display(self, value: f64) -> impl fmt::Display {
        Shown { unit: self, value }
    }
}

struct Shown {
    unit: Unit,
    value: f64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.value;
        match self.unit {
            Unit::Ratio => write!(f, "{:.1} %", v * 100.0),
            Unit::Bytes => write_bytes(f, v, ""),
            Unit::BytesPerSecond => write_bytes(f, v, "/s"),
            Unit::Seconds if v.abs() >= 172_800.0 => write!(f, "{:.1} d", v / 86_400.0),
            Unit::Seconds if v.abs() >= 7_200.0 => write!(f, "{:.1} h", v / 3_600.0),
            Unit::Seconds => write!(f, "{v:.3} s"),
            Unit::Celsius => write!(f, "{v:.1} °C"),
            Unit::PerSecond => write!(f, "{v:.1} /s"),
            Unit::Rpm => write!(f, "{v:.0} rpm"),
            Unit::Volts => write!(f, "{v:.2} V"),
            Unit::Count if v.abs() >= 100.0 || v.fract() == 0.0 => write!(f, "{v:.0}"),
            Unit::Count => write!(f, "{v:.1}"),
        }
    }
}

/// A named, finite number with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    pub name: Name,
    pub unit: Unit,
    pub value: f64,
}

impl Quantity {
    /// `None` for a NaN or an infinity: not a number is not a measurement.
    pub fn new(name: Name, unit: Unit, value: f64) -> Option<Self> {
        value.is_finite().then_some(Self { name, unit, value })
    }
}

impl fmt::Display for Quantity {
    /// For people: `used 12.3 GiB`, `used_ratio 41.2 %`, `offset 3.2 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.unit.display(self.value))
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: f64, suffix: &str) -> fmt::Result {
    const STEPS: [(&str, f64); 4] =
        [("TiB", 1_099_511_627_776.0), ("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1_024.0)];
    match STEPS.into_iter().find(|(_, size)| bytes.abs() >= *size) {
        Some((unit, size)) => write!(f, "{:.1} {unit}{suffix}", bytes / size),
        None => write!(f, "{bytes:.0} B{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen_and_distinct() {
        for (i, unit) in Unit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(unit.code()), i + 1);
            assert_eq!(Unit::from_code(unit.code()), Some(unit));
        }
        assert_eq!(Unit::from_code(0), None);
    }

    #[test]
    fn what_is_not_a_number_is_no_quantity() {
        let name = Name::new("x").unwrap();
        assert!(Quantity::new(name.clone(), Unit::Count, f64::NAN).is_none());
        assert!(Quantity::new(name.clone(), Unit::Count, f64::INFINITY).is_none());
        assert_eq!(Quantity::new(name, Unit::Bytes, 1536.0).unwrap().to_string(), "x 1.5 KiB");
    }
}
