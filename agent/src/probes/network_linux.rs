//! `/proc/net/dev` (proc_pid_net(5)) and `/sys/class/net/*/operstate` (sysfs-class-net).
//!
//! Holds: one read for all counters; only the link's state is a file per interface.

use super::{
    ReadError, Reading,
    network::{Counters, INTERFACES_MAX, Traffic},
    read,
};
use std::collections::BTreeMap;
use tenken_agent_core::probe::ProbeContext;

/// Remembers the last counters.
#[derive(Debug, Default)]
pub struct Source {
    traffic: Traffic,
}

impl Source {
    /// Each interface's name and values.
    pub fn read(&mut self, cx: &ProbeContext) -> Result<Vec<(String, Reading)>, ReadError> {
        let counters = parse(&read("/proc/net/dev")?).ok_or(ReadError::Form("/proc/net/dev"))?;
        Ok(self.traffic.compare(cx.at, counters, link))
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
