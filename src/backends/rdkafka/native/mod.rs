//! The thin layer over librdkafka's C interface: the only place, with its children, where
//! `unsafe` is allowed. What leaves it is safe: handles that free themselves, codes as numbers,
//! events as an enum.
//!
//! The crate's own producers and consumers are not used for moving records: they copy each value,
//! look the topic up by name for each record, and read the clock twice a poll (README, benchmarks).
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

mod admin;
mod aside;
mod consume;
mod metadata;
mod produce;
mod spread;
mod topics;

pub(super) use admin::{AdminError, Described, DescribedMember, ListedGroup, Place, Within};
pub(super) use consume::{Fetched, Pushed};
pub(super) use metadata::{Metadata, PartitionMeta, TopicMeta};
pub(super) use produce::{Kept, Outbox, QUEUE_FULL, Report, TIMESTAMP_ZERO};
pub(super) use topics::TopicToCreate;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use ::rdkafka::bindings as rd;
use ::rdkafka::topic_partition_list::TopicPartitionList;

use self::aside::Aside;
use self::spread::Spread;

/// A librdkafka error code (negative: its own; positive: the protocol's), kept as a number because
/// a broker may send one that the binding's enum does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(pub(super) i32);

impl Code {
    pub(super) const NONE: Self = Self(0);

    /// The enum value, if the binding knows it.
    pub(super) fn known(self) -> Option<rd::rd_kafka_resp_err_t> {
        rd::rd_kafka_resp_err_t::try_from(self.0).ok()
    }

    /// librdkafka's short description.
    pub(super) fn text(self) -> String {
        match self.known() {
            // SAFETY: a static C string for every code of the enum.
            Some(code) => unsafe { text(rd::rd_kafka_err2str(code)) },
            None => format!("error code {}", self.0),
        }
    }

    fn of(code: rd::rd_kafka_resp_err_t) -> Self {
        Self(code as i32)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.text())
    }
}

/// A C string of librdkafka's, copied; control characters are replaced, since brokers have a say in
/// some of them (host names).
unsafe fn text(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: the caller passes a NUL-terminated string that outlives the call.
    let s = unsafe { CStr::from_ptr(s) }.to_string_lossy();
    s.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Producer or consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Consumer,
}

/// What librdkafka wants to be known, in the order it happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Delivery reports; read them with [`Outbox::reports`].
    Delivered(EventPtr),
    /// A client-wide error. Fatal ones end the client.
    Error { code: Code, reason: String, fatal: bool },
    /// A log line.
    Log { level: i32, line: String },
    /// The group gives partitions.
    Assign(Vec<(String, i32, i64)>, EventPtr),
    /// The group takes partitions.
    Revoke(Vec<(String, i32, i64)>, EventPtr),
    /// A rebalance failed.
    RebalanceFailed(Code),
    /// Nothing within the time.
    None,
    /// Something of no interest.
    Other,
}

/// An event of librdkafka's, destroyed on drop.
#[derive(Debug)]
pub(super) struct EventPtr(NonNull<rd::rd_kafka_event_t>);

