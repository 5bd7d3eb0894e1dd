//! Peers that stall at any step, and bodies that are larger, deeper or more than they look.

use tenken_tests::adversary::{bomb::bombs, stall::stalls};

#[test]
fn a_peer_that_stalls_is_closed_and_the_others_are_served() {
    let tally = stalls(4, 1);
    assert!(tally.failed() == 0 && tally.classes().count() == 16, "\n{tally}");
}

#[test]
fn a_bomb_is_refused_at_its_cap() {
    let tally = bombs(1, 1);
    assert!(tally.failed() == 0 && tally.classes().count() >= 23, "\n{tally}");
}
