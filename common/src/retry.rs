//! Jittered exponential backoff as a pure, seeded iterator.
//!
//! Holds: every delay lies between zero and the current ceiling ("full jitter"), so that a fleet
//! whose collector comes back does not return in one wave; the ceiling doubles up to a maximum.
//! The same seed gives the same delays.

use std::time::Duration;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    ceiling_ms: u64,
    state: u64,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration, seed: u64) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1);
        let (first_ms, max_ms) = (ms(first), ms(max).max(ms(first)));
        Self { first_ms, max_ms, ceiling_ms: first_ms, state: seed }
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.ceiling_ms = self.first_ms;
    }

    /// splitmix64 (Steele, Lea, Flood 2014): small, seeded, good enough for jitter.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let ceiling = self.ceiling_ms;
        self.ceiling_ms = ceiling.saturating_mul(2).min(self.max_ms);
        // Never quite zero: a loop without any wait would burn the device's processor.
        Some(Duration::from_millis(1 + self.random() % ceiling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_under_a_doubling_ceiling_and_replay_from_their_seed() {
        let make = || Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 42);
        let delays: Vec<_> = make().take(20).collect();
        for (i, d) in delays.iter().enumerate() {
            let ceiling = (100u64 << i.min(10)).min(5_000);
            assert!(d.as_millis() <= u128::from(ceiling) && !d.is_zero(), "delay {i}: {d:?}");
        }
        assert_eq!(delays, make().take(20).collect::<Vec<_>>());
        assert_ne!(delays, Backoff { state: 43, ..make() }.take(20).collect::<Vec<_>>());
    }
}
