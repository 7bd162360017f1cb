//! Sequence numbers of an idempotent producer for one partition (KIP-98, KIP-360), as Java's
//! `TransactionManager` keeps them. Epochs are the broker's own for each partition, so each partition
//! here counts its own.

use crate::wire::records::{Producer, Transaction};

/// A producer's id, and the epoch it is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What a batch is known by to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) identity: Identity,
    /// The first record's number.
    pub(super) base: i32,
}

impl Stamp {
    /// That of the records from number `n` of the batch on.
    pub(super) fn after(self, n: usize) -> Self {
        Self { base: add(self.base, n), ..self }
    }

    pub(super) fn producer(self) -> Producer {
        let Identity { id, epoch } = self.identity;
        Producer { id, epoch, base_sequence: self.base, transaction: Transaction::Outside }
    }
}

/// A sequence number so many further on; they go round after `i32::MAX`.
fn add(sequence: i32, n: usize) -> i32 {
    ((i64::from(sequence) + n as i64) & i64::from(i32::MAX)) as i32
}

/// The numbers of one partition.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    identity: Option<Identity>,
    /// An id all of whose epochs were used.
    spent: Option<i64>,
    next: i32,
    /// What follows the last acknowledged batch.
    acknowledged: i32,
    /// A batch with this id was written. Before that the broker takes any number for the first, so that a
    /// later batch could come before one that is to be sent again.
    known: bool,
    /// A batch was given up that may have been written: whether the numbers after it are right shows when those
    /// already numbered are answered.
    unresolved: bool,
}

impl Sequences {
    /// Numbers the next `records`; none while there is no producer id.
    pub(super) fn assign(&mut self, records: usize, given: Option<Identity>) -> Option<Stamp> {
        if self.identity.is_none() {
            self.identity = given.filter(|given| self.spent != Some(given.id));
        }
        let stamp = Stamp { identity: self.identity?, base: self.next };
        self.next = add(self.next, records);
        Some(stamp)
    }

    /// Whether no id can be used that is not newer than `given`.
    pub(super) fn needs_other_than(&self, given: Option<Identity>) -> bool {
        self.identity.is_none() && given.is_none_or(|given| self.spent == Some(given.id))
    }

    /// A batch was written.
    pub(super) fn acknowledge(&mut self, stamp: Stamp, records: usize) {
        if self.identity == Some(stamp.identity) {
            self.acknowledged = stamp.after(records).base;
            self.known = true;
        }
    }

    /// Whether the broker holds new batches against earlier ones.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// A batch was given up of which it is not known whether it was written.
    pub(super) fn doubt(&mut self) {
        self.unresolved = true;
    }

    pub(super) fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// Nothing that has a number is under way any more. True if the numbers go on without a gap.
    pub(super) fn resolve(&mut self) -> bool {
        self.unresolved = false;
        self.acknowledged == self.next
    }

    /// Starts again from 0 in the next epoch: what was sent in this one and has not arrived is refused from now on.
    pub(super) fn bump(&mut self) {
        let (identity, spent) = match self.identity {
            Some(Identity { id, epoch: i16::MAX }) => (None, Some(id)),
            Some(Identity { id, epoch }) => (Some(Identity { id, epoch: epoch + 1 }), self.spent),
            None => (None, self.spent),
        };
        let known = self.known && identity.is_some();
        *self = Self { identity, spent, known, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Identity = Identity { id: 7, epoch: 0 };

    #[test]
    fn numbers_follow_each_other_and_go_round() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.assign(5, None), None);
        assert_eq!(sequences.assign(5, Some(GIVEN)).unwrap().base, 0);
        assert_eq!(sequences.assign(1, None).unwrap(), Stamp { identity: GIVEN, base: 5 });
        sequences.next = i32::MAX;
        assert_eq!(sequences.assign(3, None).unwrap().base, i32::MAX);
        assert_eq!(sequences.assign(1, None).unwrap().base, 2);
    }

    #[test]
    fn a_bump_starts_from_0_in_the_next_epoch() {
        let mut sequences = Sequences::default();
        sequences.assign(5, Some(GIVEN));
        sequences.bump();
        let stamp = sequences.assign(1, Some(GIVEN)).unwrap();
        assert_eq!((stamp.identity.epoch, stamp.base), (1, 0));
    }

    #[test]
    fn after_the_last_epoch_another_id_is_needed() {
        let mut sequences = Sequences::default();
        let last = Identity { epoch: i16::MAX, ..GIVEN };
        sequences.assign(5, Some(last));
        sequences.bump();
        assert_eq!(sequences.assign(1, Some(GIVEN)), None);
        assert!(sequences.needs_other_than(Some(GIVEN)));
        let other = Identity { id: 8, epoch: 0 };
        assert!(!sequences.needs_other_than(Some(other)));
        assert_eq!(sequences.assign(1, Some(other)), Some(Stamp { identity: other, base: 0 }));
    }

    #[test]
    fn a_gap_shows_once_all_are_answered() {
        let mut sequences = Sequences::default();
        let first = sequences.assign(5, Some(GIVEN)).unwrap();
        let second = sequences.assign(5, None).unwrap();
        sequences.acknowledge(first, 5);
        sequences.doubt();
        assert!(sequences.is_unresolved());
        assert!(!sequences.resolve());
        sequences.acknowledge(second, 5);
        assert!(sequences.resolve());
    }

    #[test]
    fn answers_of_an_earlier_epoch_say_nothing() {
        let mut sequences = Sequences::default();
        let old = sequences.assign(5, Some(GIVEN)).unwrap();
        sequences.bump();
        sequences.assign(5, None);
        sequences.acknowledge(old, 5);
        assert_eq!(sequences.acknowledged, 0);
    }

    #[test]
    fn an_id_is_known_once_something_was_written_with_it() {
        let mut sequences = Sequences::default();
        let first = sequences.assign(5, Some(GIVEN)).unwrap();
        assert!(!sequences.is_known());
        sequences.acknowledge(first, 5);
        sequences.bump();
        assert!(sequences.is_known());
        sequences.identity = Some(Identity { epoch: i16::MAX, ..GIVEN });
        sequences.bump();
        assert!(!sequences.is_known());
    }
}
