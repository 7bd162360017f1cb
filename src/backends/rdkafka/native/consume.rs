//! Reading: messages taken from a queue many at a time and lent as records.
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::ptr;
use std::time::Duration;

use ::rdkafka::bindings as rd;

use super::{Client, Code, Queue, millis, produce::topic_name, text};
use crate::record::{Headers, RecordRef, TimestampType};

/// Messages taken in one call.
const RUN: usize = 1_000;

/// Messages taken from a queue and not pushed yet; destroyed when pushed or dropped.
#[derive(Debug)]
pub(in crate::backends::rdkafka) struct Fetched {
    messages: Vec<*mut rd::rd_kafka_message_t>,
    next: usize,
}

// SAFETY: messages may be read and destroyed on any thread.
unsafe impl Send for Fetched {}

/// What comes out of a queue.
#[derive(Debug)]
pub(in crate::backends::rdkafka) enum Pushed<'a> {
    /// A record.
    Record(&'a RecordRef<'a>),
    /// The end of a partition, at this offset.
    End { topic: &'a str, partition: i32, offset: i64 },
    /// An error about a partition (or, with an empty topic, about the consumer).
    Error { topic: &'a str, partition: i32, offset: i64, code: Code, reason: String },
}

impl Client {
    /// The end of a partition's log as the last answer to a fetch told it; negative if none did.
    pub(in crate::backends::rdkafka) fn known_end(&self, topic: &str, partition: i32) -> i64 {
        let Ok(topic) = CString::new(topic) else { return -1 };
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, both offsets are ours; they stay as they are if the partition is not known.
        unsafe {
            rd::rd_kafka_get_watermark_offsets(self.ptr(), topic.as_ptr(), partition, &mut low, &mut high);
        }
        high
    }
}

impl Fetched {
    pub(in crate::backends::rdkafka) fn new() -> Self {
        Self { messages: Vec::with_capacity(RUN), next: 0 }
    }

    /// True when all was pushed.
    pub(in crate::backends::rdkafka) fn is_empty(&self) -> bool {
        self.next == self.messages.len()
    }

    /// True when the last fill found as many as it asked for: more may be ready.
    pub(in crate::backends::rdkafka) fn is_full(&self, most: usize) -> bool {
        self.messages.len() >= most.clamp(1, RUN)
    }

    /// Takes up to `most` messages: waits for the first, then takes only what is there. (A batch
    /// call waits until it is full or the time is up, so the first one is asked for alone; and before any other, for
    /// each call ends a [`Queue::wake`] that came before it.)
    pub(in crate::backends::rdkafka) fn fill(&mut self, queue: &Queue, wait: Duration, most: usize) {
        if !self.is_empty() {
            return;
        }
        self.messages.clear();
        self.next = 0;
        let most = most.clamp(1, RUN);
        // SAFETY: the vector has room for RUN pointers; librdkafka writes at most as many as it is
        // told and returns how many it wrote (-1 on error).
        unsafe {
            let out = self.messages.as_mut_ptr();
            let q = queue.ptr.as_ptr();
            let mut n = rd::rd_kafka_consume_batch_queue(q, millis(wait), out, 1).max(0) as usize;
            if n == 1 && most > 1 {
                n += rd::rd_kafka_consume_batch_queue(q, 0, out.add(1), most - 1).max(0) as usize;
            }
            self.messages.set_len(n);
        }
    }

    /// Pushes what was taken until the receiver breaks off.
    pub(in crate::backends::rdkafka) fn push(
        &mut self,
        mut to: impl FnMut(Pushed<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut topic = (ptr::null_mut(), String::new());
        while self.next < self.messages.len() {
            let message = self.messages[self.next];
            self.next += 1;
            // SAFETY: each message is owned by this value until it is destroyed here, once; its topic
            // is alive as long as it is, and `topic` is only reused while later messages hold it too.
            let flow = unsafe {
                let m = &*message;
                if m.rkt != topic.0 {
                    topic = (m.rkt, if m.rkt.is_null() { String::new() } else { topic_name(m.rkt) });
                }
                let flow = push_one(message, &topic.1, &mut to);
                rd::rd_kafka_message_destroy(message);
                flow
            };
            flow?;
        }
        ControlFlow::Continue(())
    }

    /// Forgets the messages of these partitions.
    pub(in crate::backends::rdkafka) fn discard(&mut self, gone: impl Fn(&str, i32) -> bool) {
        let mut kept = Vec::with_capacity(RUN);
        for &message in &self.messages[self.next..] {
            // SAFETY: as in `push`.
            unsafe {
                let m = &*message;
                if !m.rkt.is_null() && gone(&topic_name(m.rkt), m.partition) {
                    rd::rd_kafka_message_destroy(message);
                } else {
                    kept.push(message);
                }
            }
        }
        self.messages = kept;
        self.next = 0;
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.discard(|_, _| true);
        for &message in &self.messages {
            // SAFETY: what `discard` left (errors without a topic) is still ours.
            unsafe { rd::rd_kafka_message_destroy(message) };
        }
    }
}

unsafe fn push_one(
    message: *mut rd::rd_kafka_message_t,
    topic: &str,
    to: &mut impl FnMut(Pushed<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    // SAFETY: the message is alive during the call; its bytes are borrowed no longer.
    unsafe {
        let m = &*message;
        let (partition, offset) = (m.partition, m.offset);
        let code = Code(ptr::addr_of!(m.err).cast::<i32>().read());
        if code == END_OF_PARTITION {
            return to(Pushed::End { topic, partition, offset });
        }
        if code != Code::NONE {
            let reason = text(rd::rd_kafka_message_errstr(message));
            return to(Pushed::Error { topic, partition, offset, code, reason });
        }
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp = rd::rd_kafka_message_timestamp(message, &mut kind);
        to(Pushed::Record(&RecordRef {
            topic,
            partition,
            offset,
            timestamp,
            timestamp_type: timestamp_type(kind),
            key: bytes(m.key.cast(), m.key_len),
            value: bytes(m.payload.cast(), m.len),
            headers: &MessageHeaders(message),
        }))
    }
}

const END_OF_PARTITION: Code = Code(-191);

fn timestamp_type(kind: rd::rd_kafka_timestamp_type_t) -> TimestampType {
    use rd::rd_kafka_timestamp_type_t as T;
    match kind {
        T::RD_KAFKA_TIMESTAMP_CREATE_TIME => TimestampType::Create,
        T::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => TimestampType::LogAppend,
        T::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => TimestampType::NotAvailable,
    }
}

unsafe fn bytes<'a>(ptr: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's pointer is null (a null value) or has `len` bytes behind it.
    (!ptr.is_null()).then(|| unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// The headers of a message, which librdkafka parses when they are first asked for.
#[derive(Debug)]
struct MessageHeaders(*mut rd::rd_kafka_message_t);

impl Headers for MessageHeaders {
    fn for_each(&self, each: &mut dyn FnMut(&[u8], Option<&[u8]>)) {
        let mut list = ptr::null_mut();
        // SAFETY: the message outlives this value, which is lent for one call only; the list and
        // what is in it belong to the message.
        unsafe {
            if Code::of(rd::rd_kafka_message_headers(self.0, &mut list)) != Code::NONE {
                return;
            }
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let mut i = 0;
            while Code::of(rd::rd_kafka_header_get_all(list, i, &mut name, &mut value, &mut size))
                == Code::NONE
            {
                each(CStr::from_ptr(name).to_bytes(), bytes(value.cast(), size));
                i += 1;
            }
        }
    }
}
