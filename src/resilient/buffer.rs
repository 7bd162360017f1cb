//! Records that are held: those waiting for the library, in order, and how much all that have no outcome take.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::backends::Room;
use crate::record::{Batch, RecordRef, Span};

/// Bytes after which given-back records go on in another batch.
const FULL: usize = 512 << 10;

/// Takes of these records as many as there is room for; returns their number.
pub(super) fn take(room: &mut Room, batch: &Batch, range: &Range<usize>) -> usize {
    let mut taken = 0;
    for span in batch.spans().get(range.clone()).unwrap_or_default() {
        let bytes = span.key.len() + span.value.len();
        if !room.is_for(bytes) {
            break;
        }
        room.take(bytes, 1);
        taken += 1;
    }
    taken
}

/// Records of a batch.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) batch: Arc<Batch>,
    pub(super) range: Range<usize>,
}

/// Records that wait for the library. No record is copied: pieces of the batches they came in are kept.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pieces: VecDeque<Piece>,
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds records behind all others.
    pub(super) fn push(&mut self, batch: &Arc<Batch>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.pieces.back_mut() {
            Some(last) if Arc::ptr_eq(&last.batch, batch) && last.range.end == range.start => {
                last.range.end = range.end;
            }
            _ => self.pieces.push_back(Piece { batch: Arc::clone(batch), range }),
        }
    }

    /// Puts records before all others, which were sent after them.
    pub(super) fn put_back(&mut self, returned: Returned) {
        for batch in returned.finish().into_iter().rev() {
            self.pieces.push_front(Piece { range: 0..batch.len(), batch: Arc::new(batch) });
        }
    }

    /// The next ones.
    pub(super) fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// The first `n` of the next ones are gone.
    pub(super) fn advance(&mut self, n: usize) {
        let Some(front) = self.pieces.front_mut() else { return };
        let n = n.min(front.range.len());
        front.range.start += n;
        if front.range.is_empty() {
            self.pieces.pop_front();
        }
    }

    /// All of them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Piece> + use<> {
        mem::take(self).pieces.into_iter()
    }
}

/// Records that the library gave back, in the order it told of them, which is that of each partition.
#[derive(Debug, Default)]
pub(super) struct Returned {
    full: Vec<Batch>,
    batch: Batch,
}

impl Returned {
    /// Adds a copy of a record. It goes where it was to go: to its partition, if the library had chosen one,
    /// whatever else was sent there since. `topic` is the publisher's own.
    pub(super) fn push(&mut self, record: &RecordRef<'_>, line: u64, source: Option<&str>, topic: &str) {
        if self.batch.bytes.len() >= FULL || !self.batch.is_empty() && self.batch.source() != source {
            self.full.push(mem::take(&mut self.batch));
        }
        let batch = &mut self.batch;
        if batch.is_empty() {
            batch.set_source(source);
        }
        let key = batch.append_nullable(record.key);
        let value = batch.append_nullable(record.value);
        let mut headers = (0, 0);
        record.headers.for_each(&mut |name, value| {
            let (name, value) = (batch.append(name), batch.append_nullable(value));
            batch.add_header(&mut headers, name, value);
        });
        let topic = if record.topic == topic { 0 } else { batch.topic_index(record.topic) };
        let (partition, timestamp) = (record.partition, record.timestamp);
        batch.push(Span { headers, partition, timestamp, topic, ..Span::new(key, value, line) });
    }

    fn finish(mut self) -> Vec<Batch> {
        if !self.batch.is_empty() {
            self.full.push(self.batch);
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{NoHeaders, Slice};

    fn batch(lens: &[usize]) -> Arc<Batch> {
        let mut batch = Batch::default();
        for (line, len) in lens.iter().enumerate() {
            let value = batch.append(&vec![b'x'; *len]);
            batch.push(Span::new(Slice::NULL, value, line as u64));
        }
        Arc::new(batch)
    }

    #[test]
    fn there_is_room_by_number_and_by_bytes_and_for_one_in_any_case() {
        let mut room = Room::new(10, 3);
        assert_eq!(take(&mut room, &batch(&[4, 4, 4]), &(0..3)), 2);
        assert_eq!(take(&mut room, &batch(&[3]), &(0..1)), 0, "bytes");
        assert_eq!(take(&mut room, &batch(&[0, 0]), &(0..2)), 1, "records");
        room.give_back(8, 3);
        assert_eq!(take(&mut room, &batch(&[99, 1]), &(0..2)), 1, "larger than all there is");
        assert_eq!(room.owed(), 1);
    }

    #[test]
    fn pieces_go_in_order_and_neighbours_are_one_piece() {
        let (one, two) = (batch(&[1; 5]), batch(&[1; 5]));
        let mut buffer = Buffer::default();
        buffer.push(&one, 0..2);
        buffer.push(&one, 2..5);
        buffer.push(&two, 1..3);
        assert_eq!(buffer.pieces.len(), 2);
        buffer.advance(4);
        assert_eq!(buffer.front().map(|piece| piece.range.clone()), Some(4..5));
        buffer.advance(1);
        assert_eq!(buffer.front().map(|piece| piece.range.clone()), Some(1..3));
        assert_eq!(buffer.take().count(), 1);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_comes_back_goes_first_with_all_it_had() {
        let pairs: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"v")), (b"h", None)];
        let mut record = RecordRef {
            topic: "other",
            partition: 4,
            offset: -1,
            timestamp: 7,
            timestamp_type: crate::record::TimestampType::Create,
            key: None,
            value: Some(b"x"),
            headers: &pairs,
        };
        let mut returned = Returned::default();
        returned.push(&record, 3, Some("file"), "t");
        (record.topic, record.headers) = ("t", &NoHeaders);
        returned.push(&record, 4, None, "t");
        let mut buffer = Buffer::default();
        buffer.push(&batch(&[1]), 0..1);
        buffer.put_back(returned);
        let pieces: Vec<_> = buffer.take().collect();
        assert_eq!(
            pieces.iter().map(|piece| piece.batch.source()).collect::<Vec<_>>(),
            [Some("file"), None, None]
        );
        pieces[0].batch.with_record(0, "t", |record| {
            assert_eq!((record.topic, record.partition, record.timestamp), ("other", 4, 7));
            assert_eq!((record.key, record.value, record.headers.count()), (None, Some(&b"x"[..]), 2));
        });
        assert_eq!(pieces[0].batch.spans()[0].line, 3);
        pieces[1].batch.with_record(0, "t", |record| assert_eq!(record.topic, "t"));
    }
}
