//! Sends the parcels of one partition: several at once while all goes well, one at a time from the
//! first failure until everything behind it is settled, so that order survives retries.
//!
//! What rskafka cannot give: parcels that were out behind a failed one may have been written before
//! it is sent again. No new one is sent meanwhile.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::rskafka::client::partition::Compression;
use tokio::sync::futures::Notified;
use tokio::time::{Sleep, sleep, sleep_until, timeout};

use super::calls::{Call, Calls};
use super::cluster::{Cluster, Link, METADATA_WAIT, pause};
use super::convert;
use super::fault::{Class, Fault};
use super::queue::{Limits, Parcel, Queue, Take};
use crate::backends::mailbox::Mailbox;
use crate::backends::{Error, ErrorKind, Fate, Notice};

/// How sending is done and how long it is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct SendConfig {
    pub(super) compression: Compression,
    /// Calls out at a time for a partition.
    pub(super) in_flight: usize,
    /// How often a parcel that was sent is sent again.
    pub(super) retries: u32,
    /// From the first record's coming to the end of all attempts; `None` is for ever.
    pub(super) delivery: Option<Duration>,
    /// Pauses after an answer that may change: first and longest.
    pub(super) retry: (Duration, Duration),
    /// Tell of every acknowledged parcel rather than count them.
    pub(super) receipts: bool,
}

/// What all partitions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) limits: Arc<Limits>,
    pub(super) outcomes: Arc<Mailbox<Outcomes>>,
    pub(super) config: SendConfig,
}

/// What became of parcels, to be told by `poll`. As large as what the limits let on their way.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Records acknowledged.
    pub(super) delivered: u64,
    /// Bytes of their keys and values.
    pub(super) payload: u64,
    /// Parcels to tell of one by one.
    pub(super) told: Vec<Outcome>,
    /// Records sent again that may have been written before.
    pub(super) resent: u64,
    /// Changes of connections.
    pub(super) notices: Vec<Notice>,
}

/// What became of one parcel.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) queue: Arc<Queue>,
    pub(super) parcel: Arc<Parcel>,
    pub(super) result: Result<Placed, (Fate, Error)>,
}

/// Where an acknowledged parcel is.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) offsets: Vec<i64>,
    /// The timestamp of records without one.
    pub(super) stamp: i64,
}

/// A parcel and what was tried with it.
#[derive(Debug)]
struct Attempt {
    parcel: Arc<Parcel>,
    /// Timestamp for records without one, the same at every try.
    stamp: i64,
    /// Times it was sent, or may have been.
    sent: u32,
    /// Failed tries of any kind.
    failures: u32,
    /// When the partition was first said not to exist.
    unknown_since: Option<Instant>,
    /// An earlier try may have written it.
    in_doubt: bool,
    /// When the first try failed.
    failed: Option<SystemTime>,
}

type Answer = (Attempt, Result<Vec<i64>, Fault>);

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Again,
    Split,
    GiveUp,
}

impl Attempt {
    fn new(parcel: Arc<Parcel>) -> Self {
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        Self { parcel, stamp, sent: 0, failures: 0, unknown_since: None, in_doubt: false, failed: None }
    }

    /// Time left for it; `None` when there is none.
    fn left(&self, config: &SendConfig, now: Instant) -> Option<Duration> {
        let Some(delivery) = config.delivery else { return Some(Duration::MAX) };
        let left = (self.parcel.queued + delivery).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// What to do after this fault.
    fn judge(&mut self, fault: &Fault, config: &SendConfig, now: Instant) -> Verdict {
        self.failures += 1;
        self.failed.get_or_insert_with(SystemTime::now);
        self.in_doubt |= fault.class == Class::RetryInDoubt;
        self.parcel.in_doubt.store(self.in_doubt, Ordering::Release);
        if fault.class == Class::TooLarge && self.parcel.records > 1 {
            return Verdict::Split;
        }
        let unknown = fault.class == Class::UnknownTopic;
        let since = *self.unknown_since.get_or_insert(now);
        if !unknown {
            self.unknown_since = None;
        }
        let tired = self.sent > config.retries || self.left(config, now).is_none();
        if !fault.may_pass() || tired || (unknown && now - since >= METADATA_WAIT) {
            return Verdict::GiveUp;
        }
        Verdict::Again
    }

    /// Two attempts at half of it each.
    fn split(&self) -> [Self; 2] {
        self.parcel.halves().map(|half| {
            half.in_doubt.store(self.in_doubt, Ordering::Release);
            let (in_doubt, failed) = (self.in_doubt, self.failed);
            Self { stamp: self.stamp, in_doubt, failed, ..Self::new(Arc::new(half)) }
        })
    }
}

/// The task of one partition.
#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    calls: Calls<Answer>,
    link: Option<Link>,
    /// Since when there is none that works.
    lost: Option<Instant>,
    /// Ends when the parcel being filled is due.
    linger: Option<Pin<Box<Sleep>>>,
}

