//! Reads one partition ahead of the thread that polls.
//!
//! rskafka tells the records of an answer and the high watermark, not which offsets the answer
//! covered. Where records are missing (compacted, transaction markers, an open transaction) the
//! position is moved by asking again in other ways, in the end by a look at the batches themselves,
//! never past something that could be a record without saying so.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::rskafka::client::partition::{OffsetAt, PartitionClient};
use ::rskafka::record::RecordAndOffset;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::cluster::{Cluster, Link, METADATA_WAIT, pause};
use super::fault::{Class, Fault, of_fetch};
use crate::backends::mailbox::Mailbox;
use crate::backends::reset::Reset;
use crate::backends::wired::gap::{Gap, Looks};
use crate::backends::wired::is_worth_a_line;
use crate::backends::{Error, ErrorKind, Notice, Status, TopicPartition, lock};

/// What a fetch asks for at the end of a partition, where little is to be expected; and the unit in
/// which memory is counted.
const FETCH_MIN: i32 = 16 << 10;
/// Bytes fetched and not yet taken by `poll`, over all partitions, as they are on the wire.
const AHEAD_MAX: i32 = 16 << 20;
/// Fetches of a partition that are out or wait to be taken.
const AHEAD_EACH: usize = 2;
/// The shortest wait that tells "nothing there" (the broker waits) from "nothing to see" (it
/// answers at once).
const TELLING_WAIT: Duration = Duration::from_millis(200);

/// How partitions are read.
#[derive(Debug, Clone)]
pub(super) struct FetchConfig {
    /// Most bytes of a fetch.
    pub(super) max_bytes: i32,
    /// Most bytes of a fetch that looks for records behind many empty batches.
    pub(super) look_bytes: i32,
    pub(super) min_bytes: i32,
    pub(super) max_wait: Duration,
    pub(super) reset: Reset,
    /// How long trouble may last.
    pub(super) give_up: Duration,
    /// For a look at what rskafka keeps to itself.
    pub(super) looks: Looks,
}

/// What all partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) config: FetchConfig,
    pub(super) mailbox: Arc<Mailbox<Vec<Told>>>,
    /// Memory for fetched data, in units of [`FETCH_MIN`].
    room: Arc<Semaphore>,
    troubled: Mutex<Troubled>,
}

impl Shared {
    pub(super) fn new(cluster: Cluster, config: FetchConfig) -> Self {
        let room = Arc::new(Semaphore::new(units(AHEAD_MAX) as usize));
        Self { cluster, config, mailbox: Arc::default(), room, troubled: Mutex::default() }
    }
}

/// Partitions in trouble: one of them says so, and the last one out of it that it is over.
#[derive(Debug, Default)]
struct Troubled {
    count: usize,
    told: Option<(Arc<Assigned>, Instant)>,
}

impl Shared {
    fn tell(&self, from: Arc<Assigned>, event: Event, room: Option<Room>) {
        self.mailbox.put(|mailbox| mailbox.push(Told { from, event, _room: room }));
    }

    /// Tells of trouble, unless some was told that is not over.
    fn lost(&self, from: &Arc<Assigned>, since: Instant, why: &str) {
        let told = &mut lock(&self.troubled).told;
        if told.is_none() {
            *told = Some((Arc::clone(from), since));
            let notice = Notice::Lost { place: from.to_string(), why: format!("{from}: {why}") };
            self.tell(Arc::clone(from), Event::Notice(notice), None);
        }
    }

    /// A partition is out of trouble.
    fn untroubled(&self) {
        let mut troubled = lock(&self.troubled);
        troubled.count -= 1;
        if troubled.count == 0
            && let Some((from, since)) = troubled.told.take()
        {
            let notice = Notice::Back { place: from.to_string(), after: since.elapsed() };
            self.tell(from, Event::Notice(notice), None);
        }
    }
}

