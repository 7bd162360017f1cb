//! The subscriber as the command sees it.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::TOPIC_WAIT;
use super::driver::{FAREWELL, Limits, Order};
use super::frame::{Assigned, Told};
use super::inbox::Inbox;
use super::reader::{Read, Reader, Taker};
use crate::backends::wired::errors;
use crate::backends::{
    At, Error, ErrorKind, Offsets, Polled, RecordSink, Result, Starts, Subscriber, TopicPartition, Topics,
    Waker, pattern_takes, unknown_partition, unknown_topic, without_group,
};
use crate::wire::ErrorCode;
use crate::wire::net::{self, Cluster, FoundOffset, Isolation, OffsetQuery, Topic};
use crate::wire::records::Checksums;

/// What a subscriber is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) runtime: Runtime,
    pub(super) cluster: Cluster,
    pub(super) orders: UnboundedSender<Order>,
    pub(super) inbox: Inbox,
    pub(super) checksums: Checksums,
    pub(super) isolation: Isolation,
    pub(super) limits: Limits,
    /// Most records of one `poll`.
    pub(super) max_poll: usize,
}

/// Our own client behind the seam.
#[derive(Debug)]
pub(super) struct NativeSubscriber {
    runtime: Option<Runtime>,
    cluster: Cluster,
    orders: UnboundedSender<Order>,
    inbox: Inbox,
    limits: Limits,
    isolation: Isolation,
    max_poll: usize,
    assigned: HashMap<TopicPartition, Arc<Assigned>>,
    waiting: VecDeque<Told>,
    reader: Reader,
}

/// The deadline of something that starts now.
fn within(wait: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + wait
}

