//! The publisher: chooses partitions, queues records there, tells outcomes.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::convert;
use super::driver::{Driver, Outcome, Outcomes, Placed, Shared};
use super::losses::Losses;
use super::queue::{Cut, Held, Queue, record_size};
use crate::backends::mailbox::lock;
use crate::backends::partitioner::{Partitioner, Strategy};
use crate::backends::{
    Error, ErrorKind, Fate, Publisher, ReportSink, Result, Waker, too_large, unknown_partition, unknown_topic,
};
use crate::record::{Batch, Span};

/// Refused records to keep before the next `poll` tells of them.
const REFUSED_MAX: usize = 10_000;
/// When a topic that could not be looked up for want of a broker is looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long the runtime may take to stop: as long as a parcel takes to encode.
const STOP: Duration = Duration::from_secs(1);

/// How records are distributed.
#[derive(Debug, Clone, Copy)]
pub(super) struct RouteConfig {
    pub(super) cut: Cut,
    pub(super) strategy: Strategy,
    /// The largest record, in bytes.
    pub(super) max_record: usize,
    /// Ask for topics in a way that creates them.
    pub(super) create: bool,
    /// The partition of all records that name none.
    pub(super) partition: Option<i32>,
    /// How often the number of partitions is asked for again.
    pub(super) refresh: Duration,
}

/// rskafka behind the seam.
#[derive(Debug)]
pub(super) struct RskafkaPublisher {
    router: Router,
    shared: Arc<Shared>,
    /// The batch last offered, while some of it is on its way.
    held: Weak<Held>,
    refused: Vec<Refused>,
    /// Records taken and not told of.
    owed: usize,
    losses: Losses,
    sorting: Sorting,
}

/// Whether the user knows that headers lost their order.
#[derive(Debug, PartialEq, Eq)]
enum Sorting {
    /// No record has shown it yet.
    Unseen,
    /// To be told.
    Seen,
    Told,
}

#[derive(Debug)]
struct Refused {
    held: Arc<Held>,
    index: usize,
    error: Error,
}

/// Bytes of records without a key that go to one partition before the next: the Java client's default
/// batch.size (KIP-794). Batches are larger all the same, since they fill side by side.
const STICKY_BYTES: usize = 16 << 10;

impl RskafkaPublisher {
    /// Connects and looks up the topic.
    ///
    /// # Errors
    /// `Unreachable`, `UnknownTopic` (also for a partition out of range), `Authorization`.
    pub(super) fn open(
        runtime: Runtime,
        shared: Arc<Shared>,
        config: RouteConfig,
        topic: Option<&str>,
    ) -> Result<Self> {
        let mut router = Router {
            topics: Vec::new(),
            names: HashMap::new(),
            counts: Arc::default(),
            config,
            shared: Arc::clone(&shared),
            runtime: Some(runtime),
        };
        router.block_on(shared.cluster.open())?;
        match topic {
            Some(topic) => router.open_topic(topic)?,
            // Its place is kept: records without a topic of their own are refused by it.
            None => {
                router.add("", Err(Error::new(ErrorKind::UnknownTopic, "the record names no topic")));
            }
        }
        router.keep_counts_fresh();
        Ok(Self {
            router,
            shared,
            held: Weak::new(),
            refused: Vec::new(),
            owed: 0,
            losses: Losses::default(),
            sorting: Sorting::Unseen,
        })
    }

    fn hold(&mut self, batch: &Arc<Batch>) -> Option<Arc<Held>> {
        if let Some(held) = self.held.upgrade().filter(|held| Arc::ptr_eq(&held.batch, batch)) {
            return Some(held);
        }
        let held = self.shared.limits.hold(batch)?;
        self.held = Arc::downgrade(&held);
        Some(held)
    }

