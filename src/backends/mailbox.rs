//! What other threads leave for the one that polls: taken all at once, with a wake-up.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backends::Waker;

/// Locks, whatever a thread that panicked left behind: every change under our locks is complete in
/// itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds `T` until it is taken. Its size is bounded by whoever fills it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner<T> {
    content: T,
    filled: bool,
    woken: bool,
}

impl<T: Default + Send + 'static> Mailbox<T> {
    /// Adds to the content and wakes who waits for it.
    pub(crate) fn put(&self, add: impl FnOnce(&mut T)) {
        let mut inner = lock(&self.inner);
        add(&mut inner.content);
        inner.filled = true;
        drop(inner);
        self.changed.notify_one();
    }

    /// Takes the content, waiting up to `wait` for some or for a wake-up.
    pub(crate) fn take(&self, wait: Duration) -> T {
        let mut inner = lock(&self.inner);
        let until = Instant::now().checked_add(wait);
        while !inner.filled && !inner.woken {
            let left = until.map_or(wait, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.filled = false;
        inner.woken = false;
        mem::take(&mut inner.content)
    }

    /// True when `take` would not wait.
    #[cfg(feature = "rskafka")]
    pub(crate) fn is_filled(&self) -> bool {
        lock(&self.inner).filled
    }

    /// Lets one `take` return at once, now or the next time.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        let mailbox = Arc::clone(self);
        Arc::new(move || {
            lock(&mailbox.inner).woken = true;
            mailbox.changed.notify_one();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_put_is_taken_once() {
        let mailbox = Mailbox::<Vec<i32>>::default();
        mailbox.put(|v| v.push(1));
        mailbox.put(|v| v.push(2));
        assert_eq!(mailbox.take(LONG), [1, 2]);
        assert!(mailbox.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_wake_up_before_the_wait_is_not_lost() {
        let mailbox = Arc::new(Mailbox::<Vec<i32>>::default());
        mailbox.waker()();
        assert!(mailbox.take(LONG).is_empty());
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let mailbox = Arc::new(Mailbox::<Vec<i32>>::default());
        let other = Arc::clone(&mailbox);
        let thread = std::thread::spawn(move || other.put(|v| v.push(7)));
        assert_eq!(mailbox.take(LONG), [7]);
        thread.join().unwrap();
    }
}
