//! Records on their way to one partition: gathered into parcels (one produce request each), cut by
//! size, count and age, and counted until their outcome is known. No I/O here.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::backends::mailbox::lock;
use crate::record::{Batch, Headers, Span};

/// The most a record takes in a batch beside its bytes (`DefaultRecord.MAX_RECORD_OVERHEAD` of the
/// Java client).
const RECORD_OVERHEAD: usize = 21;
/// The same for a header: two lengths of up to 5 bytes.
const HEADER_OVERHEAD: usize = 10;

/// Bytes a record takes in a batch, at most.
pub(super) fn record_size(batch: &Batch, span: &Span) -> usize {
    let mut size = RECORD_OVERHEAD + payload_len(batch, span);
    if span.headers.1 > 0 {
        batch.headers(span).for_each(&mut |name, value| {
            size += HEADER_OVERHEAD + name.len() + value.map_or(0, <[u8]>::len);
        });
    }
    size
}

/// Bytes of key and value.
fn payload_len(batch: &Batch, span: &Span) -> usize {
    batch.slice(span.key).map_or(0, <[u8]>::len) + batch.slice(span.value).map_or(0, <[u8]>::len)
}

/// What may be on its way at a time, over all partitions.
#[derive(Debug)]
pub(super) struct Limits {
    max_bytes: usize,
    max_records: usize,
    bytes: AtomicUsize,
    records: AtomicUsize,
    /// Bytes of the arenas kept alive by records on their way: one slow partition would otherwise
    /// keep an arena for each of its few records.
    arenas: AtomicUsize,
}

/// Arenas may take this much even under a smaller `buffer.memory`: input reads a few MiB at a time.
const ARENAS_AT_LEAST: usize = 16 << 20;

impl Limits {
    pub(super) fn new(max_bytes: usize, max_records: usize) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { max_bytes, max_records, bytes: zero(), records: zero(), arenas: zero() }
    }

    /// True if a record of `size` bytes may be taken. One that is larger than all there is may,
    /// when nothing else is on its way: it could never go otherwise.
    pub(super) fn have_room(&self, size: usize) -> bool {
        let records = self.records.load(Ordering::Acquire);
        let bytes = self.bytes.load(Ordering::Acquire);
        records == 0 || (records < self.max_records && bytes + size <= self.max_bytes)
    }

    pub(super) fn take(&self, size: usize) {
        self.bytes.fetch_add(size, Ordering::AcqRel);
        self.records.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self, parcel: &Parcel) {
        self.bytes.fetch_sub(parcel.bytes, Ordering::AcqRel);
        self.records.fetch_sub(parcel.records, Ordering::AcqRel);
    }

    /// Keeps the batch alive and counted; `None` when too many are.
    pub(super) fn hold(self: &Arc<Self>, batch: &Arc<Batch>) -> Option<Arc<Held>> {
        let held = self.arenas.load(Ordering::Acquire);
        let max = self.max_bytes.saturating_mul(2).max(ARENAS_AT_LEAST);
        if held > 0 && held + batch.bytes.len() > max {
            return None;
        }
        self.arenas.fetch_add(batch.bytes.len(), Ordering::AcqRel);
        Some(Arc::new(Held { batch: Arc::clone(batch), limits: Arc::clone(self) }))
    }
}

/// A batch some of whose records are on their way.
pub(super) struct Held {
    pub(super) batch: Arc<Batch>,
    limits: Arc<Limits>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.limits.arenas.fetch_sub(self.batch.bytes.len(), Ordering::AcqRel);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} records)", self.batch.len())
    }
}

/// Records for one partition, sent in one request: places in the batches they came in.
#[derive(Debug)]
pub(super) struct Parcel {
    pieces: Vec<Piece>,
    /// How many.
    pub(super) records: usize,
    /// Sum of their [`record_size`].
    pub(super) bytes: usize,
    /// Bytes of keys and values.
    pub(super) payload: u64,
    /// When the first record came.
    pub(super) queued: Instant,
    /// True while it may be in the topic without our knowing: a request is or was out.
    pub(super) in_doubt: AtomicBool,
}

