//! SIGINT and SIGTERM: the first asks the run to end well, the second ends it at once.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::backend::Handle;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

/// Two signals of one kind within this time are one: timeout(1) sends its signal to the process and
/// to its group, which the process is part of.
const ONE: Duration = Duration::from_millis(20);

type Callback = Box<dyn Fn() + Send>;
type LastWords = Box<dyn Fn() -> String + Send>;
type Relay = Box<dyn Fn(Received) + Send>;

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub number: i32,
    /// Who sent it.
    pub sender: Sender,
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The terminal, to all processes in its foreground.
    Terminal,
    /// A process.
    Process,
}

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
    leavers: Mutex<Vec<Callback>>,
    relay: Mutex<Option<Relay>>,
    handle: Mutex<Option<Handle>>,
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
        // A file that may not grow is an error of the write, which is told, and no reason to die.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM])?;
        *lock(&stop.inner.handle) = Some(signals.handle());
        let for_thread = stop.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut last = None;
            for origin in &mut signals {
                let now = Instant::now();
                if !is_again(last.replace((origin.signal, now)), (origin.signal, now)) {
                    for_thread.received(origin.into());
                }
            }
        })?;
        Ok(stop)
    }

    /// Catches the end of the terminal, too, unless it was to be ignored (`nohup`).
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn catch_hangup(&self) -> io::Result<()> {
        match lock(&self.inner.handle).as_ref() {
            Some(handle) if !is_ignored(SIGHUP) => handle.add_signal(SIGHUP),
            _ => Ok(()),
        }
    }

    /// One that no signal reaches yet.
    pub(crate) fn new() -> io::Result<Self> {
        let (readable, writable) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self {
            inner: Arc::new(Inner {
                signal: AtomicI32::new(0),
                armed: AtomicBool::new(false),
                readable,
                writable,
                wakers: Mutex::default(),
                last_words: Mutex::default(),
                leavers: Mutex::default(),
                relay: Mutex::default(),
                handle: Mutex::default(),
            }),
        })
    }

    /// From here on the first signal only asks. `last_words` is printed by the second.
    pub fn arm(&self, last_words: impl Fn() -> String + Send + 'static) {
        *lock(&self.inner.last_words) = Some(Box::new(last_words));
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
        lock(&self.inner.wakers).push(Box::new(waker));
    }

    /// Calls `leaver` when a signal ends the process at once; it must not take long.
    pub fn on_leave(&self, leaver: impl Fn() + Send + 'static) {
        lock(&self.inner.leavers).push(Box::new(leaver));
    }

    /// From here on every signal is `relay`'s; none ends this process.
    pub fn relay(&self, relay: impl Fn(Received) + Send + 'static) {
        *lock(&self.inner.relay) = Some(Box::new(relay));
    }

    fn received(&self, received: Received) {
        if let Some(relay) = lock(&self.inner.relay).as_ref() {
            return relay(received);
        }
        let signal = received.number;
        let first = self.inner.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if !first || !self.inner.armed.load(Ordering::SeqCst) {
            self.leave(signal);
        }
        self.end();
        lock(&self.inner.wakers).iter().for_each(|waker| waker());
    }

    #[allow(clippy::exit, reason = "the second signal leaves at once, wherever the run is")]
    fn leave(&self, signal: i32) {
        if let Ok(last_words) = self.inner.last_words.lock()
            && let Some(last_words) = last_words.as_ref()
        {
            crate::console::error(last_words());
        }
        lock(&self.inner.leavers).iter().for_each(|leaver| leaver());
        std::process::exit(128 + signal);
    }
}

impl From<Origin> for Received {
    fn from(origin: Origin) -> Self {
        let sender = if origin.cause == Cause::Kernel { Sender::Terminal } else { Sender::Process };
        Self { number: origin.signal, sender }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True when a signal is the one before it, delivered once more.
fn is_again(last: Option<(i32, Instant)>, (signal, at): (i32, Instant)) -> bool {
    last.is_some_and(|(before, then)| before == signal && at.saturating_duration_since(then) < ONE)
}

/// True when this process was started with the signal ignored. Asked before a handler is there.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_in_mask(&status, signal)
}

/// Looks a signal up in the mask of ignored ones, as proc(5) has it.
fn is_in_mask(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_process(number: i32) -> Received {
        Received { number, sender: Sender::Process }
    }

    #[test]
    fn the_first_signal_of_an_armed_run_wakes_and_is_readable() {
        let stop = Stop::new().unwrap();
        stop.arm(String::new);
        let woken = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&woken);
        stop.on_stop(move || flag.store(true, Ordering::SeqCst));
        assert_eq!(stop.signal(), None);
        stop.received(from_process(SIGTERM));
        assert_eq!(stop.signal(), Some(SIGTERM));
        assert!(woken.load(Ordering::SeqCst));
        let mut byte = [0u8; 1];
        assert_eq!(rustix::io::read(stop.fd(), &mut byte).unwrap(), 1);
    }

    #[test]
    fn a_relay_takes_every_signal() {
        let stop = Stop::new().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let relay = Arc::clone(&taken);
        stop.relay(move |received| relay.lock().unwrap().push(received.number));
        stop.received(from_process(SIGTERM));
        stop.received(from_process(SIGINT));
        assert_eq!(*taken.lock().unwrap(), [SIGTERM, SIGINT]);
        assert_eq!(stop.signal(), None);
    }

    #[test]
    fn a_signal_delivered_twice_is_one() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(!is_again(None, (SIGTERM, start)));
        assert!(is_again(Some((SIGTERM, start)), (SIGTERM, after(1))));
        assert!(!is_again(Some((SIGTERM, start)), (SIGTERM, after(30))));
        assert!(!is_again(Some((SIGTERM, start)), (SIGINT, after(1))));
    }

    #[test]
    fn an_ignored_signal_is_seen_in_the_mask() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\n";
        assert!(is_in_mask(status, SIGINT) && !is_in_mask(status, SIGHUP));
        assert!(!is_in_mask("", SIGHUP));
    }
}
