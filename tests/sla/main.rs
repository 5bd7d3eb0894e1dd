//! The SLA engine on random histories, in short; the long form is the campaign `sla`.
//!
//! Holds: a history that fails is named by its seed; `campaign sla --n 1 --seed N` says what failed.

use tenken_collector_core::sla::partition::Label;
use tenken_tests::sla::{Drawn, faults};

#[test]
fn every_rule_holds_for_random_histories() {
    let failed: Vec<String> = (1..=400)
        .flat_map(|seed| faults(seed).into_iter().map(move |f| format!("seed {seed}: {f}")))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Histories without a stop would prove nothing.
#[test]
fn every_label_occurs() {
    let mut missing: Vec<Label> = Label::ALL.to_vec();
    for seed in 1..=100 {
        let drawn = Drawn::of(seed);
        let month = drawn.history.known(drawn.as_of).month("2026-09".parse().unwrap());
        missing.retain(|label| month.partition.total(*label).is_zero());
    }
    assert_eq!(missing, []);
}
