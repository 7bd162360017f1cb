//! The way to one address: the open connection, or the attempt to open one.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::cluster::Inner;
use super::{Address, Backoff, Connection, Error, Kind, Result, after};

/// Work whose outcome is for all who ask for it while it is done. It goes on when those who asked
/// no longer wait, so that short deadlines do not keep it from ever being finished.
#[derive(Debug)]
pub(super) struct Outcome<T>(watch::Receiver<Option<Result<T>>>);

impl<T> Clone for Outcome<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Send + Sync + 'static> Outcome<T> {
    /// Starts the work, as one of the cluster's tasks.
    pub(super) fn start(inner: &Inner, work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        inner.spawn(async move {
            let outcome = work.await;
            sender.send_replace(Some(outcome));
        });
        Self(receiver)
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.borrow().is_none() && self.0.has_changed().is_ok()
    }

    pub(super) async fn wait(mut self) -> Result<T> {
        let outcome = self.0.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Error::new(Kind::Closed, "the cluster is no longer in use")))
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: Address,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    live: Option<Connection>,
    attempt: Option<Outcome<Connection>>,
    backoff: Backoff,
    /// When the next attempt may begin.
    not_before: Option<Instant>,
}

impl Link {
    pub(super) fn new(address: Address, backoff: Backoff) -> Self {
        let state = State { live: None, attempt: None, backoff, not_before: None };
        Self { address, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open connection, if there is one.
    pub(super) fn live(&self) -> Option<Connection> {
        self.state().live.clone().filter(Connection::is_open)
    }

    /// When the next attempt may begin, if not at once.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.state().not_before
    }

    /// The open connection, else the outcome of the attempt under way, else of a new one.
    pub(super) async fn connection(self: &Arc<Self>, inner: &Arc<Inner>) -> Result<Connection> {
        let attempt = {
            let mut state = self.state();
            match state.live.take() {
                Some(live) if live.is_open() => {
                    state.live = Some(live.clone());
                    return Ok(live);
                }
                // One that was closed for having been idle is opened again at once.
                Some(dead) if !dead.ended_idle() => {
                    let wait = state.backoff.after_failure(&mut inner.random());
                    state.not_before = Some(after(wait));
                }
                _ => {}
            }
            match &state.attempt {
                Some(attempt) if attempt.is_under_way() => attempt.clone(),
                _ => {
                    let work = Arc::clone(self).attempt(Arc::clone(inner), state.not_before);
                    state.attempt.insert(Outcome::start(inner, work)).clone()
                }
            }
        };
        attempt.wait().await
    }

    /// Waits for its time, then tries once.
    async fn attempt(self: Arc<Self>, inner: Arc<Inner>, not_before: Option<Instant>) -> Result<Connection> {
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        let config = &inner.config;
        let opened =
            Connection::open(&*config.connector, &self.address, &config.options, &inner.runtime).await;
        let mut state = self.state();
        match &opened {
            Ok(connection) => {
                state.live = Some(connection.clone());
                state.not_before = None;
                state.backoff.reset();
            }
            Err(_) => {
                let wait = state.backoff.after_failure(&mut inner.random());
                state.not_before = Some(after(wait));
            }
        }
        state.attempt = None;
        opened
    }
}
