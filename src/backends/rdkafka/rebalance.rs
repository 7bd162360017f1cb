//! Partitions that a group gives and takes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::errors;
use super::native::EventPtr;
use super::positions::NONE;
use super::subscriber::{RdkafkaSubscriber, add};
use crate::backends::{
    At, Error, ErrorKind, Offsets, RecordSink, Result, Start, StartOrigin, Subscriber, TopicPartition,
    committed_offset_deleted, committed_or_said,
};
use crate::settings::KeyId;

/// How long a look for new topics or committed offsets may hold up the reading.
const LOOK_WAIT: Duration = Duration::from_secs(1);

impl RdkafkaSubscriber {
    pub(super) fn assigned(
        &mut self,
        parts: Vec<(String, i32, i64)>,
        event: &EventPtr,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(parts.len());
        let tp = |(topic, partition, _): &(String, i32, i64)| TopicPartition {
            topic: topic.as_str().into(),
            partition: *partition,
        };
        let told: Vec<_> = parts.iter().map(tp).collect();
        let known = self.starts_of(&told, sink);
        let mut starts = Offsets::new();
        for (tp, known) in told.iter().zip(&known) {
            // librdkafka looks the committed offset up by itself, with the epoch that it was committed in.
            let own = known.filter(|(_, origin)| *origin != StartOrigin::Committed);
            let start = own.map_or(Offset::Invalid, |(start, _)| Offset::Offset(start));
            add(&mut list, tp, start)?;
            // Before it is assigned: then no record can come over the queue of events.
            if let Some(queue) = self.client.partition_queue(&tp.topic, tp.partition) {
                queue.forward(&self.data);
            }
            starts.push((tp.clone(), start.to_raw().unwrap_or(NONE)));
        }
        self.put_back()?;
        self.positions.assigned(&starts);
        self.client.rebalance(Some(&list), event).map_err(|e| rebalance_failed(&e))?;
        if let Some(group) = &mut self.group {
            group.is_in = true;
        }
        sink.assigned(&told);
        for (tp, (start, origin)) in told.iter().zip(known).filter_map(|(tp, known)| Some((tp, known?))) {
            sink.started(tp, start, origin);
        }
        Ok(())
    }

    /// Where these partitions start and who chose that, as far as it can be learned now; the rest is left to librdkafka.
    fn starts_of(
        &self,
        partitions: &[TopicPartition],
        sink: &mut dyn RecordSink,
    ) -> Vec<Option<(i64, StartOrigin)>> {
        let Some(starts) = self.group.as_ref().map(|group| Arc::clone(&group.starts)) else {
            return vec![None; partitions.len()];
        };
        let Ok(committed) = self.committed_within(partitions, LOOK_WAIT) else {
            let sought = |tp| Some((starts.start_unasked(tp)?, StartOrigin::User));
            return partitions.iter().map(sought).collect();
        };
        let found: Vec<_> = partitions.iter().zip(committed).map(|(tp, at)| starts.start(tp, at)).collect();
        let is_reset = |start: &Start| matches!(start, Start::Reset { .. });
        let open = partitions.iter().zip(&found).filter(|(_, start)| is_reset(start));
        let open: Vec<_> = open.map(|(tp, _)| tp.clone()).collect();
        let mut resets = self.reset_offsets(&open).into_iter();
        let start = |(tp, start): (&TopicPartition, Start)| match start {
            Start::At(start, origin) => Some((start, origin)),
            Start::Reset { was_deleted } => {
                let reset = resets.next()?;
                if was_deleted {
                    let policy = self.settings.text(KeyId::AutoOffsetReset).unwrap_or_default();
                    sink.warn(&committed_offset_deleted(tp, policy));
                }
                starts.note_reset(tp, reset);
                Some((reset, StartOrigin::Reset))
            }
        };
        partitions.iter().zip(found).map(start).collect()
    }

    /// Where `auto.offset.reset` has these start; none if nobody tells. librdkafka finds that out by itself as well, but
    /// then waits for 100 ms before it asks for the beginning or the end (`rd_kafka_offset_reset`), and partitions were
    /// read from there again when a rebalance fell into that time (2 of 30 runs on a busy machine).
    fn reset_offsets(&self, partitions: &[TopicPartition]) -> Vec<i64> {
        let reset = match self.settings.text(KeyId::AutoOffsetReset) {
            Some("earliest") => At::Earliest,
            Some("latest") => At::Latest,
            _ => return Vec::new(),
        };
        let places: Vec<_> = partitions.iter().map(|tp| (tp.clone(), reset)).collect();
        let found = self.ask_offsets(&places, LOOK_WAIT).unwrap_or_default();
        let known = |found: Offset| if let Offset::Offset(n) = found { Some(n) } else { None };
        found.into_iter().map(known).collect::<Option<_>>().unwrap_or_default()
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