    fn tell(&mut self, outcome: &Outcome, sink: &mut dyn ReportSink) {
        for (i, (held, index)) in outcome.parcel.records().enumerate() {
            match &outcome.result {
                Ok(placed) => tell_placed(outcome, placed, i, held, index, sink),
                Err((fate, error)) => {
                    tell_undelivered(
                        &outcome.queue.topic,
                        outcome.queue.partition,
                        held,
                        index,
                        *fate,
                        error,
                        sink,
                    );
                }
            }
        }
        if outcome.result.is_err() {
            self.owed -= outcome.parcel.records;
        }
    }

    fn tell_all(&mut self, outcomes: Outcomes, sink: &mut dyn ReportSink) {
        for notice in outcomes.notices {
            if let Some(notice) = self.losses.note(notice, Instant::now()) {
                sink.notice(&notice);
            }
        }
        if outcomes.resent > 0 {
            sink.resent(outcomes.resent);
        }
        if outcomes.delivered > 0 {
            self.owed -= outcomes.delivered as usize;
            sink.delivered(outcomes.delivered, outcomes.payload);
        }
        for outcome in outcomes.told {
            self.tell(&outcome, sink);
        }
    }

    fn tell_refused(&mut self, sink: &mut dyn ReportSink) {
        let topic = self.router.default_topic();
        for Refused { held, index, error } in mem::take(&mut self.refused) {
            self.owed -= 1;
            tell_undelivered(&topic, -1, &held, index, Fate::Failed, &error, sink);
        }
    }

    /// Tells of everything that is still without an outcome.
    fn abandon(&mut self, sink: &mut dyn ReportSink) {
        self.router.stop();
        for queue in self.router.queues() {
            for parcel in queue.abandon() {
                let sent = parcel.in_doubt.load(Ordering::Acquire);
                let fate = if sent { Fate::Unknown } else { Fate::Failed };
                let error = Error::new(ErrorKind::TimedOut, format!("{queue}: not acknowledged in time"));
                let outcome = Outcome { queue: Arc::clone(&queue), parcel, result: Err((fate, error)) };
                self.tell(&outcome, sink);
            }
        }
    }
}

impl Publisher for RskafkaPublisher {
    fn waker(&self) -> Waker {
        self.shared.outcomes.waker()
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        let Some(held) = self.hold(batch) else { return Ok(0) };
        let now = Instant::now();
        self.router.new_round();
        let mut taken = 0;
        for (index, span) in batch.spans().iter().enumerate().take(records.end).skip(records.start) {
            let size = record_size(batch, span);
            if !self.shared.limits.have_room(size) {
                self.router.queues().iter().for_each(|queue| queue.hurry());
                break;
            }
            if self.refused.len() >= REFUSED_MAX {
                break;
            }
            match self.router.route(batch, span, size) {
                Ok(queue) => {
                    if self.sorting == Sorting::Unseen && !convert::keeps_order(batch, span) {
                        self.sorting = Sorting::Seen;
                    }
                    self.shared.limits.take(size);
                    queue.push(&held, index, size, now);
                }
                Err(error) => self.refused.push(Refused { held: Arc::clone(&held), index, error }),
            }
            taken += 1;
        }
        self.owed += taken;
        Ok(taken)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        let wait = if self.refused.is_empty() { wait } else { Duration::ZERO };
        if self.sorting == Sorting::Seen {
            self.sorting = Sorting::Told;
            sink.warn("rskafka sorts the headers of a record by name: --library rdkafka keeps their order");
        }
        self.tell_refused(sink);
        let outcomes = self.shared.outcomes.take(wait);
        self.tell_all(outcomes, sink);
        Ok(self.owed)
    }

    fn flush(&mut self) {
        self.router.queues().iter().for_each(|queue| queue.flush());
    }

    fn close(mut self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        self.router.queues().iter().for_each(|queue| queue.flush());
        while self.owed > 0 {
            let left = deadline().saturating_duration_since(Instant::now());
            self.poll(left, sink)?;
            if left.is_zero() {
                break;
            }
        }
        self.abandon(sink);
        self.poll(Duration::ZERO, sink).map(|_| ())
    }
}

