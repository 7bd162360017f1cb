//! The open loop: when each record of a producer is due, fixed before the first is sent.

/// Records at even distances, in ns from a start. Of several producers each takes its turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    /// The distance of two records of one producer.
    every: f64,
    /// When the first is due.
    first: f64,
}

impl Schedule {
    /// The share of producer `turn` of `producers`, which together send so many records a second.
    pub(super) fn new(per_second: f64, turn: u16, producers: u16) -> Self {
        let each = 1e9 / per_second;
        Self { every: each * f64::from(producers.max(1)), first: each * f64::from(turn) }
    }

    /// When record `n` is due.
    pub(super) fn due(&self, n: u64) -> u64 {
        (self.first + self.every * n as f64) as u64
    }

    /// How many are due by now.
    pub(super) fn by(&self, now: u64) -> u64 {
        let past = now as f64 - self.first;
        if past < 0.0 { 0 } else { (past / self.every) as u64 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_one_by_one() {
        let schedule = Schedule::new(1000.0, 0, 1);
        assert_eq!([0, 1, 1000].map(|n| schedule.due(n)), [0, 1_000_000, 1_000_000_000]);
        assert_eq!([0, 999_999, 1_000_000, 2_500_000].map(|now| schedule.by(now)), [1, 1, 2, 3]);
    }

    #[test]
    fn producers_take_turns() {
        let of = |turn| Schedule::new(1000.0, turn, 4);
        assert_eq!([of(0).due(1), of(1).due(0), of(3).due(0)], [4_000_000, 1_000_000, 3_000_000]);
        let by = |now| (0..4).map(|turn| of(turn).by(now)).sum::<u64>();
        assert_eq!([by(0), by(3_000_000), by(999_999_999)], [1, 4, 1000]);
        assert_eq!(of(1).by(999_999), 0);
    }

    #[test]
    fn a_rate_below_one_a_second_waits() {
        let schedule = Schedule::new(0.1, 0, 1);
        assert_eq!((schedule.by(9_000_000_000), schedule.due(1)), (1, 10_000_000_000));
    }
}
