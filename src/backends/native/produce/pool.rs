//! Buffers that were used before.

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
}
