//! What lies between devices and the collector: delay, loss, repetition, other order, partitions,
//! and answers from another time.
//!
//! Holds: it makes nothing up; it only loses, delays and repeats what was sent.

use super::{Dice, Reply};
use std::collections::BTreeMap;

/// How it behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Of a thousand, each way.
    pub lost: u64,
    pub doubled: u64,
    /// Repetitions come this much later, in milliseconds.
    pub late_max: u64,
    /// Of a thousand answers so many are an earlier one.
    pub stale: u64,
}

/// Requests of one device in a minute that a sound loop stays below, also while it drains.
pub const ASKS_MAX: u32 = 400;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Net {
    /// Of each place the minute of its newest request, and how many there were in it.
    asks: BTreeMap<usize, (u64, u32)>,
    weather: Option<(u64, Weather)>,
    /// Places that are cut off, and until when.
    cut_off: BTreeMap<usize, u64>,
    earlier: BTreeMap<usize, Vec<Reply>>,
}

impl Net {
    pub fn weather(&mut self, until: u64, weather: Weather) {
        self.weather = Some((until, weather));
    }

    pub fn cut_off(&mut self, place: usize, until: u64) {
        let end = self.cut_off.entry(place).or_insert(until);
        *end = (*end).max(until);
    }

    /// Counts a request; true where its device asks without a pause.
    pub fn is_storm(&mut self, place: usize, now: u64) -> bool {
        let minute = now / 60_000;
        let asks = self.asks.entry(place).or_default();
        *asks = if asks.0 == minute { (minute, asks.1 + 1) } else { (minute, 1) };
        asks.1 > ASKS_MAX
    }

    pub fn heal(&mut self) {
        self.weather = None;
        self.cut_off.clear();
    }

    fn now(&self, now: u64) -> Weather {
        self.weather.filter(|(until, _)| now < *until).map(|(_, weather)| weather).unwrap_or_default()
    }

    fn is_cut_off(&self, place: usize, now: u64) -> bool {
        self.cut_off.get(&place).is_some_and(|until| now < *until)
    }

    /// When a request arrives: never, once, or several times.
    pub fn arrivals(&self, dice: &mut Dice, place: usize, now: u64) -> Vec<u64> {
        let weather = self.now(now);
        let mut at = Vec::new();
        if !self.is_cut_off(place, now) && !dice.chance(weather.lost) {
            at.push(now + dice.between(3, 80));
        }
        while at.len() < 4 && dice.chance(weather.doubled) {
            at.push(now + dice.between(3, weather.late_max.max(100)));
        }
        at
    }

    /// When an answer arrives, and which one.
    pub fn back(&mut self, dice: &mut Dice, place: usize, now: u64, reply: Reply) -> Option<(u64, Reply)> {
        let weather = self.now(now);
        if self.is_cut_off(place, now) || dice.chance(weather.lost) {
            return None;
        }
        let earlier = self.earlier.entry(place).or_default();
        let stale = !earlier.is_empty() && dice.chance(weather.stale);
        let said = if stale { earlier[dice.index(earlier.len())].clone() } else { reply.clone() };
        if weather.stale > 0 && matches!(reply, Reply::Bytes(_)) {
            earlier.push(reply);
        }
        Some((now + dice.between(3, 80), said))
    }
}