impl Drop for EventPtr {
    fn drop(&mut self) {
        // SAFETY: this value owns the event.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// The handle, and what librdkafka calls back into as long as it lives.
struct Handle(
    NonNull<rd::rd_kafka_t>,
    #[allow(dead_code, reason = "kept for the call-back")] Option<Box<Spread>>,
    Box<Aside>,
);

// SAFETY: librdkafka's handles may be used from any thread (its INTRODUCTION.md, "Threads").
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last owner. The consumer has been closed, or is not to be closed politely.
        unsafe {
            rd::rd_kafka_destroy_flags(self.0.as_ptr(), rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// A librdkafka client. Clones share it; the last one destroys it.
#[derive(Clone)]
pub(super) struct Client {
    handle: Arc<Handle>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// A setting that librdkafka refused: its name and its words for it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) reason: String,
}

impl Client {
    /// A client with these settings.
    pub(super) fn new(role: Role, settings: &[(String, String)]) -> Result<Self, Refused> {
        let mut reason = [0 as c_char; 512];
        // SAFETY: `conf` is passed on to rd_kafka_new, which owns it if it succeeds and leaves it to
        // us if not; all strings outlive the calls; `reason` is as long as said.
        unsafe {
            let conf = rd::rd_kafka_conf_new();
            for (name, value) in settings {
                let refused = |reason: String| Refused { name: name.clone(), reason };
                let (Ok(n), Ok(v)) = (CString::new(name.as_str()), CString::new(value.as_str())) else {
                    rd::rd_kafka_conf_destroy(conf);
                    return Err(refused("a NUL byte in it".to_owned()));
                };
                let done = rd::rd_kafka_conf_set(conf, n.as_ptr(), v.as_ptr(), reason.as_mut_ptr(), 512);
                if done != rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                    rd::rd_kafka_conf_destroy(conf);
                    return Err(refused(text(reason.as_ptr())));
                }
            }
            let events = rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_LOG;
            let (kind, events) = match role {
                Role::Producer => (rd::rd_kafka_type_t::RD_KAFKA_PRODUCER, events | rd::RD_KAFKA_EVENT_DR),
                Role::Consumer => {
                    (rd::rd_kafka_type_t::RD_KAFKA_CONSUMER, events | rd::RD_KAFKA_EVENT_REBALANCE)
                }
            };
            rd::rd_kafka_conf_set_events(conf, events);
            let spread = if role == Role::Producer { spread_of(settings) } else { None };
            if let Some(spread) = &spread {
                spread.install(conf);
            }
            let aside = Box::<Aside>::default();
            aside.install(conf);
            let rk = rd::rd_kafka_new(kind, conf, reason.as_mut_ptr(), 512);
            let Some(rk) = NonNull::new(rk) else {
                rd::rd_kafka_conf_destroy(conf);
                return Err(Refused { name: String::new(), reason: text(reason.as_ptr()) });
            };
            rd::rd_kafka_set_log_queue(rk.as_ptr(), ptr::null_mut());
            Ok(Self { handle: Arc::new(Handle(rk, spread, aside)) })
        }
    }

    fn ptr(&self) -> *mut rd::rd_kafka_t {
        self.handle.0.as_ptr()
    }

    /// An error of a partition that no queue has told, the last one if there were several.
    pub(super) fn told_aside(&self) -> Option<(Code, String)> {
        self.handle.2.take()
    }

    /// Names brokers to ask, `host:port` each; those it knows already change nothing.
    pub(super) fn add_brokers(&self, servers: &[String]) {
        let Ok(servers) = CString::new(servers.join(",")) else { return };
        // SAFETY: the client is alive, the text is copied.
        unsafe { rd::rd_kafka_brokers_add(self.ptr(), servers.as_ptr()) };
    }

    /// The queue of errors, logs and delivery reports.
    pub(super) fn main_queue(&self) -> Queue {
        // SAFETY: the client is alive; a queue keeps it alive.
        unsafe { Queue::own(self, rd::rd_kafka_queue_get_main(self.ptr())) }
    }

    /// The queue of a group member's events, errors and logs.
    pub(super) fn consumer_queue(&self) -> Option<Queue> {
        // SAFETY: as above; null without a group.
        unsafe {
            rd::rd_kafka_poll_set_consumer(self.ptr());
            let queue = rd::rd_kafka_queue_get_consumer(self.ptr());
            (!queue.is_null()).then(|| Queue::own(self, queue))
        }
    }

    /// An empty queue of our own.
    pub(super) fn new_queue(&self) -> Queue {
        // SAFETY: as above.
        unsafe { Queue::own(self, rd::rd_kafka_queue_new(self.ptr())) }
    }

    /// The queue of one partition's records.
    pub(super) fn partition_queue(&self, topic: &str, partition: i32) -> Option<Queue> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: as above; null when the topic is not usable.
        unsafe {
            let queue = rd::rd_kafka_queue_get_partition(self.ptr(), topic.as_ptr(), partition);
            (!queue.is_null()).then(|| Queue::own(self, queue))
        }
    }

    /// A topic handle.
    pub(super) fn topic(&self, name: &str) -> Result<Topic, Code> {
        let name = CString::new(name).map_err(|_| Code(-186))?;
        // SAFETY: a null configuration means the client's default one.
        let rkt = unsafe { rd::rd_kafka_topic_new(self.ptr(), name.as_ptr(), ptr::null_mut()) };
        let Some(ptr) = NonNull::new(rkt) else {
            // SAFETY: no preconditions.
            return Err(Code::of(unsafe { rd::rd_kafka_last_error() }));
        };
        Ok(Topic { ptr, _client: self.clone() })
    }

    /// Replaces the "offsets" of the list, timestamps or -1 (end) and -2 (beginning), by offsets.
    pub(super) fn offsets_for_times(&self, list: &TopicPartitionList, wait: Duration) -> Result<(), Code> {
        // SAFETY: the list is alive and ours.
        check(unsafe { rd::rd_kafka_offsets_for_times(self.ptr(), list.ptr(), millis(wait)) })
    }

    /// Fills in the committed offsets of the list.
    pub(super) fn committed(&self, list: &TopicPartitionList, wait: Duration) -> Result<(), Code> {
        // SAFETY: as above.
        check(unsafe { rd::rd_kafka_committed(self.ptr(), list.ptr(), millis(wait)) })
    }

    /// Commits the offsets of the list and waits for the answer.
    pub(super) fn commit(&self, list: &TopicPartitionList) -> Result<(), Code> {
        // SAFETY: as above.
        check(unsafe { rd::rd_kafka_commit(self.ptr(), list.ptr(), 0) })
    }

    /// Joins the group for these topics (a name that starts with `^` is a regular expression).
    pub(super) fn subscribe(&self, list: &TopicPartitionList) -> Result<(), Code> {
        // SAFETY: as above.
        check(unsafe { rd::rd_kafka_subscribe(self.ptr(), list.ptr()) })
    }

    /// Accepts an assignment or a revocation, all at once or in part, as the group's protocol has it.
    pub(super) fn rebalance(
        &self,
        list: Option<&TopicPartitionList>,
        event: &EventPtr,
    ) -> Result<(), String> {
        // SAFETY: the event's list lives as long as the event; `list` is ours; a returned error is
        // destroyed after reading.
        unsafe {
            let assigning = Code::of(rd::rd_kafka_event_error(event.0.as_ptr()))
                == Code::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
            let theirs = rd::rd_kafka_event_topic_partition_list(event.0.as_ptr());
            let tpl = list.map_or(theirs, TopicPartitionList::ptr);
            let error = match (self.is_incremental(), assigning) {
                (true, true) => rd::rd_kafka_incremental_assign(self.ptr(), tpl),
                (true, false) => rd::rd_kafka_incremental_unassign(self.ptr(), tpl),
                (false, _) => {
                    let tpl = if assigning { tpl } else { ptr::null_mut() };
                    return check(rd::rd_kafka_assign(self.ptr(), tpl)).map_err(Code::text);
                }
            };
            taken(error)
        }
    }

    /// True when the group gives and takes partitions one by one, not all of them each time.
    pub(super) fn is_incremental(&self) -> bool {
        // SAFETY: a static string.
        unsafe { text(rd::rd_kafka_rebalance_protocol(self.ptr())) == "COOPERATIVE" }
    }

    /// The epoch of the member in its group; 0 or less if it is in none.
    pub(super) fn member_epoch(&self) -> i32 {
        // SAFETY: what is returned, if anything, is ours, and destroyed after reading.
        unsafe {
            let metadata = rd::rd_kafka_consumer_group_metadata(self.ptr());
            if metadata.is_null() {
                return -1;
            }
            let epoch = rd::rd_kafka_consumer_group_metadata_generation_id(metadata);
            rd::rd_kafka_consumer_group_metadata_destroy(metadata);
            epoch
        }
    }

    /// Goes on reading these partitions from these offsets.
    pub(super) fn seek(&self, list: &TopicPartitionList) -> Result<(), String> {
        // SAFETY: the list is alive and ours; a returned error is destroyed after reading.
        unsafe { taken(rd::rd_kafka_seek_partitions(self.ptr(), list.ptr(), 0)) }
    }

    /// True when the partitions being revoked are lost already.
    pub(super) fn assignment_lost(&self) -> bool {
        // SAFETY: no preconditions.
        unsafe { rd::rd_kafka_assignment_lost(self.ptr()) != 0 }
    }

    /// Starts leaving the group; its last events come over `queue` until [`Self::closed`].
    pub(super) fn close(&self, queue: &Queue) -> Result<(), String> {
        // SAFETY: both are alive.
        unsafe { taken(rd::rd_kafka_consumer_close_queue(self.ptr(), queue.ptr.as_ptr())) }
    }

    /// True when the consumer has left its group.
    pub(super) fn closed(&self) -> bool {
        // SAFETY: no preconditions.
        unsafe { rd::rd_kafka_consumer_closed(self.ptr()) == 1 }
    }

    /// Sends what linger holds back, waiting up to `wait` for it to be reported.
    pub(super) fn flush(&self, wait: Duration) {
        // SAFETY: no preconditions. The code says "not yet", which the caller sees by its own count.
        unsafe { rd::rd_kafka_flush(self.ptr(), millis(wait)) };
    }

    /// Fences other users of the transactional id and begins a transaction (KIP-98).
    pub(super) fn begin_transaction(&self, wait: Duration) -> Result<(), (Code, String)> {
        // SAFETY: no preconditions; the error objects are read and destroyed.
        unsafe {
            told(rd::rd_kafka_init_transactions(self.ptr(), millis(wait)))?;
            told(rd::rd_kafka_begin_transaction(self.ptr()))
        }
    }

    /// Commits the transaction, or aborts it. All its records must have been reported.
    pub(super) fn end_transaction(&self, commit: bool, wait: Duration) -> Result<(), (Code, String)> {
        // SAFETY: as above.
        unsafe {
            told(if commit {
                rd::rd_kafka_commit_transaction(self.ptr(), millis(wait))
            } else {
                rd::rd_kafka_abort_transaction(self.ptr(), millis(wait))
            })
        }
    }

    /// Gives up all records that were not acknowledged: each gets its report.
    pub(super) fn purge(&self) {
        // SAFETY: no preconditions; the flags are valid, which is all that can fail.
        unsafe { rd::rd_kafka_purge(self.ptr(), rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT) };
    }
}

/// Our own spreading of records without a key, unless librdkafka's was asked for by its setting.
fn spread_of(settings: &[(String, String)]) -> Option<Box<Spread>> {
    let value =
        |key: &str| settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let theirs = value(STICKY).is_some_and(|ms| ms != "0");
    value("partitioner").filter(|_| !theirs).and_then(Spread::of)
}

/// librdkafka's setting for its own spreading; 0 lets it ask a partitioner for every record.
pub(super) const STICKY: &str = "sticky.partitioning.linger.ms";

/// An error object of librdkafka's, read and destroyed, with its code; null is success.
unsafe fn told(error: *mut rd::rd_kafka_error_t) -> Result<(), (Code, String)> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller owns the object, which `taken` destroys.
    unsafe {
        let code = Code::of(rd::rd_kafka_error_code(error));
        taken(error).map_err(|reason| (code, reason))
    }
}

/// An error object of librdkafka's, read and destroyed; null is success.
unsafe fn taken(error: *mut rd::rd_kafka_error_t) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller owns the object.
    unsafe {
        let reason = text(rd::rd_kafka_error_string(error));
        rd::rd_kafka_error_destroy(error);
        Err(reason)
    }
}