fn tell_placed(
    outcome: &Outcome,
    placed: &Placed,
    i: usize,
    held: &Held,
    index: usize,
    sink: &mut dyn ReportSink,
) {
    held.batch.with_record(index, &outcome.queue.topic, |record| {
        let mut record = *record;
        record.partition = outcome.queue.partition;
        record.offset = placed.offsets.get(i).copied().unwrap_or(-1);
        if record.timestamp == -1 {
            record.timestamp = placed.stamp;
        }
        sink.placed(&record);
    });
}

fn tell_undelivered(
    topic: &str,
    partition: i32,
    held: &Held,
    index: usize,
    fate: Fate,
    error: &Error,
    sink: &mut dyn ReportSink,
) {
    let line = held.batch.spans().get(index).map_or(0, |span| span.line);
    held.batch.with_record(index, topic, |record| {
        let mut record = *record;
        if partition >= 0 {
            record.partition = partition;
        }
        sink.undelivered(&record, line, held.batch.source(), fate, error);
    });
}

/// Which queue a record goes to.
#[derive(Debug)]
struct Router {
    /// The publisher's own topic first.
    topics: Vec<Topic>,
    names: HashMap<String, usize>,
    /// Partition counts by topic, asked for again in the background.
    counts: Counts,
    config: RouteConfig,
    shared: Arc<Shared>,
    /// Taken when it is stopped.
    runtime: Option<Runtime>,
}

type Counts = Arc<Mutex<Vec<(String, Arc<AtomicI32>)>>>;

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    /// Or why its records cannot be sent.
    found: Result<Found, NotFound>,
}

#[derive(Debug)]
struct NotFound {
    kind: ErrorKind,
    text: String,
    since: Instant,
}

impl NotFound {
    /// Not worth asking again for every record.
    fn holds(&self) -> bool {
        let temporary = matches!(self.kind, ErrorKind::Unreachable | ErrorKind::TimedOut);
        !temporary || self.since.elapsed() < LOOK_AGAIN
    }
}

#[derive(Debug)]
struct Found {
    count: Arc<AtomicI32>,
    partitioner: Partitioner,
    queues: Vec<Option<Arc<Queue>>>,
}

