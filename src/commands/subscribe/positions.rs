//! Where each partition stands: read, written, committed, done. One rule, at-least-once, in one
//! place: only what was written to standard output is ever committed, and an offset that the user chose to read from
//! not before a record behind it was written.

use std::sync::Arc;

use crate::backends::{Error, Offsets, StartOrigin, TopicPartition};
use crate::record::ByPartition;

/// A partition without an end: reading follows it.
pub(super) const NO_STOP: i64 = i64::MAX;

/// One partition.
#[derive(Debug)]
pub(super) struct Position {
    tp: TopicPartition,
    /// Records from here on are not wanted.
    stop: i64,
    /// All below was appended to the output buffer (or was not wanted); -1 before the first.
    next: i64,
    /// All below has been written out.
    written: i64,
    /// Committed so far.
    committed: i64,
    /// The library has told that it was read up to here, and no record since; -1 before.
    rests: i64,
    /// In a group: assigned to this member now. Without a group: always.
    assigned: bool,
    /// Nothing of it is committed before a record was taken: its start is no progress of the group's.
    awaits_record: bool,
    /// `auto.offset.reset` chose its start, as far as is known.
    is_reset: bool,
}

impl Position {
    /// True when nothing more of it is wanted.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.stop
    }

    /// True for a record that is wanted.
    pub(super) fn wants(&self, offset: i64) -> bool {
        offset < self.stop
    }

    /// The offset to go on from when that at `offset` cannot be read: always one further than before.
    pub(super) fn behind(&self, offset: i64) -> i64 {
        offset.max(self.next).saturating_add(1)
    }

    /// Its reading begins at `offset`, which `origin` chose. What `auto.offset.reset` chose is to be committed though
    /// no record comes: the next run would start where the end is by then and skip the records between. What the user
    /// chose is not, nor is a stop that lies before the committed offset.
    pub(super) fn start(&mut self, offset: i64, origin: StartOrigin) {
        self.awaits_record = origin == StartOrigin::User;
        self.is_reset = origin == StartOrigin::Reset;
        match origin {
            StartOrigin::Reset => self.advance(offset),
            StartOrigin::Committed if offset > self.stop => self.committed = offset,
            StartOrigin::Committed | StartOrigin::User => {}
        }
    }

    /// A record was appended to the output buffer, filtered out or skipped: all below `next` is dealt with.
    #[inline]
    pub(super) fn take(&mut self, next: i64) {
        self.awaits_record = false;
        self.advance(next);
    }

    /// All below `next` is in the output buffer or does not exist; never beyond the stop. That is less than before in a
    /// log that was truncated, or in another one of the same name: what was committed of the old one counts no more.
    #[inline]
    pub(super) fn advance(&mut self, next: i64) {
        self.next = next.min(self.stop);
        if next < self.committed {
            self.committed = -1;
        }
    }

    /// The same, and no record is at hand.
    pub(super) fn rest(&mut self, next: i64) {
        self.advance(next);
        self.rests = self.next;
    }

    /// Its log ends here by now: read so far, nothing more of it is wanted.
    pub(super) fn ends_at(&mut self, end: i64) {
        if self.next == end {
            self.stop = end;
        }
    }
}

/// All partitions of a run.
#[derive(Debug, Default)]
pub(super) struct Positions {
    all: Vec<Position>,
    index: ByPartition<usize>,
    /// The one used last: records come in runs of one partition.
    last: usize,
    /// Partitions that turn up later (in a group) have nothing to read when the run ends at the ends
    /// it found at its start.
    stop_of_new: i64,
    /// Nothing is committed any more: the output is lost.
    frozen: bool,
    /// What was written of partitions that were lost, and not committed.
    lost: Offsets,
}

impl Positions {
    /// None yet. `bounded`: partitions created later are not read.
    pub(super) fn new(bounded: bool) -> Self {
        Self { stop_of_new: if bounded { 0 } else { NO_STOP }, ..Self::default() }
    }

    /// Adds a partition that ends at `stop`.
    pub(super) fn add(&mut self, tp: TopicPartition, stop: i64, assigned: bool) {
        self.index.insert(&tp.topic, tp.partition, self.all.len());
        self.all.push(Position {
            tp,
            stop,
            next: -1,
            written: -1,
            committed: -1,
            rests: -1,
            assigned,
            awaits_record: false,
            is_reset: false,
        });
    }

    /// True when it is known already.
    pub(super) fn has(&self, tp: &TopicPartition) -> bool {
        self.find(&tp.topic, tp.partition).is_some()
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.index.get(topic, partition).copied()
    }