unsafe fn counted<'a, T>(first: *const T, n: c_int) -> &'a [T] {
    if first.is_null() || n <= 0 {
        return &[];
    }
    // SAFETY: the caller's array has `n` elements.
    unsafe { std::slice::from_raw_parts(first, n as usize) }
}

fn check(code: rd::rd_kafka_resp_err_t) -> Result<(), Code> {
    if Code::of(code) == Code::NONE { Ok(()) } else { Err(Code::of(code)) }
}

fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

/// A topic handle; keeps its client alive.
pub(super) struct Topic {
    ptr: NonNull<rd::rd_kafka_topic_t>,
    _client: Client,
}

// SAFETY: as for the client.
unsafe impl Send for Topic {}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic")
    }
}

impl Topic {
    /// Starts fetching a partition from an offset into a queue (no group).
    pub(super) fn consume_start(&self, partition: i32, offset: i64, queue: &Queue) -> Result<(), Code> {
        // SAFETY: both handles are alive; the queue outlives the fetcher, since librdkafka counts it.
        let done = unsafe {
            rd::rd_kafka_consume_start_queue(self.ptr.as_ptr(), partition, offset, queue.ptr.as_ptr())
        };
        // SAFETY: no preconditions.
        if done == 0 { Ok(()) } else { Err(Code::of(unsafe { rd::rd_kafka_last_error() })) }
    }

