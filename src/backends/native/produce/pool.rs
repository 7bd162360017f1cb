//! What may be owed at a time, and buffers that were used before.

use crate::wire::records::BatchBuffer;

/// Bytes of buffers kept for later batches: as much as is under way by default, so that none is let go and
/// needed again.
const KEPT: usize = 16 << 20;
/// How many times more than it is wanted for a kept buffer may hold: many partitions with little each would
/// otherwise take the buffers of a few with much.
const FITS: usize = 4;
/// What is always small enough.
const SMALL: usize = 16 << 10;

/// Buffers that are not in use.
#[derive(Debug, Default)]
pub(super) struct Pool {
    buffers: Vec<BatchBuffer>,
    bytes: usize,
}

impl Pool {
    /// A buffer for a batch of about `size` bytes.
    pub(super) fn take(&mut self, size: usize) -> BatchBuffer {
        let fits =
            |buffer: &BatchBuffer| (size..=size.saturating_mul(FITS).max(SMALL)).contains(&buffer.capacity());
        match self.buffers.iter().rposition(fits) {
            Some(at) => {
                let buffer = self.buffers.swap_remove(at);
                self.bytes -= buffer.capacity();
                buffer
            }
            None => BatchBuffer::with_capacity(size),
        }
    }

    /// Keeps a buffer, unless there are enough.
    pub(super) fn give(&mut self, buffer: BatchBuffer) {
        if self.bytes + buffer.capacity() <= KEPT {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

/// What may be owed (`buffer.memory`, `queue.buffering.max.messages`), and what is.
#[derive(Debug)]
pub(super) struct Room {
    max_bytes: usize,
    max_records: usize,
    bytes: usize,
    records: usize,
}

impl Room {
    pub(super) fn new(max_bytes: usize, max_records: usize) -> Self {
        Self { max_bytes, max_records, bytes: 0, records: 0 }
    }

    /// True if a record of `size` bytes may be taken. One that is larger than all there is may, when nothing
    /// else is owed: it could never go otherwise.
    #[inline]
    pub(super) fn is_for(&self, size: usize) -> bool {
        self.records == 0 || (self.records < self.max_records && self.bytes + size <= self.max_bytes)
    }

    /// Bytes and records that may still be taken.
    pub(super) fn left(&self) -> (usize, usize) {
        (self.max_bytes.saturating_sub(self.bytes), self.max_records.saturating_sub(self.records))
    }

    /// Records are owed that made their batch so much larger.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize, records: usize) {
        self.bytes += bytes;
        self.records += records;
    }

    /// So much is no longer owed.
    pub(super) fn give_back(&mut self, bytes: usize, records: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.records = self.records.saturating_sub(records);
    }

    /// Records owed.
    pub(super) fn owed(&self) -> usize {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_fits() {
        let mut pool = Pool::default();
        pool.give(BatchBuffer::with_capacity(1 << 20));
        assert!(pool.take(20_000).capacity() < 100_000);
        assert_eq!(pool.take(900_000).capacity(), 1 << 20);
        assert_eq!((pool.buffers.len(), pool.bytes), (0, 0));
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut pool = Pool::default();
        (0..20).for_each(|_| pool.give(BatchBuffer::with_capacity(1 << 20)));
        assert_eq!((pool.buffers.len(), pool.bytes), (16, KEPT));
    }

    #[test]
    fn room_ends_with_bytes_or_records_but_one_record_always_goes() {
        let mut room = Room::new(100, 2);
        assert!(room.is_for(1000));
        room.take(60, 1);
        assert!(room.is_for(40) && !room.is_for(41));
        room.take(10, 1);
        assert_eq!(room.left(), (30, 0));
        assert!(!room.is_for(1));
        room.give_back(70, 2);
        assert_eq!((room.owed(), room.is_for(1000)), (0, true));
    }
}
