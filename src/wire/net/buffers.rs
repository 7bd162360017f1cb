//! Buffers that answers are read into, kept for the next ones.

use std::sync::{Arc, Mutex, PoisonError};

/// Memory set aside for an answer before any of it has come, in bytes: what a broker is usually asked for. It costs
/// nothing until it is written to, while growing there step by step touches several times as much.
const FIRST: usize = 2 << 20;

/// Buffers that are not in use. Clones share them.
#[derive(Debug, Clone)]
pub struct Buffers {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    /// The most bytes kept.
    limit: usize,
}

impl Buffers {
    /// None yet, and never more than `limit` bytes of them.
    pub fn new(limit: usize) -> Self {
        Self { kept: Arc::default(), limit }
    }

    /// An empty buffer for `size` bytes: the smallest kept one with room for them, else the largest,
    /// else a new one. A size that is only claimed gets no more memory than that.
    pub fn take(&self, size: usize) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = kept.partition_point(|buffer| buffer.capacity() < size);
        match kept.len().checked_sub(1) {
            Some(largest) => kept.remove(fits.min(largest)),
            None => Vec::with_capacity(size.min(FIRST)),
        }
    }

    /// Makes room for more of an answer of `size` bytes: as much again as has come.
    pub(super) fn grow(buffer: &mut Vec<u8>, size: usize) {
        if buffer.len() == buffer.capacity() {
            buffer.reserve_exact(size.saturating_sub(buffer.len()).min(buffer.len().max(FIRST)));
        }
    }

    /// Keeps a buffer for later, or lets it go if there are enough.
    pub fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = kept.iter().map(Vec::capacity).sum();
        if buffer.capacity() > 0 && held + buffer.capacity() <= self.limit {
            let at = kept.partition_point(|other| other.capacity() < buffer.capacity());
            kept.insert(at, buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_buffer_that_fits_is_taken_else_the_largest() {
        let buffers = Buffers::new(1000);
        for size in [300, 100, 200] {
            buffers.give(Vec::with_capacity(size));
        }
        assert_eq!(buffers.take(150).capacity(), 200);
        assert_eq!(buffers.take(150).capacity(), 300);
        assert_eq!(buffers.take(150).capacity(), 100);
        assert_eq!(buffers.take(150).capacity(), 150);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::new(250);
        for _ in 0..5 {
            buffers.give(Vec::with_capacity(100));
        }
        assert_eq!(buffers.kept.lock().unwrap().len(), 2);
    }

    #[test]
    fn memory_grows_with_what_has_come() {
        let mut buffer = Buffers::new(0).take(2 << 30);
        assert_eq!(buffer.capacity(), FIRST);
        for expected in [2 * FIRST, 4 * FIRST, 5 * FIRST] {
            buffer.resize(buffer.capacity(), 0);
            Buffers::grow(&mut buffer, 5 * FIRST);
            assert_eq!(buffer.capacity(), expected);
        }
    }
}