    /// Stops fetching a partition.
    pub(super) fn consume_stop(&self, partition: i32) {
        // SAFETY: the handle is alive. It fails only for a partition that was not started.
        unsafe { rd::rd_kafka_consume_stop(self.ptr.as_ptr(), partition) };
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference.
        unsafe { rd::rd_kafka_topic_destroy(self.ptr.as_ptr()) }
    }
}

/// A queue of librdkafka's; keeps its client alive.
pub(super) struct Queue {
    ptr: NonNull<rd::rd_kafka_queue_t>,
    _client: Client,
}

// SAFETY: as for the client.
unsafe impl Send for Queue {}
// SAFETY: as for the client.
unsafe impl Sync for Queue {}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference.
        unsafe { rd::rd_kafka_queue_destroy(self.ptr.as_ptr()) }
    }
}

impl Queue {
    /// # Safety
    /// `ptr` is a reference to a queue of this client that the caller gives away, not null.
    unsafe fn own(client: &Client, ptr: *mut rd::rd_kafka_queue_t) -> Self {
        // SAFETY: as promised.
        Self { ptr: unsafe { NonNull::new_unchecked(ptr) }, _client: client.clone() }
    }

    /// Sends what arrives here to `other` instead, also after the partition is assigned again.
    pub(super) fn forward(&self, other: &Self) {
        // SAFETY: both are alive; librdkafka counts the reference.
        unsafe { rd::rd_kafka_queue_forward(self.ptr.as_ptr(), other.ptr.as_ptr()) }
    }

