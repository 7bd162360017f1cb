//! What the client tells the command. Both are on the command's thread: the client goes on while the command waits
//! for it, so that the bytes of an answer stay in the caches of one processor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::frame::Told;
use crate::backends::Waker;

/// See the module. It is bounded by the room that frames take.
#[derive(Debug)]
pub(super) struct Inbox {
    told: UnboundedReceiver<Told>,
    woken: Arc<Notify>,
}

impl Inbox {
    pub(super) fn new() -> (UnboundedSender<Told>, Self) {
        let (teller, told) = unbounded_channel();
        (teller, Self { told, woken: Arc::default() })
    }

    /// Lets one `take` return at once, now or the next time; from any thread.
    pub(super) fn waker(&self) -> Waker {
        let woken = Arc::clone(&self.woken);
        Arc::new(move || woken.notify_one())
    }

    /// Takes what there is, waiting up to `wait` for some or for a wake-up.
    pub(super) async fn take(&mut self, wait: Duration, into: &mut VecDeque<Told>) {
        let first = tokio::select! {
            biased;
            told = self.told.recv() => told,
            () = self.woken.notified() => None,
            () = sleep(wait) => None,
        };
        // The next request goes out before the answer at hand is gone through.
        yield_now().await;
        into.extend(first);
        while let Ok(told) = self.told.try_recv() {
            into.push_back(told);
        }
    }

    /// True when `take` would wait.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn taken(inbox: &mut Inbox, wait: Duration) -> Vec<String> {
        let mut into = VecDeque::new();
        inbox.take(wait, &mut into).await;
        into.into_iter()
            .map(|told| if let Told::Warn(text) = told { text } else { panic!("{told:?}") })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_taken_once_and_in_order() {
        let (teller, mut inbox) = Inbox::new();
        teller.send(Told::Warn("a".into())).unwrap();
        teller.send(Told::Warn("b".into())).unwrap();
        assert!(!inbox.is_empty());
        assert_eq!(taken(&mut inbox, LONG).await, ["a", "b"]);
        assert!(inbox.is_empty() && taken(&mut inbox, Duration::ZERO).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_before_the_wait_is_not_lost_and_ends_one() {
        let (_teller, mut inbox) = Inbox::new();
        let (waker, start) = (inbox.waker(), Instant::now());
        waker();
        assert!(taken(&mut inbox, LONG).await.is_empty());
        assert!(start.elapsed() < LONG);
        assert!(taken(&mut inbox, LONG).await.is_empty());
        assert!(start.elapsed() >= LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_ends_the_wait_and_goes_on_before_it_does() {
        let (teller, mut inbox) = Inbox::new();
        let other = tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            teller.send(Told::Warn("a".into())).unwrap();
            yield_now().await;
        });
        assert_eq!(taken(&mut inbox, LONG).await, ["a"]);
        assert!(other.is_finished());
    }
}
