//! The publisher as the command sees it: appends records to the batches of their partitions, hands these
//! over when they are full or have waited long enough, tells outcomes.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::super::{STOP, TOPIC_WAIT};
use super::driver::Order;
use super::lines::{Origin, Timed};
use super::outcomes::Outcomes;
use super::parcel::Filled;
use super::pool::Pool;
use super::topics::Topics;
use crate::backends::Room;
use crate::backends::mailbox::Mailbox;
use crate::backends::wired::errors;
use crate::backends::{
    Error, ErrorKind, Fate, Publisher, ReportSink, Result, TopicPartition, Waker, too_large, unknown_topic,
};
use crate::record::{Batch, BatchHeaders, Headers, Span};
use crate::wire::net::{self, Cluster, Metadata};
use crate::wire::records::Unpacker;

/// Refused records to keep before the next `poll` tells of them.
const REFUSED_MAX: usize = 10_000;
/// The most a record takes in a batch beside its bytes (`DefaultRecord.MAX_RECORD_OVERHEAD` of the Java client).
const RECORD_OVERHEAD: usize = 21;
/// The same for a header: two lengths of up to 5 bytes.
const HEADER_OVERHEAD: usize = 10;
/// Bytes set aside for a partition's first batch.
const FIRST: usize = 4 << 10;
/// How long giving up may take.
const ABANDON: Duration = Duration::from_secs(10);

/// When a batch is handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Before it has more bytes (`batch.size`), or as soon as it has so many records (`batch.num.messages`).
    pub(super) bytes: usize,
    pub(super) records: usize,
    pub(super) linger: Duration,
    /// The largest record, in bytes (`max.request.size`).
    pub(super) max_record: usize,
}

/// What a publisher is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) runtime: Runtime,
    pub(super) cluster: Cluster,
    pub(super) orders: UnboundedSender<Order>,
    pub(super) mailbox: Arc<Mailbox<Outcomes>>,
    pub(super) topics: Topics,
    pub(super) cut: Cut,
    pub(super) room: Room,
}

/// Our own client behind the seam.
#[derive(Debug)]
pub(super) struct NativePublisher {
    parts: Parts,
    metadata: watch::Receiver<Arc<Metadata>>,
    /// By topic, then by partition.
    lanes: Vec<Vec<Option<Open>>>,
    /// Partitions opened, over all topics.
    opened: usize,
    /// Batches that are being filled, the oldest first; some may be gone already.
    filling: VecDeque<(Instant, usize, usize)>,
    pool: Pool,
    unpacker: Unpacker,
    refused: Vec<Refused>,
    /// The file of the records last taken.
    source: Option<Arc<str>>,
    /// Records handed over and not settled.
    sent: usize,
    fatal: Option<(ErrorKind, String)>,
}

/// A partition's batch to be.
#[derive(Debug)]
struct Open {
    /// Its number to the other thread.
    lane: usize,
    filled: Option<Filled>,
    /// Bytes that its next batch may be expected to have.
    expected: usize,
    /// Bytes that its batches may have, as far as refusals have shown.
    limit: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Refused {
    batch: Arc<Batch>,
    index: usize,
    error: Error,
}

/// What all records of a `send` have in common.
struct Round<'a> {
    batch: &'a Arc<Batch>,
    now: Instant,
    /// Milliseconds since 1970.
    time: i64,
    source: Option<Arc<str>>,
}

impl Round<'_> {
    /// A record's timestamp, and where it comes from.
    #[inline]
    fn place(&self, span: &Span) -> (i64, Origin<'_>) {
        let (timestamp, timed) = match span.timestamp {
            -1 => (self.time, Timed::Here),
            timestamp => (timestamp, Timed::ByInput),
        };
        (timestamp, Origin { line: span.line, source: self.source.as_ref(), timed })
    }
}

