//! What the threads of a run share: its clock, its stages, and counts that are read while it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::tagged::Checker;
use crate::backends::Waker;

/// One clock for all threads, in ns since the run was set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub(super) fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The moment of a time.
    pub(super) fn at(self, ns: u64) -> Instant {
        self.0 + Duration::from_nanos(ns)
    }
}

/// The time of things that come in bursts: read anew for the first of a burst and every few after.
#[derive(Debug)]
pub(super) struct Glance {
    clock: Clock,
    at: u64,
    left: u8,
}

/// So many records are told in a few microseconds, less than a scheduler takes to say that they are there.
const GLANCES: u8 = 16;

impl Glance {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, at: 0, left: 0 }
    }

    /// The time of the next thing of a burst.
    pub(super) fn now(&mut self) -> u64 {
        if self.left == 0 {
            self.at = self.clock.now();
            self.left = GLANCES;
        }
        self.left -= 1;
        self.at
    }

    /// The burst is over.
    pub(super) fn end(&mut self) {
        self.left = 0;
    }
}

/// What each of several takes of a number; those before take what cannot be shared.
pub(super) fn share(number: u64, turn: u16, of: u16) -> u64 {
    let of = u64::from(of.max(1));
    number / of + u64::from(u64::from(turn) < number % of)
}

/// Counts of one direction. All but `latest` are of what is measured only.
#[derive(Debug, Default)]
pub(super) struct Counts {
    records: AtomicU64,
    bytes: AtomicU64,
    /// When the last one came, in ns.
    latest: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, records: u64, bytes: u64, at: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.latest.fetch_max(at, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Release);
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Relaxed)
    }
}

/// Times of the current interval, for reports on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) records: u64,
    /// All of them together, in ns.
    pub(super) sum: u64,
    pub(super) max: u64,
}

impl Interval {
    /// Adds a time in ns.
    pub(super) fn add(&mut self, ns: u64) {
        self.plus(Self { records: 1, sum: ns, max: ns });
    }

