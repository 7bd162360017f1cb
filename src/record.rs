//! Records: the one borrowed form that is lent from a client library to a formatter
//! ([`RecordRef`]) and the arena that input is read into and libraries send from ([`Batch`]).
//!
//! Nothing here allocates per record: a [`Batch`] is cleared and used again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Something for each of some partitions, found by names as records have them: no [`TopicPartition`] is made.
#[derive(Debug, Clone)]
pub struct ByPartition<T>(HashMap<Arc<str>, HashMap<i32, T>>);

impl<T> Default for ByPartition<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> ByPartition<T> {
    /// What there is for a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&T> {
        self.0.get(topic)?.get(&partition)
    }

    /// Puts it in the place of what there was.
    pub fn insert(&mut self, topic: &Arc<str>, partition: i32, it: T) {
        self.0.entry(Arc::clone(topic)).or_default().insert(partition, it);
    }

    /// Takes what there was.
    pub fn remove(&mut self, topic: &str, partition: i32) -> Option<T> {
        self.0.get_mut(topic)?.remove(&partition)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What the timestamp of a record means (Kafka's `TimestampType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Set by the producer.
    #[default]
    Create,
    /// Set by the broker when it appended the record.
    LogAppend,
    /// The record has none.
    NotAvailable,
}

/// What is called with the name and the value of a header.
pub type EachHeader<'a> = &'a mut (dyn FnMut(&[u8], Option<&[u8]>) + 'a);

/// The headers of a record, in order, duplicates kept. Asked for only when something prints or
/// filters by them: librdkafka parses them on first use.
pub trait Headers: fmt::Debug {
    /// Calls `each` with every header's name and value (`None` is a null value), in order.
    fn for_each(&self, each: EachHeader<'_>);
    /// How many there are.
    fn count(&self) -> usize {
        let mut n = 0;
        self.for_each(&mut |_, _| n += 1);
        n
    }
}

/// No headers.
#[derive(Debug, Clone, Copy)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn for_each(&self, _each: &mut dyn FnMut(&[u8], Option<&[u8]>)) {}
}

/// Headers held as pairs; for tests and for libraries that hand them out as a list.
impl Headers for &[(&[u8], Option<&[u8]>)] {
    fn for_each(&self, each: &mut dyn FnMut(&[u8], Option<&[u8]>)) {
        for (name, value) in *self {
            each(name, *value);
        }
    }
}

/// One record, borrowed from whoever holds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Partition; -1 when not chosen yet.
    pub partition: i32,
    /// Offset; -1 when not known.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC; -1 when there is none.
    pub timestamp: i64,
    /// What `timestamp` means.
    pub timestamp_type: TimestampType,
    /// Key; `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a dyn Headers,
}

impl RecordRef<'_> {
    /// Bytes of key and value, the size that throughput figures count.
    pub fn payload_len(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// A place in a [`Batch`]'s bytes; [`Slice::NULL`] is a null key, value or header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    start: u32,
    len: u32,
}

impl Slice {
    /// The null value (not the empty one).
    pub const NULL: Self = Self { start: 0, len: u32::MAX };

    /// `bytes[start..end]`. A batch stays far below 4 GiB: its arena is cut at a few MiB.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end < u32::MAX as usize);
        Self { start: start as u32, len: (end - start) as u32 }
    }

    /// True for the null value.
    pub fn is_null(self) -> bool {
        self.len == u32::MAX
    }

    /// Length in bytes; 0 for null.
    pub fn len(self) -> usize {
        if self.is_null() { 0 } else { self.len as usize }
    }

    /// True for null and for the empty value.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        if self.is_null() {
            return None;
        }
        Some(&bytes[self.start as usize..(self.start + self.len) as usize])
    }
}

/// A record in a [`Batch`], as places in its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Place of the key.
    pub key: Slice,
    /// Place of the value.
    pub value: Slice,
    /// First header and number of headers in the batch's header list.
    pub headers: (u32, u32),
    /// Chosen partition; -1 lets the partitioner choose.
    pub partition: i32,
    /// Milliseconds since 1970-01-01 UTC; -1 means "now, when it is sent".
    pub timestamp: i64,
    /// Topic of the record when it is not the publisher's: index + 1 into the batch's topic list,
    /// 0 for the publisher's topic.
    pub topic: u32,
    /// Number of the input line (or message, or file) it came from, from 1.
    pub line: u64,
}

impl Span {
    /// A record with this key and value and nothing else.
    pub fn new(key: Slice, value: Slice, line: u64) -> Self {
        Self { key, value, headers: (0, 0), partition: -1, timestamp: -1, topic: 0, line }
    }
}

