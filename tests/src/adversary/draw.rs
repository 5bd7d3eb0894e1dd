//! Chance from a seed, so that whatever an attack did can be done again.

use proptest::{
    prelude::{Rng as _, RngExt as _},
    test_runner::{RngAlgorithm, TestRng},
};

/// The same seed draws the same.
#[derive(Debug)]
pub struct Draw(TestRng);

impl Draw {
    pub fn new(seed: u64) -> Self {
        let seed: Vec<u8> = seed.to_le_bytes().repeat(4);
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    /// At least 0, below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub fn some_bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A number of every size, the edges of the encodings more often than chance would have it.
    pub fn sized(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            0x100,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            0x1_0000_0000,
            u64::MAX - 1,
            u64::MAX,
        ];
        if self.once_in(4) { self.one_of(&EDGES) } else { self.number() >> self.below(64) }
    }

    /// The same for signed numbers.
    pub fn signed(&mut self) -> i64 {
        const EDGES: [i64; 10] = [0, -1, -32, -33, -128, -129, -32_768, -32_769, -2_147_483_649, i64::MIN];
        let half = i64::try_from(self.sized() >> 1).expect("63 bits fit");
        match self.below(4) {
            0 => self.one_of(&EDGES),
            1 => -half,
            _ => half,
        }
    }

    /// Another bit pattern of the same length: one to eight bytes are changed.
    pub fn altered(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(out.len());
            out[at] ^= u8::try_from(1 + self.below(255)).expect("below 256");
        }
        if out == bytes { self.altered(bytes) } else { out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_and_another_something_else() {
        let draw = |seed| Draw::new(seed).some_bytes(20);
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let bytes = vec![7; 100];
        assert!((0..1_000).all(|seed| Draw::new(seed).altered(&bytes) != bytes));
    }
}