#[derive(Debug)]
struct Piece {
    held: Arc<Held>,
    runs: Vec<Range<u32>>,
}

impl Parcel {
    fn new(queued: Instant) -> Self {
        Self {
            pieces: Vec::new(),
            records: 0,
            bytes: 0,
            payload: 0,
            queued,
            in_doubt: AtomicBool::new(false),
        }
    }

    fn push(&mut self, held: &Arc<Held>, index: usize, size: usize) {
        self.records += 1;
        self.bytes += size;
        self.payload += held.batch.spans().get(index).map_or(0, |span| payload_len(&held.batch, span)) as u64;
        let index = index as u32;
        match self.pieces.last_mut() {
            Some(piece) if Arc::ptr_eq(&piece.held, held) => match piece.runs.last_mut() {
                Some(run) if run.end == index => run.end += 1,
                _ => piece.runs.push(one(index)),
            },
            _ => self.pieces.push(Piece { held: Arc::clone(held), runs: vec![one(index)] }),
        }
    }

    /// The records, as places in their batches, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Arc<Held>, usize)> {
        self.pieces.iter().flat_map(|piece| {
            piece.runs.iter().flat_map(move |run| run.clone().map(|i| (&piece.held, i as usize)))
        })
    }

    /// Two parcels, the first half and the rest, for a broker that takes no more at once.
    pub(super) fn halves(&self) -> [Self; 2] {
        let mut halves = [Self::new(self.queued), Self::new(self.queued)];
        for (i, (held, index)) in self.records().enumerate() {
            let size = held.batch.spans().get(index).map_or(0, |span| record_size(&held.batch, span));
            halves[usize::from(i >= self.records / 2)].push(held, index, size);
        }
        halves
    }
}

fn one(index: u32) -> Range<u32> {
    index..index + 1
}

/// When a parcel is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// `batch.size`: not more than this, except for one record alone.
    pub(super) bytes: usize,
    /// `batch.num.messages`.
    pub(super) records: usize,
    /// `linger.ms`: not later than this after its first record.
    pub(super) linger: Duration,
}

/// The records waiting for one partition, and those whose outcome is not known yet.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    cut: Cut,
    lanes: Mutex<Lanes>,
    /// Told when `take` may have something new to say.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    open: Option<Parcel>,
    ready: VecDeque<Arc<Parcel>>,
    taken: Vec<Arc<Parcel>>,
    flushing: bool,
    hurry: bool,
    cut_early: bool,
}

/// What [`Queue::take`] has.
#[derive(Debug)]
pub(super) enum Take {
    /// A parcel to send.
    Parcel(Arc<Parcel>),
    /// One is being filled until then.
    Wait(Instant),
    /// None.
    Nothing,
}

