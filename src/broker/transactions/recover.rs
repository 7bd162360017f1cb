//! What is done at the start: decisions that were not carried out to their end are, and transactions that
//! no one can end any more are aborted.

use super::super::groups::Decision;
use super::super::node::{Node, blocking};
use super::super::storage::{self, Topic};
use super::{Producer, Surroundings};

/// Brings transactions and logs together. What fails is told in the log, and tried again later.
pub(in crate::broker) fn recover(node: &Node, now: i64) {
    node.transactions.tick(node, now);
    for topic in node.storage.topics() {
        if let Err(error) = abort_orphans(node, &topic, now) {
            node.log(format_args!("a transaction in {} stays open: {error}", topic.name()));
        }
    }
}

/// Aborts what is open in a topic without a transaction that it is part of: a power cut can take the
/// journal's last changes and leave the records.
fn abort_orphans(node: &Node, topic: &Topic, now: i64) -> storage::Result<()> {
    let known = node.transactions.open();
    for (number, partition) in (0..).zip(topic.partitions()) {
        let open: Vec<_> = blocking(|| partition.lock().open_transactions().collect());
        for (id, epoch, _) in open.into_iter().filter(|(id, ..)| !known.contains(&(*id, topic.id(), number)))
        {
            node.log(format_args!("{}-{number}: aborted what producer {id} had left open", topic.name()));
            node.mark(topic.id(), number, Producer { id, epoch }, Decision::Abort, now)?;
        }
    }
    Ok(())
}
