//! What Windows' COM says, as plain data: values (VARIANT), the two ways in which they write dates,
//! and refusals. The calls themselves are `win32`'s.
//!
//! Holds: a value of another kind than asked for is no value; nothing is converted. A date before
//! 1970 is none: zero, 1601 and 1899 all stand for "never".

use std::{collections::BTreeMap, time::Duration};
use tenken_agent_core::probe::ProbeError;
use tenken_common::time::{Timestamp, instant_of};

/// A call that COM refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed with 0x{code:08X}")]
pub struct ComError {
    pub call: &'static str,
    /// Its HRESULT.
    pub code: u32,
}

/// No such class: the part of Windows that has it is not installed.
const REGDB_E_CLASSNOTREG: u32 = 0x8004_0154;
/// The class is there and does not do this.
const E_NOTIMPL: u32 = 0x8000_4001;

impl From<ComError> for ProbeError {
    fn from(e: ComError) -> Self {
        match e.code {
            REGDB_E_CLASSNOTREG => Self::Lacks(e.call.to_owned()),
            E_NOTIMPL => Self::Unsupported,
            _ => Self::Failed(Box::new(e)),
        }
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq)]
pub enum Variant {
    /// VT_EMPTY and VT_NULL.
    Empty,
    Flag(bool),
    Integer(i64),
    Date(f64),
    Text(String),
    /// A kind that nothing here reads.
    Other(u16),
}

/// An object's properties by name; one that its class does not have is absent.
pub type Row = BTreeMap<&'static str, Variant>;

impl Variant {
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// An OLE date, or a text in DMTF's format.
    pub fn date(&self) -> Option<Timestamp> {
        match self {
            Self::Date(days) => of_ole(*days),
            Self::Text(text) => of_dmtf(text),
            Self::Empty | Self::Flag(_) | Self::Integer(_) | Self::Other(_) => None,
        }
    }
}

/// 1970 in days since 30 December 1899.
const EPOCH_DAYS: f64 = 25_569.0;
/// The year 10000, which no OLE date reaches.
const END_DAYS: f64 = 2_958_466.0;
const DAY_SECONDS: f64 = 86_400.0;

/// An OLE date: days since 30 December 1899, in UTC as the Windows Update Agent gives them.
pub fn of_ole(days: f64) -> Option<Timestamp> {
    if !(days > EPOCH_DAYS && days < END_DAYS) {
        return None;
    }
    // Whole seconds: a fraction of a day has no exact microseconds.
    let since = Duration::try_from_secs_f64(((days - EPOCH_DAYS) * DAY_SECONDS).round()).ok()?;
    Some(Timestamp::EPOCH.plus(since))
}

/// `20261124083012.000000+540`: local time, and the minutes by which it is ahead of UTC (DMTF's CIM
/// datetime). An interval or a date with stars is none.
pub fn of_dmtf(text: &str) -> Option<Timestamp> {
    let (local, rest) = text.split_at_checked(14)?;
    let (fraction, offset) = rest.strip_prefix('.')?.split_at_checked(6)?;
    let (sign, minutes) = offset.split_at_checked(1)?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(local) || !digits(fraction) || !digits(minutes) || minutes.len() != 3 {
        return None;
    }
    let minutes: u32 = minutes.parse().ok()?;
    let zoned = format!("{local} {sign}{:02}{:02}", minutes / 60, minutes % 60);
    instant_of(&zoned, "%Y%m%d%H%M%S %z").filter(|at| *at > Timestamp::EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ole_dates_are_days_since_1899_and_none_where_they_mean_never() {
        for (days, shown) in [
            (46_350.354_305_555_56, "2026-11-24T08:30:12Z"),
            (46_350.0, "2026-11-24T00:00:00Z"),
            (25_569.5, "1970-01-01T12:00:00Z"),
            (2_958_464.0, "9999-12-30T00:00:00Z"),
        ] {
            assert_eq!(of_ole(days).unwrap().to_string(), shown);
        }
        for days in [0.0, -1.5, 25_569.0, 2_958_466.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(of_ole(days), None, "{days}");
        }
    }

    #[test]
    fn dmtf_dates_have_their_own_offset() {
        for (text, shown) in [
            ("20261124083012.000000+000", "2026-11-24T08:30:12Z"),
            ("20261124083012.123456+540", "2026-11-23T23:30:12Z"),
            ("20261124083012.000000-330", "2026-11-24T14:00:12Z"),
        ] {
            assert_eq!(of_dmtf(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "20261124083012",
            "20261124083012.000000",
            "20261124083012.000000+0",
            "20261124083012.000000+00é",
            "20261124083012.******+000",
            "20261324083012.000000+000",
            "20261131083012.000000+000",
            "20261124253012.000000+000",
            "16010101000000.000000+000",
            "00000001000000.000000:000",
            "2026-11-24 08:30:12",
            "20261124083012.000000*540",
            "山田太郎山田太郎",
        ] {
            assert_eq!(of_dmtf(text), None, "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing_or_which_call_failed() {
        let of = |code| ProbeError::from(ComError { call: "UpdateSession", code });
        assert!(matches!(of(REGDB_E_CLASSNOTREG), ProbeError::Lacks(what) if what == "UpdateSession"));
        assert!(matches!(of(E_NOTIMPL), ProbeError::Unsupported));
        let text = tenken_common::telemetry::ErrorChain(&of(0x8007_0005)).to_string();
        assert_eq!(text, "failed: UpdateSession failed with 0x80070005");
    }

    #[test]
    fn a_value_of_another_kind_is_no_value() {
        let values = [
            Variant::Empty,
            Variant::Flag(true),
            Variant::Integer(1),
            Variant::Date(46_350.0),
            Variant::Text("20261124083012.000000+000".to_owned()),
            Variant::Other(13),
        ];
        let kinds =
            values.iter().map(|v| (v.text().is_some(), v.flag().is_some(), v.integer(), v.date().is_some()));
        let expected = [
            (false, false, None, false),
            (false, true, None, false),
            (false, false, Some(1), false),
            (false, false, None, true),
            (true, false, None, true),
            (false, false, None, false),
        ];
        assert_eq!(kinds.collect::<Vec<_>>(), expected);
    }
}
