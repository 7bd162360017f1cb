//! One producer: makes records when they are due, or as fast as they are taken, and books their outcomes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::latency::Latency;
use super::load::Maker;
use super::schedule::Schedule;
use super::shared::{Glance, Interval, Shared};
use super::tagged::Tag;
use crate::backends::{Error, ErrorKind, Fate, Notice, Publisher, ReportSink, Result};
use crate::commands::tell;
use crate::console;
use crate::record::{Batch, RecordRef};
use crate::stop::Stop;

/// The longest single wait: everything that matters wakes it earlier.
const IDLE: Duration = Duration::from_secs(1);
/// How long an interrupted run may go on delivering.
const DRAIN: Duration = Duration::from_secs(10);
/// Beyond `delivery.timeout.ms`, for the last answers to be told.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of records that are made at once.
const ARENA: usize = 64 << 10;
/// Records that are made at once, however small.
const RECORDS: usize = 2048;
/// Undelivered records that are named; the others are only counted.
const NAMED: u64 = 3;

/// How much a producer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    Records(u64),
    For(Duration),
}

/// A producer to be.
pub(super) struct Producer {
    pub(super) publisher: Box<dyn Publisher>,
    pub(super) maker: Maker,
    pub(super) number: u16,
    pub(super) schedule: Option<Schedule>,
    pub(super) warmup: u64,
    pub(super) amount: Amount,
    /// `delivery.timeout.ms`
    pub(super) timeout: Duration,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Stop,
}

/// What became of a producer's records, those of the warm-up left out.
#[derive(Debug)]
pub(super) struct Published {
    /// From the first offer of a record to its acknowledgement.
    pub(super) latency: Latency,
    /// Records that were made.
    pub(super) made: u64,
    pub(super) undelivered: u64,
    /// Why the first was not delivered.
    pub(super) failure: Option<ErrorKind>,
    /// When the last record was taken by the client, in ns.
    pub(super) last_sent: u64,
}

impl Producer {
    /// Runs it to its end.
    ///
    /// # Errors
    /// What makes all further sending useless.
    pub(super) fn run(self) -> Result<Published> {
        let Self { publisher, maker, number, schedule, warmup, amount, timeout, shared, stop } = self;
        let alarm = schedule.map(|_| Alarm::start(publisher.waker())).transpose();
        let alarm = alarm.map_err(|e| Error::new(ErrorKind::Other, "starting a thread").with_source(e))?;
        let sink = Acks::new(Arc::clone(&shared));
        let arenas = VecDeque::new();
        let mut feed = Feed { publisher, maker, number, schedule, alarm, sink, arenas, shared, last_sent: 0 };
        if warmup > 0 {
            let start = feed.shared.clock.now();
            feed.send_all(start, Amount::Records(warmup))?;
            feed.settle()?;
        }
        let Some(start) = feed.shared.await_start() else { return feed.finish(0, timeout, &stop) };
        let made = feed.maker.made();
        feed.sink.measures = true;
        feed.send_all(start, amount)?;
        feed.finish(made, timeout, &stop)
    }
}

/// A batch of which records `at..` have not been sent.
struct Pending {
    batch: Arc<Batch>,
    at: usize,
}

/// The loop between the maker and the publisher.
struct Feed {
    publisher: Box<dyn Publisher>,
    maker: Maker,
    number: u16,
    schedule: Option<Schedule>,
    alarm: Option<Alarm>,
    sink: Acks,
    /// Batches handed out, oldest first, to be filled again once nobody else holds them.
    arenas: VecDeque<Arc<Batch>>,
    shared: Arc<Shared>,
    last_sent: u64,
}

impl Feed {
    /// Sends an amount, counted from `start`. Ends when all of it was taken, not when it was delivered.
    fn send_all(&mut self, start: u64, amount: Amount) -> Result<()> {
        let first = self.maker.made();
        let mut pending = None;
        while !self.shared.is_broken() && !self.sink.is_hopeless() {
            let left = self.left(start, amount, self.maker.made() - first);
            if pending.is_none() && left == 0 {
                break;
            }
            if pending.is_none() {
                pending = self.make(start, first, left);
            }
            let sent = self.offer(&mut pending)?;
            let wait = if sent { Duration::ZERO } else { self.wait(start, first, pending.is_some()) };
            self.publisher.poll(wait, &mut self.sink)?;
            self.sink.told();
        }
        Ok(())
    }

    /// How many records are still to be made, whenever they are due.
    fn left(&self, start: u64, amount: Amount, made: u64) -> u64 {
        if self.shared.is_enough() {
            return 0;
        }
        match (amount, &self.schedule) {
            (Amount::Records(n), _) => n.saturating_sub(made),
            // All that fall into the time, also when they are late.
            (Amount::For(time), Some(schedule)) => {
                schedule.by(nanos(time).saturating_sub(1)).saturating_sub(made)
            }
            (Amount::For(time), None) => {
                if self.shared.clock.now() < start + nanos(time) {
                    u64::MAX
                } else {
                    0
                }
            }
        }
    }

    /// Makes the records that are due, as many as go into a batch.
    fn make(&mut self, start: u64, first: u64, left: u64) -> Option<Pending> {
        let now = self.shared.clock.now();
        let made = self.maker.made() - first;
        let due = match &self.schedule {
            Some(schedule) => schedule.by(now.saturating_sub(start)).saturating_sub(made),
            None => u64::MAX,
        };
        let count = due.min(left).min(RECORDS as u64);
        if count == 0 {
            return None;
        }
        let mut batch = self.arena();
        for n in made..made + count {
            let due = self.schedule.as_ref().map_or(now, |schedule| start + schedule.due(n));
            self.maker.push(&mut batch, due, now);
            if batch.bytes.len() >= ARENA {
                break;
            }
        }
        self.shared.checker().sent(self.number, self.maker.made());
        let batch = Arc::new(batch);
        self.arenas.push_back(Arc::clone(&batch));
        Some(Pending { batch, at: 0 })
    }

