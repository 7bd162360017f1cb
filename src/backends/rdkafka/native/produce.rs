//! Sending: librdkafka reads the values straight out of our arenas, so every arena stays until the
//! last of its records has been reported.
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use ::rdkafka::bindings as rd;

use super::{Client, Code, EventPtr, Topic, text};
use crate::record::{Batch, Headers, RecordRef, Span, TimestampType};

/// What became of a record.
#[derive(Debug)]
pub(in crate::backends::rdkafka) struct Report<'a> {
    pub(in crate::backends::rdkafka) code: Code,
    /// True unless the record certainly is not in the topic.
    pub(in crate::backends::rdkafka) possibly_written: bool,
    pub(in crate::backends::rdkafka) batch: &'a Arc<Batch>,
    pub(in crate::backends::rdkafka) index: usize,
    pub(in crate::backends::rdkafka) partition: i32,
    pub(in crate::backends::rdkafka) offset: i64,
    pub(in crate::backends::rdkafka) timestamp: i64,
    /// Which offer it was part of, counted from 1; 0 if it was refused on the spot.
    offer: u64,
}

/// A report that outlasts its event.
#[derive(Debug)]
pub(in crate::backends::rdkafka) struct Kept {
    code: Code,
    possibly_written: bool,
    batch: Arc<Batch>,
    index: usize,
    partition: i32,
    offer: u64,
}

impl Kept {
    /// Where it stands among all that were sent.
    pub(in crate::backends::rdkafka) fn place(&self) -> (u64, usize) {
        (self.offer, self.index)
    }

    pub(in crate::backends::rdkafka) fn report(&self) -> Report<'_> {
        let &Self { code, possibly_written, ref batch, index, partition, offer } = self;
        Report { possibly_written, partition, offer, ..Report::of(batch, index, code) }
    }
}

/// A batch that librdkafka still reads from, and how many of its records have no report yet.
#[derive(Debug)]
struct Held {
    batch: Arc<Batch>,
    unreported: u32,
    offer: u64,
}

/// A record that librdkafka refused on the spot.
#[derive(Debug)]
struct Rejected {
    batch: Arc<Batch>,
    index: usize,
    code: Code,
}

/// The records librdkafka has, and where their bytes are.
///
/// Invariant: for every message librdkafka holds, `held[slot]` keeps the arena it points into; a
/// slot is emptied only when all its messages were reported. `client` is declared first, so that it
/// is destroyed (and with it every message) before the arenas when this value is dropped.
#[derive(Debug)]
pub(in crate::backends::rdkafka) struct Outbox {
    topics: HashMap<String, Topic>,
    topic: Option<Topic>,
    client: Client,
    messages: Vec<rd::rd_kafka_message_t>,
    reported: Vec<*const rd::rd_kafka_message_t>,
    rejected: Vec<Rejected>,
    in_flight: usize,
    held: Vec<Option<Held>>,
    free: Vec<u32>,
    offers: u64,
}

// SAFETY: the raw pointers in `messages` and `reported` are scratch space, empty between calls.
unsafe impl Send for Outbox {}

/// Messages offered to librdkafka in one call.
const RUN: usize = 10_000;

impl Outbox {
    /// An outbox that sends to `topic` unless a record names another.
    pub(in crate::backends::rdkafka) fn new(client: Client, topic: Option<Topic>) -> Self {
        Self {
            topics: HashMap::new(),
            topic,
            client,
            messages: Vec::new(),
            reported: Vec::new(),
            rejected: Vec::new(),
            in_flight: 0,
            held: Vec::new(),
            free: Vec::new(),
            offers: 0,
        }
    }

    /// The topic of records that name none.
    pub(in crate::backends::rdkafka) fn topic(&self) -> Option<&Topic> {
        self.topic.as_ref()
    }

    /// Records without a report yet, rejected ones included.
    pub(in crate::backends::rdkafka) fn in_flight(&self) -> usize {
        self.in_flight + self.rejected.len()
    }

