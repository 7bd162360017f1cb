//! The seam between the commands and the client libraries: three object-safe, synchronous
//! traits: batches in, records pushed out (one virtual call a batch and one a record), and looking at the
//! cluster.
//!
//! Wrappers implement the same traits. Nothing here knows about flags, input or output formats.

pub mod capability;
mod error;
mod factory;
#[cfg(any(feature = "native", feature = "rskafka"))]
mod grouped;
pub mod inspector;
pub mod keeper;
mod mailbox;
#[cfg(feature = "native")]
mod native;
mod notice;
pub mod partitioner;
#[cfg(feature = "rdkafka")]
mod rdkafka;
#[cfg(any(feature = "native", feature = "rskafka"))]
mod reset;
mod room;
#[cfg(feature = "rskafka")]
mod rskafka;
mod starts;
#[cfg(any(feature = "native", feature = "rskafka"))]
mod wired;

pub use error::{Error, ErrorKind, Result, Status};
pub use factory::{
    Advice, Chosen, NoLibrary, Purpose, advise, available, build_of, choose, is_available, open_inspector,
    open_keeper, open_publisher, open_subscriber,
};
pub use inspector::Inspector;
pub use keeper::Keeper;
pub(crate) use mailbox::{Mailbox, lock};
pub use notice::Notice;
pub(crate) use room::Room;
pub use starts::{Start, StartOrigin, Starts};

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::record::TopicPartition;
use crate::record::{Batch, RecordRef};

/// Wakes a `poll` that waits, from any thread. A wake-up that comes before the `poll` makes that
/// `poll` return at once: none is lost.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// What became of a record that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not in the topic.
    Failed,
    /// It was sent and no answer came: it may be in the topic.
    Unknown,
}

/// Receives what became of each record. Every record the publisher took is told exactly once.
pub trait ReportSink {
    /// These many records (`payload` bytes of keys and values) were acknowledged.
    fn delivered(&mut self, records: u64, payload: u64);
    /// Where an acknowledged record is; called as well as `delivered`, only if
    /// [`PublishPlan::receipts`] is set. `record` has topic, partition, offset (-1 when the library
    /// does not tell) and timestamp filled in.
    fn placed(&mut self, record: &RecordRef<'_>);
    /// A record that was not acknowledged. `line` is its [`crate::record::Span::line`], `source` its
    /// file.
    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        line: u64,
        source: Option<&str>,
        fate: Fate,
        error: &Error,
    );
    /// These many records were acknowledged in a transaction that was not committed: they are not
    /// delivered, nor were they told as such.
    fn aborted(&mut self, records: u64);
    /// These many records were sent again although an earlier try may have written them: each may be in the
    /// topic twice. Never told of a producer whose brokers tell repeated batches from new ones.
    fn resent(&mut self, records: u64);
    /// The connection to the brokers has changed.
    fn notice(&mut self, notice: &Notice);
    /// At the end of a run with a spool: so many records stay in it for the next run, and so many were damaged.
    fn spooled(&mut self, kept: u64, damaged: u64);
    /// Something to tell the user as one warning line.
    fn warn(&mut self, message: &str);
}

/// Where the libraries' own log lines go: level as syslog has it (3 error, 4 warning ... 7 debug).
#[derive(Clone)]
pub struct Log(Arc<Teller>);

type Teller = dyn Fn(i32, &str) + Send + Sync;

impl Log {
    /// A log that calls `f` with level and line.
    pub fn new(f: impl Fn(i32, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(f))
    }

    /// A log that forgets.
    pub fn none() -> Self {
        Self::new(|_, _| {})
    }

