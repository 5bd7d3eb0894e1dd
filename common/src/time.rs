//! Time as an argument: wall time that may jump, boot time that may not, and the one trait
//! through which a shell reads either.
//!
//! Holds: wall time is data and never authority (I7). A [`Moment`] keeps both clocks and the
//! boot they belong to, so that the collector can correct the wall clock later. This module and
//! the calendar are the only ones that name `jiff`.
//!
//! Does not: read a clock unless a [`SystemClock`] was made on purpose.

use crate::id::{BootId, Hash};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Microseconds since 1970-01-01T00:00:00Z, as wire and store hold them; in forms for people
/// (JSON) RFC 3339, as far as that reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) if s.is_human_readable() => s.collect_str(&t),
            Ok(_) | Err(_) => s.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Micros(i64),
            Text(String),
        }
        if !d.is_human_readable() {
            return i64::deserialize(d).map(Self);
        }
        match Form::deserialize(d)? {
            Form::Micros(us) => Ok(Self(us)),
            Form::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl Timestamp {
    pub const EPOCH: Self = Self(0);
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds with their fraction, for Prometheus and forecasts.
    #[expect(clippy::cast_precision_loss, reason = "a double holds microseconds until the year 2255")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(micros(d)))
    }

    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(micros(d)))
    }

    #[must_use]
    pub const fn plus_micros(self, us: i64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Signed microseconds from `earlier` to this.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this, zero where it is not earlier.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros_since(earlier)).unwrap_or(0))
    }
}

/// No program of this version ran before this: 2026-11-01T00:00:00Z.
pub const BUILT: Timestamp = Timestamp::from_secs(1_793_491_200);

/// The day in Japan, as `2026-11-23`. Asia/Tokyo has had one offset, +9, since 1952.
pub fn jst_date(at: Timestamp) -> String {
    in_japan(at, "%Y-%m-%d")
}

/// The minute in Japan, as `2026-11-23 09:00`.
pub fn jst_minute(at: Timestamp) -> String {
    in_japan(at, "%Y-%m-%d %H:%M")
}

/// The instant as RFC 3339 with the offset of Japan, `2026-11-23T09:00:00+09:00`, with the fraction
/// of a second where there is one.
pub fn jst_instant(at: Timestamp) -> String {
    in_japan(at, "%Y-%m-%dT%H:%M:%S%.f+09:00")
}

fn in_japan(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(t) => jiff::tz::offset(9).to_datetime(t).strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

/// The instant that a text in this format of strptime(3) names: in its own offset where it has one
/// (`%z`), else in Japan; a date alone is its beginning. `None` for any other text.
pub fn instant_of(text: &str, format: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
    let of = |t: jiff::Timestamp| Timestamp(t.as_microsecond());
    if parsed.offset().is_some() {
        return parsed.to_timestamp().ok().map(of);
    }
    let local = parsed.to_datetime().or_else(|_| parsed.to_date().map(jiff::civil::Date::into)).ok()?;
    jiff::tz::offset(9).to_timestamp(local).ok().map(of)
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{} us since 1970", self.0),
        }
    }
}

/// A text that is no RFC 3339 instant.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{0}` is no time (write it like 2026-11-23T09:00:00+09:00)")]
pub struct BadTimestamp(String);

impl FromStr for Timestamp {
    type Err = BadTimestamp;
    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_microsecond()))
            .map_err(|_| BadTimestamp(text.to_owned()))
    }
}

/// Milliseconds since an operating system started; does not jump, stops at a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks at one instant, and the boot that the monotonic one counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub boot: BootId,
    pub mono: Monotonic,
    pub wall: Timestamp,
}

/// Where a device's idea of its clock error comes from. The codes are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// No signed time in this boot.
    Unknown = 0,
    /// A signed acknowledgement of this boot.
    SignedTime = 1,
}

/// Server time minus wall time, as the device knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockQuality {
    pub offset_ms: i64,
    pub uncertainty_ms: u32,
    pub source: ClockSource,
}

impl ClockQuality {
    pub const UNKNOWN: Self = Self { offset_ms: 0, uncertainty_ms: u32::MAX, source: ClockSource::Unknown };