    /// Offers these records; returns how many were taken (fewer: its queue is full).
    pub(in crate::backends::rdkafka) fn produce(
        &mut self,
        batch: &Arc<Batch>,
        records: Range<usize>,
    ) -> usize {
        let slot = self.hold(batch);
        let spans = &batch.spans()[..records.end];
        let topic = self.topic.as_ref().map(|t| t.ptr.as_ptr());
        let mut at = records.start;
        while at < spans.len() {
            let plain = spans[at..].iter().take(RUN).take_while(|s| is_plain(s)).count();
            let taken = match topic {
                Some(topic) if plain > 0 => self.produce_run(topic, batch, slot, at, plain),
                _ => usize::from(self.produce_one(batch, slot, at)),
            };
            at += taken;
            if taken == 0 || taken < plain.min(if topic.is_some() { RUN } else { 1 }) {
                break;
            }
        }
        self.release(slot);
        at - records.start
    }

    /// Records without headers, timestamp or topic of their own: one library call for all.
    fn produce_run(
        &mut self,
        topic: *mut rd::rd_kafka_topic_t,
        batch: &Arc<Batch>,
        slot: u32,
        from: usize,
        n: usize,
    ) -> usize {
        self.messages.clear();
        for (i, span) in batch.spans()[from..from + n].iter().enumerate() {
            let (payload, len) = raw(batch.slice(span.value));
            let (key, key_len) = raw(batch.slice(span.key));
            self.messages.push(rd::rd_kafka_message_t {
                err: rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: span.partition,
                payload,
                len,
                key,
                key_len,
                offset: 0,
                _private: opaque(slot, from + i),
            });
        }
        // SAFETY: the messages point into `batch`, held in `slot` until all are reported; without
        // F_COPY librdkafka reads the values from there. Keys are copied by librdkafka.
        unsafe {
            rd::rd_kafka_produce_batch(
                topic,
                -1,
                rd::RD_KAFKA_MSG_F_PARTITION,
                self.messages.as_mut_ptr(),
                n as i32,
            );
        }
        for i in 0..n {
            // SAFETY: an element of the vector; read as a number (see `Code`).
            let code =
                Code(unsafe { ptr::addr_of!((*self.messages.as_ptr().add(i)).err).cast::<i32>().read() });
            if !self.account(batch, slot, from + i, code) {
                self.messages.clear();
                return i;
            }
            if code == QUEUE_FULL {
                // It was too large for the queue, and kept those behind it from being looked at.
                self.messages.clear();
                return i + 1;
            }
        }
        self.messages.clear();
        n
    }

    /// Books a record librdkafka answered for; false when its queue is full.
    fn account(&mut self, batch: &Arc<Batch>, slot: u32, index: usize, code: Code) -> bool {
        if code == Code::NONE {
            self.in_flight += 1;
            if let Some(Some(held)) = self.held.get_mut(slot as usize) {
                held.unreported += 1;
            }
        } else if code == QUEUE_FULL && self.in_flight > 0 {
            return false;
        } else {
            self.rejected.push(Rejected { batch: Arc::clone(batch), index, code });
        }
        true
    }

    /// A record with headers, timestamp or a topic of its own.
    fn produce_one(&mut self, batch: &Arc<Batch>, slot: u32, index: usize) -> bool {
        let span = batch.spans()[index];
        if span.timestamp == 0 {
            return self.account(batch, slot, index, TIMESTAMP_ZERO);
        }
        let topic = match self.topic_of(batch, &span) {
            Ok(topic) => topic,
            Err(code) => return self.account(batch, slot, index, code),
        };
        let (payload, len) = raw(batch.slice(span.value));
        let (key, key_len) = raw(batch.slice(span.key));
        use rd::rd_kafka_vtype_t as T;
        let mut vus = [
            vu(T::RD_KAFKA_VTYPE_RKT, |u| u.rkt = topic),
            vu(T::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = span.partition),
            vu(T::RD_KAFKA_VTYPE_VALUE, |u| u.mem = mem(payload, len)),
            vu(T::RD_KAFKA_VTYPE_KEY, |u| u.mem = mem(key, key_len)),
            vu(T::RD_KAFKA_VTYPE_OPAQUE, |u| u.ptr = opaque(slot, index)),
            vu(T::RD_KAFKA_VTYPE_TIMESTAMP, |u| u.i64_ = span.timestamp.max(0)),
            vu(T::RD_KAFKA_VTYPE_HEADERS, |u| u.headers = ptr::null_mut()),
        ];
        let headers = batch.headers(&span);
        let n = if headers.count() == 0 { 6 } else { 7 };
        // SAFETY: the value is held as in `produce_run`; key and headers are copied or given away:
        // the header list is librdkafka's when the call succeeds and ours when it does not.
        let code = unsafe {
            let list = if n == 7 { header_list(&headers) } else { ptr::null_mut() };
            vus[6].u.headers = list;
            let error = rd::rd_kafka_produceva(self.client.ptr(), vus.as_ptr(), n);
            if error.is_null() {
                Code::NONE
            } else {
                if !list.is_null() {
                    rd::rd_kafka_headers_destroy(list);
                }
                let code = Code::of(rd::rd_kafka_error_code(error));
                rd::rd_kafka_error_destroy(error);
                code
            }
        };
        self.account(batch, slot, index, code)
    }