    /// The partition, added if it is new.
    #[inline]
    pub(super) fn at(&mut self, topic: &str, partition: i32) -> &mut Position {
        let hit =
            self.all.get(self.last).is_some_and(|p| p.tp.partition == partition && is(&p.tp.topic, topic));
        if !hit {
            self.turn_to(topic, partition);
        }
        &mut self.all[self.last]
    }

    #[inline(never)]
    fn turn_to(&mut self, topic: &str, partition: i32) {
        self.last = self.find(topic, partition).unwrap_or_else(|| {
            self.add(TopicPartition { topic: topic.into(), partition }, self.stop_of_new, false);
            self.all.len() - 1
        });
    }

    /// True when every partition of this run (in a group: every one assigned to this member) is at
    /// its end.
    pub(super) fn all_done(&self) -> bool {
        self.all.iter().filter(|p| p.assigned).all(Position::is_done)
    }

    /// Partitions of which nothing more comes for now, though more is wanted.
    pub(super) fn resting(&self) -> impl Iterator<Item = &TopicPartition> {
        self.all.iter().filter(|p| p.assigned && p.rests == p.next && !p.is_done()).map(|p| &p.tp)
    }

    /// True when it is known of every partition where its reading stands, and `auto.offset.reset` chose some of that.
    pub(super) fn are_begun_by_reset(&self) -> bool {
        let mut assigned = self.all.iter().filter(|p| p.assigned);
        assigned.clone().any(|p| p.is_reset) && assigned.all(|p| p.next >= 0)
    }

    /// True when this member has any partition.
    pub(super) fn has_assigned(&self) -> bool {
        self.all.iter().any(|p| p.assigned)
    }

    /// Marks partitions as given to this member, or taken from it.
    pub(super) fn set_assigned(&mut self, partitions: &[TopicPartition], assigned: bool) {
        for tp in partitions {
            let position = self.at(&tp.topic, tp.partition);
            // Its records come with this very name: found by its address.
            position.tp.topic = Arc::clone(&tp.topic);
            position.assigned = assigned;
            position.is_reset = assigned;
            if !assigned {
                // What another member commits meanwhile is not ours to say.
                (position.next, position.written, position.committed) = (-1, -1, -1);
                position.awaits_record = false;
            }
        }
    }

    /// Takes note of what these partitions, which are lost, leave uncommitted.
    pub(super) fn note_lost(&mut self, partitions: &[TopicPartition]) {
        self.lost = self.committable(Some(partitions));
    }

    /// A refusal, with the records that it leaves uncommitted.
    pub(super) fn named_in(&self, e: Error) -> Error {
        if !e.is_refusal() {
            return e;
        }
        let open = self.committable(None);
        e.not_committed(if open.is_empty() { &self.lost } else { &open })
    }

    /// All that was appended has been written.
    pub(super) fn mark_written(&mut self) {
        if !self.frozen {
            self.all.iter_mut().filter(|p| !p.awaits_record).for_each(|p| p.written = p.next);
        }
    }

    /// From here on nothing counts as written.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
        self.all.iter_mut().for_each(|p| p.written = p.committed);
    }

    /// What may be committed and is not yet: of these partitions, or of all assigned.
    pub(super) fn committable(&self, of: Option<&[TopicPartition]>) -> Offsets {
        let wanted = |p: &&Position| of.is_none_or(|some| some.contains(&p.tp));
        let open = self.all.iter().filter(|p| p.assigned && p.written > p.committed).filter(wanted);
        open.map(|p| (p.tp.clone(), p.written)).collect()
    }

    /// These were committed.
    pub(super) fn mark_committed(&mut self, offsets: &Offsets) {
        for (tp, offset) in offsets {
            let position = self.at(&tp.topic, tp.partition);
            position.committed = position.committed.max(*offset);
        }
    }
}

