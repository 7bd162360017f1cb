//! What transactions need of the broker: new ids, the journal, logs to put markers into, and the groups
//! whose offsets they carry.

use std::fmt;

use super::super::groups::Decision;
use super::super::node::Node;
use super::super::storage::{self, Change, Error};
use super::Producer;

/// What transactions need around them.
pub(in crate::broker) trait Surroundings {
    /// A producer id that no one had before.
    fn new_producer_id(&self) -> storage::Result<i64>;

    /// Makes a change in the journal.
    fn keep(&self, change: Change<'_>) -> storage::Result<()>;

    /// Writes a marker that ends a producer's transaction in a partition. One that is gone needs none.
    fn mark(
        &self,
        topic: [u8; 16],
        partition: i32,
        producer: Producer,
        decision: Decision,
        now: i64,
    ) -> storage::Result<()>;

    /// Makes the offsets that a producer sent in its transaction committed ones, or drops them, and makes
    /// the change that ends the transaction: both or none.
    fn settle(&self, producer_id: i64, decision: Decision, change: Change<'_>) -> storage::Result<()>;

    /// Tells what went wrong in the background.
    fn log(&self, line: fmt::Arguments<'_>);
}

impl Surroundings for Node {
    fn new_producer_id(&self) -> storage::Result<i64> {
        Self::new_producer_id(self)
    }

    fn keep(&self, change: Change<'_>) -> storage::Result<()> {
        self.writing(|| self.storage.journal().apply(&[change]))
    }

    fn mark(
        &self,
        topic: [u8; 16],
        partition: i32,
        producer: Producer,
        decision: Decision,
        now: i64,
    ) -> storage::Result<()> {
        let Some(topic) = self.storage.topic_by_id(topic) else { return Ok(()) };
        let commit = decision == Decision::Commit;
        let log = topic.partition(partition)?;
        match self.writing(|| log.lock().append_marker(producer.id, producer.epoch, commit, now)) {
            Ok(_) => {}
            // Deleted in this moment.
            Err(Error::UnknownTopic(_)) => return Ok(()),
            // The log has a later epoch only where no transaction was open before it.
            Err(error @ Error::InvalidProducerEpoch { .. }) => self.log(format_args!("no marker: {error}")),
            Err(error) => return Err(error),
        }
        self.waiters.wake((topic.id(), partition));
        Ok(())
    }

    fn settle(&self, producer_id: i64, decision: Decision, change: Change<'_>) -> storage::Result<()> {
        self.writing(|| {
            let ending = self.groups.end_transaction(producer_id, decision);
            let mut changes = ending.changes();
            changes.push(change);
            self.storage.journal().apply(&changes)?;
            drop(changes);
            ending.done();
            Ok(())
        })
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.options.log.line(line);
    }
}
