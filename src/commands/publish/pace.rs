//! `--rate`: how many records may be sent by now.

use std::time::{Duration, Instant};

use crate::record::Batch;
use crate::units::Rate;

/// A schedule from a start: record (or byte) number n is due at start + n / rate.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Rate>,
    start: Instant,
    sent: f64,
}

impl Pace {
    /// No limit without a rate.
    pub(super) fn new(rate: Option<Rate>, start: Instant) -> Self {
        Self { rate, start, sent: 0.0 }
    }

    /// The end of the records of `batch` from `from` that are due at `now`.
    pub(super) fn due(&self, batch: &Batch, from: usize, now: Instant) -> usize {
        let due = |per_second: f64| (now - self.start).as_secs_f64() * per_second - self.sent;
        match self.rate {
            None => batch.len(),
            Some(Rate::Records(per_second)) => {
                // The first is due at once, hence the 1.
                batch.len().min(from + (due(per_second) + 1.0).max(0.0) as usize)
            }
            Some(Rate::Bytes(per_second)) => {
                let mut left = due(per_second);
                let take = |n: &usize| {
                    let fits = left >= 0.0;
                    left -= size(batch, *n);
                    fits
                };
                from + (from..batch.len()).take_while(take).count()
            }
        }
    }

    /// Books what was sent.
    pub(super) fn sent(&mut self, batch: &Batch, from: usize, to: usize) {
        match self.rate {
            None => {}
            Some(Rate::Records(_)) => self.sent += (to - from) as f64,
            Some(Rate::Bytes(_)) => self.sent += (from..to).map(|n| size(batch, n)).sum::<f64>(),
        }
    }

    /// How long until the next record is due.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let (Some(Rate::Records(per_second)) | Some(Rate::Bytes(per_second))) = self.rate else {
            return Duration::ZERO;
        };
        let next = Duration::try_from_secs_f64(self.sent / per_second).unwrap_or(Duration::MAX);
        self.start.checked_add(next).map_or(Duration::MAX, |at| at.saturating_duration_since(now))
    }
}

fn size(batch: &Batch, n: usize) -> f64 {
    let span = &batch.spans()[n];
    (span.key.len() + span.value.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Slice, Span};

    fn batch(n: usize) -> Batch {
        let mut batch = Batch::default();
        for line in 0..n {
            let value = batch.append(b"0123456789");
            batch.push(Span::new(Slice::NULL, value, line as u64));
        }
        batch
    }

    #[test]
    fn records_are_due_one_by_one() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Rate::Records(10.0)), start);
        let batch = batch(100);
        assert_eq!(pace.due(&batch, 0, start), 1);
        pace.sent(&batch, 0, 1);
        assert_eq!(pace.due(&batch, 1, start), 1);
        assert_eq!(pace.wait(start), Duration::from_millis(100));
        assert_eq!(pace.due(&batch, 1, start + Duration::from_millis(1000)), 11);
    }

    #[test]
    fn bytes_are_due_by_their_number() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(Rate::Bytes(100.0)), start);
        let batch = batch(100);
        assert_eq!(pace.due(&batch, 0, start), 1);
        pace.sent(&batch, 0, 1);
        assert_eq!(pace.due(&batch, 1, start + Duration::from_millis(500)), 6);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let start = Instant::now();
        let pace = Pace::new(None, start);
        assert_eq!(pace.due(&batch(7), 0, start), 7);
        assert_eq!(pace.wait(start), Duration::ZERO);
    }
}