impl NativePublisher {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            metadata: parts.cluster.watch(),
            parts,
            lanes: Vec::new(),
            opened: 0,
            filling: VecDeque::new(),
            pool: Pool::default(),
            unpacker: Unpacker::new(),
            refused: Vec::new(),
            source: None,
            sent: 0,
            fatal: None,
        }
    }

    fn round<'a>(&mut self, batch: &'a Arc<Batch>) -> Round<'a> {
        if self.metadata.has_changed().unwrap_or(false) {
            let metadata = Arc::clone(&self.metadata.borrow_and_update());
            self.parts.topics.learn(&metadata);
        }
        if self.source.as_deref() != batch.source() {
            self.source = batch.source().map(Arc::from);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Round { batch, now: Instant::now(), time, source: self.source.clone() }
    }

    /// Appends a record of at most `size` bytes to its batch; tells its partition.
    fn append(
        &mut self,
        round: &Round<'_>,
        span: &Span,
        headers: &BatchHeaders<'_>,
        size: usize,
    ) -> Result<usize> {
        let batch = round.batch;
        if size > self.parts.cut.max_record {
            return Err(too_large(size, self.parts.cut.max_record));
        }
        let topic = batch.topic(span).map_or(0, |name| self.topic(name));
        let (key, value) = (batch.slice(span.key), batch.slice(span.value));
        if let Some(at) = self.parts.topics.stays_at(topic, span.partition, key) {
            // Else it would begin a batch of its own there, and the next one go elsewhere.
            self.make_room(topic, at.unsigned_abs() as usize, size);
        }
        let partition = self.parts.topics.partition(topic, span.partition, key, size)?;
        let at = partition.unsigned_abs() as usize;
        self.make_room(topic, at, size);
        let Some(filled) = self.filled(topic, at, round.now) else { return Err(unknown_topic("")) };
        let before = if filled.len() == 0 { 0 } else { filled.size() };
        let (timestamp, origin) = round.place(span);
        filled.append(timestamp, key, value, headers, origin).map_err(|why| too_large(size, why))?;
        let (grown, records) = (filled.size() - before, filled.len());
        self.parts.room.take(grown, 1);
        if records >= self.parts.cut.records {
            self.hand_over(topic, at);
        }
        Ok(at)
    }

    /// Appends those of the records that go where the one before them went, as far as nothing else is to be
    /// decided; returns their number. Most records do.
    fn append_alike(&mut self, round: &Round<'_>, at: usize, spans: &[Span]) -> usize {
        let Parts { cut, room, topics, .. } = &mut self.parts;
        let open = self.lanes.first_mut().and_then(|lanes| lanes.get_mut(at)).and_then(Option::as_mut);
        let Some(Open { filled: Some(filled), limit, .. }) = open else { return 0 };
        let before = filled.size();
        let (bytes, records) = room.left();
        let most = cut.bytes.min(limit.load(Ordering::Relaxed)).min(before.saturating_add(bytes));
        let records = records.min(cut.records.saturating_sub(filled.len() + 1));
        let (stays, mut sizes, mut taken) = (topics.stays(0), 0, 0);
        for span in spans.iter().take(records).take_while(|span| is_plain(span)) {
            let headers = round.batch.headers(span);
            let size = record_size(span, &headers);
            if sizes >= stays || size > cut.max_record || filled.size() + size > most {
                break;
            }
            let (timestamp, origin) = round.place(span);
            if filled.append(timestamp, None, round.batch.slice(span.value), &headers, origin).is_err() {
                break;
            }
            sizes += size;
            taken += 1;
        }
        room.take(filled.size() - before, taken);
        topics.stayed(0, sizes);
        taken
    }

    /// The batch of a partition, begun if need be.
    fn filled(&mut self, topic: usize, at: usize, now: Instant) -> Option<&mut Filled> {
        let Self { lanes, pool, filling, opened, parts, .. } = self;
        if lanes.len() <= topic {
            lanes.resize_with(topic + 1, Vec::new);
        }
        let lanes = lanes.get_mut(topic)?;
        if lanes.len() <= at {
            lanes.resize_with(at + 1, || None);
        }
        let open = lanes.get_mut(at)?.get_or_insert_with(|| {
            let limit = Arc::new(AtomicUsize::new(usize::MAX));
            let place = TopicPartition { topic: parts.topics.name(topic), partition: at as i32 };
            // Nobody to take it means nobody to tell: the end of the other thread is seen in `poll`.
            let _ = parts.orders.send(Order::Open(place, Arc::clone(&limit)));
            *opened += 1;
            Open { lane: *opened - 1, filled: None, expected: FIRST, limit }
        });
        Some(open.filled.get_or_insert_with(|| {
            filling.push_back((now, topic, at));
            Filled::new(pool.take(open.expected), now)
        }))
    }

    /// Hands a partition's batch over if a record of `size` bytes does not fit into it.
    #[inline]
    fn make_room(&mut self, topic: usize, at: usize, size: usize) {
        let Some(open) = self.lanes.get(topic).and_then(|lanes| lanes.get(at)).and_then(Option::as_ref)
        else {
            return;
        };
        let limit = self.parts.cut.bytes.min(open.limit.load(Ordering::Relaxed));
        if open.filled.as_ref().is_some_and(|filled| filled.size() + size > limit) {
            self.hand_over(topic, at);
        }
    }

    /// Hands over the batch of a partition.
    fn hand_over(&mut self, topic: usize, at: usize) {
        let batch = self.close_batch(topic, at);
        self.deliver(batch.into_iter().collect());
    }

    fn close_batch(&mut self, topic: usize, at: usize) -> Option<(usize, Filled)> {
        let open = self.lanes.get_mut(topic)?.get_mut(at)?.as_mut()?;
        let filled = open.filled.take()?;
        self.parts.topics.was_cut(topic, at as i32);
        // Others of about its size follow; of few sizes, so that buffers can be used again.
        let most = self.parts.cut.bytes;
        open.expected = filled.size().max(FIRST).next_power_of_two().min(most);
        Some((open.lane, filled))
    }

    fn deliver(&mut self, batches: Vec<(usize, Filled)>) {
        if batches.is_empty() {
            return;
        }
        self.sent += batches.iter().map(|(_, filled)| filled.len()).sum::<usize>();
        let _ = self.parts.orders.send(Order::Send(batches));
    }

    /// Hands over batches that were begun up to `until`.
    fn hand_over_until(&mut self, until: Option<Instant>) {
        let mut batches = Vec::new();
        while let Some((since, topic, at)) = self.filling.front().copied()
            && until.is_none_or(|until| since <= until)
        {
            self.filling.pop_front();
            let open = self.lanes.get(topic).and_then(|lanes| lanes.get(at)).and_then(Option::as_ref);
            if open.and_then(|open| open.filled.as_ref()).is_some_and(|filled| filled.since == since) {
                batches.extend(self.close_batch(topic, at));
            }
        }
        self.deliver(batches);
    }

    /// Hands over what has waited for `linger.ms`; returns when the next is due.
    fn linger(&mut self, now: Instant) -> Option<Instant> {
        let linger = self.parts.cut.linger;
        if let Some(until) = now.checked_sub(linger) {
            self.hand_over_until(Some(until));
        }
        self.filling.front().map(|(since, _, _)| *since + linger)
    }

    /// A topic that records name themselves, looked up at its first record.
    fn topic(&mut self, name: &str) -> usize {
        if let Some(at) = self.parts.topics.known(name) {
            return at;
        }
        // It may take its time.
        self.hand_over_until(None);
        let Parts { runtime, cluster, topics, .. } = &mut self.parts;
        topics.add(name, find(runtime, cluster, name))
    }

    fn tell(&mut self, mut outcomes: Outcomes, sink: &mut dyn ReportSink) {
        self.sent -= outcomes.records.min(self.sent);
        self.parts.room.give_back(outcomes.bytes, outcomes.records);
        outcomes.tell(sink, &mut self.unpacker);
        outcomes.buffers.drain(..).for_each(|buffer| self.pool.give(buffer));
        if self.fatal.is_none() {
            self.fatal = outcomes.fatal;
        }
    }

    fn tell_refused(&mut self, sink: &mut dyn ReportSink) {
        let topic = self.parts.topics.name(0);
        for Refused { batch, index, error } in mem::take(&mut self.refused) {
            let line = batch.spans().get(index).map_or(0, |span| span.line);
            batch.with_record(index, &topic, |record| {
                sink.undelivered(record, line, batch.source(), Fate::Failed, &error);
            });
        }
    }

    fn owed(&self) -> usize {
        self.parts.room.owed() + self.refused.len()
    }

    /// Tells of everything that is still without an outcome.
    fn abandon(&mut self, sink: &mut dyn ReportSink) {
        self.hand_over_until(None);
        let _ = self.parts.orders.send(Order::Abandon);
        let limit = Instant::now() + ABANDON;
        while self.owed() > 0 && Instant::now() < limit {
            // What ends it was told before.
            let _ = self.poll(limit.saturating_duration_since(Instant::now()), sink);
        }
    }
}

