//! Where each partition that is read goes on, and whether that is its end.
//!
//! librdkafka holds the partitions of a group while they change hands, and goes on with those that are kept from its own
//! position. That is not to be relied on (2.12.1): taken in batches, the end of a partition moves it one offset too far
//! (`rd_kafka_q_serve_rkmessages`), which skips a record or reads the whole partition again as that offset is out of
//! range; and it stays behind by what is taken just while the partition is stopped. So kept partitions are put
//! back to what was pushed of them, before they go on.

use crate::backends::{Offsets, TopicPartition};
use crate::record::ByPartition;

/// Nothing was pushed yet: librdkafka's start is the right one.
pub(super) const NONE: i64 = -1;

/// A partition's place among the positions, until the assignment changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Slot {
    /// Of a partition that is not assigned.
    pub(super) const NOWHERE: Self = Self(usize::MAX);
}

#[derive(Debug)]
struct Place {
    of: TopicPartition,
    /// Where it was begun; negative if that is librdkafka's to know.
    start: i64,
    next: i64,
    is_end: bool,
    still: Still,
}

/// How often in a row a partition was found where it was although there is more, and after how often that is worth a look.
#[derive(Debug)]
struct Still {
    at: i64,
    times: u32,
    patience: u32,
}

/// Times at first, and between two looks at most.
const PATIENCE: (u32, u32) = (2, 60);

impl Still {
    const NEW: Self = Self { at: NONE, times: 0, patience: PATIENCE.0 };

    /// Found at `at` once more; whether that is to be looked into now, which it is more and more rarely.
    fn is_suspect(&mut self, at: i64, has_more: impl FnOnce() -> bool) -> bool {
        if self.at != at || !has_more() {
            *self = Self { at, ..Self::NEW };
            return false;
        }
        self.times += 1;
        let is_due = self.times >= self.patience;
        if is_due {
            (self.times, self.patience) = (0, (self.patience * 2).min(PATIENCE.1));
        }
        is_due
    }
}

/// The partitions that are assigned. What comes late of one that was taken away is not kept, or the next to be given it
/// here would read it from there.
#[derive(Debug, Default)]
pub(super) struct Positions {
    all: Vec<Place>,
    index: ByPartition<Slot>,
}

impl Positions {
    /// These were assigned, to be read from there; negative is where librdkafka begins.
    pub(super) fn assigned(&mut self, starts: &Offsets) {
        let partitions: Vec<_> = starts.iter().map(|(tp, _)| tp.clone()).collect();
        self.revoked(&partitions);
        for (tp, start) in starts {
            self.index.insert(&tp.topic, tp.partition, Slot(self.all.len()));
            let (of, still) = (tp.clone(), Still::NEW);
            self.all.push(Place { of, start: *start, next: NONE, is_end: false, still });
        }
    }

    /// These were taken away.
    pub(super) fn revoked(&mut self, partitions: &[TopicPartition]) {
        for tp in partitions {
            self.index.remove(&tp.topic, tp.partition);
        }
        self.all.retain(|Place { of, .. }| self.index.get(&of.topic, of.partition).is_some());
        for (at, Place { of, .. }) in self.all.iter().enumerate() {
            self.index.insert(&of.topic, of.partition, Slot(at));
        }
    }

    /// The place of a partition, [`Slot::NOWHERE`] if it is not assigned.
    pub(super) fn slot(&self, topic: &str, partition: i32) -> Slot {
        self.index.get(topic, partition).copied().unwrap_or(Slot::NOWHERE)
    }

    /// All before `next` was pushed.
    #[inline]
    pub(super) fn passed(&mut self, slot: Slot, next: i64) {
        if let Some(place) = self.all.get_mut(slot.0) {
            (place.next, place.is_end) = (next, false);
        }
    }

    /// All was pushed: the next record, when there is one, has the offset `next`.
    pub(super) fn reached(&mut self, slot: Slot, next: i64) {
        if let Some(place) = self.all.get_mut(slot.0) {
            (place.next, place.is_end) = (next, true);
        }
    }

    /// A partition that is not at its end, if there is any.
    pub(super) fn unreached(&self) -> Option<&TopicPartition> {
        self.all.iter().find(|place| !place.is_end).map(|place| &place.of)
    }

