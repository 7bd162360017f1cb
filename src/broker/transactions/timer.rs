//! What happens without being asked: transactions that take too long are aborted. One task sleeps
//! until the first of them is due, and is woken when an earlier one appears.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::node::{Node, blocking, now};

/// When the task looks next.
#[derive(Debug)]
pub(super) struct Timer {
    /// In ms since 1970. While it looks it is never, so that nothing that comes then is missed.
    next: AtomicI64,
    earlier: Notify,
}

impl Default for Timer {
    fn default() -> Self {
        Self { next: AtomicI64::new(i64::MAX), earlier: Notify::new() }
    }
}

impl Timer {
    /// Something is due at this time.
    pub(super) fn expect(&self, at: i64) {
        if at < self.next.load(Ordering::SeqCst) {
            self.earlier.notify_one();
        }
    }

    /// The task begins to look what is due.
    pub(super) fn begin(&self) {
        self.next.store(i64::MAX, Ordering::SeqCst);
    }

    /// The task has looked, and the next thing is due at this time.
    pub(super) fn set(&self, next: i64) {
        self.next.store(next, Ordering::SeqCst);
    }
}

/// Sees to transactions for as long as it is let.
pub(in crate::broker) async fn keep_time(node: Arc<Node>) {
    loop {
        let next = blocking(|| node.transactions.tick(&*node, now()));
        tokio::select! {
            () = until(next) => {}
            () = node.transactions.timer.earlier.notified() => {}
        }
    }
}

/// Sleeps until a time in ms since 1970; for ever if that is never.
async fn until(time: i64) {
    if time == i64::MAX {
        return pending().await;
    }
    let left = u64::try_from(time.saturating_sub(now())).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(left)).await;
}
