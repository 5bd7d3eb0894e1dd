//! Random numbers that come out the same again: every campaign draws from its seed.

use proptest::test_runner::{RngAlgorithm, TestRng};

/// The numbers of a seed.
pub fn rng(seed: u64) -> TestRng {
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4))
}
