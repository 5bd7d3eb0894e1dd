//! `/proc/net/dev` (proc_pid_net(5)) and `/sys/class/net/*/operstate` (sysfs-class-net).
//!
//! Holds: one read for all counters; only the link's state is a file per interface.

use super::{ReadError, Reading, network::INTERFACES_MAX, read};
use std::collections::BTreeMap;
use tenken_agent_core::{probe::ProbeContext, record::to_f64};
use tenken_common::{time::Moment, unit::Unit};

/// Remembers the last counters.
#[derive(Debug, Default)]
pub struct Source {
    last: Option<(Moment, BTreeMap<String, Counters>)>,
}

/// Since the interface was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    receive_bytes: u64,
    transmit_bytes: u64,
    /// Both directions.
    errors: u64,
    /// Both directions.
    drops: u64,
}

impl Source {
    /// Each interface's name and values.
    pub fn read(&mut self, cx: &ProbeContext) -> Result<Vec<(String, Reading)>, ReadError> {
        let counters = parse(&read("/proc/net/dev")?).ok_or(ReadError::Form("/proc/net/dev"))?;
        Ok(self.compare(cx.at, counters, link))
    }

    fn compare(
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

/// `None` where the text has not its two heading lines; a line that is not as documented is
/// passed over.
fn parse(text: &str) -> Option<BTreeMap<String, Counters>> {
    let mut lines = text.lines();
    let headed = lines.next()?.starts_with("Inter-|") && lines.next()?.starts_with(" face |");
    let interfaces =
        lines.filter_map(parse_line).filter(|(name, _)| name != "lo" && !name.starts_with("veth"));
    headed.then(|| interfaces.take(INTERFACES_MAX).collect())
}

fn parse_line(line: &str) -> Option<(String, Counters)> {
    // An old alias has a colon in its name.
    let (name, numbers) = line.rsplit_once(':')?;
    let name = name.trim();
    let numbers = numbers.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [
        receive_bytes,
        _,
        receive_errors,
        receive_drops,
        _,
        _,
        _,
        _,
        transmit_bytes,
        _,
        transmit_errors,
        transmit_drops,
        _,
        _,
        _,
        _,
    ] = numbers[..]
    else {
        return None;
    };
    let errors = receive_errors.checked_add(transmit_errors)?;
    let drops = receive_drops.checked_add(transmit_drops)?;
    (!name.is_empty()).then(|| (name.to_owned(), Counters { receive_bytes, transmit_bytes, errors, drops }))
}

fn link(name: &str) -> Option<bool> {
    if name.contains('/') {
        return None;
    }
    parse_operstate(&std::fs::read_to_string(format!("/sys/class/net/{name}/operstate")).ok()?)
}

/// RFC 2863's states; `unknown` is what drivers say that do not tell.
fn parse_operstate(text: &str) -> Option<bool> {
    match text.trim_end() {
        "up" => Some(true),
        "down" | "lowerlayerdown" | "notpresent" | "dormant" | "testing" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::at_ms;
    use tenken_common::id::BootId;

    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
    const CAPTURED: &str =
        "    lo:    5933      77    0    0    0     0          0         0     5933      77    0    0    0     0       0          0
  eth0: 162665503    7066    3    4    0     0          0         0   541752    4624    1    2    0     0       0          0
wlp0s20f3:17 1 0 0 0 0 0 0 18 1 0 0 0 0 0 0
veth12ab:17 1 0 0 0 0 0 0 18 1 0 0 0 0 0 0\n";

    fn captured() -> BTreeMap<String, Counters> {
        parse(&format!("{HEAD}{CAPTURED}")).unwrap()
    }

    fn eth0(receive_bytes: u64, errors: u64) -> BTreeMap<String, Counters> {
        let counters = Counters { receive_bytes, transmit_bytes: 0, errors, drops: 0 };
        [("eth0".to_owned(), counters)].into()
    }

    #[test]
    fn captured_counters() {
        let got = captured();
        assert_eq!(got.keys().collect::<Vec<_>>(), ["eth0", "wlp0s20f3"]);
        let eth0 = Counters { receive_bytes: 162_665_503, transmit_bytes: 541_752, errors: 4, drops: 6 };
        assert_eq!(got["eth0"], eth0);
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for text in ["", "Inter-|", CAPTURED] {
            assert_eq!(parse(text), None, "{text}");
        }
        for line in [
            "eth0",
            "eth0: 1 2 3",
            ": 1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8",
            "e: x 1 0 0 0 0 0 0 18 1 0 0 0 0 0 0",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
        let cut = CAPTURED.find("541752").unwrap();
        assert!(parse(&format!("{HEAD}{}", &CAPTURED[..cut])).unwrap().is_empty());
    }

    #[test]
    fn rates_come_with_the_second_run() {
        let mut source = Source::default();
        let names = |r: &[(String, Reading)]| {
            r[0].1.0.iter().map(|q| (q.name.to_string(), q.value)).collect::<Vec<_>>()
        };
        let first = source.compare(at_ms(0).at, eth0(1_000, 0), |_| Some(true));
        assert_eq!(names(&first), [("link_up".to_owned(), 1.0)]);
        let second = names(&source.compare(at_ms(2_000).at, eth0(5_000, 1), |_| None));
        assert_eq!(second[0], ("receive_bytes_per_second".to_owned(), 2_000.0));
        assert_eq!(second[2], ("errors_per_second".to_owned(), 0.5));
        assert_eq!(second.len(), 4, "an unknown link is not a dead one");
    }

    #[test]
    fn resets_boots_and_no_time_give_no_rate() {
        let mut source = Source::default();
        let mut count = |at, counters| source.compare(at, counters, |_| None)[0].1.0.len();
        assert_eq!(count(at_ms(0).at, eth0(1_000, 5)), 0);
        assert_eq!(count(at_ms(1_000).at, eth0(10, 5)), 0, "bytes went back");
        assert_eq!(count(at_ms(2_000).at, eth0(20, 5)), 4);
        assert_eq!(count(at_ms(2_000).at, eth0(30, 5)), 0, "no time has passed");
        let other_boot = Moment { boot: BootId([2; 16]), ..at_ms(3_000).at };
        assert_eq!(count(other_boot, eth0(40, 5)), 0);
    }

    #[test]
    fn link_states() {
        assert_eq!(parse_operstate("up\n"), Some(true));
        assert_eq!(parse_operstate("lowerlayerdown\n"), Some(false));
        assert_eq!([parse_operstate("unknown\n"), parse_operstate(""), link("../../etc")], [None; 3]);
    }

    #[test]
    fn this_machine_can_be_read() {
        assert!(Source::default().read(&at_ms(0)).is_ok());
    }
}