#[derive(Debug, Clone, Copy)]
struct HeaderSpan {
    name: Slice,
    value: Slice,
}

/// Records on their way to a library: one arena of bytes and places in it. Shared as `Arc<Batch>`
/// while a library holds it, so that it can send straight out of it; recycled afterwards.
#[derive(Debug, Default)]
pub struct Batch {
    /// The arena. Input codecs read into it and push spans over it.
    pub bytes: Vec<u8>,
    spans: Vec<Span>,
    headers: Vec<HeaderSpan>,
    topics: Vec<String>,
    /// Where each record stands in the input, as `sources` index (see [`Batch::source`]).
    source: Option<String>,
}

impl Batch {
    /// An empty batch whose arena has room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// An empty one for as many records of the same kind, whose arena has room for `capacity` bytes.
    pub fn emptied(&self, capacity: usize) -> Self {
        let records = self.spans.len() + self.spans.len() / 8;
        Self { spans: Vec::with_capacity(records), ..Self::with_capacity(capacity) }
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.headers.clear();
        self.topics.clear();
        self.source = None;
    }

    /// Drops the records after the first `n`.
    pub fn truncate(&mut self, n: usize) {
        self.spans.truncate(n);
    }

    /// A copy that takes no more memory than it needs.
    pub fn compact(&self) -> Self {
        Self {
            bytes: self.bytes.as_slice().to_vec(),
            spans: self.spans.as_slice().to_vec(),
            headers: self.headers.as_slice().to_vec(),
            topics: self.topics.clone(),
            source: self.source.clone(),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Name of the file the records came from; none for standard input and `-m`.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Sets the name of the file the records came from.
    pub fn set_source(&mut self, name: Option<&str>) {
        self.source = name.map(str::to_owned);
    }

    /// Appends bytes to the arena and returns their place.
    pub fn append(&mut self, bytes: &[u8]) -> Slice {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Slice::new(start, self.bytes.len())
    }

    /// The bytes at a place; `None` for null.
    pub fn slice(&self, slice: Slice) -> Option<&[u8]> {
        slice.of(&self.bytes)
    }

    /// The same for what may be null.
    pub fn append_nullable(&mut self, bytes: Option<&[u8]>) -> Slice {
        bytes.map_or(Slice::NULL, |bytes| self.append(bytes))
    }

    /// Adds a header to a record's `run` of them, which begins as (0, 0) and becomes its [`Span::headers`]: nothing
    /// else may be added to another run in between.
    pub fn add_header(&mut self, run: &mut (u32, u32), name: Slice, value: Slice) {
        if run.1 == 0 {
            run.0 = self.headers.len() as u32;
        }
        run.1 += 1;
        self.headers.push(HeaderSpan { name, value });
    }

    /// The value for [`Span::topic`] that stands for this topic name.
    pub fn topic_index(&mut self, name: &str) -> u32 {
        let at = self.topics.iter().position(|t| t == name).unwrap_or_else(|| {
            self.topics.push(name.to_owned());
            self.topics.len() - 1
        });
        at as u32 + 1
    }

    /// Adds a record.
    pub fn push(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// The spans, in input order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The topic of a record when it is not the publisher's own.
    pub fn topic(&self, span: &Span) -> Option<&str> {
        (span.topic > 0).then(|| self.topics[span.topic as usize - 1].as_str())
    }

    /// The headers of a record.
    pub fn headers(&self, span: &Span) -> BatchHeaders<'_> {
        let (first, n) = (span.headers.0 as usize, span.headers.1 as usize);
        BatchHeaders { bytes: &self.bytes, spans: &self.headers[first..first + n] }
    }

    /// Calls `f` with record `i`, borrowed. `topic` is the publisher's.
    pub fn with_record<R>(&self, i: usize, topic: &str, f: impl FnOnce(&RecordRef<'_>) -> R) -> R {
        let span = &self.spans[i];
        let headers = self.headers(span);
        f(&RecordRef {
            topic: self.topic(span).unwrap_or(topic),
            partition: span.partition,
            offset: -1,
            timestamp: span.timestamp,
            timestamp_type: TimestampType::Create,
            key: self.slice(span.key),
            value: self.slice(span.value),
            headers: &headers,
        })
    }
}

/// The headers of one record of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct BatchHeaders<'a> {
    bytes: &'a [u8],
    spans: &'a [HeaderSpan],
}

impl Headers for BatchHeaders<'_> {
    fn for_each(&self, each: &mut dyn FnMut(&[u8], Option<&[u8]>)) {
        for h in self.spans {
            each(h.name.of(self.bytes).unwrap_or_default(), h.value.of(self.bytes));
        }
    }

    fn count(&self) -> usize {
        self.spans.len()
    }
}
