//! What the client's thread hands to the command's: answers with places in them, and what happened.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::backends::{Error, Notice, TopicPartition};
use crate::wire::net::Answer;

/// A partition that is read, for both threads.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) tp: TopicPartition,
    dropped: AtomicBool,
}

impl Assigned {
    pub(super) fn new(tp: TopicPartition) -> Arc<Self> {
        Arc::new(Self { tp, dropped: AtomicBool::new(false) })
    }

    /// It is not wanted any more: what was fetched of it is dropped.
    pub(super) fn drop_it(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }
}

/// The batches of one partition in an answer.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) of: Arc<Assigned>,
    /// Their place in the answer's bytes.
    pub(super) range: Range<usize>,
    /// The first offset that is wanted.
    pub(super) from: i64,
    /// Producer ids and first offsets of the transactions in it that were aborted.
    pub(super) aborted: Vec<(i64, i64)>,
    /// Whether the partition ended here when it was read.
    pub(super) at_end: bool,
}

/// An answer on its way to who decodes it.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) answer: Answer,
    pub(super) spans: Vec<Span>,
    _taken: Taken,
}

impl Frame {
    /// Counts it as long as it is there.
    pub(super) fn new(answer: Answer, spans: Vec<Span>, room: &Arc<Room>) -> Self {
        let taken = room.take(answer.held());
        Self { answer, spans, _taken: taken }
    }
}

/// What there is to tell, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Told {
    Frame(Frame),
    /// All below is told.
    Reached(Arc<Assigned>, i64),
    Warn(String),
    Notice(Notice),
    /// The reading ends, if the partition is still wanted.
    Failed(Arc<Assigned>, Error),
}

/// The memory of answers that are not decoded yet.
#[derive(Debug)]
pub(super) struct Room {
    limit: usize,
    taken: AtomicUsize,
    wanted: AtomicBool,
    freed: Notify,
}

impl Room {
    /// For so many bytes. The last answer that is let in may go beyond.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let wanted = AtomicBool::new(false);
        Arc::new(Self { limit, taken: AtomicUsize::new(0), wanted, freed: Notify::new() })
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Taken {
        self.taken.fetch_add(bytes, Ordering::SeqCst);
        Taken { bytes, room: Arc::clone(self) }
    }

    /// Whether there is some. If not, [`Self::freed`] is told when there is.
    pub(super) fn is_there(&self) -> bool {
        let is_there = || self.taken.load(Ordering::SeqCst) < self.limit;
        if is_there() {
            return true;
        }
        self.wanted.store(true, Ordering::SeqCst);
        // Some may have been given back in between.
        is_there()
    }

    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// Bytes of room, given back when this is dropped.
#[derive(Debug)]
struct Taken {
    bytes: usize,
    room: Arc<Room>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Room { limit, taken, wanted, freed } = &*self.room;
        let left = taken.fetch_sub(self.bytes, Ordering::SeqCst) - self.bytes;
        if left < *limit && wanted.swap(false, Ordering::SeqCst) {
            freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_told(room: &Room) -> bool {
        std::pin::pin!(room.freed()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn who_found_no_room_is_told_of_it() {
        let room = Room::new(10);
        let (first, second) = (room.take(9), room.take(1));
        assert!(!room.is_there() && !is_told(&room));
        drop(second);
        assert!(room.is_there() && is_told(&room));
        drop(first);
        assert!(!is_told(&room), "nobody waits for it");
    }

    #[test]
    fn an_answer_larger_than_all_room_is_let_in_alone() {
        let room = Room::new(10);
        assert!(room.is_there());
        let large = room.take(1000);
        assert!(!room.is_there());
        drop(large);
        assert!(room.is_there());
    }
}