    /// Makes a `poll` or fetch that waits on this queue, or the next one, return at once.
    pub(super) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.ptr.as_ptr()) }
    }

    /// Wakes `other` whenever something arrives here. `other` must not be dropped first.
    pub(super) fn wakes(&self, other: &Self) {
        unsafe extern "C" fn wake(_: *mut rd::rd_kafka_t, queue: *mut c_void) {
            // SAFETY: the queue that `wakes` was given, still referenced by its owner.
            unsafe { rd::rd_kafka_queue_yield(queue.cast()) }
        }
        // SAFETY: `wake` only touches `other`, which the caller keeps until this queue is silenced.
        unsafe {
            rd::rd_kafka_queue_cb_event_enable(self.ptr.as_ptr(), Some(wake), other.ptr.as_ptr().cast());
        }
    }

    /// Ends [`Self::wakes`].
    pub(super) fn silence(&self) {
        // SAFETY: the queue is alive; null ends the call-back.
        unsafe { rd::rd_kafka_queue_cb_event_enable(self.ptr.as_ptr(), None, ptr::null_mut()) }
    }

    /// Waits up to `wait` for the next event.
    pub(super) fn poll(&self, wait: Duration) -> Event {
        // SAFETY: an event that came out is ours until EventPtr destroys it.
        unsafe {
            let Some(event) = NonNull::new(rd::rd_kafka_queue_poll(self.ptr.as_ptr(), millis(wait))) else {
                return Event::None;
            };
            let event = EventPtr(event);
            let ptr = event.0.as_ptr();
            match rd::rd_kafka_event_type(ptr) {
                rd::RD_KAFKA_EVENT_DR => Event::Delivered(event),
                rd::RD_KAFKA_EVENT_ERROR => Event::Error {
                    code: Code::of(rd::rd_kafka_event_error(ptr)),
                    reason: text(rd::rd_kafka_event_error_string(ptr)),
                    fatal: rd::rd_kafka_event_error_is_fatal(ptr) != 0,
                },
                rd::RD_KAFKA_EVENT_LOG => log_line(&event),
                rd::RD_KAFKA_EVENT_REBALANCE => rebalance_event(event),
                _ => Event::Other,
            }
        }
    }
}

fn log_line(event: &EventPtr) -> Event {
    let (mut facility, mut message, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the strings live as long as the event; they are copied.
    unsafe {
        if rd::rd_kafka_event_log(event.0.as_ptr(), &mut facility, &mut message, &mut level) != 0 {
            return Event::Other;
        }
        Event::Log { level, line: format!("{}: {}", text(facility), text(message)) }
    }
}

fn rebalance_event(event: EventPtr) -> Event {
    use rd::rd_kafka_resp_err_t as E;
    // SAFETY: the list belongs to the event and is only read.
    let (code, parts) = unsafe {
        let ptr = event.0.as_ptr();
        let list = rd::rd_kafka_event_topic_partition_list(ptr);
        let parts = if list.is_null() { &[][..] } else { counted((*list).elems, (*list).cnt) };
        let parts: Vec<_> = parts.iter().map(|p| (text(p.topic), p.partition, p.offset)).collect();
        (rd::rd_kafka_event_error(ptr), parts)
    };
    match code {
        E::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Event::Assign(parts, event),
        E::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Event::Revoke(parts, event),
        other => Event::RebalanceFailed(Code::of(other)),
    }
}

/// librdkafka's version, and what was compiled into it.
pub(in crate::backends) fn build() -> (String, Vec<String>) {
    // SAFETY: static strings; the configuration is destroyed after its value was copied.
    unsafe {
        let version = text(rd::rd_kafka_version_str());
        let conf = rd::rd_kafka_conf_new();
        let mut buffer = [0 as c_char; 512];
        let mut len = buffer.len();
        let got = rd::rd_kafka_conf_get(conf, c"builtin.features".as_ptr(), buffer.as_mut_ptr(), &mut len);
        rd::rd_kafka_conf_destroy(conf);
        let features = if got == rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            text(buffer.as_ptr())
        } else {
            String::new()
        };
        (version, features.split(',').filter(|f| !f.is_empty()).map(str::to_owned).collect())
    }
}
