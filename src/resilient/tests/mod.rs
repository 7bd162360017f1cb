//! The wrappers, with libraries that do what a test says and a clock that it sets.

mod publisher;
mod spooled;
mod subscriber;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::publisher::Clock;

const S: Duration = Duration::from_secs(1);
/// More than any test waits for.
const LONG: Duration = Duration::from_secs(60);

/// A clock that a test sets.
#[derive(Clone)]
struct Hands(Arc<Mutex<Instant>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn turn(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || hands.now())
    }
}
