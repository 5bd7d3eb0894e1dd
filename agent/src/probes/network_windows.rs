//! `GetIfTable2`: the 64-bit counters of every interface.
//!
//! Holds: an interface is named as Windows names it (`ethernet_32769`), since what people call it
//! is in their language. Filters that sit on an interface, tunnels and loopback are left out.

use super::{
    ReadError, Reading,
    network::{Counters, INTERFACES_MAX, Traffic},
    win32,
    win32::Interface,
};
use std::collections::BTreeMap;
use tenken_agent_core::probe::ProbeContext;

/// IANA's ifType.
const LOOPBACK: u16 = 24;
const TUNNEL: u16 = 131;
/// Bit of `MIB_IF_ROW2::InterfaceAndOperStatusFlags`.
const FILTER: u8 = 0b10;

/// Remembers the last counters.
#[derive(Debug, Default)]
pub struct Source {
    traffic: Traffic,
}

impl Source {
    /// Each interface's name and values.
    pub fn read(&mut self, cx: &ProbeContext) -> Result<Vec<(String, Reading)>, ReadError> {
        let call = |source| ReadError::Call { call: "GetIfTable2", source };
        let rows = win32::interfaces().map_err(call)?;
        let rows = rows.iter().filter(|row| is_real(row)).take(INTERFACES_MAX);
        let rows: BTreeMap<String, &Interface> = rows.map(|row| (name(row), row)).collect();
        let counters = rows.iter().filter_map(|(name, row)| Some((name.clone(), counters(row)?))).collect();
        Ok(self.traffic.compare(cx.at, counters, |name| link(rows.get(name)?.state)))
    }
}

fn is_real(row: &Interface) -> bool {
    row.kind != LOOPBACK && row.kind != TUNNEL && row.flags & FILTER == 0
}

fn name(row: &Interface) -> String {
    let kind = match row.kind {
        6 => "ethernet",
        23 => "ppp",
        71 => "wireless",
        243 | 244 => "wwan",
        other => return format!("iftype{other}_{}", row.index),
    };
    format!("{kind}_{}", row.index)
}

/// `None` where the sums cannot be.
fn counters(row: &Interface) -> Option<Counters> {
    let sum = |[one, other]: [u64; 2]| one.checked_add(other);
    Some(Counters {
        receive_bytes: row.receive_bytes,
        transmit_bytes: row.transmit_bytes,
        errors: sum(row.errors)?,
        drops: sum(row.drops)?,
    })
}

/// RFC 2863's states; 4 is `unknown`.
fn link(state: i32) -> Option<bool> {
    match state {
        1 => Some(true),
        2 | 3 | 5..=7 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::testing::at_ms;

    const ROW: Interface = Interface {
        kind: 6,
        index: 32_769,
        flags: 1,
        state: 1,
        receive_bytes: 10,
        transmit_bytes: 20,
        errors: [1, 2],
        drops: [3, 4],
    };

    #[test]
    fn names_are_those_of_the_system() {
        assert_eq!(name(&ROW), "ethernet_32769");
        assert_eq!(name(&Interface { kind: 71, index: 0, ..ROW }), "wireless_0");
        assert_eq!(name(&Interface { kind: 1, ..ROW }), "iftype1_32769");
    }

    #[test]
    fn filters_tunnels_and_loopback_are_left_out() {
        assert!(is_real(&ROW));
        for row in [
            Interface { kind: LOOPBACK, ..ROW },
            Interface { kind: TUNNEL, ..ROW },
            Interface { flags: FILTER, ..ROW },
        ] {
            assert!(!is_real(&row), "{row:?}");
        }
    }

    #[test]
    fn both_directions_count_and_what_cannot_be_does_not() {
        let expected = Counters { receive_bytes: 10, transmit_bytes: 20, errors: 3, drops: 7 };
        assert_eq!(counters(&ROW), Some(expected));
        assert_eq!(counters(&Interface { errors: [u64::MAX, 1], ..ROW }), None);
    }

    #[test]
    fn an_unknown_link_is_not_a_dead_one() {
        assert_eq!([1, 2, 4, 7, 99].map(link), [Some(true), Some(false), None, Some(false), None]);
    }

    #[test]
    fn this_machine_can_be_read() {
        let mut source = Source::default();
        assert!(source.read(&at_ms(0)).is_ok());
        let second = source.read(&at_ms(1_000)).unwrap();
        assert!(second.iter().all(|(_, reading)| reading.0.len() >= 4), "{second:?}");
    }
}
