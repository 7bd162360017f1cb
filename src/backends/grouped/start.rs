//! Where the reading of an assigned partition begins. Pure: offsets are asked for elsewhere.

use std::collections::HashMap;

use crate::backends::{StartAt, TopicPartition};

/// What this run knows of a partition that it had.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Where it began to read.
    start: i64,
    /// The user asked for that place, whatever was committed.
    is_asked: bool,
    /// It has committed an offset.
    is_committed: bool,
}

/// Where a partition is to be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// From there.
    At(i64),
    /// From where `auto.offset.reset` says. `was_deleted`: an offset was committed in this run and is gone.
    Reset { was_deleted: bool },
}

/// The starts of a run. What was not committed is read again when a partition comes back, so that nothing is
/// skipped however it was lost.
pub(super) struct Starts {
    asked: StartAt,
    known: HashMap<TopicPartition, Known>,
}

impl Starts {
    pub(super) fn new(asked: StartAt) -> Self {
        Self { asked, known: HashMap::new() }
    }

    /// The place that the user asked for, the first time that the partition is assigned.
    pub(super) fn asked(&mut self, tp: &TopicPartition) -> Option<i64> {
        if self.known.contains_key(tp) {
            return None;
        }
        let start = (self.asked)(tp)?;
        self.known.insert(tp.clone(), Known { start, is_asked: true, is_committed: false });
        Some(start)
    }

    /// Where to read from, given what the group has committed.
    pub(super) fn given(&mut self, tp: &TopicPartition, committed: Option<i64>) -> Start {
        match (self.known.get(tp), committed) {
            (Some(known), _) if known.is_asked && !known.is_committed => Start::At(known.start),
            (_, Some(committed)) => {
                self.begun(tp, committed);
                Start::At(committed)
            }
            (Some(known), None) if !known.is_committed => Start::At(known.start),
            (known, None) => Start::Reset { was_deleted: known.is_some() },
        }
    }

    /// It is read from there.
    pub(super) fn begun(&mut self, tp: &TopicPartition, start: i64) {
        self.known.insert(tp.clone(), Known { start, is_asked: false, is_committed: false });
    }

    /// An offset of it was committed.
    pub(super) fn committed(&mut self, tp: &TopicPartition) {
        if let Some(known) = self.known.get_mut(tp) {
            known.is_committed = true;
        }
    }
}

impl std::fmt::Debug for Starts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Starts").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn starts(asked: Option<i64>) -> Starts {
        Starts::new(Arc::new(move |_| asked))
    }

    #[test]
    fn the_group_s_offset_counts_unless_another_place_was_asked_for() {
        let mut plain = starts(None);
        assert_eq!(plain.asked(&tp(0)), None);
        assert_eq!(plain.given(&tp(0), Some(7)), Start::At(7));
        assert_eq!(plain.given(&tp(1), None), Start::Reset { was_deleted: false });
        assert_eq!(starts(Some(3)).asked(&tp(0)), Some(3));
    }

    #[test]
    fn what_was_not_committed_is_read_again() {
        let mut asked = starts(Some(3));
        assert_eq!(asked.asked(&tp(0)), Some(3));
        assert_eq!(asked.asked(&tp(0)), None, "only the first time");
        assert_eq!(asked.given(&tp(0), Some(9)), Start::At(3), "9 was committed before this run");
        asked.committed(&tp(0));
        assert_eq!(asked.given(&tp(0), Some(5)), Start::At(5));

        let mut reset = starts(None);
        assert_eq!(reset.given(&tp(0), None), Start::Reset { was_deleted: false });
        reset.begun(&tp(0), 40);
        assert_eq!(reset.given(&tp(0), None), Start::At(40), "not at the end as it is now");
    }

    #[test]
    fn an_offset_that_was_committed_and_is_gone_is_told() {
        let mut starts = starts(None);
        starts.given(&tp(0), Some(7));
        starts.committed(&tp(0));
        assert_eq!(starts.given(&tp(0), None), Start::Reset { was_deleted: true });
    }
}