impl Publisher for NativePublisher {
    fn waker(&self) -> Waker {
        self.parts.mailbox.waker()
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        let round = self.round(batch);
        let mut taken = 0;
        let spans = batch.spans().get(records.clone()).unwrap_or_default();
        while let Some((span, rest)) = spans.get(taken..).and_then(<[Span]>::split_first) {
            let headers = batch.headers(span);
            let size = record_size(span, &headers);
            if !self.parts.room.is_for(size) || self.refused.len() >= REFUSED_MAX {
                break;
            }
            let index = records.start + taken;
            taken += 1;
            match self.append(&round, span, &headers, size) {
                Ok(at) if is_plain(span) => taken += self.append_alike(&round, at, rest),
                Ok(_) => {}
                Err(error) => self.refused.push(Refused { batch: Arc::clone(batch), index, error }),
            }
        }
        if taken < records.len() && self.sent == 0 {
            // It is all in batches that are not full: there is nothing to wait for.
            self.hand_over_until(None);
        }
        self.linger(round.now);
        Ok(taken)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        let now = Instant::now();
        let due = self.linger(now);
        let wait = due.map_or(wait, |due| wait.min(due.saturating_duration_since(now)));
        let wait = if self.refused.is_empty() { wait } else { Duration::ZERO };
        self.tell_refused(sink);
        let outcomes = self.parts.mailbox.take(wait);
        if due.is_some() && !wait.is_zero() {
            self.linger(Instant::now());
        }
        self.tell(outcomes, sink);
        match &self.fatal {
            None => Ok(self.owed()),
            Some((kind, why)) => Err(Error::new(*kind, why.as_str())),
        }
    }

