//! Partitions that a group gives and takes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ::rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::errors;
use super::native::EventPtr;
use super::subscriber::{RdkafkaSubscriber, add};
use crate::backends::{Error, ErrorKind, RecordSink, Result, Subscriber, TopicPartition, committed_or_said};
use crate::settings::KeyId;

/// How long a look for new topics may hold up the reading.
const LOOK_WAIT: Duration = Duration::from_secs(1);

impl RdkafkaSubscriber {
    pub(super) fn assigned(
        &mut self,
        parts: Vec<(String, i32, i64)>,
        event: &EventPtr,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(parts.len());
        let (mut told, mut starts) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for (topic, partition, offset) in parts {
            let tp = TopicPartition { topic: topic.as_str().into(), partition };
            let asked = self.group.as_mut().and_then(|g| g.first_start(&tp));
            let start = asked.map_or(Offset::from_raw(offset), Offset::Offset);
            add(&mut list, &tp, start)?;
            // Before it is assigned: then no record can come over the queue of events.
            if let Some(queue) = self.client.partition_queue(&topic, partition) {
                queue.forward(&self.data);
            }
            starts.push((tp.clone(), start.to_raw().unwrap_or(offset)));
            told.push(tp);
        }
        self.put_back()?;
        self.positions.assigned(&starts);
        self.client.rebalance(Some(&list), event).map_err(|e| rebalance_failed(&e))?;
        if let Some(group) = &mut self.group {
            group.is_in = true;
        }
        sink.assigned(&told);
        Ok(())
    }

    /// Tells that the member is in the group: in KIP-848's protocol no event says so as long as it is given nothing.
    pub(super) fn tell_entered(&mut self, sink: &mut dyn RecordSink) {
        let Some(group) = self.group.as_mut().filter(|group| !group.is_in) else { return };
        if self.settings.text(KeyId::GroupProtocol) == Some("consumer") && self.client.member_epoch() > 0 {
            group.is_in = true;
            sink.assigned(&[]);
        }
    }

    pub(super) fn revoked(
        &mut self,
        parts: Vec<(String, i32, i64)>,
        event: &EventPtr,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let gone: Vec<_> = parts
            .iter()
            .map(|(t, p, _)| TopicPartition { topic: t.as_str().into(), partition: *p })
            .collect();
        let lost = self.client.assignment_lost();
        let offsets = sink.revoked(&gone, lost);
        let committed = if lost { Ok(()) } else { self.commit(&offsets) };
        self.fetched.discard(|topic, partition| parts.iter().any(|(t, p, _)| t == topic && *p == partition));
        self.positions.revoked(&gone);
        if let Some(group) = &mut self.group {
            group.is_handed_over &= !self.positions.is_empty();
        }
        self.put_back()?;
        self.client.rebalance(None, event).map_err(|e| rebalance_failed(&e))?;
        committed_or_said(committed, sink)
    }

    pub(super) fn subscribe(&self, names: &BTreeSet<String>) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for name in names {
            list.add_topic_unassigned(name);
        }
        if list.count() == 0 {
            // Joined when there is something to read.
            return Ok(());
        }
        self.client.subscribe(&list).map_err(|code| errors::error(code, "joining the group"))
    }

    /// Looks for topics that came or went, when it is time; how long to wait at most.
    pub(super) fn follow(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Duration> {
        let every = self.settings.duration(KeyId::MetadataMaxAge);
        let Some(following) = self.group.as_mut().and_then(|group| group.following.as_mut()) else {
            return Ok(wait);
        };
        if following.due_in(every).is_zero() {
            following.looked = Some(Instant::now());
            // If nobody answers it is asked again the next time.
            if let Ok(there) = self.client.metadata(None, LOOK_WAIT) {
                let names = following.matching(there.topics);
                // Without any it keeps what it has.
                if names != following.names && !names.is_empty() {
                    following.names.clone_from(&names);
                    self.hand_over(sink)?;
                    self.subscribe(&names)?;
                }
            }
        }
        let due_in =
            self.group.as_ref().and_then(|group| group.following.as_ref()).map(|it| it.due_in(every));
        Ok(due_in.map_or(wait, |due_in| wait.min(due_in)))
    }

    /// Commits what was written of all partitions before another subscription takes them away: with an eager assignor
    /// librdkafka joins again without waiting for that, and what is committed then is refused.
    fn hand_over(&mut self, sink: &mut dyn RecordSink) -> Result<()> {
        if self.positions.is_empty() || self.client.is_incremental() {
            return Ok(());
        }
        if let Some(group) = &mut self.group {
            group.is_handed_over = true;
        }
        let offsets = sink.revoked(&self.positions.assignment(), false);
        let committed = self.commit(&offsets);
        committed_or_said(committed, sink)
    }

    /// Puts partitions that are kept back to what was pushed of them, while they are held: before the answer to the
    /// event lets them go on.
    fn put_back(&mut self) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (tp, next) in self.positions.begun() {
            add(&mut list, tp, Offset::Offset(next))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        // It comes again.
        self.fetched.discard(|topic, partition| self.positions.is_begun(topic, partition));
        self.client.seek(&list).map_err(|e| rebalance_failed(&e))
    }
}

fn rebalance_failed(reason: &str) -> Error {
    Error::new(ErrorKind::Other, format!("taking an assignment: {reason}"))
}