    /// Writes a line.
    pub fn line(&self, level: i32, line: &str) {
        (self.0)(level, line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// What a publisher is opened for.
#[derive(Debug, Clone)]
pub struct PublishPlan {
    /// The topic of records that name none. Without one, every record must name its own.
    pub topic: Option<String>,
    /// The partition all records go to, if one was asked for: checked to exist at open.
    pub partition: Option<i32>,
    /// Tell [`ReportSink::placed`] for every acknowledged record.
    pub receipts: bool,
    /// Where the library's log goes.
    pub log: Log,
}

/// What a subscriber is opened for.
#[derive(Debug, Clone)]
pub struct SubscribePlan {
    /// True when `join` will be called rather than `assign`.
    pub grouped: bool,
    /// Where the library's log goes.
    pub log: Log,
}

/// True for the topics that Kafka and others keep for themselves.
pub(crate) fn is_internal(topic: &str) -> bool {
    topic.starts_with("__")
}

/// True when a pattern takes a topic: it matches, and an internal topic only when asked for by name.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn pattern_takes(pattern: &regex::Regex, topic: &str) -> bool {
    let internal = is_internal(pattern.as_str().trim_start_matches('^'));
    (internal || !is_internal(topic)) && pattern.is_match(topic)
}

/// No such topic, in the same words from every library.
pub(crate) fn unknown_topic(topic: &str) -> Error {
    let text = format!(
        "unknown topic {topic}: create it, or allow the broker to create topics (auto.create.topics.enable)"
    );
    Error::new(ErrorKind::UnknownTopic, text)
}

/// A group that is none of consumers (of Kafka Connect, say), in the same words from every library.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn not_of_consumers(group: &str) -> Error {
    Error::new(ErrorKind::UnknownGroup, format!("group {group} is not a group of consumers"))
}

/// No broker could be used, in the same words from every library. A reason that has them already says them once.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn not_reached(kind: ErrorKind, servers: &[String], reason: &str) -> Error {
    let words = format!("no broker reached at {}: ", servers.join(","));
    let reason = reason.strip_prefix(&words).unwrap_or(reason);
    Error::new(kind, format!("{words}{reason}"))
}

/// A record that is too large by itself, in the same words from every library.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn too_large(bytes: usize, limit: impl fmt::Display) -> Error {
    let text = format!("record of {bytes} bytes is larger than max.request.size {limit}");
    Error::new(ErrorKind::TooLarge, text)
}

