//! Every single bit of a 4 KiB envelope, and other structures around what was signed.

use tenken_common::key::SecretKey;
use tenken_tests::adversary::{bitflip, content, draw::Draw};

#[test]
fn all_32_768_bits_of_an_envelope() {
    let mut draw = Draw::new(1);
    let key = SecretKey::from_seed(&draw.bytes());
    let batch = content::batch(&mut draw);
    let good = bitflip::of_4_kib(&mut draw, &key, batch);
    let tally = bitflip::all_flips(&good, &key.public());
    assert_eq!((tally.tried_in_all(), tally.failed()), (32_768, 0), "{tally}");
}

#[test]
fn other_structures() {
    let tally = bitflip::all_mutants(&mut Draw::new(2), 10);
    assert!(tally.failed() == 0 && tally.classes().count() > 30, "{tally}");
}

#[test]
fn a_sample_against_a_running_collector() {
    let tally = bitflip::against_collector(500, 3);
    assert!(tally.failed() == 0 && tally.tried_in_all() > 530, "{tally}");
}