impl NativeSubscriber {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { runtime, cluster, orders, inbox, checksums, isolation, limits, max_poll } = parts;
        Self {
            runtime: Some(runtime),
            cluster,
            orders,
            inbox,
            limits,
            isolation,
            max_poll,
            assigned: HashMap::new(),
            waiting: VecDeque::new(),
            reader: Reader::new(checksums, isolation),
        }
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        self.runtime.as_ref().map(|runtime| runtime.block_on(future)).ok_or_else(closed)
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).map_err(|_| closed())
    }

    /// A topic as it is now, waited for in case that it was just created.
    fn named(&self, name: &str) -> Result<Arc<Topic>> {
        let cluster = &self.cluster;
        let asked = self.block_on(async {
            cluster.refresh(&[name], within(self.limits.connect)).await?;
            cluster.topic(name, within(TOPIC_WAIT)).await
        })?;
        asked.map_err(|why| match errors::kind(&why) {
            ErrorKind::UnknownTopic => unknown_topic(name),
            _ => errors::error(format_args!("topic {name}"), &why),
        })
    }

    fn matching(&self, pattern: &regex::Regex) -> Result<Vec<Arc<Topic>>> {
        let listed = self.block_on(self.cluster.refresh_all(within(self.limits.connect)))?;
        let listed = listed.map_err(|why| errors::error("listing topics", &why))?;
        let taken =
            listed.topics().filter(|topic| topic.error.is_none() && pattern_takes(pattern, &topic.name));
        Ok(taken.cloned().collect())
    }

    fn check_known(&self, of: &TopicPartition) -> Result<()> {
        let is_there = |topic: &Topic| topic.partition(of.partition).is_some();
        if self.cluster.metadata().topic(&of.topic).is_some_and(|topic| is_there(topic)) {
            return Ok(());
        }
        let topic = self.named(&of.topic)?;
        if is_there(&topic) {
            return Ok(());
        }
        Err(unknown_partition(&of.topic, of.partition, topic.partitions.len()))
    }

    /// The offsets of these times; none where no record is that late.
    fn ask_offsets(&self, places: &[(&TopicPartition, i64)]) -> Result<Vec<Option<i64>>> {
        let query = |(tp, timestamp): &(&TopicPartition, i64)| OffsetQuery {
            topic: Arc::clone(&tp.topic),
            partition: tp.partition,
            timestamp: *timestamp,
        };
        let queries: Vec<OffsetQuery> = places.iter().map(query).collect();
        let deadline = within(self.limits.connect);
        let found = self.block_on(self.cluster.list_offsets(&queries, self.isolation, deadline))?;
        let found = found.map_err(|why| offsets_failed(places, &why))?;
        let offset =
            |((tp, _), found): (&(&TopicPartition, i64), std::result::Result<FoundOffset, ErrorCode>)| {
                found.map(|found| found.offset).map_err(|code| offset_refused(tp, code))
            };
        places.iter().zip(found).map(offset).collect()
    }

    /// Deals with what is first in line.
    fn next(&mut self, taker: &mut Taker<'_>) -> Result<ControlFlow<()>> {
        if self.reader.is_busy() {
            return match self.reader.push(taker) {
                Read::All => Ok(ControlFlow::Continue(())),
                Read::Enough => Ok(ControlFlow::Break(())),
                Read::Bad(tp, error) => {
                    self.unassign(&[tp])?;
                    Err(error)
                }
            };
        }
        match self.waiting.pop_front() {
            None => return Ok(ControlFlow::Break(())),
            Some(Told::Frame(frame)) => self.reader.begin(frame),
            Some(Told::Warn(text)) => taker.sink.warn(&text),
            Some(Told::Notice(notice)) => taker.sink.notice(&notice),
            Some(Told::Reached(of, next)) if !of.is_dropped() => {
                taker.sink.reached(&of.tp.topic, of.tp.partition, next);
            }
            Some(Told::Failed(of, error)) if !of.is_dropped() => return Err(error),
            Some(Told::Reached(..) | Told::Failed(..)) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Subscriber for NativeSubscriber {
    fn waker(&self) -> Waker {
        self.inbox.waker()
    }

    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>> {
        let found: Vec<Arc<Topic>> = match topics {
            Topics::Names(names) => names.iter().map(|name| self.named(name)).collect::<Result<_>>()?,
            Topics::Pattern(pattern) => self.matching(pattern)?,
        };
        let mut all: Vec<TopicPartition> = found.iter().flat_map(|topic| all_of(topic)).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        for (tp, _) in places {
            self.check_known(tp)?;
        }
        let asked: Vec<_> = places.iter().map(|(tp, at)| (tp, timestamp(*at))).collect();
        let mut found = self.ask_offsets(&asked)?;
        // After the last record there is only the end.
        let late: Vec<usize> =
            found.iter().enumerate().filter(|(_, offset)| offset.is_none()).map(|(at, _)| at).collect();
        if !late.is_empty() {
            let ends: Vec<_> = late.iter().filter_map(|at| Some((asked.get(*at)?.0, END))).collect();
            for (at, end) in late.into_iter().zip(self.ask_offsets(&ends)?) {
                if let Some(place) = found.get_mut(at) {
                    *place = end;
                }
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    fn committed(&mut self, _partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        Err(without_group())
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        for (tp, _) in starts {
            self.check_known(tp)?;
        }
        let mut new = Vec::with_capacity(starts.len());
        for (tp, offset) in starts {
            let assigned = Assigned::new(tp.clone());
            if let Some(old) = self.assigned.insert(tp.clone(), Arc::clone(&assigned)) {
                old.drop_it();
            }
            new.push((assigned, *offset));
        }
        self.order(Order::Assign(new))
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for tp in partitions {
            if let Some(assigned) = self.assigned.remove(tp) {
                assigned.drop_it();
            }
        }
        self.order(Order::Unassign(partitions.to_vec()))
    }

    fn join(&mut self, _topics: &Topics, _starts: Arc<Starts>) -> Result<()> {
        Err(without_group())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        if !self.reader.is_busy() && self.waiting.is_empty() {
            let Self { runtime, inbox, waiting, .. } = self;
            let runtime = runtime.as_ref().ok_or_else(closed)?;
            runtime.block_on(inbox.take(wait, waiting));
        }
        let mut taker = Taker { sink, left: self.max_poll, has_enough: false };
        while !taker.has_enough && self.next(&mut taker)?.is_continue() {}
        let records = self.max_poll - taker.left;
        let idle = !self.reader.is_busy() && self.waiting.is_empty() && self.inbox.is_empty();
        Ok(Polled { records, idle })
    }

    fn commit(&mut self, _offsets: &Offsets) -> Result<()> {
        Err(without_group())
    }

    fn close(mut self: Box<Self>, _deadline: Instant, _sink: &mut dyn RecordSink) -> Result<()> {
        let (done, left) = oneshot::channel();
        if self.order(Order::Leave(done)).is_ok() {
            let _ = self.block_on(async { timeout(FAREWELL, left).await })?;
        }
        self.stop();
        Ok(())
    }
}

impl Drop for NativeSubscriber {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The time that stands for the end of a partition.
const END: i64 = -1;
/// The time that stands for its beginning.
const BEGINNING: i64 = -2;

/// Times before 1970 are those of 1970: -1 and -2 mean something else in the protocol.
fn timestamp(at: At) -> i64 {
    match at {
        At::Earliest => BEGINNING,
        At::Latest => END,
        At::Timestamp(ms) => ms.max(0),
    }
}

fn all_of(topic: &Topic) -> impl Iterator<Item = TopicPartition> {
    topic
        .partitions
        .iter()
        .map(|partition| TopicPartition { topic: Arc::clone(&topic.name), partition: partition.index })
}

fn offset_refused(tp: &TopicPartition, code: ErrorCode) -> Error {
    match errors::code_kind(code) {
        ErrorKind::UnknownTopic => unknown_topic(&tp.topic),
        _ => errors::of_code(tp, code, None),
    }
}

/// Not all offsets were found in time.
fn offsets_failed(places: &[(&TopicPartition, i64)], why: &net::Error) -> Error {
    match places {
        [(tp, _), ..] if errors::kind(why) == ErrorKind::UnknownTopic => unknown_topic(&tp.topic),
        [(tp, _)] => errors::error(tp, why),
        _ => errors::error("listing offsets", why),
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Other, "the subscriber is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_not_taken_for_the_ends_of_the_partition() {
        for ms in [-3, -2, -1, 0] {
            assert_eq!(timestamp(At::Timestamp(ms)), 0, "{ms}");
        }
        assert_eq!(timestamp(At::Timestamp(i64::MAX)), i64::MAX);
    }
}
