//! Several futures at once on one task: spawning a task for each produce call costs 30 % of
//! rskafka's CPU.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future of its own.
pub(super) type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Calls that are out, answered in the order they were made.
pub(super) struct Calls<T>(VecDeque<State<T>>);

enum State<T> {
    Out(Call<T>),
    Answered(T),
}

impl<T> Default for Calls<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Calls<T> {
    pub(super) fn push(&mut self, call: Call<T>) {
        self.0.push_back(State::Out(call));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drives all of them; ready with the answer of the oldest, or with `None` if there are none.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        for state in &mut self.0 {
            if let State::Out(call) = state
                && let Poll::Ready(answer) = call.as_mut().poll(cx)
            {
                *state = State::Answered(answer);
            }
        }
        match self.0.pop_front() {
            Some(State::Answered(answer)) => Poll::Ready(Some(answer)),
            Some(out) => {
                self.0.push_front(out);
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    /// The answer of the oldest.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl<T> std::fmt::Debug for Calls<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Calls({})", self.0.len())
    }
}

/// The first success; or, when all have failed, the failure that came last.
pub(super) async fn first_ok<T, E>(mut calls: Vec<Call<Result<T, E>>>) -> Option<Result<T, E>> {
    let mut failure = None;
    poll_fn(|cx| {
        let mut success = None;
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Ready(Ok(value)) => {
                success.get_or_insert(value);
                false
            }
            Poll::Ready(Err(error)) => {
                failure = Some(error);
                false
            }
            Poll::Pending => true,
        });
        match success {
            Some(value) => Poll::Ready(Some(Ok(value))),
            None if calls.is_empty() => Poll::Ready(failure.take().map(Err)),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::sync::oneshot;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn answers_come_in_the_order_of_the_calls() {
        let (first, answer) = oneshot::channel();
        let mut calls = Calls::default();
        calls.push(Box::pin(async { answer.await.unwrap() }));
        calls.push(Box::pin(async move {
            first.send(1).unwrap();
            2
        }));
        let got = block_on(async { [calls.next().await, calls.next().await, calls.next().await] });
        assert_eq!(got, [Some(1), Some(2), None]);
    }

    #[test]
    fn one_success_is_enough_and_nobody_waits_for_the_rest() {
        let calls: Vec<Call<Result<i32, &str>>> =
            vec![Box::pin(pending()), Box::pin(ready(Err("refused"))), Box::pin(ready(Ok(3)))];
        assert_eq!(block_on(first_ok(calls)), Some(Ok(3)));
    }

    #[test]
    fn failure_of_all_is_told() {
        let calls: Vec<Call<Result<i32, &str>>> = vec![Box::pin(ready(Err("a"))), Box::pin(ready(Err("b")))];
        assert_eq!(block_on(first_ok(calls)), Some(Err("b")));
    }
}
