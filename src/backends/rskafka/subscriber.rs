//! The subscriber: partitions of one's own choice. Groups are put around it (`backends::grouped`).

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::rskafka::chrono::DateTime;
use ::rskafka::client::partition::OffsetAt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::calls::Calls;
use super::cluster::{Cluster, Link, METADATA_WAIT, pause};
use super::convert;
use super::fault::{Class, Fault};
use super::fetcher::{Assigned, Event, Fetched, Fetcher, Shared, Told, offset_of};
use crate::backends::{
    At, Error, ErrorKind, Offsets, Polled, RecordSink, Result, Starts, Subscriber, TopicPartition, Topics,
    Waker, pattern_takes, unknown_topic, without_group,
};

/// rskafka behind the seam.
#[derive(Debug)]
pub(super) struct RskafkaSubscriber {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    /// Partition counts of the topics asked for.
    known: HashMap<String, i32>,
    /// Connections made to ask for offsets, for the fetchers that come next.
    links: HashMap<TopicPartition, Link>,
    reading: HashMap<TopicPartition, Reading>,
    waiting: VecDeque<Told>,
    /// Most records of one `poll`.
    max_poll: usize,
}

#[derive(Debug)]
struct Reading {
    assigned: Arc<Assigned>,
    task: JoinHandle<()>,
}

impl RskafkaSubscriber {
    /// Connects.
    ///
    /// # Errors
    /// `Unreachable`, `Authentication`.
    pub(super) fn open(runtime: Runtime, shared: Shared, max_poll: usize) -> Result<Self> {
        runtime.block_on(shared.cluster.open())?;
        Ok(Self {
            runtime: Some(runtime),
            shared: Arc::new(shared),
            known: HashMap::new(),
            links: HashMap::new(),
            reading: HashMap::new(),
            waiting: VecDeque::new(),
            max_poll: max_poll.max(1),
        })
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let closed = || Error::new(ErrorKind::Other, "the subscriber is closed");
        Ok(self.runtime.as_ref().ok_or_else(closed)?.block_on(future))
    }

    /// Connecting to a partition of a topic that does not exist would create the topic.
    fn check_known(&mut self, partition: &TopicPartition) -> Result<()> {
        let known = self.known.get(&*partition.topic).copied();
        if known.is_none_or(|count| partition.partition >= count) {
            self.partitions(&Topics::Names(vec![partition.topic.to_string()]))?;
        }
        let count = self.known.get(&*partition.topic).copied().unwrap_or_default();
        if (0..count).contains(&partition.partition) {
            return Ok(());
        }
        let text =
            format!("{partition} does not exist: the topic has {count} partitions (0 to {})", count - 1);
        Err(Error::new(ErrorKind::UnknownTopic, text))
    }

    /// Pushes what is first in line; `Break` when the sink wants no more or it was the end of it.
    fn push(&mut self, left: usize, sink: &mut dyn RecordSink) -> Result<(usize, ControlFlow<()>)> {
        let Some(told) = self.waiting.front_mut() else { return Ok((0, ControlFlow::Break(()))) };
        let dropped = told.from.dropped.load(Ordering::Acquire);
        if let (Event::Records(fetched), false) = (&mut told.event, dropped) {
            let (pushed, flow) = push_records(&told.from, fetched, left, sink);
            if fetched.records.len() == 0 {
                if let Some(end) = fetched.end {
                    sink.reached(&told.from.topic, told.from.partition, end);
                }
                self.waiting.pop_front();
            }
            return Ok((pushed, flow));
        }
        let Some(told) = self.waiting.pop_front() else { return Ok((0, ControlFlow::Break(()))) };
        match told.event {
            Event::Notice(notice) => sink.notice(&notice),
            _ if dropped => {}
            Event::Records(_) => {}
            Event::Reached(next) => sink.reached(&told.from.topic, told.from.partition, next),
            Event::Warn(text) => sink.warn(&text),
            Event::Failed(error) => return Err(error),
        }
        Ok((0, ControlFlow::Continue(())))
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Pushes up to `left` records, freeing each as it goes.
fn push_records(
    from: &Assigned,
    fetched: &mut Fetched,
    left: usize,
    sink: &mut dyn RecordSink,
) -> (usize, ControlFlow<()>) {
    let mut pushed = 0;
    for record in fetched.records.by_ref().take(left) {
        pushed += 1;
        if convert::lend(&record, &from.topic, from.partition, |r| sink.record(r)).is_break() {
            return (pushed, ControlFlow::Break(()));
        }
    }
    (pushed, ControlFlow::Continue(()))
}

impl Subscriber for RskafkaSubscriber {
    fn waker(&self) -> Waker {
        self.shared.mailbox.waker()
    }

    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>> {
        let mut found = Vec::new();
        match topics {
            Topics::Names(names) => {
                for name in names {
                    found.push((
                        name.clone(),
                        self.block_on(self.shared.cluster.partitions_of(name, false))??,
                    ));
                }
            }
            Topics::Pattern(pattern) => {
                let listed = self.block_on(self.shared.cluster.topics())??;
                let listed = listed.into_iter().filter(|topic| pattern_takes(pattern, &topic.name));
                found.extend(listed.map(|topic| (topic.name, topic.partitions.len() as i32)));
            }
        }
        found.sort();
        found.dedup();
        self.known.extend(found.iter().cloned());
        Ok(found.iter().flat_map(|(name, count)| all_of(name, *count)).collect())
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        for (partition, _) in places {
            self.check_known(partition)?;
        }
        let mut calls = Calls::default();
        for (partition, at) in places {
            let link = self.links.get(partition).cloned();
            let (shared, partition, at) = (Arc::clone(&self.shared), partition.clone(), *at);
            calls.push(Box::pin(async move { find_offset(&shared.cluster, &partition, at, link).await }));
        }
        let answers = self.block_on(async {
            let mut answers = Vec::with_capacity(places.len());
            while let Some(answer) = calls.next().await {
                answers.push(answer);
            }
            answers
        })?;
        let mut offsets = Vec::with_capacity(places.len());
        for ((partition, _), answer) in places.iter().zip(answers) {
            let (offset, link) = answer?;
            self.links.insert(partition.clone(), link);
            offsets.push(offset);
        }
        Ok(offsets)
    }

    fn committed(&mut self, _partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        Err(without_group())
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        for (partition, _) in starts {
            self.check_known(partition)?;
        }
        for (partition, offset) in starts {
            self.unassign(std::slice::from_ref(partition))?;
            let (topic, number) = (Arc::clone(&partition.topic), partition.partition);
            let assigned = Arc::new(Assigned { topic, partition: number, dropped: AtomicBool::new(false) });
            let link = self.links.remove(partition);
            let fetcher = Fetcher::new(Arc::clone(&self.shared), Arc::clone(&assigned), *offset, link);
            let Some(runtime) = &self.runtime else { continue };
            let task = runtime.spawn(fetcher.run());
            self.reading.insert(partition.clone(), Reading { assigned, task });
        }
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for partition in partitions {
            if let Some(reading) = self.reading.remove(partition) {
                reading.assigned.dropped.store(true, Ordering::Release);
                reading.task.abort();
            }
        }
        self.waiting.retain(|told| !told.from.dropped.load(Ordering::Acquire));
        Ok(())
    }

    fn join(&mut self, _topics: &Topics, _starts: Arc<Starts>) -> Result<()> {
        Err(without_group())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.shared.mailbox.take(wait));
        }
        let mut records = 0;
        while records < self.max_poll {
            let (pushed, flow) = self.push(self.max_poll - records, sink)?;
            records += pushed;
            if flow.is_break() {
                break;
            }
        }
        let idle = self.waiting.is_empty() && !self.shared.mailbox.is_filled();
        Ok(Polled { records, idle })
    }