fn units(bytes: i32) -> u32 {
    (bytes.clamp(1, AHEAD_MAX) as u32).div_ceil(FETCH_MIN as u32)
}

/// A partition being read.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Not wanted any more: what was fetched is dropped.
    pub(super) dropped: AtomicBool,
}

impl fmt::Display for Assigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// What a fetcher has to tell. It waits for room before it fetches more.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) from: Arc<Assigned>,
    pub(super) event: Event,
    /// Given back when this is dropped.
    _room: Option<Room>,
}

type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

#[derive(Debug)]
pub(super) enum Event {
    Records(Fetched),
    /// All below is told.
    Reached(i64),
    Warn(String),
    Notice(Notice),
    /// The reading ends.
    Failed(Error),
}

/// The records of an answer.
pub(super) struct Fetched {
    pub(super) records: std::vec::IntoIter<RecordAndOffset>,
    /// The offset after the last of them, if that is the end of the partition.
    pub(super) end: Option<i64>,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched({} records, end {:?})", self.records.len(), self.end)
    }
}

type Answer = (Vec<RecordAndOffset>, i64);

/// The task of one partition.
#[derive(Debug)]
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    assigned: Arc<Assigned>,
    slots: Arc<Semaphore>,
    link: Option<Link>,
    position: i64,
    /// Bytes the next fetch asks for.
    size: i32,
    /// The end that was told last.
    told_end: Option<i64>,
    /// No answer yet: the first fetch does not wait, so that an empty partition is known at once.
    fresh: bool,
    trouble: Option<Trouble>,
    warned: Warned,
}

/// Things said once for a partition.
#[derive(Debug, Default)]
struct Warned {
    markers: bool,
}

/// Trouble with a partition, counted in [`Shared::troubled`] while it lasts.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    unknown_since: Option<Instant>,
    tries: u32,
    shared: Arc<Shared>,
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.shared.untroubled();
    }
}

