//! Where a group member begins to read the partitions it is assigned. Pure: the libraries ask the brokers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use super::{TopicPartition, lock};

/// Who chose the offset that the reading of a partition begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOrigin {
    /// The user (`-o`): the group's committed offset, if there is one, lies elsewhere.
    User,
    /// The group: it is the committed offset.
    Committed,
    /// `auto.offset.reset`, where the group has no committed offset.
    Reset,
}

/// Where the reading of an assigned partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    At(i64, StartOrigin),
    /// Where `auto.offset.reset` says. `was_deleted`: this run had committed an offset, and it is gone.
    Reset {
        /// See [`Start::Reset`].
        was_deleted: bool,
    },
}

/// State of a partition that this run was assigned before.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Read from the offset that the user chose, when the group's offset was `committed`. This run has committed
    /// nothing since.
    Sought { start: i64, committed: Option<i64> },
    /// Read from the committed offset or from where `auto.offset.reset` said. This run has committed nothing since.
    Uncommitted { start: i64 },
    /// This run has committed an offset.
    Committed,
}

/// The start of each partition in this run, over all rebalances and, with `--resilient`, over all clients that are
/// opened one after another. A partition that comes back before this run has committed an offset of it is read again
/// from its first start, so that no record is skipped and no position is lost, however the partition went.
pub struct Starts {
    sought: Box<Seek>,
    known: Mutex<HashMap<TopicPartition, Known>>,
}

type Seek = dyn Fn(&TopicPartition) -> Option<i64> + Send + Sync;

impl Starts {
    /// `sought` gives the offset that the user wants a partition read from when it is assigned for the first time;
    /// `None` where the committed offset counts, else `auto.offset.reset`.
    pub fn new(sought: impl Fn(&TopicPartition) -> Option<i64> + Send + Sync + 'static) -> Self {
        Self { sought: Box::new(sought), known: Mutex::default() }
    }

    /// Starts at the committed offsets everywhere.
    pub fn stored() -> Self {
        Self::new(|_| None)
    }

    /// Where to read a partition from that was just assigned, given the group's committed offset.
    pub fn start(&self, tp: &TopicPartition, committed: Option<i64>) -> Start {
        let mut all = lock(&self.known);
        let known = match all.get(tp) {
            Some(known) => Some(*known),
            None => (self.sought)(tp).map(|start| Known::Sought { start, committed }),
        };
        let (known, start) = match (known, committed) {
            // With another committed offset than before, another member has read the partition meanwhile.
            (Some(sought @ Known::Sought { start, committed: before }), now)
                if now.is_none() || now == before =>
            {
                (sought, Start::At(start, StartOrigin::User))
            }
            (_, Some(start)) => (Known::Uncommitted { start }, Start::At(start, StartOrigin::Committed)),
            (Some(known @ Known::Uncommitted { start }), None) => {
                (known, Start::At(start, StartOrigin::Reset))
            }
            (known, None) => return Start::Reset { was_deleted: known.is_some() },
        };
        all.insert(tp.clone(), known);
        start
    }

    /// The offset to read a partition from that was just assigned, while nobody tells the committed one: only a choice
    /// of the user's is known then.
    pub fn start_unasked(&self, tp: &TopicPartition) -> Option<i64> {
        match lock(&self.known).get(tp) {
            Some(Known::Sought { start, .. }) => Some(*start),
            Some(Known::Uncommitted { .. } | Known::Committed) => None,
            None => (self.sought)(tp),
        }
    }

    /// Notes what [`Start::Reset`] came to.
    pub fn note_reset(&self, tp: &TopicPartition, start: i64) {
        lock(&self.known).insert(tp.clone(), Known::Uncommitted { start });
    }

    /// Notes that this run has committed an offset of the partition.
    pub fn note_committed(&self, tp: &TopicPartition) {
        lock(&self.known).insert(tp.clone(), Known::Committed);
    }
}

impl fmt::Debug for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starts").field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::StartOrigin::{Committed, Reset, User};
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn starts(sought: Option<i64>) -> Starts {
        Starts::new(move |_| sought)
    }

    #[test]
    fn the_committed_offset_counts_unless_the_user_chose_another() {
        let plain = Starts::stored();
        assert_eq!(plain.start_unasked(&tp(0)), None);
        assert_eq!(plain.start(&tp(0), Some(7)), Start::At(7, Committed));
        assert_eq!(plain.start(&tp(1), None), Start::Reset { was_deleted: false });
        let sought = starts(Some(3));
        assert_eq!(sought.start_unasked(&tp(0)), Some(3));
        assert_eq!(sought.start(&tp(0), Some(7)), Start::At(3, User));
    }

    #[test]
    fn a_partition_that_comes_back_uncommitted_is_read_from_its_first_start() {
        let sought = starts(Some(3));
        for committed in [Some(9), Some(9), None] {
            assert_eq!(sought.start(&tp(0), committed), Start::At(3, User));
        }
        assert_eq!(sought.start_unasked(&tp(0)), Some(3));
        let reset = Starts::stored();
        assert_eq!(reset.start(&tp(0), None), Start::Reset { was_deleted: false });
        reset.note_reset(&tp(0), 40);
        assert_eq!(reset.start(&tp(0), None), Start::At(40, Reset), "not from the end as it is now");
    }

    #[test]
    fn a_partition_that_comes_back_committed_goes_on_from_there() {
        let own = starts(Some(3));
        own.start(&tp(0), Some(9));
        own.note_committed(&tp(0));
        assert_eq!(own.start_unasked(&tp(0)), None);
        // Even the offset that was there before: this run may have come to it.
        assert_eq!(own.start(&tp(0), Some(9)), Start::At(9, Committed));
        let others = starts(Some(3));
        others.start(&tp(0), Some(9));
        assert_eq!(others.start(&tp(0), Some(12)), Start::At(12, Committed), "another member has read it");
        let first = starts(Some(3));
        first.start(&tp(0), None);
        assert_eq!(first.start(&tp(0), Some(12)), Start::At(12, Committed));
    }

    #[test]
    fn a_committed_offset_that_is_gone_is_told() {
        let starts = Starts::stored();
        starts.start(&tp(0), Some(7));
        starts.note_committed(&tp(0));
        assert_eq!(starts.start(&tp(0), None), Start::Reset { was_deleted: true });
    }
}