    /// Adds those of another.
    pub(super) fn plus(&mut self, other: Self) {
        self.records += other.records;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Clients are being opened and warmed up; so many are ready.
    Preparing { ready: usize },
    /// Measured from this moment on, in ns.
    Measuring { start: u64 },
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// In the tag of each record.
    pub(super) run: u64,
    pub(super) published: Counts,
    pub(super) received: Counts,
    interval: Mutex<Interval>,
    checker: Mutex<Checker>,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// No more records are made: a signal has come.
    enough: AtomicBool,
    /// All producers are done.
    all_sent: AtomicBool,
    /// A thread has failed: all others leave.
    broken: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(run: u64, producers: u16) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::start(),
            run,
            published: Counts::default(),
            received: Counts::default(),
            interval: Mutex::default(),
            checker: Mutex::new(Checker::new(producers)),
            stage: Mutex::new(Stage::Preparing { ready: 0 }),
            changed: Condvar::new(),
            enough: AtomicBool::new(false),
            all_sent: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            wakers: Mutex::default(),
        })
    }

    /// The books of what arrived.
    pub(super) fn checker(&self) -> MutexGuard<'_, Checker> {
        lock(&self.checker)
    }

    /// Adds times to the current interval.
    pub(super) fn note(&self, interval: Interval) {
        lock(&self.interval).plus(interval);
    }

    /// Ends the current interval.
    pub(super) fn take_interval(&self) -> Interval {
        std::mem::take(&mut *lock(&self.interval))
    }

    /// Is called whenever a stage or a flag changes.
    pub(super) fn on_change(&self, waker: Waker) {
        lock(&self.wakers).push(waker);
    }

    fn tell(&self) {
        self.changed.notify_all();
        lock(&self.wakers).iter().for_each(|waker| waker());
    }

    /// A client is warm.
    pub(super) fn ready(&self) {
        if let Stage::Preparing { ready } = &mut *lock(&self.stage) {
            *ready += 1;
            self.changed.notify_all();
        }
    }

    /// A client is warm, and waits for the start. None if there will be none.
    pub(super) fn await_start(&self) -> Option<u64> {
        self.ready();
        let mut stage = lock(&self.stage);
        loop {
            match *stage {
                Stage::Measuring { start } => return Some(start),
                Stage::Preparing { .. } if self.is_broken() || self.is_enough() => return None,
                Stage::Preparing { .. } => {
                    stage = self.changed.wait(stage).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits until so many clients are warm; false if they will not be.
    pub(super) fn await_ready(&self, clients: usize) -> bool {
        let waiting = |stage: &mut Stage| {
            let warm = !matches!(*stage, Stage::Preparing { ready } if ready < clients);
            !warm && !self.is_broken() && !self.is_enough()
        };
        let stage = self.changed.wait_while(lock(&self.stage), waiting);
        drop(stage);
        !self.is_broken() && !self.is_enough()
    }

    /// Starts the measuring; returns the moment.
    pub(super) fn start(&self) -> u64 {
        let start = self.clock.now();
        *lock(&self.stage) = Stage::Measuring { start };
        self.tell();
        start
    }

    /// The moment the measuring started, if it has.
    pub(super) fn started(&self) -> Option<u64> {
        match *lock(&self.stage) {
            Stage::Measuring { start } => Some(start),
            Stage::Preparing { .. } => None,
        }
    }

    pub(super) fn set_enough(&self) {
        self.set(&self.enough);
    }

    pub(super) fn is_enough(&self) -> bool {
        self.enough.load(Ordering::SeqCst)
    }

    pub(super) fn set_all_sent(&self) {
        self.set(&self.all_sent);
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.all_sent.load(Ordering::SeqCst)
    }

    pub(super) fn set_broken(&self) {
        self.set(&self.broken);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    fn set(&self, flag: &AtomicBool) {
        // Under the lock, so that nobody looks at it before and waits after.
        let stage = lock(&self.stage);
        flag.store(true, Ordering::SeqCst);
        drop(stage);
        self.tell();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_for_all_who_wait_for_it() {
        let shared = Shared::new(1, 2);
        let wait = || {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.await_start())
        };
        let (one, other) = (wait(), wait());
        assert!(shared.await_ready(2));
        let start = shared.start();
        assert_eq!([one.join().unwrap(), other.join().unwrap()], [Some(start); 2]);
        assert_eq!(shared.started(), Some(start));
    }

    #[test]
    fn what_breaks_before_the_start_lets_nobody_wait() {
        let shared = Shared::new(1, 2);
        let waiting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.await_start())
        };
        assert!(shared.await_ready(1));
        shared.set_broken();
        assert_eq!(waiting.join().unwrap(), None);
        assert!(!shared.await_ready(2));
    }

    #[test]
    fn a_burst_has_few_looks_at_the_clock_and_a_new_one_a_fresh_one() {
        let mut glance = Glance::new(Clock::start());
        let first = glance.now();
        assert_eq!(glance.now(), first);
        while glance.clock.now() < first + 1000 {}
        glance.end();
        assert!(glance.now() > first);
    }

    #[test]
    fn shares_add_up() {
        for (number, of) in [(0, 1), (10, 3), (2, 5), (1_000_001, 7)] {
            let shares: Vec<u64> = (0..of).map(|turn| share(number, turn, of)).collect();
            assert_eq!(shares.iter().sum::<u64>(), number);
            assert!(shares.is_sorted_by(|a, b| a >= b && a - b <= 1), "{shares:?}");
        }
    }

    #[test]
    fn intervals_add_up_until_they_are_taken() {
        let shared = Shared::new(1, 1);
        let mut interval = Interval::default();
        [3, 9].into_iter().for_each(|ns| interval.add(ns));
        shared.note(interval);
        shared.note(Interval { records: 1, sum: 4, max: 4 });
        assert_eq!(shared.take_interval(), Interval { records: 3, sum: 16, max: 9 });
        assert_eq!(shared.take_interval(), Interval::default());
    }
}