impl Fetcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        assigned: Arc<Assigned>,
        position: i64,
        link: Option<Link>,
    ) -> Self {
        let size = shared.config.max_bytes;
        Self {
            shared,
            assigned,
            slots: Arc::new(Semaphore::new(AHEAD_EACH)),
            link,
            position,
            size,
            told_end: None,
            fresh: true,
            trouble: None,
            warned: Warned::default(),
        }
    }

    /// Reads until it is dropped or fails.
    pub(super) async fn run(mut self) {
        loop {
            let room = self.room().await;
            let done = match self.fetch().await {
                Ok(answer) => self.take(answer, room).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = done
                && let Err(error) = self.handle(fault).await
            {
                self.tell(Event::Failed(error), None);
                return;
            }
        }
    }

    fn tell(&self, event: Event, room: Option<Room>) {
        self.shared.tell(Arc::clone(&self.assigned), event, room);
    }

    fn warn(&self, text: impl fmt::Display) {
        self.tell(Event::Warn(format!("{}: {text}", self.assigned)), None);
    }

    /// Waits until there is room for another fetch. `None` only if the semaphores were closed, which
    /// nobody does.
    async fn room(&self) -> Option<Room> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let memory = Arc::clone(&self.shared.room).acquire_many_owned(units(self.size)).await.ok()?;
        Some((slot, memory))
    }

    async fn fetch(&mut self) -> Result<Answer, Fault> {
        let wait = if self.fresh { Duration::ZERO } else { self.shared.config.max_wait };
        self.fetch_up_to(self.size, wait).await
    }

    async fn fetch_up_to(&mut self, bytes: i32, wait: Duration) -> Result<Answer, Fault> {
        let client = self.client().await?;
        // A fetch that narrows down on something wants whatever there is.
        let min = if bytes < FETCH_MIN { 1 } else { self.shared.config.min_bytes.clamp(1, bytes) };
        let limit = wait + self.shared.cluster.config.request_timeout;
        // rskafka asks for one byte less than the end of the range.
        let range = min..bytes.saturating_add(1);
        match timeout(limit, client.fetch_records(self.position, range, wait.as_millis() as i32)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(of_fetch(&error)),
            Err(_) => Err(Fault::timed_out(Class::Retry, "the fetch request", limit)),
        }
    }

    /// The connection to the leader, made now if there is none.
    async fn client(&mut self) -> Result<Arc<PartitionClient>, Fault> {
        if let Some(link) = &self.link {
            return Ok(Arc::clone(&link.client));
        }
        // Connecting asks for the topic in a way that creates it: not if it may be gone.
        if self.trouble.is_some() {
            let topics = self.shared.cluster.list().await?;
            if !topics.iter().any(|topic| *topic.name == *self.assigned.topic) {
                return Err(Fault::new(Class::UnknownTopic, ErrorKind::UnknownTopic, "the topic is gone"));
            }
        }
        let link = self.shared.cluster.link(&self.assigned.topic, self.assigned.partition).await?;
        Ok(Arc::clone(&self.link.insert(link).client))
    }

    async fn offset(&mut self, at: OffsetAt) -> Result<i64, Fault> {
        let client = self.client().await?;
        offset_of(&client, at, self.shared.cluster.config.request_timeout).await
    }

    async fn take(&mut self, (mut records, high): Answer, room: Option<Room>) -> Result<(), Fault> {
        self.fresh = false;
        self.trouble = None;
        in_order(&mut records, self.position);
        let Some(last) = records.last() else { return self.nothing(high, room).await };
        self.position = last.offset + 1;
        let end = (self.position >= high).then_some(self.position);
        self.told_end = end;
        self.size = next_size(self.size, end.is_some(), self.shared.config.max_bytes);
        self.tell(Event::Records(Fetched { records: records.into_iter(), end }), room);
        Ok(())
    }

    /// An answer without records.
    async fn nothing(&mut self, high: i64, room: Option<Room>) -> Result<(), Fault> {
        if self.position >= high {
            self.at_end(room);
            return Ok(());
        }
        // Below the high watermark: an open transaction, or offsets without a record. The end is
        // asked for first: a transaction may end, and its records appear, between two questions.
        let end = self.offset(OffsetAt::Latest).await?;
        if end <= self.position {
            self.at_end(room);
            return Ok(());
        }
        let wait = self.shared.config.max_wait.max(TELLING_WAIT);
        let look = self.shared.config.look_bytes.max(self.size);
        let (records, high) = self.fetch_up_to(look, wait).await?;
        if !records.is_empty() {
            return Box::pin(self.take((records, high), room)).await;
        }
        let end = end.min(high);
        // How long the answer took tells nothing on a busy machine.
        self.look_into(end, room).await
    }

    /// Offsets below `end` for which the broker sends something in which rskafka finds no record: empty batches as
    /// compaction leaves them, or damage, which rskafka takes for an answer that was cut off.
    async fn look_into(&mut self, end: i64, room: Option<Room>) -> Result<(), Fault> {
        let Assigned { topic, partition, .. } = &*self.assigned;
        let place = TopicPartition { topic: Arc::clone(topic), partition: *partition };
        let looked = self.shared.config.looks.at(&place, self.position).await;
        match looked.map_err(|error| Fault::new(Class::Retry, error.kind(), error.to_string()))? {
            Gap::Nothing => self.skip_to(end, room),
            Gap::Empty(next) => self.skip_to(next, room),
            Gap::Flawed(why) => {
                // No smaller answer would have more.
                self.size = 1;
                return Err(Fault::new(Class::Undecodable, ErrorKind::BadRecord, why));
            }
        }
        Ok(())
    }

    fn at_end(&mut self, room: Option<Room>) {
        self.size = FETCH_MIN;
        if self.told_end != Some(self.position) {
            self.told_end = Some(self.position);
            self.tell(Event::Reached(self.position), room);
        }
    }

    /// Offsets below `end` have no record.
    fn skip_to(&mut self, end: i64, room: Option<Room>) {
        self.position = end.max(self.position);
        self.tell(Event::Reached(self.position), room);
    }

    /// Deals with a fault; an error ends the reading.
    async fn handle(&mut self, fault: Fault) -> Result<(), Error> {
        match fault.class {
            Class::OutOfRange => self.reset(fault).await,
            Class::Marker | Class::Undecodable if self.size > 1 => {
                // Smaller answers end before what cannot be read; the smallest is one batch.
                self.size = if self.size > FETCH_MIN { FETCH_MIN } else { self.size / 8 }.max(1);
                Ok(())
            }
            Class::Marker => {
                self.step_over_marker();
                Ok(())
            }
            Class::Undecodable => Err(self.undecodable(&fault)),
            Class::Retry | Class::RetryInDoubt | Class::UnknownTopic => self.wait_out(fault).await,
            Class::TooLarge | Class::Permanent => Err(fault.error(&self.assigned)),
        }
    }

    /// The batch here is a transaction marker, one offset long; where it stands behind a gap, this
    /// is done for each offset of the gap.
    fn step_over_marker(&mut self) {
        if !self.warned.markers {
            self.warned.markers = true;
            self.warn(
                "the topic has transactions: rskafka reads records of aborted ones too; \
                 --library rdkafka leaves them out",
            );
        }
        self.position += 1;
        self.tell(Event::Reached(self.position), None);
    }

    fn undecodable(&self, fault: &Fault) -> Error {
        let (subject, offset) = (&self.assigned, self.position);
        let text = format!(
            "{subject}: rskafka cannot decode the batch at offset {offset} ({}): --library rdkafka may",
            fault.message
        );
        let Assigned { topic, partition, .. } = &**subject;
        let partition = TopicPartition { topic: Arc::clone(topic), partition: *partition };
        Error::new(ErrorKind::BadRecord, text).with_record(partition, offset)
    }

    async fn reset(&mut self, fault: Fault) -> Result<(), Error> {
        let (at, policy) = match self.shared.config.reset {
            Reset::Earliest => (OffsetAt::Earliest, "earliest"),
            Reset::Latest => (OffsetAt::Latest, "latest"),
            Reset::None => {
                let text = format!("{}: there is no offset {}", self.assigned, self.position);
                return Err(Error::new(fault.kind, format!("{text} (auto.offset.reset=none)")));
            }
        };
        match self.offset(at).await {
            Ok(offset) => {
                let from = self.position;
                self.warn(format_args!(
                    "there is no offset {from}: reading from {offset} (auto.offset.reset={policy})"
                ));
                self.position = offset;
                Ok(())
            }
            Err(fault) => self.wait_out(fault).await,
        }
    }

    /// Waits before another try.
    async fn wait_out(&mut self, fault: Fault) -> Result<(), Error> {
        if !fault.may_pass() {
            return Err(fault.error(&self.assigned));
        }
        self.drop_link(&fault).await;
        let give_up = self.shared.config.give_up;
        let reconnect = self.shared.cluster.config.reconnect;
        let trouble = self.trouble.get_or_insert_with(|| Trouble::new(&self.shared));
        trouble.tries += 1;
        let (tries, since, lasted) = (trouble.tries, trouble.since, trouble.since.elapsed());
        let gone = trouble.gone(fault.class == Class::UnknownTopic);
        // What is unknown is not tried for long.
        if fault.class != Class::UnknownTopic && is_worth_a_line(fault.kind, lasted) {
            self.shared.lost(&self.assigned, since, &fault.message);
        }
        if gone {
            return Err(fault.error(&self.assigned));
        }
        if lasted >= give_up {
            return Err(given_up(&self.assigned, &fault, lasted));
        }
        sleep(pause(tries - 1, reconnect)).await;
        Ok(())
    }

    async fn drop_link(&mut self, fault: &Fault) {
        if fault.keeps_link {
            return;
        }
        if let Some(link) = self.link.take() {
            self.shared.cluster.unlink(&link).await;
        }
        if fault.kind == ErrorKind::TimedOut {
            // A slow line, or a quota: rskafka throws a throttled answer away and asks again.
            self.size = (self.size / 4).max(FETCH_MIN.min(self.size));
        }
    }
}