impl Router {
    fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => Err(Error::new(ErrorKind::Other, "the publisher is closed")),
        }
    }

    fn find(&self, topic: &str) -> Result<Found> {
        let count = self.block_on(self.shared.cluster.partitions_of(topic, self.config.create))?;
        let count = Arc::new(AtomicI32::new(count));
        lock(&self.counts).push((topic.to_owned(), Arc::clone(&count)));
        let run = self.config.cut.bytes.min(STICKY_BYTES);
        let partitioner = Partitioner::new(self.config.strategy, run..=run);
        Ok(Found { count, partitioner, queues: Vec::new() })
    }

    /// The publisher's own topic, which must be there, as must the partition asked for.
    fn open_topic(&mut self, topic: &str) -> Result<()> {
        let found = self.find(topic)?;
        if let Some(partition) = self.config.partition {
            check_partition(topic, partition, found.count.load(Ordering::Relaxed))?;
        }
        self.add(topic, Ok(found));
        Ok(())
    }

    fn add(&mut self, name: &str, found: Result<Found>) -> usize {
        let not_found = |e: Error| NotFound { kind: e.kind(), text: e.to_string(), since: Instant::now() };
        self.topics.push(Topic { name: name.into(), found: found.map_err(not_found) });
        self.names.insert(name.to_owned(), self.topics.len() - 1);
        self.topics.len() - 1
    }

    fn default_topic(&self) -> Arc<str> {
        self.topics.first().map_or_else(|| "".into(), |topic| Arc::clone(&topic.name))
    }

    /// Where records without a key stick may change: what they stuck to was cut by age.
    fn new_round(&mut self) {
        for found in self.topics.iter_mut().filter_map(|topic| topic.found.as_mut().ok()) {
            for (partition, queue) in (0..).zip(&found.queues) {
                if queue.as_ref().is_some_and(|queue| queue.was_cut_early()) {
                    found.partitioner.batch_was_cut(partition);
                }
            }
        }
    }

    fn route(&mut self, batch: &Batch, span: &Span, size: usize) -> Result<&Arc<Queue>> {
        if size > self.config.max_record {
            return Err(too_large(size, self.config.max_record));
        }
        if let Some(error) = convert::refusal(batch, span) {
            return Err(error);
        }
        let at = batch.topic(span).map_or(0, |name| self.topic_at(name));
        let fixed = if span.partition >= 0 { Some(span.partition) } else { self.config.partition };
        let Some(topic) = self.topics.get_mut(at) else { return Err(unknown_topic("")) };
        let found = match &mut topic.found {
            Ok(found) => found,
            Err(why) => return Err(Error::new(why.kind, why.text.as_str())),
        };
        let count = found.count.load(Ordering::Relaxed);
        let partition = match fixed {
            Some(partition) => check_partition(&topic.name, partition, count)?,
            None => found.partitioner.partition(batch.slice(span.key), size, count),
        };
        Ok(queue(&mut found.queues, &topic.name, partition, self.config.cut, |queue| {
            let driver = Driver::new(Arc::clone(&self.shared), Arc::clone(queue));
            if let Some(runtime) = &self.runtime {
                runtime.spawn(driver.run());
            }
        }))
    }

    /// A topic that records name themselves, looked up at its first record.
    fn topic_at(&mut self, name: &str) -> usize {
        if let Some(at) = self.names.get(name)
            && self
                .topics
                .get(*at)
                .is_some_and(|topic| topic.found.as_ref().map_or_else(NotFound::holds, |_| true))
        {
            return *at;
        }
        let found = self.find(name);
        self.add(name, found)
    }

    fn queues(&self) -> Vec<Arc<Queue>> {
        let found = self.topics.iter().filter_map(|topic| topic.found.as_ref().ok());
        found.flat_map(|found| found.queues.iter().flatten().map(Arc::clone)).collect()
    }

    /// Asks for the number of partitions every `metadata.max.age.ms`: rskafka never does by itself.
    fn keep_counts_fresh(&self) {
        let (shared, counts, every) =
            (Arc::clone(&self.shared), Arc::clone(&self.counts), self.config.refresh);
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            loop {
                sleep(every.max(Duration::from_secs(1))).await;
                let Ok(topics) = shared.cluster.list().await else { continue };
                for (name, count) in lock(&counts).iter() {
                    if let Some(topic) = topics.iter().find(|topic| topic.name == *name) {
                        count.fetch_max(topic.partitions.len() as i32, Ordering::Relaxed);
                    }
                }
            }
        });
    }

    /// Ends all tasks, also one that is in the middle of something.
    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP);
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Not the runtime's own drop: that waits for a name look-up that hangs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The queue of a partition, made at its first record.
fn queue<'q>(
    queues: &'q mut Vec<Option<Arc<Queue>>>,
    topic: &Arc<str>,
    partition: i32,
    cut: Cut,
    start: impl FnOnce(&Arc<Queue>),
) -> &'q Arc<Queue> {
    let at = partition.max(0) as usize;
    if queues.len() <= at {
        queues.resize(at + 1, None);
    }
    queues[at].get_or_insert_with(|| {
        let queue = Arc::new(Queue::new(Arc::clone(topic), partition, cut));
        start(&queue);
        queue
    })
}

fn check_partition(topic: &str, partition: i32, count: i32) -> Result<i32> {
    if (0..count).contains(&partition) {
        return Ok(partition);
    }
    Err(unknown_partition(topic, partition, usize::try_from(count).unwrap_or(0)))
}
