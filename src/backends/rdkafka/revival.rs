//! When to tell librdkafka again which brokers there are.
//!
//! A broker that is not in the cluster's metadata is forgotten, and a single node that stood still for a while answers for a
//! moment that there is none: from then on librdkafka (2.12.1) has no broker to ask, for ever. Those it is told anew it takes,
//! those it still has it keeps.

use std::time::{Duration, Instant};

/// How long it is left to itself at first, and the longest pause. Each time costs a copy of the addresses.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// The times at which it was told since no broker is left.
#[derive(Debug, Default)]
pub(super) struct Revival(Option<(Instant, Duration)>);

impl Revival {
    /// Whether it is time; `lost` while no broker is left.
    pub(super) fn is_due(&mut self, lost: bool, now: Instant) -> bool {
        if !lost {
            self.0 = None;
            return false;
        }
        let (told, pause) = self.0.get_or_insert((now, PAUSES.0));
        if now.saturating_duration_since(*told) < *pause {
            return false;
        }
        (*told, *pause) = (now, (*pause * 2).min(PAUSES.1));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_less_and_less_often_and_only_while_no_broker_is_left() {
        let (mut revival, start) = (Revival::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!revival.is_due(false, at(0)));
        let due: Vec<u64> = (0..300).filter(|&s| revival.is_due(true, at(s))).collect();
        assert_eq!(due, [5, 15, 35, 75, 135, 195, 255]);
        assert!(!revival.is_due(false, at(300)));
        assert_eq!((301..310).find(|&s| revival.is_due(true, at(s))), Some(306));
    }
}