impl Queue {
    pub(super) fn new(topic: Arc<str>, partition: i32, cut: Cut) -> Self {
        Self { topic, partition, cut, lanes: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a record of `size` bytes.
    pub(super) fn push(&self, held: &Arc<Held>, index: usize, size: usize, now: Instant) {
        let mut lanes = lock(&self.lanes);
        let full = |p: &Parcel| p.records >= self.cut.records || p.bytes >= self.cut.bytes;
        let mut news = lanes.open.as_ref().is_some_and(|p| p.bytes + size > self.cut.bytes) && lanes.close();
        news |= lanes.open.is_none();
        let parcel = lanes.open.get_or_insert_with(|| Parcel::new(now));
        parcel.push(held, index, size);
        if full(parcel) {
            news |= lanes.close();
        }
        drop(lanes);
        if news {
            self.changed.notify_one();
        }
    }

    /// The next parcel to send; it stays listed until [`Queue::settle`].
    pub(super) fn take(&self, now: Instant) -> Take {
        let mut lanes = lock(&self.lanes);
        if lanes.ready.is_empty() {
            let Some(open) = &lanes.open else { return Take::Nothing };
            let due = open.queued + self.cut.linger;
            // With nothing out, a full buffer would wait for the linger and for nothing else.
            let hurry = lanes.hurry && lanes.taken.is_empty();
            if now < due && !lanes.flushing && !hurry {
                return Take::Wait(due);
            }
            lanes.hurry = false;
            lanes.cut_early = true;
            lanes.close();
        }
        let Some(parcel) = lanes.ready.pop_front() else { return Take::Nothing };
        lanes.taken.push(Arc::clone(&parcel));
        Take::Parcel(parcel)
    }

    /// Its outcome is known. False if it was given up before ([`Queue::abandon`]).
    pub(super) fn settle(&self, parcel: &Arc<Parcel>) -> bool {
        let mut lanes = lock(&self.lanes);
        let at = lanes.taken.iter().position(|p| Arc::ptr_eq(p, parcel));
        at.map(|at| lanes.taken.remove(at)).is_some()
    }

    /// These take its place.
    pub(super) fn replace(&self, parcel: &Arc<Parcel>, by: &[Arc<Parcel>]) {
        if self.settle(parcel) {
            lock(&self.lanes).taken.extend(by.iter().map(Arc::clone));
        }
    }

    /// No more linger from here on.
    pub(super) fn flush(&self) {
        lock(&self.lanes).flushing = true;
        self.changed.notify_one();
    }

    /// Records are refused for want of room: what is open goes as soon as nothing else does.
    pub(super) fn hurry(&self) {
        let mut lanes = lock(&self.lanes);
        if lanes.open.is_some() && !lanes.hurry {
            lanes.hurry = true;
            drop(lanes);
            self.changed.notify_one();
        }
    }

    /// True once after a parcel was cut by age: records without a key may go elsewhere.
    pub(super) fn was_cut_early(&self) -> bool {
        mem::take(&mut lock(&self.lanes).cut_early)
    }

    /// Everything without an outcome, sent or not.
    pub(super) fn abandon(&self) -> Vec<Arc<Parcel>> {
        let mut lanes = mem::take(&mut *lock(&self.lanes));
        lanes.close();
        lanes.taken.into_iter().chain(lanes.ready).collect()
    }
}

impl Lanes {
    fn close(&mut self) -> bool {
        self.open.take().map(|parcel| self.ready.push_back(Arc::new(parcel))).is_some()
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Slice;

    const CUT: Cut = Cut { bytes: 100, records: 50, linger: Duration::from_millis(5) };

    /// `n` records with values of `len` bytes.
    fn held(limits: &Arc<Limits>, n: usize, len: usize) -> Arc<Held> {
        let mut batch = Batch::default();
        for line in 0..n {
            let value = batch.append(&vec![b'x'; len]);
            batch.push(Span::new(Slice::NULL, value, line as u64 + 1));
        }
        limits.hold(&Arc::new(batch)).unwrap()
    }

    fn limits() -> Arc<Limits> {
        Arc::new(Limits::new(1000, 100))
    }

    fn queue(cut: Cut) -> Queue {
        Queue::new("t".into(), 0, cut)
    }

    fn fill(queue: &Queue, held: &Arc<Held>, now: Instant) {
        for (i, span) in held.batch.spans().iter().enumerate() {
            queue.push(held, i, record_size(&held.batch, span), now);
        }
    }

    fn taken(queue: &Queue, now: Instant) -> Vec<Vec<usize>> {
        std::iter::from_fn(|| match queue.take(now) {
            Take::Parcel(p) => Some(p.records().map(|(_, i)| i).collect()),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_parcel_is_cut_before_it_exceeds_its_bytes() {
        let (queue, now) = (queue(CUT), Instant::now());
        fill(&queue, &held(&limits(), 5, 19), now);
        assert_eq!(taken(&queue, now), [[0, 1], [2, 3]]);
        assert_eq!(taken(&queue, now + CUT.linger), [[4]]);
    }

    #[test]
    fn a_parcel_is_cut_at_its_number_of_records() {
        let (queue, now) = (queue(Cut { records: 2, bytes: usize::MAX, ..CUT }), Instant::now());
        fill(&queue, &held(&limits(), 4, 1), now);
        assert_eq!(taken(&queue, now), [[0, 1], [2, 3]]);
    }

    #[test]
    fn a_record_larger_than_a_parcel_goes_alone() {
        let (queue, now, limits) = (queue(CUT), Instant::now(), limits());
        fill(&queue, &held(&limits, 1, 1), now);
        fill(&queue, &held(&limits, 1, 500), now);
        fill(&queue, &held(&limits, 1, 1), now);
        queue.flush();
        assert_eq!(taken(&queue, now), [[0], [0], [0]]);
    }

    #[test]
    fn an_open_parcel_waits_for_its_linger_and_no_longer() {
        let (queue, now) = (queue(CUT), Instant::now());
        fill(&queue, &held(&limits(), 1, 1), now);
        assert!(matches!(queue.take(now), Take::Wait(due) if due == now + CUT.linger));
        assert!(!queue.was_cut_early());
        assert!(matches!(queue.take(now + CUT.linger), Take::Parcel(_)));
        assert!(queue.was_cut_early());
        assert!(!queue.was_cut_early());
    }

    #[test]
    fn flushing_ends_the_linger() {
        let (queue, now) = (queue(CUT), Instant::now());
        fill(&queue, &held(&limits(), 1, 1), now);
        queue.flush();
        assert_eq!(taken(&queue, now), [[0]]);
    }

    #[test]
    fn a_full_buffer_ends_the_linger_when_nothing_is_out() {
        let (queue, now, limits) = (queue(CUT), Instant::now(), limits());
        fill(&queue, &held(&limits, 3, 19), now);
        let Take::Parcel(out) = queue.take(now) else { panic!("two records are a parcel") };
        queue.hurry();
        assert!(matches!(queue.take(now), Take::Wait(_)));
        assert!(queue.settle(&out));
        assert!(matches!(queue.take(now), Take::Parcel(_)));
    }

    #[test]
    fn records_are_counted_until_their_parcel_is_settled() {
        let limits = Arc::new(Limits::new(90, 3));
        assert!(limits.have_room(1000), "a record larger than the buffer, alone");
        let held = held(&limits, 1, 19);
        let mut parcel = Parcel::new(Instant::now());
        for _ in 0..2 {
            limits.take(40);
            parcel.push(&held, 0, 40);
        }
        assert!(limits.have_room(10));
        assert!(!limits.have_room(11), "bytes");
        limits.take(0);
        assert!(!limits.have_room(0), "records");
        limits.give_back(&parcel);
        assert!(limits.have_room(90));
    }

    #[test]
    fn arenas_are_counted_until_their_last_record_is_gone() {
        let limits = Arc::new(Limits::new(1, 1));
        let first = held(&limits, 1, ARENAS_AT_LEAST);
        let batch = Arc::clone(&first.batch);
        assert!(limits.hold(&batch).is_none());
        drop(first);
        assert!(limits.hold(&batch).is_some());
    }

    #[test]
    fn halves_keep_order_count_and_size() {
        let limits = limits();
        let held = held(&limits, 5, 10);
        let mut parcel = Parcel::new(Instant::now());
        for i in [0, 1, 3, 4, 2] {
            parcel.push(&held, i, record_size(&held.batch, &held.batch.spans()[i]));
        }
        let [first, rest] = parcel.halves();
        let order: Vec<usize> = first.records().chain(rest.records()).map(|(_, i)| i).collect();
        assert_eq!(order, [0, 1, 3, 4, 2]);
        assert_eq!((first.records, rest.records), (2, 3));
        assert_eq!(first.bytes + rest.bytes, parcel.bytes);
        assert_eq!(first.payload + rest.payload, 50);
    }

    #[test]
    fn what_is_abandoned_cannot_be_settled_any_more() {
        let (queue, now) = (queue(CUT), Instant::now());
        fill(&queue, &held(&limits(), 5, 19), now);
        let Take::Parcel(parcel) = queue.take(now) else { panic!("full") };
        let left: usize = queue.abandon().iter().map(|p| p.records).sum();
        assert_eq!(left, 5);
        assert!(!queue.settle(&parcel));
    }
}