    fn topic_of(&mut self, batch: &Batch, span: &Span) -> Result<*mut rd::rd_kafka_topic_t, Code> {
        let Some(name) = batch.topic(span) else {
            return self.topic.as_ref().map(|t| t.ptr.as_ptr()).ok_or(UNKNOWN_TOPIC);
        };
        if !self.topics.contains_key(name) {
            self.topics.insert(name.to_owned(), self.client.topic(name)?);
        }
        self.topics.get(name).map(|t| t.ptr.as_ptr()).ok_or(UNKNOWN_TOPIC)
    }

    fn hold(&mut self, batch: &Arc<Batch>) -> u32 {
        // One unreported record more than there are, so that the slot lasts while records are added.
        self.offers += 1;
        let held = Some(Held { batch: Arc::clone(batch), unreported: 1, offer: self.offers });
        if let Some(slot) = self.free.pop() {
            self.held[slot as usize] = held;
            return slot;
        }
        self.held.push(held);
        (self.held.len() - 1) as u32
    }

    /// One record of the slot less.
    fn release(&mut self, slot: u32) {
        if let Some(entry) = self.held.get_mut(slot as usize)
            && let Some(held) = entry
        {
            held.unreported -= 1;
            if held.unreported == 0 {
                *entry = None;
                self.free.push(slot);
            }
        }
    }