    /// `wall` as the collector's clock would have shown it; `None` where nobody knows.
    pub fn correct(&self, wall: Timestamp) -> Option<Timestamp> {
        match self.source {
            ClockSource::Unknown => None,
            ClockSource::SignedTime => Some(wall.plus_micros(self.offset_ms.saturating_mul(1_000))),
        }
    }
}

/// What a shell reads time through.
pub trait Clock: Send + Sync {
    fn now(&self) -> Moment;

    fn wall(&self) -> Timestamp {
        self.now().wall
    }

    fn mono(&self) -> Monotonic {
        self.now().mono
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Moment {
        self.as_ref().now()
    }
}

/// The system's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot: BootId,
}

impl SystemClock {
    /// The boot identity is the kernel's own where it has one, else one derived from the
    /// minute in which the system started.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| text.trim().replace('-', "").parse().ok())
            .unwrap_or_else(Self::boot_from_start_minute);
        Self { boot }
    }

    fn boot_from_start_minute() -> BootId {
        let started_s = read_wall().as_secs().saturating_sub_unsigned(read_mono().0 / 1_000);
        let digest = Hash::of(format!("tenken boot {}", started_s.div_euclid(60)).as_bytes());
        let mut id = [0u8; 16];
        id.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
        BootId(id)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { boot: self.boot, mono: read_mono(), wall: read_wall() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn read_wall() -> Timestamp {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => Timestamp::EPOCH.plus(after),
        Err(before) => Timestamp::EPOCH.minus(before.duration()),
    }
}

#[cfg(target_os = "linux")]
fn read_mono() -> Monotonic {
    // CLOCK_BOOTTIME goes on during suspend, CLOCK_MONOTONIC does not.
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = t.tv_sec.saturating_mul(1_000).saturating_add(t.tv_nsec / 1_000_000);
    Monotonic(u64::try_from(ms).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
fn read_mono() -> Monotonic {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(now);
    Monotonic(u64::try_from(now().duration_since(*start).as_millis()).unwrap_or(u64::MAX))
}

/// A clock that a test moves.
#[derive(Debug)]
pub struct ManualClock {
    boot: BootId,
    mono_ms: AtomicU64,
    wall_us: AtomicI64,
}

impl ManualClock {
    pub fn new(boot: BootId, wall: Timestamp) -> Self {
        Self { boot, mono_ms: AtomicU64::new(0), wall_us: AtomicI64::new(wall.as_micros()) }
    }

    /// Lets real time pass on both clocks.
    pub fn advance(&self, d: Duration) {
        self.mono_ms.fetch_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.wall_us.fetch_add(micros(d), Ordering::SeqCst);
    }

    /// Sets the wall clock, as a person or a broken battery would.
    pub fn jump_to(&self, wall: Timestamp) {
        self.wall_us.store(wall.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment {
            boot: self.boot,
            mono: Monotonic(self.mono_ms.load(Ordering::SeqCst)),
            wall: Timestamp::from_micros(self.wall_us.load(Ordering::SeqCst)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        let t: Timestamp = "2026-11-23T09:00:00+09:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-23T00:00:00Z");
        assert!("tomorrow".parse::<Timestamp>().is_err());
        assert_eq!(BUILT.to_string(), "2026-11-01T00:00:00Z");
    }

    #[test]
    fn japan_is_nine_hours_ahead() {
        let t: Timestamp = "2026-12-02T15:04:59Z".parse().unwrap();
        assert_eq!((jst_date(t), jst_minute(t)), ("2026-12-03".into(), "2026-12-03 00:04".into()));
    }

    #[test]
    fn a_jump_moves_the_wall_and_not_the_boot_clock() {
        let clock = ManualClock::new(BootId([1; 16]), Timestamp::from_secs(100));
        clock.advance(Duration::from_secs(5));
        clock.jump_to(Timestamp::EPOCH);
        assert_eq!((clock.wall(), clock.mono()), (Timestamp::EPOCH, Monotonic(5_000)));
    }

    #[test]
    fn the_system_clock_goes_forward_in_one_boot() {
        let clock = SystemClock::new();
        let (a, b) = (clock.now(), clock.now());
        assert!(b.mono >= a.mono && a.boot == b.boot && a.wall > Timestamp::from_secs(1_700_000_000));
    }
}