impl Trouble {
    fn new(shared: &Arc<Shared>) -> Self {
        lock(&shared.troubled).count += 1;
        Self { since: Instant::now(), unknown_since: None, tries: 0, shared: Arc::clone(shared) }
    }

    /// Notes whether the partition is unknown; true if it has been for too long.
    fn gone(&mut self, unknown: bool) -> bool {
        if !unknown {
            self.unknown_since = None;
            return false;
        }
        self.unknown_since.get_or_insert_with(Instant::now).elapsed() >= METADATA_WAIT
    }
}

fn given_up(assigned: &Assigned, fault: &Fault, lasted: Duration) -> Error {
    let kind = if fault.kind == ErrorKind::Other { ErrorKind::Unreachable } else { fault.kind };
    let text = format!("{assigned}: {}, for {} s now", fault.message, lasted.as_secs());
    Error::new(kind, text).with_status(Status::Persistent)
}

/// Leaves the records that were asked for, each once; rskafka hands over whatever a broker sends.
fn in_order(records: &mut Vec<RecordAndOffset>, from: i64) {
    let mut next = from;
    records.retain(|record| {
        let is_next = record.offset >= next;
        next = next.max(record.offset.saturating_add(1));
        is_next
    });
}

/// What the next fetch asks for: little at the end, more and more before it.
fn next_size(size: i32, at_end: bool, max: i32) -> i32 {
    if at_end && size >= FETCH_MIN {
        return FETCH_MIN.min(max);
    }
    size.saturating_mul(8).min(max)
}