    fn flush(&mut self) {
        self.hand_over_until(None);
    }

    fn close(mut self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        self.hand_over_until(None);
        let mut ended = Ok(0);
        while self.owed() > 0 && ended.is_ok() {
            let left = deadline().saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            ended = self.poll(left, sink);
        }
        self.abandon(sink);
        self.parts.runtime.shutdown_timeout(STOP);
        ended.map(drop)
    }
}

/// A record that says nothing of where it goes.
#[inline]
fn is_plain(span: &Span) -> bool {
    span.topic == 0 && span.partition < 0 && span.key.is_null()
}

/// Bytes a record takes in a batch, at most.
#[inline]
fn record_size(span: &Span, headers: &BatchHeaders<'_>) -> usize {
    let mut size = RECORD_OVERHEAD + span.key.len() + span.value.len();
    if span.headers.1 > 0 {
        headers.for_each(&mut |name, value| {
            size += HEADER_OVERHEAD + name.len() + value.map_or(0, <[u8]>::len);
        });
    }
    size
}

/// Looks a topic up; one that was just created, or is created by this, may take a while to be known.
pub(super) fn find(runtime: &Runtime, cluster: &Cluster, name: &str) -> Result<Arc<net::Topic>> {
    let asked = async { cluster.topic(name, tokio::time::Instant::now() + TOPIC_WAIT).await };
    runtime.block_on(asked).map_err(|why| match errors::kind(&why) {
        ErrorKind::UnknownTopic => unknown_topic(name),
        _ => errors::error(format_args!("topic {name}"), &why),
    })
}