enum Step {
    Send(Arc<Parcel>),
    Answer(Box<Answer>),
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>) -> Self {
        Self { shared, queue, calls: Calls::default(), link: None, lost: None, linger: None }
    }

    /// Runs until the runtime ends.
    pub(super) async fn run(mut self) {
        loop {
            match self.step().await {
                Step::Send(parcel) => self.send(parcel).await,
                Step::Answer(answer) => match *answer {
                    (attempt, Ok(offsets)) => self.delivered(&attempt, offsets),
                    (attempt, Err(fault)) => self.recover(attempt, fault).await,
                },
            }
        }
    }

    /// Waits for an answer, or for a parcel if another call may be made.
    async fn step(&mut self) -> Step {
        let queue = Arc::clone(&self.queue);
        let mut changed = pin!(queue.changed.notified());
        poll_fn(|cx| {
            if let Poll::Ready(Some(answer)) = self.calls.poll_next(cx) {
                return Poll::Ready(Step::Answer(Box::new(answer)));
            }
            if self.calls.len() >= self.shared.config.in_flight {
                return Poll::Pending;
            }
            self.poll_parcel(&queue, changed.as_mut(), cx).map(Step::Send)
        })
        .await
    }

    fn poll_parcel<'q>(
        &mut self,
        queue: &'q Queue,
        mut changed: Pin<&mut Notified<'q>>,
        cx: &mut Context<'_>,
    ) -> Poll<Arc<Parcel>> {
        loop {
            let due = match queue.take(Instant::now()) {
                Take::Parcel(parcel) => return Poll::Ready(parcel),
                Take::Wait(due) => Some(due),
                Take::Nothing => None,
            };
            if changed.as_mut().poll(cx).is_ready() {
                changed.set(queue.changed.notified());
                continue;
            }
            let Some(due) = due else { return Poll::Pending };
            let linger = self.linger.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
            linger.as_mut().reset(due.into());
            if linger.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sends it along with others; without a connection, alone and with all patience.
    async fn send(&mut self, parcel: Arc<Parcel>) {
        let attempt = Attempt::new(parcel);
        match self.link.clone() {
            Some(link) => self.calls.push(self.call(&link, attempt)),
            None => self.deliver(attempt, None, false).await,
        }
    }

    /// One produce call. rskafka encodes when it is first polled, on this task.
    fn call(&self, link: &Link, mut attempt: Attempt) -> Call<Answer> {
        let shared = Arc::clone(&self.shared);
        let client = Arc::clone(&link.client);
        Box::pin(async move {
            let config = &shared.config;
            let Some(left) = attempt.left(config, Instant::now()) else {
                return (attempt, Err(Fault::new(Class::Permanent, ErrorKind::TimedOut, "not sent in time")));
            };
            attempt.sent += 1;
            if attempt.in_doubt {
                shared.outcomes.put(|outcomes| outcomes.resent += attempt.parcel.records as u64);
            }
            attempt.parcel.in_doubt.store(true, Ordering::Release);
            let limit = left.min(shared.cluster.config.request_timeout);
            let records = convert::records(&attempt.parcel, attempt.stamp);
            let result = match timeout(limit, client.produce(records, config.compression)).await {
                Ok(result) => result.map_err(|error| doubtful(error.into())),
                Err(_) => Err(Fault::timed_out(Class::RetryInDoubt, "the produce request", limit)),
            };
            (attempt, result)
        })
    }

    /// After a failure: waits for all that is out, then sends what failed again, in order.
    async fn recover(&mut self, attempt: Attempt, fault: Fault) {
        let mut failed = vec![(attempt, fault)];
        while let Some((attempt, result)) = self.calls.next().await {
            match result {
                Ok(offsets) => self.delivered(&attempt, offsets),
                Err(fault) => failed.push((attempt, fault)),
            }
        }
        let mut waited = false;
        for (attempt, fault) in failed {
            self.deliver(attempt, Some(fault), waited).await;
            waited = true;
        }
    }

    /// Sends it alone until its outcome is known; `fault` is that of a first try, and `waited` says
    /// that one that failed together with it was dealt with since.
    async fn deliver(&mut self, attempt: Attempt, fault: Option<Fault>, mut waited: bool) {
        let mut todo = VecDeque::from([(attempt, fault)]);
        while let Some((mut attempt, fault)) = todo.pop_front() {
            if let Some(fault) = fault {
                match attempt.judge(&fault, &self.shared.config, Instant::now()) {
                    Verdict::GiveUp => {
                        self.undelivered(&attempt, &fault);
                        continue;
                    }
                    Verdict::Split => {
                        let halves = attempt.split();
                        self.queue.replace(
                            &attempt.parcel,
                            &[&halves[0], &halves[1]].map(|h| Arc::clone(&h.parcel)),
                        );
                        halves.into_iter().rev().for_each(|half| todo.push_front((half, None)));
                        continue;
                    }
                    Verdict::Again if waited => {}
                    Verdict::Again => self.pause(&attempt, &fault).await,
                }
                waited = false;
            }
            match self.try_once(attempt).await {
                (attempt, Ok(offsets)) => self.delivered(&attempt, offsets),
                (attempt, Err(fault)) => todo.push_front((attempt, Some(fault))),
            }
        }
    }

    /// Connects if need be, sends, waits for the answer.
    async fn try_once(&mut self, attempt: Attempt) -> Answer {
        let link = match &self.link {
            Some(link) => link.clone(),
            None => match self.connect(&attempt).await {
                Ok(link) => self.link.insert(link).clone(),
                Err(fault) => return (attempt, Err(fault)),
            },
        };
        self.call(&link, attempt).await
    }

    async fn connect(&mut self, attempt: &Attempt) -> Result<Link, Fault> {
        let left = attempt.left(&self.shared.config, Instant::now()).unwrap_or_default();
        let link = self.shared.cluster.link(&self.queue.topic, self.queue.partition);
        let late = || Fault::timed_out(Class::Retry, "the connection to the leader", left);
        timeout(left, link).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits before the next try, and makes it on a new connection unless the broker itself
    /// answered.
    async fn pause(&mut self, attempt: &Attempt, fault: &Fault) {
        let config = self.shared.config;
        let range = if fault.keeps_link { config.retry } else { self.shared.cluster.config.reconnect };
        if !fault.keeps_link {
            self.went_down(fault);
            if let Some(link) = self.link.take() {
                self.shared.cluster.unlink(&link).await;
            }
        }
        let wait = pause(attempt.failures.saturating_sub(1), range);
        let left = attempt.left(&config, Instant::now()).unwrap_or_default();
        sleep(wait.min(left)).await;
    }

    /// Tells the user once that the leader does not answer.
    fn went_down(&mut self, fault: &Fault) {
        if self.lost.is_none() && fault.may_pass() {
            self.lost = Some(Instant::now());
            let place = self.queue.to_string();
            let why = format!("{place}: {}", fault.message);
            self.shared.outcomes.put(|outcomes| outcomes.notices.push(Notice::Lost { place, why }));
        }
    }

    fn came_back(&mut self) {
        if let Some(since) = self.lost.take() {
            let notice = Notice::Back { place: self.queue.to_string(), after: since.elapsed() };
            self.shared.outcomes.put(|outcomes| outcomes.notices.push(notice));
        }
    }

    fn delivered(&mut self, attempt: &Attempt, offsets: Vec<i64>) {
        self.came_back();
        let parcel = &attempt.parcel;
        if !self.queue.settle(parcel) {
            return;
        }
        let placed = self.shared.config.receipts.then(|| Outcome {
            queue: Arc::clone(&self.queue),
            parcel: Arc::clone(parcel),
            result: Ok(Placed { offsets, stamp: attempt.stamp }),
        });
        self.shared.limits.give_back(parcel);
        self.shared.outcomes.put(|outcomes| {
            outcomes.delivered += parcel.records as u64;
            outcomes.payload += parcel.payload;
            outcomes.told.extend(placed);
        });
    }

    fn undelivered(&self, attempt: &Attempt, fault: &Fault) {
        let fate = if attempt.in_doubt { Fate::Unknown } else { Fate::Failed };
        let parcel = Arc::clone(&attempt.parcel);
        if !self.queue.settle(&parcel) {
            return;
        }
        self.shared.limits.give_back(&parcel);
        let error = fault.error(&self.queue).with_attempts(attempt.sent, attempt.failed);
        let result = Err((fate, error));
        let outcome = Outcome { queue: Arc::clone(&self.queue), parcel, result };
        self.shared.outcomes.put(|outcomes| outcomes.told.push(outcome));
    }
}

/// The records of a produce call whose answer makes no sense may have been written.
fn doubtful(fault: Fault) -> Fault {
    match fault.class {
        Class::OutOfRange => Fault { class: Class::RetryInDoubt, ..fault },
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::rskafka::queue::Cut;
    use crate::record::{Batch, Slice, Span};

    fn config() -> SendConfig {
        SendConfig {
            compression: Compression::NoCompression,
            in_flight: 5,
            retries: 2,
            delivery: Some(Duration::from_secs(120)),
            retry: (Duration::ZERO, Duration::ZERO),
            receipts: false,
        }
    }

    fn attempt(records: usize) -> Attempt {
        let mut batch = Batch::default();
        (1..=records).for_each(|line| batch.push(Span::new(Slice::NULL, Slice::NULL, line as u64)));
        let limits = Arc::new(Limits::new(1000, 1000));
        let held = limits.hold(&Arc::new(batch)).unwrap();
        let queue = Queue::new("t".into(), 0, Cut { bytes: 10_000, records: 1000, linger: Duration::ZERO });
        (0..records).for_each(|i| queue.push(&held, i, 21, Instant::now()));
        let Take::Parcel(parcel) = queue.take(Instant::now()) else { panic!("no linger") };
        Attempt { sent: 1, ..Attempt::new(parcel) }
    }

    fn fault(class: Class) -> Fault {
        Fault::new(class, ErrorKind::Other, "x")
    }

    #[test]
    fn temporary_faults_are_tried_again_as_often_as_retries_says() {
        let mut attempt = attempt(1);
        for _ in 0..2 {
            assert_eq!(attempt.judge(&fault(Class::Retry), &config(), Instant::now()), Verdict::Again);
            attempt.sent += 1;
        }
        assert_eq!(attempt.judge(&fault(Class::Retry), &config(), Instant::now()), Verdict::GiveUp);
    }

    #[test]
    fn failures_to_connect_count_against_time_and_not_against_retries() {
        let mut attempt = Attempt { sent: 0, ..attempt(1) };
        let now = Instant::now();
        for _ in 0..100 {
            assert_eq!(attempt.judge(&fault(Class::Retry), &config(), now), Verdict::Again);
        }
        let late = now + Duration::from_secs(121);
        assert_eq!(attempt.judge(&fault(Class::Retry), &config(), late), Verdict::GiveUp);
    }

    #[test]
    fn permanent_faults_end_it_at_once() {
        assert_eq!(attempt(5).judge(&fault(Class::Permanent), &config(), Instant::now()), Verdict::GiveUp);
    }

    #[test]
    fn a_missing_topic_is_waited_for_only_as_long_as_metadata_takes() {
        let mut attempt = Attempt { sent: 0, ..attempt(1) };
        let now = Instant::now();
        assert_eq!(attempt.judge(&fault(Class::UnknownTopic), &config(), now), Verdict::Again);
        assert_eq!(attempt.judge(&fault(Class::Retry), &config(), now + METADATA_WAIT), Verdict::Again);
        assert_eq!(
            attempt.judge(&fault(Class::UnknownTopic), &config(), now + METADATA_WAIT),
            Verdict::Again
        );
        let late = now + 2 * METADATA_WAIT;
        assert_eq!(attempt.judge(&fault(Class::UnknownTopic), &config(), late), Verdict::GiveUp);
    }

    #[test]
    fn too_large_is_split_down_to_one_record() {
        let mut whole = attempt(3);
        assert_eq!(whole.judge(&fault(Class::TooLarge), &config(), Instant::now()), Verdict::Split);
        assert_eq!(whole.split().map(|half| half.parcel.records), [1, 2]);
        assert_eq!(attempt(1).judge(&fault(Class::TooLarge), &config(), Instant::now()), Verdict::GiveUp);
    }

    #[test]
    fn doubt_stays_whatever_is_answered_later() {
        let mut attempt = attempt(2);
        attempt.judge(&fault(Class::RetryInDoubt), &config(), Instant::now());
        attempt.judge(&fault(Class::Retry), &config(), Instant::now());
        assert!(attempt.in_doubt);
        assert!(attempt.split().iter().all(|half| half.parcel.in_doubt.load(Ordering::Acquire)));
    }

    #[test]
    fn a_clear_no_takes_back_the_doubt_of_its_own_try() {
        let mut attempt = attempt(1);
        attempt.parcel.in_doubt.store(true, Ordering::Release);
        attempt.judge(&fault(Class::Retry), &config(), Instant::now());
        assert!(!attempt.parcel.in_doubt.load(Ordering::Acquire));
    }
}
