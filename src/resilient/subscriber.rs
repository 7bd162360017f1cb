//! The subscriber that goes on through outages.
//!
//! The libraries connect again by themselves, for as long as all tries last, and each partition on its own. What is
//! left for the wrapper: to begin when brokers come late, and to go on with the other partitions, at the places
//! reached, when a library has given one up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Link;
use super::outage::{Attempts, Contact, Policy, Tick, random};
use super::places::{Places, Watching};
use super::publisher::Clock;
use crate::backends::{
    At, Error, ErrorKind, Mailbox, Notice, Offsets, Polled, RecordSink, Result, Starts, Subscriber,
    TopicPartition, Topics, Waker,
};

/// Opens the library.
pub type OpenSubscriber = Arc<dyn Fn() -> Result<Box<dyn Subscriber>> + Send + Sync>;

/// Tells what happens to the connection.
pub type Tell = Arc<dyn Fn(&Notice) + Send + Sync>;

/// How long a library that is of no use any more may take to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Opens a subscriber that goes on through outages.
///
/// # Errors
/// As `open` has it, if trying again cannot help; `Unreachable` when the tries are used up.
pub fn open_subscriber(open: OpenSubscriber, policy: Policy, tell: Tell) -> Result<Box<dyn Subscriber>> {
    Ok(Box::new(ResilientSubscriber::open(open, policy, tell, Arc::new(Instant::now))?))
}

/// What is read.
#[derive(Clone)]
enum Reading {
    Nothing,
    Partitions,
    Group(Topics, Arc<Starts>),
}

/// A library behind the seam, and what it takes to go on with another one.
pub(super) struct ResilientSubscriber {
    open: OpenSubscriber,
    inner: Option<Box<dyn Subscriber>>,
    link: Link,
    nap: Arc<Mailbox<()>>,
    reading: Reading,
    places: Places,
    contact: Contact,
    /// When something was read last.
    lived: Instant,
    /// Those since it worked, and when the next one is due.
    attempts: Attempts,
    due: Instant,
    tell: Tell,
    clock: Clock,
}

impl ResilientSubscriber {
    pub(super) fn open(open: OpenSubscriber, policy: Policy, tell: Tell, clock: Clock) -> Result<Self> {
        let now = clock();
        let mut it = Self {
            open,
            inner: None,
            link: Link::default(),
            nap: Arc::default(),
            reading: Reading::Nothing,
            places: Places::default(),
            contact: Contact::new(policy),
            lived: now,
            attempts: Attempts::default(),
            due: now,
            tell,
            clock,
        };
        it.patiently(|_| Ok(()))?;
        Ok(it)
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn told(&self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            (self.tell)(&notice);
        }
    }

    /// The library, opened now if there is none, reading what was read.
    fn library(&mut self) -> Result<&mut dyn Subscriber> {
        if self.inner.is_none() {
            let mut library = (self.open)()?;
            match &self.reading {
                Reading::Nothing => {}
                Reading::Partitions => library.assign(self.places.all())?,
                Reading::Group(topics, starts) => library.join(topics, Arc::clone(starts))?,
            }
            self.link.set(Some(library.waker()));
            self.inner = Some(library);
        }
        self.inner.as_deref_mut().map(|library| library as _).ok_or_else(closed)
    }

    /// Asks until there is an answer, or the tries are used up.
    fn patiently<T>(&mut self, ask: impl Fn(&mut dyn Subscriber) -> Result<T>) -> Result<T> {
        loop {
            match self.library().and_then(&ask) {
                Ok(answer) => {
                    self.works();
                    return Ok(answer);
                }
                Err(error) => self.failed(error)?,
            }
            while self.now() < self.due {
                self.tick()?;
                self.nap.take(self.wait(self.contact.policy.interval));
            }
        }
    }

    /// It answers.
    fn works(&mut self) {
        let now = self.now();
        (self.lived, self.attempts) = (now, Attempts::default());
        let notice = self.contact.opened(None, now);
        self.told(notice);
        self.contact.succeeded(now);
    }

    /// An attempt has failed; the next one comes after a pause, with a library that is opened anew: one that has told
    /// of an outage once (librdkafka) may be silent about it after.
    ///
    /// # Errors
    /// The same, if another one would be of no use.
    fn failed(&mut self, error: Error) -> Result<()> {
        if !error.may_pass() {
            return Err(error);
        }
        let now = self.now();
        self.link.set(None);
        self.inner = None;
        let notice = self.contact.broken(&error.to_string(), now);
        self.told(notice);
        self.due = now + self.attempts.pause(&self.contact.policy, random());
        self.tick()
    }