/// What becomes of a commit of partitions that are given up: a refusal for ever ends the run, whatever else keeps
/// their offsets from being committed is told.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn committed_or_said(outcome: Result<()>, sink: &mut dyn RecordSink) -> Result<()> {
    match outcome {
        Err(e) if e.is_refusal() => Err(e),
        Err(e) => {
            sink.warn(&format!("{e}: what was read and not committed is read again"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Warning of a partition whose committed offset somebody deleted while this run read it.
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
fn committed_offset_deleted(partition: &TopicPartition, reset: &str) -> String {
    format!("{partition}: its committed offset was deleted: starting again (auto.offset.reset={reset})")
}

/// What asks for a group of a subscriber that was opened without one.
#[cfg(any(feature = "native", feature = "rskafka"))]
fn without_group() -> Error {
    Error::new(ErrorKind::Unsupported, "no group was given")
}

/// The error for a partition that a topic does not have.
pub(crate) fn unknown_partition(topic: &str, partition: i32, count: usize) -> Error {
    let last = count.saturating_sub(1);
    Error::new(
        ErrorKind::UnknownTopic,
        format!("no partition {topic}[{partition}]: the topic has 0 to {last}"),
    )
}

/// Sends records.
pub trait Publisher: Send {
    /// Wakes `poll`.
    fn waker(&self) -> Waker;
    /// Takes these records of the batch; returns how many the client now owns. Fewer than offered
    /// means that its queue is full: `poll`, then offer the rest. Records that the library refuses
    /// at once are taken and told through the next `poll`.
    ///
    /// # Errors
    /// Only what makes all further sending useless.
    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize>;
    /// Waits up to `wait` for outcomes (or a wake-up) and pushes each to `sink`; returns the number
    /// of records still without one. With `Duration::ZERO` it never waits.
    ///
    /// # Errors
    /// Only what makes all further sending useless.
    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize>;
    /// Sends what is held back by linger, without waiting for any outcome.
    fn flush(&mut self);
    /// Sends what is held back by linger now (end of input), then waits for all outcomes up to
    /// `deadline`, which is asked again at every wake-up since a signal brings it forward; what has
    /// none by then is told as failed or unknown.
    ///
    /// # Errors
    /// As `poll`.
    fn close(self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()>;
}

/// Offsets by partition: the next offset to read.
pub type Offsets = Vec<(TopicPartition, i64)>;

/// Which topics to read.
#[derive(Debug, Clone)]
pub enum Topics {
    /// These.
    Names(Vec<String>),
    /// All whose name matches; internal topics (`__...`) only if the pattern starts with `^?__`.
    Pattern(regex::Regex),
}

/// A place in a partition that only the broker can turn into an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The first offset still there.
    Earliest,
    /// The end: where the next record goes (the last stable offset under `read_committed`).
    Latest,
    /// The first record with this timestamp (ms since 1970-01-01 UTC) or later; the end if there is
    /// none (ListOffsets, KIP-79).
    Timestamp(i64),
}

/// Receives records and what happens to partitions.
pub trait RecordSink {
    /// A record. `Break` means: no more now; the library keeps or fetches again what it has not
    /// pushed, the record itself counts as taken.
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()>;
    /// All of the partition below `next` was pushed or does not exist (transaction markers,
    /// compacted or aborted records): told whenever the position moves without a record, and when
    /// the end of the partition is reached.
    fn reached(&mut self, topic: &str, partition: i32, next: i64);
    /// Partitions given to this member of the group.
    fn assigned(&mut self, partitions: &[TopicPartition]);
    /// The reading of an assigned partition begins at `offset`, which `origin` chose. Called after `assigned` and before
    /// any record of it; not called where the library alone knows the offset.
    fn started(&mut self, partition: &TopicPartition, offset: i64, origin: StartOrigin);
    /// Partitions about to be taken away. Returns the offsets to commit before they go: those of
    /// records whose output was written. With `lost`, they are gone already and nothing can be
    /// committed.
    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Offsets;
    /// The connection to the brokers has changed.
    fn notice(&mut self, notice: &Notice);
    /// Something to tell the user, once, as one warning line (an offset reset).
    fn warn(&mut self, message: &str);
}

/// Reads records: either partitions of one's own choice (`partitions`, `list_offsets`, `assign`) or
/// as a member of the group (`join`).
pub trait Subscriber: Send {
    /// Wakes `poll`.
    fn waker(&self) -> Waker;
    /// The partitions there are now, of the topics asked for, sorted.
    ///
    /// # Errors
    /// `UnknownTopic` for a name (not a pattern) that does not exist; `Unreachable`, `TimedOut`.
    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>>;
    /// The offsets of these places, in the same order.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unreachable`, `TimedOut`.
    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>>;
    /// The group's committed offsets, in the same order; `None` where it has none.
    ///
    /// # Errors
    /// `Unsupported` without groups; `Unreachable`, `TimedOut`.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>>;
    /// Reads these partitions from these offsets, in addition to those assigned already.
    ///
    /// # Errors
    /// As the library has them.
    fn assign(&mut self, starts: &Offsets) -> Result<()>;
    /// Stops reading these partitions.
    ///
    /// # Errors
    /// As the library has them.
    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()>;
    /// Joins the group and reads what it assigns, from where `starts` says.
    ///
    /// # Errors
    /// `Unsupported` without groups.
    fn join(&mut self, topics: &Topics, starts: Arc<Starts>) -> Result<()>;
    /// Waits up to `wait` for the first record (or a wake-up), then pushes what is ready. Returns
    /// after a bounded number of records even when more are ready.
    ///
    /// # Errors
    /// What ends the reading; temporary trouble is handled inside and told by `RecordSink::warn`.
    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled>;
    /// Commits for the group, and waits for the answer.
    ///
    /// # Errors
    /// `Authorization`, naming what is not committed; `Later` in a rebalance; `TimedOut`; `Other` when refused.
    fn commit(&mut self, offsets: &Offsets) -> Result<()>;
    /// Leaves the group (if any) and ends by `deadline`. The sink sees the last `revoked`.
    ///
    /// # Errors
    /// As the library has them; the client is gone all the same.
    fn close(self: Box<Self>, deadline: Instant, sink: &mut dyn RecordSink) -> Result<()>;
}

/// What a `poll` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Records pushed.
    pub records: usize,
    /// True when nothing more is ready now: the moment to flush output.
    pub idle: bool,
}