    /// To be asked once a second: a partition of which nothing has come for some of them though its log goes on, and
    /// where it stands, negative if nothing was read of it. `end` is that of the log, as far as it is known.
    pub(super) fn suspect(&mut self, end: impl Fn(&TopicPartition) -> i64) -> Option<(TopicPartition, i64)> {
        let mut suspects = self.all.iter_mut().filter_map(|Place { of, start, next, still, .. }| {
            let at = if *next == NONE { *start } else { *next };
            still.is_suspect(at, || end(of) > at.max(0)).then(|| (of.clone(), at))
        });
        // The others have their turn another time.
        let first = suspects.next();
        suspects.for_each(drop);
        first
    }

    /// All that are assigned.
    pub(super) fn assignment(&self) -> Vec<TopicPartition> {
        self.all.iter().map(|place| place.of.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those of which something was pushed, and what comes next of them.
    pub(super) fn begun(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.all.iter().filter(|place| place.next != NONE).map(|place| (&place.of, place.next))
    }

    /// True when something was pushed of it.
    pub(super) fn is_begun(&self, topic: &str, partition: i32) -> bool {
        self.all.get(self.slot(topic, partition).0).is_some_and(|place| place.next != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn starts(partitions: &[i32]) -> Offsets {
        partitions.iter().map(|partition| (tp(*partition), 0)).collect()
    }

    fn pass(positions: &mut Positions, partition: i32, next: i64) {
        positions.passed(positions.slot("t", partition), next);
    }

    fn begun(positions: &Positions) -> Vec<(i32, i64)> {
        positions.begun().map(|(tp, next)| (tp.partition, next)).collect()
    }

    #[test]
    fn only_assigned_partitions_that_were_read_are_put_back() {
        let mut positions = Positions::default();
        pass(&mut positions, 0, 4);
        positions.assigned(&starts(&[0, 1, 2]));
        assert_eq!(begun(&positions), []);
        pass(&mut positions, 1, 7);
        pass(&mut positions, 1, 8);
        pass(&mut positions, 2, 9);
        assert!(positions.is_begun("t", 1) && !positions.is_begun("t", 0) && !positions.is_begun("u", 1));
        positions.revoked(&[tp(1)]);
        // Told before it was taken away, and late.
        pass(&mut positions, 1, 9);
        assert_eq!(begun(&positions), [(2, 9)]);
        assert_eq!(positions.assignment(), [tp(0), tp(2)]);
    }

    #[test]
    fn one_that_is_not_at_its_end_is_named() {
        let mut positions = Positions::default();
        assert_eq!(positions.unreached(), None);
        positions.assigned(&starts(&[0, 1]));
        positions.reached(positions.slot("t", 0), 5);
        assert_eq!(positions.unreached(), Some(&tp(1)));
        positions.reached(positions.slot("t", 1), 0);
        assert_eq!(positions.unreached(), None);
        pass(&mut positions, 0, 6);
        assert_eq!(positions.unreached(), Some(&tp(0)));
        positions.revoked(&[tp(0)]);
        assert_eq!(positions.unreached(), None);
    }

    #[test]
    fn one_that_stands_still_though_its_log_goes_on_is_looked_at_more_and_more_rarely() {
        let mut positions = Positions::default();
        positions.assigned(&vec![(tp(0), 4), (tp(1), 0), (tp(2), -1001)]);
        let ends = |tp: &TopicPartition| [6, 0, 1][tp.partition as usize];
        let looks: Vec<_> = (1..30).filter_map(|n| Some((n, positions.suspect(ends)?))).collect();
        // The first time nothing is known yet of what moves.
        let at = |n| (n, (tp(0), 4));
        assert_eq!(looks, [at(3), at(7), at(15)]);
        pass(&mut positions, 0, 6);
        let looks: Vec<_> = (1..30).filter_map(|_| positions.suspect(ends)).collect();
        assert!(!looks.iter().any(|(of, _)| *of == tp(0)), "it is at its end: {looks:?}");
        assert!(looks.contains(&(tp(2), -1001)));
    }

    #[test]
    fn what_is_given_again_has_no_position_yet() {
        let mut positions = Positions::default();
        positions.assigned(&starts(&[0, 1]));
        pass(&mut positions, 0, 3);
        pass(&mut positions, 1, 4);
        positions.assigned(&starts(&[0]));
        assert_eq!(begun(&positions), [(1, 4)]);
        positions.revoked(&[tp(0), tp(1)]);
        assert!(positions.is_empty());
    }
}
