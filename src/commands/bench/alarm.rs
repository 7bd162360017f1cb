//! Wakes a publisher that waits for outcomes when its next record is due: the waits of some libraries are whole
//! milliseconds, its own are not.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::backends::Waker;

/// A thread that calls a waker at the time that was set last.
#[derive(Debug)]
pub(super) struct Alarm(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    time: Mutex<Time>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Unset,
    At(Instant),
    Never,
}

impl Alarm {
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(waker: Waker) -> std::io::Result<Self> {
        let inner = Arc::new(Inner { time: Mutex::new(Time::Unset), changed: Condvar::new() });
        let of_thread = Arc::clone(&inner);
        std::thread::Builder::new().name("alarm".into()).spawn(move || of_thread.ring(&waker))?;
        Ok(Self(inner))
    }

    /// Rings at that time, instead of the one that was set before.
    pub(super) fn set(&self, at: Instant) {
        self.0.set(Time::At(at));
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.set(Time::Never);
    }
}

impl Inner {
    fn set(&self, time: Time) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = time;
        self.changed.notify_one();
    }

    fn ring(&self, waker: &Waker) {
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            time = match *time {
                Time::Never => return,
                Time::Unset => self.changed.wait(time).unwrap_or_else(PoisonError::into_inner),
                Time::At(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        *time = Time::Unset;
                        waker();
                        continue;
                    }
                    self.changed.wait_timeout(time, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_rings_at_its_time_and_only_once() {
        let (rings, rung) = sync_channel(8);
        let alarm = Alarm::start(Arc::new(move || rings.send(Instant::now()).unwrap())).unwrap();
        let at = Instant::now() + Duration::from_millis(20);
        alarm.set(at + Duration::from_secs(100));
        alarm.set(at);
        assert!(rung.recv_timeout(Duration::from_secs(30)).unwrap() >= at);
        drop(alarm);
        // The thread is gone, and the waker with it.
        assert!(rung.recv_timeout(Duration::from_secs(30)).is_err());
    }
}