/// An offset of the partition; the end where there is no record of that time or later.
pub(super) async fn offset_of(client: &PartitionClient, at: OffsetAt, limit: Duration) -> Result<i64, Fault> {
    let late = || Fault::timed_out(Class::Retry, "the question for an offset", limit);
    let offset = timeout(limit, client.get_offset(at)).await.map_err(|_| late())??;
    if offset >= 0 {
        return Ok(offset);
    }
    Ok(timeout(limit, client.get_offset(OffsetAt::Latest)).await.map_err(|_| late())??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_grow_before_the_end_and_are_small_at_it() {
        let max = 1 << 20;
        assert_eq!(next_size(FETCH_MIN, false, max), 128 << 10);
        assert_eq!(next_size(128 << 10, false, max), max);
        assert_eq!(next_size(max, true, max), FETCH_MIN);
        assert_eq!(next_size(FETCH_MIN, true, 1000), 1000);
    }

    #[test]
    fn records_that_were_read_before_are_left_out() {
        let record = |offset| RecordAndOffset {
            record: ::rskafka::record::Record {
                key: None,
                value: None,
                headers: Default::default(),
                timestamp: Default::default(),
            },
            offset,
        };
        let mut records: Vec<_> = [3, 4, 5, 4, 7, 6, 7, 8].map(record).into();
        in_order(&mut records, 4);
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [4, 5, 7, 8]);
    }

    #[test]
    fn a_narrowed_fetch_widens_again_after_a_success() {
        assert_eq!(next_size(1, false, 1 << 20), 8);
        assert_eq!(next_size(1, true, 1 << 20), 8);
    }

    #[test]
    fn memory_is_counted_in_whole_units_and_never_more_than_there_is() {
        assert_eq!((units(1), units(FETCH_MIN), units(FETCH_MIN + 1)), (1, 1, 2));
        assert_eq!(units(i32::MAX), units(AHEAD_MAX));
    }
}
