//! Network interfaces: traffic, errors, drops, link.
//!
//! Holds: rates are of the time since the last run of the same boot; a counter that went back (a
//! driver reloaded, a card replaced) gives no rate once. Loopback and the `veth` ends that
//! container engines make and remove are left out; so is what comes after [`INTERFACES_MAX`].
//! `link_up` is left out where the driver does not know.

#[cfg(target_os = "linux")]
use super::network_linux::Source;
#[cfg(windows)]
use super::network_windows::Source;
use super::{Reading, every_minute, names::Names};
use std::{collections::BTreeMap, sync::Arc};
use tenken_agent_core::{
    probe::{Probe, ProbeContext, ProbeError, ProbeInfo},
    record::to_f64,
};
use tenken_common::{category::Category, observation::Observation, time::Moment, unit::Unit};

/// No device that is maintained has as many; a host of virtual machines may.
pub const INTERFACES_MAX: usize = 64;

/// See the module's head.
pub struct Network {
    info: ProbeInfo,
    names: Arc<Names>,
    source: Source,
}

impl Network {
    pub fn new(names: Arc<Names>) -> Self {
        Self { info: every_minute("network", Category::Network), names, source: Source::default() }
    }
}

impl Probe for Network {
    fn info(&self) -> &ProbeInfo {
        &self.info
    }

    fn run(&mut self, cx: &ProbeContext) -> Result<Vec<Observation>, ProbeError> {
        let readings = self.source.read(cx)?.into_iter();
        let seen: Vec<_> =
            readings.filter_map(|(name, r)| r.about(&self.info, cx, self.names.interface(&name))).collect();
        if seen.is_empty() { Err(ProbeError::NoData) } else { Ok(seen) }
    }
}

/// Since the interface was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    pub receive_bytes: u64,
    pub transmit_bytes: u64,
    /// Both directions.
    pub errors: u64,
    /// Both directions.
    pub drops: u64,
}

/// Remembers the last counters, and compares.
#[derive(Debug, Default)]
pub struct Traffic {
    last: Option<(Moment, BTreeMap<String, Counters>)>,
}

impl Traffic {
    /// Each interface's name and values.
    pub fn compare(
        &mut self,
        at: Moment,
        counters: BTreeMap<String, Counters>,
        link: impl Fn(&str) -> Option<bool>,
    ) -> Vec<(String, Reading)> {
        let last = self.last.take().filter(|(then, _)| then.boot == at.boot);
        let readings = counters.iter().map(|(name, now)| {
            let rates = last.as_ref().and_then(|(then, counters)| {
                let seconds = at.mono.saturating_since(then.mono).as_secs_f64();
                Rates::of(*counters.get(name)?, *now, seconds)
            });
            let up = link(name).map(|up| f64::from(u8::from(up)));
            (name.clone(), Rates::reading(rates.as_ref()).with("link_up", Unit::Count, up))
        });
        let readings = readings.collect();
        self.last = Some((at, counters));
        readings
    }
}

/// Per second.
struct Rates {
    receive_bytes: f64,
    transmit_bytes: f64,
    errors: f64,
    drops: f64,
}

impl Rates {
    /// `None` where no time has passed, or where any counter went back, since all were reset then.
    fn of(from: Counters, to: Counters, seconds: f64) -> Option<Self> {
        if seconds <= 0.0 {
            return None;
        }
        let rate = |from: u64, to: u64| Some(to_f64(to.checked_sub(from)?) / seconds);
        Some(Self {
            receive_bytes: rate(from.receive_bytes, to.receive_bytes)?,
            transmit_bytes: rate(from.transmit_bytes, to.transmit_bytes)?,
            errors: rate(from.errors, to.errors)?,
            drops: rate(from.drops, to.drops)?,
        })
    }

    fn reading(rates: Option<&Self>) -> Reading {
        let value = |f: fn(&Self) -> f64| rates.map(f);
        Reading::default()
            .with("receive_bytes_per_second", Unit::BytesPerSecond, value(|r| r.receive_bytes))
            .with("transmit_bytes_per_second", Unit::BytesPerSecond, value(|r| r.transmit_bytes))
            .with("errors_per_second", Unit::PerSecond, value(|r| r.errors))
            .with("drops_per_second", Unit::PerSecond, value(|r| r.drops))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::at_ms;
    use tenken_common::id::BootId;

    fn eth0(receive_bytes: u64, errors: u64) -> BTreeMap<String, Counters> {
        let counters = Counters { receive_bytes, transmit_bytes: 0, errors, drops: 0 };
        [("eth0".to_owned(), counters)].into()
    }

    #[test]
    fn rates_come_with_the_second_run() {
        let mut traffic = Traffic::default();
        let names = |r: &[(String, Reading)]| {
            r[0].1.0.iter().map(|q| (q.name.to_string(), q.value)).collect::<Vec<_>>()
        };
        let first = traffic.compare(at_ms(0).at, eth0(1_000, 0), |_| Some(true));
        assert_eq!(names(&first), [("link_up".to_owned(), 1.0)]);
        let second = names(&traffic.compare(at_ms(2_000).at, eth0(5_000, 1), |_| None));
        assert_eq!(second[0], ("receive_bytes_per_second".to_owned(), 2_000.0));
        assert_eq!(second[2], ("errors_per_second".to_owned(), 0.5));
        assert_eq!(second.len(), 4, "an unknown link is not a dead one");
    }

    #[test]
    fn resets_boots_and_no_time_give_no_rate() {
        let mut traffic = Traffic::default();
        let mut count = |at, counters| traffic.compare(at, counters, |_| None)[0].1.0.len();
        assert_eq!(count(at_ms(0).at, eth0(1_000, 5)), 0);
        assert_eq!(count(at_ms(1_000).at, eth0(10, 5)), 0, "bytes went back");
        assert_eq!(count(at_ms(2_000).at, eth0(20, 5)), 4);
        assert_eq!(count(at_ms(2_000).at, eth0(30, 5)), 0, "no time has passed");
        let other_boot = Moment { boot: BootId([2; 16]), ..at_ms(3_000).at };
        assert_eq!(count(other_boot, eth0(40, 5)), 0);
    }
}