    /// Tells what the clock says.
    ///
    /// # Errors
    /// When the tries are used up.
    fn tick(&mut self) -> Result<()> {
        match self.contact.tick(None, self.now()) {
            Tick::Nothing => Ok(()),
            Tick::Tell(notice) => {
                (self.tell)(&notice);
                Ok(())
            }
            Tick::Over => Err(self.gave_up()),
        }
    }

    fn gave_up(&self) -> Error {
        self.contact.gave_up(self.now())
    }

    /// The longest wait that misses nothing.
    fn wait(&self, wait: Duration) -> Duration {
        let now = self.now();
        let until = |at: Instant| at.saturating_duration_since(now);
        wait.min(until(self.due)).min(self.contact.due().map_or(wait, until))
    }

    /// A library that reads has given up. If others than the one partition were read meanwhile, it goes on with them.
    fn stopped(&mut self, error: Error, sink: &mut dyn RecordSink) -> Result<()> {
        let alone = self.now().saturating_duration_since(self.lived) >= self.contact.policy.budget();
        if !error.may_pass() || alone {
            return Err(error);
        }
        if let Some(library) = self.inner.take() {
            // It cannot say more than it has.
            let _ = library.close(Instant::now() + FAREWELL, sink);
        }
        self.failed(error)
    }

    /// One round without a library.
    fn go_on(&mut self, wait: Duration) -> Result<Polled> {
        if self.now() < self.due {
            self.nap.take(self.wait(wait));
            self.tick()?;
        } else {
            match self.library().map(drop) {
                Ok(()) => self.works(),
                Err(error) => self.failed(error)?,
            }
        }
        Ok(Polled { records: 0, idle: true })
    }
}

impl Subscriber for ResilientSubscriber {
    fn waker(&self) -> Waker {
        self.link.or(self.nap.waker())
    }

    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>> {
        match self.reading {
            Reading::Nothing => self.patiently(|library| library.partitions(topics)),
            // The reading goes on meanwhile.
            _ => self.library()?.partitions(topics),
        }
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        match self.reading {
            Reading::Nothing => self.patiently(|library| library.list_offsets(places)),
            _ => self.library()?.list_offsets(places),
        }
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        match self.reading {
            Reading::Nothing => self.patiently(|library| library.committed(partitions)),
            _ => self.library()?.committed(partitions),
        }
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        match self.reading {
            Reading::Nothing => self.patiently(|library| library.assign(starts))?,
            _ => self.library()?.assign(starts)?,
        }
        self.reading = Reading::Partitions;
        self.places.put(starts);
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.places.remove(partitions);
        self.library()?.unassign(partitions)
    }

    fn join(&mut self, topics: &Topics, starts: Arc<Starts>) -> Result<()> {
        self.patiently(|library| library.join(topics, Arc::clone(&starts)))?;
        self.reading = Reading::Group(topics.clone(), starts);
        Ok(())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        let now = self.now();
        let Some(library) = &mut self.inner else { return self.go_on(wait) };
        let wait = self.contact.due().map_or(wait, |at| wait.min(at.saturating_duration_since(now)));
        let Self { places, contact, tell, clock, .. } = self;
        let mut watching = Watching { sink, places, lives: false, contact, tell, clock };
        let polled = library.poll(wait, &mut watching);
        if watching.lives {
            self.lived = self.now();
            self.contact.succeeded(self.lived);
        }
        match polled {
            Ok(polled) => self.tick().map(|()| polled),
            Err(error) => {
                self.stopped(error, sink)?;
                Ok(Polled { records: 0, idle: true })
            }
        }
    }

    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        match &mut self.inner {
            Some(library) if !self.contact.is_out() => library.commit(offsets),
            _ => Err(Error::new(ErrorKind::Later, "committing offsets: disconnected")),
        }
    }

    fn close(self: Box<Self>, deadline: Instant, sink: &mut dyn RecordSink) -> Result<()> {
        self.inner.map_or(Ok(()), |library| library.close(deadline, sink))
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Other, "the subscriber is closed")
}

impl fmt::Debug for ResilientSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientSubscriber").field("contact", &self.contact).finish_non_exhaustive()
    }
}