    /// An empty batch, used before if one is free.
    fn arena(&mut self) -> Batch {
        match self.arenas.pop_front().map(Arc::try_unwrap) {
            Some(Ok(mut batch)) => {
                batch.clear();
                batch
            }
            Some(Err(held)) => {
                self.arenas.push_front(held);
                Batch::with_capacity(ARENA + ARENA / 8)
            }
            None => Batch::with_capacity(ARENA + ARENA / 8),
        }
    }

    /// Offers what is pending; whether any of it was taken.
    fn offer(&mut self, pending: &mut Option<Pending>) -> Result<bool> {
        let Some(Pending { batch, at }) = pending else { return Ok(false) };
        let taken = self.publisher.send(batch, *at..batch.len())?;
        *at += taken;
        if *at >= batch.len() {
            *pending = None;
        }
        if taken > 0 {
            self.last_sent = self.shared.clock.now();
        }
        Ok(taken > 0)
    }

    /// How long to wait for outcomes: until the next record is due, which the alarm tells, or until there is room.
    fn wait(&self, start: u64, first: u64, full: bool) -> Duration {
        if let (Some(schedule), Some(alarm), false) = (&self.schedule, &self.alarm, full) {
            let due = start + schedule.due(self.maker.made() - first);
            if due <= self.shared.clock.now() {
                return Duration::ZERO;
            }
            alarm.set(self.shared.clock.at(due));
        }
        IDLE
    }

    /// Waits for the outcome of everything that was sent.
    fn settle(&mut self) -> Result<()> {
        while self.publisher.poll(IDLE, &mut self.sink)? > 0 {
            self.sink.told();
            if self.shared.is_broken() || self.shared.is_enough() || self.sink.is_hopeless() {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the outcome of everything, and ends.
    fn finish(self, before: u64, timeout: Duration, stop: &Stop) -> Result<Published> {
        let Self { publisher, maker, mut sink, last_sent, shared, .. } = self;
        let end = Instant::now();
        let interrupted = Cell::new(None);
        let deadline = || match stop.signal() {
            None if shared.is_broken() => end,
            None => end + timeout + GRACE,
            Some(_) => {
                let at = interrupted.get().unwrap_or_else(|| Instant::now() + DRAIN);
                interrupted.set(Some(at));
                at
            }
        };
        publisher.close(&deadline, &mut sink)?;
        sink.told();
        let made = maker.made() - before;
        Ok(Published {
            latency: sink.latency,
            made,
            undelivered: sink.undelivered,
            failure: sink.failure,
            last_sent,
        })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Books outcomes.
struct Acks {
    shared: Arc<Shared>,
    glance: Glance,
    /// False during the warm-up.
    measures: bool,
    latency: Latency,
    interval: Interval,
    undelivered: u64,
    failure: Option<ErrorKind>,
}

impl Acks {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            glance: Glance::new(shared.clock),
            shared,
            measures: false,
            latency: Latency::default(),
            interval: Interval::default(),
            undelivered: 0,
            failure: None,
        }
    }

    /// All of a poll was told.
    fn told(&mut self) {
        self.glance.end();
        if self.interval.records > 0 {
            self.shared.note(std::mem::take(&mut self.interval));
        }
    }

    /// True once a record could not be delivered in all its time: no broker takes records.
    fn is_hopeless(&self) -> bool {
        self.failure == Some(ErrorKind::TimedOut)
    }
}

impl ReportSink for Acks {
    fn delivered(&mut self, records: u64, payload: u64) {
        if self.measures {
            self.shared.published.add(records, payload, self.shared.clock.now());
        }
    }

    fn placed(&mut self, record: &RecordRef<'_>) {
        let now = self.glance.now();
        if let Some(tag) = Tag::of(record, self.shared.run).filter(|_| self.measures) {
            self.latency.record(tag.sent, now);
            self.interval.add(now.saturating_sub(tag.sent));
        }
    }

    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        _line: u64,
        _source: Option<&str>,
        fate: Fate,
        error: &Error,
    ) {
        self.undelivered += 1;
        self.failure.get_or_insert(error.kind());
        if self.undelivered <= NAMED {
            let unknown = if fate == Fate::Unknown { " (it may be in the topic)" } else { "" };
            console::error(format!("a record was not delivered: {error}{unknown}"));
        } else if self.undelivered == NAMED + 1 {
            console::error("more records were not delivered; only the first are named");
        }
        if let Some(tag) = Tag::of(record, self.shared.run) {
            self.shared.checker().undelivered(&tag);
        }
    }

    fn aborted(&mut self, records: u64) {
        self.undelivered += records;
        self.failure.get_or_insert(ErrorKind::NotCommitted);
    }

    /// The checker sees which of them came twice.
    fn resent(&mut self, _: u64) {}

    fn notice(&mut self, notice: &Notice) {
        tell(notice);
    }

    fn spooled(&mut self, kept: u64, damaged: u64) {
        self.undelivered += kept + damaged;
    }

    fn warn(&mut self, message: &str) {
        console::warn(message);
    }
}
