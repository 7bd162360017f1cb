//! SIGINT and SIGTERM: the first asks the run to end well, the second ends it at once.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

type Callback = Box<dyn Fn() + Send>;
type LastWords = Box<dyn Fn() -> String + Send>;

/// The wish to end, shared by all who wait for something.
#[derive(Clone)]
pub struct Stop {
    inner: Arc<Inner>,
}

struct Inner {
    signal: AtomicI32,
    armed: AtomicBool,
    readable: OwnedFd,
    writable: OwnedFd,
    wakers: Mutex<Vec<Callback>>,
    last_words: Mutex<Option<LastWords>>,
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("signal", &self.signal()).finish_non_exhaustive()
    }
}

impl Stop {
    /// Catches the signals from here on. Until [`Stop::arm`] the first one ends the process, since
    /// nothing has been read that could be lost.
    ///
    /// # Errors
    /// When the system refuses the handlers, the pipe or the thread.
    pub fn install() -> io::Result<Self> {
        let stop = Self::new()?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let for_thread = stop.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                for_thread.received(signal);
            }
        })?;
        Ok(stop)
    }

    fn new() -> io::Result<Self> {
        let (readable, writable) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self {
            inner: Arc::new(Inner {
                signal: AtomicI32::new(0),
                armed: AtomicBool::new(false),
                readable,
                writable,
                wakers: Mutex::default(),
                last_words: Mutex::default(),
            }),
        })
    }

    /// From here on the first signal only asks. `last_words` is printed by the second.
    pub fn arm(&self, last_words: impl Fn() -> String + Send + 'static) {
        *self.inner.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(last_words));
        self.inner.armed.store(true, Ordering::SeqCst);
    }

    /// The first signal's number, once it has come.
    pub fn signal(&self) -> Option<i32> {
        Some(self.inner.signal.load(Ordering::SeqCst)).filter(|&s| s != 0)
    }

    /// Becomes readable with the first signal, for poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inner.readable.as_fd()
    }

    /// Makes [`Stop::fd`] readable without a signal: the run ends for a reason of its own.
    pub fn end(&self) {
        // A full pipe is readable, which is all it is for.
        let _ = rustix::io::write(&self.inner.writable, b"!");
    }

    /// Calls `waker` on the first signal, or now if it has come already.
    pub fn on_stop(&self, waker: impl Fn() + Send + 'static) {
        if self.signal().is_some() {
            waker();
        }
        self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(waker));
    }

    fn received(&self, signal: i32) {
        let first = self.inner.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if !first || !self.inner.armed.load(Ordering::SeqCst) {
            self.leave(signal);
        }
        self.end();
        for waker in self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            waker();
        }
    }

    #[allow(clippy::exit, reason = "the second signal leaves at once, wherever the run is")]
    fn leave(&self, signal: i32) {
        if let Ok(last_words) = self.inner.last_words.lock()
            && let Some(last_words) = last_words.as_ref()
        {
            crate::console::error(last_words());
        }
        std::process::exit(128 + signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_of_an_armed_run_wakes_and_is_readable() {
        let stop = Stop::new().unwrap();
        stop.arm(String::new);
        let woken = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&woken);
        stop.on_stop(move || flag.store(true, Ordering::SeqCst));
        assert_eq!(stop.signal(), None);
        stop.received(SIGTERM);
        assert_eq!(stop.signal(), Some(SIGTERM));
        assert!(woken.load(Ordering::SeqCst));
        let mut byte = [0u8; 1];
        assert_eq!(rustix::io::read(stop.fd(), &mut byte).unwrap(), 1);
    }
}
