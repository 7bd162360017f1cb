//! Records refused because their batch was larger than the topic allows: librdkafka gives all of
//! them up, so they are sent again in halves until the one that is too large stands alone (as the
//! Java client splits batches, KIP-126).
//!
//! Nothing else is sent meanwhile, so that the order within a partition stays what it was from the
//! refused batch on.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::Batch;

/// A record of a batch.
pub(super) type Record = (Arc<Batch>, usize);

/// What was refused and is to be sent again.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Refused since the last settling, in the order of the reports.
    refused: Vec<Record>,
    /// To be sent, one group after the other.
    groups: VecDeque<Vec<Record>>,
    /// Records in the group under way; 0 when there is none.
    under_way: usize,
}

impl Split {
    /// Takes a record that was refused with its batch.
    pub(super) fn refuse(&mut self, batch: &Arc<Batch>, index: usize) {
        self.refused.push((Arc::clone(batch), index));
    }

    /// Records held here, that is, neither reported nor with the library.
    pub(super) fn len(&self) -> usize {
        self.refused.len() + self.groups.iter().map(Vec::len).sum::<usize>()
    }

    /// True while nothing else may be sent.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way > 0 || self.len() > 0
    }

    /// Once the library has nothing in flight: the record that is too large by itself, if one was
    /// found.
    pub(super) fn settle(&mut self) -> Option<Record> {
        let mut refused = std::mem::take(&mut self.refused);
        let alone = std::mem::take(&mut self.under_way) == 1;
        if alone || refused.is_empty() {
            return refused.pop();
        }
        let rest = refused.split_off(refused.len().div_ceil(2));
        if !rest.is_empty() {
            self.groups.push_front(rest);
        }
        self.groups.push_front(refused);
        None
    }

    /// The next group to send.
    pub(super) fn next_group(&mut self) -> Option<Vec<Record>> {
        let group = self.groups.pop_front()?;
        self.under_way = group.len();
        Some(group)
    }

    /// Everything held, to be reported as it is.
    pub(super) fn give_up(&mut self) -> Vec<Record> {
        let mut all = std::mem::take(&mut self.refused);
        all.extend(self.groups.drain(..).flatten());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends groups to a topic that refuses any with one of the `large` in it; returns what was
    /// taken, in order, and what was given up.
    fn run(n: usize, large: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let batch = Arc::new(Batch::default());
        let mut split = Split::default();
        (0..n).for_each(|i| split.refuse(&batch, i));
        let (mut taken, mut given_up) = (Vec::new(), Vec::new());
        while split.is_busy() {
            given_up.extend(split.settle().map(|(_, i)| i));
            let Some(group) = split.next_group() else { continue };
            if group.iter().any(|(_, i)| large.contains(i)) {
                group.iter().for_each(|(batch, i)| split.refuse(batch, *i));
            } else {
                taken.extend(group.iter().map(|(_, i)| *i));
            }
        }
        (taken, given_up)
    }

    #[test]
    fn only_the_large_ones_are_given_up_and_the_others_keep_their_order() {
        for large in [vec![], vec![0], vec![7], vec![20], vec![3, 4, 19]] {
            let (taken, given_up) = run(21, &large);
            let expected: Vec<_> = (0..21).filter(|i| !large.contains(i)).collect();
            assert_eq!(taken, expected);
            assert_eq!(given_up, large);
        }
    }

    #[test]
    fn a_record_refused_alone_in_its_batch_is_tried_once_more() {
        assert_eq!(run(1, &[0]), (vec![], vec![0]));
        assert_eq!(run(1, &[]), (vec![0], vec![]));
    }
}
