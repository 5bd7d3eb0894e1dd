//! A copied device, in two network namespaces.

use tenken_tests::adversary::clones::clones;

#[test]
fn a_copy_is_found_at_the_first_batch_that_differs() {
    let tally = clones(2, 1);
    assert!(tally.failed() == 0 && tally.tried_in_all() == 3, "\n{tally}");
}