    /// Tells every record that was refused on the spot.
    pub(in crate::backends::rdkafka) fn rejections(&mut self, mut tell: impl FnMut(&Report<'_>)) {
        for r in self.rejected.drain(..) {
            tell(&Report::of(&r.batch, r.index, r.code));
        }
    }

    /// Tells every record of a delivery event; `times` asks for timestamps as well.
    pub(in crate::backends::rdkafka) fn reports(
        &mut self,
        event: &EventPtr,
        mut tell: impl FnMut(&Report<'_>),
    ) {
        let mut reported = std::mem::take(&mut self.reported);
        // SAFETY: the array gets at most `n` pointers to messages that live as long as the event;
        // `_private` is what `opaque` made, for a slot that holds the batch until `release`.
        unsafe {
            let n = rd::rd_kafka_event_message_count(event.0.as_ptr());
            reported.resize(n, ptr::null());
            let n = rd::rd_kafka_event_message_array(event.0.as_ptr(), reported.as_mut_ptr(), n);
            for &message in &reported[..n] {
                let m = &*message;
                let (slot, index) = un_opaque(m._private);
                let code = Code(ptr::addr_of!(m.err).cast::<i32>().read());
                if let Some(Some(held)) = self.held.get(slot as usize) {
                    tell(&Report {
                        code,
                        possibly_written: code != Code::NONE && possibly_written(message),
                        batch: &held.batch,
                        index,
                        partition: m.partition,
                        offset: m.offset,
                        timestamp: rd::rd_kafka_message_timestamp(message, ptr::null_mut()),
                        offer: held.offer,
                    });
                }
                self.in_flight = self.in_flight.saturating_sub(1);
                self.release(slot);
            }
        }
        reported.clear();
        self.reported = reported;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // Messages that librdkafka still has point into `held`: take them away from it first. The
        // client may live on in a waker, so its destruction cannot be relied upon for that.
        if self.in_flight > 0 {
            self.client.purge();
            let queue = self.client.main_queue();
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while self.in_flight > 0 && std::time::Instant::now() < deadline {
                if let super::Event::Delivered(event) = queue.poll(std::time::Duration::from_millis(100)) {
                    self.reports(&event, |_| {});
                }
            }
            if self.in_flight > 0 {
                // Better a leak than memory that librdkafka still reads.
                std::mem::forget(std::mem::take(&mut self.held));
            }
        }
    }
}

/// Not a code of librdkafka's: it takes timestamp 0 for "now" (rd_kafka_msg_new0), so a record with
/// that timestamp is refused rather than changed.
pub(in crate::backends::rdkafka) const TIMESTAMP_ZERO: Code = Code(i32::MIN);
const UNKNOWN_TOPIC: Code = Code(-188);
/// librdkafka's queue has no room; with nothing in it, the record alone is larger.
pub(in crate::backends::rdkafka) const QUEUE_FULL: Code = Code(-184);

fn is_plain(span: &Span) -> bool {
    span.headers.1 == 0 && span.timestamp < 0 && span.topic == 0
}

unsafe fn possibly_written(message: *const rd::rd_kafka_message_t) -> bool {
    // SAFETY: the message is alive.
    let status = unsafe { rd::rd_kafka_message_status(message) };
    !matches!(status, rd::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
}

/// Slot and index of a record in one pointer-sized number: 64-bit systems only.
fn opaque(slot: u32, index: usize) -> *mut c_void {
    const { assert!(size_of::<usize>() == 8, "kps needs a 64-bit system for librdkafka") };
    (((slot as usize) << 32) | index) as *mut c_void
}

fn un_opaque(opaque: *mut c_void) -> (u32, usize) {
    let n = opaque as usize;
    ((n >> 32) as u32, n & 0xffff_ffff)
}

/// Pointer and length; null for null, and never null for an empty value.
fn raw(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    match bytes {
        None => (ptr::null_mut(), 0),
        Some(b) => (b.as_ptr().cast_mut().cast(), b.len()),
    }
}

fn mem(ptr: *mut c_void, size: usize) -> rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size }
}

fn vu(
    vtype: rd::rd_kafka_vtype_t,
    set: impl FnOnce(&mut rd::rd_kafka_vu_s__bindgen_ty_1),
) -> rd::rd_kafka_vu_t {
    let mut u = rd::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    set(&mut u);
    rd::rd_kafka_vu_t { vtype, u }
}

/// # Safety
/// The caller destroys the list or gives it to librdkafka.
unsafe fn header_list(headers: &impl Headers) -> *mut rd::rd_kafka_headers_t {
    // SAFETY: names and values are copied by rd_kafka_header_add; sizes are given.
    unsafe {
        let list = rd::rd_kafka_headers_new(headers.count());
        headers.for_each(&mut |name, value| {
            let (value, len) = raw(value);
            rd::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, value, len as isize);
        });
        list
    }
}

impl<'a> Report<'a> {
    /// A report that librdkafka did not make.
    pub(in crate::backends::rdkafka) fn of(batch: &'a Arc<Batch>, index: usize, code: Code) -> Self {
        Self {
            code,
            possibly_written: false,
            batch,
            index,
            partition: -1,
            offset: -1,
            timestamp: -1,
            offer: 0,
        }
    }

    /// What of it is to be told later.
    pub(in crate::backends::rdkafka) fn keep(&self) -> Kept {
        let &Self { code, possibly_written, batch, index, partition, offer, .. } = self;
        Kept { code, possibly_written, batch: Arc::clone(batch), index, partition, offer }
    }

    /// Bytes of key and value.
    pub(in crate::backends::rdkafka) fn payload_len(&self) -> usize {
        let span = &self.batch.spans()[self.index];
        span.key.len() + span.value.len()
    }

    /// The record with the place that the broker gave it.
    pub(in crate::backends::rdkafka) fn with_record<R>(
        &self,
        topic: &str,
        f: impl FnOnce(&RecordRef<'_>) -> R,
    ) -> R {
        self.batch.with_record(self.index, topic, |r| {
            f(&RecordRef {
                partition: if self.partition >= 0 { self.partition } else { r.partition },
                offset: self.offset,
                timestamp: if self.timestamp >= 0 { self.timestamp } else { r.timestamp },
                timestamp_type: TimestampType::Create,
                ..*r
            })
        })
    }
}

/// librdkafka's text for a topic pointer; used by the consumer as well.
pub(super) unsafe fn topic_name(rkt: *const rd::rd_kafka_topic_t) -> String {
    // SAFETY: the caller's topic is alive, its name lives as long.
    unsafe { text(rd::rd_kafka_topic_name(rkt)) }
}
