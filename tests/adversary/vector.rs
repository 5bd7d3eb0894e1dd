//! Two implementations of envelope, batch, acknowledgement and reject agree.

use tenken_tests::adversary::vector::{disagreements, not_accepted, vectors};

const SEED: u64 = 20_261_125;

#[test]
fn the_second_implementation_agrees_on_a_thousand_vectors() {
    let found = disagreements(&vectors(SEED, 1_000));
    assert!(found.is_empty(), "{} of 1000 differ, the first: {}", found.len(), found[0]);
}

#[test]
fn what_the_second_implementation_makes_is_accepted() {
    let found = not_accepted(SEED, 100);
    assert!(found.is_empty(), "{} of 100 differ, the first: {}", found.len(), found[0]);
}
