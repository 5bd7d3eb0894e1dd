//! Forgeries of every class against the programs themselves; the short form of the campaign.

use tenken_tests::adversary::{
    forge::{against_agent, against_collector, statements},
    tally::Tally,
};

const SEED: u64 = 20_261_125;
const N: usize = 40;

fn nothing_had_an_effect(tally: &Tally, classes: usize) {
    assert_eq!(tally.failed(), 0, "\n{tally}");
    let whole = tally.classes().filter(|class| tally.tried(class) >= N as u64);
    assert!(whole.count() >= classes, "\n{tally}");
}

#[test]
fn the_collector_believes_nobody() {
    nothing_had_an_effect(&against_collector(N, SEED), 13);
}

#[test]
fn the_device_believes_nobody() {
    nothing_had_an_effect(&against_agent(N, SEED), 12);
}

#[test]
fn no_statement_is_believed_but_the_right_one() {
    nothing_had_an_effect(&statements(N, SEED), 9);
}
