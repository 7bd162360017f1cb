//! Buffers that were used before.

use crate::wire::records::BatchBuffer;

/// Bytes of buffers kept for later batches. More are in use at once only while the broker is slow.
const KEPT: usize = 8 << 20;
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
    /// A buffer for a batch of about `size` bytes. If none fits, as much is let go of those that do not: what is kept
    /// and what is in use are together never more than was in use at some time.
    pub(super) fn take(&mut self, size: usize) -> BatchBuffer {
        let fits =
            |buffer: &BatchBuffer| (size..=size.saturating_mul(FITS).max(SMALL)).contains(&buffer.capacity());
        if let Some(at) = self.buffers.iter().rposition(fits) {
            return self.remove(at);
        }
        let until = self.bytes.saturating_sub(size);
        while self.bytes > until {
            self.remove(0);
        }
        BatchBuffer::with_capacity(size)
    }

    fn remove(&mut self, at: usize) -> BatchBuffer {
        let buffer = self.buffers.swap_remove(at);
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer, unless there are enough.
    pub(super) fn give(&mut self, buffer: BatchBuffer) {
        if self.bytes + buffer.capacity() <= KEPT {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_fits() {
        let mut pool = Pool::default();
        (0..2).for_each(|_| pool.give(BatchBuffer::with_capacity(1 << 20)));
        assert_eq!(pool.take(900_000).capacity(), 1 << 20);
        assert!(pool.take(20_000).capacity() < 100_000);
        assert_eq!((pool.buffers.len(), pool.bytes), (0, 0));
    }

    #[test]
    fn what_does_not_fit_makes_room() {
        let mut pool = Pool::default();
        (0..4).for_each(|_| pool.give(BatchBuffer::with_capacity(1 << 10)));
        assert_eq!(pool.take(20_000).capacity(), 20_000);
        assert_eq!((pool.buffers.len(), pool.bytes), (0, 0));
        (0..4).for_each(|_| pool.give(BatchBuffer::with_capacity(20_000)));
        assert_eq!(pool.take(50_000).capacity(), 50_000);
        assert_eq!((pool.buffers.len(), pool.bytes), (1, 20_000));
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut pool = Pool::default();
        (0..20).for_each(|_| pool.give(BatchBuffer::with_capacity(1 << 20)));
        assert_eq!((pool.buffers.len(), pool.bytes), (8, KEPT));
    }
}
