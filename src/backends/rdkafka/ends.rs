//! Partitions of which nothing came since their end was told.
//!
//! Taken in batches, the end of a partition moves librdkafka's position one offset too far (2.12.1,
//! `rd_kafka_q_serve_rkmessages`). It goes on from that position when it resumes a partition after an incremental
//! rebalance: a record would be skipped, or the whole partition read again as its offset is out of range. So these
//! partitions are put back.

use std::collections::HashMap;

/// The end of each.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<String, HashMap<i32, i64>>);

impl Ends {
    /// The partition's end was told.
    pub(super) fn reached(&mut self, topic: &str, partition: i32, end: i64) {
        match self.0.get_mut(topic) {
            Some(of) => drop(of.insert(partition, end)),
            None => drop(self.0.insert(topic.to_owned(), HashMap::from([(partition, end)]))),
        }
    }

    /// Something else came of it, or it is not read any more.
    pub(super) fn left(&mut self, topic: &str, partition: i32) {
        if let Some(of) = self.0.get_mut(topic) {
            of.remove(&partition);
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0
            .iter()
            .flat_map(|(topic, of)| of.iter().map(|(partition, end)| (topic.as_str(), *partition, *end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_partitions_at_their_end_are_put_back() {
        let mut ends = Ends::default();
        ends.reached("t", 0, 5);
        ends.reached("t", 1, 7);
        ends.reached("t", 1, 8);
        ends.left("t", 0);
        ends.left("u", 0);
        assert_eq!(ends.iter().collect::<Vec<_>>(), [("t", 1, 8)]);
    }
}