/// Whether two names are the same: mostly they are the same bytes at the same place, which is seen without a look
/// at them.
#[inline]
fn is(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    #[test]
    fn only_what_was_written_is_committable() {
        let mut all = Positions::new(false);
        all.add(tp(0), NO_STOP, true);
        all.at("t", 0).advance(5);
        assert!(all.committable(None).is_empty());
        all.mark_written();
        all.at("t", 0).advance(9);
        assert_eq!(all.committable(None), [(tp(0), 5)]);
        all.mark_committed(&vec![(tp(0), 5)]);
        assert!(all.committable(None).is_empty());
    }

    #[test]
    fn after_a_lost_output_nothing_more_is_committable() {
        let mut all = Positions::new(false);
        all.add(tp(0), NO_STOP, true);
        all.at("t", 0).advance(5);
        all.mark_written();
        all.freeze();
        assert!(all.committable(None).is_empty());
        all.at("t", 0).advance(9);
        all.mark_written();
        assert!(all.committable(None).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_one_by_one() {
        let mut all = Positions::new(false);
        let position = all.at("t", 0);
        for (told, next) in [(5, 6), (5, 7), (5, 8), (20, 21)] {
            assert_eq!(position.behind(told), next);
            position.advance(next);
        }
    }

    #[test]
    fn a_position_never_passes_its_stop() {
        let mut all = Positions::new(true);
        all.add(tp(0), 3, true);
        let p = all.at("t", 0);
        assert!(p.wants(2) && !p.wants(3));
        p.advance(7);
        assert!(p.is_done());
        all.mark_written();
        assert_eq!(all.committable(None), [(tp(0), 3)]);
    }

    #[test]
    fn a_log_that_got_shorter_is_read_up_to_the_end_it_has() {
        let mut all = Positions::new(true);
        all.add(tp(0), 9, true);
        all.at("t", 0).advance(5);
        all.mark_written();
        all.mark_committed(&vec![(tp(0), 5)]);
        assert_eq!(all.resting().count(), 0, "it is being read");
        // The library has not seen yet that it is another log.
        all.at("t", 0).ends_at(3);
        assert!(!all.all_done());
        all.at("t", 0).advance(1);
        all.at("t", 0).rest(3);
        assert_eq!(all.resting().collect::<Vec<_>>(), [&tp(0)]);
        // A leader that is new knows the rest in a moment.
        all.at("t", 0).ends_at(4);
        assert!(!all.all_done());
        all.at("t", 0).ends_at(3);
        assert!(all.all_done());
        all.mark_written();
        assert_eq!(all.committable(None), [(tp(0), 3)]);
    }

    #[test]
    fn an_offset_that_the_user_chose_is_not_committable_before_a_record() {
        let mut all = Positions::new(false);
        all.set_assigned(&[tp(0), tp(1)], true);
        for partition in [0, 1] {
            all.at("t", partition).start(100, StartOrigin::User);
            all.at("t", partition).rest(100);
        }
        all.mark_written();
        assert!(all.committable(None).is_empty());
        // A transaction marker is no record.
        all.at("t", 0).rest(101);
        all.mark_written();
        assert!(all.committable(None).is_empty());
        all.at("t", 0).take(102);
        assert!(!all.are_begun_by_reset(), "there is no hurry");
        assert!(all.committable(None).is_empty(), "it is not written yet");
        all.mark_written();
        assert_eq!(all.committable(None), [(tp(0), 102)]);
        // Given again, it is sought again.
        all.set_assigned(&[tp(0)], false);
        all.set_assigned(&[tp(0)], true);
        all.at("t", 0).start(100, StartOrigin::User);
        all.at("t", 0).rest(102);
        all.mark_written();
        assert!(all.committable(None).is_empty());
    }

    #[test]
    fn an_offset_that_the_reset_chose_is_committable_at_once() {
        let mut all = Positions::new(true);
        all.add(tp(0), 100, false);
        all.set_assigned(&[tp(0)], true);
        // Five records came since the end was noted: they are for the next run.
        all.at("t", 0).start(105, StartOrigin::Reset);
        assert!(all.are_begun_by_reset() && all.all_done());
        all.mark_written();
        assert_eq!(all.committable(None), [(tp(0), 100)]);
    }

    #[test]
    fn a_stop_before_the_committed_offset_is_not_committable() {
        let mut all = Positions::new(true);
        all.add(tp(0), 50, false);
        all.set_assigned(&[tp(0)], true);
        all.at("t", 0).start(100, StartOrigin::Committed);
        all.at("t", 0).rest(100);
        all.mark_written();
        assert!(all.all_done() && all.committable(None).is_empty());
        // The committed offset was out of range, and the reset chose another.
        all.at("t", 0).rest(20);
        all.mark_written();
        assert_eq!(all.committable(None), [(tp(0), 20)]);
    }

    #[test]
    fn a_partition_created_later_does_not_hold_up_a_bounded_run() {
        let mut all = Positions::new(true);
        all.set_assigned(&[tp(4)], true);
        all.at("t", 4).advance(0);
        assert!(all.all_done());
    }

    #[test]
    fn partitions_taken_away_are_not_committed_any_more() {
        let mut all = Positions::new(false);
        all.set_assigned(&[tp(0), tp(1)], true);
        all.at("t", 0).advance(2);
        all.at("t", 1).advance(3);
        all.mark_written();
        assert_eq!(all.committable(Some(&[tp(1)])), [(tp(1), 3)]);
        all.set_assigned(&[tp(1)], false);
        assert_eq!(all.committable(None), [(tp(0), 2)]);
    }
}
