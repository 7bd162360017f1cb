//! Waiting longer after each failure (`reconnect.backoff.ms`, `retry.backoff.ms`).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How far a wait may be off what doubling gives, either way (as Java's `ExponentialBackoff`).
const JITTER: f64 = 0.2;

/// Doubling beyond this is the same as the longest wait, and would overflow.
const DOUBLINGS: u32 = 40;

/// A source of numbers for spreading waits and choices: not for secrets (xorshift64*).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One that differs from run to run.
    pub fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// One that repeats itself for a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 up to but not including 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Puts things in any order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (2..=things.len()).rev() {
            let chosen = (self.number() >> 33) as usize % end;
            things.swap(end - 1, chosen);
        }
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits that double from the first to the longest, each off by up to a fifth so that clients
/// that failed together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` up to `longest`, which counts as at least `first`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first), failures: 0 }
    }

    /// How long to wait after one more failure.
    pub fn after_failure(&mut self, random: &mut Random) -> Duration {
        let factor = 1.0 + JITTER * (2.0 * random.fraction() - 1.0);
        let doubled = self.first.as_secs_f64() * 2_f64.powi(self.failures.min(DOUBLINGS) as i32);
        self.failures = self.failures.saturating_add(1);
        let longest = self.longest.as_secs_f64();
        Duration::from_secs_f64((doubled * factor).min(longest))
    }

    /// After a success the next wait is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(backoff: &mut Backoff, random: &mut Random) -> u128 {
        backoff.after_failure(random).as_millis()
    }

    #[test]
    fn waits_double_up_to_the_longest_within_a_fifth() {
        let (mut random, mut plain) = (Random::seeded(1), Random::seeded(1));
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1000));
        for doubled in [50.0, 100.0, 200.0, 400.0, 800.0] {
            let factor = 0.8 + 0.4 * plain.fraction();
            let wait = backoff.after_failure(&mut random).as_secs_f64() * 1000.0;
            assert!((wait - (doubled * factor).min(1000.0)).abs() < 0.001, "{wait} for {doubled}");
        }
        for _ in 0..100 {
            assert_eq!(millis(&mut backoff, &mut random), 1000);
        }
    }

    #[test]
    fn a_success_starts_from_the_first_wait_again() {
        let mut random = Random::seeded(2);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        (0..5).for_each(|_| assert!(backoff.after_failure(&mut random) > Duration::ZERO));
        backoff.reset();
        assert!((80..=120).contains(&millis(&mut backoff, &mut random)));
    }

    #[test]
    fn waits_of_nothing_and_a_longest_below_the_first_are_possible() {
        let mut random = Random::seeded(3);
        let mut none = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(none.after_failure(&mut random), Duration::ZERO);
        let mut odd = Backoff::new(Duration::from_millis(500), Duration::from_millis(1));
        assert!((400..=500).contains(&millis(&mut odd, &mut random)));
    }

    #[test]
    fn fractions_are_spread_over_their_range() {
        let mut random = Random::seeded(4);
        let fractions: Vec<f64> = (0..1000).map(|_| random.fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)));
        let mean = fractions.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut things: Vec<u32> = (0..50).collect();
        Random::seeded(5).shuffle(&mut things);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