    fn commit(&mut self, _offsets: &Offsets) -> Result<()> {
        Err(without_group())
    }

    fn close(mut self: Box<Self>, _deadline: Instant, _sink: &mut dyn RecordSink) -> Result<()> {
        self.stop();
        Ok(())
    }
}

impl Drop for RskafkaSubscriber {
    fn drop(&mut self) {
        self.stop();
    }
}

fn all_of(topic: &str, count: i32) -> impl Iterator<Item = TopicPartition> {
    let topic: Arc<str> = topic.into();
    (0..count).map(move |partition| TopicPartition { topic: Arc::clone(&topic), partition })
}

/// Asks until there is an answer, for as long as connecting may take.
async fn find_offset(
    cluster: &Cluster,
    partition: &TopicPartition,
    at: At,
    mut link: Option<Link>,
) -> Result<(i64, Link)> {
    let start = Instant::now();
    let mut tries = 0;
    loop {
        let fault = match ask_offset(cluster, partition, at, link.take()).await {
            Ok(found) => return Ok(found),
            Err(fault) => fault,
        };
        let unknown = fault.class == Class::UnknownTopic;
        let patience = if unknown { METADATA_WAIT } else { cluster.config.connect_timeout };
        if !fault.may_pass() || start.elapsed() >= patience {
            return Err(if unknown { unknown_topic(&partition.topic) } else { fault.error(partition) });
        }
        sleep(pause(tries, cluster.config.reconnect)).await;
        tries += 1;
    }
}

async fn ask_offset(
    cluster: &Cluster,
    partition: &TopicPartition,
    at: At,
    link: Option<Link>,
) -> std::result::Result<(i64, Link), Fault> {
    let link = match link {
        Some(link) => link,
        None => cluster.link(&partition.topic, partition.partition).await?,
    };
    match offset_of(&link.client, offset_at(at), cluster.config.request_timeout).await {
        Ok(offset) => Ok((offset, link)),
        Err(fault) => {
            cluster.unlink(&link).await;
            Err(fault)
        }
    }
}

/// Times before 1970 are those of 1970: -1 and -2 mean something else in the protocol.
fn offset_at(at: At) -> OffsetAt {
    match at {
        At::Earliest => OffsetAt::Earliest,
        At::Latest => OffsetAt::Latest,
        At::Timestamp(ms) => match DateTime::from_timestamp_millis(ms.max(0)) {
            Some(time) => OffsetAt::Timestamp(time),
            None => OffsetAt::Latest,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_not_taken_for_the_ends_of_the_partition() {
        for ms in [-2, -1, 0] {
            assert_eq!(offset_at(At::Timestamp(ms)), OffsetAt::Timestamp(DateTime::UNIX_EPOCH), "{ms}");
        }
        assert_eq!(offset_at(At::Timestamp(i64::MAX)), OffsetAt::Latest);
    }
}
