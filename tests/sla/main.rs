//! The SLA engine on random histories, in short; the long form is the campaign `sla`.
//!
//! Holds: a history that fails is named by its seed; `campaign sla --n 1 --seed N` says what failed.

use tenken_collector_core::sla::partition::Label;
use tenken_tests::{
    evidence::Case,
    sla::{Drawn, faults},
};

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

/// The long form is the campaign `evidence`.
#[test]
fn evidence_that_somebody_altered_does_not_hold() {
    let case = Case::new(1);
    let mut trials =
        vec![case.untouched(), case.begin_late(), case.leave_out_incident(), case.forget_rules()];
    trials.extend((1..=10).map(|seed| case.hide_report(seed)));
    trials.extend((1..=40).map(|seed| case.alter_byte(seed)));
    let forged: Vec<_> = (1..=20).map(|seed| case.rewrite(seed)).collect();
    let fitting = forged.iter().filter(|trial| trial.fits).count();
    assert!(fitting > 5, "a forger whose work never fits shows nothing: {fitting}");
    trials.extend(forged);
    let wrong: Vec<_> = trials.iter().filter(|trial| trial.fault.is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
