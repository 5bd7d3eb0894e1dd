//! The agent's unit under a real systemd; see `tenken_tests::systemd`.

use tenken_tests::systemd::{Said, UnitReport, unit};

/// Gives how much did not hold.
pub fn run() -> u64 {
    let UnitReport { base, smart, faults } = unit();
    for (unit, all) in [("base", base), ("smart", smart)] {
        for Said { probe, values, state, reason } in all {
            println!("unit: {unit:5} {probe:14} {state:12} {values:3} values  {reason}");
        }
    }
    for fault in &faults {
        println!("unit: {fault}");
    }
    faults.len() as u64
}
