//! Thirty bad certificates and more, both ways.

use tenken_tests::adversary::passport::{to_the_collector, to_the_device};

#[test]
fn the_collector_takes_no_bad_certificate_of_a_device() {
    let tally = to_the_collector(1);
    assert!(tally.failed() == 0 && tally.classes().count() >= 30, "\n{tally}");
}

#[test]
fn a_device_takes_no_bad_certificate_of_a_collector() {
    let tally = to_the_device();
    assert!(tally.failed() == 0 && tally.classes().count() >= 30, "\n{tally}");
}
