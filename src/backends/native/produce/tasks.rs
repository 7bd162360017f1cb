//! Several futures at once on one task, without a task for each.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future of its own.
pub(super) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Futures that run until they are done. There are few: each wake-up looks at all.
pub(super) struct Tasks<T> {
    tasks: Vec<Task<T>>,
    /// Some were never looked at.
    fresh: bool,
}

impl<T> Default for Tasks<T> {
    fn default() -> Self {
        Self { tasks: Vec::new(), fresh: false }
    }
}

impl<T> Tasks<T> {
    pub(super) fn push(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.tasks.push(Box::pin(task));
        self.fresh = true;
    }

    /// Whether some are there that were never driven.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Drives all of them; ready with the outcome of the first that is done.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        for at in 0..self.tasks.len() {
            if let Some(task) = self.tasks.get_mut(at)
                && let Poll::Ready(outcome) = task.as_mut().poll(cx)
            {
                // In their order, so that answers that came together are taken in turn.
                drop(self.tasks.remove(at));
                return Poll::Ready(outcome);
            }
        }
        self.fresh = false;
        Poll::Pending
    }
}

impl<T> fmt::Debug for Tasks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({})", self.tasks.len())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_is_done_is_told_in_order_and_once() {
        let mut tasks = Tasks::default();
        tasks.push(pending());
        tasks.push(ready(1));
        tasks.push(ready(2));
        assert!(tasks.is_fresh());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(tasks.poll_next(&mut cx), Poll::Ready(1));
        assert_eq!(tasks.poll_next(&mut cx), Poll::Ready(2));
        assert_eq!(tasks.poll_next(&mut cx), Poll::Pending);
        assert!(!tasks.is_fresh());
    }
}
