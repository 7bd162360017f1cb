//! One consumer: reads its share of the partitions, and books what arrives.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::latency::Latency;
use super::shared::{Glance, Shared, share};
use super::tagged::{Arrival, Tag};
use crate::backends::{
    At, Error, ErrorKind, Notice, Offsets, RecordSink, Result, StartOrigin, Subscriber, TopicPartition,
};
use crate::commands::tell;
use crate::console;
use crate::record::RecordRef;

/// The longest single wait: everything that matters wakes it earlier.
const IDLE: Duration = Duration::from_secs(1);
/// The first poll, which finds nothing.
const FIRST: Duration = Duration::from_millis(50);
/// How long nothing may come of partitions that have more.
const STALLED: Duration = Duration::from_secs(30);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);

/// What a consumer looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// The records of this run, up to where partitions end when all were sent; of so many for the warm-up each
    /// producer has made its share.
    ThisRun { warmup: u64, producers: u16 },
    /// Whatever is there, so many records (those of a warm-up at first not counted), for a time, up to where
    /// partitions ended at the start.
    Anything { records: u64, warmup: u64, time: Option<Duration> },
}

/// A consumer to be.
pub(super) struct Consumer {
    pub(super) subscriber: Box<dyn Subscriber>,
    pub(super) starts: Offsets,
    pub(super) reads: Reads,
    pub(super) shared: Arc<Shared>,
}

/// What a consumer has seen, that of the warm-up left out.
#[derive(Debug)]
pub(super) struct Received {
    /// From when a record was due.
    pub(super) end_to_end: Latency,
    /// From when it was first offered to the client.
    pub(super) service: Latency,
    /// What a poll took that brought records.
    pub(super) poll: Latency,
    /// When the warm-up was over, in ns; 0 without one.
    pub(super) began: u64,
}

impl Consumer {
    /// Runs it to its end.
    ///
    /// # Errors
    /// What ends the reading; `TimedOut` when nothing comes of a partition that has more.
    pub(super) fn run(self) -> Result<Received> {
        let Self { mut subscriber, starts, reads, shared } = self;
        let places: Vec<_> = starts.iter().map(|(tp, _)| (tp.clone(), At::Latest)).collect();
        let mut ends = None;
        if let Reads::Anything { .. } = reads {
            ends = Some(subscriber.list_offsets(&places)?);
            if shared.await_start().is_none() {
                return Ok(Arrivals::new(shared, reads).received());
            }
        }
        let mut sink = Arrivals::new(Arc::clone(&shared), reads);
        sink.next = starts.iter().map(|(tp, offset)| (tp.partition, *offset)).collect();
        subscriber.assign(&starts)?;
        if ends.is_none() {
            // The first fetch is under way before the first record is due.
            subscriber.poll(FIRST, &mut sink)?;
            shared.ready();
        }
        let mut poll = Latency::default();
        let mut progress = Instant::now();
        while !shared.is_broken() && !sink.has_enough() {
            if ends.is_none() && shared.is_all_sent() {
                ends = Some(subscriber.list_offsets(&places)?);
                progress = Instant::now();
            }
            if ends.as_ref().is_some_and(|ends| sink.is_at(&starts, ends)) {
                break;
            }
            let before = shared.clock.now();
            let polled = subscriber.poll(sink.wait(), &mut sink)?;
            sink.told();
            if polled.records > 0 {
                poll.record(before, shared.clock.now());
                progress = Instant::now();
            }
            if ends.is_some() && progress.elapsed() >= STALLED {
                let text = format!("no record for {} s of a partition that has more", STALLED.as_secs());
                return Err(Error::new(ErrorKind::TimedOut, text));
            }
        }
        subscriber.close(Instant::now() + LEAVE, &mut sink)?;
        Ok(Received { poll, ..sink.received() })
    }
}

/// Books records.
struct Arrivals {
    shared: Arc<Shared>,
    reads: Reads,
    glance: Glance,
    end_to_end: Latency,
    service: Latency,
    /// The next offset of each partition.
    next: HashMap<i32, i64>,
    /// The partition whose records are coming, and its next offset.
    current: (i32, i64),
    /// Since the last look at the books.
    arrived: Vec<Arrival>,
    foreign: u64,
    records: u64,
    bytes: u64,
    latest: u64,
    /// Records of a warm-up that was of [`Reads::Anything`], and when it was over.
    skipped: u64,
    began: u64,
}

