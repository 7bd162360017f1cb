//! Partitions of which nothing came since their end was told.
//!
//! Taken in batches, the end of a partition moves librdkafka's position one offset too far (2.12.1,
//! `rd_kafka_q_serve_rkmessages`). It goes on from that position when it resumes a partition after an incremental
//! rebalance: a record would be skipped, or the whole partition read again as its offset is out of range. So these
//! partitions are put back.

use std::collections::HashMap;

/// The partitions that are read, and the end of those at their end. Its end may still be told of a partition that
/// was taken away already: that is not kept, or the next to be given it here would read it from there.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<String, HashMap<i32, Option<i64>>>);

impl Ends {
    /// The partition was assigned.
    pub(super) fn assigned(&mut self, topic: &str, partition: i32) {
        self.0.entry(topic.to_owned()).or_default().insert(partition, None);
    }

    /// It was taken away.
    pub(super) fn revoked(&mut self, topic: &str, partition: i32) {
        if let Some(of) = self.0.get_mut(topic) {
            of.remove(&partition);
        }
    }

    /// Its end was told.
    pub(super) fn reached(&mut self, topic: &str, partition: i32, end: i64) {
        self.set(topic, partition, Some(end));
    }

    /// Something else came of it.
    pub(super) fn left(&mut self, topic: &str, partition: i32) {
        self.set(topic, partition, None);
    }

    fn set(&mut self, topic: &str, partition: i32, end: Option<i64>) {
        if let Some(at) = self.0.get_mut(topic).and_then(|of| of.get_mut(&partition)) {
            *at = end;
        }
    }

    /// One that is not at its end, if there is any.
    pub(super) fn unreached(&self) -> Option<(&str, i32)> {
        let open = |of: &HashMap<i32, Option<i64>>| {
            of.iter().filter(|(_, end)| end.is_none()).map(|(partition, _)| *partition).min()
        };
        self.0.iter().find_map(|(topic, of)| Some((topic.as_str(), open(of)?)))
    }

    /// Those at their end.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        let ends = |of: &HashMap<i32, Option<i64>>| {
            of.iter().filter_map(|(partition, end)| Some((*partition, (*end)?))).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(move |(topic, of)| {
            ends(of).into_iter().map(move |(partition, end)| (topic.as_str(), partition, end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_at_its_end_is_named() {
        let mut ends = Ends::default();
        assert_eq!(ends.unreached(), None);
        (0..2).for_each(|partition| ends.assigned("t", partition));
        ends.reached("t", 0, 5);
        assert_eq!(ends.unreached(), Some(("t", 1)));
        ends.reached("t", 1, 0);
        assert_eq!(ends.unreached(), None);
        ends.left("t", 0);
        assert_eq!(ends.unreached(), Some(("t", 0)));
    }

    #[test]
    fn only_assigned_partitions_at_their_end_are_put_back() {
        let mut ends = Ends::default();
        ends.reached("t", 0, 4);
        (0..3).for_each(|partition| ends.assigned("t", partition));
        assert_eq!(ends.iter().count(), 0);
        ends.reached("t", 0, 5);
        ends.reached("t", 1, 7);
        ends.reached("t", 1, 8);
        ends.reached("t", 2, 9);
        ends.left("t", 0);
        ends.left("u", 0);
        ends.revoked("t", 2);
        // Told before it was taken away, and late.
        ends.reached("t", 2, 9);
        assert_eq!(ends.iter().collect::<Vec<_>>(), [("t", 1, 8)]);
        ends.assigned("t", 1);
        assert_eq!(ends.iter().count(), 0);
    }
}
