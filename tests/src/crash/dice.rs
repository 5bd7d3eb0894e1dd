//! Chance that comes out the same for the same numbers.

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};

pub struct Dice(TestRng);

impl Dice {
    /// Other numbers, other dice: for example seed, recording, cut.
    pub fn new(numbers: [u64; 4]) -> Self {
        let seed: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From zero to one below `end`; zero where `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("an address fits 64 bits");
        usize::try_from(self.number() % end.max(1)).expect("it is below an address")
    }

    /// With both ends.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to.saturating_sub(from) + 1)
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.get(self.below(of.len())).expect("there is something to pick from")
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