impl Arrivals {
    fn new(shared: Arc<Shared>, reads: Reads) -> Self {
        Self {
            glance: Glance::new(shared.clock),
            shared,
            reads,
            end_to_end: Latency::default(),
            service: Latency::default(),
            next: HashMap::new(),
            current: (-1, 0),
            arrived: Vec::new(),
            foreign: 0,
            records: 0,
            bytes: 0,
            latest: 0,
            skipped: 0,
            began: 0,
        }
    }

    fn received(self) -> Received {
        let poll = Latency::default();
        Received { end_to_end: self.end_to_end, service: self.service, poll, began: self.began }
    }

    /// Whether every partition has been read up to its end.
    fn is_at(&self, starts: &Offsets, ends: &[i64]) -> bool {
        let at = |tp: &TopicPartition| self.next.get(&tp.partition).copied().unwrap_or(0);
        starts.iter().zip(ends).all(|((tp, _), end)| at(tp) >= *end)
    }

    /// All of a poll was told.
    fn told(&mut self) {
        self.glance.end();
        self.leave_partition();
        if self.records > 0 {
            self.shared.received.add(self.records, self.bytes, self.latest);
            (self.records, self.bytes) = (0, 0);
        }
        if !self.arrived.is_empty() || self.foreign > 0 {
            let mut checker = self.shared.checker();
            self.arrived.drain(..).for_each(|arrival| checker.arrived(arrival));
            checker.foreign(std::mem::take(&mut self.foreign));
        }
    }

    fn leave_partition(&mut self) {
        let (partition, next) = self.current;
        if partition >= 0 {
            self.reach(partition, next);
        }
    }

    fn reach(&mut self, partition: i32, next: i64) {
        let known = self.next.entry(partition).or_insert(next);
        *known = (*known).max(next);
    }

    /// True when all that was asked for has been read, or the time for it is over.
    fn has_enough(&self) -> bool {
        match self.reads {
            Reads::ThisRun { .. } => false,
            Reads::Anything { records, time, .. } => {
                let late = || self.left(time).is_some_and(|left| left.is_zero());
                self.shared.is_enough() || self.shared.received.records() >= records || late()
            }
        }
    }

    /// What is left of a time that began with the measuring.
    fn left(&self, time: Option<Duration>) -> Option<Duration> {
        let start = self.shared.started().unwrap_or_default();
        let passed = Duration::from_nanos(self.shared.clock.now().saturating_sub(start));
        time.map(|time| time.saturating_sub(passed))
    }

    fn wait(&self) -> Duration {
        match self.reads {
            Reads::ThisRun { .. } => IDLE,
            Reads::Anything { time, .. } => self.left(time).map_or(IDLE, |left| left.min(IDLE)),
        }
    }

    fn count(&mut self, record: &RecordRef<'_>, now: u64) {
        self.records += 1;
        self.bytes += record.payload_len() as u64;
        self.latest = now;
    }

    fn of_this_run(&mut self, record: &RecordRef<'_>, warmup: impl Fn(u16) -> u64) {
        let Some(tag) = Tag::of(record, self.shared.run) else {
            self.foreign += 1;
            return;
        };
        let now = self.glance.now();
        let Tag { producer, sequence, .. } = tag;
        self.arrived.push(Arrival { partition: record.partition, producer, sequence });
        if sequence >= warmup(producer) {
            self.end_to_end.record(tag.due, now);
            self.service.record(tag.sent, now);
            self.count(record, now);
        }
    }
}

impl RecordSink for Arrivals {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        if self.current.0 != record.partition {
            self.leave_partition();
        }
        self.current = (record.partition, record.offset + 1);
        match self.reads {
            Reads::ThisRun { warmup, producers } => {
                self.of_this_run(record, |producer| share(warmup, producer, producers));
            }
            Reads::Anything { records, warmup, .. } => {
                if self.skipped < warmup {
                    self.skipped += 1;
                    self.began = self.glance.now();
                    return ControlFlow::Continue(());
                }
                let now = self.glance.now();
                self.count(record, now);
                if self.shared.received.records() + self.records >= records {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn reached(&mut self, _topic: &str, partition: i32, next: i64) {
        self.leave_partition();
        self.reach(partition, next);
    }

    fn assigned(&mut self, _partitions: &[TopicPartition]) {}

    fn started(&mut self, _partition: &TopicPartition, _offset: i64, _origin: StartOrigin) {}

    fn revoked(&mut self, _partitions: &[TopicPartition], _lost: bool) -> Offsets {
        Offsets::new()
    }

    fn notice(&mut self, notice: &Notice) {
        tell(notice);
    }

    fn warn(&mut self, message: &str) {
        console::warn(message);
    }
}
